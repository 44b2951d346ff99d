//! Flags of fits and of what is read off them.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::Tables;
use crate::fit::named::Law;

/// A way to fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Approach {
    /// The envelope of training curves.
    #[value(name = "1")]
    Envelope,
    /// IsoFLOP parabolas.
    #[value(name = "2")]
    Parabolas,
    /// Huber loss of the log loss, minimized from a grid of starting points.
    #[value(name = "3")]
    Huber,
    /// Variable projection with non-negative least squares.
    Vpnls,
    /// All of them.
    All,
}

/// What resamples draw.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Resample {
    /// Single runs (approach 1: whole curves; approach 2: losses at fixed sizes).
    Runs,
    /// Whole budgets.
    Budgets,
}

/// Which weights count as parameters.
#[derive(ValueEnum, Clone, Copy, Debug)]
pub enum Counting {
    /// Every weight (Hoffmann et al.).
    All,
    /// The blocks alone (Kaplan et al.).
    NonEmbedding,
    /// Blocks and unembedding (Porian et al.).
    BlocksAndUnembedding,
}

/// Flags of `runner fit`.
#[derive(Args, Debug)]
#[allow(clippy::struct_excessive_bools)] // Each is a flag by itself.
pub struct FitArgs {
    /// The table: CSV, JSON Lines or Parquet with parameters, tokens, loss and, for approach 2, budgets or FLOPs.
    pub runs: PathBuf,
    /// Which approach: 1 (envelope), 2 (IsoFLOP parabolas), 3 (Huber fit of the surface), vpnls, or all of them.
    #[arg(long, default_value = "all", value_enum)]
    pub approach: Approach,
    /// Fit another law instead of the surface.
    #[arg(long, value_enum, conflicts_with_all = ["approach", "weighted"])]
    pub law: Option<Law>,
    /// Split the table by the values of a column and fit each part; laws of one variable are compared with the first
    /// part.
    #[arg(long, value_name = "COLUMN")]
    pub by: Option<String>,
    /// A column that was tuned, such as the learning rate: of rows that differ in nothing else, only the one of least
    /// loss counts. May be given again.
    #[arg(long, value_name = "COLUMN")]
    pub tuned: Vec<String>,
    /// Laws of one variable: compare with another table (do they differ in offset, in slope, or by a factor of the
    /// variable?).
    #[arg(long, value_name = "FILE", conflicts_with = "by")]
    pub against: Option<PathBuf>,
    /// Approach 3: residual in log loss above which the Huber loss is linear; 1e-8 gives least absolute deviations.
    #[arg(long, default_value_t = 1e-3)]
    pub delta: f64,
    /// Approach 3: starting values of one parameter, such as alpha=0.2,0.4; parameters are a, b, e (logarithms of A, B,
    /// E), alpha and beta. May be given again [default: the 4500 of Hoffmann et al.].
    #[arg(long, value_name = "NAME=VALUES")]
    pub starts: Vec<String>,
    /// Approach 2: weight runs by 1/(standard error)^2 and optima by 1/variance.
    #[arg(long)]
    pub weighted: bool,
    /// Count compute as 6ND, with N by this convention, and build IsoFLOP curves of that count: losses are interpolated
    /// between the runs of each size.
    #[arg(long, value_name = "CONVENTION", value_enum, conflicts_with = "law")]
    pub recount: Option<Counting>,
    /// Skip and count rows that lack a number that the fit needs, such as the loss of a diverged run.
    #[arg(long)]
    pub skip_incomplete: bool,
    /// Runs whose FLOPs agree within this fraction form a budget; 0.01 to 0.5 [default: from the gaps between budgets
    /// if these are clear, otherwise 0.01].
    #[arg(long, value_name = "SHARE")]
    pub budget_tolerance: Option<f64>,
    /// Leave out the K runs of the highest loss.
    #[arg(long, value_name = "K", default_value_t = 0)]
    pub drop_highest: usize,
    /// Critical batch: target losses [default: five that all batch sizes reach].
    #[arg(long, value_name = "LOSS", value_delimiter = ',')]
    pub target_loss: Vec<f64>,
    /// Kaplan's L(N,S): convert steps to the minimum steps, for a critical batch of B/L^(1/alpha) tokens; the table
    /// needs a column batch.
    #[arg(long, value_name = "B,ALPHA", value_delimiter = ',')]
    pub critical_batch: Vec<f64>,
    /// Columns of other names, and units.
    #[arg(long, value_delimiter = ',')]
    #[arg(
        help = "Columns and units, if their names do not say: params=N[M],tokens=D[B],loss=L,flops=C,budget=B,seed=S"
    )]
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
    /// If the table has no column of tokens, take FLOPs / (6 x parameters).
    #[arg(long)]
    pub tokens_from_flops: bool,
    /// Print JSON, one object per approach or law.
    #[arg(long)]
    pub json: bool,
    /// How tables are printed.
    #[command(flatten)]
    pub tables: Tables,
}

/// A fitted surface to read.
#[derive(Args, Debug)]
pub struct SurfaceArgs {
    /// The output of runner fit --json, or the fits.json of a sweep.
    #[arg(long, value_name = "FILE")]
    pub fit: PathBuf,
    /// Use the surface of this approach (3 or vpnls) [default: the first one in the file that converged].
    #[arg(long)]
    pub approach: Option<String>,
    /// Use a surface with parameters counted by this convention [default: that of the first surface].
    #[arg(long, value_name = "CONVENTION", value_enum)]
    pub counting: Option<Counting>,
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
    /// Tokens of inference over the life of the model, at 2N FLOPs each.
    #[arg(long)]
    pub inference_tokens: Option<f64>,
    /// Number of training tokens available.
    #[arg(long)]
    pub max_tokens: Option<f64>,
    /// How tables are printed.
    #[command(flatten)]
    pub tables: Tables,
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
