//! The fused operations in burn's automatic differentiation: what each keeps from its forward pass.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Autodiff, AutodiffBackend};

use super::{FusedOps, Update};

/// Why the helpers of backward passes and of the optimizer have no gradient of their own.
const INNER_ONLY: &str = "called on tensors without gradients only";

#[derive(Debug)]
struct RmsNorm;

impl<B: FusedOps> Backward<B, 2> for RmsNorm {
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

impl<B: FusedOps> Backward<B, 1> for Gelu {
    type State = FloatTensor<B>;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        if let [Some(parent)] = ops.parents {
            grads.register::<B>(parent.id, B::fused_gelu_backward(ops.state, grad));
        }
    }
}

#[derive(Debug)]
struct Attention {
    heads: usize,
    scale: f64,
}

impl<B: FusedOps> Backward<B, 1> for Attention {
    /// `qkv` as turned, output, denominators, cosines, sines.
    type State = [FloatTensor<B>; 5];

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let [turned, output, denominators, cos, sin] = ops.state;
        if let [Some(parent)] = ops.parents {
            let grad =
                B::causal_attention_backward(turned, output, denominators, cos, sin, grad, self.heads, self.scale);
            grads.register::<B>(parent.id, grad);
        }
    }
}

#[derive(Debug)]
struct Embed {
    vocab: usize,
}

impl<B: FusedOps> Backward<B, 1> for Embed {
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

impl<B: FusedOps> Backward<B, 2> for MeanLoss {
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

impl<B: FusedOps, C: CheckpointStrategy> FusedOps for Autodiff<B, C> {
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
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let (qkv, qkv_node) = qkv.into_parts();
        let [cos, sin] = [cos, sin].map(|table| table.into_parts().0);
        let (output, turned, denominators) = B::causal_attention(qkv, cos.clone(), sin.clone(), heads, scale);
        // What the backward pass needs has no gradient of its own.
        let [turned_constant, denominators_constant] =
            [turned.clone(), denominators.clone()].map(<Self as AutodiffBackend>::from_inner);
        let output = match (Attention { heads, scale }).prepare::<C>([qkv_node]).compute_bound().stateful() {
            OpsKind::Tracked(node) => node.finish([turned, output.clone(), denominators, cos, sin], output),
            OpsKind::UnTracked(node) => node.finish(output),
        };
        (output, turned_constant, denominators_constant)
    }

    fn embed(table: FloatTensor<Self>, ids: IntTensor<Self>) -> FloatTensor<Self> {
        use burn::backend::TensorMetadata;
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
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let ((x, x_node), (unembedding, unembedding_node)) = (x.into_parts(), unembedding.into_parts());
        let (loss, grad_x, grad_unembedding) = B::mean_loss(x, unembedding, targets, multiplier);
        let [grad_x_constant, grad_unembedding_constant] =
            [grad_x.clone(), grad_unembedding.clone()].map(<Self as AutodiffBackend>::from_inner);
        let loss = match MeanLoss.prepare::<C>([x_node, unembedding_node]).compute_bound().stateful() {
            OpsKind::Tracked(node) => node.finish([grad_x, grad_unembedding], loss),
            OpsKind::UnTracked(node) => node.finish(loss),
        };
        (loss, grad_x_constant, grad_unembedding_constant)
    }

    fn rms_norm_backward(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        unreachable!("{INNER_ONLY}")
    }

    fn fused_gelu_backward(_: FloatTensor<Self>, _: FloatTensor<Self>) -> FloatTensor<Self> {
        unreachable!("{INNER_ONLY}")
    }

    fn causal_attention_backward(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: usize,
        _: f64,
    ) -> FloatTensor<Self> {
        unreachable!("{INNER_ONLY}")
    }

    fn embed_backward(_: IntTensor<Self>, _: FloatTensor<Self>, _: usize) -> FloatTensor<Self> {
        unreachable!("{INNER_ONLY}")
    }

    fn token_losses(_: FloatTensor<Self>, _: FloatTensor<Self>, _: IntTensor<Self>, _: f64) -> FloatTensor<Self> {
        unreachable!("{INNER_ONLY}")
    }

    fn scale_by(_: FloatTensor<Self>, _: FloatTensor<Self>) -> FloatTensor<Self> {
        unreachable!("{INNER_ONLY}")
    }

    fn sum_squares(_: FloatTensor<Self>) -> FloatTensor<Self> {
        unreachable!("{INNER_ONLY}")
    }

    fn adamw(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: Update,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        unreachable!("{INNER_ONLY}")
    }
}
