//! The command line: flags and help, no logic. A file a group of commands.
#![allow(clippy::doc_markdown)] // The comments are help texts, in which backticks would be shown.

pub mod export;
mod fitting;
mod looking;
mod planning;
mod specs;
mod sweeps;
mod training;
mod values;

use std::path::PathBuf;

use clap::builder::Resettable;
use clap::{Arg, Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

pub use fitting::*;
pub use looking::*;
pub use planning::*;
pub use specs::*;
pub use sweeps::*;
pub use training::*;

/// Measures how language-model loss scales: trains IsoFLOP grids of small transformers, fits the scaling laws and
/// reports compute-optimal tokens per parameter, with intervals.
#[derive(Debug, Parser)]
#[command(name = "runner", version, long_version = crate::provenance::version(), propagate_version = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

impl Cli {
    /// Reads the command line of this process; ends it where that is wrong or asks for help.
    pub fn read() -> Self {
        let matches = lenient(Self::command()).get_matches();
        Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }
}

/// A count of what there must be one of at least.
fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|count| *count > 0).ok_or_else(|| "give a whole number of 1 or more".to_owned())
}

/// A command whose flags take negative numbers, so that who reads the number says what is wrong with it, and for which a
/// variable of the environment that is set to nothing is not set.
pub fn lenient(command: clap::Command) -> clap::Command {
    let unset =
        |arg: &Arg| arg.get_env().is_some_and(|name| std::env::var_os(name).is_some_and(|value| value.is_empty()));
    command
        .mut_args(|arg| {
            let arg = if unset(&arg) { arg.env(Resettable::Reset) } else { arg };
            let is_flag = arg.get_long().is_some() && arg.get_action().takes_values();
            if is_flag { arg.allow_negative_numbers(true) } else { arg }
        })
        .mut_subcommands(lenient)
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write a commented spec to start from.
    Init(InitArgs),
    /// Plan the grid, train every run, fit the laws, write the report. Run again to resume.
    Sweep(SweepArgs),
    /// End the cluster jobs of a sweep. Finished runs are kept.
    Cancel(CancelArgs),
    /// Show every run of a sweep, with its size, FLOPs and hours, without training.
    Plan(PlanArgs),
    /// Train one run.
    Train(TrainArgs),
    /// Fit scaling laws to a table of runs.
    ///
    /// Where the data have no answer, the line Headline: says none and why, and a law has another status than converged. The exit
    /// code is 0 all the same.
    Fit(FitArgs),
    /// Choose the runs of a table that tell most of a law for their cost.
    Choose(ChooseArgs),
    /// Check that activations keep their size as models grow, as they should with muP.
    CoordCheck(CoordCheckArgs),
    /// Compute the best model for a budget, from a fitted surface.
    Allocate(AllocateArgs),
    /// Predict the loss of one model, from a fitted surface.
    Predict(PredictArgs),
    /// Prepare a corpus, or print what is in it.
    #[command(subcommand)]
    Data(DataCommand),
    /// List the devices that this build can train on.
    Devices(DevicesArgs),
    /// Measure how fast this machine trains, and what takes the time.
    #[cfg(feature = "train")]
    Bench(BenchArgs),
    /// One slot of a benchmark (started by `bench`).
    #[cfg(feature = "train")]
    #[command(hide = true)]
    BenchSlot(BenchSlotArgs),
    /// Show the progress of a sweep: runs, throughput, time left, failures, devices.
    Status(StatusArgs),
    /// Serve the report of a sweep while it runs, to a browser on this machine.
    Watch(WatchArgs),
    /// List sweeps with runs, status and result.
    Ls(LsArgs),
    /// Show one run: configuration, loss, curve, attempts.
    Show(ShowArgs),
    /// Compare two sweeps, or two runs: differences in spec and outcome.
    Compare(CompareArgs),
    /// Tell what stopping runs early would have saved, and cost, in a finished sweep.
    StopEarly(StopEarlyArgs),
    /// Join the sweeps of several machines into one results folder.
    Merge(MergeArgs),
    /// Make a results folder of runs that were trained elsewhere.
    Import(ImportArgs),
    /// Find damaged files in a results folder, or write its tables, fits and report again.
    #[command(subcommand)]
    Ledger(LedgerCommand),
    /// Write runs, curves and models in the formats of other programs.
    #[command(subcommand)]
    Export(export::ExportCommand),
    /// Explain a key of a spec: meaning, unit, default, example.
    Explain(ExplainArgs),
    /// Print the JSON schema of a spec, for editors.
    Schema(SchemaArgs),
    /// Print shell completions.
    Completions(CompletionsArgs),
    /// Write manual pages.
    Man(ManArgs),
    /// Train runs of a sweep that another machine began, until none is left.
    Worker(WorkerArgs),
    /// Supervise one worker (started by the batch script of `sweep --launcher slurm`, one process a task).
    #[command(hide = true)]
    SlurmTask(SlurmTaskArgs),
}

/// Where to train, and where the tokens are cached.
#[derive(Args, Clone, Debug)]
pub struct Place {
    /// Device: auto, cpu, wgpu, cuda, cuda:1, or rehearsal (does not train: losses come from a known surface).
    #[arg(long, default_value = "auto")]
    pub device: String,
    /// Folder for tokenized corpora.
    #[arg(long, default_value = "cache", env = "RUNNER_CACHE")]
    pub cache: PathBuf,
}

/// How tables are printed.
#[derive(Args, Clone, Copy, Debug)]
pub struct Tables {
    /// Show all columns of tables, and do not shorten cells and lines, even if the terminal is too narrow.
    #[arg(long)]
    pub wide: bool,
}

/// Keys of a spec set otherwise.
#[derive(Args, Clone, Debug)]
pub struct Overrides {
    /// Keys with their values as TOML.
    #[arg(
        long = "set",
        value_name = "KEY=VALUE",
        help = "Set a key of the spec, such as sweep.seeds=[1,2,3]; KEY= removes a key. May be given again"
    )]
    pub set: Vec<String>,
}
