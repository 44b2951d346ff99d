//! What a part may know of its model.

/// The numbers that parts read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Channels of the residual stream.
    pub width: usize,
    /// Attention heads.
    pub heads: usize,
    /// Query heads that share one head of keys and values.
    pub kv_sharing: usize,
    /// Whether queries and keys are normalized.
    pub qk_norm: bool,
    /// Experts that have the parameters of one MLP without them.
    pub granularity: usize,
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

    /// Channels of all keys, and of all values.
    pub fn kv_width(&self) -> usize {
        self.width / self.kv_sharing
    }

    /// Channels inside an MLP of two matrices.
    pub fn wide(&self) -> usize {
        4 * self.width / self.granularity
    }
}
