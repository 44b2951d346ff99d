//! What every launch of a kernel is made of: rows of tokens, grids and arguments. Each kernel's own launch stands where it is
//! asked for: in `layers/`, `loss`, `optimizer`, `muon` and `watch`. What it computes is written on top of its source, in
//! `kernels/`.

use super::gpu::{Address, Argument, Launch, Number, Runs};
use crate::plan::Shape;

/// Threads of most kernels.
const THREADS: u32 = 128;

/// Rows and columns of one block of our own product (`TILE`).
pub const TILE: usize = 64;

/// Threads of a warp, which has one row of a normalization.
pub const WARP: usize = 32;

/// Most pieces of a sum over a flat buffer, and numbers of one as long as there are fewer.
pub const MOST_PIECES: usize = 1024;
const PIECE: usize = 4096;

/// Blocks that a grid has at most in its second direction.
const MOST_ACROSS: usize = 65_535;

/// Most sequences of a shape in one pass: attention has blocks in the second direction for each, our own products
/// for each [`TILE`] rows, and there are kernels that count the numbers of the residual stream in an `int`.
pub fn most_sequences(shape: &Shape) -> usize {
    let rows = (i32::MAX as usize / shape.width).min(MOST_ACROSS * TILE);
    MOST_ACROSS.min(rows / shape.context)
}

/// What kernels on rows of tokens are told.
#[derive(Clone, Copy, Debug)]
pub struct Act {
    /// Numbers of activations.
    pub number: Number,
    /// The model's shape.
    pub shape: Shape,
    /// Tokens.
    pub rows: usize,
}

/// Tokens on the card: sequences of context + 1.
#[derive(Clone, Copy, Debug)]
pub struct Batch {
    /// The first sequence at place 0 of the ring.
    pub at: Address,
    /// Tokens from a place of the ring to the next.
    pub stride: usize,
    /// Places of the ring.
    pub slots: usize,
    /// Sequences.
    pub sequences: usize,
    /// The state in which the step stands.
    pub state: Address,
}

impl Act {
    /// Context, heads, and their channels.
    pub fn heads(&self) -> [Argument; 3] {
        [self.shape.context, self.shape.heads, self.shape.head_dim()].map(int)
    }
}

impl Batch {
    /// Tokens that the model reads.
    pub fn rows(&self, shape: &Shape) -> usize {
        self.sequences * shape.context
    }

    /// What kernels that read tokens begin with.
    pub fn arguments(&self, context: usize) -> Vec<Argument> {
        vec![self.at.into(), long(self.stride), int(self.slots), self.state.into(), int(context)]
    }
}

/// Pieces of a sum over so many numbers.
pub fn pieces(count: usize) -> usize {
    count.div_ceil(PIECE).min(MOST_PIECES)
}

/// The kernel for numbers of a kind.
pub fn named(number: Number, f32: &'static str, bf16: &'static str) -> &'static str {
    match number {
        Number::F32 => f32,
        Number::Bf16 => bf16,
    }
}

/// One warp a row.
pub fn by_warps(kernel: &'static str, rows: usize, arguments: Vec<Argument>) -> Launch {
    launch(kernel, [extent(rows.div_ceil(THREADS as usize / WARP)), 1], THREADS, arguments)
}

/// One block a row.
pub fn rows(kernel: &'static str, rows: usize, arguments: Vec<Argument>) -> Launch {
    launch(kernel, [extent(rows), 1], THREADS, arguments)
}

/// One thread a number.
pub fn spread(kernel: &'static str, count: usize, arguments: Vec<Argument>) -> Launch {
    const TOGETHER: u32 = 256;
    launch(kernel, [extent(count.div_ceil(TOGETHER as usize)), 1], TOGETHER, arguments)
}

/// Blocks of so many threads.
pub fn launch(kernel: &'static str, grid: [u32; 2], threads: u32, arguments: Vec<Argument>) -> Launch {
    Launch { kernel, grid, threads, shared: 0, arguments, runs: Runs::ONE }
}

/// A side of a grid.
pub fn extent(count: usize) -> u32 {
    u32::try_from(count).expect("a grid")
}

/// A count that a kernel takes as `int`.
pub fn int(value: usize) -> Argument {
    i32::try_from(value).expect("a number that a kernel can count to").into()
}

/// A count that a kernel takes as `long long`.
pub fn long(value: usize) -> Argument {
    i64::try_from(value).expect("a number that a kernel can count to").into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Parts;

    #[test]
    fn no_pass_has_more_sequences_than_a_launch_takes() {
        let most = |width, context| {
            most_sequences(&Shape { width, depth: 1, heads: 1, context, vocab: 16, parts: Parts::FIRST })
        };
        assert_eq!([most(64, 8), most(64, 128)], [65_535, 32_767], "attention, and products of 4,194,240 rows");
        assert_eq!([most(4096, 1024), most(4096, 1 << 20)], [511, 0], "numbers of the stream");
    }
}
