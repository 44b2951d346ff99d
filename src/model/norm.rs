//! Normalizations: of each row, times a gain of one number a channel; and where in a block they stand.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ops::Ops;

/// How rows are normalized.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Norm {
    /// Each row over its root mean square (Zhang and Sennrich 2019, arXiv 1910.07467).
    #[default]
    Rms,
    /// Each row less its mean, over its standard deviation (Ba et al. 2016, arXiv 1607.06450), without a bias.
    Layer,
}

impl Norm {
    /// All of them.
    pub const ALL: &[Self] = &[Self::Rms, Self::Layer];

    /// What it computes.
    pub fn forward<O: Ops>(self, ops: &O, x: O::Tensor, gain: &O::Weight) -> O::Tensor {
        match self {
            Self::Rms => ops.rms_norm(x, gain),
            Self::Layer => ops.layer_norm(x, gain),
        }
    }

    /// Why the architectures of transformers do not have it, where they do not.
    pub fn layout(self) -> Result<(), String> {
        match self {
            Self::Rms => Ok(()),
            Self::Layer => {
                Err("model.norm = \"layer\": every architecture normalizes by the root mean square".to_owned())
            }
        }
    }
}

/// Where normalizations stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum NormPlace {
    /// Before each branch, and once before the unembedding (Xiong et al. 2020, arXiv 2002.04745).
    #[default]
    Before,
    /// After each branch is added, and nowhere else (Vaswani et al. 2017, arXiv 1706.03762).
    After,
}

impl NormPlace {
    /// All of them.
    pub const ALL: &[Self] = &[Self::Before, Self::After];

    /// Why the architectures of transformers do not have it, where they do not.
    pub fn layout(self) -> Result<(), String> {
        match self {
            Self::Before => Ok(()),
            Self::After => {
                Err("model.norm_place = \"after\": every architecture normalizes before each branch".to_owned())
            }
        }
    }
}
