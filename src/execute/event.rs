//! What a worker tells its supervisor: one JSON object a line on standard output.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::ledger::Failure;
use crate::plan::RunId;

/// Something happened to a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The worker holds the run and begins to train it.
    Claimed {
        /// The run.
        run: RunId,
        /// Number of the attempt.
        attempt: u32,
    },
    /// Its first step is not done yet.
    Preparing {
        /// The run.
        run: RunId,
        /// What goes on.
        what: String,
        /// For how many seconds.
        seconds: f64,
    },
    /// Training goes on.
    Progress {
        /// The run.
        run: RunId,
        /// Tokens seen.
        tokens: u64,
        /// Recent training loss in nats per token; nothing where it is not a number.
        train_loss: Option<f64>,
        /// Training tokens per second so far.
        tokens_per_second: Option<f64>,
    },
    /// The run was trained to its end and its result is on disk.
    Finished {
        /// The run.
        run: RunId,
        /// Loss on the validation tokens, in nats per token.
        val_loss: f64,
        /// Training tokens per second.
        tokens_per_second: f64,
        /// Wall-clock seconds.
        seconds: f64,
    },
    /// The run diverged, which is its result, and that is on disk.
    Diverged {
        /// The run.
        run: RunId,
        /// Step at which it was noticed.
        step: usize,
        /// Training loss there; nothing where it is not a finite number.
        #[serde(default)]
        train_loss: Option<f64>,
    },
    /// The run was stopped before its end, which is on disk.
    Stopped {
        /// The run.
        run: RunId,
        /// Tokens seen.
        tokens: u64,
        /// Why, in words.
        why: String,
    },
    /// The worker was asked to stop; the run goes on from a checkpoint.
    Interrupted {
        /// The run.
        run: RunId,
        /// Steps done.
        step: usize,
    },
    /// There was no room for the run beside its neighbours: the worker trains one fewer side by side from now on.
    Postponed {
        /// The run.
        run: RunId,
        /// What there was no room for.
        message: String,
    },
    /// The attempt has no outcome.
    Failed {
        /// The run.
        run: RunId,
        /// Why.
        #[serde(flatten)]
        failure: Failure,
    },
    /// The run had a different result already, which stands.
    Conflict {
        /// The run.
        run: RunId,
        /// Where the later result is kept.
        kept: PathBuf,
    },
}

impl Event {
    /// The run of which it tells.
    pub fn run(&self) -> &RunId {
        match self {
            Self::Claimed { run, .. }
            | Self::Preparing { run, .. }
            | Self::Progress { run, .. }
            | Self::Finished { run, .. }
            | Self::Diverged { run, .. }
            | Self::Stopped { run, .. }
            | Self::Interrupted { run, .. }
            | Self::Postponed { run, .. }
            | Self::Failed { run, .. }
            | Self::Conflict { run, .. } => run,
        }
    }
}
