//! Values that follow the number of parameters by a power law.

use serde::{Deserialize, Serialize};

/// `value * (params / at_params)^exponent`, with params counted as blocks and unembedding. In a spec: a number
/// (exponent 0) or a table `{ value = 0.01, at_params = 1e5, exponent = -0.333 }`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PowerRule {
    /// The value at `at_params`.
    pub value: f64,
    /// Number of parameters at which the value holds.
    pub at_params: f64,
    /// Exponent of the number of parameters.
    pub exponent: f64,
}

impl PowerRule {
    /// The value for a model of `params` parameters.
    pub fn at(&self, params: f64) -> f64 {
        self.value * (params / self.at_params).powf(self.exponent)
    }
}
