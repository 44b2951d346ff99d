//! Two matrices with GELU between them: x Phi(x), with the exact normal distribution function (Hendrycks and Gimpel 2016,
//! arXiv 1606.08415).

use super::ungated;
use crate::model::layout::{Family, Layout};
use crate::model::ops::Ops;
use crate::model::part::Part;
use crate::model::sizes::Sizes;
use crate::model::weight::Weight;

pub struct Gelu;

impl Part for Gelu {
    fn weights(&self, sizes: &Sizes) -> Vec<Weight> {
        let (d, wide) = (sizes.width, sizes.wide());
        vec![Weight::hidden("mlp_in", [d, wide]), Weight::residual("mlp_out", [wide, d])]
    }

    fn forward<O: Ops>(&self, ops: &O, x: O::Tensor, weights: &[O::Weight]) -> O::Tensor {
        let [into, out] = weights else { unreachable!("as declared") };
        ops.product(ops.gelu(ops.linear(x, into)), out)
    }

    fn layout(&self, sizes: &Sizes, family: Family) -> Result<Layout, String> {
        Ok(ungated::layout(sizes, family, "gelu")?.told("hidden_act", "gelu"))
    }
}
