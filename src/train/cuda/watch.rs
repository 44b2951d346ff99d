//! Sizes of activations, for the coordinate check: never part of a step.

use super::gpu::{Address, Argument, Launch, Number};
use super::launch::{self, Act, extent, launch, long, named, pieces};

/// An activation that can be measured.
#[derive(Clone, Copy, Debug)]
pub enum Watched {
    /// Numbers, so many in each row.
    Numbers(Address, Number, usize),
    /// Products of queries and keys of packed `qkv`.
    Logits(Address),
    /// What the last block leaves, times the unembedding.
    Unembedded,
}

/// Sums of |x| over pieces of so many numbers, f64.
pub fn watch(at: Address, number: Number, count: usize, sums: Address) -> Launch {
    let arguments = vec![at.into(), long(count), sums.into()];
    launch(named(number, "watch_f32", "watch_bf16"), [extent(pieces(count)), 1], 256, arguments)
}

/// Sum over heads and visible keys of |scale q.k|, for each row.
pub fn watch_logits(act: &Act, qkv: Address, sums: Address, scale: f64) -> Launch {
    let mut arguments = vec![qkv.into(), sums.into()];
    arguments.extend(act.heads());
    arguments.push(Argument::from(scale as f32));
    launch::rows(named(act.number, "watch_logits_f32", "watch_logits_bf16"), act.rows, arguments)
}
