//! What a run has on the card, and what stays the same over its steps.

use super::gpu::{Address, Number};
use crate::optimizer::RunOptimizer;
use crate::plan::Shape;
use crate::spec::Precision;

/// What stays the same over a run.
pub struct Recipe {
    /// The model's shape.
    pub shape: Shape,
    /// Numbers of factors of products.
    pub precision: Precision,
    /// Decays, epsilon and limit of the norm.
    pub optimizer: RunOptimizer,
    /// Factor on the product of query and key.
    pub attention_scale: f64,
    /// Factor of each weight on what it computes, in the order of the weights.
    pub multipliers: Vec<f32>,
}

impl Recipe {
    /// Numbers of activations.
    pub fn number(&self) -> Number {
        if self.precision == Precision::Bf16 { Number::Bf16 } else { Number::F32 }
    }
}

/// The state of a run on the card: flat buffers of [`Flat::len`] numbers.
#[derive(Clone, Copy)]
pub struct State {
    /// The weights.
    pub masters: Address,
    /// The weights as factors of products: a copy in bf16, or the masters themselves.
    pub factors: Address,
    /// Gradients.
    pub gradients: Address,
    /// First moments.
    pub first: Address,
    /// Second moments.
    pub second: Address,
    /// Step, rate, clip factor, losses: see `launches::StepState`.
    pub step: Address,
    /// Share of the peak rate at each step, f32.
    pub shares: Address,
    /// A row of numbers for each weight: see `launches::UpdateRow`.
    pub updates: Address,
    /// The row of each piece of a flat buffer.
    pub owners: Address,
    /// Pieces of sums over a flat buffer.
    pub squares: Address,
    /// Place of each gain in a flat buffer, i64, in the order of the norms.
    pub gains: Address,
    /// Cosines and sines of the rotary angles, f32 `[context, head_dim / 2]`.
    pub tables: [Address; 2],
}
