//! How a worker works, and how it ends.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use thiserror::Error;

use super::Stopping;
use crate::ledger::{Failure, LedgerError};
use crate::trainer::Trainer;

/// Why a worker stopped before everything was done.
#[derive(Debug, Error)]
pub enum WorkError {
    /// The results folder could not be read or written.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The run failed in a way after which nothing more is expected of this process.
    #[error("run {run}: {}", failure.message)]
    Failed {
        /// The run that was being trained.
        run: String,
        /// What happened.
        failure: Failure,
    },
    /// No trainer for one more run side by side.
    #[error("{0}")]
    NoTrainer(String),
    /// A rehearsal in a folder of trained runs, or the other way round.
    #[error(
        "device {device} cannot add to {dir}: rehearsed and trained losses never mix. Choose another folder with --out"
    )]
    Mixed {
        /// The device.
        device: String,
        /// The results folder.
        dir: String,
    },
}

/// How a worker ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Work {
    /// Nothing is left that it could claim.
    Done,
    /// It was asked to stop; a run under way is checkpointed.
    Interrupted,
}

/// How a worker works.
#[derive(Clone, Copy)]
pub struct Terms<'a> {
    /// Name of the device, as in `cuda:1`, for whoever looks.
    pub device: &'a str,
    /// The devices that the sweep still has, this one among them.
    pub devices: &'a [String],
    /// Runs that are trained side by side.
    pub runs: usize,
    /// Whether those of one form may take their steps together.
    pub together: bool,
    /// Opens the device once more, for another run.
    pub open: Open<'a>,
    /// Least time between two checkpoints of a run.
    pub checkpoint_every: Duration,
    /// What runs are stopped by before their ends, where they are.
    pub stopping: Option<&'a Stopping>,
    /// Becomes true when the worker is to checkpoint and end.
    pub stop: &'a AtomicBool,
    /// Ends the process at once, as if work had come to this end: other threads of it may never return.
    pub leave: &'a (dyn Fn(&Result<Work, WorkError>) + Sync),
}

/// Opens a device, or says why it cannot. Called on the thread that uses what it gives.
pub type Open<'a> = &'a (dyn Fn() -> Result<Box<dyn Trainer>, String> + Sync);
