//! Flags of what comes before training: plans and corpora.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Place;

/// Flags of `runner plan`.
#[derive(Args, Debug)]
pub struct PlanArgs {
    /// The spec, a TOML file.
    pub spec: PathBuf,
    /// Where the hours are estimated for.
    #[command(flatten)]
    pub place: Place,
    /// Sustained FLOP/s of one slot, instead of a short measurement on the device.
    #[arg(long)]
    pub flops_per_second: Option<f64>,
    /// Runs trained side by side [default: as many as cores on the CPU, otherwise 1].
    #[arg(long)]
    pub slots: Option<usize>,
    /// Print the plan as CSV, one row a run with every count.
    #[arg(long)]
    pub csv: bool,
}

/// What `runner data` does.
#[derive(Debug, Subcommand)]
pub enum DataCommand {
    /// Train or load the tokenizer, tokenize, split and cache the corpus of a spec.
    Prepare(DataArgs),
    /// Tell vocabulary, tokens, split and, for the built-in language, its entropy.
    Info(DataArgs),
}

/// Flags of `runner data`.
#[derive(Args, Debug)]
pub struct DataArgs {
    /// A spec or config with the `[data]` to look at.
    pub spec: PathBuf,
    /// Folder for tokenized corpora.
    #[arg(long, default_value = "cache", env = "RUNNER_CACHE")]
    pub cache: PathBuf,
}
