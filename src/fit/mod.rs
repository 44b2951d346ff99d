//! Scaling laws with intervals. Knows observations only: no plan, no ledger, no burn.

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
