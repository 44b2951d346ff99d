//! What is watched of activations: whoever watches is told of each, and takes its size only if wanted.

use burn::tensor::{Bool, Tensor};

use super::composed::rotate;
use super::positions::Positions;
use crate::train::site::Site;

/// Told of every activation; its mean absolute value is computed only if asked for, so that training pays nothing.
pub type Watch<'a> = &'a mut dyn FnMut(Site, &dyn Fn() -> f64);

/// Mean absolute value of all elements.
pub fn mean_abs(x: Tensor<2>) -> f64 {
    f64::from(x.abs().mean().into_scalar::<f32>())
}

/// Mean absolute value of the scaled products of query and key, from packed `qkv` `[n, 3 d]`, that the causal mask
/// leaves.
pub fn mean_abs_logits(qkv: &Tensor<2>, heads: usize, positions: &Positions, scale: f64) -> f64 {
    let [n, three_d] = qkv.dims();
    let context = positions.cos.dims()[0];
    let (batch, d) = (n / context, three_d / 3);
    let packed = qkv.clone().reshape([batch, context, 3 * heads, d / heads]).swap_dims(1, 2);
    let [q, k] = [0, 1].map(|part| rotate(packed.clone().narrow(1, part * heads, heads), positions));
    let hidden = Tensor::<2, Bool>::tril_mask([context, context], 0, &q.device()).unsqueeze::<4>();
    let sum = q.matmul(k.swap_dims(2, 3)).mul_scalar(scale).mask_fill(hidden, 0.0).abs().sum();
    let visible = batch * heads * context * (context + 1) / 2;
    f64::from(sum.into_scalar::<f32>()) / visible as f64
}
