//! What an engine computes for parts. A part is written once, in these operations; an engine chooses for each what is
//! fastest on its device.

use super::site::Site;
use super::sizes::Sizes;

/// The operations, on tensors with a row for each token of the batch, sequence after sequence.
pub trait Ops {
    /// Numbers `[rows, columns]`.
    type Tensor: Clone;
    /// A weight with its row of the table of parameterizations.
    type Weight;

    /// The numbers that parts read.
    fn sizes(&self) -> &Sizes;

    /// Rows of a weight `[vocab, width]` for the tokens of the batch, times its multiplier.
    fn embed(&self, weight: &Self::Weight) -> Self::Tensor;

    /// `x` times a weight and its multiplier.
    fn linear(&self, x: Self::Tensor, weight: &Self::Weight) -> Self::Tensor;

    /// `x` times a weight of the role `Residual`, whose multiplier comes where the branch is added.
    fn product(&self, x: Self::Tensor, weight: &Self::Weight) -> Self::Tensor;

    /// The residual stream plus a branch times the multiplier of the role `Residual`.
    fn add_branch(&self, x: Self::Tensor, branch: Self::Tensor) -> Self::Tensor;

    /// The values of a weight.
    fn values(&self, weight: &Self::Weight) -> Self::Tensor;

    /// Each row over its root mean square, times a gain.
    fn rms_norm(&self, x: Self::Tensor, gain: &Self::Weight) -> Self::Tensor;

    /// x Phi(x).
    fn gelu(&self, x: Self::Tensor) -> Self::Tensor;

    /// Causal attention on packed queries, keys and values `[rows, 3 width]`.
    fn attention(&self, qkv: Self::Tensor) -> Self::Tensor;

    /// Called before each block.
    fn enter(&self, block: usize);

    /// Shows an activation of the present block to whoever watches.
    fn watch(&self, site: fn(usize) -> Site, x: &Self::Tensor);
}
