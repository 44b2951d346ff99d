//! What a part may know of its model.

/// The numbers that parts read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Channels of the residual stream.
    pub width: usize,
    /// Attention heads.
    pub heads: usize,
    /// Tokens of one sequence.
    pub context: usize,
    /// Size of the vocabulary.
    pub vocab: usize,
}

impl Sizes {
    /// Channels of one attention head.
    pub fn head_dim(&self) -> usize {
        self.width / self.heads
    }
}
