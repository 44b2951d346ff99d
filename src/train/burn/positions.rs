//! Rotary positions and the causal mask, as tables on the device.

use burn::tensor::{Bool, Device, Tensor, TensorData};

use crate::model::Shape;
use crate::train::rotary;

/// What attention knows of positions, made once for a run.
#[derive(Clone, Debug)]
pub struct Positions {
    /// Cosines of the rotary angles, `[context, head_dim / 2]`.
    pub(super) cos: Tensor<2>,
    /// Their sines.
    pub(super) sin: Tensor<2>,
    /// Which keys (columns) a query (row) does not see, `[context, context]`.
    pub(super) hidden: Tensor<2, Bool>,
}

impl Positions {
    /// Tables for the sequences and heads of a shape.
    pub fn new(shape: &Shape, device: &Device) -> Self {
        let (context, half) = (shape.context, shape.head_dim() / 2);
        let [cos, sin] =
            rotary::tables(shape).map(|values| Tensor::from_data(TensorData::new(values, [context, half]), device));
        let hidden = Tensor::tril_mask([context, context], 0, device);
        Self { cos, sin, hidden }
    }

    /// The same tables for a model that is only evaluated.
    #[must_use]
    pub fn without_gradients(self) -> Self {
        Self { cos: self.cos.inner(), sin: self.sin.inner(), hidden: self.hidden.inner() }
    }
}
