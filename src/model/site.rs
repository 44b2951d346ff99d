//! The activations of a model that are watched.

/// Where in the model an activation is; blocks count from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Site {
    /// What the embedding gives to the first block.
    Embedding,
    /// Scaled products of queries and keys that the mask leaves.
    AttentionLogits(usize),
    /// What attention would add to the residual stream, before its multiplier.
    Attention(usize),
    /// What the MLP would add to the residual stream, before its multiplier.
    Mlp(usize),
    /// The residual stream after a block.
    Stream(usize),
    /// What the unembedding reads.
    FinalNorm,
    /// What the softmax reads.
    Logits,
}

impl Site {
    /// Its name among models of one depth, `block 2 attention`, or of several, where only the first, the middle and the
    /// last block are the same block in all of them; nothing for the others.
    pub fn name(self, depth: usize, several_depths: bool) -> Option<String> {
        let part = match self {
            Self::Embedding => return Some("embedding".to_owned()),
            Self::FinalNorm => return Some("final norm".to_owned()),
            Self::Logits => return Some("logits".to_owned()),
            Self::AttentionLogits(_) => "attention logits",
            Self::Attention(_) => "attention",
            Self::Mlp(_) => "MLP",
            Self::Stream(_) => "residual stream",
        };
        let (Self::AttentionLogits(block) | Self::Attention(block) | Self::Mlp(block) | Self::Stream(block)) = self
        else {
            return None;
        };
        let place = match block {
            _ if !several_depths => (block + 1).to_string(),
            _ if block + 1 == depth => "last".to_owned(),
            // The stream after the first block holds a share of it that shrinks with depth, as it should.
            0 if matches!(self, Self::Stream(_)) => return None,
            0 => "first".to_owned(),
            _ if 2 * (block + 1) == depth => "middle".to_owned(),
            _ => return None,
        };
        Some(if several_depths { format!("{place} block {part}") } else { format!("block {place} {part}") })
    }
}
