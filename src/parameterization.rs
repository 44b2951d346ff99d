//! THE table of parameterizations: what each role of weight gets at a given shape.
//!
//! A parameterization says how initialization, learning rate, forward multiplier and weight decay change with
//! width. Only `train/model.rs` and `train/optimizer.rs` read this table; nothing else asks which one is in use.
//! At the base width every parameterization is the same model, to the bit.
//!
//! Of the two equivalent forms in Tensor Programs V (arXiv 2203.03466, tables 3 and 8) this is the one with the
//! 1/m multiplier on the logits, as practised by Cerebras and nanoGPT-mup: with m = width / `base_width`, hidden
//! matrices have variance and Adam learning rate divided by m, embedding and unembedding keep theirs.

use serde::{Deserialize, Serialize};

/// How hyper-parameters change with the width of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Parameterization {
    /// Fan-in initialization and one learning rate for all weights, the practice of GPT-2 and its heirs.
    Standard,
    /// Maximal update parameterization: the best learning rate stays put as width grows.
    Mup,
}

impl Parameterization {
    /// The name used in specs and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Mup => "mup",
        }
    }
}

/// What a weight does, which is all that a parameterization may know of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Token embedding `[vocab, width]`: its input is one-hot, so only its output grows with width.
    Embedding,
    /// A matrix from width to width inside a block: QKV and the MLP's first.
    Hidden,
    /// A hidden matrix that writes into the residual stream: attention output and the MLP's second.
    Residual,
    /// The unembedding `[width, vocab]`.
    Unembedding,
    /// Gains of the normalizations: one number a channel.
    Vector,
}

/// The shape that the rules look at, beside the shape at which they are all the same.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scale {
    /// Width of the model.
    pub width: usize,
    /// Width at which the hyper-parameters were tuned.
    pub base_width: usize,
    /// Number of blocks.
    pub depth: usize,
    /// Channels of one attention head.
    pub head_dim: usize,
    /// Channels of one attention head at the base shape.
    pub base_head_dim: usize,
}

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rule {
    /// Standard deviation of the initial weights.
    pub init_std: f64,
    /// Factor on the learning rate.
    pub learning_rate: f64,
    /// Factor on what the weight computes in the forward pass.
    pub multiplier: f64,
    /// Factor on the weight decay coefficient; the decay of one step is learning rate x coefficient.
    pub weight_decay: f64,
}

/// Standard deviation of the token embedding, the same at every width (GPT-2's).
const EMBEDDING_STD: f64 = 0.02;

/// The row of `role`, a weight with `fan_in` inputs, at `scale`.
///
/// ```text
///              standard                       muP (m = width / base_width)
/// role         init       lr  mult  decay     init                  lr   mult  decay
/// embedding    0.02       1   1     1         0.02                  1    1     1
/// hidden       fan_in^-½  1   1     1         fan_in^-½             1/m  1     m
/// residual     ditto / sqrt(2 depth), both                          1/m  1     m
/// unembedding  width^-½   1   1     1         base_width^-½         1    1/m   1
/// vector       (one)      1   1     0         (one)                 1    1     0
/// ```
///
/// muP's hidden decay is m because AdamW multiplies it by the learning rate, which has lost that factor.
pub fn rule(parameterization: Parameterization, role: Role, fan_in: usize, scale: &Scale) -> Rule {
    let fan_in_std = 1.0 / (fan_in as f64).sqrt();
    let residual_std = fan_in_std / (2.0 * scale.depth as f64).sqrt();
    let m = match parameterization {
        Parameterization::Standard => 1.0,
        Parameterization::Mup => scale.width as f64 / scale.base_width as f64,
    };
    let row =
        |init_std, learning_rate, multiplier, weight_decay| Rule { init_std, learning_rate, multiplier, weight_decay };
    match role {
        Role::Embedding => row(EMBEDDING_STD, 1.0, 1.0, 1.0),
        Role::Hidden => row(fan_in_std, 1.0 / m, 1.0, m),
        Role::Residual => row(residual_std, 1.0 / m, 1.0, m),
        // fan_in is width here: in muP the standard deviation stays that of the base width.
        Role::Unembedding => row((m / fan_in as f64).sqrt(), 1.0, 1.0 / m, 1.0),
        Role::Vector => row(0.0, 1.0, 1.0, 0.0),
    }
}

/// Factor on the dot product of query and key: 1/sqrt(d) in the standard parameterization, in muP 1/d with a
/// constant that makes both agree at the base head size (2203.03466, definition 4.1).
pub fn attention_scale(parameterization: Parameterization, scale: &Scale) -> f64 {
    let reference = match parameterization {
        Parameterization::Standard => scale.head_dim,
        Parameterization::Mup => scale.base_head_dim,
    };
    (reference as f64).sqrt() / scale.head_dim as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROLES: [Role; 5] = [Role::Embedding, Role::Hidden, Role::Residual, Role::Unembedding, Role::Vector];

    fn scale(width: usize) -> Scale {
        Scale { width, base_width: 64, depth: 4, head_dim: 16, base_head_dim: 16 }
    }

    #[test]
    fn at_the_base_width_both_parameterizations_agree_to_the_bit() {
        let at_base = scale(64);
        for role in ROLES {
            let [standard, mup] =
                [Parameterization::Standard, Parameterization::Mup].map(|p| rule(p, role, 64, &at_base));
            assert_eq!(standard, mup, "{role:?}");
        }
        let [standard, mup] = [Parameterization::Standard, Parameterization::Mup].map(|p| attention_scale(p, &at_base));
        assert_eq!(standard.to_bits(), mup.to_bits());
    }

    #[test]
    fn mup_follows_the_papers_table_at_four_times_the_base_width() {
        let wide = scale(256);
        let at = |role| rule(Parameterization::Mup, role, 256, &wide);
        assert_eq!(
            at(Role::Hidden),
            Rule { init_std: 1.0 / 16.0, learning_rate: 0.25, multiplier: 1.0, weight_decay: 4.0 }
        );
        assert_eq!(
            at(Role::Unembedding),
            Rule { init_std: 1.0 / 8.0, learning_rate: 1.0, multiplier: 0.25, weight_decay: 1.0 }
        );
        assert_eq!(at(Role::Embedding), rule(Parameterization::Standard, Role::Embedding, 1, &wide));
    }

    #[test]
    fn effective_weight_decay_does_not_depend_on_width() {
        for width in [32, 64, 512] {
            let hidden = rule(Parameterization::Mup, Role::Hidden, width, &scale(width));
            assert!((hidden.learning_rate * hidden.weight_decay - 1.0).abs() < 1e-12);
        }
    }
}
