//! Backward passes on the CPU device's tensors and threads.

use burn::backend::Flex;
use burn::backend::tensor::{FloatTensor, IntTensor};
use rayon::prelude::*;

use super::attention::{self, Saved, Sequence};
use super::{PIECE, SUM_ROWS, dims, head, ids, packed, tensor};
use super::{activation, cross_entropy, embedding, norm};
use crate::spec::Precision;
use crate::train::burn::kernels::seam::{BackwardOps, SavedAttention};

/// Element by element sum of parts, in their order.
pub fn sum_in_order(parts: Vec<Vec<f32>>) -> Vec<f32> {
    let add = |mut sum: Vec<f32>, part: Vec<f32>| {
        sum.iter_mut().zip(part).for_each(|(sum, x)| *sum += x);
        sum
    };
    parts.into_iter().reduce(add).expect("a batch has rows")
}

impl BackwardOps for Flex {
    fn rms_norm_backward(
        x: FloatTensor<Self>,
        gain: FloatTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let (x, gain, mut grad) = (packed(x), packed(gain), packed(grad));
        let [_, d] = dims(&x);
        let grads = grad.storage_mut::<f32>().par_chunks_mut(SUM_ROWS * d);
        let parts = grads.zip(x.storage::<f32>().par_chunks(SUM_ROWS * d)).map(|(grad, x)| {
            let mut grad_gain = vec![0.0; d];
            norm::backward(x, gain.storage(), grad, &mut grad_gain);
            grad_gain
        });
        let grad_gain = sum_in_order(parts.collect());
        (grad, tensor(grad_gain, [1, d]))
    }

    fn fused_gelu_backward(x: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self> {
        let (x, mut grad) = (packed(x), packed(grad));
        let pieces = grad.storage_mut::<f32>().par_chunks_mut(PIECE).zip(x.storage::<f32>().par_chunks(PIECE));
        pieces.for_each(|(grad, x)| activation::gelu_backward(x, grad));
        grad
    }

    fn causal_attention_saving(
        qkv: FloatTensor<Self>,
        cos: FloatTensor<Self>,
        sin: FloatTensor<Self>,
        heads: usize,
        scale: f64,
    ) -> (FloatTensor<Self>, SavedAttention<Self>) {
        let (mut qkv, cos, sin) = (packed(qkv), packed(cos), packed(sin));
        let ([n, d3], [context, _]) = (dims(&qkv), dims(&cos));
        let width = d3 / 3;
        let shape = Sequence { context, width, heads, scale: scale as f32 };
        let mut output = vec![0.0; n * width];
        let mut denominators = vec![0.0; n * heads];
        let sequences = qkv.storage_mut::<f32>().par_chunks_mut(context * d3);
        let outputs = output.par_chunks_mut(context * width).zip(denominators.par_chunks_mut(context * heads));
        let scratch = || vec![0.0; shape.scratch()];
        sequences.zip(outputs).for_each_init(scratch, |scratch, (qkv, (output, denominators))| {
            attention::rotate(shape, qkv, cos.storage(), sin.storage(), 1.0);
            attention::forward(shape, qkv, output, denominators, scratch);
        });
        let output = tensor(output, [n, width]);
        let denominators = tensor(denominators, [n, heads]);
        (output.clone(), SavedAttention { qkv, output, denominators, cos, sin, heads, scale })
    }

    fn causal_attention_backward(saved: SavedAttention<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self> {
        let SavedAttention { qkv: turned, output, denominators, cos, sin, heads, scale } = saved;
        let grad = packed(grad);
        let ([n, d3], [context, _]) = (dims(&turned), dims(&cos));
        let width = d3 / 3;
        let shape = Sequence { context, width, heads, scale: scale as f32 };
        let mut grad_qkv = vec![0.0; n * d3];
        let sequences = turned
            .storage::<f32>()
            .par_chunks(context * d3)
            .zip(output.storage::<f32>().par_chunks(context * width))
            .zip(grad.storage::<f32>().par_chunks(context * width))
            .zip(denominators.storage::<f32>().par_chunks(context * heads));
        let scratch = || [(); 2].map(|()| vec![0.0; shape.scratch()]);
        let with_grads = grad_qkv.par_chunks_mut(context * d3).zip(sequences);
        with_grads.for_each_init(scratch, |scratch, (grad_qkv, (((qkv, output), grad), denominators))| {
            let saved = Saved { qkv, output, grad, denominators };
            attention::backward(shape, saved, grad_qkv, scratch.each_mut().map(Vec::as_mut_slice));
            attention::rotate(shape, grad_qkv, cos.storage(), sin.storage(), -1.0);
        });
        tensor(grad_qkv, [n, d3])
    }

    fn embed_backward(ids: IntTensor<Self>, grad: FloatTensor<Self>, vocab: usize) -> FloatTensor<Self> {
        let (ids, grad) = (self::ids(ids), packed(grad));
        let [_, d] = dims(&grad);
        let mut table = vec![0.0; vocab * d];
        embedding::backward(&ids, grad.storage(), d, &mut table);
        tensor(table, [vocab, d])
    }

    fn mean_loss_and_gradients(
        x: FloatTensor<Self>,
        unembedding: FloatTensor<Self>,
        targets: IntTensor<Self>,
        multiplier: f64,
        precision: Precision,
    ) -> (FloatTensor<Self>, [FloatTensor<Self>; 2]) {
        let (x, unembedding, targets) = (packed(x), packed(unembedding), ids(targets));
        let head = head(&unembedding, multiplier, precision);
        let n = targets.len();
        let weight = 1.0 / n as f32;
        let mut grad_x = vec![0.0; n * head.d];
        let rows = x.storage::<f32>().par_chunks(SUM_ROWS * head.d).zip(targets.par_chunks(SUM_ROWS));
        let parts = grad_x.par_chunks_mut(SUM_ROWS * head.d).zip(rows).map(|(grad_x, (x, targets))| {
            let mut grad_weights = vec![0.0; head.d * head.vocab];
            let sum = cross_entropy::loss_and_gradients(head, x, targets, weight, grad_x, &mut grad_weights);
            (sum, grad_weights)
        });
        let (sums, grads): (Vec<f64>, Vec<_>) = parts.unzip();
        let mean = sums.iter().sum::<f64>() / n as f64;
        let grad_unembedding = tensor(sum_in_order(grads), [head.d, head.vocab]);
        (tensor(vec![mean as f32], [1]), [tensor(grad_x, [n, head.d]), grad_unembedding])
    }

    #[allow(clippy::float_cmp)] // exactly 1 is the gradient of a loss by itself
    fn scale_by(mut x: FloatTensor<Self>, factor: FloatTensor<Self>) -> FloatTensor<Self> {
        let factor = factor.storage::<f32>()[0];
        if factor != 1.0 {
            x.storage_mut::<f32>().iter_mut().for_each(|x| *x *= factor);
        }
        x
    }
}
