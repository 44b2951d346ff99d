//! A whole model, run through an engine's operations.

use super::ops::Ops;
use super::shape::Shape;
use super::site::Site;

/// What the unembedding reads of the batch, `[rows, width]`; `weights` are those of [`Shape::weights`].
pub fn hidden<O: Ops>(ops: &O, shape: &Shape, weights: &[O::Weight]) -> O::Tensor {
    let (first, rest) = weights.split_at(shape.first().len());
    let (blocks, last) = rest.split_at(shape.depth * shape.block().len());
    let mut x = ops.embed(&first[0]);
    ops.watch(|_| Site::Embedding, &x);
    for (index, weights) in blocks.chunks_exact(shape.block().len()).enumerate() {
        ops.enter(index);
        x = block(ops, shape, weights, x);
        ops.watch(Site::Stream, &x);
    }
    let x = shape.parts.norm.forward(ops, x, &last[0]);
    ops.watch(|_| Site::FinalNorm, &x);
    x
}

/// The matrix `[width, vocab]` that makes logits.
pub fn head<O: Ops>(ops: &O, shape: &Shape, weights: &[O::Weight]) -> O::Tensor {
    let (first, last) = (&weights[..shape.first().len()], &weights[weights.len() + 1 - shape.last().len()..]);
    shape.parts.embedding.head(ops, first, last)
}

/// One block: mixer and MLP, each behind a normalization and added to the residual stream.
fn block<O: Ops>(ops: &O, shape: &Shape, weights: &[O::Weight], x: O::Tensor) -> O::Tensor {
    let parts = &shape.parts;
    let count = parts.mixer.weights(&shape.sizes()).len();
    let (mixer, mlp) = weights.split_at(1 + count);
    let normed = parts.norm.forward(ops, x.clone(), &mixer[0]);
    let branch = parts.mixer.forward(ops, normed, &mixer[1..]);
    ops.watch(Site::Attention, &branch);
    let x = ops.add_branch(x, branch);
    let normed = parts.norm.forward(ops, x.clone(), &mlp[0]);
    let branch = parts.mlp.forward(ops, normed, &mlp[1..]);
    ops.watch(Site::Mlp, &branch);
    ops.add_branch(x, branch)
}
