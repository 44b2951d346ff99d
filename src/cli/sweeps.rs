//! Flags of what runs a sweep, looks after it and looks at it.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::{Overrides, Place};

/// Flags of `runner sweep`.
#[derive(Args, Debug)]
pub struct SweepArgs {
    /// The spec, a TOML file.
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
    /// Devices to train on, such as cuda:0,cuda:1 [default: all devices of the kind in --device].
    #[arg(long, value_delimiter = ',', value_name = "LIST", conflicts_with = "device")]
    pub devices: Vec<String>,
    /// Runs trained at once on each device [default: the number of cores on the CPU, the fastest number measured on
    /// cuda, otherwise 1].
    #[arg(long, visible_alias = "slots", value_name = "N", value_parser = super::at_least_one)]
    pub slots_per_device: Option<usize>,
    /// Train the runs of a device in one process, each on its own thread [default: true on cuda, otherwise false].
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub share_process: Option<bool>,
    /// Step the runs of a process that differ in seed, data, learning rate, weight decay or length alone together, in the same
    /// launches; losses are the same [default: whichever is measured to be faster, true with --slots-per-device; cuda only].
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub share_steps: Option<bool>,
    /// Threads of each run on the CPU. Losses do not depend on them.
    #[arg(long, default_value_t = 1, value_parser = super::at_least_one)]
    pub threads: usize,
    /// How long runs may go on without a sign.
    #[command(flatten)]
    pub patience: Patience,
    /// How workers are started [default: as in the spec, otherwise local].
    #[arg(long, value_enum)]
    pub launcher: Option<LauncherName>,
    /// Slurm: do not return after submission; wait until all runs have ended, then fit and report.
    #[arg(long)]
    pub wait: bool,
    /// Slurm: print the batch script and check it with `sbatch --test-only`; submit nothing.
    #[arg(long, conflicts_with = "wait")]
    pub dry_run: bool,
    /// Keep the weights of every run that is trained from now on, for `runner export transformers`.
    #[arg(long)]
    pub keep_models: bool,
}

/// How long a run goes on by itself.
#[derive(Args, Clone, Copy, Debug)]
pub struct Patience {
    /// Minimum seconds between two checkpoints of a run. Checkpoints take at most 2% of the time.
    #[arg(long, default_value_t = 60.0, value_name = "SECONDS")]
    pub checkpoint_every: f64,
    /// If a worker makes no progress for this many seconds, end it and try its run again.
    #[arg(long, default_value_t = 900, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub hang_after: u64,
}

/// Who starts the workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LauncherName {
    /// This process, on this machine.
    Local,
    /// Slurm, configured by `[launcher]` in the spec.
    Slurm,
}

/// Flags of `runner watch`.
#[derive(Args, Debug)]
pub struct WatchArgs {
    /// The results folder, or its name in results/. Nothing is written into it.
    #[arg(value_parser = super::values::results_folder())]
    pub dir: PathBuf,
    /// Port to listen on; 0 takes any free port.
    #[arg(long, default_value_t = 8311)]
    pub port: u16,
    /// Address to listen on; any address other than a loopback address needs --public.
    #[arg(long, default_value = "127.0.0.1", value_name = "ADDR")]
    pub host: std::net::IpAddr,
    /// Let everybody who can reach the address read the report. There is no encryption and no password.
    #[arg(long)]
    pub public: bool,
    /// Folder of tokenized corpora, for the entropy of the built-in language.
    #[arg(long, default_value = "cache", env = "RUNNER_CACHE")]
    pub cache: PathBuf,
}

/// Flags of `runner cancel`.
#[derive(Args, Debug)]
pub struct CancelArgs {
    /// Results folder of the sweep, or its name in results/.
    #[arg(value_parser = super::values::results_folder())]
    pub dir: PathBuf,
}

/// Flags of `runner status`.
#[derive(Args, Debug)]
pub struct StatusArgs {
    /// Results folder of the sweep, or its name in results/.
    #[arg(value_parser = super::values::results_folder())]
    pub dir: PathBuf,
    /// Update every two seconds until every run has ended.
    #[arg(long)]
    pub watch: bool,
    /// Print JSON, one object per update.
    #[arg(long)]
    pub json: bool,
}

/// Flags of `runner worker`.
#[derive(Args, Debug)]
pub struct WorkerArgs {
    /// Results folder of the sweep.
    #[arg(long)]
    pub sweep: PathBuf,
    /// Where to train.
    #[command(flatten)]
    pub place: Place,
    /// Threads of each run on the CPU.
    #[arg(long, default_value_t = 1, value_parser = super::at_least_one)]
    pub threads: usize,
    /// Runs trained at once, each on its own thread.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub runs: u16,
    /// Step runs of one shape together.
    #[arg(long)]
    pub share_steps: bool,
    /// Minimum seconds between two checkpoints of a run.
    #[arg(long, default_value_t = 60.0)]
    pub checkpoint_every: f64,
    /// Name of the device in messages [default: its own name].
    #[arg(long)]
    pub label: Option<String>,
    /// All devices that the sweep still has, by their names in messages [default: this one].
    #[arg(long, value_name = "LABELS", value_delimiter = ',')]
    pub among: Vec<String>,
    /// Cores to stay on, such as 0-1, counted among those that the process may use.
    #[arg(long)]
    pub cores: Option<String>,
}

/// Flags of `runner slurm-task`.
#[derive(Args, Debug)]
pub struct SlurmTaskArgs {
    /// Results folder of the sweep.
    #[arg(long)]
    pub sweep: PathBuf,
    /// Where to train.
    #[command(flatten)]
    pub place: Place,
    /// Threads of each run on the CPU.
    #[arg(long, default_value_t = 1, value_parser = super::at_least_one)]
    pub threads: usize,
    /// How long runs may go on without a sign.
    #[command(flatten)]
    pub patience: Patience,
    /// How often the task may be queued again.
    #[arg(long, default_value_t = 0)]
    pub requeue_limit: u32,
}

/// What `runner ledger` does.
#[derive(Debug, Subcommand)]
pub enum LedgerCommand {
    /// Compare every result with its checksum and list damaged files.
    Check(LedgerArgs),
    /// Write runs.csv, curves.csv, fits.json, the figures and report.html again from the results.
    Rebuild(RebuildArgs),
}

/// A results folder.
#[derive(Args, Debug)]
pub struct LedgerArgs {
    /// Results folder of the sweep, or its name in results/.
    #[arg(value_parser = super::values::results_folder())]
    pub dir: PathBuf,
}

/// Flags of `runner ledger rebuild`.
#[derive(Args, Debug)]
pub struct RebuildArgs {
    /// Results folder of the sweep, or its name in results/.
    #[arg(value_parser = super::values::results_folder())]
    pub dir: PathBuf,
    /// Folder of tokenized corpora, for the entropy of the built-in language.
    #[arg(long, default_value = "cache", env = "RUNNER_CACHE")]
    pub cache: PathBuf,
}
