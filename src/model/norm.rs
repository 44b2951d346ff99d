//! Normalizations: of each row, times a gain of one number a channel.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ops::Ops;

/// The normalization before each branch and before the unembedding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Norm {
    /// Each row over its root mean square (Zhang and Sennrich 2019, arXiv 1910.07467).
    #[default]
    #[serde(rename = "rms")]
    Rms,
}

impl Norm {
    /// What it computes.
    pub fn forward<O: Ops>(self, ops: &O, x: O::Tensor, gain: &O::Weight) -> O::Tensor {
        match self {
            Self::Rms => ops.rms_norm(x, gain),
        }
    }
}
