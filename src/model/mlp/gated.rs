//! What gated MLPs have in common (Shazeer 2020, arXiv 2002.05202): x G, of which something is done, times x U, then a matrix.
//! Two thirds as wide as an MLP of two matrices, so that parameters agree.

use std::ops::Range;

use crate::model::layout::{Family, Layout};
use crate::model::ops::Ops;
use crate::model::sizes::Sizes;
use crate::model::weight::Weight;

/// Two thirds, as the nearest multiple of 8: what matrix units take in one piece.
fn hidden(sizes: &Sizes) -> usize {
    ((2 * sizes.wide() + 12) / 24 * 8).max(8)
}

/// The columns of the gate and those of what it multiplies, in one matrix; then the matrix behind them.
pub fn weights(sizes: &Sizes) -> Vec<Weight> {
    let (d, hidden) = (sizes.width, hidden(sizes));
    vec![Weight::hidden("mlp_in", [d, 2 * hidden]), Weight::residual("mlp_out", [hidden, d])]
}

/// The columns of the gate, and of what it multiplies.
pub fn halves<O: Ops>(ops: &O, x: &O::Tensor) -> [O::Tensor; 2] {
    let hidden = hidden(ops.sizes());
    let of = |columns: Range<usize>| ops.columns(x, columns);
    [of(0..hidden), of(hidden..2 * hidden)]
}

/// Each number of one times that of the other.
pub fn times<O: Ops>(ops: &O, a: O::Tensor, b: O::Tensor) -> O::Tensor {
    let hidden = hidden(ops.sizes());
    ops.fold(ops.multiply(ops.fold(a, 1), ops.fold(b, 1)), hidden)
}

/// Its tensors in a package, where the gate goes through an activation of that name. `key` is that of the part.
pub fn layout(sizes: &Sizes, family: Family, key: &str, activation: &str) -> Result<Layout, String> {
    if family == Family::Arcee {
        return Err(format!("model.mlp = \"{key}\": Arcee's MLP has no gate; write --architecture llama"));
    }
    let hidden = hidden(sizes);
    let layout = Layout::default()
        .columns("mlp.gate_proj", 0, 0..hidden)
        .columns("mlp.up_proj", 0, hidden..2 * hidden)
        .columns("mlp.down_proj", 1, 0..sizes.width);
    Ok(layout.told("intermediate_size", hidden).told("mlp_bias", false).told("hidden_act", activation))
}
