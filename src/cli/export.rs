//! Flags of `runner export`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// What `runner export` writes.
#[derive(Debug, Subcommand)]
pub enum ExportCommand {
    /// Write runs, or the points of their curves, as JSON Lines.
    Jsonl(TableArgs),
    /// Write runs, or the points of their curves, as Parquet.
    Parquet(TableArgs),
    /// Write curves, results and hyper-parameters as event files for tensorboard --logdir FOLDER.
    Tensorboard(FolderArgs),
    /// Write runs, and a script that imports them into MLflow: python FOLDER/import.py.
    Mlflow(FolderArgs),
    /// Write runs, and a script that imports them into Weights & Biases: python FOLDER/import.py.
    Wandb(FolderArgs),
    /// Write a trained model as a folder that from_pretrained of the transformers package loads.
    Transformers(TransformersArgs),
}

/// Flags of the tables.
#[derive(Args, Debug)]
pub struct TableArgs {
    /// Results folder of a sweep, or its name in results/, or a CSV with a row for each run.
    #[arg(value_parser = super::values::results_folder())]
    pub runs: PathBuf,
    /// The file to write, - for standard output [default: standard output].
    #[arg(long, short, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Write the points of the training curves instead of the runs.
    #[arg(long)]
    pub curves: bool,
}

/// Flags of what is a folder.
#[derive(Args, Debug)]
pub struct FolderArgs {
    /// Results folder of a sweep, or its name in results/, or a CSV with a row for each run (with curves.csv in the same folder).
    #[arg(value_parser = super::values::results_folder())]
    pub runs: PathBuf,
    /// The folder to write.
    #[arg(long, short, value_name = "FOLDER")]
    pub out: PathBuf,
    /// Name of the experiment [default: the name of the results folder].
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
}

/// Flags of `runner export transformers`.
#[derive(Args, Debug)]
pub struct TransformersArgs {
    /// Results folder of a sweep or of one run, or its name in results/, trained with --keep-models.
    #[arg(value_parser = super::values::results_folder())]
    pub dir: PathBuf,
    /// Id of the run, or its beginning [default: the only run].
    #[arg(long, value_name = "ID")]
    pub run: Option<String>,
    /// The folder to write.
    #[arg(long, short, value_name = "FOLDER")]
    pub out: PathBuf,
    /// Export the weights in this checkpoint of the run instead of the final ones.
    #[arg(long, value_name = "FILE")]
    pub checkpoint: Option<PathBuf>,
    /// The architecture. GPT-2 cannot represent the model: its positions are learned and its normalization subtracts
    /// the mean.
    #[arg(long, value_enum, default_value = "arcee")]
    pub architecture: ArchitectureName,
    /// Folder for tokenized corpora, where the tokenizer is.
    #[arg(long, default_value = "cache", env = "RUNNER_CACHE")]
    pub cache: PathBuf,
}

/// An architecture of the transformers package.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ArchitectureName {
    /// A Llama without a gate in its MLP: exactly the model that was trained.
    Arcee,
    /// For programs that only support Llama: blocks have a third more parameters, which are constants.
    Llama,
    /// For models with `mlp = "swiglu"` (or another gate) and `qk_norm = true`.
    Qwen3,
    /// For models with `[model.experts]` and a gated MLP.
    Mixtral,
    /// For models with `[model.experts]`, a gated MLP and `qk_norm = true`.
    Qwen3Moe,
}
