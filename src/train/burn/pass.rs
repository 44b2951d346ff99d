//! One pass of a batch through a model: the operations of its parts, in burn.

use std::cell::{Cell, RefCell};

use burn::tensor::{Int, Tensor};

use super::model::Model;
use super::ops::scaled;
use super::watch::{Watch, mean_abs, mean_abs_logits};
use super::weight::Weight;
use crate::model::{Ops, Site, Sizes};

/// A batch on its way.
pub struct Pass<'a> {
    model: &'a Model,
    sizes: Sizes,
    ids: Tensor<1, Int>,
    watch: RefCell<Watch<'a>>,
    block: Cell<usize>,
}

impl<'a> Pass<'a> {
    /// The beginning of the way of `ids` `[n]`.
    pub fn new(model: &'a Model, ids: Tensor<1, Int>, watch: Watch<'a>) -> Self {
        Self { model, sizes: model.shape.sizes(), ids, watch: RefCell::new(watch), block: Cell::new(0) }
    }
}

impl Ops for Pass<'_> {
    type Tensor = Tensor<2>;
    type Weight = Weight;

    fn sizes(&self) -> &Sizes {
        &self.sizes
    }

    fn embed(&self, weight: &Weight) -> Tensor<2> {
        scaled(self.model.ops.embed(weight.value.clone(), self.ids.clone()), weight.rule.multiplier)
    }

    fn linear(&self, x: Tensor<2>, weight: &Weight) -> Tensor<2> {
        scaled(x.matmul(weight.value.clone()), weight.rule.multiplier)
    }

    fn product(&self, x: Tensor<2>, weight: &Weight) -> Tensor<2> {
        x.matmul(weight.value.clone())
    }

    fn add_branch(&self, x: Tensor<2>, branch: Tensor<2>) -> Tensor<2> {
        x + scaled(branch, self.model.multipliers.branch)
    }

    fn values(&self, weight: &Weight) -> Tensor<2> {
        weight.value.clone()
    }

    fn rms_norm(&self, x: Tensor<2>, gain: &Weight) -> Tensor<2> {
        self.model.ops.rms_norm(x, gain.value.clone())
    }

    fn gelu(&self, x: Tensor<2>) -> Tensor<2> {
        self.model.ops.gelu(x)
    }

    fn attention(&self, qkv: Tensor<2>) -> Tensor<2> {
        let Model { ops, positions, multipliers, .. } = self.model;
        let (heads, scale) = (self.sizes.heads, multipliers.attention);
        let logits = Site::AttentionLogits(self.block.get());
        (self.watch.borrow_mut())(logits, &|| mean_abs_logits(&qkv, heads, positions, scale));
        ops.attention(qkv, heads, positions, scale)
    }

    fn enter(&self, block: usize) {
        self.block.set(block);
    }

    fn watch(&self, site: fn(usize) -> Site, x: &Tensor<2>) {
        (self.watch.borrow_mut())(site(self.block.get()), &|| mean_abs(x.clone()));
    }
}
