//! The loss: logits of some rows at a time, whose gradient takes their place, so that no more than one matrix of rows x
//! vocabulary is kept.

use burn::backend::Backend;
use burn::tensor::{DType, Slice};
use burn_cubecl::CubeBackend;
use burn_cubecl::kernel::matmul::{MatmulStrategy, matmul};
use burn_cubecl::ops::{numeric, permute};
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::launch::{cubes, dims, packed, room, units};
use super::{cross_entropy, sum};

/// Bytes of logits, at most, where the device has buffers of that size.
const LOGIT_BYTES: u64 = 256 << 20;

/// Rows whose logits are made at a time.
pub fn rows_at_once(unembedding: &CubeTensor) -> usize {
    let largest = unembedding.client.properties().memory.max_page_size.min(LOGIT_BYTES) as usize;
    (largest / (4 * dims(unembedding)[1])).max(1)
}

fn product(a: CubeTensor, b: CubeTensor) -> CubeTensor {
    matmul(a, b, None, MatmulStrategy::default(), DType::F32).expect("matrices whose shapes fit")
}

fn transposed(x: CubeTensor) -> CubeTensor {
    permute(x, &[1, 0])
}

/// Rows `begin` to `end`: all of them are the tensor itself.
fn rows<B: Backend>(x: B::FloatTensorPrimitive, begin: usize, end: usize, all: usize) -> B::FloatTensorPrimitive {
    if (begin, end) == (0, all) { x } else { B::float_slice(x, &[Slice::from(begin..end)]) }
}

/// Rows under each other.
fn stacked<B: Backend>(mut parts: Vec<B::FloatTensorPrimitive>) -> B::FloatTensorPrimitive {
    if parts.len() == 1 { parts.remove(0) } else { B::float_cat(parts, 0) }
}

/// The mean `[1]` of numbers `[n]`.
pub fn mean(losses: CubeTensor) -> CubeTensor {
    let n = losses.meta.shape()[0];
    let mean = room(&losses, [1]);
    sum::sum_all::launch(
        &mean.client,
        CubeCount::Static(1, 1, 1),
        units(cross_entropy::UNITS),
        losses.into_buffer_arg(),
        mean.clone().into_buffer_arg(),
        n,
        1.0 / n as f32,
        cross_entropy::UNITS,
    );
    mean
}

/// Cross entropy of each token.
pub fn token_losses(x: CubeTensor, unembedding: CubeTensor, targets: CubeTensor, multiplier: f64) -> CubeTensor {
    let [n, _] = dims(&x);
    let vocab = dims(&unembedding)[1];
    let at_once = rows_at_once(&unembedding);
    let losses = room(&x, [n]);
    for first in (0..n).step_by(at_once) {
        let end = (first + at_once).min(n);
        let part = rows::<CubeBackend>(x.clone(), first, end, n);
        let logits = packed(product(part, unembedding.clone()));
        cross_entropy::token_losses::launch(
            &losses.client,
            cubes(&losses, end - first),
            units(cross_entropy::UNITS),
            logits.into_buffer_arg(),
            targets.clone().into_buffer_arg(),
            losses.clone().into_buffer_arg(),
            first,
            end - first,
            vocab,
            multiplier as f32,
        );
    }
    losses
}

/// The mean `[1]` of the cross entropies, and its gradients by `x` and by the unembedding.
pub fn mean_and_gradients(
    [x, unembedding]: [CubeTensor; 2],
    targets: CubeTensor,
    multiplier: f64,
    at_once: usize,
) -> (CubeTensor, [CubeTensor; 2]) {
    let [n, _] = dims(&x);
    let vocab = dims(&unembedding)[1];
    let losses = room(&x, [n]);
    let (mut grad_x, mut grad_unembedding) = (Vec::new(), None);
    for first in (0..n).step_by(at_once) {
        let end = (first + at_once).min(n);
        let part = rows::<CubeBackend>(x.clone(), first, end, n);
        let logits = packed(product(part.clone(), unembedding.clone()));
        cross_entropy::losses_and_gradient::launch(
            &losses.client,
            cubes(&losses, end - first),
            units(cross_entropy::UNITS),
            logits.clone().into_buffer_arg(),
            targets.clone().into_buffer_arg(),
            losses.clone().into_buffer_arg(),
            first,
            end - first,
            vocab,
            multiplier as f32,
            1.0 / n as f32,
        );
        grad_x.push(product(logits.clone(), transposed(unembedding.clone())));
        let grad = product(transposed(part), logits);
        grad_unembedding = Some(match grad_unembedding {
            None => grad,
            Some(sum) => numeric::add(sum, grad),
        });
    }
    (mean(losses), [stacked::<CubeBackend>(grad_x), grad_unembedding.expect("a batch has rows")])
}
