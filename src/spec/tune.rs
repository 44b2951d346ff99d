//! `[sweep] tune`: settings of which each point of a sweep looks for its own best value, on a lattice around that of the spec.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toml::Value;

use super::rule::PowerRule;

/// Steps of the lattice to either side.
const STEPS: i32 = 4;

/// A setting that is tuned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Tuned {
    /// The peak learning rate, in steps of a factor of 2.
    LearningRate,
    /// Tokens of a step, in steps of a factor of 2.
    BatchTokens,
    /// The coefficient of weight decay, in steps of a factor of 3.
    WeightDecay,
}

impl Tuned {
    /// The field that it sets.
    pub fn field(self) -> &'static str {
        match self {
            Self::LearningRate => "optimizer.learning_rate",
            Self::BatchTokens => "optimizer.batch_tokens",
            Self::WeightDecay => "optimizer.weight_decay",
        }
    }

    fn factor(self) -> f64 {
        if self == Self::WeightDecay { 3.0 } else { 2.0 }
    }

    /// The values of the lattice around that which a spec begins with, ascending.
    pub(super) fn lattice(self, first: First) -> Vec<Value> {
        let scaled = |step: i32| -> Option<Value> {
            let factor = self.factor().powi(step);
            match first {
                First::Rule(rule) => Value::try_from(PowerRule { value: rule.value * factor, ..rule }).ok(),
                First::Number(number) => Some(Value::Float(number * factor)),
            }
        };
        (-STEPS..=STEPS).filter_map(scaled).collect()
    }
}

/// What a spec begins with.
#[derive(Clone, Copy, Debug)]
pub(super) enum First {
    /// A rule of learning rate or batch.
    Rule(PowerRule),
    /// A plain number.
    Number(f64),
}
