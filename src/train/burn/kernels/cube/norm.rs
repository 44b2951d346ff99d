//! Root-mean-square normalization. A cube has a row at a time, its units every 64th channel.

use cubecl::prelude::*;

use super::sum::cube_sum;
use crate::plan::NORM_EPSILON;

/// Units of a cube.
pub const UNITS: usize = 64;

/// Cubes of the backward pass, each of which has every so-manieth row: their number is that of the partial sums of the
/// gradient of the gain.
pub const PIECES: usize = 256;

/// Reciprocal of the root of a mean square.
#[cube]
fn reciprocal_rms(square: f32, d: usize) -> f32 {
    1.0f32 / (square / (d as f32) + comptime!(NORM_EPSILON as f32)).sqrt()
}

/// y = x r gain, with r the reciprocal of the root mean square of the row.
#[cube(launch)]
pub fn forward(x: &[f32], gain: &[f32], y: &mut [f32], rows: usize, d: usize) {
    if CUBE_POS >= rows {
        terminate!();
    }
    let base = CUBE_POS * d;
    let mut square = 0.0f32;
    let mut i = UNIT_POS as usize;
    while i < d {
        let v = x[base + i];
        square += v * v;
        i += UNITS;
    }
    let r = reciprocal_rms(cube_sum(square, UNITS), d);
    let mut i = UNIT_POS as usize;
    while i < d {
        y[base + i] = x[base + i] * r * gain[i];
        i += UNITS;
    }
}

/// The gradient of x, and for each cube a row of `partials` `[cubes, d]`, whose sum is the gradient of the gain.
///
/// With h = x r and g the gradient of y: dgain = sum of g h, dx = (g gain - h mean(g gain h)) r.
#[cube(launch)]
pub fn backward(
    x: &[f32],
    gain: &[f32],
    grad: &[f32],
    grad_x: &mut [f32],
    partials: &mut [f32],
    rows: usize,
    d: usize,
) {
    let partial = CUBE_POS * d;
    let mut i = UNIT_POS as usize;
    while i < d {
        partials[partial + i] = 0.0f32;
        i += UNITS;
    }
    let mut row = CUBE_POS;
    while row < rows {
        let base = row * d;
        let mut square = 0.0f32;
        let mut product = 0.0f32;
        let mut i = UNIT_POS as usize;
        while i < d {
            let v = x[base + i];
            square += v * v;
            product += grad[base + i] * gain[i] * v;
            i += UNITS;
        }
        let r = reciprocal_rms(cube_sum(square, UNITS), d);
        let mean = cube_sum(product, UNITS) * r * r / (d as f32);
        let mut i = UNIT_POS as usize;
        while i < d {
            let v = x[base + i];
            let g = grad[base + i];
            grad_x[base + i] = r * (g * gain[i] - v * mean);
            partials[partial + i] += g * v * r;
            i += UNITS;
        }
        row += CUBE_COUNT;
    }
}
