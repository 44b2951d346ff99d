//! Steps of an optimizer that read and write each number once.

use super::simd::vectorized;
use crate::optimizer::{Update, adamw, lion, sgd};

/// AdamW's, from the gradient times `clip`.
pub fn adamw(value: &mut [f32], first: &mut [f32], second: &mut [f32], grad: &[f32], clip: f32, update: &Update) {
    vectorized(
        #[inline(always)]
        || {
            for (((value, first), second), &grad) in value.iter_mut().zip(first).zip(second).zip(grad) {
                [*value, *first, *second] = adamw::step([*value, *first, *second], grad * clip, update);
            }
        },
    );
}

/// SGD's.
pub fn sgd(value: &mut [f32], momentum: &mut [f32], grad: &[f32], update: &Update) {
    vectorized(
        #[inline(always)]
        || {
            for ((value, momentum), &grad) in value.iter_mut().zip(momentum).zip(grad) {
                [*value, *momentum] = sgd::step([*value, *momentum], grad, update);
            }
        },
    );
}

/// Lion's.
pub fn lion(value: &mut [f32], momentum: &mut [f32], grad: &[f32], update: &Update) {
    vectorized(
        #[inline(always)]
        || {
            for ((value, momentum), &grad) in value.iter_mut().zip(momentum).zip(grad) {
                [*value, *momentum] = lion::step([*value, *momentum], grad, update);
            }
        },
    );
}
