//! What gated MLPs have in common (Shazeer 2020, arXiv 2002.05202): x G, of which something is done, times x U, then a matrix.
//! Two thirds as wide as an MLP of two matrices, so that parameters agree.

use crate::model::layout::{Family, Layout};
use crate::model::sizes::Sizes;
use crate::model::weight::Weight;

/// Columns of the gate: two thirds, as the nearest multiple of 8: what matrix units take in one piece.
pub fn hidden(sizes: &Sizes) -> usize {
    ((2 * sizes.wide() + 12) / 24 * 8).max(8)
}

/// The columns of the gate and those of what it multiplies, in one matrix; then the matrix behind them.
pub fn weights(sizes: &Sizes) -> Vec<Weight> {
    let (d, hidden) = (sizes.width, hidden(sizes));
    vec![Weight::hidden("mlp_in", [d, 2 * hidden]), Weight::residual("mlp_out", [hidden, d])]
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

#[cfg(test)]
mod tests {
    use crate::model::{Mlp, Parts, Shape, Weight};

    #[test]
    fn gated_mlps_have_the_parameters_of_gelu_to_two_percent_and_to_the_last_where_thirds_are_whole() {
        let parameters = |width, mlp| {
            let shape = Shape { width, depth: 1, heads: 4, context: 8, vocab: 8, parts: Parts { mlp, ..Parts::FIRST } };
            shape.block().iter().map(Weight::count).sum::<u64>()
        };
        for mlp in [Mlp::SwiGlu, Mlp::GeGlu, Mlp::Bilinear] {
            for width in (64..2048).step_by(16) {
                let ratio = parameters(width, mlp) as f64 / parameters(width, Mlp::Gelu) as f64;
                assert!((ratio - 1.0).abs() < 0.02, "{mlp:?} of width {width}: {ratio}");
            }
            assert_eq!(parameters(96, mlp), parameters(96, Mlp::Gelu), "{mlp:?}");
        }
    }
}
