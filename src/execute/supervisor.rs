//! Keeps one worker a slot alive until every run has ended or was given up.

use std::collections::HashMap;
use std::io;
use std::process::Command;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use thiserror::Error;

use super::slot::{Said, Worker};
use super::{Display, Event, Summary};
use crate::ledger::{Failure, FailureClass, Ledger, LedgerError};
use crate::plan::RunId;

/// Why a sweep could not go on.
#[derive(Debug, Error)]
pub enum ExecuteError {
    /// The results folder could not be read or written.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The system would not start a worker.
    #[error("cannot start a worker: {0}")]
    Spawn(io::Error),
    /// Every worker gave up for a reason that is not a run's.
    #[error("no worker can go on; {0}")]
    NoWorker(String),
}

/// How often the supervisor looks up when nothing is said, and waits for runs that other processes hold.
const TICK: Duration = Duration::from_millis(100);

/// A run is tried this many times by one sweep, unless its configuration is at fault.
const ATTEMPTS: usize = 2;

/// Runs `slots` workers, each started by `command`, until every run of the plan has ended or was given up, or a
/// signal comes. A worker that dies fails its run and no other.
pub fn supervise(
    ledger: &Ledger,
    slots: usize,
    command: &dyn Fn() -> Command,
    display: &mut Display<'_>,
    interrupts: &Receiver<i32>,
) -> Result<Summary, ExecuteError> {
    let (sender, receiver) = channel();
    let workers = (0..slots.max(1)).map(|_| Slot::Idle).collect();
    let failures = HashMap::new();
    let mut supervisor = Supervisor { ledger, command, display, workers, failures, sender };
    let interrupted = supervisor.run(&receiver, interrupts);
    // Also after an error: no worker outlives its supervisor.
    supervisor.kill_all();
    let interrupted = interrupted?;
    Ok(Summary { interrupted, ..Summary::of(ledger)? })
}

enum Slot {
    Idle,
    Busy(Worker),
    /// Its worker ended for a reason that is not a run's, and another would too.
    Closed(String),
}

struct Supervisor<'a, 'p> {
    ledger: &'a Ledger,
    command: &'a dyn Fn() -> Command,
    display: &'a mut Display<'p>,
    workers: Vec<Slot>,
    failures: HashMap<RunId, usize>,
    sender: Sender<(usize, Said)>,
}

impl Supervisor<'_, '_> {
    fn run(
        &mut self,
        receiver: &Receiver<(usize, Said)>,
        interrupts: &Receiver<i32>,
    ) -> Result<Option<i32>, ExecuteError> {
        let mut waiting = false;
        // No more processes than there is work for.
        for slot in 0..self.workers.len().min(self.pending()) {
            self.start(slot)?;
        }
        loop {
            if let Ok(signal) = interrupts.try_recv() {
                return Ok(Some(signal));
            }
            if !self.workers.iter().any(|slot| matches!(slot, Slot::Busy(_))) {
                let pending = self.pending();
                if pending == 0 {
                    return Ok(None);
                }
                let Some(slot) = self.workers.iter().position(|slot| matches!(slot, Slot::Idle)) else {
                    return Err(ExecuteError::NoWorker(self.last_words()));
                };
                // A task of an array ends instead of holding its processors while others finish.
                if !self.ledger.holds_lock() && !self.claimable() {
                    return Ok(None);
                }
                // Nothing to claim and yet something to do: another process, perhaps of a sweep that was killed just
                // now, holds it.
                if !waiting {
                    self.display.say(&format!("waiting for {pending} runs that another process holds"));
                    waiting = true;
                }
                if self.claimable() {
                    self.start(slot)?;
                }
            }
            match receiver.recv_timeout(TICK) {
                Ok((slot, said)) => self.heard(slot, said)?,
                Err(RecvTimeoutError::Timeout) => self.display.tick(),
                Err(RecvTimeoutError::Disconnected) => unreachable!("the supervisor keeps a sender"),
            }
        }
    }

    fn start(&mut self, slot: usize) -> Result<(), ExecuteError> {
        let worker = Worker::start(slot, (self.command)(), &self.sender).map_err(ExecuteError::Spawn)?;
        self.workers[slot] = Slot::Busy(worker);
        Ok(())
    }

    fn pending(&self) -> usize {
        self.ledger.plan().runs.iter().filter(|run| !self.ledger.is_over(&run.id)).count()
    }

    fn claimable(&self) -> bool {
        let runs = &self.ledger.plan().runs;
        runs.iter().any(|run| !self.ledger.is_over(&run.id) && !self.ledger.is_held(&run.id))
    }

    fn heard(&mut self, slot: usize, said: Said) -> Result<(), ExecuteError> {
        let Slot::Busy(worker) = &mut self.workers[slot] else { return Ok(()) };
        match said {
            Said::Talk(line) => {
                self.display.say(&format!("slot {}: {line}", slot + 1));
                worker.talked(line);
            }
            Said::Event(event) => {
                match &event {
                    Event::Claimed { run, attempt } => worker.current = Some((run.clone(), *attempt)),
                    Event::Finished { .. } | Event::Diverged { .. } | Event::Failed { .. } => worker.current = None,
                    Event::Progress { .. } | Event::Conflict { .. } => {}
                }
                if let Event::Failed { failure, .. } = &event {
                    worker.lost_its_device = failure.class == FailureClass::Device;
                }
                self.display.show(slot, &event);
                if let Event::Failed { run, failure } = event {
                    self.failed(&run, &failure)?;
                }
            }
            Said::Closed => self.closed(slot)?,
        }
        Ok(())
    }

    fn closed(&mut self, slot: usize) -> Result<(), ExecuteError> {
        let Slot::Busy(mut worker) = std::mem::replace(&mut self.workers[slot], Slot::Idle) else { return Ok(()) };
        let status = worker.ended().map_err(ExecuteError::Spawn)?;
        if status.success() {
            return Ok(());
        }
        let message = worker.epitaph(status);
        if let Some((run, attempt)) = worker.current.take() {
            let failure = Failure { class: FailureClass::Crash, message };
            self.ledger.record_failure(&run, attempt, &failure)?;
            self.display.show(slot, &Event::Failed { run: run.clone(), failure: failure.clone() });
            self.failed(&run, &failure)?;
        } else if !worker.lost_its_device {
            self.workers[slot] = Slot::Closed(message);
            return Ok(());
        }
        if self.pending() > 0 {
            self.start(slot)?;
        }
        Ok(())
    }

    /// Counts a failure, and gives the run up when it has had its attempts.
    fn failed(&mut self, run: &RunId, failure: &Failure) -> Result<(), LedgerError> {
        let count = self.failures.entry(run.clone()).or_default();
        *count += 1;
        if failure.class == FailureClass::Configuration || *count >= ATTEMPTS {
            self.ledger.give_up(run, failure)?;
            self.display.given_up(run);
        } else {
            self.display.say(&format!("run {run} is tried once more"));
        }
        Ok(())
    }

    fn last_words(&self) -> String {
        let mut words = self.workers.iter().rev().filter_map(|slot| match slot {
            Slot::Closed(message) => Some(message.as_str()),
            Slot::Idle | Slot::Busy(_) => None,
        });
        words.next().unwrap_or("none was started").to_owned()
    }

    fn kill_all(&mut self) {
        for slot in &mut self.workers {
            if let Slot::Busy(worker) = slot {
                worker.kill();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::State;
    use crate::ledger::testing::ledger;

    /// Supervises workers that are shell scripts; `$RUN` is the run of the plan.
    fn supervised(script: &str, slots: usize) -> (tempfile::TempDir, Ledger, Result<Summary, ExecuteError>) {
        let (dir, ledger) = ledger(1);
        let run = ledger.plan().runs[0].id.to_string();
        let command = || {
            let mut command = Command::new("sh");
            command.arg("-c").arg(script).env("RUN", &run);
            command
        };
        let (_sender, nobody) = channel();
        let outcome = supervise(&ledger, slots, &command, &mut Display::new(&ledger, slots, false), &nobody);
        (dir, ledger, outcome)
    }

    const CLAIM: &str = r#"echo "{\"event\":\"claimed\",\"run\":\"$RUN\",\"attempt\":$$}"; "#;

    #[test]
    fn a_worker_that_dies_fails_its_run_which_is_tried_once_more_and_then_given_up() {
        let (_dir, ledger, outcome) = supervised(&format!("{CLAIM} echo boom >&2; kill -9 $$"), 1);
        let summary = outcome.unwrap();
        let [(run, failure)] = summary.failed.as_slice() else { panic!("{summary:?}") };
        assert_eq!(failure.class, FailureClass::Crash);
        assert!(failure.message.contains("signal: 9") && failure.message.contains("boom"), "{}", failure.message);
        let attempts: Vec<_> = std::fs::read_dir(ledger.dir().join("runs").join(run.as_str()).join("attempts"))
            .unwrap()
            .map(|attempt| attempt.unwrap().path().join("error.json").exists())
            .collect();
        assert_eq!(attempts, [true, true], "each attempt left its reason");
    }

    #[test]
    fn a_device_that_fails_costs_its_run_an_attempt_and_the_slot_goes_on() {
        let failed =
            r#"echo "{\"event\":\"failed\",\"run\":\"$RUN\",\"class\":\"device\",\"message\":\"gone\"}"; exit 2"#;
        let (_dir, ledger, outcome) = supervised(&format!("{CLAIM} {failed}"), 1);
        assert_eq!(outcome.unwrap().failed.len(), 1);
        let state = ledger.state(&ledger.plan().runs[0].id).unwrap();
        assert!(matches!(state, State::Failed(failure) if failure.message == "gone"));
    }

    #[test]
    fn workers_that_cannot_begin_end_the_sweep_with_their_words_and_fail_no_run() {
        let (_dir, ledger, outcome) = supervised("echo 'error: no such device' >&2; exit 2", 2);
        let error = outcome.unwrap_err().to_string();
        assert!(error.contains("no such device"), "{error}");
        assert_eq!(ledger.state(&ledger.plan().runs[0].id).unwrap(), State::Pending);
    }

    #[test]
    fn a_signal_ends_workers_that_would_run_on() {
        let (_dir, ledger) = ledger(1);
        let (sender, interrupts) = channel();
        let pids = tempfile::NamedTempFile::new().unwrap();
        let command = || {
            let mut command = Command::new("sh");
            command.arg("-c").arg("echo $$ > \"$PIDS\"; exec sleep 600").env("PIDS", pids.path());
            command
        };
        let written = || std::fs::read_to_string(pids.path()).unwrap();
        let summary = std::thread::scope(|scope| {
            scope.spawn(|| {
                while !written().ends_with('\n') {
                    std::thread::sleep(TICK);
                }
                sender.send(2).unwrap();
            });
            supervise(&ledger, 1, &command, &mut Display::new(&ledger, 1, false), &interrupts).unwrap()
        });
        assert_eq!((summary.interrupted, summary.pending, summary.failed.len()), (Some(2), 1, 0));
        let gone = Command::new("kill").args(["-0", written().trim()]).output().unwrap();
        assert!(!gone.status.success(), "the worker is dead");
    }
}
