//! The command line: flags and help, no logic.
#![allow(clippy::doc_markdown)] // The comments are help texts, in which backticks would be shown.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Measures how language-model loss scales: trains IsoFLOP grids of small transformers, fits the scaling laws and
/// reports compute-optimal tokens per parameter, with intervals.
#[derive(Debug, Parser)]
#[command(name = "runner", version, propagate_version = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Plan the grid, train every run, fit the laws, write the report. Run again, it resumes.
    Sweep(SweepArgs),
    /// End the cluster jobs of a sweep. Finished runs are kept.
    Cancel(CancelArgs),
    /// Show every run of a sweep, with its size, FLOPs and hours, without training.
    Plan(PlanArgs),
    /// Train one run.
    Train(TrainArgs),
    /// Fit scaling laws to a table of runs.
    Fit(FitArgs),
    /// Check that activations keep their size as models grow, which is what muP promises.
    CoordCheck(CoordCheckArgs),
    /// Say what to train for a budget, from a fitted surface.
    Allocate(AllocateArgs),
    /// Predict the loss of one model, from a fitted surface.
    Predict(PredictArgs),
    /// Prepare a corpus, or tell what is in it.
    #[command(subcommand)]
    Data(DataCommand),
    /// List the devices that this build can train on.
    Devices,
    /// Measure how fast this machine trains, and where the time goes.
    #[cfg(feature = "train")]
    Bench(BenchArgs),
    /// One slot of a benchmark (started by `bench`).
    #[cfg(feature = "train")]
    #[command(hide = true)]
    BenchSlot(BenchSlotArgs),
    /// Say how a sweep stands: runs, throughput, time left, failures, devices.
    Status(StatusArgs),
    /// Serve the report of a sweep while it runs, to a browser on this machine.
    Watch(WatchArgs),
    /// Look for damage in a results folder, or derive its tables, fits and report again.
    #[command(subcommand)]
    Ledger(LedgerCommand),
    /// Train runs of a sweep until none is left (started by `sweep`, one process a slot).
    #[command(hide = true)]
    Worker(WorkerArgs),
    /// Supervise one worker (started by the batch script of `sweep --launcher slurm`, one process a task).
    #[command(hide = true)]
    SlurmTask(SlurmTaskArgs),
}

/// Where to train, and where the tokens are cached.
#[derive(Args, Clone, Debug)]
pub struct Place {
    /// Device: auto, cpu, wgpu, cuda, cuda:1, or rehearsal (no training: losses from a known surface).
    #[arg(long, default_value = "auto")]
    pub device: String,
    /// Folder for tokenized corpora.
    #[arg(long, default_value = "cache", env = "RUNNER_CACHE")]
    pub cache: PathBuf,
}

/// Flags of `runner watch`.
#[derive(Args, Debug)]
pub struct WatchArgs {
    /// The results folder. Nothing is written into it.
    pub dir: PathBuf,
    /// Port to listen on; 0 takes any that is free.
    #[arg(long, default_value_t = 8311)]
    pub port: u16,
    /// Address to listen on; anything but a loopback address needs --public.
    #[arg(long, default_value = "127.0.0.1", value_name = "ADDR")]
    pub host: std::net::IpAddr,
    /// Let everybody who reaches the address read the report. Nothing is encrypted and nobody is asked for a password.
    #[arg(long)]
    pub public: bool,
    /// Folder of tokenized corpora, for the entropy of the built-in language.
    #[arg(long, default_value = "cache", env = "RUNNER_CACHE")]
    pub cache: PathBuf,
}

/// Flags of `runner sweep`.
#[derive(Args, Debug)]
pub struct SweepArgs {
    /// The spec, a TOML file.
    pub spec: PathBuf,
    /// Results folder [default: results/NAME, where NAME is the name in the spec].
    #[arg(long)]
    pub out: Option<PathBuf>,
    /// Where to train.
    #[command(flatten)]
    pub place: Place,
    /// Devices to train on, as in cuda:0,cuda:1 [default: all of the kind that --device names].
    #[arg(long, value_delimiter = ',', value_name = "LIST", conflicts_with = "device")]
    pub devices: Vec<String>,
    /// Runs trained side by side on each device [default: as many as cores on the CPU, otherwise 1].
    #[arg(long, visible_alias = "slots", value_name = "N")]
    pub slots_per_device: Option<usize>,
    /// Threads of each run on the CPU. Losses do not depend on it.
    #[arg(long, default_value_t = 1)]
    pub threads: usize,
    /// How long runs may go on without a sign.
    #[command(flatten)]
    pub patience: Patience,
    /// Who starts the workers [default: the one in the spec, otherwise local].
    #[arg(long, value_enum)]
    pub launcher: Option<LauncherName>,
    /// Slurm: wait until all runs are over, then fit and report, instead of leaving after submission.
    #[arg(long)]
    pub wait: bool,
    /// Slurm: print the batch script and have it checked by `sbatch --test-only`, and submit nothing.
    #[arg(long, conflicts_with = "wait")]
    pub dry_run: bool,
}

/// How long a run goes on by itself.
#[derive(Args, Clone, Copy, Debug)]
pub struct Patience {
    /// Least seconds between two checkpoints of a run. Writing them never takes more than 2% of the time.
    #[arg(long, default_value_t = 60.0, value_name = "SECONDS")]
    pub checkpoint_every: f64,
    /// Seconds without a sign of life after which a worker is ended and its run tried again.
    #[arg(long, default_value_t = 900, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub hang_after: u64,
}

/// Who starts the workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LauncherName {
    /// This process, on this machine.
    Local,
    /// Slurm, as `[launcher]` in the spec says.
    Slurm,
}

/// Flags of `runner cancel`.
#[derive(Args, Debug)]
pub struct CancelArgs {
    /// Results folder of the sweep.
    pub dir: PathBuf,
}

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

/// Flags of `runner train`.
#[derive(Args, Debug)]
pub struct TrainArgs {
    /// The config, a spec without `[sweep]`.
    pub config: PathBuf,
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
}

/// Flags of `runner coord-check`.
#[derive(Args, Debug)]
pub struct CoordCheckArgs {
    /// The spec: a sweep over `model.width` or `model.depth`, and over whatever else should be compared.
    pub spec: PathBuf,
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
}

/// A way to fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Approach {
    /// The envelope of training curves.
    #[value(name = "1")]
    Envelope,
    /// IsoFLOP parabolas.
    #[value(name = "2")]
    Parabolas,
    /// Huber loss on log loss, L-BFGS from a start grid.
    #[value(name = "3")]
    Huber,
    /// Variable projection with non-negative least squares.
    Vpnls,
    /// All of them side by side.
    All,
}

/// A law other than the surface E + A/N^alpha + B/D^beta.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Law {
    /// L(N) of runs that data do not limit: pure, offset, exponential, broken. Columns: params, loss.
    Params,
    /// L(D) of runs that size does not limit, with the intrinsic dimension. Columns: tokens, loss.
    Tokens,
    /// L(C) of compute-optimal runs. Columns: flops or budget, loss.
    Flops,
    /// Kaplan's joint L(N,D). Columns: params, tokens, loss.
    Kaplan,
    /// Kaplan's L(N,S). Columns: params, steps, loss.
    KaplanSteps,
    /// Half-lives of repeated data.
    #[value(help = "Half-lives of repeated data. Columns: params, tokens, unique_tokens, loss")]
    Repetition,
    /// Steps against data, and the batch at which both are twice their least. Columns: batch, steps, loss.
    CriticalBatch,
    /// The noise scale from gradients.
    #[value(help = "The noise scale from gradients. Columns: small_batch, small_norm2, big_batch, big_norm2")]
    GradientNoise,
    /// The best share of data to keep, and what pruning makes of the power law. Columns: keep, tokens, loss.
    Pruning,
}

/// What resamples draw.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Resample {
    /// Single runs (approach 1: whole curves; approach 2: losses at fixed sizes).
    Runs,
    /// Whole budgets.
    Budgets,
}

/// Flags of `runner fit`.
#[derive(Args, Debug)]
pub struct FitArgs {
    /// The table: a CSV with parameters, tokens, loss and, for approach 2, budgets or FLOPs.
    pub runs: PathBuf,
    /// Which approach: 1 (envelope), 2 (IsoFLOP parabolas), 3 (Huber fit of the surface), vpnls, or all of them.
    #[arg(long, default_value = "all", value_enum)]
    pub approach: Approach,
    /// Fit another law instead of the surface.
    #[arg(long, value_enum, conflicts_with_all = ["approach", "weighted"])]
    pub law: Option<Law>,
    /// Split the table by the values of a column and fit each part; laws of one variable are compared with the first.
    #[arg(long, value_name = "COLUMN")]
    pub by: Option<String>,
    /// Laws of one variable: compare with the curve of another table (offset, slope, or a factor of the variable).
    #[arg(long, value_name = "FILE", conflicts_with = "by")]
    pub against: Option<PathBuf>,
    /// Approach 3: residual in log loss above which the Huber loss is linear; 1e-8 is least absolute deviations.
    #[arg(long, default_value_t = 1e-3)]
    pub delta: f64,
    /// Approach 3: starting values of one unknown, a, b, e (logarithms of A, B, E), alpha or beta: alpha=0.2,0.4 (may be
    /// repeated) [default: the 4500 of Hoffmann et al.].
    #[arg(long, value_name = "NAME=VALUES")]
    pub starts: Vec<String>,
    /// Approach 2: weigh runs by one over the square of their standard error, optima by one over their variance.
    #[arg(long)]
    pub weighted: bool,
    /// Leave out the K runs of the highest loss.
    #[arg(long, value_name = "K", default_value_t = 0)]
    pub drop_highest: usize,
    /// Critical batch: losses to reach [default: five that all batch sizes reach].
    #[arg(long, value_name = "LOSS", value_delimiter = ',')]
    pub target_loss: Vec<f64>,
    /// Names of the columns where they differ: params=N,tokens=D,loss=L,flops=C,budget=B,seed=S.
    #[arg(long, value_delimiter = ',')]
    pub columns: Vec<String>,
    /// Bootstrap resamples behind each interval.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(100..=1_000_000))]
    pub bootstrap: u32,
    /// What each resample draws with replacement.
    #[arg(long, default_value = "runs", value_enum)]
    pub resample: Resample,
    /// Seed of the bootstrap.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Take tokens as FLOPs / (6 x parameters) where the table has no column of tokens.
    #[arg(long)]
    pub tokens_from_flops: bool,
    /// Print JSON, one object an approach or law.
    #[arg(long)]
    pub json: bool,
}

/// A fitted surface to read.
#[derive(Args, Debug)]
pub struct SurfaceArgs {
    /// What `runner fit --json` printed.
    #[arg(long, value_name = "FILE")]
    pub fit: PathBuf,
    /// Use the surface of this approach (3 or vpnls) [default: the first one in the file that converged].
    #[arg(long)]
    pub approach: Option<String>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Flags of `runner allocate`.
#[derive(Args, Debug)]
pub struct AllocateArgs {
    /// The surface.
    #[command(flatten)]
    pub surface: SurfaceArgs,
    /// Training budget in FLOPs.
    #[arg(long)]
    pub flops: f64,
    /// Tokens that the model will serve over its life: inference costs 2N FLOPs each.
    #[arg(long)]
    pub inference_tokens: Option<f64>,
    /// Training tokens that there are.
    #[arg(long)]
    pub max_tokens: Option<f64>,
}

/// Flags of `runner predict`.
#[derive(Args, Debug)]
pub struct PredictArgs {
    /// The surface.
    #[command(flatten)]
    pub surface: SurfaceArgs,
    /// Parameters.
    #[arg(long)]
    pub params: f64,
    /// Training tokens.
    #[arg(long)]
    pub tokens: f64,
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
    #[arg(long, default_value_t = 1)]
    pub threads: usize,
    /// Least seconds between two checkpoints of a run.
    #[arg(long, default_value_t = 60.0)]
    pub checkpoint_every: f64,
    /// What to call the device where it is told of [default: its name].
    #[arg(long)]
    pub label: Option<String>,
    /// Cores to stay on, counted among those that the process may use, as in 0-1.
    #[arg(long)]
    pub cores: Option<String>,
}

/// Flags of `runner status`.
#[derive(Args, Debug)]
pub struct StatusArgs {
    /// Results folder of the sweep.
    pub dir: PathBuf,
    /// Look again every two seconds until every run has ended.
    #[arg(long)]
    pub watch: bool,
    /// Print JSON, one object a look.
    #[arg(long)]
    pub json: bool,
}

/// What `runner ledger` does.
#[derive(Debug, Subcommand)]
pub enum LedgerCommand {
    /// Compare every result with its checksum and name each damaged file.
    Check(LedgerArgs),
    /// Derive runs.csv, curves.csv, fits.json, the figures and report.html from the results again.
    Rebuild(LedgerArgs),
}

/// A results folder.
#[derive(Args, Debug)]
pub struct LedgerArgs {
    /// Results folder of the sweep.
    pub dir: PathBuf,
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
    #[arg(long)]
    pub slots: Option<usize>,
    /// Length of each measurement.
    #[arg(long, default_value_t = 10.0)]
    pub seconds: f64,
    /// Print JSON, one object a line.
    #[arg(long)]
    pub json: bool,
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
    #[arg(long, default_value_t = 1)]
    pub threads: usize,
    /// How long runs may go on without a sign.
    #[command(flatten)]
    pub patience: Patience,
    /// How often the task may be queued again.
    #[arg(long, default_value_t = 0)]
    pub requeue_limit: u32,
}
