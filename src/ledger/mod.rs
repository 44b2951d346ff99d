//! Run folders, first-wins results, derived tables. Owns `results/<sweep>/`.
//!
//! ```text
//! spec.toml  plan.csv  plan.json     the resolved spec and the whole plan, written again where the sweep grows or chooses
//! ledger.json                        layout and kind of losses (trained or rehearsed), written once
//! choices.jsonl                      of a sweep that chooses: each choice and its reason; its plan is what was chosen
//! specs/                             the earlier specs, where the sweep has grown; history.jsonl says until when each held
//! keep-models                        that the weights of runs are kept
//! runs/<id>/config.json              one planned run
//! runs/<id>/program/                 the folder of somebody else's program that trains the run
//! runs/<id>/lock                     the lease of the process that trains it
//! runs/<id>/attempts/<n>/            of an attempt of more than a second: metrics.jsonl to look at, checkpoints until
//!                                    the run has a result, and error.json where the attempt failed
//! runs/<id>/result.json              with the curve and a checksum, published by link(2): the first wins
//! trunks/<id>/<step>.safetensors     the state at the end of a stable phase that runs share, while one can go on from it
//! runs/<id>/model.safetensors        the weights at the end, where `keep-models` lies in the folder
//! runs/<id>/conflict-<n>.json        a later result that differs from the first
//! runs/<id>/stray-<n>-result.json    what somebody else's program wrote in the place of a result
//! runs/<id>/stopped.json             stopped before its end by `sweep.stop_early`: no result, so that it can go on
//! runs/<id>/failed.json              given up by the sweep that is running or ran last; the next one tries again
//! slurm/                             the array that was submitted, its script and the logs of its tasks
//! runs.csv  curves.csv               derived from the above, rebuilt at will
//! fits.json  report.html  figures/   what the fits of them say
//! ```
//!
//! Correctness rests on the publication alone; locks only save work. Whatever dies whenever, a result is whole or
//! absent. The order of writes makes it so: contents, fsync, name, fsync of the folder.

mod attempt;
mod check;
mod choices;
mod chosen;
mod claim;
mod difference;
mod error;
mod files;
mod folder;
mod growth;
mod kept;
mod lease;
mod merge;
mod record;
mod stopped;
mod tables;
mod trespass;
mod trunk;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

pub use check::Check;
pub use choices::{Choice, choices, chosen_of};
pub use claim::{Claim, Published, conflict_warning};
pub use difference::Difference;
pub use error::LedgerError;
pub use folder::has_tables_only;
pub use lease::{Doing, EXPIRY, Holder, host};
pub use merge::{Taken, joined};
pub use record::{CurvePoint, Failure, FailureClass, RunResult};
pub use stopped::{Reason, Stopped};
pub use tables::{STOPPED, foreseen};

use crate::columns::REHEARSAL;
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

/// Said by whatever shows, fits or hands on losses that no training produced.
pub const REHEARSED: &str = "REHEARSAL: no model is trained; every loss comes from a known surface and some noise";

impl Losses {
    /// What a kind of device gives.
    pub fn of_device(kind: &str) -> Self {
        if kind == REHEARSAL { Self::Rehearsed } else { Self::Trained }
    }
}

/// A file in whose presence weights are kept.
const KEEP_MODELS: &str = "keep-models";

/// The results folder of a sweep, with its plan.
#[derive(Debug)]
pub struct Ledger {
    dir: PathBuf,
    plan: Plan,
    losses: Losses,
    /// Whether plan and results carry checksums; they do since layout 2.
    sealed: bool,
    /// Held by the process that runs the sweep, absent in workers.
    lease: Option<std::sync::Mutex<lease::Lease>>,
    /// What is known of the processes that hold runs.
    watch: lease::Watch,
    /// How runs ended, in a folder that has only tables of them.
    kept: Option<BTreeMap<RunId, State>>,
    /// Runs of the plan that this call replaced by a larger one.
    grown_from: Option<usize>,
    /// The name that the spec in the folder had, and the other one that this call gave it.
    renamed: Option<[String; 2]>,
    /// The runs of each shared stable phase by their places in the plan, found where one is asked for first.
    branches: OnceLock<BTreeMap<RunId, Vec<usize>>>,
    /// Which runs of the plan are to be trained, where the process that has it chooses among them.
    chosen: Option<chosen::Chosen>,
}

/// How far a run is.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::large_enum_variant)] // Most runs have ended.
pub enum State {
    /// No result yet.
    Pending,
    /// Given up.
    Failed(Failure),
    /// Stopped before its end.
    Stopped(Stopped),
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
        self.lease.is_some()
    }

    /// Runs that the folder had before this call, where it gave it more.
    pub fn grown_from(&self) -> Option<usize> {
        self.grown_from
    }

    /// Says that the sweep of the folder has another name than before, if it has.
    pub fn tell_renamed(&self) {
        if let Some([before, now]) = &self.renamed {
            tell!(
                "the sweep in {} was named \"{before}\" and is named \"{now}\" from now on; its runs are the same",
                self.dir.display()
            );
        }
    }

    /// Where the losses come from.
    pub fn losses(&self) -> Losses {
        self.losses
    }

    /// Whether plan and results carry checksums; older folders have none, nor have tables that are all that was kept.
    pub fn has_checksums(&self) -> bool {
        self.sealed && self.kept.is_none()
    }

    /// How far a run is.
    pub fn state(&self, id: &RunId) -> Result<State, LedgerError> {
        if let Some(kept) = &self.kept {
            return Ok(kept.get(id).cloned().unwrap_or(State::Pending));
        }
        if let Some(result) = self.result(id)? {
            return Ok(State::Ended(result));
        }
        if let Some(stopped) = files::read_sealed(&self.stopped_path(id))? {
            return Ok(State::Stopped(stopped));
        }
        Ok(files::read_json(&self.failed_path(id))?.map_or(State::Pending, State::Failed))
    }

    /// The published result of a run.
    pub fn result(&self, id: &RunId) -> Result<Option<RunResult>, LedgerError> {
        if let Some(kept) = &self.kept {
            let ended = |state: &State| if let State::Ended(result) = state { Some(result.clone()) } else { None };
            return Ok(kept.get(id).and_then(ended));
        }
        let path = self.result_path(id);
        let result: Option<RunResult> = self.read(&path)?;
        match result {
            Some(result) if result.id != *id => {
                Err(LedgerError::Damaged { path, reason: format!("it is the result of run {}", result.id) })
            }
            result => Ok(result),
        }
    }

    /// Gives a run up: workers skip it from now on.
    fn give_up(&self, id: &RunId, failure: &Failure) -> Result<(), LedgerError> {
        files::create_dir(&self.run_dir(id))?;
        files::write_json(&self.failed_path(id), failure)
    }

    /// Records why an attempt has no outcome, and gives the run up where it is `hopeless` after all its failures.
    pub fn fail(
        &self,
        id: &RunId,
        attempt: u32,
        failure: &Failure,
        hopeless: &dyn Fn(&[Failure]) -> bool,
    ) -> Result<(), LedgerError> {
        let dir = self.attempt_dir(id, attempt);
        files::create_dir(&dir)?;
        files::write_json(&dir.join("error.json"), failure)?;
        if hopeless(&self.failures(id)?) { self.give_up(id, failure) } else { Ok(()) }
    }

    /// Why earlier attempts at a run have no outcome, those of a sweep before this one that gave the run up excepted.
    pub fn failures(&self, id: &RunId) -> Result<Vec<Failure>, LedgerError> {
        let mut failures = Vec::new();
        for attempt in attempt::numbers(&self.attempts_dir(id))? {
            failures.extend(files::read_json(&self.attempt_dir(id, attempt).join("error.json"))?);
        }
        Ok(failures)
    }

    /// Lets a run that was given up be tried anew, with all its attempts.
    fn forgive(&self, id: &RunId) {
        let failed = self.failed_path(id);
        if !failed.exists() {
            return;
        }
        // Where this fails the run stays failed, which the summary shows.
        for attempt in attempt::numbers(&self.attempts_dir(id)).unwrap_or_default() {
            let dir = self.attempt_dir(id, attempt);
            let _ = fs::rename(dir.join("error.json"), dir.join("error-of-an-earlier-sweep.json"));
        }
        let _ = fs::remove_file(&failed);
    }

    /// The curve of a result; a line torn by a crash at its end is left out.
    pub fn curve(&self, result: &RunResult) -> Result<Vec<CurvePoint>, LedgerError> {
        if self.sealed || self.kept.is_some() || !result.curve.is_empty() {
            return Ok(result.curve.clone());
        }
        files::read_lines(&self.attempt_dir(&result.id, result.attempt).join("metrics.jsonl"))
    }

    /// The curve of a run that has ended or was stopped.
    pub fn curve_of(&self, state: &State) -> Result<Option<Vec<CurvePoint>>, LedgerError> {
        match state {
            State::Ended(result) => self.curve(result).map(Some),
            State::Stopped(stopped) => Ok(Some(stopped.curve.clone())),
            State::Pending | State::Failed(_) => Ok(None),
        }
    }

    /// Who holds a run now, if anybody.
    pub fn holder(&self, id: &RunId) -> Option<Holder> {
        lease::holder(&self.lock_path(id))
    }

    /// Whether an attempt at a run left a checkpoint to go on from.
    pub fn has_checkpoint(&self, id: &RunId) -> bool {
        attempt::checkpoints(&self.attempts_dir(id)).is_ok_and(|paths| !paths.is_empty())
    }

    /// Who runs the sweep in a folder now, if anybody.
    pub fn sweep_holder(dir: &Path) -> Option<Holder> {
        lease::holder(&dir.join("lock"))
    }

    /// Tells other machines that this process still runs the sweep.
    pub fn beat(&self) {
        if let Some(lease) = &self.lease {
            lease.lock().expect("no holder of this lock panics").beat(|| None);
        }
    }

    /// A value with its checksum, where this folder has them.
    fn read<T: serde::de::DeserializeOwned>(&self, path: &Path) -> Result<Option<T>, LedgerError> {
        if self.sealed { files::read_sealed(path) } else { files::read_json(path) }
    }

    /// The text of a value, with its checksum, where this folder has them.
    fn text(&self, value: &impl serde::Serialize) -> Vec<u8> {
        if self.sealed { files::sealed_json(value) } else { files::json(value) }
    }

    /// One observation for each finished run, in the order of the plan.
    pub fn observations(&self) -> Result<Vec<Observation>, LedgerError> {
        self.plan.runs.iter().filter_map(|run| self.observation(run).transpose()).collect()
    }

    /// The observation of one run, once it has finished.
    pub fn observation(&self, run: &PlannedRun) -> Result<Option<Observation>, LedgerError> {
        let outcome = self.result(&run.id)?.map(|result| result.outcome);
        Ok(match outcome {
            Some(Outcome::Finished { val_loss, val_loss_se, .. }) => Some(observation(run, val_loss, val_loss_se)),
            _ => None,
        })
    }

    /// Has the weights of every run that ends from now on kept, whichever process trains it.
    pub fn keep_models(&self) -> Result<(), LedgerError> {
        files::write(&self.dir.join(KEEP_MODELS), b"")
    }

    /// Whether the weights of finished runs are kept.
    pub fn keeps_models(&self) -> bool {
        self.dir.join(KEEP_MODELS).exists()
    }

    /// Where the weights of a run are, if they were kept.
    pub fn model_path(&self, id: &RunId) -> PathBuf {
        self.run_dir(id).join("model.safetensors")
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

    fn stopped_path(&self, id: &RunId) -> PathBuf {
        self.run_dir(id).join("stopped.json")
    }

    fn lock_path(&self, id: &RunId) -> PathBuf {
        self.run_dir(id).join("lock")
    }

    fn attempts_dir(&self, id: &RunId) -> PathBuf {
        self.run_dir(id).join("attempts")
    }

    fn attempt_dir(&self, id: &RunId, attempt: u32) -> PathBuf {
        self.attempts_dir(id).join(attempt.to_string())
    }
}

impl Ledger {
    /// Takes over a result from elsewhere; one that is there already stays.
    pub fn import(&self, result: &RunResult) -> Result<Published, LedgerError> {
        self.make_run_dir(&result.id)?;
        self.publish(result, "imported")
    }
}

fn observation(run: &PlannedRun, val_loss: f64, val_loss_se: f64) -> Observation {
    let params = |counting| run.params_by(counting).map(|count| count as f64);
    Observation {
        params: run.params.total() as f64,
        params_non_embedding: params(Counting::NonEmbedding),
        params_blocks_and_unembedding: params(Counting::BlocksAndUnembedding),
        tokens: run.tokens as f64,
        flops: run.flops,
        flop_budget: run.run.flop_budget,
        shared_budget: None,
        loss: val_loss,
        loss_se: Some(val_loss_se),
        seed: Some(run.run.seed),
    }
}

#[cfg(test)]
pub(crate) mod testing;
