//! The compute-optimal model as a function of compute.

use serde::{Deserialize, Serialize};

use crate::fit::Estimate;

/// Budgets, as multiples of the largest one seen, to which tokens per parameter are extrapolated.
pub(super) const BEYOND: [f64; 3] = [10.0, 100.0, 1000.0];

/// Tokens per parameter at a budget.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TokensPerParam {
    /// The budget, in FLOPs.
    pub flops: f64,
    /// The ratio `D_opt/N_opt` of the two fitted power laws.
    #[serde(flatten)]
    pub ratio: Estimate,
}

/// A power law, value = coefficient x flops^exponent.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PowerLaw {
    /// Value at one FLOP.
    pub coefficient: f64,
    /// Exponent of the budget.
    pub exponent: Estimate,
}
