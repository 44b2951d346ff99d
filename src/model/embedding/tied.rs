//! One matrix for both ends (Press and Wolf 2017, arXiv 1608.05859). It is drawn, and learns, in the role of an embedding;
//! logits have the multiplier of an unembedding. It is counted as the unembedding, where it takes part in a product.

use crate::model::layout::{Layout, Source};
use crate::model::ops::Ops;
use crate::model::sizes::Sizes;
use crate::model::weight::{Group, Weight};

pub fn first(sizes: &Sizes) -> Vec<Weight> {
    vec![Weight::rows("embedding", [sizes.vocab, sizes.width], Group::Unembedding)]
}

pub fn head<O: Ops>(ops: &O, first: &[O::Weight]) -> O::Tensor {
    ops.transposed(&first[0])
}

/// The package multiplies no logits: where they have a multiplier, the matrix is written twice.
#[allow(clippy::float_cmp)] // exactly 1 is the case of the base width
pub fn layout(logits: f64) -> [Layout; 2] {
    let first = Layout::default().with("model.embed_tokens", Source::Whole(0));
    let first = match logits {
        1.0 => first.told("tie_word_embeddings", true),
        _ => first.with("lm_head", Source::Scaled(0, logits)).told("tie_word_embeddings", false),
    };
    [first, Layout::default()]
}
