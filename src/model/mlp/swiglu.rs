//! A gated MLP whose gate goes through x sigmoid(x): silu(x G) times x U, then a matrix (Shazeer 2020, arXiv 2002.05202).

use super::gated;
use crate::model::layout::{Family, Layout};
use crate::model::ops::Ops;
use crate::model::part::Part;
use crate::model::sizes::Sizes;
use crate::model::weight::Weight;

pub struct SwiGlu;

impl Part for SwiGlu {
    fn weights(&self, sizes: &Sizes) -> Vec<Weight> {
        gated::weights(sizes)
    }

    fn forward<O: Ops>(&self, ops: &O, x: O::Tensor, weights: &[O::Weight]) -> O::Tensor {
        let [into, out] = weights else { unreachable!("as declared") };
        ops.product(ops.gated_silu(ops.linear(x, into)), out)
    }

    fn layout(&self, sizes: &Sizes, family: Family) -> Result<Layout, String> {
        gated::layout(sizes, family, "swiglu", "silu")
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
