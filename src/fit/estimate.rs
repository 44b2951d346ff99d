//! What every fit says: a value with its interval, and how far it may be trusted.

use serde::{Deserialize, Deserializer, Serialize};

use crate::units::{Flops, Ratio};

/// Share of resamples that may be without an answer: what lies beyond one end of a 95% interval.
const MAX_LOST: f64 = 0.025;
/// An irreducible loss below this share of the least loss seen is none at all: the bound at zero was hit.
pub(super) const NO_FLOOR: f64 = 1e-3;
/// Half of a 95% interval in standard errors, where these are known.
pub const NORMAL_95: f64 = 1.96;

/// A value with its 95% interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The fit to the data themselves.
    pub value: f64,
    /// 2.5th percentile of the bootstrap; no number where there is no interval.
    #[serde(deserialize_with = "or_none")]
    pub low: f64,
    /// 97.5th percentile of the bootstrap; likewise.
    #[serde(deserialize_with = "or_none")]
    pub high: f64,
}

impl Estimate {
    /// The same through an increasing function, such as from a logarithm to the quantity itself.
    #[must_use]
    pub fn map(self, increasing: impl Fn(f64) -> f64) -> Self {
        Self { value: increasing(self.value), low: increasing(self.low), high: increasing(self.high) }
    }

    /// Whether the interval holds `x`.
    pub fn holds(&self, x: f64) -> bool {
        self.low <= x && x <= self.high
    }
}

/// JSON writes what is no number as null.
fn or_none<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    Ok(Option::<f64>::deserialize(from)?.unwrap_or(f64::NAN))
}

/// Whether so many of all resamples are without an answer that the answer is not identified.
pub(super) fn too_many_lost(lost: usize, of: usize) -> bool {
    lost as f64 > MAX_LOST * of as f64
}

/// Whether the interval of tokens per parameter spans so much that nothing is known of them: no two settings that anybody would
/// train are farther apart.
pub(super) fn is_open(Estimate { low, high, .. }: Estimate) -> bool {
    const WIDEST: f64 = 100.0;
    high > WIDEST * low
}

/// That nothing is known of tokens per parameter at these FLOPs, in words.
pub(super) fn open(flops: f64, Estimate { low, high, .. }: Estimate) -> String {
    format!("tokens per parameter at {} FLOPs may be anything from {} to {}", Flops(flops), Ratio(low), Ratio(high))
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
    /// How tables for machines call it, how tables for people do, and what it means.
    fn told(self) -> [&'static str; 3] {
        match self {
            Self::Converged => ["converged", "converged", "converged"],
            Self::BoundHit => ["bound_hit", "bound hit", "stopped at a bound of the search"],
            Self::EdgeMinimum => [
                "edge_minimum",
                "edge minimum",
                "no interior minimum: the lowest loss is at an end of what was trained",
            ],
            Self::TooFewPoints => ["too_few_points", "too few points", "too few points"],
            Self::NotIdentified => ["not_identified", "not identified", "not identified: the data do not decide"],
        }
    }

    /// How CSV files and JSON call it.
    pub fn key(self) -> &'static str {
        self.told()[0]
    }

    /// How tables for people call it.
    pub fn name(self) -> &'static str {
        self.told()[1]
    }

    /// What it means, in words.
    pub fn words(self) -> &'static str {
        self.told()[2]
    }
}
