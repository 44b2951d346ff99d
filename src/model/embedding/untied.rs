//! An embedding and an unembedding of their own.

use crate::model::layout::{Layout, Source};
use crate::model::ops::Ops;
use crate::model::sizes::Sizes;
use crate::model::weight::{Group, Weight};

pub fn first(sizes: &Sizes) -> Vec<Weight> {
    vec![Weight::rows("embedding", [sizes.vocab, sizes.width], Group::Embedding)]
}

pub fn last(sizes: &Sizes) -> Vec<Weight> {
    vec![Weight::unembedding("unembedding", [sizes.width, sizes.vocab])]
}

pub fn head<O: Ops>(ops: &O, last: &[O::Weight]) -> O::Tensor {
    ops.values(&last[0])
}

pub fn layout(sizes: &Sizes) -> [Layout; 2] {
    let first = Layout::default().with("model.embed_tokens", Source::Whole(0));
    [first, Layout::default().columns("lm_head", 0, 0..sizes.vocab).told("tie_word_embeddings", false)]
}
