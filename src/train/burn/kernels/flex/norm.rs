//! Root-mean-square normalization.

use super::simd::{dot, vectorized};
use crate::plan::NORM_EPSILON;

/// Reciprocal of the root mean square of a row.
#[inline(always)]
fn reciprocal_rms(x: &[f32]) -> f32 {
    (dot(x, x) / x.len() as f32 + NORM_EPSILON as f32).sqrt().recip()
}

/// Normalizes each row of `x` by its root mean square and multiplies by `gain`.
pub fn forward(x: &[f32], gain: &[f32], y: &mut [f32]) {
    vectorized(
        #[inline(always)]
        || {
            for (x, y) in x.chunks_exact(gain.len()).zip(y.chunks_exact_mut(gain.len())) {
                let r = reciprocal_rms(x);
                for ((y, &x), &gain) in y.iter_mut().zip(x).zip(gain) {
                    *y = x * r * gain;
                }
            }
        },
    );
}

/// Turns the gradient of y into that of x, and adds that of the gain to `grad_gain`.
///
/// With h = x / rms and g the gradient of y: dgain = sum of g h, dx = (g gain - h mean(g gain h)) / rms.
pub fn backward(x: &[f32], gain: &[f32], grad: &mut [f32], grad_gain: &mut [f32]) {
    let d = gain.len();
    let mut product = vec![0.0; d];
    vectorized(
        #[inline(always)]
        || {
            let (gain, grad_gain, product) = (&gain[..d], &mut grad_gain[..d], &mut product[..d]);
            for (x, grad) in x.chunks_exact(d).zip(grad.chunks_exact_mut(d)) {
                let r = reciprocal_rms(x);
                for i in 0..d {
                    grad_gain[i] = (grad[i] * x[i]).mul_add(r, grad_gain[i]);
                    product[i] = grad[i] * gain[i];
                }
                let mean = dot(product, x) * r * r / d as f32;
                for i in 0..d {
                    grad[i] = r * (-x[i]).mul_add(mean, product[i]);
                }
            }
        },
    );
}
