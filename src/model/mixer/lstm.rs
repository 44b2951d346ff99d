//! A long short-term memory (Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000) and a matrix that
//! writes into the residual stream. Gates stand in the order of `torch.nn.LSTM`: input, forget, cell, output. Each sequence
//! begins with zeros. No biases.

use crate::model::layout::{Family, Layout};
use crate::model::ops::Ops;
use crate::model::part::Part;
use crate::model::sizes::Sizes;
use crate::model::weight::Weight;

pub struct Lstm;

impl Part for Lstm {
    fn weights(&self, sizes: &Sizes) -> Vec<Weight> {
        let d = sizes.width;
        vec![
            Weight::hidden("lstm_in", [d, 4 * d]),
            Weight::hidden("lstm_state", [d, 4 * d]),
            Weight::residual("lstm_out", [d, d]),
        ]
    }

    fn forward<O: Ops>(&self, ops: &O, x: O::Tensor, weights: &[O::Weight]) -> O::Tensor {
        let [into, state, out] = weights else { unreachable!("as declared") };
        ops.product(ops.lstm(ops.linear(x, into), state), out)
    }

    fn layout(&self, _: &Sizes, _: Family) -> Result<Layout, String> {
        Err("model.mixer = \"lstm\": no architecture of transformers has an LSTM in its blocks".to_owned())
    }
}
