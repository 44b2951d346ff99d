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
    /// Threads on the CPU [default: all cores]. The loss does not depend on them.
    #[arg(long, value_parser = super::at_least_one)]
    pub threads: Option<usize>,
    /// Minimum seconds between two checkpoints. Checkpoints take at most 2% of the time.
    #[arg(long, default_value_t = 60.0, value_name = "SECONDS")]
    pub checkpoint_every: f64,
    /// Keep the weights, for `runner export transformers`.
    #[arg(long, alias = "keep-model")]
    pub keep_models: bool,
}

/// Flags of `runner coord-check`.
#[derive(Args, Debug)]
#[command(mut_arg("device", |device| device.help("Device: auto, cpu, wgpu, cuda, or cuda:1")))]
pub struct CoordCheckArgs {
    /// The spec: a sweep over `model.width` or `model.depth`, and over `model.parameterization` to compare.
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
    /// Number of steps. Activations are measured before each step, at the peak learning rate without warm-up.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(2..=1000))]
    pub steps: u32,
    /// Threads on the CPU. The measurements do not depend on them.
    #[arg(long, default_value_t = 1, value_parser = super::at_least_one)]
    pub threads: usize,
    /// How tables are printed.
    #[command(flatten)]
    pub tables: Tables,
}

/// Flags of `runner bench`.
#[derive(Args, Debug)]
pub struct BenchArgs {
    /// Config of the model to measure. May be given again [default: three models of 0.16 to 6.8 million parameters].
    #[arg(long, value_name = "FILE")]
    pub config: Vec<PathBuf>,
    /// Where to train.
    #[command(flatten)]
    pub place: Place,
    /// Threads of each run on the CPU.
    #[arg(long, default_value_t = 1, value_parser = super::at_least_one)]
    pub threads: usize,
    /// Runs at once [default: on the CPU one alone, then one a core; on a GPU 1].
    #[arg(long, visible_alias = "slots", value_name = "N", value_parser = super::at_least_one)]
    pub slots_per_device: Option<usize>,
    /// Take the steps of runs at once together, in the same launches (cuda only; see `runner sweep --help`).
    #[arg(long)]
    pub share_steps: bool,
    /// Length of each measurement in seconds.
    #[arg(long, default_value_t = 10.0)]
    pub seconds: f64,
    /// Print JSON, one object per line.
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
    #[arg(long, value_parser = super::at_least_one)]
    pub threads: usize,
    /// Length of the measurement.
    #[arg(long)]
    pub seconds: f64,
    /// Runs in this process, each on a thread of its own.
    #[arg(long)]
    pub together: usize,
    /// Take their steps together.
    #[arg(long)]
    pub share_steps: bool,
}
