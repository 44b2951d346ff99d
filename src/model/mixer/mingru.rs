//! A gated recurrence that is linear in what it remembers, minGRU (Feng et al. 2024, arXiv 2410.01201): the gate and what is
//! new come from the present token alone, and the memory is z x new + (1 - z) x the memory before. Then a matrix that writes
//! into the residual stream. Each sequence begins with zeros. No biases.

use crate::model::layout::{Family, Layout};
use crate::model::ops::Ops;
use crate::model::part::Part;
use crate::model::sizes::Sizes;
use crate::model::weight::Weight;

pub struct MinGru;

impl Part for MinGru {
    fn weights(&self, sizes: &Sizes) -> Vec<Weight> {
        let d = sizes.width;
        // The columns of the gate, then those of what is new.
        vec![Weight::hidden("gru_in", [d, 2 * d]), Weight::residual("gru_out", [d, d])]
    }

    fn forward<O: Ops>(&self, ops: &O, x: O::Tensor, weights: &[O::Weight]) -> O::Tensor {
        let [into, out] = weights else { unreachable!("as declared") };
        ops.product(ops.forgetting_mean(ops.linear(x, into)), out)
    }

    fn layout(&self, _: &Sizes, _: Family) -> Result<Layout, String> {
        Err("model.mixer = \"mingru\": no architecture of transformers has this recurrence".to_owned())
    }
}
