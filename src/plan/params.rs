//! How many parameters a shape has, by group.

use serde::{Deserialize, Serialize};

use crate::model::{Group, Shape, Weight, is_default};
use crate::observation::Counting;
use crate::spec::OwnSize;

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
    /// Of the blocks, those that a token takes no part in: of experts that it is not given to. Not written where there
    /// are none.
    #[serde(default, skip_serializing_if = "is_default")]
    pub idle: u64,
}

impl ParamCounts {
    /// Counts the parameters of a shape, by what its parts declare.
    pub fn of(shape: &Shape) -> Self {
        let mut counts = Self { embedding: 0, position: 0, blocks: 0, unembedding: 0, idle: 0 };
        let mut idle = 0.0;
        let mut add = |weights: Vec<Weight>, times: u64| {
            for weight in weights {
                let count = match weight.group {
                    Group::Embedding => &mut counts.embedding,
                    Group::Position => &mut counts.position,
                    Group::Blocks => &mut counts.blocks,
                    Group::Unembedding => &mut counts.unembedding,
                };
                *count += times * weight.count();
                idle += (times * weight.count()) as f64 * (1.0 - weight.share);
            }
        };
        add(shape.first(), 1);
        add(shape.block(), shape.depth as u64);
        add(shape.last(), 1);
        counts.idle = idle.round() as u64;
        counts
    }

    /// What a program tells of a model of its own. Parameters of a group that it does not tell apart are with the blocks;
    /// [`super::PlannedRun::params_by`] knows which conventions are told.
    pub fn told(size: &OwnSize) -> Self {
        let OwnSize { params, params_non_embedding, params_blocks_and_unembedding, .. } = size;
        let products = params_blocks_and_unembedding.unwrap_or(*params);
        let blocks = params_non_embedding.unwrap_or(products).min(products);
        let [total, products, blocks] = [*params, products, blocks].map(|count| count.round() as u64);
        Self { embedding: total - products, position: 0, blocks, unembedding: products - blocks, idle: 0 }
    }

    /// All parameters.
    pub fn total(&self) -> u64 {
        self.embedding + self.position + self.blocks + self.unembedding
    }

    /// Parameters that a token takes part in.
    pub fn active(&self) -> u64 {
        self.total() - self.idle
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
    use crate::model::{Embedding, Experts, Mixer, Mlp, Parts, Positions};

    #[test]
    fn gpt2_small_without_positions_and_biases_has_the_parameters_of_its_matrices_and_gains() {
        let shape = Shape { width: 768, depth: 12, heads: 12, context: 1024, vocab: 50_257, parts: Parts::FIRST };
        let counts = ParamCounts::of(&shape);
        let expected =
            ParamCounts { embedding: 38_597_376, position: 0, blocks: 84_953_856, unembedding: 38_597_376, idle: 0 };
        assert_eq!(counts, expected);
        assert_eq!(Counting::ALL.map(|counting| counts.by(counting)), [162_148_608, 84_953_856, 123_551_232]);
    }

    /// GPT-2 small as published has 124,439,808 parameters, with biases.
    #[test]
    fn tied_ends_are_counted_once_and_learned_positions_in_a_group_of_their_own() {
        let parts = Parts { embedding: Embedding::Tied, positions: Positions::Learned, ..Parts::FIRST };
        let shape = Shape { width: 768, depth: 12, heads: 12, context: 1024, vocab: 50_257, parts };
        let counts = ParamCounts::of(&shape);
        assert_eq!([counts.embedding, counts.position, counts.unembedding], [0, 1024 * 768, 38_597_376]);
        // Of a block: biases of 3 d + d + 4 d + d, and of two normalizations.
        let biases = 12 * (9 * 768 + 2 * 768) + 768;
        assert_eq!(counts.total() + biases, 124_439_808);
    }

    /// Counted by hand.
    #[test]
    fn experts_are_counted_whole_and_the_active_ones_apart() {
        let experts = Experts { count: 8, active: 2, shared: 1, granularity: 1, balance: 0.01 };
        let parts = Parts { mlp: Mlp::SwiGlu, experts: Some(experts), kv_sharing: 4, ..Parts::FIRST };
        let shape = Shape { width: 96, depth: 2, heads: 12, context: 8, vocab: 100, parts };
        let counts = ParamCounts::of(&shape);
        let (attention, expert) = (96 * (96 + 2 * 24) + 96 * 96, 3 * 96 * 256);
        assert_eq!(counts.blocks, 2 * (attention + 9 * expert + 8 * 96 + 2 * 96) + 96);
        assert_eq!(counts.total() - counts.active(), 2 * 6 * expert);
        let products = 2 * (attention + 3 * expert + 8 * 96) + 96 * 100;
        let exact = 6 * products + 6 * 2 * 96 * 9;
        assert!((crate::plan::FlopsPerToken::of(&shape).exact - exact as f64).abs() < 0.5);
    }

    /// Counted by hand, in squares of the width: 8 in an MLP, and 9 in an LSTM, 3 in a minGRU.
    #[test]
    fn memories_have_no_products_of_attention() {
        for (mixer, squares) in [(Mixer::Lstm, 17), (Mixer::MinGru, 11)] {
            let parts = Parts { mixer, positions: Positions::None, ..Parts::FIRST };
            let shape = Shape { width: 64, depth: 3, heads: 4, context: 32, vocab: 50, parts };
            let counts = ParamCounts::of(&shape);
            assert_eq!(counts.blocks, 3 * (squares * 64 * 64 + 128) + 64, "{mixer:?}");
            let flops = crate::plan::FlopsPerToken::of(&shape);
            let products = (3 * squares * 64 * 64 + 64 * 50) as f64;
            for found in [flops.exact, flops.palm, flops.levanter] {
                assert!((found - 6.0 * products).abs() < 0.5, "{mixer:?}: {found}");
            }
        }
    }
}
