//! What can go wrong with a results folder, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::paths::{self, shown};

/// Why the ledger could not do what was asked.
#[derive(Debug, Error)]
pub enum LedgerError {
    /// The system refused a file operation.
    #[error("cannot {action} {path}: {cause}{}", hint(cause))]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said; not named `source`, since it is already in the text.
        cause: io::Error,
    },
    /// A file of the ledger does not hold what it should.
    #[error(
        "{path} is damaged: {reason} (or another version of runner wrote it). Restore it from a backup, or remove {} and \
         run the sweep again",
        whole(path)
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The folder belongs to another sweep.
    #[error("{dir} holds the results of another sweep: {difference}. {remedy}")]
    AnotherSweep {
        /// The folder.
        dir: PathBuf,
        /// What differs.
        difference: String,
        /// What to do.
        remedy: &'static str,
    },
    /// The folder has what was derived from results, and would be written over.
    #[error(
        "{dir} holds the tables of runs without the runs themselves, as git keeps them, and would be written over. Choose another \
         folder with --out; to go on from these runs, make it with `runner merge NEW {}`",
        shown(dir)
    )]
    TablesOnly {
        /// The folder.
        dir: PathBuf,
    },
    /// Two sweeps whose results do not go into one table.
    #[error("{first} and {other} cannot be merged: {difference}. {remedy}")]
    Apart {
        /// The first folder.
        first: PathBuf,
        /// The other one.
        other: PathBuf,
        /// What keeps them apart.
        difference: String,
        /// What to do.
        remedy: &'static str,
    },
    /// The folder holds files that are no ledger's.
    #[error("{dir} is not a results folder: it holds {found}. Choose a new or empty folder with --out")]
    NotALedger {
        /// The folder.
        dir: PathBuf,
        /// A name found in it.
        found: String,
    },
    /// No ledger is there.
    #[error("{} holds no sweep: {}", shown(dir), no_sweep(dir, missing))]
    NoLedger {
        /// The folder.
        dir: PathBuf,
        /// The file looked for.
        missing: &'static str,
    },
    /// Another process runs this sweep.
    #[error(
        "another process runs the sweep in {dir}{holder}. Wait for it or end it, or choose another folder with --out"
    )]
    Locked {
        /// The folder.
        dir: PathBuf,
        /// Which process, where known.
        holder: String,
    },
}

impl LedgerError {
    /// Wraps an error of the system, for `map_err`.
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |cause| Self::Io { action, path: path.to_owned(), cause }
    }
}

fn hint(cause: &io::Error) -> &'static str {
    match cause.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            ". Give yourself the right to write there, or choose another folder: `runner sweep` has --out, and a copy of a results folder \
             is one too"
        }
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
            ". A part of this path is a file; name another folder, as `runner sweep` does with --out"
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            ". Make room and run the sweep again: finished runs are kept"
        }
        io::ErrorKind::FileTooLarge => {
            ". A limit of file sizes is in the way (`ulimit -f`): raise it and run the same command again; finished runs are kept"
        }
        io::ErrorKind::Unsupported | io::ErrorKind::CrossesDevices => {
            ". Results need a file system with hard links, or with renames that replace nothing; choose another folder with --out"
        }
        _ => "",
    }
}

/// Why a folder holds no sweep, and what to do.
fn no_sweep(dir: &Path, missing: &str) -> String {
    paths::meant(dir).unwrap_or_else(|| {
        format!(
            "{missing} is missing. Name a folder that `runner sweep` made; where it is one, `runner sweep SPEC --out {}` writes the lost \
             files again",
            shown(dir)
        )
    })
}

/// What to remove when a file is damaged: the run's folder where it belongs to a run, and the spec where it is the plan,
/// which is written anew with the spec.
fn whole(path: &Path) -> String {
    if path.ends_with("plan.json") {
        return path.with_file_name("spec.toml").display().to_string();
    }
    let in_a_run = path.ancestors().find(|part| part.parent().is_some_and(|parent| parent.ends_with("runs")));
    in_a_run.unwrap_or(path).display().to_string()
}
