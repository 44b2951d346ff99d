//! One AdamW step that reads and writes each number once.

use super::simd::vectorized;
use crate::train::burn::update::Update;

/// Updates value and moments from the gradient times `clip`.
pub fn step(value: &mut [f32], first: &mut [f32], second: &mut [f32], grad: &[f32], clip: f32, update: Update) {
    let Update { beta1, beta2, epsilon, rate, second_correction, keep } = update;
    let [beta1, beta2, epsilon, rate] = [beta1, beta2, epsilon, rate].map(|x| x as f32);
    let [second_correction, keep] = [second_correction, keep].map(|x| x as f32);
    vectorized(
        #[inline(always)]
        || {
            for (((value, first), second), &grad) in value.iter_mut().zip(first).zip(second).zip(grad) {
                let grad = grad * clip;
                *first = beta1.mul_add(*first, (1.0 - beta1) * grad);
                *second = beta2.mul_add(*second, (1.0 - beta2) * grad * grad);
                let root = (*second * second_correction).sqrt() + epsilon;
                *value = keep.mul_add(*value, -rate * *first / root);
            }
        },
    );
}
