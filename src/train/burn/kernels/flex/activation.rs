//! GELU with the exact normal distribution function, in vector code.

use super::simd::{exp, vectorized};

/// 1 / sqrt(2 pi).
const DENSITY_AT_ZERO: f32 = 0.398_942_3;

/// Phi(x) and exp(-x^2 / 2): Abramowitz and Stegun 7.1.26, off by less than 1.5e-7.
#[inline(always)]
fn normal(x: f32) -> (f32, f32) {
    let a = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let t = 0.327_591_1_f32.mul_add(a, 1.0).recip();
    let e = exp(-a * a);
    let p = 1.061_405_4_f32.mul_add(t, -1.453_152_1);
    let p = p.mul_add(t, 1.421_413_8).mul_add(t, -0.284_496_72).mul_add(t, 0.254_829_6);
    let tail = 0.5 * p * t * e;
    (if x < 0.0 { tail } else { 1.0 - tail }, e)
}

/// y = x Phi(x).
pub fn gelu(x: &[f32], y: &mut [f32]) {
    vectorized(
        #[inline(always)]
        || {
            for (y, &x) in y.iter_mut().zip(x) {
                *y = x * normal(x).0;
            }
        },
    );
}

/// Turns the gradient of y into that of x: times Phi(x) + x phi(x).
pub fn gelu_backward(x: &[f32], grad: &mut [f32]) {
    vectorized(
        #[inline(always)]
        || {
            for (grad, &x) in grad.iter_mut().zip(x) {
                let (cdf, e) = normal(x);
                *grad *= (x * DENSITY_AT_ZERO).mul_add(e, cdf);
            }
        },
    );
}
