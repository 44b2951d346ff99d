//! Which documents of a corpus are asked for, and what is known of those that were kept.

use serde::{Deserialize, Serialize};

use crate::spec::{Data, KeepBy, KeepScores};

/// What is kept: a part of the fingerprint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keep {
    /// Share of the training tokens.
    pub share: f64,
    /// By what.
    pub by: KeepBy,
    /// Documents of which scores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scores: Option<KeepScores>,
    /// Seed of the draw.
    pub seed: u64,
}

/// What was kept: in the manifest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptFacts {
    /// What was asked for.
    pub keep: Keep,
    /// Fingerprint of the whole corpus.
    pub whole: String,
    /// Training documents kept.
    pub documents: u64,
    /// Training documents of the whole.
    pub of_documents: u64,
    /// Training tokens of the whole.
    pub of_tokens: u64,
    /// Scores of the kept documents in nats per token: least, mean over documents, greatest; nothing where none was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scores: Option<[f64; 3]>,
    /// The same of all documents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of_scores: Option<[f64; 3]>,
}

impl Keep {
    /// Nothing where all documents are kept.
    pub fn of(data: &Data) -> Option<Self> {
        let share = data.keep.filter(|share| *share < 1.0)?;
        Some(Self { share, by: data.keep_by?, scores: data.keep_scores, seed: data.seed })
    }
}
