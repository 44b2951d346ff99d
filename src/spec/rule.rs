//! Values that follow the number of parameters by a power law.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// `value * (params / at_params)^exponent`, with params counted as blocks and unembedding. In a spec: a number
/// (exponent 0), a table `{ value = 0.01, at_params = 1e5, exponent = -0.333 }`, or `"tuned"` for the published rule
/// of the field ([`PowerRule::TUNED_LEARNING_RATE`], [`PowerRule::TUNED_BATCH_TOKENS`]).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PowerRule {
    /// The value at `at_params`.
    pub value: f64,
    /// Number of parameters at which the value holds.
    pub at_params: f64,
    /// Exponent of the number of parameters.
    pub exponent: f64,
}

impl PowerRule {
    /// Learning rate of the tuned rules of Porian et al. 2024 (arXiv 2406.19146), with exponents rounded to thirds.
    pub const TUNED_LEARNING_RATE: Self = Self { value: 0.0047, at_params: 108e6, exponent: -1.0 / 3.0 };
    /// Tokens of one step by the tuned rules of Porian et al. 2024: 160 sequences of 2048 tokens at 108M parameters.
    pub const TUNED_BATCH_TOKENS: Self = Self { value: 160.0 * 2048.0, at_params: 108e6, exponent: 2.0 / 3.0 };

    /// The same value at every size.
    pub fn constant(value: f64) -> Self {
        Self { value, at_params: 1.0, exponent: 0.0 }
    }

    /// The value for a model of `params` parameters.
    pub fn at(&self, params: f64) -> f64 {
        self.value * (params / self.at_params).powf(self.exponent)
    }
}

/// The table form, in which serde checks the keys.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Table {
    value: f64,
    at_params: f64,
    exponent: f64,
}

impl Serialize for PowerRule {
    /// A number where the table says no more, so that what was written as a number stays one.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { value, at_params, exponent } = *self;
        if *self == Self::constant(value) {
            value.serialize(serializer)
        } else {
            Table { value, at_params, exponent }.serialize(serializer)
        }
    }
}

/// Reads `optimizer.learning_rate`.
pub(super) fn learning_rate<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PowerRule, D::Error> {
    deserializer.deserialize_any(RuleVisitor { tuned: PowerRule::TUNED_LEARNING_RATE })
}

/// Reads `optimizer.batch_tokens`.
pub(super) fn batch_tokens<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PowerRule, D::Error> {
    deserializer.deserialize_any(RuleVisitor { tuned: PowerRule::TUNED_BATCH_TOKENS })
}

struct RuleVisitor {
    tuned: PowerRule,
}

impl<'de> Visitor<'de> for RuleVisitor {
    type Value = PowerRule;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a number, \"tuned\", or a rule with value, at_params and exponent")
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<PowerRule, E> {
        Ok(PowerRule::constant(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<PowerRule, E> {
        self.visit_f64(value as f64)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<PowerRule, E> {
        self.visit_f64(value as f64)
    }

    fn visit_str<E: Error>(self, word: &str) -> Result<PowerRule, E> {
        if word == "tuned" {
            return Ok(self.tuned);
        }
        Err(E::custom(format!("{word:?} is not a rule; write \"tuned\", a number, or value, at_params and exponent")))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<PowerRule, A::Error> {
        let Table { value, at_params, exponent } = Table::deserialize(MapAccessDeserializer::new(map))?;
        Ok(PowerRule { value, at_params, exponent })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tuned_rules_give_the_published_values_at_108_million_parameters_and_scale_by_thirds() {
        assert!((PowerRule::TUNED_LEARNING_RATE.at(108e6) - 0.0047).abs() < 1e-12);
        assert!((PowerRule::TUNED_LEARNING_RATE.at(8.0 * 108e6) - 0.00235).abs() < 1e-12);
        assert!((PowerRule::TUNED_BATCH_TOKENS.at(108e6) - 327_680.0).abs() < 1e-6);
        assert!((PowerRule::TUNED_BATCH_TOKENS.at(108e6 / 27.0) - 327_680.0 / 9.0).abs() < 1e-6);
    }

    #[test]
    fn a_constant_is_the_same_at_every_size() {
        let rule = PowerRule::constant(0.003);
        assert_eq!([1e3, 1e9].map(|n| rule.at(n).to_bits()), [0.003_f64.to_bits(); 2]);
    }
}
