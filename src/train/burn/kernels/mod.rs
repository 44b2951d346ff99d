//! Fused operations with hand-written backward passes, through burn's backend extensions.
//!
//! Each has a composed twin in `train/burn/composed.rs`, which devices without kernels use and against which it is tested.
//! `seam` says what a backend implements. `flex` has the kernels of the CPU and `cube` those of wgpu; `gradients` puts operations into burn's automatic
//! differentiation, and `parts` those that only the CPU has.

#[cfg(feature = "wgpu")]
mod cube;
#[cfg(feature = "cpu")]
mod flex;
mod gradients;
#[cfg(feature = "cpu")]
pub mod parts;
mod seam;

#[cfg(feature = "cpu")]
pub use flex::available;

use burn::backend::{Dispatch, DispatchDevice};
use burn::tensor::{Device, Int, Tensor};

#[cfg(feature = "cpu")]
use self::seam::WeightOps as _;
use self::seam::{FusedOps as _, PlainOps as _};
use crate::optimizer::{OptimizerKind, Update};
use crate::spec::Precision;

/// Whether tensors on this device can go through the fused operations.
pub fn serve(device: &Device) -> bool {
    match device.clone().inner().as_dispatch() {
        #[cfg(feature = "cpu")]
        DispatchDevice::Flex(_) => true,
        #[cfg(feature = "wgpu")]
        DispatchDevice::Cube(_) => true,
        #[allow(unreachable_patterns)] // which others there are depends on the features
        _ => false,
    }
}

/// See `FusedOps::rms_norm`.
pub fn rms_norm(x: Tensor<2>, gain: Tensor<2>) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::rms_norm(x.into_dispatch(), gain.into_dispatch()))
}

/// See `FusedOps::fused_gelu`.
pub fn gelu(x: Tensor<2>) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::fused_gelu(x.into_dispatch()))
}

/// See `FusedOps::causal_attention`.
pub fn attention(qkv: Tensor<2>, cos: Tensor<2>, sin: Tensor<2>, heads: usize, scale: f64) -> Tensor<2> {
    let [qkv, cos, sin] = [qkv, cos, sin].map(Tensor::into_dispatch);
    Tensor::from_dispatch(Dispatch::causal_attention(qkv, cos, sin, heads, scale))
}

/// See `FusedOps::embed`.
pub fn embed(table: Tensor<2>, ids: Tensor<1, Int>) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::embed(table.into_dispatch(), ids.into_dispatch()))
}

/// See `PlainOps::token_losses`.
pub fn token_losses(
    x: Tensor<2>,
    unembedding: Tensor<2>,
    multiplier: f64,
    targets: Tensor<1, Int>,
    precision: Precision,
) -> Tensor<1> {
    let [x, unembedding] = [x, unembedding].map(Tensor::into_dispatch);
    Tensor::from_dispatch(Dispatch::token_losses(x, unembedding, targets.into_dispatch(), multiplier, precision))
}

/// See `FusedOps::mean_loss`.
pub fn mean_loss(
    x: Tensor<2>,
    unembedding: Tensor<2>,
    multiplier: f64,
    targets: Tensor<1, Int>,
    precision: Precision,
) -> Tensor<1> {
    let [x, unembedding] = [x, unembedding].map(Tensor::into_dispatch);
    Tensor::from_dispatch(Dispatch::mean_loss(x, unembedding, targets.into_dispatch(), multiplier, precision))
}

/// One AdamW step of value, first and second moment of each weight, after their gradients' common norm is brought down to
/// `limit`, if that is above 0.
pub fn adamw(
    states: Vec<[Tensor<2>; 3]>,
    gradients: Vec<Tensor<2>>,
    limit: f64,
    updates: &[Update],
) -> Vec<[Tensor<2>; 3]> {
    match gradients[0].device().as_dispatch() {
        #[cfg(feature = "wgpu")]
        DispatchDevice::Cube(_) => cube::adamw_all(states, gradients, limit, updates),
        #[cfg(feature = "cpu")]
        _ => flex::adamw_all(states, gradients, limit, updates),
        #[cfg(not(feature = "cpu"))]
        other => unreachable!("no kernels serve {other:?}"),
    }
}

/// Sum of squares `[1]`.
pub fn sum_squares(x: Tensor<2>) -> Tensor<1> {
    match x.device().as_dispatch() {
        #[cfg(feature = "cpu")]
        DispatchDevice::Flex(_) => Tensor::from_dispatch(Dispatch::sum_squares(x.into_dispatch())),
        _ => x.square().sum(),
    }
}

/// One step of an optimizer with one moment: value and moment of a weight, from its gradient.
pub fn momentum(kind: OptimizerKind, state: [Tensor<2>; 2], grad: Tensor<2>, update: &Update) -> [Tensor<2>; 2] {
    match grad.device().as_dispatch() {
        #[cfg(feature = "cpu")]
        DispatchDevice::Flex(_) => flex::momentum(kind, state, grad, update),
        _ => super::composed::momentum(kind, state, grad, update),
    }
}

#[cfg(all(test, feature = "cpu"))]
mod tests;
