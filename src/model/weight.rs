//! A weight as a part declares it.

use crate::parameterization::Role;

/// The group in which a weight is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Rows for tokens.
    Embedding,
    /// Rows for positions.
    Position,
    /// Blocks, and the last normalization.
    Blocks,
    /// What makes logits.
    Unembedding,
}

/// A weight: everything that is known of it before it has values.
#[derive(Clone, Debug, PartialEq)]
pub struct Weight {
    /// Name, as in `blocks.2.qkv`; what a part declares has no `blocks.2.` yet.
    pub name: String,
    /// Its row of the table of parameterizations.
    pub role: Role,
    /// Inputs and outputs. A gain is `[1, channels]`, so that every weight is a matrix.
    pub shape: [usize; 2],
    /// Where it is counted.
    pub group: Group,
    /// Mean of the initial values.
    pub mean: f64,
    /// How many of its first columns make queries, which `zero_init_query` begins at zero.
    pub queries: usize,
    /// Share of the tokens that it takes part in the computation of.
    pub share: f64,
}

impl Weight {
    fn new(name: &str, role: Role, shape: [usize; 2], group: Group) -> Self {
        Self { name: name.to_owned(), role, shape, group, mean: 0.0, queries: 0, share: 1.0 }
    }

    /// A matrix inside a block.
    pub fn hidden(name: &str, shape: [usize; 2]) -> Self {
        Self::new(name, Role::Hidden, shape, Group::Blocks)
    }

    /// A matrix of a block that writes into the residual stream.
    pub fn residual(name: &str, shape: [usize; 2]) -> Self {
        Self::new(name, Role::Residual, shape, Group::Blocks)
    }

    /// The matrix of a block that chooses among experts.
    pub fn router(name: &str, shape: [usize; 2]) -> Self {
        Self::new(name, Role::Router, shape, Group::Blocks)
    }

    /// A gain inside a block.
    pub fn gain(name: &str, channels: usize) -> Self {
        Self { mean: 1.0, ..Self::new(name, Role::BlockGain, [1, channels], Group::Blocks) }
    }

    /// A gain that the heads of a block share.
    pub fn head_gain(name: &str, channels: usize) -> Self {
        Self { mean: 1.0, ..Self::new(name, Role::HeadGain, [1, channels], Group::Blocks) }
    }

    /// The gain of the last normalization.
    pub fn last_gain(name: &str, channels: usize) -> Self {
        Self { mean: 1.0, ..Self::new(name, Role::FinalGain, [1, channels], Group::Blocks) }
    }

    /// Rows of `width` numbers that are looked up.
    pub fn rows(name: &str, shape: [usize; 2], group: Group) -> Self {
        Self::new(name, Role::Embedding, shape, group)
    }

    /// The unembedding.
    pub fn unembedding(name: &str, shape: [usize; 2]) -> Self {
        Self::new(name, Role::Unembedding, shape, Group::Unembedding)
    }

    /// Parameters.
    pub fn count(&self) -> u64 {
        self.shape[0] as u64 * self.shape[1] as u64
    }

    /// Whether it is a factor of a matrix product.
    pub fn is_matrix(&self) -> bool {
        self.role != Role::Embedding && !self.role.is_gain()
    }
}
