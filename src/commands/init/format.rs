//! How a file holds texts, and the keys of `[data]` that say so.

use std::path::Path;

use anyhow::bail;

use crate::data::{self, Kind};

/// How a text lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Text,
    Jsonl,
    Parquet,
}

impl Format {
    /// Of a file, a folder or a pattern. Token ids no spec of a text can read: it is said which keys do.
    pub fn of(path: &Path) -> anyhow::Result<Self> {
        let shown = path.display();
        match Kind::of(path)? {
            Kind::Text => {
                data::check_text(path)?;
                Ok(Self::Text)
            }
            Kind::Jsonl => Ok(Self::Jsonl),
            Kind::Parquet => Ok(Self::Parquet),
            Kind::Tokens => bail!(
                "{shown} holds token ids and no text: leave out --text, and give --set data.source=bin --set \
                 data.path={shown} --set data.vocab=50257 --set data.validation_fraction=0.02, with the size of its own \
                 vocabulary"
            ),
        }
    }

    /// The keys of `[data]` beside the path.
    pub fn keys(self, path: &Path) -> Vec<String> {
        let column = |found: Option<String>| {
            let column = found.unwrap_or_else(|| "text".to_owned());
            format!("data.column={}", toml_edit::Value::from(column))
        };
        match self {
            Self::Text => vec!["data.source=\"text\"".to_owned()],
            Self::Jsonl => vec!["data.source=\"jsonl\"".to_owned(), column(data::field_of_text(path))],
            Self::Parquet => vec!["data.source=\"parquet\"".to_owned(), column(None)],
        }
    }

    /// What a comment says of it.
    pub fn comment(self) -> &'static str {
        match self {
            Self::Text => "# UTF-8, documents separated by blank lines",
            Self::Jsonl => "# JSON Lines: a document a line, its text in data.column",
            Self::Parquet => "# Parquet: a document a row, its text in data.column",
        }
    }
}
