//! Workers as an array of Slurm jobs: the batch script, the commands that talk to the controller, and the record of what
//! was submitted, `slurm/submission.json` in the results folder.
//!
//! What Slurm says decides only whether workers are still to come. Which runs are over is decided by their results
//! alone, so that neither a controller that is down, nor an accounting that is not there, nor two copies of one task
//! can make a result wrong or lose it. A controller that does not answer is no end of a job.

mod array;
mod cards;
mod client;
mod script;
mod submission;
mod task;

use std::path::{Path, PathBuf};

use thiserror::Error;

pub use array::ArrayState;
pub use cards::Asked;
pub use client::Client;
pub use script::Script;
pub use submission::{Submission, logs};
pub use task::{Task, is_time_limit};

use crate::ledger::LedgerError;

/// Folder of everything about Slurm, below the results folder.
pub const FOLDER: &str = "slurm";

/// Why Slurm did not do what was asked.
#[derive(Debug, Error)]
pub enum SlurmError {
    /// One of its commands is not there.
    #[error(
        "cannot start {program}: {cause}. Submit from a machine that has Slurm's commands, or use --launcher local"
    )]
    Missing {
        /// The command.
        program: &'static str,
        /// What the system said.
        cause: std::io::Error,
    },
    /// Nobody answers, or not in words that can be understood.
    #[error("{program} has no answer: {said}. Nothing is lost; try again when the controller is back")]
    Unreachable {
        /// The command.
        program: &'static str,
        /// What it said.
        said: String,
    },
    /// The answer is no.
    #[error("{program} refuses: {said}{}", if *program == "sbatch" { ". Change [launcher] in the spec" } else { "" })]
    Refused {
        /// The command.
        program: &'static str,
        /// What it said.
        said: String,
    },
    /// A path that a batch script cannot hold.
    #[error(
        "{path:?} cannot stand in a batch script, because of {found:?}; use a folder without quotes, backslashes, % and control characters"
    )]
    Path {
        /// The path.
        path: PathBuf,
        /// What is in it.
        found: char,
    },
    /// The results folder could not be read or written.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// How the array of a results folder stands; nothing where none was submitted. Asks the controller once, which takes
/// Slurm some 10 s when it is down.
pub fn state(dir: &Path) -> Result<Option<ArrayState>, SlurmError> {
    Ok(Submission::read(dir)?.map(|submission| submission.state(&Client::impatient())))
}
