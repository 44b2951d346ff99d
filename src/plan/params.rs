//! How many parameters a shape has, by group.

use serde::{Deserialize, Serialize};

use super::Shape;
use crate::observation::Counting;

/// Parameters by group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParamCounts {
    /// Token embedding: vocab x width.
    pub embedding: u64,
    /// Position embedding: none, positions are rotary.
    pub position: u64,
    /// Blocks: 12 width^2 of matrices each, and the gains of all normalizations.
    pub blocks: u64,
    /// Unembedding: width x vocab.
    pub unembedding: u64,
}

impl ParamCounts {
    /// Counts the parameters of a shape with an MLP of four times the width and no biases.
    pub fn of(shape: &Shape) -> Self {
        let [width, depth, vocab] = [shape.width, shape.depth, shape.vocab].map(|x| x as u64);
        let gains = (2 * depth + 1) * width;
        Self {
            embedding: vocab * width,
            position: 0,
            blocks: 12 * depth * width * width + gains,
            unembedding: vocab * width,
        }
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

    #[test]
    fn gpt2_small_without_positions_and_biases_has_the_parameters_of_its_matrices_and_gains() {
        let shape = Shape { width: 768, depth: 12, heads: 12, context: 1024, vocab: 50_257 };
        let counts = ParamCounts::of(&shape);
        let expected = ParamCounts { embedding: 38_597_376, position: 0, blocks: 84_953_856, unembedding: 38_597_376 };
        assert_eq!(counts, expected);
        assert_eq!(Counting::ALL.map(|counting| counts.by(counting)), [162_148_608, 84_953_856, 123_551_232]);
    }
}
