//! What can go wrong with data. Each text says what happened and what to do.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Why there is no corpus.
#[derive(Debug, Error)]
pub enum DataError {
    /// A field of `[data]` is missing, impossible, or means nothing for this source.
    #[error("data.{key}: {what}")]
    Configuration {
        /// The field.
        key: &'static str,
        /// What is wrong and what to write instead.
        what: String,
    },
    /// The operating system refused.
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        /// The verb: "read", "create".
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file holds what it must not hold.
    #[error("{}: {what}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        what: String,
    },
    /// The cache misses a corpus, or has a damaged one.
    #[error("{}: {what}", folder.display())]
    Cache {
        /// The folder of the corpus.
        folder: PathBuf,
        /// What is wrong and what to do.
        what: String,
    },
}

impl DataError {
    pub(super) fn configuration(key: &'static str, what: impl Into<String>) -> Self {
        Self::Configuration { key, what: what.into() }
    }

    pub(super) fn content(path: &Path, what: impl Into<String>) -> Self {
        Self::Content { path: path.to_owned(), what: what.into() }
    }

    /// For `map_err`: names what was being done to which file.
    pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { doing, path, source }
    }
}
