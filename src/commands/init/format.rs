//! How a file holds texts, and the keys of `[data]` that say so.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};

use anyhow::ensure;

use crate::data;
use crate::foreign;

/// How a file holds texts, by the end of its name; one that is compressed by gzip or Zstandard has a further end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Text,
    Jsonl,
    Parquet,
}

impl Format {
    /// Of a file, or of the first file of a folder or pattern.
    pub fn of(path: &Path) -> Self {
        let path = first(path);
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        let name = [".gz", ".zst", ".zstd"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(&name);
        match name.rsplit('.').next() {
            Some("jsonl" | "ndjson" | "json") => Self::Jsonl,
            Some("parquet" | "pq") => Self::Parquet,
            _ => Self::Text,
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
            Self::Jsonl => vec!["data.source=\"jsonl\"".to_owned(), column(field_of_text(path))],
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

/// The first of the files that a path names; the path itself where none is there yet.
fn first(path: &Path) -> PathBuf {
    data::files_of(path).ok().and_then(|files| files.into_iter().next()).unwrap_or_else(|| path.to_owned())
}

/// Refuses token ids, which no spec of a text can read, and says which keys do.
pub fn refuse_tokens(path: &Path) -> anyhow::Result<()> {
    let file = first(path);
    let named = ["bin", "npy"].iter().any(|end| file.extension().is_some_and(|own| own.eq_ignore_ascii_case(end)));
    let mut beginning = Vec::new();
    let read = named && File::open(&file).is_ok_and(|file| file.take(LOOK).read_to_end(&mut beginning).is_ok());
    let shown = path.display();
    ensure!(
        !read || beginning.is_empty() || foreign::is_plain_text(&beginning),
        "{shown} holds token ids and no text: leave out --text, and give --set data.source=bin --set data.path={shown} \
         --set data.vocab=50257 --set data.validation_fraction=0.02, with the size of its own vocabulary"
    );
    Ok(())
}

/// Bytes in which a text shows itself.
const LOOK: u64 = 4096;

/// The field of the first line that has the text: `text`, or the longest string; nothing where the file is not there yet
/// or is compressed.
fn field_of_text(path: &Path) -> Option<String> {
    let mut line = String::new();
    BufReader::new(File::open(first(path)).ok()?).take(LONGEST_LINE).read_line(&mut line).ok()?;
    let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&line).ok()?;
    let strings = || object.iter().filter_map(|(name, value)| Some((name, value.as_str()?)));
    let text = strings().find(|(name, _)| *name == "text");
    text.or_else(|| strings().max_by_key(|(_, value)| value.len())).map(|(name, _)| name.clone())
}

/// A first line that is longer is not looked at.
const LONGEST_LINE: u64 = 1 << 24;
