//! Evaluation and the optimizer on the CPU device's tensors and threads.

use burn::backend::Flex;
use burn::backend::tensor::{FloatTensor, IntTensor};
use rayon::prelude::*;

use super::{PIECE, SUM_ROWS, head, ids, packed, tensor};
use super::{adamw, cross_entropy, simd};
use crate::train::burn::kernels::PlainOps;
use crate::train::burn::update::Update;

impl PlainOps for Flex {
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
