//! What every fit says: a value with its interval, and how far it may be trusted.

use serde::{Deserialize, Serialize};

/// Share of resamples that may be without an answer: what lies beyond one end of a 95% interval. With more of them the
/// answer is not identified.
pub(super) const MAX_LOST: f64 = 0.025;
/// An irreducible loss below this share of the least loss seen is none at all: the bound at zero was hit.
pub(super) const NO_FLOOR: f64 = 1e-3;
/// Half of a 95% interval in standard errors, where these are known.
pub const NORMAL_95: f64 = 1.96;

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
pub(super) fn words(estimate: Estimate) -> String {
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
