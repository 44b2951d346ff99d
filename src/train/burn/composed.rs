//! The operations of the model, composed from burn's own: for devices without kernels, and the yardstick of the fused ones.
//! `[n, d]` has one row for each token of the batch, sequence after sequence.

use burn::tensor::activation::{gelu as composed_gelu, log_softmax, softmax};
use burn::tensor::{Int, Tensor};

use super::positions::Positions;
use crate::optimizer::{self, Number, OptimizerKind, Update};
use crate::plan::NORM_EPSILON;

/// Turns channels i and i + half of `x` `[batch, heads, context, head_dim]` by the angle of their position.
pub(super) fn rotate(x: Tensor<4>, positions: &Positions) -> Tensor<4> {
    let half = x.dims()[3] / 2;
    let [cos, sin] = [&positions.cos, &positions.sin].map(|table| table.clone().unsqueeze::<4>());
    let (a, b) = (x.clone().narrow(3, 0, half), x.narrow(3, half, half));
    let turned = [a.clone() * cos.clone() - b.clone() * sin.clone(), a * sin + b * cos];
    Tensor::cat(turned.to_vec(), 3)
}

/// Root-mean-square normalization of each row of `x` `[n, d]`, times `gain` `[1, d]` (Zhang and Sennrich 2019, arXiv
/// 1910.07467).
pub fn rms_norm(x: Tensor<2>, gain: Tensor<2>) -> Tensor<2> {
    let mean_square = x.clone().square().mean_dim(1);
    x * mean_square.add_scalar(NORM_EPSILON).sqrt().recip() * gain
}

/// x Phi(x), with the exact normal distribution function (Hendrycks and Gimpel 2016, arXiv 1606.08415).
pub fn gelu(x: Tensor<2>) -> Tensor<2> {
    composed_gelu(x)
}

/// Causal attention with rotary positions on packed `qkv` `[n, 3 d]`, logits `scale` q.k; returns `[n, d]`.
pub fn attention(qkv: Tensor<2>, heads: usize, positions: &Positions, scale: f64) -> Tensor<2> {
    let [n, three_d] = qkv.dims();
    let context = positions.cos.dims()[0];
    let (batch, d) = (n / context, three_d / 3);
    let packed = qkv.reshape([batch, context, 3 * heads, d / heads]).swap_dims(1, 2);
    let [q, k, v] = [0, 1, 2].map(|part| packed.clone().narrow(1, part * heads, heads));
    let (q, k) = (rotate(q, positions), rotate(k, positions));
    let hidden = positions.hidden.clone().unsqueeze::<4>();
    let logits = q.mul_scalar(scale).matmul(k.swap_dims(2, 3)).mask_fill(hidden, f32::NEG_INFINITY);
    softmax(logits, 3).matmul(v).swap_dims(1, 2).reshape([n, d])
}

/// Rows of the embedding `[vocab, d]` for `ids` `[n]`.
pub fn embed(embedding: Tensor<2>, ids: Tensor<1, Int>) -> Tensor<2> {
    embedding.select(0, ids)
}

/// Cross entropy of each token `[n]`, in nats, of logits `multiplier` x `unembedding`, with `x` `[n, d]` and
/// `unembedding` `[d, vocab]`.
pub fn token_losses(x: Tensor<2>, unembedding: Tensor<2>, multiplier: f64, targets: Tensor<1, Int>) -> Tensor<1> {
    let n = targets.dims()[0];
    let logits = x.matmul(unembedding).mul_scalar(multiplier);
    log_softmax(logits, 1).gather(1, targets.reshape([n, 1])).reshape([n]).neg()
}

/// One `AdamW` step of value, first and second moment of each weight, after their gradients' common norm is brought down to
/// `limit`, if that is above 0.
pub fn adamw(
    states: Vec<[Tensor<2>; 3]>,
    gradients: Vec<Tensor<2>>,
    limit: f64,
    updates: &[Update],
) -> Vec<[Tensor<2>; 3]> {
    let clip = clip_factor(gradients.iter().map(|gradient| gradient.clone().square().sum()).collect(), limit);
    let each = states.into_iter().zip(gradients).zip(updates);
    each.map(|((state, gradient), update)| {
        optimizer::adamw::step(state, gradient * clip.clone().unsqueeze::<2>(), update)
    })
    .collect()
}

/// Factor `[1]` that brings the root of the sum of `squares`, one of each weight, down to `limit`, at most 1; a limit of 0
/// leaves the gradients alone.
pub fn clip_factor(squares: Vec<Tensor<1>>, limit: f64) -> Tensor<1> {
    if limit <= 0.0 {
        return Tensor::ones([1], &squares[0].device());
    }
    let norm = squares.into_iter().reduce(|a, b| a + b).expect("a model has weights").sqrt();
    norm.add_scalar(f32::MIN_POSITIVE).recip().mul_scalar(limit).clamp_max(1.0)
}

/// One step of an optimizer with one moment: value and moment, from the gradient.
pub fn momentum(kind: OptimizerKind, state: [Tensor<2>; 2], grad: Tensor<2>, update: &Update) -> [Tensor<2>; 2] {
    match kind {
        OptimizerKind::Lion => optimizer::lion::step(state, grad, update),
        OptimizerKind::Sgd => optimizer::sgd::step(state, grad, update),
        OptimizerKind::Adamw | OptimizerKind::Muon => unreachable!("its steps are not these"),
    }
}

impl Number for Tensor<2> {
    fn times(self, factor: f64) -> Self {
        self.mul_scalar(factor)
    }

    fn times_plus(self, factor: f64, other: Self) -> Self {
        self.mul_scalar(factor) + other
    }

    fn plus(self, constant: f64) -> Self {
        self.add_scalar(constant)
    }

    fn root(self) -> Self {
        self.sqrt()
    }

    fn sign(self) -> Self {
        Self::sign(self)
    }
}
