//! What a line of the table of optimizers says.

use crate::parameterization::{Role, Rule, Stride};

/// A line of the table: what there is to know of an optimizer beside its step.
pub struct Part {
    /// The name used in specs.
    pub name: &'static str,
    /// Keys of `[optimizer]` that it reads, beside those that all read.
    pub keys: &'static [Key],
    /// What it keeps of a weight that it steps.
    pub keeps: &'static [Kept],
    /// How long its steps are.
    pub stride: Stride,
    /// The weights that it steps; AdamW steps the others.
    pub steps: &'static [Role],
    /// Completes the numbers of a step, of which the rate and what decay leaves are there.
    pub(super) update: fn(Numbers<'_>, &Rule, i32, Update) -> Update,
}

/// A key of `[optimizer]` that not every optimizer reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// `beta1`.
    Beta1,
    /// `beta2`.
    Beta2,
    /// `epsilon`.
    Epsilon,
    /// `momentum`.
    Momentum,
}

impl Key {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Beta1, Self::Beta2, Self::Epsilon, Self::Momentum];

    /// As it is written in a spec.
    pub fn name(self) -> &'static str {
        match self {
            Self::Beta1 => "beta1",
            Self::Beta2 => "beta2",
            Self::Epsilon => "epsilon",
            Self::Momentum => "momentum",
        }
    }
}

/// What is kept of a weight, in the order of a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// The weight itself.
    Value,
    /// First moment of its gradients, or their momentum.
    First,
    /// Second moment of its gradients.
    Second,
}

impl Kept {
    /// The name in a checkpoint.
    pub fn name(self) -> &'static str {
        match self {
            Self::Value => "model",
            Self::First => "first",
            Self::Second => "second",
        }
    }
}

/// The number at each key.
pub type Numbers<'a> = &'a dyn Fn(Key) -> f64;

/// The numbers of one step for one weight.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Update {
    /// Decay of the first moment or of the momentum.
    pub beta1: f64,
    /// Decay of the second moment; Lion's of the momentum.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// Learning rate; AdamW's is over the correction of the first moment.
    pub rate: f64,
    /// Reciprocal of the correction of the second moment.
    pub second_correction: f64,
    /// What decay leaves of the value.
    pub keep: f64,
}
