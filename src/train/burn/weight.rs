//! A weight: its values, and the row of the parameterization table that it follows.

use burn::tensor::{Device, Tensor, TensorData};

use crate::parameterization::{Role, Rule};
use crate::train::initial::Drawn;

/// One weight of the model. Gains are kept as `[1, width]`, so that every weight is a matrix.
#[derive(Clone, Debug)]
pub struct Weight {
    /// Name, as in `blocks.2.qkv`.
    pub name: String,
    /// What it does.
    pub role: Role,
    /// Its row of the table.
    pub rule: Rule,
    /// Values, `[inputs, outputs]`.
    pub value: Tensor<2>,
}

impl Weight {
    /// A weight as it was drawn, on `device`.
    pub fn new(Drawn { name, role, rule, shape, values }: Drawn, device: &Device) -> Self {
        Self { name, role, rule, value: Tensor::from_data(TensorData::new(values, shape), device).require_grad() }
    }

    /// Takes the values out, without gradients, so that their memory has one owner.
    pub fn take(&mut self) -> Tensor<2> {
        let nothing = Tensor::empty([1, 1], &self.value.device());
        std::mem::replace(&mut self.value, nothing).inner()
    }
}
