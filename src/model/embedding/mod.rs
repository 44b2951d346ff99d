//! The table of embeddings: the ends of a model, from tokens and to logits.

mod untied;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::layout::Layout;
use super::ops::Ops;
use super::sizes::Sizes;
use super::weight::Weight;

/// How tokens become rows, and rows logits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Embedding {
    /// An embedding and an unembedding of their own.
    #[default]
    #[serde(rename = "untied")]
    Untied,
}

impl Embedding {
    /// Weights before the blocks: the first has a row for each token.
    pub fn first(self, sizes: &Sizes) -> Vec<Weight> {
        match self {
            Self::Untied => untied::first(sizes),
        }
    }

    /// Weights behind the last normalization.
    pub fn last(self, sizes: &Sizes) -> Vec<Weight> {
        match self {
            Self::Untied => untied::last(sizes),
        }
    }

    /// The matrix `[width, vocab]` that makes logits, from the weights of both ends.
    pub fn head<O: Ops>(self, ops: &O, first: &[O::Weight], last: &[O::Weight]) -> O::Tensor {
        let _ = first;
        match self {
            Self::Untied => untied::head(ops, last),
        }
    }

    /// What the last weights become.
    pub fn layout(self, sizes: &Sizes) -> Layout {
        match self {
            Self::Untied => untied::layout(sizes),
        }
    }
}
