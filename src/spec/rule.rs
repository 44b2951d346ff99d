//! Values that follow the number of parameters, or of tokens, by a power law.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// `value * (x / at)^exponent`, with x the parameters (of blocks and unembedding) or the training tokens of the run.
/// In a spec: a number (exponent 0), a table `{ value = 0.01, at_params = 1e5, exponent = -0.333 }` or
/// `{ value = 1024, at_tokens = 2e6, exponent = 0.571 }`, or `"tuned"` for the published rule of the field
/// ([`PowerRule::TUNED_LEARNING_RATE`], [`PowerRule::TUNED_BATCH_TOKENS`]).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PowerRule {
    /// The value where the quantity is that of `at`.
    pub value: f64,
    /// What the value follows, and where it is `value`.
    pub at: At,
    /// Exponent of that quantity.
    pub exponent: f64,
}

/// A number of what a rule follows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum At {
    /// Parameters of blocks and unembedding.
    Params(f64),
    /// Training tokens of the run.
    Tokens(f64),
}

impl PowerRule {
    /// Learning rate of the tuned rules of Porian et al. 2024 (arXiv 2406.19146), with exponents rounded to thirds.
    pub const TUNED_LEARNING_RATE: Self = Self { value: 0.0047, at: At::Params(108e6), exponent: -1.0 / 3.0 };
    /// Tokens of one step by the tuned rules of Porian et al. 2024: 160 sequences of 2048 tokens at 108M parameters.
    pub const TUNED_BATCH_TOKENS: Self = Self { value: 160.0 * 2048.0, at: At::Params(108e6), exponent: 2.0 / 3.0 };

    /// The same value at every size.
    pub fn constant(value: f64) -> Self {
        Self { value, at: At::Params(1.0), exponent: 0.0 }
    }

    /// The value for a run of so many parameters and tokens.
    pub fn at(&self, params: f64, tokens: f64) -> f64 {
        let ratio = match self.at {
            At::Params(at) => params / at,
            At::Tokens(at) => tokens / at,
        };
        self.value * ratio.powf(self.exponent)
    }
}

/// The table form, in which serde checks the keys.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = [{ "required": ["at_params"] }, { "required": ["at_tokens"] }]))]
struct Table {
    /// The value at `at_params` or `at_tokens`.
    value: f64,
    /// Parameters (of blocks and unembedding) at which the value is `value`; write either this or `at_tokens`.
    #[serde(skip_serializing_if = "Option::is_none")]
    at_params: Option<f64>,
    /// Training tokens of the run at which the value is `value`; write either this or `at_params`.
    #[serde(skip_serializing_if = "Option::is_none")]
    at_tokens: Option<f64>,
    /// Exponent of the parameters or tokens.
    exponent: f64,
}

impl JsonSchema for PowerRule {
    fn schema_name() -> Cow<'static, str> {
        "PowerRule".into()
    }

    /// What the visitor takes.
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let table = generator.subschema_for::<Table>();
        json_schema!({ "anyOf": [{ "type": "number" }, { "const": "tuned" }, table] })
    }
}

impl Serialize for PowerRule {
    /// A number where the table says no more, so that what was written as a number stays one.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { value, at, exponent } = *self;
        if *self == Self::constant(value) {
            return value.serialize(serializer);
        }
        let (at_params, at_tokens) = match at {
            At::Params(at) => (Some(at), None),
            At::Tokens(at) => (None, Some(at)),
        };
        Table { value, at_params, at_tokens, exponent }.serialize(serializer)
    }
}

/// Reads `optimizer.learning_rate`.
pub(super) fn learning_rate<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PowerRule, D::Error> {
    deserializer.deserialize_any(RuleVisitor { tuned: Some(PowerRule::TUNED_LEARNING_RATE) })
}

/// Reads `optimizer.batch_tokens`.
pub(super) fn batch_tokens<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PowerRule, D::Error> {
    deserializer.deserialize_any(RuleVisitor { tuned: Some(PowerRule::TUNED_BATCH_TOKENS) })
}

/// Reads `optimizer.weight_decay_tokens`, for which no rule is published under a name.
pub(super) fn weight_decay_tokens<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<PowerRule>, D::Error> {
    deserializer.deserialize_any(RuleVisitor { tuned: None }).map(Some)
}

struct RuleVisitor {
    tuned: Option<PowerRule>,
}

impl<'de> Visitor<'de> for RuleVisitor {
    type Value = PowerRule;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let tuned = if self.tuned.is_some() { ", \"tuned\"" } else { "" };
        write!(f, "a number{tuned}, or a rule with value, exponent, and at_params or at_tokens")
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
        match self.tuned {
            Some(tuned) if word == "tuned" => Ok(tuned),
            tuned => Err(E::custom(format!(
                "{word:?} is not a rule; write {}a number, or a table of value, exponent, and at_params or at_tokens",
                if tuned.is_some() { "\"tuned\", " } else { "" }
            ))),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<PowerRule, A::Error> {
        let Table { value, at_params, at_tokens, exponent } = Table::deserialize(MapAccessDeserializer::new(map))?;
        let at = match (at_params, at_tokens) {
            (Some(at), None) => At::Params(at),
            (None, Some(at)) => At::Tokens(at),
            _ => return Err(A::Error::custom("a rule follows either at_params or at_tokens; write one of them")),
        };
        Ok(PowerRule { value, at, exponent })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tuned_rules_give_the_published_values_at_108_million_parameters_and_scale_by_thirds() {
        assert!((PowerRule::TUNED_LEARNING_RATE.at(108e6, 1.0) - 0.0047).abs() < 1e-12);
        assert!((PowerRule::TUNED_LEARNING_RATE.at(8.0 * 108e6, 1.0) - 0.00235).abs() < 1e-12);
        assert!((PowerRule::TUNED_BATCH_TOKENS.at(108e6, 1.0) - 327_680.0).abs() < 1e-6);
        assert!((PowerRule::TUNED_BATCH_TOKENS.at(108e6 / 27.0, 1.0) - 327_680.0 / 9.0).abs() < 1e-6);
    }

    #[test]
    fn a_rule_in_tokens_follows_tokens_alone() {
        let rule = PowerRule { value: 1000.0, at: At::Tokens(1e6), exponent: 0.5 };
        assert!((rule.at(1.0, 4e6) - 2000.0).abs() < 1e-9);
        assert!((rule.at(1e9, 4e6) - 2000.0).abs() < 1e-9);
    }

    #[test]
    fn a_constant_is_the_same_at_every_size() {
        let rule = PowerRule::constant(0.003);
        assert_eq!([1e3, 1e9].map(|n| rule.at(n, n).to_bits()), [0.003_f64.to_bits(); 2]);
    }
}
