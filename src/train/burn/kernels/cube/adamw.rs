//! One AdamW step of all weights, after clipping by the norm of all their gradients: one launch for the squares, one for the
//! clip factor, one for the step. A launch takes as many weights as the device can bind buffers for; more need a further one.

use cubecl::prelude::*;

use super::sum::cube_sum;

/// Units of a cube, and elements of a weight that a cube has.
pub const UNITS: usize = 256;
pub const PIECE: usize = 4096;

/// Most weights of one launch: each makes the kernel longer.
pub const MOST_WEIGHTS: usize = 32;

/// Numbers of a weight in `rates`: rate, keep, epsilon.
pub const RATES: usize = 3;

/// partials[first + cube] = sum of the squares of the cube's piece of a gradient. Cubes are counted through the gradients;
/// `lens` has their lengths.
#[cube(launch)]
pub fn squares(grads: &Sequence<Box<[f32]>>, lens: &Sequence<usize>, partials: &mut [f32], first: usize, cubes: usize) {
    if CUBE_POS >= cubes {
        terminate!();
    }
    let mut sum = 0.0f32;
    let mut before = 0usize.runtime();
    let count = grads.len().comptime();
    #[unroll]
    for w in 0..count {
        let len = lens[w];
        let begin = (CUBE_POS - before) * PIECE;
        // For the cubes of weights before this one, the difference is beyond any length.
        if CUBE_POS >= before && begin < len {
            let end = (begin + PIECE).min(len);
            let mut i = begin + UNIT_POS as usize;
            while i < end {
                let g = grads[w][i];
                sum += g * g;
                i += UNITS;
            }
        }
        before += (len + comptime!(PIECE - 1)) / PIECE;
    }
    let sum = cube_sum(sum, UNITS);
    if UNIT_POS == 0 {
        partials[first + CUBE_POS] = sum;
    }
}

/// clip[0] = limit / norm, at most 1, with norm the root of the sum of `partials`. By one cube.
#[cube(launch)]
pub fn clip_factor(partials: &[f32], clip: &mut [f32], len: usize, limit: f32) {
    let mut sum = 0.0f32;
    let mut i = UNIT_POS as usize;
    while i < len {
        sum += partials[i];
        i += UNITS;
    }
    let sum = cube_sum(sum, UNITS);
    if UNIT_POS == 0 {
        let norm = sum.sqrt();
        if norm <= limit {
            clip[0] = 1.0f32;
        } else {
            clip[0] = limit / norm;
        }
    }
}

/// What one step does to the numbers `begin` to `end` of a weight.
#[derive(CubeType, Clone, Copy)]
struct Rates {
    rate: f32,
    keep: f32,
    epsilon: f32,
    beta1: f32,
    beta2: f32,
    second_correction: f32,
    clip: f32,
}

#[cube]
fn update(
    value: &mut [f32],
    first: &mut [f32],
    second: &mut [f32],
    grad: &[f32],
    rates: &Rates,
    begin: usize,
    end: usize,
) {
    let mut i = begin + UNIT_POS as usize;
    while i < end {
        let g = grad[i] * rates.clip;
        let m = rates.beta1 * first[i] + (1.0f32 - rates.beta1) * g;
        let v = rates.beta2 * second[i] + (1.0f32 - rates.beta2) * g * g;
        first[i] = m;
        second[i] = v;
        let root = (v * rates.second_correction).sqrt() + rates.epsilon;
        value[i] = rates.keep * value[i] - rates.rate * m / root;
        i += UNITS;
    }
}

/// Values and moments one step on, where they lie, from the gradients times clip[0]. Cubes are counted through the weights.
#[cube(launch)]
pub fn step(
    values: &mut Sequence<Box<[f32]>>,
    firsts: &mut Sequence<Box<[f32]>>,
    seconds: &mut Sequence<Box<[f32]>>,
    grads: &Sequence<Box<[f32]>>,
    lens: &Sequence<usize>,
    rates: &[f32],
    clip: &[f32],
    offset: usize,
    beta1: f32,
    beta2: f32,
    second_correction: f32,
) {
    let mut before = 0usize.runtime();
    let count = grads.len().comptime();
    #[unroll]
    for w in 0..count {
        let len = lens[w];
        let begin = (CUBE_POS - before) * PIECE;
        if CUBE_POS >= before && begin < len {
            let at = (offset + w) * RATES;
            let rates = Rates {
                rate: rates[at],
                keep: rates[at + 1],
                epsilon: rates[at + 2],
                beta1,
                beta2,
                second_correction,
                clip: clip[0],
            };
            let end = (begin + PIECE).min(len);
            update(values.index_mut(w), firsts.index_mut(w), seconds.index_mut(w), grads.index(w), &rates, begin, end);
        }
        before += (len + comptime!(PIECE - 1)) / PIECE;
    }
}
