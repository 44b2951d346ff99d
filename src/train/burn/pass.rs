//! One pass of a batch through a model: the operations of its parts, in burn.

use std::cell::{Cell, RefCell};
use std::ops::Range;

use burn::tensor::{Int, Tensor, TensorData};

use super::ops::{Ops, scaled};
use super::parts;
use super::positions::Positions;
use super::watch::{Watch, mean_abs, mean_abs_logits};
use super::weight::Weight;
use crate::model::{self, Shape, Site, Sizes};
use crate::spec::Precision;

/// What a model is beside its weights.
#[derive(Clone, Debug)]
pub struct Beside {
    /// Its shape.
    pub shape: Shape,
    /// What attention knows of positions.
    pub positions: Positions,
    /// The implementation of its operations.
    pub ops: Ops,
    /// The precision of the factors of products with weights.
    pub precision: Precision,
    /// What is multiplied beside the outputs of weights.
    pub multipliers: Multipliers,
}

impl Beside {
    /// The product of `x` and a weight.
    pub fn product(&self, x: Tensor<2>, weight: Tensor<2>) -> Tensor<2> {
        self.ops.product(x, weight, self.precision)
    }
}

/// What the table of parameterizations multiplies beside the outputs of weights.
#[derive(Clone, Copy, Debug)]
pub struct Multipliers {
    /// Products of queries and keys.
    pub attention: f64,
    /// Branches where they are added.
    pub branch: f64,
    /// Logits.
    pub logits: f64,
}

/// A batch on its way.
pub struct Pass<'a> {
    beside: &'a Beside,
    sizes: Sizes,
    ids: Tensor<1, Int>,
    watch: RefCell<Watch<'a>>,
    block: Cell<usize>,
    /// What is minimized beside the loss, `[1]`.
    penalty: RefCell<Option<Tensor<1>>>,
}

impl<'a> Pass<'a> {
    /// The beginning of the way of `ids` `[n]`.
    pub fn new(beside: &'a Beside, ids: Tensor<1, Int>, watch: Watch<'a>) -> Self {
        let (sizes, watch) = (beside.shape.sizes(), RefCell::new(watch));
        Self { beside, sizes, ids, watch, block: Cell::new(0), penalty: RefCell::new(None) }
    }

    /// What is to be minimized beside the loss.
    pub fn penalty(self) -> Option<Tensor<1>> {
        self.penalty.into_inner()
    }
}

impl model::Ops for Pass<'_> {
    type Tensor = Tensor<2>;
    type Weight = Weight;

    fn sizes(&self) -> &Sizes {
        &self.sizes
    }

    fn embed(&self, weight: &Weight) -> Tensor<2> {
        scaled(self.beside.ops.embed(weight.value.clone(), self.ids.clone()), weight.rule.multiplier)
    }

    fn linear(&self, x: Tensor<2>, weight: &Weight) -> Tensor<2> {
        scaled(self.product(x, weight), weight.rule.multiplier)
    }

    fn product(&self, x: Tensor<2>, weight: &Weight) -> Tensor<2> {
        self.beside.product(x, weight.value.clone())
    }

    fn add_branch(&self, x: Tensor<2>, branch: Tensor<2>) -> Tensor<2> {
        x + scaled(branch, self.beside.multipliers.branch)
    }

    fn values(&self, weight: &Weight) -> Tensor<2> {
        weight.value.clone()
    }

    fn rms_norm(&self, x: Tensor<2>, gain: &Weight) -> Tensor<2> {
        self.beside.ops.rms_norm(x, gain.value.clone())
    }

    fn layer_norm(&self, x: Tensor<2>, gain: &Weight) -> Tensor<2> {
        parts::layer_norm(self.beside.ops, x, gain.value.clone())
    }

    fn gelu(&self, x: Tensor<2>) -> Tensor<2> {
        self.beside.ops.gelu(x)
    }

    fn squared_relu(&self, x: Tensor<2>) -> Tensor<2> {
        parts::squared_relu(self.beside.ops, x)
    }

    fn gated_silu(&self, x: Tensor<2>) -> Tensor<2> {
        parts::gated_silu(self.beside.ops, x)
    }

    fn lstm(&self, gates: Tensor<2>, state: &Weight) -> Tensor<2> {
        parts::lstm(self.beside.ops, gates, state.value.clone(), self.sizes.context)
    }

    fn forgetting_mean(&self, x: Tensor<2>) -> Tensor<2> {
        parts::forgetting_mean(self.beside.ops, x, self.sizes.context)
    }

    fn attention(&self, qkv: Tensor<2>) -> Tensor<2> {
        let Beside { ops, positions, multipliers, .. } = self.beside;
        let (heads, scale) = (self.sizes.heads, multipliers.attention);
        let logits = Site::AttentionLogits(self.block.get());
        (self.watch.borrow_mut())(logits, &|| mean_abs_logits(&qkv, heads, positions, scale));
        ops.attention(qkv, heads, positions, scale)
    }

    fn add_positions(&self, x: Tensor<2>, weight: &Weight) -> Tensor<2> {
        let ([n, d], context) = (x.dims(), self.sizes.context);
        let rows = scaled(weight.value.clone(), weight.rule.multiplier).reshape([1, context * d]);
        (x.reshape([n / context, context * d]) + rows).reshape([n, d])
    }

    fn transposed(&self, weight: &Weight) -> Tensor<2> {
        weight.value.clone().transpose()
    }

    fn columns(&self, x: &Tensor<2>, columns: Range<usize>) -> Tensor<2> {
        x.clone().narrow(1, columns.start, columns.len())
    }

    fn concat(&self, parts: Vec<Tensor<2>>) -> Tensor<2> {
        Tensor::cat(parts, 1)
    }

    fn fold(&self, x: Tensor<2>, columns: usize) -> Tensor<2> {
        let [n, before] = x.dims();
        x.reshape([n * before / columns, columns])
    }

    fn add(&self, a: Tensor<2>, b: Tensor<2>) -> Tensor<2> {
        a + b
    }

    fn multiply(&self, x: Tensor<2>, factors: Tensor<2>) -> Tensor<2> {
        x * factors
    }

    fn softmax(&self, x: Tensor<2>) -> Tensor<2> {
        parts::softmax(x)
    }

    fn largest(&self, x: &Tensor<2>, count: usize) -> Vec<Vec<usize>> {
        parts::largest(x.clone(), count)
    }

    fn kept_shares(&self, x: Tensor<2>, own: &[Vec<usize>]) -> Tensor<2> {
        parts::kept_shares(x, own)
    }

    fn pick(&self, x: &Tensor<2>, rows: &[usize]) -> Tensor<2> {
        parts::pick(x.clone(), rows)
    }

    fn gather(&self, parts: Vec<(Vec<usize>, Tensor<2>)>) -> Tensor<2> {
        parts::gather(parts)
    }

    fn penalize(&self, x: &Tensor<2>, factors: &[f64]) {
        let ([n, columns], factors) = (x.dims(), factors.iter().map(|x| *x as f32).collect::<Vec<f32>>());
        let factors = Tensor::<2>::from_data(TensorData::new(factors, [1, columns]), &x.device());
        let mean = (x.clone() * factors).sum().div_scalar(n as f64);
        let mut penalty = self.penalty.borrow_mut();
        *penalty = Some(match penalty.take() {
            Some(sum) => sum + mean,
            None => mean,
        });
    }

    fn enter(&self, block: usize) {
        self.block.set(block);
    }

    fn watch(&self, site: fn(usize) -> Site, x: &Tensor<2>) {
        (self.watch.borrow_mut())(site(self.block.get()), &|| mean_abs(x.clone()));
    }
}
