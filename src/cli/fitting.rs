//! Flags of fits and of what is read off them.

use std::path::PathBuf;

use clap::builder::PossibleValue;
use clap::{Args, ValueEnum};

use super::Tables;
use crate::fit::Resample;
use crate::fit::approaches::approach::Approach;
use crate::fit::formula::Residual;
use crate::fit::named::Law;
pub use crate::fit::named::Objective;
use crate::observation::Counting;
use crate::units::amount;

/// Which approaches to fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Approaches {
    /// One of them.
    One(Approach),
    /// All of them.
    All,
}

impl Approaches {
    /// Those that are asked for.
    pub fn asked(self) -> Vec<Approach> {
        match self {
            Self::One(approach) => vec![approach],
            Self::All => Approach::ALL.to_vec(),
        }
    }
}

impl ValueEnum for Approaches {
    fn value_variants<'a>() -> &'a [Self] {
        const ALL: [Approaches; 5] = [
            Approaches::One(Approach::Envelope),
            Approaches::One(Approach::Parabolas),
            Approaches::One(Approach::Huber),
            Approaches::One(Approach::Vpnls),
            Approaches::All,
        ];
        &ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        match self {
            Self::One(approach) => approach.to_possible_value(),
            Self::All => Some(PossibleValue::new("all").help("All of them")),
        }
    }
}

/// Flags of laws that are formulas.
#[derive(Args, Debug)]
pub struct FormulaArgs {
    /// Fit a law of your own, such as "loss = E + A/N^alpha + B/D^beta": names that are columns are data (N, D and C are
    /// parameters, tokens and FLOPs), the others are looked for; A{optimizer} differs by the column optimizer. Given
    /// again, the laws are ranked.
    #[arg(long, value_name = "FORMULA", conflicts_with_all = ["approach", "weighted", "law", "against"])]
    pub formula: Vec<String>,
    /// Formula: what is known of an unknown, such as "alpha in 0..2", "A > 0", "q any", "k = 0.5", "rho relative" (1 in
    /// the first group), each with starts as in "alpha in 0..2 from 0.3,0.6". May be given again.
    #[arg(long, value_name = "TEXT")]
    pub unknown: Vec<String>,
    /// Formula: whether residuals are differences of losses or of their logarithms.
    #[arg(long, default_value = "log", value_enum)]
    pub residuals: Residual,
    /// Formula: what is minimised over the residuals.
    #[arg(long, default_value = "squares", value_enum)]
    pub objective: Objective,
    /// Formula: weight of residuals where the law lies above the run, so that runs above the frontier weigh less; 1 is even.
    #[arg(long, value_name = "WEIGHT", default_value_t = 1.0)]
    pub overestimates: f64,
    /// Formula: starts that are refined, of twelve times as many that are drawn.
    #[arg(long, value_name = "COUNT", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub multistart: u32,
    /// Formula: the cost of a run, by which the most expensive are held out [default: the column of FLOPs, or 6*N*D].
    #[arg(long, value_name = "FORMULA")]
    pub cost: Option<String>,
    /// Formula: write the residuals as a figure (SVG), with its numbers beside it (CSV).
    #[arg(long, value_name = "FILE")]
    pub figure: Option<PathBuf>,
}

/// Flags of `runner fit`.
#[derive(Args, Debug)]
#[allow(clippy::struct_excessive_bools)] // Each is a flag by itself.
pub struct FitArgs {
    /// The table: CSV, JSON Lines or Parquet with parameters, tokens, loss and, for approach 2, budgets or FLOPs; - is standard input.
    /// Or the results folder of a sweep, or its name in results/.
    #[arg(value_parser = super::values::results_folder())]
    pub runs: PathBuf,
    /// Which approach: 1 (envelope), 2 (IsoFLOP parabolas), 3 (Huber fit of the surface), vpnls, or all of them.
    #[arg(long, default_value = "all", value_enum)]
    pub approach: Approaches,
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
    /// Approach 3, repetition, and formulas with `--objective huber`: residual in log loss above which the Huber loss is linear;
    /// 1e-8 gives least absolute deviations [default: 1e-3].
    #[arg(long)]
    pub delta: Option<f64>,
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
    /// Leave out the runs that the others contradict: stuck at one loss, worse than a smaller run, far off the surface,
    /// or with a wrong unit. Without this flag they are only named.
    #[arg(long, conflicts_with = "law")]
    pub exclude_outliers: bool,
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
    /// Laws that are formulas.
    #[command(flatten)]
    pub formula: FormulaArgs,
    /// Print JSON, one object per approach or law.
    #[arg(long)]
    pub json: bool,
    /// How tables are printed.
    #[command(flatten)]
    pub tables: Tables,
}

/// Flags of `runner choose`.
#[derive(Args, Debug)]
pub struct ChooseArgs {
    /// The pool: a table of runs with their losses, which are looked at only where a run is bought.
    pub pool: PathBuf,
    /// The runs that are to be predicted, in a table of the same columns. Their losses are used for the score alone.
    #[arg(long, value_name = "FILE")]
    pub target: PathBuf,
    /// The law, such as "loss = E + A/N^alpha + B/D^beta", as for runner fit.
    #[arg(long, value_name = "FORMULA", conflicts_with = "law", required_unless_present = "law")]
    pub formula: Option<String>,
    /// A law of the literature that is a formula.
    #[arg(long, value_enum)]
    pub law: Option<Law>,
    /// What is known of an unknown, such as "alpha in 0..2"; ranges count as what is expected before the first run. May be
    /// given again.
    #[arg(long, value_name = "TEXT")]
    pub unknown: Vec<String>,
    /// The cost of a run [default: the column of FLOPs, or 6*N*D].
    #[arg(long, value_name = "FORMULA")]
    pub cost: Option<String>,
    /// What may be spent: shares of the cost of the whole pool, such as 10%, or amounts of it. A larger one goes on from a
    /// smaller one.
    #[arg(long, value_name = "BUDGETS", value_delimiter = ',', default_value = "10%")]
    pub budget: Vec<String>,
    /// Split both tables by the values of a column: each part is a pool with a budget of its own.
    #[arg(long, value_name = "COLUMN")]
    pub by: Option<String>,
    /// Whether residuals are differences of losses or of their logarithms.
    #[arg(long, default_value = "log", value_enum)]
    pub residuals: Residual,
    /// Play again, with other noise and starts.
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub repeats: u32,
    /// Seed of the first.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Columns of other names, and units, as for runner fit.
    #[arg(long, value_delimiter = ',')]
    pub columns: Vec<String>,
    /// Print JSON, one object for each repeat and budget.
    #[arg(long)]
    pub json: bool,
    /// How tables are printed.
    #[command(flatten)]
    pub tables: Tables,
}

/// A fitted surface to read.
#[derive(Args, Debug)]
pub struct SurfaceArgs {
    /// The output of runner fit --json, a results folder with its fits.json, or the name of a sweep in results/.
    #[arg(long, value_name = "FILE|DIR|NAME")]
    pub fit: PathBuf,
    /// Use the surface of this approach (3 or vpnls) [default: among those that converged, the one that predicts the
    /// losses of the largest budget best when fitted to the others].
    #[arg(long, value_enum)]
    pub approach: Option<Approach>,
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
    /// Training budget in FLOPs, such as 3e19.
    #[arg(long, value_parser = amount)]
    pub flops: f64,
    /// A law that is a formula of N and D: what a run costs, in the names of its columns [default: 6*N*D]. The law vocabulary has
    /// three columns to divide a budget over, and is not allocated.
    #[arg(long, value_name = "FORMULA")]
    pub cost: Option<String>,
    /// A law that is a formula: values of its other columns and groups, such as optimizer=muon.
    #[arg(long, value_name = "NAME=VALUE", value_delimiter = ',')]
    pub at: Vec<String>,
    /// Tokens of inference over the life of the model, at 2N FLOPs each.
    #[arg(long, value_parser = amount)]
    pub inference_tokens: Option<f64>,
    /// Number of training tokens available, such as 10B.
    #[arg(long, value_parser = amount)]
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
    /// Parameters, such as 124M.
    #[arg(long, value_parser = amount, required_unless_present = "at")]
    pub params: Option<f64>,
    /// Training tokens, such as 10B.
    #[arg(long, value_parser = amount, required_unless_present = "at")]
    pub tokens: Option<f64>,
    /// A law that is a formula: values of its columns and groups, such as N=1e9,D=2e10,optimizer=muon.
    #[arg(long, value_name = "NAME=VALUE", value_delimiter = ',')]
    pub at: Vec<String>,
}
