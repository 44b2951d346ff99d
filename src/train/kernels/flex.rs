//! The kernels on the CPU device's tensors and threads.

use burn::backend::Flex;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::tensor::{Bytes, DType, Shape};
use burn_flex::{FlexTensor, Layout};
use rayon::prelude::*;

use super::attention::{self, Saved, Sequence};
use super::cross_entropy::{self, Unembedding};
use super::{FusedOps, Update, activation, adamw, embedding, norm, simd};

/// Elements of one piece of an elementwise operation.
const PIECE: usize = 1 << 14;

/// Rows over which a sum is taken by one thread: fixed, so that sums do not depend on the number of threads.
const SUM_ROWS: usize = 2048;

/// A tensor whose elements lie in order from the start of its storage.
fn packed(x: FlexTensor) -> FlexTensor {
    if x.is_contiguous() && x.layout().start_offset() == 0 { x } else { x.to_contiguous() }
}

/// A tensor of these elements.
fn tensor(values: Vec<f32>, shape: impl Into<Vec<usize>>) -> FlexTensor {
    FlexTensor::new(Bytes::from_elems(values), Layout::contiguous(Shape::from(shape.into())), DType::F32)
}

/// Rows and columns.
fn dims(x: &FlexTensor) -> [usize; 2] {
    let shape = x.layout().shape();
    [shape[0], shape[1]]
}

/// Token ids in the width that the kernels use.
fn ids(x: IntTensor<Flex>) -> Vec<i32> {
    let x = packed(x);
    match x.dtype() {
        DType::I32 => x.storage::<i32>().to_vec(),
        DType::I64 => x.storage::<i64>().iter().map(|&id| id as i32).collect(),
        other => unreachable!("token ids are uploaded as i32, not {other:?}"),
    }
}

/// Element by element sum of parts, in their order.
fn sum_in_order(parts: Vec<Vec<f32>>) -> Vec<f32> {
    let add = |mut sum: Vec<f32>, part: Vec<f32>| {
        sum.iter_mut().zip(part).for_each(|(sum, x)| *sum += x);
        sum
    };
    parts.into_iter().reduce(add).expect("a batch has rows")
}

impl FusedOps for Flex {
    fn rms_norm(x: FloatTensor<Self>, gain: FloatTensor<Self>) -> FloatTensor<Self> {
        let (x, gain) = (packed(x), packed(gain));
        let [n, d] = dims(&x);
        let mut y = vec![0.0; n * d];
        let rows = (PIECE / d).max(1) * d;
        y.par_chunks_mut(rows).zip(x.storage::<f32>().par_chunks(rows)).for_each(|(y, x)| {
            norm::forward(x, gain.storage(), y);
        });
        tensor(y, [n, d])
    }

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

    fn fused_gelu(x: FloatTensor<Self>) -> FloatTensor<Self> {
        let x = packed(x);
        let [n, d] = dims(&x);
        let mut y = vec![0.0; n * d];
        let pieces = y.par_chunks_mut(PIECE).zip(x.storage::<f32>().par_chunks(PIECE));
        pieces.for_each(|(y, x)| activation::gelu(x, y));
        tensor(y, [n, d])
    }

    fn fused_gelu_backward(x: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self> {
        let (x, mut grad) = (packed(x), packed(grad));
        let pieces = grad.storage_mut::<f32>().par_chunks_mut(PIECE).zip(x.storage::<f32>().par_chunks(PIECE));
        pieces.for_each(|(grad, x)| activation::gelu_backward(x, grad));
        grad
    }

    fn causal_attention(
        qkv: FloatTensor<Self>,
        cos: FloatTensor<Self>,
        sin: FloatTensor<Self>,
        heads: usize,
        scale: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
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
        (tensor(output, [n, width]), qkv, tensor(denominators, [n, heads]))
    }

    fn causal_attention_backward(
        turned: FloatTensor<Self>,
        output: FloatTensor<Self>,
        denominators: FloatTensor<Self>,
        cos: FloatTensor<Self>,
        sin: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        heads: usize,
        scale: f64,
    ) -> FloatTensor<Self> {
        let (cos, sin, grad) = (packed(cos), packed(sin), packed(grad));
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

    fn embed(table: FloatTensor<Self>, ids: IntTensor<Self>) -> FloatTensor<Self> {
        let (table, ids) = (packed(table), self::ids(ids));
        let [_, d] = dims(&table);
        let mut y = vec![0.0; ids.len() * d];
        embedding::forward(table.storage(), &ids, d, &mut y);
        tensor(y, [ids.len(), d])
    }

    fn embed_backward(ids: IntTensor<Self>, grad: FloatTensor<Self>, vocab: usize) -> FloatTensor<Self> {
        let (ids, grad) = (self::ids(ids), packed(grad));
        let [_, d] = dims(&grad);
        let mut table = vec![0.0; vocab * d];
        embedding::backward(&ids, grad.storage(), d, &mut table);
        tensor(table, [vocab, d])
    }

    fn token_losses(
        x: FloatTensor<Self>,
        unembedding: FloatTensor<Self>,
        targets: IntTensor<Self>,
        multiplier: f64,
    ) -> FloatTensor<Self> {
        let (x, unembedding, targets) = (packed(x), packed(unembedding), ids(targets));
        let head = head(&unembedding, multiplier);
        let mut losses = vec![0.0; targets.len()];
        let rows = x.storage::<f32>().par_chunks(SUM_ROWS * head.d).zip(targets.par_chunks(SUM_ROWS));
        losses.par_chunks_mut(SUM_ROWS).zip(rows).for_each(|(losses, (x, targets))| {
            cross_entropy::token_losses(head, x, targets, losses);
        });
        tensor(losses, [targets.len()])
    }

    fn mean_loss(
        x: FloatTensor<Self>,
        unembedding: FloatTensor<Self>,
        targets: IntTensor<Self>,
        multiplier: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let (x, unembedding, targets) = (packed(x), packed(unembedding), ids(targets));
        let head = head(&unembedding, multiplier);
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
        (tensor(vec![mean as f32], [1]), tensor(grad_x, [n, head.d]), grad_unembedding)
    }

    #[allow(clippy::float_cmp)] // exactly 1 is the gradient of a loss by itself
    fn scale_by(mut x: FloatTensor<Self>, factor: FloatTensor<Self>) -> FloatTensor<Self> {
        let factor = factor.storage::<f32>()[0];
        if factor != 1.0 {
            x.storage_mut::<f32>().iter_mut().for_each(|x| *x *= factor);
        }
        x
    }

    fn sum_squares(x: FloatTensor<Self>) -> FloatTensor<Self> {
        let x = packed(x);
        let square = |piece: &[f32]| {
            f64::from(simd::vectorized(
                #[inline(always)]
                || simd::dot(piece, piece),
            ))
        };
        let parts: Vec<f64> = x.storage::<f32>().par_chunks(PIECE).map(square).collect();
        tensor(vec![parts.iter().sum::<f64>() as f32], [1])
    }

    fn adamw(
        value: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        clip: FloatTensor<Self>,
        update: Update,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let [mut value, mut first, mut second, grad] = [value, first, second, grad].map(packed);
        let clip = clip.storage::<f32>()[0];
        let values = value.storage_mut::<f32>().par_chunks_mut(PIECE);
        let moments = first.storage_mut::<f32>().par_chunks_mut(PIECE).zip(second.storage_mut().par_chunks_mut(PIECE));
        values
            .zip(moments)
            .zip(grad.storage::<f32>().par_chunks(PIECE))
            .for_each(|((value, (first, second)), grad)| adamw::step(value, first, second, grad, clip, update));
        (value, first, second)
    }
}

/// The unembedding as the kernels see it.
fn head(unembedding: &FlexTensor, multiplier: f64) -> Unembedding<'_> {
    let [d, vocab] = dims(unembedding);
    Unembedding { weights: unembedding.storage(), d, vocab, multiplier: multiplier as f32 }
}
