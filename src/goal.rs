//! What a sweep that chooses or stops its runs goes by.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The one number that runs are chosen for.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Goal {
    /// Compute-optimal tokens per parameter, all parameters counted, at a budget in FLOPs.
    TokensPerParam(f64),
    /// Exponent of compute-optimal parameters in compute, between the least and the largest budget.
    NExponent,
    /// Exponent of compute-optimal tokens in compute, between the least and the largest budget.
    DExponent,
    /// Least loss at a budget in FLOPs, in nats per token.
    Loss(f64),
}

impl Goal {
    /// The budget that it asks about, where it asks about one.
    pub fn budget(self) -> Option<f64> {
        match self {
            Self::TokensPerParam(flops) | Self::Loss(flops) => Some(flops),
            Self::NExponent | Self::DExponent => None,
        }
    }

    /// Width of an interval, as a stop rule measures it: the factor between the ends of a ratio, the difference otherwise.
    pub fn width(self, low: f64, high: f64) -> f64 {
        if matches!(self, Self::TokensPerParam(_)) { high / low } else { high - low }
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TokensPerParam(flops) => write!(f, "tokens_per_param at {flops:e}"),
            Self::NExponent => f.write_str("exponent of N"),
            Self::DExponent => f.write_str("exponent of D"),
            Self::Loss(flops) => write!(f, "loss at {flops:e}"),
        }
    }
}

impl From<Goal> for String {
    fn from(goal: Goal) -> Self {
        goal.to_string()
    }
}

impl TryFrom<String> for Goal {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let unknown = || {
            format!(
                "{text:?} is no goal: write \"tokens_per_param at 1e13\", \"loss at 1e13\", \"exponent of N\" or \
                 \"exponent of D\""
            )
        };
        let words: Vec<&str> = text.split_whitespace().collect();
        let flops = |number: &str| number.parse::<f64>().ok().filter(|flops| (1.0..1e30).contains(flops));
        match words[..] {
            ["tokens_per_param", "at", number] => flops(number).map(Self::TokensPerParam).ok_or_else(unknown),
            ["loss", "at", number] => flops(number).map(Self::Loss).ok_or_else(unknown),
            ["exponent", "of", "N"] => Ok(Self::NExponent),
            ["exponent", "of", "D"] => Ok(Self::DExponent),
            _ => Err(unknown()),
        }
    }
}

/// `[sweep] stop_early`: when runs of a tuning grid are stopped before their ends.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StopEarly {
    /// How far a run must lie behind the best of its group, as a multiple of the most that such a gap changed between the same
    /// share of tokens and the end in any finished run; 1 or more.
    pub margin: f64,
    /// Share of its tokens before which no run is stopped.
    pub after: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_is_written_as_it_is_read() {
        for text in ["tokens_per_param at 1e13", "loss at 2.5e15", "exponent of N", "exponent of D"] {
            assert_eq!(Goal::try_from(text.to_owned()).unwrap().to_string(), text);
        }
        for text in ["tokens_per_param", "loss at none", "loss at -1", "exponent of C", "", "loss at inf"] {
            let error = Goal::try_from(text.to_owned()).unwrap_err();
            assert!(error.contains("no goal") && error.contains("exponent of N"), "{error}");
        }
    }
}
