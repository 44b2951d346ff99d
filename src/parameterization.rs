//! THE table of parameterizations: what each role of weight gets at a given shape.
//!
//! A parameterization says how initialization, learning rate, forward multiplier, weight decay and Adam's epsilon
//! change with width and depth. Training reads it (`train/initial.rs`, and the model and the optimizer of each engine), and
//! `export/transformers.rs` multiplies it into weights. To change a rule, change its line in [`rule`]; to add a
//! parameterization, add eight lines. At the base shape every parameterization is the same model, to the bit.
//!
//! Tensor Programs V (arXiv 2203.03466) gives muP in equivalent forms: table 3 shrinks initialization and learning
//! rate of the output weights, table 8 keeps both and multiplies the logits by 1/m. This is the second form, as
//! practised by Cerebras and nanoGPT-mup. `CompleteP` (arXiv 2505.01618, table 1 with alpha = 1) adds the depth.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How hyper-parameters change with the shape of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Parameterization {
    /// Fan-in initialization and one learning rate for all weights, as in GPT-2 and its successors.
    Standard,
    /// Maximal update parameterization: the best learning rate stays the same as width grows.
    Mup,
    /// muP for width. For depth, the output of residual branches is scaled by 1 / depth. The best learning rate stays the
    /// same as either grows.
    CompleteP,
}

impl Parameterization {
    /// All of them, in the order of the table.
    pub const ALL: [Self; 3] = [Self::Standard, Self::Mup, Self::CompleteP];

    /// The name used in specs and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Mup => "mup",
            Self::CompleteP => "completep",
        }
    }

    /// Whether the table looks at the base width and the base head size.
    pub fn reads_base_width(self) -> bool {
        self != Self::Standard
    }

    /// Whether the table looks at the base depth.
    pub fn reads_base_depth(self) -> bool {
        self == Self::CompleteP
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
    /// The matrix `[width, experts]` of a block that chooses among experts: an unembedding inside of a residual branch.
    Router,
    /// Gains of the normalizations inside blocks: one number a channel.
    BlockGain,
    /// Gains that all heads share, of queries and keys: one number a channel of a head. The gradient is the sum over heads, which
    /// become more with the width.
    HeadGain,
    /// Gain of the last normalization.
    FinalGain,
}

impl Role {
    /// All of them, in the order of the table.
    pub const ALL: [Self; 8] = [
        Self::Embedding,
        Self::Hidden,
        Self::Residual,
        Self::Unembedding,
        Self::Router,
        Self::BlockGain,
        Self::HeadGain,
        Self::FinalGain,
    ];

    /// Whether it is one number a channel, which begins at 1.
    pub fn is_gain(self) -> bool {
        matches!(self, Self::BlockGain | Self::HeadGain | Self::FinalGain)
    }
}

/// The shape that the rules look at, beside the base shape, at which they are all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scale {
    /// Channels of the residual stream.
    pub width: usize,
    /// Width at which the hyper-parameters were tuned.
    pub base_width: usize,
    /// Number of blocks.
    pub depth: usize,
    /// Number of blocks at which the hyper-parameters were tuned.
    pub base_depth: usize,
    /// Channels of one attention head.
    pub head_dim: usize,
    /// Channels of one attention head at which the hyper-parameters were tuned.
    pub base_head_dim: usize,
}

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rule {
    /// Standard deviation of the initial weights around their mean: 1 for gains, 0 for all others.
    pub init_std: f64,
    /// Factor on the learning rate.
    pub learning_rate: f64,
    /// Factor on what the weight computes in the forward pass.
    pub multiplier: f64,
    /// Factor on the weight decay coefficient; the decay of one step is learning rate x coefficient.
    pub weight_decay: f64,
    /// Factor on Adam's epsilon.
    pub epsilon: f64,
}

/// How long the step of an optimizer is, which is all that a parameterization may know of it. The rows of the table are
/// those of [`Stride::Unit`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stride {
    /// Each number goes by about the learning rate, whatever the gradient: AdamW and all that take signs.
    Unit,
    /// Each number goes by the learning rate times its gradient.
    Gradient,
    /// All singular values of a matrix go alike; the root mean square is that of a unit stride.
    Orthogonal,
}

impl Rule {
    /// This row for an optimizer of another stride. The product of rate and decay stays the same.
    ///
    /// Gradients are as large as Adam's epsilon has to be, so what AdamW divides by, the rate has to: with muP, m times the
    /// rate of AdamW (2203.03466, table 8, its rows of SGD over those of Adam). Steps of AdamW add up in one direction, and a
    /// matrix of m x m of them is m times as large by its spectral norm as one number; an orthogonal one is sqrt(m) times
    /// (Yang et al. 2023, arXiv 2310.17813).
    #[must_use]
    pub fn striding(self, stride: Stride) -> Self {
        let factor = match stride {
            Stride::Unit => return self,
            Stride::Gradient => 1.0 / self.epsilon,
            Stride::Orthogonal => 1.0 / self.learning_rate.sqrt(),
        };
        Self { learning_rate: self.learning_rate * factor, weight_decay: self.weight_decay / factor, ..self }
    }
}

/// Standard deviation of the token embedding, the same at every shape (GPT-2's).
const EMBEDDING_STD: f64 = 0.02;

/// The row of `role`, a weight with `fan_in` inputs, at `scale`.
///
/// `m`, `l` and `h` are width, depth and head size over those of the base shape. Hidden weight decay is m because `AdamW` multiplies it
/// by the learning rate, which has lost that factor. Epsilon follows the size of the gradients, which the multipliers
/// of the logits and of the residual branches shrink. The two residual branches of each block start smaller by
/// sqrt(2 depth) (GPT-2); in `CompleteP`, whose multiplier does that work, by that of the base depth.
#[rustfmt::skip] // A table,
#[allow(clippy::match_same_arms)] // in which every cell is written out.
pub fn rule(parameterization: Parameterization, role: Role, fan_in: usize, scale: &Scale) -> Rule {
    use Parameterization::{CompleteP, Mup, Standard};
    use Role::{BlockGain, Embedding, FinalGain, HeadGain, Hidden, Residual, Router, Unembedding};

    let m = scale.width as f64 / scale.base_width as f64;
    let l = scale.depth as f64 / scale.base_depth as f64;
    let h = scale.head_dim as f64 / scale.base_head_dim as f64;
    let fan = 1.0 / (fan_in as f64).sqrt();
    let branch = fan / (2.0 * scale.depth as f64).sqrt();
    let base_branch = fan / (2.0 * scale.base_depth as f64).sqrt();
    // The unembedding's inputs are the width, so this is its standard deviation at the base width.
    let base_fan = fan * m.sqrt();

    let row = |init_std, learning_rate, multiplier, weight_decay, epsilon| {
        Rule { init_std, learning_rate, multiplier, weight_decay, epsilon }
    };
    match (parameterization, role) {
        //                              init           rate     multiplier  decay  epsilon
        (Standard,  Embedding)   => row(EMBEDDING_STD, 1.0,     1.0,        1.0,   1.0),
        (Standard,  Hidden)      => row(fan,           1.0,     1.0,        1.0,   1.0),
        (Standard,  Residual)    => row(branch,        1.0,     1.0,        1.0,   1.0),
        (Standard,  Unembedding) => row(fan,           1.0,     1.0,        1.0,   1.0),
        (Standard,  Router)      => row(fan,           1.0,     1.0,        1.0,   1.0),
        (Standard,  BlockGain)   => row(0.0,           1.0,     1.0,        0.0,   1.0),
        (Standard,  HeadGain)    => row(0.0,           1.0,     1.0,        0.0,   1.0),
        (Standard,  FinalGain)   => row(0.0,           1.0,     1.0,        0.0,   1.0),

        (Mup,       Embedding)   => row(EMBEDDING_STD, 1.0,     1.0,        1.0,   1.0 / m),
        (Mup,       Hidden)      => row(fan,           1.0 / m, 1.0,        m,     1.0 / m),
        (Mup,       Residual)    => row(branch,        1.0 / m, 1.0,        m,     1.0 / m),
        (Mup,       Unembedding) => row(base_fan,      1.0,     1.0 / m,    1.0,   1.0 / m),
        (Mup,       Router)      => row(base_fan,      1.0,     1.0 / m,    1.0,   1.0 / m),
        (Mup,       BlockGain)   => row(0.0,           1.0,     1.0,        0.0,   1.0 / m),
        (Mup,       HeadGain)    => row(0.0,           1.0,     1.0,        0.0,   1.0 / h),
        (Mup,       FinalGain)   => row(0.0,           1.0,     1.0,        0.0,   1.0 / m),

        (CompleteP, Embedding)   => row(EMBEDDING_STD, 1.0,     1.0,        1.0,   1.0 / m),
        (CompleteP, Hidden)      => row(fan,           1.0 / m, 1.0,        m,     1.0 / (m * l)),
        (CompleteP, Residual)    => row(base_branch,   1.0 / m, 1.0 / l,    m,     1.0 / (m * l)),
        (CompleteP, Unembedding) => row(base_fan,      1.0,     1.0 / m,    1.0,   1.0 / m),
        (CompleteP, Router)      => row(base_fan,      1.0,     1.0 / m,    1.0,   1.0 / (m * l)),
        (CompleteP, BlockGain)   => row(0.0,           1.0,     1.0,        0.0,   1.0 / (m * l)),
        (CompleteP, HeadGain)    => row(0.0,           1.0,     1.0,        0.0,   1.0 / (h * l)),
        (CompleteP, FinalGain)   => row(0.0,           1.0,     1.0,        0.0,   1.0 / m),
    }
}

/// Factor on the dot product of query and key: 1/sqrt(d) in the standard parameterization, otherwise 1/d with a
/// constant that makes both agree at the base head size (2203.03466, definition 4.1).
pub fn attention_scale(parameterization: Parameterization, scale: &Scale) -> f64 {
    let reference = match parameterization {
        Parameterization::Standard => scale.head_dim,
        Parameterization::Mup | Parameterization::CompleteP => scale.base_head_dim,
    };
    (reference as f64).sqrt() / scale.head_dim as f64
}

/// What a model and its optimizer ask of a parameterization. The table is the one that trains; tests put in others to
/// see that a wrong rule is noticed.
pub trait Rules {
    /// The row of a role, for a weight with `fan_in` inputs.
    fn rule(&self, role: Role, fan_in: usize) -> Rule;
    /// Factor on the dot product of query and key.
    fn attention_scale(&self) -> f64;
}

/// The table at one shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table {
    /// Which rows.
    pub parameterization: Parameterization,
    /// The shape.
    pub scale: Scale,
}

impl Rules for Table {
    fn rule(&self, role: Role, fan_in: usize) -> Rule {
        rule(self.parameterization, role, fan_in, &self.scale)
    }

    fn attention_scale(&self) -> f64 {
        attention_scale(self.parameterization, &self.scale)
    }
}

#[cfg(test)]
mod tests;
