//! Flags of what comes before training: plans and corpora.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Overrides, Place, Tables};

/// Flags of `runner plan`.
#[derive(Args, Debug)]
#[allow(clippy::struct_excessive_bools)] // Each is a flag by itself.
pub struct PlanArgs {
    /// The spec, a TOML file.
    pub spec: PathBuf,
    /// What to set otherwise.
    #[command(flatten)]
    pub overrides: Overrides,
    /// Where the hours are estimated for.
    #[command(flatten)]
    pub place: Place,
    /// Sustained FLOP/s of one slot, instead of a short measurement on the device.
    #[arg(long)]
    pub flops_per_second: Option<f64>,
    /// Runs trained at once on each device [default: the number of cores on the CPU, otherwise 1].
    #[arg(long, visible_alias = "slots", value_name = "N", value_parser = super::at_least_one)]
    pub slots_per_device: Option<usize>,
    /// Devices to train on.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub device_count: u16,
    /// Price of one device hour, in any currency.
    #[arg(long, value_name = "MONEY")]
    pub price: Option<f64>,
    /// Cut the sweep down to this many device hours: first seeds, then sizes (down to 7), then budgets (down to 3).
    #[arg(long, value_name = "HOURS")]
    pub budget_hours: Option<f64>,
    /// Where points are left out, as with a short text: sizes nearer to each other, and only budgets whose curves then have
    /// sizes on both sides of their expected optimum.
    #[arg(long)]
    pub bracket: bool,
    /// Plan without reading the corpus, for a text that is not here: the vocabulary is data.vocab, and no text is too short.
    #[arg(long, conflicts_with = "bracket")]
    pub without_corpus: bool,
    /// Write the planned spec, with cuts and --set, to a new file.
    #[arg(long, short, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Print the plan as CSV: one row per run, with all counts of parameters and FLOPs.
    #[arg(long)]
    pub csv: bool,
    /// Print JSON: one object, whose keys docs/json.md explains.
    #[arg(long, conflicts_with = "csv")]
    pub json: bool,
    /// Go on where points were left out and what remains cannot be fitted by any approach.
    #[arg(long)]
    pub allow_unfittable: bool,
    /// How tables are printed.
    #[command(flatten)]
    pub tables: Tables,
}

/// What `runner data` does.
#[derive(Debug, Subcommand)]
pub enum DataCommand {
    /// Train or load the tokenizer, tokenize, split and cache the corpus of a spec.
    Prepare(DataArgs),
    /// Print vocabulary, tokens, split and, for the built-in language, its entropy.
    Info(DataArgs),
    /// Write the loss of each training document under a trained model, for `data.keep_by = "file"`.
    Score(ScoreArgs),
}

/// Flags of `runner data score`.
#[derive(Args, Debug)]
pub struct ScoreArgs {
    /// A results folder with the model, or its name in results/: trained on the whole text, with --keep-models.
    #[arg(value_parser = super::values::results_folder())]
    pub dir: PathBuf,
    /// Id of the run, or its beginning [default: the only run].
    #[arg(long, value_name = "ID")]
    pub run: Option<String>,
    /// The file to write: a number a line, nats per token, for each training document in their order.
    #[arg(long, short, value_name = "FILE")]
    pub out: PathBuf,
    /// Device: cpu, wgpu, cuda or cuda:1.
    #[arg(long, default_value = "cpu")]
    pub device: String,
    /// Threads on the CPU.
    #[arg(long, default_value_t = 1, value_parser = super::at_least_one)]
    pub threads: usize,
    /// Folder for tokenized corpora.
    #[arg(long, default_value = "cache", env = "RUNNER_CACHE")]
    pub cache: PathBuf,
}

/// Flags of `runner data`.
#[derive(Args, Debug)]
pub struct DataArgs {
    /// A spec or config with a `[data]` table.
    pub spec: PathBuf,
    /// What to set otherwise.
    #[command(flatten)]
    pub overrides: Overrides,
    /// Folder for tokenized corpora.
    #[arg(long, default_value = "cache", env = "RUNNER_CACHE")]
    pub cache: PathBuf,
    /// Print JSON: one object, whose keys docs/json.md explains.
    #[arg(long)]
    pub json: bool,
}
