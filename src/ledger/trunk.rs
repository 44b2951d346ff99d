//! What runs leave at the ends of stable phases that they share with others, for those to go on from.
//!
//! ```text
//! trunks/<id>/<step>.safetensors     the state after so many steps, while a run is left that can use it
//! ```
//!
//! Nothing rests on these files: where one is lost or damaged, the runs that want it train those steps again.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;

use super::{Claim, Ledger, LedgerError, files};
use crate::plan::{PlannedRun, RunId};

impl Ledger {
    /// Whether a run is still to be left to whoever trains the stable phase that it goes on from.
    pub fn waits(&self, run: &PlannedRun) -> bool {
        let Some(trunk) = run.trunk.as_ref().filter(|trunk| trunk.from > 0) else { return false };
        if self.is_over(&run.id)
            || self.trunk_ends(&trunk.id).iter().any(|step| *step >= trunk.from && is_beginning(*step, run))
        {
            return false;
        }
        let branches = self.branches(&trunk.id);
        let end = |other: &&PlannedRun| other.run.schedule.stable_steps();
        let first = branches.partition_point(|other| end(other) < trunk.from);
        let mut trains_it = branches[first..].iter().take_while(|other| end(other) == trunk.from && other.id != run.id);
        trains_it.any(|other| !self.is_over(&other.id))
    }

    /// The runs with one stable phase, in the order in which they leave it. Asked for again and again, so they are found once.
    fn branches(&self, trunk: &RunId) -> Vec<&PlannedRun> {
        let places = self.branches.get_or_init(|| self.plan.branches());
        places.get(trunk).into_iter().flatten().map(|at| &self.plan.runs[*at]).collect()
    }

    /// Runs without a result that wait for the stable phase of another.
    pub fn waiting_for_trunks(&self) -> usize {
        self.plan.runs.iter().filter(|run| self.waits(run)).count()
    }

    /// Steps after which the state of a trunk is kept, rising.
    fn trunk_ends(&self, trunk: &RunId) -> Vec<usize> {
        let entries = fs::read_dir(self.trunk_dir(trunk)).into_iter().flatten().flatten();
        let step = |name: String| name.strip_suffix(ENDING).and_then(|step| step.parse().ok());
        let mut steps: Vec<usize> =
            entries.filter_map(|entry| step(entry.file_name().to_string_lossy().into_owned())).collect();
        steps.sort_unstable();
        steps
    }

    /// Removes what no run of a trunk can use any more: each run without a result wants the longest that is a beginning of it.
    /// Where models are kept, so is the longest of all, from which a longer run may go on. What cannot be removed is only
    /// litter.
    fn prune_trunk(&self, trunk: &RunId) {
        let ends = self.trunk_ends(trunk);
        let branches = self.branches(trunk);
        let left: Vec<&PlannedRun> = branches.into_iter().filter(|run| !self.result_path(&run.id).exists()).collect();
        let longest = |run: &&PlannedRun| ends.iter().rev().find(|step| is_beginning(**step, run)).copied();
        let mut wanted: Vec<usize> = left.iter().filter_map(longest).collect();
        wanted.extend(ends.last().copied().filter(|_| self.keeps_models()));
        for step in ends.iter().filter(|step| !wanted.contains(step)) {
            let _ = fs::remove_file(self.trunk_path(trunk, *step));
        }
        if left.is_empty() && wanted.is_empty() {
            // With what a crash left of one that was being written.
            let _ = fs::remove_dir_all(self.trunk_dir(trunk));
            let _ = fs::remove_dir(self.dir.join(FOLDER));
        }
    }

    /// Removes what no run can use any more.
    pub(super) fn prune_trunks(&self) {
        for entry in fs::read_dir(self.dir.join(FOLDER)).into_iter().flatten().flatten() {
            if let Ok(trunk) = RunId::try_from(entry.file_name().to_string_lossy().into_owned()) {
                self.prune_trunk(&trunk);
            }
        }
    }

    fn trunk_dir(&self, trunk: &RunId) -> PathBuf {
        self.dir.join(FOLDER).join(trunk.as_str())
    }

    fn trunk_path(&self, trunk: &RunId, step: usize) -> PathBuf {
        self.trunk_dir(trunk).join(format!("{step}{ENDING}"))
    }
}

impl Claim<'_> {
    /// Opens what other runs left at ends of the stable phase that a run shares with them, longest first.
    pub fn trunk_ends(&self, run: &PlannedRun) -> Vec<(PathBuf, File)> {
        let Some(trunk) = &run.trunk else { return Vec::new() };
        let steps = self.ledger.trunk_ends(&trunk.id).into_iter().rev().filter(|step| is_beginning(*step, run));
        let paths = steps.map(|step| self.ledger.trunk_path(&trunk.id, step));
        paths.filter_map(|path| File::open(&path).ok().map(|file| (path, file))).collect()
    }

    /// Keeps the state at the end of the stable phase of a run, durably, where others can go on from it.
    pub fn save_trunk(
        &self,
        run: &PlannedRun,
        write: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), LedgerError> {
        let Some(trunk) = &run.trunk else { return Ok(()) };
        let end = run.run.schedule.stable_steps();
        let goes_on = |other: &&PlannedRun| {
            other.id != run.id && is_beginning(end, other) && !self.ledger.result_path(&other.id).exists()
        };
        if !self.ledger.keeps_models() && !self.ledger.branches(&trunk.id).iter().any(goes_on) {
            return Ok(());
        }
        files::create_dir(&self.ledger.trunk_dir(&trunk.id))?;
        // In one step: others may be about to go on from the one before it.
        files::fill(&self.ledger.trunk_path(&trunk.id, end), write)?;
        self.ledger.prune_trunk(&trunk.id);
        Ok(())
    }

    /// Removes what no run can use any more now that this one has ended.
    pub(super) fn prune_trunk(&self) {
        let run = self.ledger.plan.runs.iter().find(|run| run.id == self.id);
        if let Some(trunk) = run.and_then(|run| run.trunk.as_ref()) {
            self.ledger.prune_trunk(&trunk.id);
        }
    }
}

/// Where the ends of trunks are, and how their names end.
const FOLDER: &str = "trunks";
const ENDING: &str = ".safetensors";

/// Whether a run can go on from the state after a step. Not from what it has left itself: its own checkpoints tell how much of
/// that is its own work.
fn is_beginning(step: usize, run: &PlannedRun) -> bool {
    let end = run.run.schedule.stable_steps();
    step < end || step == end && run.shared_steps() == end
}

#[cfg(test)]
mod tests {
    use super::super::testing::{SPEC, device, finished};
    use super::*;
    use crate::ledger::{Failure, FailureClass, Losses};
    use crate::plan::testing::lengths;

    /// A folder with runs of 100, 200 and 300 steps that share a trunk.
    fn ledger() -> (tempfile::TempDir, Ledger) {
        let dir = tempfile::tempdir().unwrap();
        let plan = lengths(true, &[100, 200, 300]);
        let ledger = Ledger::create(&dir.path().join("results"), SPEC, plan, Losses::Trained).unwrap();
        (dir, ledger)
    }

    fn waiting(ledger: &Ledger) -> Vec<bool> {
        ledger.plan().runs.iter().map(|run| ledger.waits(run)).collect()
    }

    fn ends(ledger: &Ledger) -> Vec<usize> {
        ledger.trunk_ends(&ledger.plan().runs[0].trunk.as_ref().unwrap().id)
    }

    /// Leaves the state at the end of the stable phase of a run.
    fn leave(ledger: &Ledger, claim: &Claim<'_>, at: usize) {
        claim.save_trunk(&ledger.plan().runs[at], &mut |out| out.write_all(b"a state")).unwrap();
    }

    #[test]
    fn a_run_waits_for_the_one_before_it_and_goes_on_once_there_is_something_to_go_on_from() {
        let (_dir, ledger) = ledger();
        let runs = &ledger.plan().runs;
        assert_eq!(waiting(&ledger), [false, true, true]);
        assert!(ledger.claim(&runs[1]).unwrap().is_none(), "not before its time");
        let first = ledger.claim(&runs[0]).unwrap().unwrap();
        leave(&ledger, &first, 0);
        assert_eq!((waiting(&ledger), ends(&ledger)), (vec![false, false, true], vec![80]));
        // While the first one cools down.
        let second = ledger.claim(&runs[1]).unwrap().unwrap();
        assert_eq!(second.trunk_ends(&runs[1]).len(), 1);
        leave(&ledger, &second, 1);
        first.publish(finished(3.0), device(), 1).unwrap();
        assert_eq!((waiting(&ledger), ends(&ledger)), (vec![false; 3], vec![80, 160]), "the second may begin again");
        second.publish(finished(3.0), device(), 1).unwrap();
        assert_eq!(ends(&ledger), [160]);
        let third = ledger.claim(&runs[2]).unwrap().unwrap();
        leave(&ledger, &third, 2);
        assert_eq!(ends(&ledger), [160], "nobody goes on from the end of the last");
        third.publish(finished(3.0), device(), 1).unwrap();
        assert!(!ledger.dir().join("trunks").exists());
    }

    #[test]
    fn a_run_that_is_given_up_or_a_lost_state_holds_nobody_back() {
        let (_dir, ledger) = ledger();
        let runs = &ledger.plan().runs;
        let failure = Failure { class: FailureClass::Crash, message: "boom".to_owned(), device: None };
        ledger.claim(&runs[0]).unwrap().unwrap().fail(&failure, &|_| true).unwrap();
        assert_eq!(waiting(&ledger), [false, false, true]);
        let second = ledger.claim(&runs[1]).unwrap().unwrap();
        assert!(second.trunk_ends(&runs[1]).is_empty());
        second.publish(finished(3.0), device(), 1).unwrap();
        assert_eq!(waiting(&ledger), [false; 3]);
    }

    #[test]
    fn with_models_the_longest_is_kept_for_longer_runs() {
        let (_dir, ledger) = ledger();
        ledger.keep_models().unwrap();
        for (at, run) in ledger.plan().runs.iter().enumerate() {
            let claim = ledger.claim(run).unwrap().unwrap();
            leave(&ledger, &claim, at);
            claim.publish(finished(3.0), device(), 1).unwrap();
        }
        assert_eq!(ends(&ledger), [240]);
    }
}
