//! The shape of a model.

use serde::{Deserialize, Serialize};

/// The shape of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Shape {
    /// Channels of the residual stream.
    pub width: usize,
    /// Number of blocks.
    pub depth: usize,
    /// Attention heads of each block.
    pub heads: usize,
    /// Tokens of one sequence.
    pub context: usize,
    /// Size of the vocabulary.
    pub vocab: usize,
}

impl Shape {
    /// Channels of one attention head.
    pub fn head_dim(&self) -> usize {
        self.width / self.heads
    }
}
