//! What can go wrong with an export. Each text says what happened and what to do.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::checkpoint::NoWeights;
use crate::ledger::LedgerError;
use crate::whole;

/// Why nothing, or not all, was exported.
#[derive(Debug, Error)]
pub enum ExportError {
    /// The operating system refused.
    #[error("cannot {doing} {}: {cause}", path.display())]
    Io {
        /// The verb: "read", "write".
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said; not named `source`, since it is already in the text.
        cause: io::Error,
    },
    /// A table that cannot be used.
    #[error("{}{}: {what}", path.display(), line.map(|line| format!(":{line}")).unwrap_or_default())]
    Table {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1, where it is known.
        line: Option<u64>,
        /// What is wrong and what to do.
        what: String,
    },
    /// A results folder that cannot be read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// Weights that are missing or not those of the run.
    #[error(transparent)]
    Weights(#[from] NoWeights),
    /// What was asked for cannot be written in this format.
    #[error("{0}")]
    Impossible(String),
}

impl ExportError {
    /// For `map_err`: names what was being done to which file.
    pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |cause| Self::Io { doing, path, cause }
    }
}

/// Makes a folder and its parents.
pub(super) fn create_dir(path: &Path) -> Result<(), ExportError> {
    std::fs::create_dir_all(path).map_err(ExportError::io("create", path))
}

/// Writes a file, whole or not at all.
pub(super) fn write(path: &Path, content: &[u8]) -> Result<(), ExportError> {
    whole::write_unsynced(path, content).map_err(ExportError::io("write", path))
}
