//! The shape of a model: its sizes, its parts, and the weights that follow.

use serde::{Deserialize, Serialize};

use super::norm::NormPlace;
use super::parts::Parts;
use super::sizes::Sizes;
use super::weight::Weight;

/// The shape of a model.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shape {
    /// Channels of the residual stream.
    pub width: usize,
    /// Number of blocks.
    pub depth: usize,
    /// Attention heads of each block.
    pub heads: usize,
    /// Tokens of one sequence.
    pub context: usize,
    /// Size of the vocabulary.
    pub vocab: usize,
    /// What it is made of.
    #[serde(default, skip_serializing_if = "Parts::is_default")]
    pub parts: Parts,
}

impl Shape {
    /// Channels of one attention head.
    pub fn head_dim(&self) -> usize {
        self.width / self.heads
    }

    /// The numbers that parts read.
    pub fn sizes(&self) -> Sizes {
        let Self { width, depth: _, heads, context, vocab, parts } = *self;
        let Parts { kv_sharing, qk_norm, experts, .. } = parts;
        Sizes {
            width,
            heads,
            kv_sharing,
            qk_norm,
            granularity: experts.map_or(1, |experts| experts.granularity),
            context,
            vocab,
        }
    }

    /// Every weight of a model, in its order.
    pub fn weights(&self) -> Vec<Weight> {
        let mut weights = self.first();
        for block in 0..self.depth {
            let named = |weight: Weight| Weight { name: format!("blocks.{block}.{}", weight.name), ..weight };
            weights.extend(self.block().into_iter().map(named));
        }
        weights.extend(self.last());
        weights
    }

    /// Weights before the blocks.
    pub fn first(&self) -> Vec<Weight> {
        let sizes = self.sizes();
        let mut weights = self.parts.embedding.first(&sizes);
        weights.extend(self.parts.positions.weights(&sizes));
        weights
    }

    /// Weights of one block: normalization and mixer, normalization and MLP.
    pub fn block(&self) -> Vec<Weight> {
        let (sizes, Parts { mixer, mlp, experts, .. }) = (self.sizes(), self.parts);
        let norm = |name| Weight::gain(name, self.width);
        let mut weights = vec![norm("norm_attention")];
        weights.extend(mixer.weights(&sizes));
        weights.push(norm("norm_mlp"));
        weights.extend(experts.map_or_else(|| mlp.weights(&sizes), |experts| experts.weights(mlp, &sizes)));
        weights
    }

    /// Weights behind the blocks.
    pub fn last(&self) -> Vec<Weight> {
        let mut weights = Vec::new();
        if self.parts.norm_place == NormPlace::Before {
            weights.push(Weight::last_gain("norm", self.width));
        }
        weights.extend(self.parts.embedding.last(&self.sizes()));
        weights
    }
}
