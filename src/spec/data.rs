//! `[data]`: what to train on, the parts of a mixture with their weights, and which documents are kept.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::token_type::TokenType;

/// Where tokens come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// The built-in language: unlimited, of known entropy.
    Synthetic,
    /// UTF-8 text, documents separated by blank lines.
    Text,
    /// Token files: raw ids of 8 to 64 bits, llm.c's, NumPy's `.npy`, or Megatron's `.bin` with its `.idx`.
    Bin,
    /// JSON Lines: each line is an object, and one of its fields is the text of a document.
    Jsonl,
    /// Parquet: each row is a document, and one column has its text.
    Parquet,
    /// Several sources of text, listed in `[[data.parts]]`.
    Mixture,
    /// Data that the program of `train.command` reads by itself: nothing is prepared.
    Program,
}

/// `[data]`: what to train on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// Where tokens come from.
    pub source: Source,
    /// The text or token file, relative to the current directory. A pattern such as `corpora/web-*.jsonl` stands for
    /// several files, which are read in the order of their names. Text and JSON Lines may be compressed by gzip or
    /// Zstandard.
    pub path: Option<PathBuf>,
    /// The field or column with the text, for JSON Lines and Parquet; `data.text` is the field `text` inside the field
    /// `data`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// What separates the documents of a text: `blank line`, `line` (each line is a document), `file` (each file is a
    /// document), `none` (one document, of which the end is held out), or any other text, such as `<|endoftext|>`. If
    /// not written, `<|endoftext|>` is recognised; otherwise blank lines separate documents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub separator: Option<String>,
    /// Whether repeated documents are used only once; false if not written.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deduplicate: bool,
    /// Whether lines of JSON Lines and rows of Parquet that cannot be read are skipped and counted; false if not
    /// written.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub skip_bad: bool,
    /// Number type of a token file without a header; recognised if not written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dtype: Option<TokenType>,
    /// Validation files, for a corpus that is already split; in the same format as `path`.
    pub validation_path: Option<PathBuf>,
    /// A Hugging Face `tokenizer.json` to use for text instead of training one.
    pub tokenizer: Option<PathBuf>,
    /// Size of the vocabulary: of the tokenizer to train (below 256 each token is a character), of the token file, or
    /// of the built-in language.
    pub vocab: Option<u32>,
    /// Share of documents (of tokens, for a token file without a validation file) held out for validation.
    pub validation_fraction: Option<f64>,
    /// How many earlier tokens the built-in language looks at together at most: 1, 2 or 3; 3 if not written. With 1 small
    /// models come near its entropy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history: Option<u8>,
    /// How often each training token may be seen at most; 1 forbids repeating data.
    pub max_epochs: f64,
    /// Use only so many training tokens, the same for all runs; a larger number adds to those of a smaller one. All of them if
    /// not written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub train_tokens: Option<f64>,
    /// Keep only this share of the training documents, by their tokens; all of them if not written. The validation is never
    /// pruned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep: Option<f64>,
    /// What decides which documents are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_by: Option<KeepBy>,
    /// Which scores are kept, where documents have some: `low`, `middle` or `high`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_scores: Option<KeepScores>,
    /// The file of scores, where these decide: a number a line, one for each training document in their order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_file: Option<PathBuf>,
    /// Seed of the split, of the order of sequences, and of the built-in language.
    pub seed: u64,
    /// Shares of the training tokens that come from each part of a mixture, by the part's name, in proportion to one
    /// another; 0 for parts that are not named. Unlike with a `weight` in the parts, all mixtures of a sweep are measured on
    /// the same validation tokens, as many of each part, and the loss of each part is told by itself.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub weights: BTreeMap<String, f64>,
    /// The parts of a mixture.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Part>,
}

/// The most earlier tokens that the built-in language looks at together.
pub const LONGEST_HISTORY: u8 = 3;

/// What decides which documents are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum KeepBy {
    /// A draw that knows nothing of them.
    Random,
    /// The mean loss of their tokens under a model of three tokens in a row that was trained on all other documents.
    Ngram,
    /// Scores from a file, `keep_file`; `runner data score` writes the losses of documents under a model that was trained.
    File,
}

impl KeepBy {
    /// The name used in specs and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Random => "random",
            Self::Ngram => "ngram",
            Self::File => "file",
        }
    }
}

/// The scores of documents that are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum KeepScores {
    /// The least surprising documents (`CCNet`, arXiv 1911.00359).
    Low,
    /// As much is left out at both ends (Marion et al. 2023, arXiv 2309.04564).
    Middle,
    /// The most surprising ones.
    High,
}

impl KeepScores {
    /// The name used in specs and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Middle => "middle",
            Self::High => "high",
        }
    }
}

/// `[[data.parts]]`: one part of a mixture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// What it is called in `data.weights` and in tables; if not written, the beginning of the file's name, up to the first
    /// character that is no letter, digit or underscore.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Text, JSON Lines or Parquet.
    pub source: Source,
    /// The files, as in `[data]`.
    pub path: PathBuf,
    /// The field or column with the text, for JSON Lines and Parquet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// What separates the documents of a text, as in `[data]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub separator: Option<String>,
    /// Share of the training tokens that come from this part, in proportion to the weights of the others, whatever the
    /// sizes of the parts; the validation tokens have the same shares. Without any weights the parts are one corpus, in
    /// which each has the share of its size. To compare mixtures, write `data.weights` instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<f64>,
}

impl Data {
    /// The texts of this source, a mixture's or its own; none where it has no text.
    pub fn texts(&self) -> Vec<Part> {
        match (self.source, &self.path) {
            (Source::Mixture, _) => self.parts.clone(),
            (Source::Text | Source::Jsonl | Source::Parquet, Some(path)) => {
                vec![self.part(path)]
            }
            _ => Vec::new(),
        }
    }

    /// Its validation files as a part, where a text comes split.
    pub fn validation_texts(&self) -> Option<Part> {
        let split = matches!(self.source, Source::Text | Source::Jsonl | Source::Parquet);
        self.validation_path.as_ref().filter(|_| split).map(|path| self.part(path))
    }

    fn part(&self, path: &Path) -> Part {
        let Self { source, column, separator, .. } = self.clone();
        Part { name: None, source, path: path.to_owned(), column, separator, weight: None }
    }

    /// The share of the training tokens that comes from each part, by its name, where `weights` decide them.
    pub fn shares(&self) -> Vec<(String, f64)> {
        let sum: f64 = self.weights.values().sum();
        let weight = |name: &String| self.weights.get(name).copied().unwrap_or_default();
        let parts = self.parts.iter().filter(|_| !self.weights.is_empty()).map(Part::name);
        parts.map(|name| (name.clone(), weight(&name) / sum)).collect()
    }
}

impl Part {
    /// Its name, or the beginning of its file's.
    pub fn name(&self) -> String {
        let file = || self.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let begins = |file: String| file.chars().take_while(|c| is_of_name(*c)).collect::<String>();
        self.name.clone().unwrap_or_else(|| begins(file()).trim_end_matches('_').to_owned())
    }
}

/// Whether a name, which becomes a column and stands in formulas, may have this character.
pub(super) fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}
