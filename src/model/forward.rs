//! A whole model, run through an engine's operations.

use super::norm::NormPlace;
use super::ops::Ops;
use super::parts::Parts;
use super::shape::Shape;
use super::site::Site;

/// What the unembedding reads of the batch, `[rows, width]`; `weights` are those of [`Shape::weights`].
pub fn hidden<O: Ops>(ops: &O, shape: &Shape, weights: &[O::Weight]) -> O::Tensor {
    let of_block = shape.block().len();
    let (first, rest) = weights.split_at(shape.first().len());
    let (blocks, last) = rest.split_at(shape.depth * of_block);
    let mut x = ops.embed(&first[0]);
    if let [_, positions] = first {
        x = ops.add_positions(x, positions);
    }
    ops.watch(|_| Site::Embedding, &x);
    for (index, weights) in blocks.chunks_exact(of_block).enumerate() {
        ops.enter(index);
        x = block(ops, &shape.parts, weights, x);
        ops.watch(Site::Stream, &x);
    }
    if shape.parts.norm_place == NormPlace::Before {
        x = shape.parts.norm.forward(ops, x, &last[0]);
    }
    ops.watch(|_| Site::FinalNorm, &x);
    x
}

/// The matrix `[width, vocab]` that makes logits.
pub fn head<O: Ops>(ops: &O, shape: &Shape, weights: &[O::Weight]) -> O::Tensor {
    let own = shape.parts.embedding.last(&shape.sizes()).len();
    let (first, last) = (&weights[..shape.first().len()], &weights[weights.len() - own..]);
    shape.parts.embedding.head(ops, first, last)
}

/// One block: mixer and MLP, each added to the residual stream.
fn block<O: Ops>(ops: &O, parts: &Parts, weights: &[O::Weight], x: O::Tensor) -> O::Tensor {
    let (mixer, mlp) = weights.split_at(1 + parts.mixer.weights(ops.sizes()).len());
    let x = branch(ops, parts, &mixer[0], x, |x| {
        let branch = parts.mixer.forward(ops, x, &mixer[1..]);
        ops.watch(Site::Attention, &branch);
        branch
    });
    branch(ops, parts, &mlp[0], x, |x| {
        let branch = match &parts.experts {
            None => parts.mlp.forward(ops, x, &mlp[1..]),
            Some(experts) => experts.forward(parts.mlp, ops, x, &mlp[1..]),
        };
        ops.watch(Site::Mlp, &branch);
        branch
    })
}

/// The residual stream with a branch added to it, normalized before the one or after the other.
fn branch<O: Ops>(
    ops: &O,
    Parts { norm, norm_place, .. }: &Parts,
    gain: &O::Weight,
    x: O::Tensor,
    computed: impl Fn(O::Tensor) -> O::Tensor,
) -> O::Tensor {
    match norm_place {
        NormPlace::Before => ops.add_branch(x.clone(), computed(norm.forward(ops, x, gain))),
        NormPlace::After => norm.forward(ops, ops.add_branch(x.clone(), computed(x)), gain),
    }
}
