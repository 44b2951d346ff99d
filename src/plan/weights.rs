//! The weights that a shape has.

use super::Shape;
use crate::parameterization::Role;

/// A weight: its name, as in `blocks.2.qkv`, what it does, and its shape `[inputs, outputs]`.
pub type Weight = (String, Role, [usize; 2]);

impl Shape {
    /// Every weight of a model, in its order.
    pub fn weights(&self) -> Vec<Weight> {
        let (d, vocab) = (self.width, self.vocab);
        let mut weights = vec![("embedding".to_owned(), Role::Embedding, [vocab, d])];
        for block in 0..self.depth {
            let parts = [
                ("norm_attention", Role::BlockGain, [1, d]),
                ("qkv", Role::Hidden, [d, 3 * d]),
                ("attention_out", Role::Residual, [d, d]),
                ("norm_mlp", Role::BlockGain, [1, d]),
                ("mlp_in", Role::Hidden, [d, 4 * d]),
                ("mlp_out", Role::Residual, [4 * d, d]),
            ];
            weights.extend(parts.map(|(part, role, shape)| (format!("blocks.{block}.{part}"), role, shape)));
        }
        weights.push(("norm".to_owned(), Role::FinalGain, [1, d]));
        weights.push(("unembedding".to_owned(), Role::Unembedding, [d, vocab]));
        weights
    }
}
