//! `[sweep] tune`: settings of which each point of a sweep looks for its own best value, on a lattice around that of the spec.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toml::Value;

use super::{PowerRule, Spec};

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

    /// The values of the lattice, ascending; none where the spec has nothing to begin with.
    fn values(self, spec: &Spec) -> Vec<Value> {
        let optimizer = &spec.optimizer;
        let scaled = |step: i32| -> Option<Value> {
            let factor = self.factor().powi(step);
            let rule = |rule: PowerRule| Value::try_from(PowerRule { value: rule.value * factor, ..rule }).ok();
            match self {
                Self::LearningRate => rule(optimizer.learning_rate),
                Self::BatchTokens => rule(optimizer.batch_tokens),
                Self::WeightDecay => Some(Value::Float(optimizer.weight_decay.filter(|x| *x > 0.0)? * factor)),
            }
        };
        (-STEPS..=STEPS).filter_map(scaled).collect()
    }
}

/// The axes of a sweep with those that are tuned.
pub(super) fn axes(spec: &Spec) -> BTreeMap<String, Vec<Value>> {
    let Some(sweep) = &spec.sweep else { return BTreeMap::new() };
    let tuned = sweep.tune.iter().map(|tuned| (tuned.field().to_owned(), tuned.values(spec)));
    sweep.axes.clone().into_iter().chain(tuned).collect()
}
