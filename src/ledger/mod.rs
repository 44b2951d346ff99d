//! Run folders, first-wins results, derived tables. Owns `results/<sweep>/`.
//!
//! ```text
//! spec.toml  plan.csv  plan.json     the resolved spec and the whole plan, written once
//! ledger.json                        layout and kind of losses (trained or rehearsed), written once
//! runs/<id>/config.json              one planned run
//! runs/<id>/lock                     held by the process that trains it; the kernel frees it when that process dies
//! runs/<id>/attempts/<n>/            metrics.jsonl, and error.json where the attempt failed
//! runs/<id>/result.json              published by link(2): the first wins
//! runs/<id>/conflict-<n>.json        a later result that differs from the first
//! runs/<id>/failed.json              given up by the sweep that is running or ran last; the next one tries again
//! runs.csv  curves.csv               derived from the above, rebuilt at will
//! ```
//!
//! Correctness rests on the publication alone; locks only save work. Whatever dies whenever, a result is whole or
//! absent. The order of writes makes it so: contents, fsync, name, fsync of the folder.

mod claim;
mod error;
mod files;
mod folder;
mod record;
mod tables;

use std::path::{Path, PathBuf};

pub use claim::{Claim, Published};
pub use error::LedgerError;
pub use record::{CurvePoint, Failure, FailureClass, RunResult};

use crate::observation::{Counting, Observation};
use crate::plan::{Plan, PlannedRun, RunId};
use crate::trainer::Outcome;

/// Where the losses of a folder come from. The two never mix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Losses {
    /// Models were trained.
    Trained,
    /// Losses of a known surface; nothing was trained.
    Rehearsed,
}

/// The results folder of a sweep, with its plan.
#[derive(Debug)]
pub struct Ledger {
    dir: PathBuf,
    plan: Plan,
    losses: Losses,
    /// Held by the process that runs the sweep, absent in workers.
    lock: Option<std::fs::File>,
}

/// How far a run is.
#[derive(Clone, Debug, PartialEq)]
pub enum State {
    /// No result yet.
    Pending,
    /// Given up.
    Failed(Failure),
    /// Finished or diverged.
    Ended(RunResult),
}

impl Ledger {
    /// The results folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The plan that the folder was made for.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Whether this process has the lock that keeps a second sweep out.
    pub fn holds_lock(&self) -> bool {
        self.lock.is_some()
    }

    /// Where the losses come from.
    pub fn losses(&self) -> Losses {
        self.losses
    }

    /// How far a run is.
    pub fn state(&self, id: &RunId) -> Result<State, LedgerError> {
        if let Some(result) = self.result(id)? {
            return Ok(State::Ended(result));
        }
        Ok(files::read_json(&self.failed_path(id))?.map_or(State::Pending, State::Failed))
    }

    /// The published result of a run.
    pub fn result(&self, id: &RunId) -> Result<Option<RunResult>, LedgerError> {
        let path = self.result_path(id);
        let result: Option<RunResult> = files::read_json(&path)?;
        match result {
            Some(result) if result.id != *id => {
                Err(LedgerError::Damaged { path, reason: format!("it is the result of run {}", result.id) })
            }
            result => Ok(result),
        }
    }

    /// Gives a run up: workers skip it from now on.
    pub fn give_up(&self, id: &RunId, failure: &Failure) -> Result<(), LedgerError> {
        files::create_dir(&self.run_dir(id))?;
        files::write_json(&self.failed_path(id), failure)
    }

    /// Records why an attempt has no outcome.
    pub fn record_failure(&self, id: &RunId, attempt: u32, failure: &Failure) -> Result<(), LedgerError> {
        let dir = self.attempt_dir(id, attempt);
        files::create_dir(&dir)?;
        files::write_json(&dir.join("error.json"), failure)
    }

    /// The curve of an attempt; a line torn by a crash at its end is left out.
    pub fn curve(&self, id: &RunId, attempt: u32) -> Result<Vec<CurvePoint>, LedgerError> {
        files::read_lines(&self.attempt_dir(id, attempt).join("metrics.jsonl"))
    }

    /// One observation for each finished run, in the order of the plan.
    pub fn observations(&self) -> Result<Vec<Observation>, LedgerError> {
        let mut observations = Vec::new();
        for run in &self.plan.runs {
            if let Some(result) = self.result(&run.id)?
                && let Outcome::Finished { val_loss, val_loss_se, .. } = result.outcome
            {
                observations.push(observation(run, val_loss, val_loss_se));
            }
        }
        Ok(observations)
    }

    fn run_dir(&self, id: &RunId) -> PathBuf {
        self.dir.join("runs").join(id.as_str())
    }

    fn result_path(&self, id: &RunId) -> PathBuf {
        self.run_dir(id).join("result.json")
    }

    fn failed_path(&self, id: &RunId) -> PathBuf {
        self.run_dir(id).join("failed.json")
    }

    fn attempt_dir(&self, id: &RunId, attempt: u32) -> PathBuf {
        self.run_dir(id).join("attempts").join(attempt.to_string())
    }
}

fn observation(run: &PlannedRun, val_loss: f64, val_loss_se: f64) -> Observation {
    let params = |counting| run.params.by(counting) as f64;
    Observation {
        params: params(Counting::All),
        params_non_embedding: Some(params(Counting::NonEmbedding)),
        params_blocks_and_unembedding: Some(params(Counting::BlocksAndUnembedding)),
        tokens: run.tokens as f64,
        flops: run.flops,
        flop_budget: run.run.flop_budget,
        loss: val_loss,
        loss_se: Some(val_loss_se),
        seed: Some(run.run.seed),
    }
}

#[cfg(test)]
pub(crate) mod testing;
