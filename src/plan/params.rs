//! How many parameters a shape has, by group.

use serde::{Deserialize, Serialize};

use crate::model::{Group, Shape, Weight};
use crate::observation::Counting;

/// Parameters by group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParamCounts {
    /// Rows for tokens: vocab x width.
    pub embedding: u64,
    /// Rows for positions: none where positions are rotary.
    pub position: u64,
    /// Blocks, and the gains of all normalizations.
    pub blocks: u64,
    /// Unembedding: width x vocab.
    pub unembedding: u64,
}

impl ParamCounts {
    /// Counts the parameters of a shape, by what its parts declare.
    pub fn of(shape: &Shape) -> Self {
        let mut counts = Self { embedding: 0, position: 0, blocks: 0, unembedding: 0 };
        let mut add = |weights: Vec<Weight>, times: u64| {
            for weight in weights {
                let count = match weight.group {
                    Group::Embedding => &mut counts.embedding,
                    Group::Position => &mut counts.position,
                    Group::Blocks => &mut counts.blocks,
                    Group::Unembedding => &mut counts.unembedding,
                };
                *count += times * weight.count();
            }
        };
        add(shape.first(), 1);
        add(shape.block(), shape.depth as u64);
        add(shape.last(), 1);
        counts
    }

    /// All parameters.
    pub fn total(&self) -> u64 {
        self.embedding + self.position + self.blocks + self.unembedding
    }

    /// Parameters by a convention.
    pub fn by(&self, counting: Counting) -> u64 {
        match counting {
            Counting::All => self.total(),
            Counting::NonEmbedding => self.blocks,
            Counting::BlocksAndUnembedding => self.blocks + self.unembedding,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Parts;

    #[test]
    fn gpt2_small_without_positions_and_biases_has_the_parameters_of_its_matrices_and_gains() {
        let shape = Shape { width: 768, depth: 12, heads: 12, context: 1024, vocab: 50_257, parts: Parts::FIRST };
        let counts = ParamCounts::of(&shape);
        let expected = ParamCounts { embedding: 38_597_376, position: 0, blocks: 84_953_856, unembedding: 38_597_376 };
        assert_eq!(counts, expected);
        assert_eq!(Counting::ALL.map(|counting| counts.by(counting)), [162_148_608, 84_953_856, 123_551_232]);
    }
}
