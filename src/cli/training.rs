//! Flags of what trains or measures one model.

use std::path::PathBuf;

use clap::Args;

use super::{Overrides, Place, Tables};

/// Flags of `runner train`.
#[derive(Args, Debug)]
pub struct TrainArgs {
    /// The config, a spec without `[sweep]`.
    pub config: PathBuf,
    /// What to set otherwise.
    #[command(flatten)]
    pub overrides: Overrides,
    /// Results folder [default: results/NAME, where NAME is the name in the config].
    #[arg(long)]
    pub out: Option<PathBuf>,
    /// Where to train.
    #[command(flatten)]
    pub place: Place,
    /// Threads on the CPU [default: all cores]. The loss does not depend on it.
    #[arg(long)]
    pub threads: Option<usize>,
    /// Least seconds between two checkpoints. Writing them never takes more than 2% of the time.
    #[arg(long, default_value_t = 60.0, value_name = "SECONDS")]
    pub checkpoint_every: f64,
    /// Keep the weights, for `runner export transformers`.
    #[arg(long, alias = "keep-model")]
    pub keep_models: bool,
}

/// Flags of `runner coord-check`.
#[derive(Args, Debug)]
pub struct CoordCheckArgs {
    /// The spec: a sweep over `model.width` or `model.depth`, and over whatever else should be compared.
    pub spec: PathBuf,
    /// What to set otherwise.
    #[command(flatten)]
    pub overrides: Overrides,
    /// Results folder [default: results/NAME, where NAME is the name in the spec].
    #[arg(long)]
    pub out: Option<PathBuf>,
    /// Where to train.
    #[command(flatten)]
    pub place: Place,
    /// Steps before each of which activations are measured, at the peak learning rate without warm-up.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(2..=1000))]
    pub steps: u32,
    /// Threads on the CPU. What is measured does not depend on it.
    #[arg(long, default_value_t = 1)]
    pub threads: usize,
    /// How tables are printed.
    #[command(flatten)]
    pub tables: Tables,
}

/// Flags of `runner bench`.
#[derive(Args, Debug)]
pub struct BenchArgs {
    /// A model to measure, the config of one run; may be given again [default: three models of 0.16 to 6.8 million
    /// parameters].
    #[arg(long, value_name = "FILE")]
    pub config: Vec<PathBuf>,
    /// Where to train.
    #[command(flatten)]
    pub place: Place,
    /// Threads of each run on the CPU.
    #[arg(long, default_value_t = 1)]
    pub threads: usize,
    /// Runs side by side [default: one alone, then as many as a sweep would].
    #[arg(long, visible_alias = "slots", value_name = "N")]
    pub slots_per_device: Option<usize>,
    /// Length of each measurement.
    #[arg(long, default_value_t = 10.0)]
    pub seconds: f64,
    /// Print JSON, one object a line.
    #[arg(long)]
    pub json: bool,
    /// How tables are printed.
    #[command(flatten)]
    pub tables: Tables,
}

/// Flags of `runner bench-slot`.
#[derive(Args, Debug)]
pub struct BenchSlotArgs {
    /// The config.
    pub config: PathBuf,
    /// Where to train.
    #[command(flatten)]
    pub place: Place,
    /// Threads on the CPU.
    #[arg(long)]
    pub threads: usize,
    /// Length of the measurement.
    #[arg(long)]
    pub seconds: f64,
}
