//! The operations of parts beyond those of the first models, each fused on the CPU and composed elsewhere.

mod composed;
#[cfg(all(test, feature = "cpu"))]
mod tests;

use burn::tensor::Tensor;

#[cfg(feature = "cpu")]
use super::kernels::parts::{self as fused, Activation};
use super::ops::Ops;

pub use composed::{gather, kept_shares, largest, pick, softmax};

/// Whether `ops` and the device of a tensor have the fused operations.
#[cfg(feature = "cpu")]
fn is_fused(ops: Ops, x: &Tensor<2>) -> bool {
    ops == Ops::Fused && fused::serve(&x.device())
}

/// Each row of `x` `[n, d]` less its mean, over its standard deviation, times `gain` `[1, d]`.
pub fn layer_norm(ops: Ops, x: Tensor<2>, gain: Tensor<2>) -> Tensor<2> {
    #[cfg(feature = "cpu")]
    if is_fused(ops, &x) {
        return fused::layer_norm(x, gain);
    }
    let _ = ops;
    composed::layer_norm(x, gain)
}

/// The square of what is above 0.
pub fn squared_relu(ops: Ops, x: Tensor<2>) -> Tensor<2> {
    #[cfg(feature = "cpu")]
    if is_fused(ops, &x) {
        return fused::activation(x, Activation::SquaredRelu);
    }
    let _ = ops;
    composed::squared_relu(x)
}

/// silu of the first half of the columns, times the second.
pub fn gated_silu(ops: Ops, x: Tensor<2>) -> Tensor<2> {
    #[cfg(feature = "cpu")]
    if is_fused(ops, &x) {
        return fused::activation(x, Activation::GatedSilu);
    }
    let _ = ops;
    composed::gated_silu(x)
}

/// Outputs `[n, d]` of a long short-term memory on sequences of `context` rows, from what its inputs give to its gates `[n,
/// 4 d]` and the matrix `[d, 4 d]` by which the output before does.
pub fn lstm(ops: Ops, gates: Tensor<2>, state: Tensor<2>, context: usize) -> Tensor<2> {
    #[cfg(feature = "cpu")]
    if is_fused(ops, &gates) {
        return fused::lstm(gates, state, context);
    }
    let _ = ops;
    composed::lstm(gates, state, context)
}

/// Memories `[n, d]` of sequences of `context` rows, from gates and what is new `[n, 2 d]`, see `model::Ops::forgetting_mean`.
pub fn forgetting_mean(ops: Ops, x: Tensor<2>, context: usize) -> Tensor<2> {
    #[cfg(feature = "cpu")]
    if is_fused(ops, &x) {
        return fused::forgetting_mean(x, context);
    }
    let _ = ops;
    composed::forgetting_mean(x, context)
}
