//! Fused operations with hand-written backward passes, through burn's backend extensions.
//!
//! Each has a composed twin in `train/burn/composed.rs`, which devices without kernels use and against which it is tested.
//! `flex` has the kernels of the CPU; `gradients` puts operations into burn's automatic differentiation. `parts` does so for the operations that only
//! the CPU has.

mod flex;
mod gradients;
pub mod parts;

use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, Dispatch, DispatchDevice, backend_extension};
use burn::tensor::{Device, Int, Tensor};

use super::update::Update;

/// The operations with gradients, as burn's dispatcher sees them. `[n, d]` has one row for each token of the batch.
#[backend_extension(Flex, Autodiff)]
pub trait FusedOps: Backend {
    /// Normalizes the rows of `x` `[n, d]` by their root mean square and multiplies by `gain` `[1, d]`.
    fn rms_norm(x: FloatTensor<Self>, gain: FloatTensor<Self>) -> FloatTensor<Self>;

    /// x Phi(x).
    fn fused_gelu(x: FloatTensor<Self>) -> FloatTensor<Self>;

    /// Causal attention on packed `qkv` `[n, 3 d]` after turning queries and keys by `cos`, `sin` `[context, half]`;
    /// returns `[n, d]`.
    fn causal_attention(
        qkv: FloatTensor<Self>,
        cos: FloatTensor<Self>,
        sin: FloatTensor<Self>,
        heads: usize,
        scale: f64,
    ) -> FloatTensor<Self>;

    /// Rows of `table` `[vocab, d]` for `ids` `[n]`.
    fn embed(table: FloatTensor<Self>, ids: IntTensor<Self>) -> FloatTensor<Self>;

    /// Mean cross entropy `[1]` of the logits `multiplier` x `x` `[n, d]` x `unembedding` `[d, vocab]`.
    fn mean_loss(
        x: FloatTensor<Self>,
        unembedding: FloatTensor<Self>,
        targets: IntTensor<Self>,
        multiplier: f64,
    ) -> FloatTensor<Self>;
}

/// The operations that are never differentiated: evaluation and the optimizer.
#[backend_extension(Flex)]
pub trait PlainOps: Backend {
    /// Cross entropy of each token `[n]` of the logits `multiplier` x `x` `[n, d]` x `unembedding` `[d, vocab]`.
    fn token_losses(
        x: FloatTensor<Self>,
        unembedding: FloatTensor<Self>,
        targets: IntTensor<Self>,
        multiplier: f64,
    ) -> FloatTensor<Self>;

    /// Sum of squares `[1]`.
    fn sum_squares(x: FloatTensor<Self>) -> FloatTensor<Self>;

    /// One step of AdamW: value, first and second moment, from the gradient times the only element of `clip`.
    fn adamw(
        value: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        clip: FloatTensor<Self>,
        update: Update,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
}

/// What `gradients` needs of a backend: forward passes that keep something for later, and backward passes.
pub trait BackwardOps: FusedOps {
    /// Gradients of `x` and `gain`, from that of the output.
    fn rms_norm_backward(
        x: FloatTensor<Self>,
        gain: FloatTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);

    /// Gradient of `x`.
    fn fused_gelu_backward(x: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self>;

    /// The output of [`FusedOps::causal_attention`] with what its backward pass reads.
    fn causal_attention_saving(
        qkv: FloatTensor<Self>,
        cos: FloatTensor<Self>,
        sin: FloatTensor<Self>,
        heads: usize,
        scale: f64,
    ) -> (FloatTensor<Self>, SavedAttention<Self>);

    /// Gradient of `qkv`.
    fn causal_attention_backward(saved: SavedAttention<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self>;

    /// Gradient of the table.
    fn embed_backward(ids: IntTensor<Self>, grad: FloatTensor<Self>, vocab: usize) -> FloatTensor<Self>;

    /// The output of [`FusedOps::mean_loss`] with its gradients by `x` and `unembedding`: the logits are kept nowhere.
    fn mean_loss_and_gradients(
        x: FloatTensor<Self>,
        unembedding: FloatTensor<Self>,
        targets: IntTensor<Self>,
        multiplier: f64,
    ) -> (FloatTensor<Self>, [FloatTensor<Self>; 2]);

    /// `x` times the only element of `factor`.
    fn scale_by(x: FloatTensor<Self>, factor: FloatTensor<Self>) -> FloatTensor<Self>;
}

/// What attention keeps from its forward pass.
#[derive(Clone, Debug)]
pub struct SavedAttention<B: Backend> {
    /// `qkv` with queries and keys turned.
    turned: FloatTensor<B>,
    output: FloatTensor<B>,
    /// Logarithms of the softmax denominators `[n, heads]`.
    denominators: FloatTensor<B>,
    cos: FloatTensor<B>,
    sin: FloatTensor<B>,
    heads: usize,
    scale: f64,
}

/// Whether tensors on this device can go through the fused operations.
pub fn serve(device: &Device) -> bool {
    matches!(device.clone().inner().as_dispatch(), DispatchDevice::Flex(_))
}

/// See [`FusedOps::rms_norm`].
pub fn rms_norm(x: Tensor<2>, gain: Tensor<2>) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::rms_norm(x.into_dispatch(), gain.into_dispatch()))
}

/// See [`FusedOps::fused_gelu`].
pub fn gelu(x: Tensor<2>) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::fused_gelu(x.into_dispatch()))
}

/// See [`FusedOps::causal_attention`].
pub fn attention(qkv: Tensor<2>, cos: Tensor<2>, sin: Tensor<2>, heads: usize, scale: f64) -> Tensor<2> {
    let [qkv, cos, sin] = [qkv, cos, sin].map(Tensor::into_dispatch);
    Tensor::from_dispatch(Dispatch::causal_attention(qkv, cos, sin, heads, scale))
}

/// See [`FusedOps::embed`].
pub fn embed(table: Tensor<2>, ids: Tensor<1, Int>) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::embed(table.into_dispatch(), ids.into_dispatch()))
}

/// See [`PlainOps::token_losses`].
pub fn token_losses(x: Tensor<2>, unembedding: Tensor<2>, multiplier: f64, targets: Tensor<1, Int>) -> Tensor<1> {
    let [x, unembedding] = [x, unembedding].map(Tensor::into_dispatch);
    Tensor::from_dispatch(Dispatch::token_losses(x, unembedding, targets.into_dispatch(), multiplier))
}

/// See [`FusedOps::mean_loss`].
pub fn mean_loss(x: Tensor<2>, unembedding: Tensor<2>, multiplier: f64, targets: Tensor<1, Int>) -> Tensor<1> {
    let [x, unembedding] = [x, unembedding].map(Tensor::into_dispatch);
    Tensor::from_dispatch(Dispatch::mean_loss(x, unembedding, targets.into_dispatch(), multiplier))
}

/// See [`PlainOps::sum_squares`].
pub fn sum_squares(x: Tensor<2>) -> Tensor<1> {
    Tensor::from_dispatch(Dispatch::sum_squares(x.into_dispatch()))
}

/// See [`PlainOps::adamw`]. `state` is value, first and second moment.
pub fn adamw(state: [Tensor<2>; 3], grad: Tensor<2>, clip: Tensor<1>, update: Update) -> [Tensor<2>; 3] {
    let [value, first, second] = state.map(Tensor::into_dispatch);
    let (value, first, second) =
        Dispatch::adamw(value, first, second, grad.into_dispatch(), clip.into_dispatch(), update);
    [value, first, second].map(Tensor::from_dispatch)
}

#[cfg(test)]
mod tests;
