//! What an engine computes for parts. A part is written once, in these operations; an engine chooses for each what is
//! fastest on its device. Those with a body are composed of others where an engine has nothing faster.

use super::site::Site;
use std::ops::Range;

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

    /// Each row less its mean, over its standard deviation, times a gain.
    fn layer_norm(&self, x: Self::Tensor, gain: &Self::Weight) -> Self::Tensor;

    /// x Phi(x).
    fn gelu(&self, x: Self::Tensor) -> Self::Tensor;

    /// The square of what is above 0.
    fn squared_relu(&self, x: Self::Tensor) -> Self::Tensor;

    /// silu of the first half of the columns, times the second.
    fn gated_silu(&self, x: Self::Tensor) -> Self::Tensor;

    /// x Phi(x) of the first half of the columns, times the second, each of so many.
    fn gated_gelu(&self, x: Self::Tensor, half: usize) -> Self::Tensor {
        let [gate, up] = [0..half, half..2 * half].map(|columns| self.columns(&x, columns));
        self.multiply(self.gelu(gate), up)
    }

    /// The first half of the columns times the second, each of so many.
    fn gated(&self, x: Self::Tensor, half: usize) -> Self::Tensor {
        let [gate, up] = [0..half, half..2 * half].map(|columns| self.columns(&x, columns));
        self.multiply(gate, up)
    }

    /// Queries, keys and values `[rows, 3 width]` as attention reads them, of those of each head of keys `[rows, width + 2
    /// kv_width]`: where there are gains, each head of queries and of keys is normalized by its root mean square and
    /// multiplied by its gain; keys and values come once for each head of queries.
    fn heads(&self, packed: Self::Tensor, gains: &[Self::Weight]) -> Self::Tensor {
        let sizes = self.sizes();
        let (d, kv, head_dim) = (sizes.width, sizes.kv_width(), sizes.head_dim());
        let normed = |x: Self::Tensor, width: usize, gain: &Self::Weight| {
            self.fold(self.rms_norm(self.fold(x, head_dim), gain), width)
        };
        let mut q = self.columns(&packed, 0..d);
        let mut k = self.columns(&packed, d..d + kv);
        let v = self.columns(&packed, d + kv..d + 2 * kv);
        if let [query, key] = gains {
            (q, k) = (normed(q, d, query), normed(k, kv, key));
        }
        let head = |x: &Self::Tensor, head: usize| self.columns(x, head * head_dim..(head + 1) * head_dim);
        let repeated = |x: &Self::Tensor| (0..sizes.heads).map(|i| head(x, i / sizes.kv_sharing)).collect::<Vec<_>>();
        let of_all = |x: Self::Tensor| if sizes.kv_sharing == 1 { vec![x] } else { repeated(&x) };
        self.concat([vec![q], of_all(k), of_all(v)].concat())
    }

    /// Causal attention on packed queries, keys and values `[rows, 3 width]`, which are turned where positions are rotary.
    fn attention(&self, qkv: Self::Tensor) -> Self::Tensor;

    /// The outputs of a long short-term memory, from what its inputs give to its gates `[rows, 4 width]` and the weight by
    /// which the output before does.
    fn lstm(&self, gates: Self::Tensor, state: &Self::Weight) -> Self::Tensor;

    /// A mean of what came so far that forgets: z x c + (1 - z) x the row before, from zeros, where z is the sigmoid of the
    /// first half of the columns of `x` and c the second half.
    fn forgetting_mean(&self, x: Self::Tensor) -> Self::Tensor;

    /// `x` plus the row of a weight `[context, width]` for the position of each token.
    fn add_positions(&self, x: Self::Tensor, weight: &Self::Weight) -> Self::Tensor;

    /// The values of a weight, transposed.
    fn transposed(&self, weight: &Self::Weight) -> Self::Tensor;

    /// Some of the columns.
    fn columns(&self, x: &Self::Tensor, columns: Range<usize>) -> Self::Tensor;

    /// Columns side by side.
    fn concat(&self, parts: Vec<Self::Tensor>) -> Self::Tensor;

    /// The same numbers in rows of so many columns.
    fn fold(&self, x: Self::Tensor, columns: usize) -> Self::Tensor;

    /// Sum of two of one shape.
    fn add(&self, a: Self::Tensor, b: Self::Tensor) -> Self::Tensor;

    /// Each number times that of `factors`, whose only column, where there is no other, serves for all.
    fn multiply(&self, x: Self::Tensor, factors: Self::Tensor) -> Self::Tensor;

    /// Softmax of each row.
    fn softmax(&self, x: Self::Tensor) -> Self::Tensor;

    /// For each column, in which rows it is among the `count` largest. Of equal ones the first is larger.
    fn largest(&self, x: &Self::Tensor, count: usize) -> Vec<Vec<usize>>;

    /// Each column zero but in the rows that are its own, then each row over its sum.
    fn kept_shares(&self, x: Self::Tensor, own: &[Vec<usize>]) -> Self::Tensor;

    /// These rows, in this order.
    fn pick(&self, x: &Self::Tensor, rows: &[usize]) -> Self::Tensor;

    /// For each token the sum of the rows that are its own: each tensor comes with the tokens of its rows.
    fn gather(&self, parts: Vec<(Vec<usize>, Self::Tensor)>) -> Self::Tensor;

    /// Adds to what is minimized, but not to the reported loss: the mean over rows of the sum of factor x column.
    fn penalize(&self, x: &Self::Tensor, factors: &[f64]);

    /// Called before each block.
    fn enter(&self, block: usize);

    /// Shows an activation of the present block to whoever watches.
    fn watch(&self, site: fn(usize) -> Site, x: &Self::Tensor);
}
