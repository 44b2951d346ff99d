//! Squared `ReLU` and the gate of `SwiGLU`, on rows of `width` outputs; and what a long short-term memory makes of its gates.

use super::simd::{exp, vectorized};

/// 1 / (1 + e^-x), of the same precision on either side of 0.
#[inline(always)]
pub fn sigmoid(x: f32) -> f32 {
    let e = exp(-x.abs());
    // One division for both sides.
    let larger = (1.0 + e).recip();
    if x < 0.0 { e * larger } else { larger }
}

/// tanh x = (1 - e) / (1 + e) with e = e^-2|x|, and the sign of x.
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    let e = exp(-2.0 * x.abs());
    ((1.0 - e) / (1.0 + e)).copysign(x)
}

/// y = max(x, 0)^2.
pub fn squared_relu(_: usize, x: &[f32], y: &mut [f32]) {
    vectorized(
        #[inline(always)]
        || {
            for (y, &x) in y.iter_mut().zip(x) {
                // A NaN stays one.
                *y = if x < 0.0 { 0.0 } else { x * x };
            }
        },
    );
}

/// The gradient of x: 2 max(x, 0) times that of y.
pub fn squared_relu_backward(_: usize, x: &[f32], grad: &[f32], grad_x: &mut [f32]) {
    vectorized(
        #[inline(always)]
        || {
            for ((grad_x, &x), &grad) in grad_x.iter_mut().zip(x).zip(grad) {
                *grad_x = if x < 0.0 { 0.0 } else { 2.0 * x * grad };
            }
        },
    );
}

/// y = a sigmoid(a) b, for rows of a and b side by side.
pub fn gated_silu(width: usize, x: &[f32], y: &mut [f32]) {
    vectorized(
        #[inline(always)]
        || {
            for (y, x) in y.chunks_exact_mut(width).zip(x.chunks_exact(2 * width)) {
                let (a, b) = x.split_at(width);
                for ((y, &a), &b) in y.iter_mut().zip(a).zip(b) {
                    *y = a * sigmoid(a) * b;
                }
            }
        },
    );
}

/// The gradients of a and b: with s = sigmoid(a), b s (1 + a (1 - s)) and a s, times that of y.
pub fn gated_silu_backward(width: usize, x: &[f32], grad: &[f32], grad_x: &mut [f32]) {
    vectorized(
        #[inline(always)]
        || {
            let rows = x.chunks_exact(2 * width).zip(grad.chunks_exact(width));
            for (grad_x, (x, grad)) in grad_x.chunks_exact_mut(2 * width).zip(rows) {
                let ((gate, up), (grad_gate, grad_up)) = (x.split_at(width), grad_x.split_at_mut(width));
                let (up, grad_up, grad) = (&up[..width], &mut grad_up[..width], &grad[..width]);
                for i in 0..width {
                    let open = sigmoid(gate[i]);
                    grad_gate[i] = grad[i] * up[i] * open * gate[i].mul_add(1.0 - open, 1.0);
                    grad_up[i] = grad[i] * gate[i] * open;
                }
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sigmoid_and_tanh_agree_with_the_standard_library_at_any_size() {
        for i in -4000..=4000 {
            let x = i as f32 / 20.0;
            let exact = 1.0 / (1.0 + f64::from(-x).exp());
            assert!((f64::from(sigmoid(x)) - exact).abs() <= 5e-7 * exact.max(1e-30), "sigmoid({x}) = {}", sigmoid(x));
            assert!((tanh(x) - x.tanh()).abs() < 3e-7, "tanh({x}) = {}", tanh(x));
        }
    }
}
