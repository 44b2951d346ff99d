//! What the kernels of every optimizer know of each weight.

use std::ops::Range;

use super::layout::{ALIGNMENT, Flat};
use crate::optimizer::{Key, OptimizerKind, RunOptimizer, muon};
use crate::train::initial::Drawn;

/// Numbers that one block of 256 threads updates.
pub const UPDATED_AT_ONCE: usize = 1024;

/// What the optimizer knows of one weight: `UpdateRow` in the kernels.
#[derive(Clone, Debug, PartialEq)]
pub struct UpdateRow {
    place: Range<usize>,
    rate: f32,
    decay: f32,
    epsilon: f32,
}

impl UpdateRow {
    /// Bytes on the card.
    pub const BYTES: usize = 32;

    /// The row of a weight at a place of the flat buffers: peak rate, what decay takes at it, and epsilon. What Muon
    /// multiplies its steps by is a part of the rate.
    pub fn new(optimizer: &RunOptimizer, Drawn { role, rule, shape, .. }: &Drawn, place: Range<usize>) -> Self {
        let kind = optimizer.kind.of(*role);
        let rule = rule.striding(kind.part().stride);
        let rate = optimizer.learning_rate * rule.learning_rate;
        let decay = rate * optimizer.weight_decay * rule.weight_decay;
        let rate = if kind == OptimizerKind::Muon { rate * muon::scale(*shape) } else { rate };
        Self {
            place,
            rate: rate as f32,
            decay: decay as f32,
            epsilon: (optimizer.number(Key::Epsilon) * rule.epsilon) as f32,
        }
    }

    /// As it lies on the card.
    pub fn bytes(&self) -> [u8; Self::BYTES] {
        let Self { place, rate, decay, epsilon } = self;
        let mut bytes = [0; Self::BYTES];
        let places = [place.start, place.end].map(|place| (place as u64).to_le_bytes());
        let floats = [rate, decay, epsilon].map(|number| number.to_le_bytes());
        bytes[..16].copy_from_slice(places.as_flattened());
        bytes[16..28].copy_from_slice(floats.as_flattened());
        bytes
    }
}

/// Number of the weight to which each piece of [`ALIGNMENT`] numbers of a flat buffer belongs, as i32; -1 where it is not one of
/// those that are asked for.
pub fn owners(flat: &Flat, asked: &dyn Fn(usize) -> bool) -> Vec<u8> {
    let pieces = |weight: usize| {
        let length = flat.place(weight).len().div_ceil(ALIGNMENT);
        let number = if asked(weight) { i32::try_from(weight).expect("a number of a weight") } else { -1 };
        std::iter::repeat_n(number, length).flat_map(i32::to_le_bytes)
    };
    (0..flat.count()).flat_map(pieces).collect()
}
