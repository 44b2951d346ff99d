//! A gated MLP whose gate goes through nothing: x G times x U, then a matrix (Shazeer 2020, arXiv 2002.05202).

use super::gated;
use crate::model::layout::{Family, Layout};
use crate::model::ops::Ops;
use crate::model::part::Part;
use crate::model::sizes::Sizes;
use crate::model::weight::Weight;

pub struct Bilinear;

impl Part for Bilinear {
    fn weights(&self, sizes: &Sizes) -> Vec<Weight> {
        gated::weights(sizes)
    }

    fn forward<O: Ops>(&self, ops: &O, x: O::Tensor, weights: &[O::Weight]) -> O::Tensor {
        let [into, out] = weights else { unreachable!("as declared") };
        ops.product(ops.gated(ops.linear(x, into), gated::hidden(ops.sizes())), out)
    }

    fn layout(&self, sizes: &Sizes, family: Family) -> Result<Layout, String> {
        gated::layout(sizes, family, "bilinear", "linear")
    }
}
