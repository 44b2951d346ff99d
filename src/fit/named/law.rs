//! The laws that can be asked for by name: by `runner fit --law`, and by a spec's `[fit] law`.

use clap::ValueEnum;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fit::laws::forms;

/// A law other than the surface E + A/N^alpha + B/D^beta.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Law {
    /// L(N) of runs that are not limited by data: pure, offset, exponential, broken. Columns: params, loss.
    Params,
    /// L(D) of runs that are not limited by size, with the intrinsic dimension. Columns: tokens, loss.
    Tokens,
    /// L(C) of compute-optimal runs. Columns: flops or budget, loss.
    Flops,
    /// Kaplan's joint L(N,D). Columns: params, tokens, loss.
    Kaplan,
    /// Kaplan's L(N,S). Columns: params, steps, loss.
    KaplanSteps,
    /// Half-lives of repeated data. Columns: params, tokens, `unique_tokens`, loss.
    #[value(help = "Half-lives of repeated data. Columns: params, tokens, unique_tokens, loss")]
    Repetition,
    /// Steps against data, and the batch size at which both are twice their minimum. Columns: batch, steps, loss.
    CriticalBatch,
    /// The noise scale from gradients. Columns: `small_batch`, `small_norm2`, `big_batch`, `big_norm2`.
    #[value(help = "The noise scale from gradients. Columns: small_batch, small_norm2, big_batch, big_norm2")]
    GradientNoise,
    /// The rules of learning rate and batch size. Columns: params, tokens, `learning_rate`, batch, loss.
    #[value(help = "The rules of learning rate and batch size. Columns: params, tokens, learning_rate, batch, loss")]
    Tuning,
    /// The best fraction of data to keep, and how pruning changes the power law. Columns: keep, tokens, loss.
    Pruning,
    /// Losses of the values of one column against each other, run by run. Columns: loss, and the column of --by.
    Contrast,
    /// The best value of what was tuned at each value of --by, and how it moves. Columns: loss, those of --tuned and --by.
    Optimum,
    /// Whether a measure orders runs as their loss does. Columns: loss, and that of --by.
    Rank,
    /// How fast a skill comes with training. Columns: params, tokens, loss, and the measures of the task of --by.
    Emergence,
    /// The best mixture of data at each size, and whether ranks stay. Columns: those of `share_` and `val_loss_`, params, tokens.
    #[value(help = "The best mixture of data at each size. Columns: share_*, val_loss or val_loss_*, params, tokens")]
    Composition,
    /// The surface whose gain from tokens depends on size. Columns: params, tokens, loss.
    Farseer,
    /// One surface, with an efficiency of parameters and of tokens for each value of --by. Columns: params, tokens, loss.
    Efficiencies,
    /// Mixtures of experts. Columns: params (of the dense model), experts, loss.
    Experts,
    /// Mixtures of experts with an irreducible loss. Columns: params (of the dense model), experts, loss.
    JointExperts,
    /// Fine-grained mixtures of experts. Columns: params, tokens, granularity, loss.
    Granularity,
    /// Parallel streams. Columns: params, `parallel_size`, loss.
    #[value(help = "Parallel streams. Columns: params, parallel_size, loss")]
    Parallel,
    /// Size of the vocabulary. Columns: `params_non_vocabulary`, `params_vocabulary`, characters, loss.
    #[value(help = "Size of the vocabulary. Columns: params_non_vocabulary, params_vocabulary, characters, loss")]
    Vocabulary,
    /// Mixtures of data. Columns: those that begin with `share_`, loss.
    #[value(help = "Mixtures of data. Columns: those that begin with share_, loss")]
    Mixtures,
    /// Learning rate and batch size as parts of the loss. Columns: params, tokens, `learning_rate`, batch, loss.
    #[value(help = "Rate and batch as parts of the loss. Columns: params, tokens, learning_rate, batch, loss")]
    RateBatch,
    /// Every law of losses that the columns allow, ranked by the most expensive rows held out.
    All,
}

impl Law {
    /// The name used on the command line and in specs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Params => "params",
            Self::Tokens => "tokens",
            Self::Flops => "flops",
            Self::Kaplan => "kaplan",
            Self::KaplanSteps => "kaplan-steps",
            Self::Repetition => "repetition",
            Self::CriticalBatch => "critical-batch",
            Self::GradientNoise => "gradient-noise",
            Self::Tuning => "tuning",
            Self::Pruning => "pruning",
            Self::Contrast => "contrast",
            Self::Optimum => "optimum",
            Self::Rank => "rank",
            Self::Emergence => "emergence",
            Self::Composition => "composition",
            Self::Farseer => "farseer",
            Self::Efficiencies => "efficiencies",
            Self::Experts => "experts",
            Self::JointExperts => "joint-experts",
            Self::Granularity => "granularity",
            Self::Parallel => "parallel",
            Self::Vocabulary => "vocabulary",
            Self::Mixtures => "mixtures",
            Self::RateBatch => "rate-batch",
            Self::All => "all",
        }
    }

    /// Whether it is of measures of tasks, one of which is named beside it.
    pub fn is_of_measures(self) -> bool {
        matches!(self, Self::Rank | Self::Emergence)
    }

    /// Whether its loss is one beyond another model's, which may be zero or less.
    pub fn is_without_zero(self) -> bool {
        self == Self::Vocabulary
    }

    /// Whether it is a formula, as those that users write, or several of them.
    pub fn is_formula(self) -> bool {
        matches!(self, Self::Mixtures | Self::All) || forms::named(self.name()).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_law_has_one_name_everywhere() {
        for law in Law::value_variants() {
            assert_eq!(law.to_possible_value().unwrap().get_name(), law.name());
            assert_eq!(serde_json::to_value(law).unwrap(), law.name());
        }
    }
}
