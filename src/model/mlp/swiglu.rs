//! A gated MLP: silu(x G) times x U, then a matrix (Shazeer 2020, arXiv 2002.05202). Two thirds as wide as an MLP of two
//! matrices, so that parameters agree.

use crate::model::layout::{Family, Layout};
use crate::model::ops::Ops;
use crate::model::part::Part;
use crate::model::sizes::Sizes;
use crate::model::weight::Weight;

pub struct SwiGlu;

/// Two thirds, as the nearest multiple of 8: what matrix units take in one piece.
fn hidden(sizes: &Sizes) -> usize {
    (2 * sizes.wide() + 12) / 24 * 8
}

impl Part for SwiGlu {
    fn weights(&self, sizes: &Sizes) -> Vec<Weight> {
        let (d, hidden) = (sizes.width, hidden(sizes).max(8));
        // The columns of the gate, then those of what it multiplies.
        vec![Weight::hidden("mlp_in", [d, 2 * hidden]), Weight::residual("mlp_out", [hidden, d])]
    }

    fn forward<O: Ops>(&self, ops: &O, x: O::Tensor, weights: &[O::Weight]) -> O::Tensor {
        let [into, out] = weights else { unreachable!("as declared") };
        ops.product(ops.gated_silu(ops.linear(x, into)), out)
    }

    fn layout(&self, sizes: &Sizes, family: Family) -> Result<Layout, String> {
        if family == Family::Arcee {
            return Err("model.mlp = \"swiglu\": Arcee's MLP has no gate; write --architecture llama".to_owned());
        }
        let hidden = hidden(sizes).max(8);
        let layout = Layout::default()
            .columns("mlp.gate_proj", 0, 0..hidden)
            .columns("mlp.up_proj", 0, hidden..2 * hidden)
            .columns("mlp.down_proj", 1, 0..sizes.width);
        Ok(layout.told("intermediate_size", hidden).told("mlp_bias", false).told("hidden_act", "silu"))
    }
}

#[cfg(test)]
mod tests {
    use crate::model::{Mlp, Parts, Shape};

    #[test]
    fn swiglu_has_the_parameters_of_gelu_to_two_percent_and_to_the_last_where_thirds_are_whole() {
        let parameters = |width, mlp| {
            let shape = Shape { width, depth: 1, heads: 4, context: 8, vocab: 8, parts: Parts { mlp, ..Parts::FIRST } };
            shape.block().iter().map(crate::model::Weight::count).sum::<u64>() as f64
        };
        for width in (64..2048).step_by(16) {
            let ratio = parameters(width, Mlp::SwiGlu) / parameters(width, Mlp::Gelu);
            assert!((ratio - 1.0).abs() < 0.02, "{width}: {ratio}");
        }
        assert!((parameters(96, Mlp::SwiGlu) - parameters(96, Mlp::Gelu)).abs() < 0.5);
    }
}
