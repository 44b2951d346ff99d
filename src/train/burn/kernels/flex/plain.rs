//! Evaluation and the optimizer on the CPU device's tensors and threads.

use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Dispatch, Flex};
use burn::tensor::Tensor;
use rayon::prelude::*;

use super::{PIECE, SUM_ROWS, head, ids, packed, tensor};
use super::{cross_entropy, simd, step};
use crate::optimizer::{OptimizerKind, Update};
use crate::spec::Precision;
use crate::train::burn::composed::clip_factor;
use crate::train::burn::kernels::seam::{PlainOps, WeightOps};

impl PlainOps for Flex {
    fn token_losses(
        x: FloatTensor<Self>,
        unembedding: FloatTensor<Self>,
        targets: IntTensor<Self>,
        multiplier: f64,
        precision: Precision,
    ) -> FloatTensor<Self> {
        let (x, unembedding, targets) = (packed(x), packed(unembedding), ids(targets));
        let head = head(&unembedding, multiplier, precision);
        let mut losses = vec![0.0; targets.len()];
        let rows = x.storage::<f32>().par_chunks(SUM_ROWS * head.d).zip(targets.par_chunks(SUM_ROWS));
        losses.par_chunks_mut(SUM_ROWS).zip(rows).for_each(|(losses, (x, targets))| {
            cross_entropy::token_losses(head, x, targets, losses);
        });
        tensor(losses, [targets.len()])
    }
}

impl WeightOps for Flex {
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
            .for_each(|((value, (first, second)), grad)| step::adamw(value, first, second, grad, clip, &update));
        (value, first, second)
    }

    fn momentum(
        value: FloatTensor<Self>,
        momentum: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        kind: OptimizerKind,
        update: Update,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let [mut value, mut momentum, grad] = [value, momentum, grad].map(packed);
        let step = match kind {
            OptimizerKind::Lion => step::lion,
            OptimizerKind::Sgd => step::sgd,
            OptimizerKind::Adamw | OptimizerKind::Muon => unreachable!("its steps are not these"),
        };
        let pieces = value.storage_mut::<f32>().par_chunks_mut(PIECE).zip(momentum.storage_mut().par_chunks_mut(PIECE));
        pieces
            .zip(grad.storage::<f32>().par_chunks(PIECE))
            .for_each(|((value, momentum), grad)| step(value, momentum, grad, &update));
        (value, momentum)
    }
}

/// One AdamW step of each weight, one after another: see [`crate::train::burn::kernels::adamw`].
pub fn adamw_all(
    states: Vec<[Tensor<2>; 3]>,
    gradients: Vec<Tensor<2>>,
    limit: f64,
    updates: &[Update],
) -> Vec<[Tensor<2>; 3]> {
    let square = |gradient: &Tensor<2>| Tensor::from_dispatch(Dispatch::sum_squares(gradient.clone().into_dispatch()));
    let clip = clip_factor(gradients.iter().map(square).collect(), limit);
    let step = |((state, gradient), &update): (([Tensor<2>; 3], Tensor<2>), &Update)| {
        let [value, first, second] = state.map(Tensor::into_dispatch);
        let (gradient, clip) = (gradient.into_dispatch(), clip.clone().into_dispatch());
        let (value, first, second) = Dispatch::adamw(value, first, second, gradient, clip, update);
        [value, first, second].map(Tensor::from_dispatch)
    };
    states.into_iter().zip(gradients).zip(updates).map(step).collect()
}

/// One step of an optimizer with one moment, of one weight: see [`crate::train::burn::kernels::momentum`].
pub fn momentum(kind: OptimizerKind, state: [Tensor<2>; 2], grad: Tensor<2>, update: &Update) -> [Tensor<2>; 2] {
    let [value, momentum] = state.map(Tensor::into_dispatch);
    let (value, momentum) = Dispatch::momentum(value, momentum, grad.into_dispatch(), kind, *update);
    [value, momentum].map(Tensor::from_dispatch)
}
