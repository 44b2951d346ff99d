//! GELU with the exact normal distribution function, and its exact gradient: burn's own gradient on GPUs is that of the tanh
//! form.

use cubecl::prelude::*;

/// 1 / sqrt(2 pi).
const DENSITY_AT_ZERO: f32 = 0.398_942_3;

/// exp(-x^2 / 2).
#[cube]
fn bell(x: f32) -> f32 {
    (-0.5f32 * x * x).exp()
}

/// Phi(x), from exp(-x^2 / 2): Abramowitz and Stegun 7.1.26, off by less than 1.5e-7.
#[cube]
fn normal(x: f32, bell: f32) -> f32 {
    let a = x.abs() * comptime!(std::f32::consts::FRAC_1_SQRT_2);
    let t = 1.0f32 / (1.0f32 + 0.327_591_1f32 * a);
    let p = 1.061_405_4f32 * t - 1.453_152_1f32;
    let p = ((p * t + 1.421_413_8f32) * t - 0.284_496_72f32) * t + 0.254_829_6f32;
    let tail = 0.5f32 * p * t * bell;
    if x < 0.0f32 { tail } else { 1.0f32 - tail }
}

/// y = x Phi(x).
#[cube(launch)]
pub fn forward(x: &[f32], y: &mut [f32], len: usize) {
    let i = ABSOLUTE_POS;
    if i < len {
        let v = x[i];
        y[i] = v * normal(v, bell(v));
    }
}

/// The gradient of x: that of y times Phi(x) + x phi(x).
#[cube(launch)]
pub fn backward(x: &[f32], grad: &[f32], grad_x: &mut [f32], len: usize) {
    let i = ABSOLUTE_POS;
    if i < len {
        let v = x[i];
        let e = bell(v);
        grad_x[i] = grad[i] * (normal(v, e) + v * DENSITY_AT_ZERO * e);
    }
}
