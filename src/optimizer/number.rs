//! What a step is computed with: one number, or all numbers of a weight at once.

use std::ops::{Add, Div, Mul};

/// Numbers of a weight: `f32` in the kernels of the CPU, whole tensors on other devices, matrices of f64 in tests.
pub trait Number: Clone + Add<Output = Self> + Mul<Output = Self> + Div<Output = Self> {
    /// This times a factor.
    #[must_use]
    fn times(self, factor: f64) -> Self;

    /// This times a factor, plus another, rounded once where the device can.
    #[must_use]
    fn times_plus(self, factor: f64, other: Self) -> Self;

    /// This plus a constant.
    #[must_use]
    fn plus(self, constant: f64) -> Self;

    /// The square root.
    #[must_use]
    fn root(self) -> Self;

    /// 1 or -1, and 0 of 0.
    #[must_use]
    fn sign(self) -> Self;
}

/// A whole weight at once, where a step is more than numbers one by one.
pub trait Matrix: Number {
    /// Rows and columns.
    fn shape(&self) -> [usize; 2];

    /// Rows as columns.
    #[must_use]
    fn transposed(self) -> Self;

    /// The matrix product.
    #[must_use]
    fn product(self, other: Self) -> Self;

    /// This over the root of its sum of squares; zeros stay zeros.
    #[must_use]
    fn normalized(self) -> Self;
}

impl Number for f32 {
    #[inline(always)]
    fn times(self, factor: f64) -> Self {
        factor as Self * self
    }

    #[inline(always)]
    fn times_plus(self, factor: f64, other: Self) -> Self {
        (factor as Self).mul_add(self, other)
    }

    #[inline(always)]
    fn plus(self, constant: f64) -> Self {
        self + constant as Self
    }

    #[inline(always)]
    fn root(self) -> Self {
        self.sqrt()
    }

    #[inline(always)]
    fn sign(self) -> Self {
        // Not `signum`, which is 1 of 0.
        Self::from(u8::from(self > 0.0)) - Self::from(u8::from(self < 0.0))
    }
}

/// 1 minus a decay, as the kernels round it: from the decay in f32, so that both add up to 1.
#[inline(always)]
pub(super) fn rest(decay: f64) -> f64 {
    1.0 - f64::from(decay as f32)
}
