//! Sweeps of several machines as one: their plans joined, their results taken over, the first of each run.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use super::claim::Published;
use super::{Ledger, LedgerError, RunResult, files, growth};
use crate::plan::{Plan, PlannedRun, UNSEEN_CORPUS};
use crate::spec::{Data, Source};

/// What was taken over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Results of runs that had none.
    pub new: usize,
    /// Results that say what is known already.
    pub equal: usize,
    /// Results that differ from the first one of their run.
    pub different: usize,
}

/// The plans of sweeps as one, in the order of the sweeps, or why they do not go together.
pub fn joined(sweeps: &[Ledger]) -> Result<Plan, LedgerError> {
    let mut plan = Plan { runs: Vec::new(), left_out: Vec::new() };
    let mut known = BTreeSet::new();
    for sweep in sweeps {
        if let Some(difference) = difference(&sweeps[0], sweep) {
            let (first, other) = (sweeps[0].dir.clone(), sweep.dir.clone());
            // What was rehearsed is no more to be compared with what was trained than merged with it.
            let remedy = if sweeps[0].losses == sweep.losses {
                "Leave one of them out, or compare them with `runner compare`"
            } else {
                "Leave out those of one kind"
            };
            return Err(LedgerError::Apart { first, other, difference, remedy });
        }
        plan.runs.extend(sweep.plan.runs.iter().filter(|run| known.insert(run.id.clone())).cloned());
        for left_out in &sweep.plan.left_out {
            if !plan.left_out.contains(left_out) {
                plan.left_out.push(left_out.clone());
            }
        }
    }
    Ok(plan)
}

/// What keeps the results of two sweeps out of one table, if anything.
fn difference(first: &Ledger, other: &Ledger) -> Option<String> {
    if first.losses != other.losses {
        return Some("one was trained, the other was rehearsed".to_owned());
    }
    let corpora = |sweep: &Ledger| -> BTreeMap<String, String> {
        let source = |data: &Data| match &data.path {
            Some(path) => path.display().to_string(),
            None if data.source == Source::Program => "data of the program's own".to_owned(),
            None => "the built-in language".to_owned(),
        };
        sweep.plan.runs.iter().map(|run| (run.run.corpus.clone(), source(&run.run.data))).collect()
    };
    let (here, there) = (corpora(first), corpora(other));
    // Whoever imported runs knows their text, and nobody here does.
    let unseen = [&here, &there].iter().any(|corpora| corpora.keys().all(|corpus| corpus == UNSEEN_CORPUS));
    if !unseen && !here.keys().any(|corpus| there.contains_key(corpus)) {
        let told = |corpora: BTreeMap<String, String>| {
            let each = corpora.into_iter().map(|(fingerprint, path)| format!("{path} (fingerprint {fingerprint})"));
            each.collect::<Vec<_>>().join(", ")
        };
        return Some(format!(
            "text, tokenizer or split differ: {} in the first, {} in the other",
            told(here),
            told(there)
        ));
    }
    let axes = |sweep: &Ledger| -> BTreeSet<String> {
        sweep.plan.runs.iter().flat_map(|run| run.axes.keys().cloned()).collect()
    };
    let (here, there) = (axes(first), axes(other));
    let apart: Vec<&str> = here.symmetric_difference(&there).map(String::as_str).collect();
    (!apart.is_empty()).then(|| format!("only one of them varies {}", apart.join(", ")))
}

impl Ledger {
    /// Takes over every result of another folder, and its spec. Whatever is there already stays the first.
    pub fn take_over(&self, other: &Self) -> Result<Taken, LedgerError> {
        let mut taken = Taken::default();
        for run in &other.plan.runs {
            let Some(result) = other.result(&run.id)? else {
                self.take_over_stop(other, run)?;
                continue;
            };
            let curve = other.curve(&result)?;
            let result = RunResult { curve, ..result };
            self.make_run_dir(&run.id)?;
            // Marked by its content: merged once more it is the same file.
            let mark = blake3::hash(&self.text(&result)).to_hex();
            match self.publish(&result, &mark[..8])? {
                Published::First => taken.new += 1,
                Published::Equal => taken.equal += 1,
                Published::Conflict(_) => taken.different += 1,
            }
        }
        if let Some(spec) = files::read(&other.dir.join("spec.toml"))?
            && !self.keeps_spec(&spec)?
        {
            growth::keep_spec(&self.dir, &spec, &other.plan)?;
        }
        Ok(taken)
    }

    /// Takes over that a run was stopped, where nothing else is known of it. Its checkpoint stays where it is.
    fn take_over_stop(&self, other: &Self, run: &PlannedRun) -> Result<(), LedgerError> {
        let Some(stopped) = other.stopped(&run.id)?.filter(|_| !self.is_over(&run.id)) else { return Ok(()) };
        self.make_run_dir(&run.id)?;
        files::write(&self.stopped_path(&run.id), &files::sealed_json(&stopped))
    }

    /// Whether a spec is the folder's own, or one of those that it keeps.
    fn keeps_spec(&self, spec: &[u8]) -> Result<bool, LedgerError> {
        let mut paths = vec![self.dir.join("spec.toml")];
        let folder = self.dir.join("specs");
        if let Ok(entries) = fs::read_dir(&folder) {
            for entry in entries {
                paths.push(entry.map_err(LedgerError::io("read", &folder))?.path());
            }
        }
        Ok(paths.iter().any(|path| fs::read(path).is_ok_and(|kept| kept == spec)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{SPEC, device, finished, stop};
    use super::*;
    use crate::ledger::{Losses, State};
    use crate::plan::testing::plan;
    use crate::trainer::Outcome;

    /// A folder whose plan has the first runs of [`plan`], some of them with an outcome.
    fn sweep(runs: usize, outcomes: &[(usize, Outcome)]) -> (tempfile::TempDir, Ledger) {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::create(&dir.path().join("results"), SPEC, plan(runs), Losses::Trained).unwrap();
        for (at, outcome) in outcomes {
            let claim = ledger.claim(&ledger.plan().runs[*at]).unwrap().unwrap();
            claim.publish(outcome.clone(), device(), 1).unwrap();
        }
        (dir, ledger)
    }

    #[test]
    fn the_first_result_of_a_run_stands_and_others_are_kept_aside_once() {
        let (_one, first) = sweep(2, &[(0, finished(3.0)), (1, finished(4.0))]);
        let (_two, second) = sweep(3, &[(1, finished(4.5)), (2, finished(5.0)), (0, finished(3.0))]);
        let sweeps = [first, second];
        let plan = joined(&sweeps).unwrap();
        assert_eq!(plan.runs.len(), 3);
        let dir = tempfile::tempdir().unwrap();
        let out = Ledger::create(&dir.path().join("all"), SPEC, plan.clone(), Losses::Trained).unwrap();
        assert_eq!(out.take_over(&sweeps[0]).unwrap(), Taken { new: 2, equal: 0, different: 0 });
        assert_eq!(out.take_over(&sweeps[1]).unwrap(), Taken { new: 1, equal: 1, different: 1 });
        let losses: Vec<f64> = out.observations().unwrap().iter().map(|run| run.loss).collect();
        assert_eq!(losses, [3.0, 4.0, 5.0]);
        assert_eq!(out.conflicts().unwrap().len(), 1);
        // Once more changes nothing.
        assert_eq!(out.take_over(&sweeps[1]).unwrap(), Taken { new: 0, equal: 2, different: 1 });
        assert_eq!(out.conflicts().unwrap().len(), 1);
    }

    #[test]
    fn that_a_run_was_stopped_is_taken_over_unless_more_is_known_of_it() {
        let (_one, first) = sweep(3, &[(0, finished(3.0))]);
        stop(&first, 1, 1.5);
        stop(&first, 2, 1.5);
        let (_two, second) = sweep(3, &[(2, finished(5.0))]);
        let sweeps = [first, second];
        let plan = joined(&sweeps).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let out = Ledger::create(&dir.path().join("all"), SPEC, plan.clone(), Losses::Trained).unwrap();
        let taken = sweeps.each_ref().map(|sweep| out.take_over(sweep).unwrap().new);
        assert_eq!(taken, [1, 1]);
        assert!(matches!(out.state(&plan.runs[1].id).unwrap(), State::Stopped(_)));
        assert!(matches!(out.state(&plan.runs[2].id).unwrap(), State::Ended(_)));
    }

    #[test]
    fn sweeps_that_have_nothing_to_do_with_each_other_are_refused_with_the_difference() {
        let (_one, first) = sweep(2, &[]);
        let (_two, mut second) = sweep(2, &[]);
        second.plan.runs.iter_mut().for_each(|run| run.run.corpus = "another".to_owned());
        let refusal = joined(&[first, second]).unwrap_err().to_string();
        assert!(refusal.contains("fingerprint another") && refusal.contains("tokenizer"), "{refusal}");
        let (_one, first) = sweep(2, &[]);
        let (_two, mut second) = sweep(2, &[]);
        second.losses = Losses::Rehearsed;
        let refusal = joined(&[first, second]).unwrap_err().to_string();
        assert!(
            refusal.contains("rehearsed") && !refusal.contains("runner compare"),
            "compare refuses them too: {refusal}"
        );
        let (_one, first) = sweep(2, &[]);
        let (_two, mut second) = sweep(2, &[]);
        second.plan.runs.iter_mut().for_each(|run| run.axes.clear());
        assert!(joined(&[first, second]).unwrap_err().to_string().contains("only one of them varies model.depth"));
    }
}
