//! A model of the grid: a shape of our transformers, or one that only somebody else's program knows.

use super::ladder::size;
use super::{FlopsPerToken, ParamCounts, Shape};
use crate::model::Parts;
use crate::spec::{Config, OwnSize};

/// A model that a grid may train.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// The shape; of another program's model only context and vocabulary.
    pub shape: Shape,
    /// The counts of another program's model, and its configuration.
    pub own: Option<(OwnSize, Config)>,
}

impl Candidate {
    /// A model of another program.
    pub fn of_program(own: (OwnSize, Config), context: usize, vocab: usize) -> Self {
        // A width of no channels, which nothing is computed with; one head of them, since head sizes are quotients.
        let shape = Shape { width: 0, depth: 0, heads: 1, context, vocab, parts: Parts::FIRST };
        Self { shape, own: Some(own) }
    }

    /// Parameters that ladders, grids and rules count: of blocks and unembedding, or all where the program does not say.
    pub fn size(&self) -> f64 {
        let told = self.own.as_ref().map(|(own, _)| own.params_blocks_and_unembedding.unwrap_or(own.params));
        told.unwrap_or_else(|| size(&self.shape))
    }

    /// Training FLOPs per token.
    pub fn flops_per_token(&self) -> FlopsPerToken {
        let told = self.own.as_ref().map(|(own, _)| FlopsPerToken::told(own));
        told.unwrap_or_else(|| FlopsPerToken::of(&self.shape))
    }

    /// What another program calls it.
    pub fn name(&self) -> Option<String> {
        self.own.as_ref().map(|(own, _)| own.name.clone())
    }
}

impl From<Shape> for Candidate {
    fn from(shape: Shape) -> Self {
        Self { shape, own: None }
    }
}

/// Counts of a model, whoever made it.
pub fn params(shape: &Shape, own: Option<&OwnSize>) -> ParamCounts {
    own.map_or_else(|| ParamCounts::of(shape), ParamCounts::told)
}
