//! What can go wrong with data. Each text says what happened and what to do.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::spec::SpecError;

/// Why there is no corpus.
#[derive(Debug, Error)]
pub enum DataError {
    /// A field of `[data]` does not go with what the files hold.
    #[error("data.{key}: {what}")]
    Configuration {
        /// The field.
        key: &'static str,
        /// What is wrong and what to write instead.
        what: String,
    },
    /// The operating system refused.
    #[error("cannot {doing} {}: {cause}{}", path.display(), hint(doing, path, cause))]
    Io {
        /// The verb: "read", "create".
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said; not named `source`, since it is already in the text.
        cause: io::Error,
    },
    /// `[data]` says what no spec may say.
    #[error(transparent)]
    Spec(#[from] SpecError),
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
        move |cause| Self::Io { doing, path, cause }
    }
}

/// What to do where the system refused.
fn hint(doing: &str, path: &Path, cause: &io::Error) -> &'static str {
    if matches!(cause.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
        return "; there is no room left: remove files there, or choose a folder with more room with --cache";
    }
    if doing != "read" {
        return "; choose a folder that you may write to with --cache";
    }
    let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    match cause.kind() {
        io::ErrorKind::IsADirectory => "; it is a folder, and a file belongs here",
        io::ErrorKind::NotFound if name.contains("rfc") => "; scripts/corpus-rfc.sh makes the corpus of RFCs",
        io::ErrorKind::NotFound if name.contains("linux") => "; scripts/corpus-linux.sh makes the corpus of Linux",
        io::ErrorKind::PermissionDenied => {
            "; get the right to read it, for instance with `chmod +r`, or copy it to where you may"
        }
        io::ErrorKind::NotADirectory => "; a part of this path is a file and no folder; correct it",
        io::ErrorKind::NotFound => "; give the path of a file, relative to the current directory",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_from_a_folder_that_nobody_may_write_to() {
        let said = |kind: io::ErrorKind| DataError::io("write into", Path::new("cache"))(kind.into()).to_string();
        assert!(said(io::ErrorKind::StorageFull).ends_with("choose a folder with more room with --cache"));
        assert!(said(io::ErrorKind::PermissionDenied).ends_with("choose a folder that you may write to with --cache"));
    }

    #[test]
    fn a_file_that_nobody_may_read_is_told_with_what_to_do() {
        let said = |kind: io::ErrorKind| DataError::io("read", Path::new("a/t.txt"))(kind.into()).to_string();
        assert!(said(io::ErrorKind::PermissionDenied).contains("permission denied; get the right to read it"));
        assert!(
            said(io::ErrorKind::NotADirectory).ends_with("a part of this path is a file and no folder; correct it")
        );
    }
}
