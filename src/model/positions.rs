//! How attention knows positions.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::sizes::Sizes;
use super::weight::{Group, Weight};

/// How attention knows positions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Positions {
    /// Queries and keys are turned by the angle of their position (Su et al. 2021, arXiv 2104.09864).
    #[default]
    Rotary,
    /// A row for each position of the context is added to that of the token (Vaswani et al. 2017, arXiv 1706.03762).
    Learned,
    /// Not at all, but for the causal mask (Kazemnejad et al. 2023, arXiv 2305.19466).
    None,
}

impl Positions {
    /// All of them.
    pub const ALL: &[Self] = &[Self::Rotary, Self::Learned, Self::None];

    /// The word of a spec.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rotary => "rotary",
            Self::Learned => "learned",
            Self::None => "none",
        }
    }

    /// Weights behind the embedding.
    pub fn weights(self, sizes: &Sizes) -> Vec<Weight> {
        match self {
            Self::Learned => vec![Weight::rows("positions", [sizes.context, sizes.width], Group::Position)],
            Self::Rotary | Self::None => Vec::new(),
        }
    }

    /// Why the architectures of transformers do not have them, where they do not.
    pub fn layout(self) -> Result<(), String> {
        match self {
            Self::Rotary => Ok(()),
            other => Err(format!("model.positions = \"{}\": every architecture has rotary positions", other.name())),
        }
    }
}
