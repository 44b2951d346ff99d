//! Scaling laws with intervals. Knows observations only: no plan, no ledger, no burn.
//!
//! | what | modules |
//! |---|---|
//! | the approaches to the optimum | [`approach1`], [`approach2`], [`approach3`], [`vpnls`]; with all that belongs to them in [`approaches`] |
//! | what they share | [`surface`], [`cost`], [`points`], [`parametric`], [`forecast`], [`summary`], [`headline`] |
//! | what follows from them | [`allocate`] |
//! | other laws | [`power`], [`broken`], [`kaplan`], [`repetition`], [`critical_batch`], [`pruning`]; [`law`] holds what they share |
//! | settings | [`tuning`], [`transfer`], [`coordinates`], and `valley`, which finds the best of a setting |
//! | comparisons | [`compare`], [`frontier`] |
//! | tables | [`table`] reads them, [`recount`] counts their compute anew |
//! | solvers | [`regress`], [`least_squares`], [`minimize`], [`bootstrap`] |

pub mod allocate;
pub mod approach1;
pub mod approach2;
pub mod approach3;
pub mod approaches;
pub mod bootstrap;
pub mod broken;
pub mod compare;
pub mod coordinates;
pub mod cost;
pub mod critical_batch;
pub mod forecast;
pub mod frontier;
pub mod headline;
pub mod kaplan;
pub mod law;
pub mod least_squares;
pub mod minimize;
pub mod parametric;
pub mod points;
pub mod power;
pub mod pruning;
pub mod recount;
pub mod regress;
pub mod repetition;
pub mod summary;
pub mod surface;
pub mod table;
pub mod transfer;
pub mod tuning;
mod valley;
pub mod vpnls;

pub use bootstrap::{Bootstrap, Resample};

use serde::{Deserialize, Serialize};

/// Share of resamples that may be without an answer: what lies beyond one end of a 95% interval. With more of them the
/// answer is not identified.
const MAX_LOST: f64 = 0.025;
/// An irreducible loss below this share of the least loss seen is none at all: the bound at zero was hit.
const NO_FLOOR: f64 = 1e-3;
/// Budgets, as multiples of the largest one seen, to which tokens per parameter are extrapolated.
const BEYOND: [f64; 3] = [10.0, 100.0, 1000.0];

/// A value with its 95% interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The fit to the data themselves.
    pub value: f64,
    /// 2.5th percentile of the bootstrap.
    pub low: f64,
    /// 97.5th percentile of the bootstrap.
    pub high: f64,
}

/// An exponent or another number of that size in words: `0.521 (0.504 to 0.543)`.
fn words(estimate: Estimate) -> String {
    format!("{:.3} ({:.3} to {:.3})", estimate.value, estimate.low, estimate.high)
}

/// How far a fit may be trusted. A soft failure is a status, shown in every table; it is never hidden in a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// A minimum was found inside the range of the data.
    Converged,
    /// A parameter ended at the edge of what was searched.
    BoundHit,
    /// The least loss lies at the edge of the sizes that were trained: the optimum is outside.
    EdgeMinimum,
    /// Fewer points than the law has parameters plus one.
    TooFewPoints,
    /// The data do not decide: the curve has no minimum, or the resamples disagree about having one.
    NotIdentified,
}

impl Status {
    /// The words used in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Converged => "converged",
            Self::BoundHit => "bound hit",
            Self::EdgeMinimum => "edge minimum",
            Self::TooFewPoints => "too few points",
            Self::NotIdentified => "not identified",
        }
    }
}
