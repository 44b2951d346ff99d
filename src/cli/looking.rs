//! Flags of what looks at results.

use std::path::PathBuf;

use clap::Args;

use super::Tables;

/// Flags of `runner ls`.
#[derive(Args, Debug)]
pub struct LsArgs {
    /// A folder of results folders, or one results folder, or its name in results/.
    #[arg(default_value = "results", value_parser = super::values::results_folder())]
    pub dir: PathBuf,
    /// Print JSON: one object, whose keys docs/json.md explains.
    #[arg(long)]
    pub json: bool,
    /// How tables are printed.
    #[command(flatten)]
    pub tables: Tables,
}

/// Flags of `runner show`.
#[derive(Args, Debug)]
pub struct ShowArgs {
    /// The run: the beginning of its id, or DIR/ID with its results folder. Or a sweep: its results folder, or its name.
    pub run: String,
    /// Where to look for the run: a results folder, or a folder of results folders.
    #[arg(long = "in", value_name = "DIR", default_value = "results")]
    pub results: PathBuf,
    /// Also print everything that decides the outcome of the run, as JSON.
    #[arg(long)]
    pub config: bool,
    /// Print JSON: one object, whose keys docs/json.md explains.
    #[arg(long)]
    pub json: bool,
}

/// Flags of `runner compare`.
#[derive(Args, Debug)]
pub struct CompareArgs {
    /// A results folder or the name of a sweep, or a run as for `runner show`.
    pub first: String,
    /// Another results folder, or another run.
    pub second: String,
    /// Where to look for runs: a results folder, or a folder of results folders.
    #[arg(long = "in", value_name = "DIR", default_value = "results")]
    pub results: PathBuf,
    /// Difference in nats for which the number of seeds is told.
    #[arg(long, value_name = "NATS", default_value_t = 0.01)]
    pub difference: f64,
    /// Print JSON: one object, whose keys docs/json.md explains.
    #[arg(long)]
    pub json: bool,
    /// How tables are printed.
    #[command(flatten)]
    pub tables: Tables,
}

/// Flags of `runner stop-early`.
#[derive(Args, Debug)]
pub struct StopEarlyArgs {
    /// The results folder of a finished sweep, or its name.
    pub sweep: String,
    /// Where to look for the sweep: a folder of results folders.
    #[arg(long = "in", value_name = "DIR", default_value = "results")]
    pub results: PathBuf,
    /// An axis that was tuned, such as optimizer.learning_rate: of runs that differ in nothing else, only the best counts. May
    /// be given again [default: fit.tuned or sweep.tune of the sweep's spec].
    #[arg(long, value_name = "AXIS")]
    pub tuned: Vec<String>,
    /// Values of sweep.stop_early.margin to try.
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "1,1.5,2,3")]
    pub margin: Vec<f64>,
    /// Value of sweep.stop_early.after.
    #[arg(long, value_name = "SHARE", default_value_t = 0.2)]
    pub after: f64,
    /// Print JSON: one object, whose keys docs/json.md explains.
    #[arg(long)]
    pub json: bool,
    /// How tables are printed.
    #[command(flatten)]
    pub tables: Tables,
}

/// Flags of `runner merge`.
#[derive(Args, Debug)]
pub struct MergeArgs {
    /// The merged results folder, new or from an earlier merge.
    pub out: PathBuf,
    /// Results folders to merge, or their names in results/. If two have a result of the same run, the first one counts.
    #[arg(required = true, num_args = 1.., value_name = "DIR", value_parser = super::values::results_folder())]
    pub dirs: Vec<PathBuf>,
    /// Folder of tokenized corpora, for the entropy of the built-in language.
    #[arg(long, default_value = "cache", env = "RUNNER_CACHE")]
    pub cache: PathBuf,
}

/// Flags of `runner import`.
#[derive(Args, Debug)]
pub struct ImportArgs {
    /// A table of runs (CSV, a CSV export of W&B, JSON Lines, Parquet), or a folder: one log a run (JSON Lines, CSV), mlruns of
    /// MLflow, wandb of W&B, event files of TensorBoard, trainer_state.json of Hugging Face.
    pub source: PathBuf,
    /// The results folder to make, or to add runs to.
    #[arg(long)]
    pub out: PathBuf,
    /// Columns of other names, and their units.
    #[arg(
        long,
        value_delimiter = ',',
        help = "Columns of other names, and units, as in params=N[M],tokens=D[B],loss=L"
    )]
    pub columns: Vec<String>,
    /// Leave out runs that lack a number.
    #[arg(long)]
    pub skip_incomplete: bool,
    /// Take missing tokens as C/(6N).
    #[arg(long)]
    pub tokens_from_flops: bool,
    /// Take runs of logs too that did not end, by their last loss.
    #[arg(long)]
    pub unfinished: bool,
}

/// Flags of `runner devices`.
#[derive(Args, Debug)]
pub struct DevicesArgs {
    /// Print JSON: one object, whose keys docs/json.md explains.
    #[arg(long)]
    pub json: bool,
}
