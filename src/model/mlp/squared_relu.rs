//! Two matrices with the square of the positive part between them (So et al. 2021, arXiv 2109.08668).

use super::ungated;
use crate::model::layout::{Family, Layout};
use crate::model::ops::Ops;
use crate::model::part::Part;
use crate::model::sizes::Sizes;
use crate::model::weight::Weight;

pub struct SquaredRelu;

impl Part for SquaredRelu {
    fn weights(&self, sizes: &Sizes) -> Vec<Weight> {
        let (d, wide) = (sizes.width, sizes.wide());
        vec![Weight::hidden("mlp_in", [d, wide]), Weight::residual("mlp_out", [wide, d])]
    }

    fn forward<O: Ops>(&self, ops: &O, x: O::Tensor, weights: &[O::Weight]) -> O::Tensor {
        let [into, out] = weights else { unreachable!("as declared") };
        ops.product(ops.squared_relu(ops.linear(x, into)), out)
    }

    fn layout(&self, sizes: &Sizes, family: Family) -> Result<Layout, String> {
        Ok(ungated::layout(sizes, family, "squared-relu")?.told("hidden_act", "relu2"))
    }
}
