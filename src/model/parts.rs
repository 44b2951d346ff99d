//! A choice of parts.

use serde::{Deserialize, Serialize};

use super::embedding::Embedding;
use super::mixer::Mixer;
use super::mlp::{Experts, Mlp};
use super::norm::{Norm, NormPlace};
use super::positions::Positions;

/// What a model is made of. What is as in the first models is not written, so that their identities stay.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Parts {
    /// What moves information between positions.
    #[serde(skip_serializing_if = "is_default")]
    pub mixer: Mixer,
    /// How attention knows positions.
    #[serde(skip_serializing_if = "is_default")]
    pub positions: Positions,
    /// Query heads that share one head of keys and values.
    #[serde(skip_serializing_if = "is_one")]
    pub kv_sharing: usize,
    /// Whether queries and keys are normalized.
    #[serde(skip_serializing_if = "is_default")]
    pub qk_norm: bool,
    /// What each position computes for itself.
    #[serde(skip_serializing_if = "is_default")]
    pub mlp: Mlp,
    /// Many MLPs, of which each token goes through a few.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub experts: Option<Experts>,
    /// How tokens become rows, and rows logits.
    #[serde(skip_serializing_if = "is_default")]
    pub embedding: Embedding,
    /// How rows are normalized.
    #[serde(skip_serializing_if = "is_default")]
    pub norm: Norm,
    /// Where normalizations stand.
    #[serde(skip_serializing_if = "is_default")]
    pub norm_place: NormPlace,
}

impl Default for Parts {
    fn default() -> Self {
        Self::FIRST
    }
}

impl Parts {
    /// Those of the first models.
    pub const FIRST: Self = Self {
        mixer: Mixer::Attention,
        positions: Positions::Rotary,
        kv_sharing: 1,
        qk_norm: false,
        mlp: Mlp::Gelu,
        experts: None,
        embedding: Embedding::Untied,
        norm: Norm::Rms,
        norm_place: NormPlace::Before,
    };

    /// Whether all are those of the first models.
    pub fn is_default(&self) -> bool {
        *self == Self::FIRST
    }

    /// Keys of a spec that differ from the first models, each with its value: `model.mlp = "swiglu"`.
    pub fn differing(&self) -> Vec<String> {
        let Ok(serde_json::Value::Object(fields)) = serde_json::to_value(self) else { return Vec::new() };
        let told = |(key, value): (String, serde_json::Value)| match value {
            serde_json::Value::Object(_) => format!("[model.{key}]"),
            value => format!("model.{key} = {value}"),
        };
        fields.into_iter().map(told).collect()
    }

    /// Each key that differs from the first models as [`Self::differing`] has it, alone in a model that otherwise has
    /// their parts.
    pub fn one_by_one(&self) -> Vec<(String, Self)> {
        let Ok(serde_json::Value::Object(fields)) = serde_json::to_value(self) else { return Vec::new() };
        let alone = |(key, value)| {
            let field = serde_json::Map::from_iter([(key, value)]);
            let parts: Self = serde_json::from_value(serde_json::Value::Object(field)).expect("one of its own fields");
            (parts.differing().join(", "), parts)
        };
        fields.into_iter().map(alone).collect()
    }

    /// Every part that there is, each in a model that otherwise has those of the first models, with a name.
    #[cfg(test)]
    pub fn each() -> Vec<(String, Self)> {
        let first = Self::FIRST;
        let experts = Experts { count: 4, active: 2, shared: 1, granularity: 2, balance: 0.01 };
        let mut each = vec![
            Self { kv_sharing: 2, ..first },
            Self { qk_norm: true, ..first },
            Self { kv_sharing: 2, qk_norm: true, ..first },
            Self { experts: Some(experts), ..first },
            Self { experts: Some(experts), mlp: Mlp::SwiGlu, ..first },
        ];
        // Only attention looks at positions: others are refused any.
        let positions = |mixer| if mixer == Mixer::Attention { Positions::Rotary } else { Positions::None };
        each.extend(Mixer::ALL.iter().map(|&mixer| Self { mixer, positions: positions(mixer), ..first }));
        each.extend(Positions::ALL.iter().map(|&positions| Self { positions, ..first }));
        each.extend(Mlp::ALL.iter().map(|&mlp| Self { mlp, ..first }));
        each.extend(Embedding::ALL.iter().map(|&embedding| Self { embedding, ..first }));
        each.extend(Norm::ALL.iter().map(|&norm| Self { norm, ..first }));
        each.extend(NormPlace::ALL.iter().map(|&norm_place| Self { norm_place, ..first }));
        each.retain(|parts| !parts.is_default());
        each.push(first);
        each.into_iter().map(|parts| (parts.differing().join(", "), parts)).collect()
    }
}

/// Whether a value is what is meant where nothing is written.
pub fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde hands a reference
fn is_one(value: &usize) -> bool {
    *value == 1
}
