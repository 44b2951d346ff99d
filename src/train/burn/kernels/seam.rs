//! What a backend implements to have fused operations.

use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, backend_extension};

#[cfg(feature = "cpu")]
use crate::optimizer::{OptimizerKind, Update};
use crate::spec::Precision;

/// The operations with gradients, as burn's dispatcher sees them. `[n, d]` has one row for each token of the batch.
#[backend_extension(Flex: cfg(feature = "cpu"), Cube: cfg(feature = "wgpu"), Autodiff)]
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

    /// Mean cross entropy `[1]` of the logits `multiplier` x `x` `[n, d]` x `unembedding` `[d, vocab]`, with factors of so much
    /// precision, which on wgpu is f32.
    fn mean_loss(
        x: FloatTensor<Self>,
        unembedding: FloatTensor<Self>,
        targets: IntTensor<Self>,
        multiplier: f64,
        precision: Precision,
    ) -> FloatTensor<Self>;
}

/// The operation of evaluation, which is never differentiated.
#[backend_extension(Flex: cfg(feature = "cpu"), Cube: cfg(feature = "wgpu"))]
pub trait PlainOps: Backend {
    /// Cross entropy of each token `[n]` of the logits `multiplier` x `x` `[n, d]` x `unembedding` `[d, vocab]`.
    fn token_losses(
        x: FloatTensor<Self>,
        unembedding: FloatTensor<Self>,
        targets: IntTensor<Self>,
        multiplier: f64,
        precision: Precision,
    ) -> FloatTensor<Self>;
}

/// The operations of the optimizer on the CPU, one weight at a time.
#[cfg(feature = "cpu")]
#[backend_extension(Flex)]
pub trait WeightOps: Backend {
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

    /// One step of an optimizer with one moment: value and moment, from the gradient.
    fn momentum(
        value: FloatTensor<Self>,
        momentum: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        kind: OptimizerKind,
        update: Update,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
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
        precision: Precision,
    ) -> (FloatTensor<Self>, [FloatTensor<Self>; 2]);

    /// `x` times the only element of `factor`.
    fn scale_by(x: FloatTensor<Self>, factor: FloatTensor<Self>) -> FloatTensor<Self>;
}

/// What attention keeps from its forward pass.
#[derive(Clone, Debug)]
pub struct SavedAttention<B: Backend> {
    /// On the CPU with queries and keys turned, on wgpu as they came.
    pub(super) qkv: FloatTensor<B>,
    pub(super) output: FloatTensor<B>,
    /// Logarithms of the softmax denominators `[n, heads]`.
    pub(super) denominators: FloatTensor<B>,
    pub(super) cos: FloatTensor<B>,
    pub(super) sin: FloatTensor<B>,
    pub(super) heads: usize,
    pub(super) scale: f64,
}
