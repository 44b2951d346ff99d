//! Two matrices with GELU between them: x Phi(x), with the exact normal distribution function (Hendrycks and Gimpel 2016,
//! arXiv 1606.08415).

use crate::model::layout::{Family, Layout, Source};
use crate::model::ops::Ops;
use crate::model::part::Part;
use crate::model::sizes::Sizes;
use crate::model::weight::Weight;

pub struct Gelu;

impl Part for Gelu {
    fn weights(&self, sizes: &Sizes) -> Vec<Weight> {
        let d = sizes.width;
        vec![Weight::hidden("mlp_in", [d, 4 * d]), Weight::residual("mlp_out", [4 * d, d])]
    }

    fn forward<O: Ops>(&self, ops: &O, x: O::Tensor, weights: &[O::Weight]) -> O::Tensor {
        let [into, out] = weights else { unreachable!("as declared") };
        ops.product(ops.gelu(ops.linear(x, into)), out)
    }

    fn layout(&self, sizes: &Sizes, family: Family) -> Result<Layout, String> {
        Ok(ungated(sizes.width, family).told("hidden_act", "gelu"))
    }
}

/// An MLP of two matrices, four times as wide between them. Where the package has a gate, the gate is what goes through the
/// activation, and what it multiplies is the constant 1: a bias beside a matrix of zeros.
pub fn ungated(d: usize, family: Family) -> Layout {
    let wide = 4 * d;
    let layout = Layout::default().columns("mlp.down_proj", 1, 0..d).told("intermediate_size", wide);
    match family {
        Family::Arcee => layout.columns("mlp.up_proj", 0, 0..wide).told("mlp_bias", false),
        Family::Llama => layout
            .columns("mlp.gate_proj", 0, 0..wide)
            .with("mlp.up_proj", Source::Matrix([wide, d], 0.0))
            .with("mlp.gate_proj", Source::Bias(wide, 0.0))
            .with("mlp.up_proj", Source::Bias(wide, 1.0))
            .with("mlp.down_proj", Source::Bias(d, 0.0))
            .told("mlp_bias", true),
    }
}
