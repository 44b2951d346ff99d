//! A choice of parts.

use serde::{Deserialize, Serialize};

use super::embedding::Embedding;
use super::mixer::Mixer;
use super::mlp::Mlp;
use super::norm::Norm;

/// What a model is made of. What is as in the first models is not written, so that their identities stay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Parts {
    /// What moves information between positions.
    #[serde(skip_serializing_if = "is_default")]
    pub mixer: Mixer,
    /// What each position computes for itself.
    #[serde(skip_serializing_if = "is_default")]
    pub mlp: Mlp,
    /// How tokens become rows, and rows logits.
    #[serde(skip_serializing_if = "is_default")]
    pub embedding: Embedding,
    /// The normalizations.
    #[serde(skip_serializing_if = "is_default")]
    pub norm: Norm,
}

impl Parts {
    /// Those of the first models.
    pub const FIRST: Self =
        Self { mixer: Mixer::Attention, mlp: Mlp::Gelu, embedding: Embedding::Untied, norm: Norm::Rms };

    /// Whether all are those of the first models.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Keys and values of a spec that differ from the first models.
    pub fn differing(&self) -> Vec<(String, String)> {
        let Ok(serde_json::Value::Object(fields)) = serde_json::to_value(self) else { return Vec::new() };
        fields.into_iter().map(|(key, value)| (format!("model.{key}"), value.to_string())).collect()
    }
}

/// Whether a value is what is meant where nothing is written.
pub fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
