//! Flags of `runner export`.
#![allow(clippy::doc_markdown)] // The comments are help texts, in which backticks would be shown.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// What `runner export` writes.
#[derive(Debug, Subcommand)]
pub enum ExportCommand {
    /// Runs, or the points of their curves, as JSON, one object a line.
    Jsonl(TableArgs),
    /// Runs, or the points of their curves, as Parquet.
    Parquet(TableArgs),
    /// Curves, results and hyper-parameters as event files: tensorboard --logdir FOLDER shows them.
    Tensorboard(FolderArgs),
    /// Runs, and a script that hands them to MLflow: python FOLDER/import.py.
    Mlflow(FolderArgs),
    /// Runs, and a script that hands them to Weights & Biases: python FOLDER/import.py.
    Wandb(FolderArgs),
    /// A trained model as a folder that from_pretrained of the transformers package loads.
    Transformers(TransformersArgs),
}

/// Flags of the tables.
#[derive(Args, Debug)]
pub struct TableArgs {
    /// Results folder of a sweep, or a CSV with a row for each run.
    pub runs: PathBuf,
    /// The file to write [default: standard output].
    #[arg(long, short, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// The points of the training curves instead of the runs.
    #[arg(long)]
    pub curves: bool,
}

/// Flags of what is a folder.
#[derive(Args, Debug)]
pub struct FolderArgs {
    /// Results folder of a sweep, or a CSV with a row for each run (and curves.csv beside it).
    pub runs: PathBuf,
    /// The folder to write.
    #[arg(long, short, value_name = "FOLDER")]
    pub out: PathBuf,
    /// Name of the experiment [default: that of the folder of results].
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
}

/// Flags of `runner export transformers`.
#[derive(Args, Debug)]
pub struct TransformersArgs {
    /// Results folder of a sweep or of one run, trained with --keep-models.
    pub dir: PathBuf,
    /// The run, by its id or the beginning of it [default: the only one].
    #[arg(long, value_name = "ID")]
    pub run: Option<String>,
    /// The folder to write.
    #[arg(long, short, value_name = "FOLDER")]
    pub out: PathBuf,
    /// Weights in this checkpoint of the run instead of those at its end.
    #[arg(long, value_name = "FILE")]
    pub checkpoint: Option<PathBuf>,
    /// The architecture. GPT-2 is none: its positions are learned and its normalization subtracts the mean.
    #[arg(long, value_enum, default_value = "arcee")]
    pub architecture: ArchitectureName,
    /// Folder for tokenized corpora, which has the tokenizer.
    #[arg(long, default_value = "cache", env = "RUNNER_CACHE")]
    pub cache: PathBuf,
}

/// An architecture of the transformers package.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ArchitectureName {
    /// A Llama without a gate in its MLP: exactly the model that was trained.
    Arcee,
    /// For programs that only know Llama: a third more parameters in the blocks, which are constants.
    Llama,
}
