//! The fused operations in burn's automatic differentiation: what each keeps from its forward pass.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Autodiff, TensorMetadata};

use super::seam::{BackwardOps, FusedOps, SavedAttention};
use crate::spec::Precision;

#[derive(Debug)]
struct RmsNorm;

impl<B: BackwardOps> Backward<B, 2> for RmsNorm {
    type State = [FloatTensor<B>; 2];

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let [x, gain] = ops.state;
        let (grad_x, grad_gain) = B::rms_norm_backward(x, gain, grad);
        for (parent, grad) in ops.parents.into_iter().zip([grad_x, grad_gain]) {
            if let Some(parent) = parent {
                grads.register::<B>(parent.id, grad);
            }
        }
    }
}

#[derive(Debug)]
struct Gelu;

impl<B: BackwardOps> Backward<B, 1> for Gelu {
    type State = FloatTensor<B>;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        if let [Some(parent)] = ops.parents {
            grads.register::<B>(parent.id, B::fused_gelu_backward(ops.state, grad));
        }
    }
}

#[derive(Debug)]
struct Attention;

impl<B: BackwardOps> Backward<B, 1> for Attention {
    type State = SavedAttention<B>;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        if let [Some(parent)] = ops.parents {
            grads.register::<B>(parent.id, B::causal_attention_backward(ops.state, grad));
        }
    }
}

#[derive(Debug)]
struct Embed {
    vocab: usize,
}

impl<B: BackwardOps> Backward<B, 1> for Embed {
    type State = IntTensor<B>;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        if let [Some(parent)] = ops.parents {
            grads.register::<B>(parent.id, B::embed_backward(ops.state, grad, self.vocab));
        }
    }
}

#[derive(Debug)]
struct MeanLoss;

impl<B: BackwardOps> Backward<B, 2> for MeanLoss {
    /// Gradients of the loss by the hidden states and by the unembedding.
    type State = [FloatTensor<B>; 2];

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let factor = grads.consume::<B>(&ops.node);
        for (parent, grad) in ops.parents.into_iter().zip(ops.state) {
            if let Some(parent) = parent {
                grads.register::<B>(parent.id, B::scale_by(grad, factor.clone()));
            }
        }
    }
}

impl<B: BackwardOps, C: CheckpointStrategy> FusedOps for Autodiff<B, C> {
    fn rms_norm(x: FloatTensor<Self>, gain: FloatTensor<Self>) -> FloatTensor<Self> {
        let ((x, x_node), (gain, gain_node)) = (x.into_parts(), gain.into_parts());
        match RmsNorm.prepare::<C>([x_node, gain_node]).compute_bound().stateful() {
            OpsKind::Tracked(node) => node.finish([x.clone(), gain.clone()], B::rms_norm(x, gain)),
            OpsKind::UnTracked(node) => node.finish(B::rms_norm(x, gain)),
        }
    }

    fn fused_gelu(x: FloatTensor<Self>) -> FloatTensor<Self> {
        let (x, x_node) = x.into_parts();
        match Gelu.prepare::<C>([x_node]).compute_bound().stateful() {
            OpsKind::Tracked(node) => node.finish(x.clone(), B::fused_gelu(x)),
            OpsKind::UnTracked(node) => node.finish(B::fused_gelu(x)),
        }
    }

    fn causal_attention(
        qkv: FloatTensor<Self>,
        cos: FloatTensor<Self>,
        sin: FloatTensor<Self>,
        heads: usize,
        scale: f64,
    ) -> FloatTensor<Self> {
        let (qkv, qkv_node) = qkv.into_parts();
        let [cos, sin] = [cos, sin].map(|table| table.into_parts().0);
        match Attention.prepare::<C>([qkv_node]).compute_bound().stateful() {
            OpsKind::Tracked(node) => {
                let (output, saved) = B::causal_attention_saving(qkv, cos, sin, heads, scale);
                node.finish(saved, output)
            }
            OpsKind::UnTracked(node) => node.finish(B::causal_attention(qkv, cos, sin, heads, scale)),
        }
    }

    fn embed(table: FloatTensor<Self>, ids: IntTensor<Self>) -> FloatTensor<Self> {
        let (table, table_node) = table.into_parts();
        let vocab = table.shape()[0];
        match (Embed { vocab }).prepare::<C>([table_node]).compute_bound().stateful() {
            OpsKind::Tracked(node) => node.finish(ids.clone(), B::embed(table, ids)),
            OpsKind::UnTracked(node) => node.finish(B::embed(table, ids)),
        }
    }

    fn mean_loss(
        x: FloatTensor<Self>,
        unembedding: FloatTensor<Self>,
        targets: IntTensor<Self>,
        multiplier: f64,
        precision: Precision,
    ) -> FloatTensor<Self> {
        let ((x, x_node), (unembedding, unembedding_node)) = (x.into_parts(), unembedding.into_parts());
        match MeanLoss.prepare::<C>([x_node, unembedding_node]).compute_bound().stateful() {
            OpsKind::Tracked(node) => {
                let (loss, gradients) = B::mean_loss_and_gradients(x, unembedding, targets, multiplier, precision);
                node.finish(gradients, loss)
            }
            OpsKind::UnTracked(node) => node.finish(B::mean_loss(x, unembedding, targets, multiplier, precision)),
        }
    }
}
