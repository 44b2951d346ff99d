//! A sweep that chooses: its folder has the runs that were chosen so far, which become more.
//!
//! ```text
//! choices.jsonl      each choice with what was known of the goal and why, and where choosing ended
//! plan.json          the runs that were chosen
//! ```
//!
//! The process that runs the sweep knows all candidates; workers, tables and fits see the plan in the folder.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use super::chosen::Chosen;
use super::folder::write_plan;
use super::{Ledger, LedgerError, files};
use crate::plan::{Plan, PlannedRun, RunId};

const FILE: &str = "choices.jsonl";

/// A run that was chosen, or the end of choosing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Choice {
    /// The run; none where choosing ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// Why this run, or why no more.
    pub reason: String,
    /// What it was chosen for.
    pub goal: String,
    /// Value of the goal by the runs that had finished, and the ends of its 95% interval.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub known: Option<[f64; 3]>,
    /// Share of the goal's variance that the run was expected to take away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gain: Option<f64>,
    /// Runs that had finished.
    pub finished: usize,
    /// FLOPs of all runs that had been chosen before.
    pub flops: f64,
}

/// The choices of a folder; none where none were made.
pub fn choices(dir: &Path) -> Result<Vec<Choice>, LedgerError> {
    let path = dir.join(FILE);
    if path.exists() { files::read_lines(&path) } else { Ok(Vec::new()) }
}

/// The candidates that a folder's choices name.
pub fn chosen_of(candidates: &Plan, choices: &[Choice]) -> Plan {
    let ids: BTreeSet<&RunId> = choices.iter().filter_map(|choice| choice.run.as_ref()).collect();
    let runs = candidates.runs.iter().filter(|run| ids.contains(&run.id)).cloned().collect();
    Plan { runs, left_out: candidates.left_out.clone() }
}

impl Ledger {
    /// The same folder before the process that chooses: all candidates, of which those in the plan so far are chosen.
    #[must_use]
    pub fn choosing(self, candidates: Plan) -> Self {
        let ids = self.plan.runs.iter().map(|run| run.id.clone()).collect();
        Self { plan: candidates, branches: OnceLock::new(), chosen: Some(Chosen::of(ids)), ..self }
    }

    /// The same folder as everybody else sees it.
    #[must_use]
    pub fn with_chosen_alone(mut self) -> Self {
        if let Some(chosen) = self.chosen.take() {
            self.plan.runs.retain(|run| chosen.ids().contains(&run.id));
            self.branches = OnceLock::new();
        }
        self
    }

    /// Adds choices to the folder: first the reasons, then the plan, so that no run is in the plan without a reason.
    pub fn choose(&self, more: &[Choice]) -> Result<(), LedgerError> {
        let path = self.dir.join(FILE);
        let mut lines = files::read(&path)?.unwrap_or_default();
        for choice in more {
            serde_json::to_writer(&mut lines, choice).expect("text and numbers");
            lines.push(b'\n');
        }
        files::write(&path, &lines)?;
        let Some(chosen) = &self.chosen else { return Ok(()) };
        let ids: Vec<RunId> = more.iter().filter_map(|choice| choice.run.clone()).collect();
        if ids.is_empty() {
            return Ok(());
        }
        for id in &ids {
            self.make_run_dir(id)?;
        }
        files::sync_dir(&self.dir.join("runs"))?;
        chosen.ids().extend(ids);
        let runs = self.wanted().into_iter().cloned().collect();
        write_plan(&self.dir, &Plan { runs, left_out: self.plan.left_out.clone() }, self.sealed)
    }

    /// Records where choosing ended, once.
    pub fn end_choosing(&self, end: &Choice) -> Result<(), LedgerError> {
        if choices(&self.dir)?.last() == Some(end) { Ok(()) } else { self.choose(std::slice::from_ref(end)) }
    }

    /// Whether the plan grows while a process runs the sweep, since that chooses.
    pub fn grows_by_choosing(&self) -> bool {
        self.plan.runs.is_empty() || self.dir.join(FILE).exists()
    }

    /// Whether this process chooses among the runs of the plan.
    pub fn is_choosing(&self) -> bool {
        self.chosen.is_some()
    }

    /// The runs that are to be trained: those of the plan, or those of them that were chosen.
    pub fn wanted(&self) -> Vec<&PlannedRun> {
        let Some(chosen) = &self.chosen else { return self.plan.runs.iter().collect() };
        let ids = chosen.ids();
        self.plan.runs.iter().filter(|run| ids.contains(&run.id)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Losses;
    use super::super::testing::{SPEC, device, finished};
    use super::*;
    use crate::plan::testing::plan;

    fn choice(run: Option<&PlannedRun>) -> Choice {
        Choice {
            run: run.map(|run| run.id.clone()),
            reason: "it is cheap".to_owned(),
            goal: "exponent of N".to_owned(),
            known: Some([0.5, 0.4, 0.6]),
            gain: Some(0.25),
            finished: 0,
            flops: 0.0,
        }
    }

    #[test]
    fn what_was_chosen_is_the_plan_and_the_next_call_goes_on_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let (dir, candidates) = (dir.path().join("r"), plan(4));
        let begin = || {
            let chosen = chosen_of(&candidates, &choices(&dir).unwrap());
            Ledger::create(&dir, SPEC, chosen, Losses::Trained).unwrap().choosing(candidates.clone())
        };
        let ledger = begin();
        assert!(ledger.wanted().is_empty() && Ledger::open(&dir).unwrap().plan().runs.is_empty());
        ledger.choose(&[choice(Some(&candidates.runs[2])), choice(Some(&candidates.runs[0]))]).unwrap();
        // A worker sees the chosen runs, in the order of the candidates.
        let worker = Ledger::open(&dir).unwrap();
        let ids = |ledger: &Ledger| ledger.plan().runs.iter().map(|run| run.id.clone()).collect::<Vec<_>>();
        assert_eq!(ids(&worker), [candidates.runs[0].id.clone(), candidates.runs[2].id.clone()]);
        worker.claim(&worker.plan().runs[0]).unwrap().unwrap().publish(finished(3.0), device(), 1).unwrap();
        drop(ledger);
        let again = begin();
        assert_eq!((again.wanted().len(), again.plan().runs.len(), again.grown_from()), (2, 4, None));
        assert_eq!(choices(&dir).unwrap()[0], choice(Some(&candidates.runs[2])));
        again.choose(&[choice(None)]).unwrap();
        assert_eq!(again.with_chosen_alone().plan().runs.len(), 2);
        assert!(!dir.join("specs").exists(), "the spec has not changed");
    }

    #[test]
    fn a_choice_that_did_not_get_into_the_plan_is_there_after_the_next_call() {
        let dir = tempfile::tempdir().unwrap();
        let (dir, candidates) = (dir.path().join("r"), plan(3));
        Ledger::create(&dir, SPEC, chosen_of(&candidates, &[]), Losses::Trained).unwrap();
        let line = serde_json::to_string(&choice(Some(&candidates.runs[1]))).unwrap();
        std::fs::write(dir.join(FILE), format!("{line}\n{{\"torn")).unwrap();
        let chosen = chosen_of(&candidates, &choices(&dir).unwrap());
        let ledger = Ledger::create(&dir, SPEC, chosen, Losses::Trained).unwrap();
        assert_eq!(ledger.plan().runs.len(), 1);
        assert_eq!(Ledger::open(&dir).unwrap().plan().runs[0].id, candidates.runs[1].id);
        assert!(!dir.join("specs").exists(), "the spec has not changed");
    }
}
