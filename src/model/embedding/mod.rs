//! The table of embeddings: the ends of a model, from tokens and to logits.

mod tied;
mod untied;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::layout::Layout;
use super::ops::Ops;
use super::sizes::Sizes;
use super::weight::Weight;

/// How tokens become rows, and rows logits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Embedding {
    /// An embedding and an unembedding of their own.
    #[default]
    Untied,
    /// One matrix for both (Press and Wolf 2017, arXiv 1608.05859).
    Tied,
}

impl Embedding {
    /// All of them.
    pub const ALL: &[Self] = &[Self::Untied, Self::Tied];

    /// Weights before the blocks: the first has a row for each token.
    pub fn first(self, sizes: &Sizes) -> Vec<Weight> {
        match self {
            Self::Untied => untied::first(sizes),
            Self::Tied => tied::first(sizes),
        }
    }

    /// Weights behind the last normalization.
    pub fn last(self, sizes: &Sizes) -> Vec<Weight> {
        match self {
            Self::Untied => untied::last(sizes),
            Self::Tied => Vec::new(),
        }
    }

    /// The matrix `[width, vocab]` that makes logits, from the weights of both ends.
    pub fn head<O: Ops>(self, ops: &O, first: &[O::Weight], last: &[O::Weight]) -> O::Tensor {
        match self {
            Self::Untied => untied::head(ops, last),
            Self::Tied => tied::head(ops, first),
        }
    }

    /// What the first and the last weights become, where logits have this multiplier.
    pub fn layout(self, sizes: &Sizes, logits: f64) -> [Layout; 2] {
        match self {
            Self::Untied => untied::layout(sizes),
            Self::Tied => tied::layout(logits),
        }
    }
}
