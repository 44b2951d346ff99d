//! Layer normalization without a bias.

use super::simd::{dot, sum_of, vectorized};
use crate::plan::NORM_EPSILON;

/// Mean of a row, and the reciprocal of its standard deviation.
#[inline(always)]
fn moments(x: &[f32]) -> (f32, f32) {
    let d = x.len() as f32;
    let mean = sum_of(x, |x| x) / d;
    let variance = sum_of(x, |x| (x - mean) * (x - mean)) / d;
    (mean, (variance + NORM_EPSILON as f32).sqrt().recip())
}

/// Each row of `x` less its mean, over its standard deviation, times `gain`.
pub fn forward(x: &[f32], gain: &[f32], y: &mut [f32]) {
    vectorized(
        #[inline(always)]
        || {
            for (x, y) in x.chunks_exact(gain.len()).zip(y.chunks_exact_mut(gain.len())) {
                let (mean, r) = moments(x);
                for ((y, &x), &gain) in y.iter_mut().zip(x).zip(gain) {
                    *y = (x - mean) * r * gain;
                }
            }
        },
    );
}

/// Turns the gradient of y into that of x, and adds that of the gain to `grad_gain`.
///
/// With h = (x - mean) / deviation and g the gradient of y: dgain = sum of g h, dx = (g gain - mean(g gain) - h mean(g gain
/// h)) / deviation.
pub fn backward(x: &[f32], gain: &[f32], grad: &mut [f32], grad_gain: &mut [f32]) {
    let d = gain.len();
    let (mut product, mut normed) = (vec![0.0; d], vec![0.0; d]);
    vectorized(
        #[inline(always)]
        || {
            let (gain, grad_gain) = (&gain[..d], &mut grad_gain[..d]);
            let (product, normed) = (&mut product[..d], &mut normed[..d]);
            for (x, grad) in x.chunks_exact(d).zip(grad.chunks_exact_mut(d)) {
                let (mean, r) = moments(x);
                for i in 0..d {
                    normed[i] = (x[i] - mean) * r;
                    grad_gain[i] = grad[i].mul_add(normed[i], grad_gain[i]);
                    product[i] = grad[i] * gain[i];
                }
                let along = dot(product, normed) / d as f32;
                let mean = sum_of(product, |x| x) / d as f32;
                for i in 0..d {
                    grad[i] = r * (-normed[i]).mul_add(along, product[i] - mean);
                }
            }
        },
    );
}
