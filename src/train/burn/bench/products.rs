//! The matrix products of a training step, timed alone: what a step would take if nothing else had to be done.

use std::time::{Duration, Instant};

use burn::tensor::{Device, Distribution, Tensor};

use crate::model::{Shape, Weight};
use crate::plan::Run;
use crate::spec::Precision;
use crate::train::burn::ops::Ops;
use crate::train::burn::wait::wait;
use crate::train::timing::median;

/// Rows of a product at a time, so that the logits of a large vocabulary need no memory of their own.
const PIECE_ROWS: usize = 512;

/// Operations between two waits for the device.
const AT_ONCE: usize = 4;

/// How often `work` is done in a second. The first time does not count: kernels are compiled and chosen.
fn per_second(device: &Device, at_least: Duration, work: impl Fn()) -> f64 {
    work();
    wait(device);
    let begun = Instant::now();
    let mut done = 0;
    while begun.elapsed() < at_least {
        for _ in 0..AT_ONCE {
            work();
        }
        wait(device);
        done += AT_ONCE;
    }
    done as f64 / begun.elapsed().as_secs_f64()
}

/// FLOPs per second of products of two large square matrices, `n` rows each.
pub fn peak(n: usize, device: &Device, at_least: Duration) -> f64 {
    let [a, b] = [random([n, n], device), random([n, n], device)];
    2.0 * (n as f64).powi(3) * per_second(device, at_least, || drop(a.clone().matmul(b.clone())))
}

/// Bytes per second that are read and written when so many numbers are copied, one added to each.
pub fn memory_speed(numbers: usize, device: &Device, at_least: Duration) -> f64 {
    let x = random([1, numbers], device);
    let bytes = 2 * numbers * size_of::<f32>();
    bytes as f64 * per_second(device, at_least, || drop(x.clone().add_scalar(1.0)))
}

/// Seconds of all matrix products of one training step of `run`: every weight's output, the gradient of its input and
/// its own, and those of attention, of which the causal half counts.
pub fn of_a_step(run: &Run, device: &Device) -> f64 {
    let Shape { width: d, depth, heads, context, vocab, parts } = run.shape;
    let tokens = run.tokens_per_step();
    let product = |weight: Weight| weight.share * linear(tokens, weight.shape.into(), run.precision, device);
    let block: f64 = run.shape.block().into_iter().filter(Weight::is_matrix).map(product).sum();
    let attention = match parts.mixer.attended(&run.shape.sizes()) {
        0 => 0.0,
        _ => attention(tokens / context * heads, context, d / heads, device),
    };
    depth as f64 * (block + attention) + linear(tokens, (d, vocab), run.precision, device)
}

/// Seconds of the three products of a weight `[inputs, outputs]`.
fn linear(tokens: usize, (inputs, outputs): (usize, usize), precision: Precision, device: &Device) -> f64 {
    let ops = Ops::on(device);
    let product = |a: Tensor<2>, b: Tensor<2>| drop(ops.product(a, b, precision));
    let rows = tokens.min(PIECE_ROWS);
    let (x, weight, grad) =
        (random([rows, inputs], device), random([inputs, outputs], device), random([rows, outputs], device));
    let once = timed(device, || {
        product(x.clone(), weight.clone());
        product(grad.clone(), weight.clone().transpose());
        product(x.clone().transpose(), grad.clone());
    });
    once * tokens as f64 / rows as f64
}

/// Seconds of the two products of the forward pass and the five of the backward pass (one is made anew) of all heads.
fn attention(heads: usize, context: usize, head_dim: usize, device: &Device) -> f64 {
    let some = heads.min(16);
    let wide = Tensor::<3>::random([some, context, head_dim], Distribution::Default, device);
    let square = Tensor::<3>::random([some, context, context], Distribution::Default, device);
    let to_square = timed(device, || drop(wide.clone().matmul(wide.clone().swap_dims(1, 2))));
    let to_wide = timed(device, || drop(square.clone().matmul(wide.clone())));
    f64::midpoint(3.0 * to_square, 4.0 * to_wide) * heads as f64 / some as f64
}

/// The median time of a few calls, after one that warms up.
fn timed(device: &Device, work: impl Fn()) -> f64 {
    work();
    wait(device);
    let times = (0..5).map(|_| {
        let begun = Instant::now();
        work();
        wait(device);
        begun.elapsed().as_secs_f64()
    });
    median(times.collect())
}

fn random(shape: [usize; 2], device: &Device) -> Tensor<2> {
    Tensor::random(shape, Distribution::Default, device)
}
