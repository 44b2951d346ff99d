//! Which documents of a corpus are asked for, and what is known of those that were kept.

use std::io::ErrorKind;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{DataError, find};
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
    /// Hash of the file of scores, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Where that lies: what is in it counts, not its name.
    #[serde(skip)]
    pub path: Option<PathBuf>,
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
    /// Scores of the kept documents: least, mean over documents, greatest; nothing where none was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scores: Option<[f64; 3]>,
    /// The same of all documents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of_scores: Option<[f64; 3]>,
}

/// Whether the file of scores is there, where one decides: asked before anything that takes long.
pub fn check_file(data: &Data) -> Result<(), DataError> {
    Keep::of(data).map(drop)
}

impl Keep {
    /// Nothing where all documents are kept.
    pub fn of(data: &Data) -> Result<Option<Self>, DataError> {
        let (Some(share), Some(by)) = (data.keep.filter(|share| *share < 1.0), data.keep_by) else { return Ok(None) };
        let path = data.keep_file.as_deref().map(find::place).transpose()?;
        let hash = |path: &PathBuf| {
            let content = std::fs::read(path).map_err(|cause| match cause.kind() {
                ErrorKind::NotFound => {
                    let what = format!("there is no {}; `runner data score` writes scores by a model", path.display());
                    DataError::configuration("keep_file", what)
                }
                _ => DataError::io("read", path)(cause),
            })?;
            Ok::<_, DataError>(blake3::hash(&content).to_hex().to_string())
        };
        let file = path.as_ref().map(hash).transpose()?;
        Ok(Some(Self { share, by, scores: data.keep_scores, seed: data.seed, file, path }))
    }
}
