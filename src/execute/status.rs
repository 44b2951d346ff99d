//! How a sweep stands while it runs, from its folder alone: any process on any machine may ask.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::ledger::{Failure, Holder, Ledger, LedgerError, State};
use crate::plan::{PlannedRun, RunId};
use crate::trainer::Outcome;

/// How a sweep stands.
#[derive(Debug, Serialize)]
pub struct Status {
    /// Runs of the plan.
    pub runs: usize,
    /// Runs trained to their end.
    pub finished: usize,
    /// Runs that diverged.
    pub diverged: Vec<RunId>,
    /// Runs that were stopped before their ends, as `sweep.stop_early` asks.
    pub stopped: Vec<RunId>,
    /// Runs that are trained now.
    pub running: Vec<Running>,
    /// Runs that nobody has begun.
    pub waiting: usize,
    /// Those of them that go on from a checkpoint of an earlier attempt. What they have trained is not in `flops_done`.
    pub waiting_with_checkpoints: usize,
    /// Those of them that go on from a stable phase which another run has not trained yet.
    pub waiting_for_trunks: usize,
    /// Runs that were given up.
    pub failed: Vec<Failed>,
    /// Training FLOPs of the plan, runs that were given up and what was spared by stopping early excepted, and what runs share counted once.
    pub flops: f64,
    /// The same where each run trains its stable phase by itself.
    pub flops_alone: f64,
    /// Training FLOPs spent on runs that have ended or are under way.
    pub flops_done: f64,
    /// Training FLOPs per second of the runs under way, each since it was begun.
    pub flops_per_second: f64,
    /// Seconds left at this rate; nothing where nothing is known.
    pub seconds_left: Option<f64>,
    /// Runs under way by machine and device.
    pub devices: BTreeMap<String, usize>,
    /// Who runs the sweep, if anybody does.
    pub sweep: Option<Holder>,
    /// Whether whoever runs it may add runs to the plan.
    #[serde(skip)]
    grows: bool,
}

/// A run under way.
#[derive(Debug, Serialize)]
pub struct Running {
    /// The run.
    pub run: RunId,
    /// Its share that is done.
    pub share: f64,
    /// Who trains it.
    pub holder: Holder,
}

/// A run that was given up.
#[derive(Debug, Serialize)]
pub struct Failed {
    /// The run.
    pub run: RunId,
    /// The last failure, with the last lines of its worker.
    #[serde(flatten)]
    pub failure: Failure,
}

impl Status {
    /// Looks at a folder.
    pub fn of(ledger: &Ledger) -> Result<Self, LedgerError> {
        let mut status = Self {
            runs: ledger.plan().runs.len(),
            finished: 0,
            diverged: Vec::new(),
            stopped: Vec::new(),
            failed: Vec::new(),
            running: Vec::new(),
            waiting: 0,
            waiting_with_checkpoints: 0,
            waiting_for_trunks: 0,
            flops: 0.0,
            flops_alone: 0.0,
            flops_done: 0.0,
            flops_per_second: 0.0,
            seconds_left: None,
            devices: BTreeMap::new(),
            sweep: Ledger::sweep_holder(ledger.dir()),
            grows: ledger.grows_by_choosing(),
        };
        for run in &ledger.plan().runs {
            status.add(run, ledger)?;
        }
        let left = (status.flops - status.flops_done).max(0.0);
        status.seconds_left = (status.flops_per_second > 0.0).then(|| left / status.flops_per_second);
        Ok(status)
    }

    fn add(&mut self, run: &PlannedRun, ledger: &Ledger) -> Result<(), LedgerError> {
        let done = match ledger.state(&run.id)? {
            State::Failed(failure) => {
                self.failed.push(Failed { run: run.id.clone(), failure });
                return Ok(());
            }
            State::Stopped(stopped) => {
                self.stopped.push(run.id.clone());
                let spent = run.share_done(stopped.tokens) * run.flops_spent();
                self.flops += spent;
                self.flops_alone += stopped.flops(run);
                self.flops_done += spent;
                return Ok(());
            }
            State::Ended(result) => {
                match result.outcome {
                    Outcome::Finished { .. } => self.finished += 1,
                    Outcome::Diverged { .. } => self.diverged.push(run.id.clone()),
                }
                1.0
            }
            State::Pending => {
                let holder = ledger.holder(&run.id);
                self.waiting += usize::from(holder.is_none());
                self.waiting_with_checkpoints += usize::from(holder.is_none() && ledger.has_checkpoint(&run.id));
                self.waiting_for_trunks += usize::from(holder.is_none() && ledger.waits(run));
                holder.map_or(0.0, |holder| self.add_running(run, holder))
            }
        };
        self.flops += run.flops_spent();
        self.flops_alone += run.flops;
        self.flops_done += done * run.flops_spent();
        Ok(())
    }

    fn add_running(&mut self, run: &PlannedRun, holder: Holder) -> f64 {
        let mut share = 0.0;
        if let Some(doing) = &holder.doing {
            share = run.share_done(doing.tokens);
            self.flops_per_second += doing.tokens_per_second.unwrap_or(0.0) * run.flops_per_token.exact;
            *self.devices.entry(format!("{} {}", holder.host, doing.device)).or_default() += 1;
        }
        self.running.push(Running { run: run.id.clone(), share, holder });
        share
    }

    /// Whether nothing is left to do, and nobody chooses what is to be done next.
    pub fn is_over(&self) -> bool {
        let nobody_chooses = !self.grows || self.sweep.is_none();
        self.waiting == 0 && self.running.is_empty() && nobody_chooses
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::testing::{SPEC, device, finished, ledger};
    use crate::ledger::{Choice, FailureClass, Losses};
    use crate::plan::Plan;
    use crate::plan::testing::plan;

    #[test]
    fn what_waiting_runs_have_in_checkpoints_is_told_beside_the_flops() {
        let (_dir, ledger) = ledger(2);
        let run = &ledger.plan().runs[0];
        let mut claim = ledger.claim(run).unwrap().unwrap();
        claim.save(&mut |out| out.write_all(b"state")).unwrap();
        let counts = || Status::of(&ledger).map(|status| [status.waiting, status.waiting_with_checkpoints]).unwrap();
        assert_eq!(counts(), [1, 0], "it is under way");
        drop(claim);
        assert_eq!(counts(), [2, 1]);
        ledger.claim(run).unwrap().unwrap().publish(finished(3.0), device(), 1).unwrap();
        assert_eq!(counts(), [1, 0]);
    }

    #[test]
    fn a_sweep_that_chooses_is_over_when_nobody_chooses_any_more() {
        let dir = tempfile::tempdir().unwrap();
        let (candidates, none) = (plan(2), Plan { runs: Vec::new(), left_out: Vec::new() });
        let choosing = Ledger::create(dir.path(), SPEC, none, Losses::Trained).unwrap().choosing(candidates.clone());
        // As another process sees it.
        let status = || Status::of(&Ledger::open(dir.path()).unwrap()).unwrap();
        assert_eq!((status().runs, status().is_over()), (0, false));
        for run in &candidates.runs {
            let choice = Choice {
                run: Some(run.id.clone()),
                reason: String::new(),
                goal: String::new(),
                known: None,
                gain: None,
                finished: 0,
                flops: 0.0,
            };
            choosing.choose(&[choice]).unwrap();
            choosing.claim(run).unwrap().unwrap().publish(finished(3.0), device(), 1).unwrap();
            assert_eq!((status().waiting, status().is_over()), (0, false));
        }
        drop(choosing);
        assert_eq!((status().runs, status().is_over()), (2, true));
    }

    #[test]
    fn every_run_is_counted_once_by_how_far_it_is() {
        let (_dir, ledger) = ledger(5);
        let runs = &ledger.plan().runs;
        let claim = |at: usize| ledger.claim(&runs[at]).unwrap().unwrap();
        claim(0).publish(finished(3.0), device(), 1).unwrap();
        claim(1).publish(Outcome::Diverged { step: 1, train_loss: None, seconds: 1.0 }, device(), 1).unwrap();
        let failure = Failure { class: FailureClass::Crash, message: "boom".to_owned(), device: None };
        claim(2).fail(&failure, &|_| true).unwrap();
        let mut held = claim(3);
        held.begin("cuda:1");
        let status = Status::of(&ledger).unwrap();
        assert_eq!((status.runs, status.finished, status.waiting), (5, 1, 1));
        assert_eq!((status.diverged.len(), status.running.len(), status.failed.len()), (1, 1, 1));
        assert!((status.flops_done - runs[0].flops - runs[1].flops).abs() < 1.0 && !status.is_over());
        assert!(status.devices.keys().all(|name| name.ends_with("cuda:1")) && status.devices.len() == 1);
    }
}
