//! Fused operations of parts that only the CPU has: elsewhere their composed twins serve.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, DispatchDevice, backend_extension};
use burn::tensor::{Device, Tensor};

/// An operation on each row by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// The square of what is above 0.
    SquaredRelu,
    /// silu of the first half of the columns, times the second.
    GatedSilu,
}

/// The operations with gradients, as burn's dispatcher sees them.
#[backend_extension(Flex, Autodiff)]
pub trait PartOps: Backend {
    /// See [`Activation`].
    fn row_activation(x: FloatTensor<Self>, kind: Activation) -> FloatTensor<Self>;

    /// Each row of `x` `[n, d]` less its mean, over its standard deviation, times `gain` `[1, d]`.
    fn centred_norm(x: FloatTensor<Self>, gain: FloatTensor<Self>) -> FloatTensor<Self>;

    /// Outputs `[n, d]` of a long short-term memory on sequences of `context` rows, from what its inputs give to its gates
    /// `[n, 4 d]` and the matrix `[d, 4 d]` by which the output before does.
    fn lstm(gates: FloatTensor<Self>, state: FloatTensor<Self>, context: usize) -> FloatTensor<Self>;

    /// Memories `[n, d]` of sequences of `context` rows, from gates and what is new `[n, 2 d]`, see
    /// `model::Ops::forgetting_mean`.
    fn forgetting_mean(x: FloatTensor<Self>, context: usize) -> FloatTensor<Self>;

    /// The product `[n, outputs]` of `x` `[n, inputs]` and `weight` `[inputs, outputs]`, both rounded to bf16.
    fn rounded_product(x: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self>;
}

/// Backward passes, and forward passes that keep something for them.
pub trait PartBackward: PartOps {
    /// Gradient of `x`.
    fn row_activation_backward(x: FloatTensor<Self>, grad: FloatTensor<Self>, kind: Activation) -> FloatTensor<Self>;

    /// Gradients of `x` and `gain`.
    fn centred_norm_backward(
        x: FloatTensor<Self>,
        gain: FloatTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> [FloatTensor<Self>; 2];

    /// The output of [`PartOps::lstm`] with what its backward pass reads.
    fn lstm_saving(
        gates: FloatTensor<Self>,
        state: FloatTensor<Self>,
        context: usize,
    ) -> (FloatTensor<Self>, SavedLstm<Self>);

    /// Gradients of `gates` and `state`.
    fn lstm_backward(saved: SavedLstm<Self>, grad: FloatTensor<Self>) -> [FloatTensor<Self>; 2];

    /// Gradient of `x`, from it and the memories.
    fn forgetting_mean_backward(
        saved: [FloatTensor<Self>; 2],
        grad: FloatTensor<Self>,
        context: usize,
    ) -> FloatTensor<Self>;

    /// Gradients of `x` and `weight`: products of rounded factors too. Only those that are asked for.
    fn rounded_product_backward(
        saved: [FloatTensor<Self>; 2],
        grad: FloatTensor<Self>,
        asked: [bool; 2],
    ) -> [Option<FloatTensor<Self>>; 2];
}

/// What a long short-term memory keeps from its forward pass.
#[derive(Clone, Debug)]
pub struct SavedLstm<B: Backend> {
    /// Gates behind their activations, `[n, 4 d]`.
    pub gates: FloatTensor<B>,
    /// Cells, `[n, d]`.
    pub cells: FloatTensor<B>,
    /// Outputs, `[n, d]`.
    pub outputs: FloatTensor<B>,
    pub state: FloatTensor<B>,
    pub context: usize,
}

#[derive(Debug)]
struct RowActivation(Activation);

impl<B: PartBackward> Backward<B, 1> for RowActivation {
    type State = FloatTensor<B>;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        if let [Some(parent)] = ops.parents {
            grads.register::<B>(parent.id, B::row_activation_backward(ops.state, grad, self.0));
        }
    }
}

#[derive(Debug)]
struct CentredNorm;

impl<B: PartBackward> Backward<B, 2> for CentredNorm {
    type State = [FloatTensor<B>; 2];

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let [x, gain] = ops.state;
        for (parent, grad) in ops.parents.into_iter().zip(B::centred_norm_backward(x, gain, grad)) {
            if let Some(parent) = parent {
                grads.register::<B>(parent.id, grad);
            }
        }
    }
}

#[derive(Debug)]
struct Lstm;

impl<B: PartBackward> Backward<B, 2> for Lstm {
    type State = SavedLstm<B>;

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        for (parent, grad) in ops.parents.into_iter().zip(B::lstm_backward(ops.state, grad)) {
            if let Some(parent) = parent {
                grads.register::<B>(parent.id, grad);
            }
        }
    }
}

#[derive(Debug)]
struct ForgettingMean {
    context: usize,
}

impl<B: PartBackward> Backward<B, 1> for ForgettingMean {
    type State = [FloatTensor<B>; 2];

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        if let [Some(parent)] = ops.parents {
            grads.register::<B>(parent.id, B::forgetting_mean_backward(ops.state, grad, self.context));
        }
    }
}

#[derive(Debug)]
struct RoundedProduct;

impl<B: PartBackward> Backward<B, 2> for RoundedProduct {
    type State = [FloatTensor<B>; 2];

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let asked = ops.parents.each_ref().map(Option::is_some);
        let found = B::rounded_product_backward(ops.state, grad, asked);
        for (parent, grad) in ops.parents.into_iter().zip(found) {
            if let (Some(parent), Some(grad)) = (parent, grad) {
                grads.register::<B>(parent.id, grad);
            }
        }
    }
}

impl<B: PartBackward, C: CheckpointStrategy> PartOps for Autodiff<B, C> {
    fn row_activation(x: FloatTensor<Self>, kind: Activation) -> FloatTensor<Self> {
        let (x, x_node) = x.into_parts();
        match RowActivation(kind).prepare::<C>([x_node]).compute_bound().stateful() {
            OpsKind::Tracked(node) => node.finish(x.clone(), B::row_activation(x, kind)),
            OpsKind::UnTracked(node) => node.finish(B::row_activation(x, kind)),
        }
    }

    fn centred_norm(x: FloatTensor<Self>, gain: FloatTensor<Self>) -> FloatTensor<Self> {
        let ((x, x_node), (gain, gain_node)) = (x.into_parts(), gain.into_parts());
        match CentredNorm.prepare::<C>([x_node, gain_node]).compute_bound().stateful() {
            OpsKind::Tracked(node) => node.finish([x.clone(), gain.clone()], B::centred_norm(x, gain)),
            OpsKind::UnTracked(node) => node.finish(B::centred_norm(x, gain)),
        }
    }

    fn lstm(gates: FloatTensor<Self>, state: FloatTensor<Self>, context: usize) -> FloatTensor<Self> {
        let ((gates, gates_node), (state, state_node)) = (gates.into_parts(), state.into_parts());
        match Lstm.prepare::<C>([gates_node, state_node]).compute_bound().stateful() {
            OpsKind::Tracked(node) => {
                let (outputs, saved) = B::lstm_saving(gates, state, context);
                node.finish(saved, outputs)
            }
            OpsKind::UnTracked(node) => node.finish(B::lstm(gates, state, context)),
        }
    }

    fn forgetting_mean(x: FloatTensor<Self>, context: usize) -> FloatTensor<Self> {
        let (x, x_node) = x.into_parts();
        let memories = B::forgetting_mean(x.clone(), context);
        match (ForgettingMean { context }).prepare::<C>([x_node]).compute_bound().stateful() {
            OpsKind::Tracked(node) => node.finish([x, memories.clone()], memories),
            OpsKind::UnTracked(node) => node.finish(memories),
        }
    }

    fn rounded_product(x: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self> {
        let ((x, x_node), (weight, weight_node)) = (x.into_parts(), weight.into_parts());
        match RoundedProduct.prepare::<C>([x_node, weight_node]).compute_bound().stateful() {
            OpsKind::Tracked(node) => node.finish([x.clone(), weight.clone()], B::rounded_product(x, weight)),
            OpsKind::UnTracked(node) => node.finish(B::rounded_product(x, weight)),
        }
    }
}

/// Whether tensors on this device can go through these operations.
pub fn serve(device: &Device) -> bool {
    matches!(device.clone().inner().as_dispatch(), DispatchDevice::Flex(_))
}

/// See [`PartOps::row_activation`].
pub fn activation(x: Tensor<2>, kind: Activation) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::row_activation(x.into_dispatch(), kind))
}

/// See [`PartOps::centred_norm`].
pub fn layer_norm(x: Tensor<2>, gain: Tensor<2>) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::centred_norm(x.into_dispatch(), gain.into_dispatch()))
}

/// See [`PartOps::lstm`].
pub fn lstm(gates: Tensor<2>, state: Tensor<2>, context: usize) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::lstm(gates.into_dispatch(), state.into_dispatch(), context))
}

/// See [`PartOps::forgetting_mean`].
pub fn forgetting_mean(x: Tensor<2>, context: usize) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::forgetting_mean(x.into_dispatch(), context))
}

/// See [`PartOps::rounded_product`].
pub fn rounded_product(x: Tensor<2>, weight: Tensor<2>) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::rounded_product(x.into_dispatch(), weight.into_dispatch()))
}
