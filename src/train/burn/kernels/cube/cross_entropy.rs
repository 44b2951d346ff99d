//! Softmax cross entropy of rows of logits, whose gradient takes their place. A cube has a row.

use cubecl::prelude::*;

use super::sum::{cube_max, cube_sum};

/// Units of a cube.
pub const UNITS: usize = 256;

/// Lower than any logit.
const LOWEST: f32 = -3.0e38;

/// The logarithm of the sum of exp(multiplier z) over a row of logits z. Each unit keeps the largest that it saw, and the sum
/// of exponentials below it.
#[cube]
fn log_sum(logits: &[f32], base: usize, vocab: usize, multiplier: f32) -> f32 {
    let mut highest = LOWEST.runtime();
    let mut sum = 0.0f32;
    let mut i = UNIT_POS as usize;
    while i < vocab {
        let z = logits[base + i] * multiplier;
        if z > highest {
            sum = sum * (highest - z).exp() + 1.0f32;
            highest = z;
        } else {
            sum += (z - highest).exp();
        }
        i += UNITS;
    }
    let top = cube_max(highest, UNITS);
    let all = cube_sum(sum * (highest - top).exp(), UNITS);
    top + all.ln()
}

/// losses[first + row] = log of the sum of exp(multiplier z) - multiplier z[target], in nats, for each row of `logits`
/// `[rows, vocab]`.
#[cube(launch)]
pub fn token_losses(
    logits: &[f32],
    targets: &[i32],
    losses: &mut [f32],
    first: usize,
    rows: usize,
    vocab: usize,
    multiplier: f32,
) {
    if CUBE_POS >= rows {
        terminate!();
    }
    let base = CUBE_POS * vocab;
    let total = log_sum(logits, base, vocab, multiplier);
    if UNIT_POS == 0 {
        let target = targets[first + CUBE_POS] as usize;
        losses[first + CUBE_POS] = total - logits[base + target] * multiplier;
    }
}

/// The same, and z becomes the gradient of weight x loss by it: weight multiplier (softmax - [target]).
#[cube(launch)]
pub fn losses_and_gradient(
    logits: &mut [f32],
    targets: &[i32],
    losses: &mut [f32],
    first: usize,
    rows: usize,
    vocab: usize,
    multiplier: f32,
    weight: f32,
) {
    if CUBE_POS >= rows {
        terminate!();
    }
    let base = CUBE_POS * vocab;
    let target = targets[first + CUBE_POS] as usize;
    let total = log_sum(&*logits, base, vocab, multiplier);
    if UNIT_POS == 0 {
        losses[first + CUBE_POS] = total - logits[base + target] * multiplier;
    }
    // The logit of the target is read before it changes.
    sync_cube();
    let factor = weight * multiplier;
    let mut i = UNIT_POS as usize;
    while i < vocab {
        let mut share = (logits[base + i] * multiplier - total).exp();
        if i == target {
            share -= 1.0f32;
        }
        logits[base + i] = factor * share;
        i += UNITS;
    }
}
