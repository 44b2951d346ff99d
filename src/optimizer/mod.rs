//! THE table of optimizers: a file each, with the keys that it reads, what it keeps for a weight, how long its steps are
//! beside AdamW's, and the step itself.
//!
//! A step is written once, over the [`Number`]s of `number.rs`: a kernel of the CPU runs it on each number, other devices on
//! whole tensors, and tests in f64. To add an optimizer, add its file, its name in [`OptimizerKind`] and in
//! `ALL`, and its line in [`OptimizerKind::part`]; where its step is chosen, the compiler asks for it.

// A step that is not inlined would be compiled for the baseline instead of the instructions chosen at run time.
#![allow(clippy::inline_always)]

pub mod adamw;
pub mod lion;
pub mod muon;
mod number;
mod part;
pub mod sgd;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use number::{Matrix, Number};
pub use part::{Kept, Key, Part, Update};

use crate::parameterization::{Role, Rule};

/// Which optimizer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OptimizerKind {
    /// Adam with decoupled weight decay (Loshchilov and Hutter 2019).
    Adamw,
    /// Stochastic gradient descent with momentum and decoupled weight decay.
    Sgd,
    /// Steps of equal size by the sign of a mean of momentum and gradient (Chen et al. 2023).
    Lion,
    /// The momentum of hidden matrices made orthogonal (Jordan et al. 2024), scaled to AdamW's steps (Liu et al. 2025);
    /// AdamW for all other weights.
    Muon,
}

impl OptimizerKind {
    /// All of them, in the order of the table.
    pub const ALL: [Self; 4] = [Self::Adamw, Self::Sgd, Self::Lion, Self::Muon];

    /// Its line of the table.
    pub fn part(self) -> &'static Part {
        match self {
            Self::Adamw => &adamw::PART,
            Self::Sgd => &sgd::PART,
            Self::Lion => &lion::PART,
            Self::Muon => &muon::PART,
        }
    }

    /// The optimizer that steps the weights of a role.
    #[must_use]
    pub fn of(self, role: Role) -> Self {
        if self.part().steps.contains(&role) { self } else { Self::Adamw }
    }
}

/// The optimizer of a run, with its rules worked out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunOptimizer {
    /// Which optimizer.
    pub kind: OptimizerKind,
    /// Peak learning rate at the base shape.
    pub learning_rate: f64,
    /// Sequences of one step.
    pub batch_sequences: usize,
    /// Decay of the first moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beta1: Option<f64>,
    /// Decay of the second moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beta2: Option<f64>,
    /// Added to the root of the second moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epsilon: Option<f64>,
    /// Decay of the momentum.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub momentum: Option<f64>,
    /// Decoupled weight decay of matrices.
    pub weight_decay: f64,
    /// Global norm to which gradients are clipped; 0 turns clipping off.
    pub clip_norm: f64,
}

impl RunOptimizer {
    /// The same without learning rate and weight decay.
    #[must_use]
    pub fn without_rates(&self) -> Self {
        Self { learning_rate: 0.0, weight_decay: 0.0, ..self.clone() }
    }

    /// The number at a key; 0 where its optimizer has none, which a spec is checked for.
    pub fn number(&self, key: Key) -> f64 {
        let written = match key {
            Key::Beta1 => self.beta1,
            Key::Beta2 => self.beta2,
            Key::Epsilon => self.epsilon,
            Key::Momentum => self.momentum,
        };
        written.unwrap_or_default()
    }

    /// The numbers of step number `step`, from 1, for a weight of a role at a share of the peak learning rate; `rule` is
    /// its row of the table of parameterizations.
    pub fn update(&self, role: Role, rule: &Rule, step: i32, share_of_peak: f64) -> Update {
        let part = self.kind.of(role).part();
        let rule = rule.striding(part.stride);
        let rate = self.learning_rate * share_of_peak * rule.learning_rate;
        let keep = 1.0 - rate * self.weight_decay * rule.weight_decay;
        let plain = Update { beta1: 0.0, beta2: 0.0, epsilon: 0.0, rate, second_correction: 1.0, keep };
        (part.update)(&|key| self.number(key), &rule, step, plain)
    }
}

#[cfg(test)]
mod tests;
