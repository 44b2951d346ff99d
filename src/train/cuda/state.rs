//! What a run has on the card, and what stays the same over its steps.

use super::gpu::{Address, Number};
use crate::optimizer::RunOptimizer;
use crate::parameterization::{Role, Rules};
use crate::plan::{Run, Shape};
use crate::spec::Precision;

/// What stays the same over a run.
#[derive(Clone, PartialEq)]
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
    /// Factor on the logits.
    pub logits_multiplier: f32,
}

impl Recipe {
    /// That of a run under `rules`.
    pub fn of(run: &Run, rules: &dyn Rules) -> Self {
        let shape = run.shape;
        let multiplier = |role, width| rules.rule(role, width).multiplier as f32;
        Self {
            shape,
            precision: run.precision,
            optimizer: run.optimizer.clone(),
            attention_scale: rules.attention_scale(),
            multipliers: shape.weights().iter().map(|weight| multiplier(weight.role, weight.shape[0])).collect(),
            logits_multiplier: multiplier(Role::Unembedding, shape.width),
        }
    }

    /// Numbers of activations.
    pub fn number(&self) -> Number {
        if self.precision == Precision::Bf16 { Number::Bf16 } else { Number::F32 }
    }
}

/// Gains of one size, whose gradients are summed from pieces in one launch.
#[derive(Clone, Copy)]
pub struct Gains {
    /// How many.
    pub count: usize,
    /// Numbers of each.
    pub columns: usize,
    /// Place of each in a flat buffer, i64, in the order of their pieces.
    pub places: Address,
    /// Pieces of their gradients, f32 `[count, pieces, columns]`.
    pub partials: Address,
}

impl Gains {
    /// Those of the residual stream.
    pub const STREAM: usize = 0;
    /// Those of the heads of queries and keys.
    pub const HEADS: usize = 1;

    /// Where the pieces of one lie, of so many each.
    pub fn partials_of(&self, number: usize, pieces: usize) -> Address {
        self.partials + (4 * number * pieces * self.columns) as u64
    }
}

/// The state of a run on the card: flat buffers of `Flat::len` numbers.
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
    /// Step, rate, clip factor, losses: see [`StepState`].
    pub step: Address,
    /// Share of the peak rate at each step, f32.
    pub shares: Address,
    /// A row of numbers for each weight: see `update::UpdateRow`.
    pub updates: Address,
    /// The row of each piece of a flat buffer.
    pub owners: Address,
    /// Pieces of sums over a flat buffer.
    pub squares: Address,
    /// Gains of the residual stream, and of the heads of queries and keys.
    pub gains: [Gains; 2],
    /// Cosines and sines of the rotary angles, f32 `[context, head_dim / 2]`.
    pub tables: [Address; 2],
}

/// The small numbers of a step: `StepState` in the kernels.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StepState {
    /// The step under way, or that comes next, from 0.
    pub step: u32,
    /// The one whose gradient was taken last.
    pub current: u32,
    /// Clip factor, learning rate as a share of its peak, both corrections, norm: each step writes them anew.
    pub numbers: [f32; 5],
    /// Sum of the losses of the steps.
    pub loss_sum: f32,
}

impl StepState {
    /// Bytes on the card, with what the kernels keep for themselves and whether the run waits.
    pub const WHOLE: usize = 64;

    /// Bytes of what is told here, which come first.
    pub const BYTES: usize = 32;

    /// Bytes before the sum of losses, the last of what is told here.
    pub const BEFORE_LOSS_SUM: u64 = 28;

    /// Bytes before `waits`, a word of the kernels' that is not 0 where the run takes no part in a step.
    pub const BEFORE_WAITS: u64 = 36;

    /// As it lies on the card.
    pub fn bytes(&self) -> [u8; Self::BYTES] {
        let floats = self.numbers.into_iter().chain([self.loss_sum]).map(f32::to_bits);
        let mut bytes = [0; Self::BYTES];
        for (place, word) in bytes.chunks_exact_mut(4).zip([self.step, self.current].into_iter().chain(floats)) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    /// From what lies on the card.
    pub fn from_bytes(bytes: &[u8; Self::BYTES]) -> Self {
        let word = |at: usize| u32::from_le_bytes(bytes[4 * at..4 * at + 4].try_into().expect("four bytes"));
        let float = |at| f32::from_bits(word(at));
        Self { step: word(0), current: word(1), numbers: [2, 3, 4, 5, 6].map(float), loss_sum: float(7) }
    }
}
