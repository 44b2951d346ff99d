//! Keeps one worker a slot alive until every run has ended or was given up.

use std::io;
use std::process::Command;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use thiserror::Error;

use super::health::Health;
use super::slot::{Said, Worker};
use super::{Display, Event, REQUEUE, Summary, retry};
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

/// How often it looks for work that idle slots could do.
const LOOK_FOR_WORK: Duration = Duration::from_secs(1);

/// The longest time between two looks that counts as silence. What is longer was not the workers' doing: a machine, a
/// container or a Slurm job that was suspended, workers and supervisor together.
const LONGEST_LOOK: Duration = Duration::from_secs(1);

/// The workers of a sweep.
pub struct Pool<'a> {
    /// The device of each slot, by name.
    pub devices: Vec<String>,
    /// Starts the worker of a slot.
    pub command: &'a dyn Fn(usize) -> Command,
    /// A worker of which nothing is heard for so long hangs, and is ended.
    pub patience: Duration,
}

/// Runs a worker in each slot until every run of the plan has ended or was given up, no device is left, or a signal
/// comes: then the workers checkpoint, and a second signal ends them at once. A worker that dies fails its run and no
/// other.
pub fn supervise(
    ledger: &Ledger,
    pool: &Pool<'_>,
    display: &mut Display<'_>,
    interrupts: &Receiver<i32>,
) -> Result<Summary, ExecuteError> {
    let (sender, receiver) = channel();
    let workers = pool.devices.iter().map(|_| Slot::Idle).collect();
    let (health, stopping) = (Health::default(), None);
    let mut supervisor = Supervisor { ledger, pool, display, workers, health, stopping, sender };
    let ended = supervisor.run(&receiver, interrupts);
    // Also after an error: no worker outlives its supervisor.
    supervisor.kill_all();
    ended?;
    let Supervisor { health, stopping, .. } = supervisor;
    Ok(Summary { interrupted: stopping, quarantined: health.quarantined, ..Summary::of(ledger)? })
}

enum Slot {
    Idle,
    Busy(Worker),
    /// Its worker ended for a reason that is not a run's, and another would too.
    Closed(String),
}

struct Supervisor<'a, 'p> {
    ledger: &'a Ledger,
    pool: &'a Pool<'a>,
    display: &'a mut Display<'p>,
    workers: Vec<Slot>,
    health: Health,
    /// The signal that asks for the end.
    stopping: Option<i32>,
    sender: Sender<(usize, Said)>,
}

impl Supervisor<'_, '_> {
    fn run(&mut self, receiver: &Receiver<(usize, Said)>, interrupts: &Receiver<i32>) -> Result<(), ExecuteError> {
        // No more processes than there is work for.
        for slot in 0..self.workers.len().min(self.pending()) {
            self.start(slot)?;
        }
        let mut waiting = false;
        let mut looked: Option<Instant> = None;
        let mut pass = Instant::now();
        loop {
            if let Ok(signal) = interrupts.try_recv() {
                if self.stopping.is_some() {
                    return Ok(());
                }
                self.stop(signal);
            }
            let busy = self.workers.iter().any(|slot| matches!(slot, Slot::Busy(_)));
            if self.stopping.is_some() {
                if !busy {
                    return Ok(());
                }
            } else if looked.is_none_or(|at| at.elapsed() >= if busy { LOOK_FOR_WORK } else { TICK }) {
                looked = Some(Instant::now());
                if !busy && self.pending() == 0 {
                    return Ok(());
                }
                if !self.start_idle()? && !busy {
                    if self.workers.iter().all(|slot| matches!(slot, Slot::Closed(_))) {
                        return self.nobody_left();
                    }
                    // A task of an array ends instead of holding its processors while others finish.
                    if !self.ledger.holds_lock() {
                        return Ok(());
                    }
                    // Nothing to claim and yet something to do: another process, perhaps of a sweep that was killed
                    // just now, holds it.
                    if !std::mem::replace(&mut waiting, true) {
                        self.display.say(&format!("waiting for {} runs that another process holds", self.pending()));
                    }
                }
                self.ledger.beat();
            }
            match receiver.recv_timeout(TICK) {
                Ok((slot, said)) => self.heard(slot, said)?,
                Err(RecvTimeoutError::Timeout) => self.display.tick(),
                Err(RecvTimeoutError::Disconnected) => unreachable!("the supervisor keeps a sender"),
            }
            self.end_the_silent(std::mem::replace(&mut pass, Instant::now()).elapsed());
        }
    }

    fn stop(&mut self, signal: i32) {
        self.stopping = Some(signal);
        self.display.say("stopping: the runs under way are checkpointed; Ctrl-C again to stop at once");
        for slot in &mut self.workers {
            if let Slot::Busy(worker) = slot {
                worker.ask_to_stop();
            }
        }
    }

    /// Starts a worker in an idle slot where there is a run for it to claim.
    fn start_idle(&mut self) -> Result<bool, ExecuteError> {
        let idle = self.workers.iter().position(|slot| matches!(slot, Slot::Idle));
        match idle {
            Some(slot) if self.claimable() => self.start(slot).map(|()| true),
            _ => Ok(false),
        }
    }

    fn start(&mut self, slot: usize) -> Result<(), ExecuteError> {
        let worker = Worker::start(slot, (self.pool.command)(slot), &self.sender).map_err(ExecuteError::Spawn)?;
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

    /// Counts the time since the last look, and ends workers that have said nothing for too long.
    fn end_the_silent(&mut self, since: Duration) {
        for slot in &mut self.workers {
            if let Slot::Busy(worker) = slot {
                worker.silent += since.min(LONGEST_LOOK);
                if worker.silent > self.pool.patience {
                    worker.hung = true;
                    worker.kill();
                }
            }
        }
    }

    fn heard(&mut self, slot: usize, said: Said) -> Result<(), ExecuteError> {
        let Slot::Busy(worker) = &mut self.workers[slot] else { return Ok(()) };
        worker.silent = Duration::ZERO;
        let event = match said {
            Said::Talk(line) => {
                self.display.say(&format!("slot {}: {line}", slot + 1));
                worker.talked(line);
                return Ok(());
            }
            Said::Closed => return self.closed(slot),
            Said::Event(event) => event,
        };
        let device = &self.pool.devices[slot];
        let claimed = worker.current.as_ref().map(|(_, _, since)| *since);
        match &event {
            Event::Claimed { run, attempt } => worker.current = Some((run.clone(), *attempt, Instant::now())),
            Event::Finished { .. } | Event::Diverged { .. } => {
                worker.current = None;
                self.health.worked(device);
            }
            Event::Interrupted { .. } => worker.current = None,
            Event::Failed { failure, .. } => {
                worker.current = None;
                worker.failed = failure.class != FailureClass::Configuration;
            }
            Event::Progress { .. } | Event::Conflict { .. } => {}
        }
        self.display.show(slot, &event);
        if let Event::Failed { run, failure } = event {
            self.failed(slot, &run, &failure, claimed);
        }
        Ok(())
    }

    fn closed(&mut self, slot: usize) -> Result<(), ExecuteError> {
        let Slot::Busy(mut worker) = std::mem::replace(&mut self.workers[slot], Slot::Idle) else { return Ok(()) };
        let status = worker.ended().map_err(ExecuteError::Spawn)?;
        if status.success() || self.stopping.is_some() && status.code() == Some(REQUEUE.into()) {
            return Ok(());
        }
        let mut message = worker.epitaph(status);
        let mut class = retry::class_of_death(&message);
        if worker.hung {
            class = FailureClass::Hang;
            message = format!("nothing was heard of the worker for {} s; it was ended", self.pool.patience.as_secs());
        }
        if let Some((run, attempt, since)) = worker.current.take() {
            let failure = Failure { class, message, device: Some(self.pool.devices[slot].clone()) };
            self.ledger.record_failure(&run, attempt, &failure)?;
            if retry::is_hopeless(&self.ledger.failures(&run)?) {
                self.ledger.give_up(&run, &failure)?;
            }
            self.display.show(slot, &Event::Failed { run: run.clone(), failure: failure.clone() });
            self.failed(slot, &run, &failure, Some(since));
        } else if !worker.failed && status.code() != Some(REQUEUE.into()) {
            self.workers[slot] = Slot::Closed(message);
        }
        if self.health.is_quarantined(&self.pool.devices[slot]) {
            self.workers[slot] = Slot::Closed("its device failed run after run".to_owned());
        }
        let open = matches!(self.workers[slot], Slot::Idle) && self.stopping.is_none();
        if open && self.pending() > 0 { self.start(slot) } else { Ok(()) }
    }

    /// Says what becomes of a run that has failed, and whether its device can be trusted.
    fn failed(&mut self, slot: usize, run: &RunId, failure: &Failure, claimed: Option<Instant>) {
        if self.ledger.is_over(run) {
            self.display.given_up(run);
        } else {
            self.display.say(&format!("run {run} is tried again"));
        }
        let device = &self.pool.devices[slot];
        if self.health.failed(device, run, failure, claimed.map(|at| at.elapsed())) {
            self.display.say(&format!("device {device} failed run after run and gets no more of them"));
            for (slot, its) in self.pool.devices.iter().enumerate() {
                // A worker that is busy there may go on; when it ends its slot is closed.
                if its == device && !matches!(self.workers[slot], Slot::Busy(_)) {
                    self.workers[slot] = Slot::Closed(format!("device {its}: {}", failure.message));
                }
            }
        }
    }

    /// No device is left: bad ones are a result of the sweep, and workers that cannot even begin an error.
    fn nobody_left(&self) -> Result<(), ExecuteError> {
        if !self.health.quarantined.is_empty() {
            return Ok(());
        }
        let mut words = self.workers.iter().rev().filter_map(|slot| match slot {
            Slot::Closed(message) => Some(message.clone()),
            Slot::Idle | Slot::Busy(_) => None,
        });
        Err(ExecuteError::NoWorker(words.next().unwrap_or_else(|| "none was started".to_owned())))
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
        let command = |_| {
            let mut command = Command::new("sh");
            command.arg("-c").arg(script).env("RUN", &run);
            command
        };
        let (_sender, nobody) = channel();
        let pool = pool(slots, &command);
        let outcome = supervise(&ledger, &pool, &mut Display::new(&ledger, slots, false), &nobody);
        (dir, ledger, outcome)
    }

    fn pool(slots: usize, command: &dyn Fn(usize) -> Command) -> Pool<'_> {
        Pool { devices: vec!["cpu".to_owned(); slots], command, patience: Duration::from_millis(700) }
    }

    const CLAIM: &str = r#"echo "{\"event\":\"claimed\",\"run\":\"$RUN\",\"attempt\":$$}"; "#;

    #[test]
    fn a_worker_that_dies_fails_its_run_which_is_tried_twice_more_and_then_given_up() {
        let (_dir, ledger, outcome) = supervised(&format!("{CLAIM} echo boom >&2; kill -9 $$"), 1);
        let summary = outcome.unwrap();
        let [(run, failure)] = summary.failed.as_slice() else { panic!("{summary:?}") };
        assert_eq!(failure.class, FailureClass::Crash);
        assert!(failure.message.contains("signal: 9") && failure.message.contains("boom"), "{}", failure.message);
        let attempts: Vec<_> = std::fs::read_dir(ledger.dir().join("runs").join(run.as_str()).join("attempts"))
            .unwrap()
            .map(|attempt| attempt.unwrap().path().join("error.json").exists())
            .collect();
        assert_eq!(attempts, [true; 3], "each attempt left its reason");
    }

    #[test]
    fn a_worker_that_says_nothing_is_ended_and_its_run_has_hung() {
        let (_dir, _ledger, outcome) = supervised(&format!("{CLAIM} exec sleep 600"), 1);
        let summary = outcome.unwrap();
        assert_eq!(summary.failed[0].1.class, FailureClass::Hang, "{summary:?}");
        assert_eq!(summary.failed[0].1.device.as_deref(), Some("cpu"));
    }

    #[test]
    fn time_in_which_the_supervisor_was_suspended_too_is_not_held_against_a_worker() {
        let (_dir, ledger) = ledger(1);
        let command = |_| {
            let mut command = Command::new("sleep");
            command.arg("600");
            command
        };
        let pool = Pool { patience: Duration::from_mins(15), ..pool(1, &command) };
        let mut display = Display::new(&ledger, 1, false);
        let (workers, health, stopping, sender) = (vec![Slot::Idle], Health::default(), None, channel().0);
        let mut supervisor =
            Supervisor { ledger: &ledger, pool: &pool, display: &mut display, workers, health, stopping, sender };
        supervisor.start(0).unwrap();
        let hung =
            |supervisor: &Supervisor<'_, '_>| matches!(&supervisor.workers[0], Slot::Busy(worker) if worker.hung);
        supervisor.end_the_silent(Duration::from_hours(10));
        assert!(!hung(&supervisor));
        // Awake and waiting, it loses patience.
        for _ in 0..9001 {
            supervisor.end_the_silent(TICK);
        }
        assert!(hung(&supervisor));
    }

    #[test]
    fn a_device_that_fails_run_after_run_gets_no_more_of_them_and_the_sweep_says_so() {
        let (_dir, ledger) = ledger(5);
        let ids: Vec<String> = ledger.plan().runs.iter().map(|run| run.id.to_string()).collect();
        let next = std::cell::Cell::new(0);
        let command = |_| {
            let mut command = Command::new("sh");
            command.arg("-c").arg(format!("{CLAIM} exit 3")).env("RUN", &ids[next.replace(next.get() + 1) % 5]);
            command
        };
        let (_sender, nobody) = channel();
        let mut display = Display::new(&ledger, 1, false);
        let summary = supervise(&ledger, &pool(1, &command), &mut display, &nobody).unwrap();
        assert_eq!((next.get(), summary.pending, summary.failed.len()), (3, 5, 0));
        assert_eq!(summary.quarantined[0].0, "cpu");
    }

    #[test]
    fn workers_that_cannot_begin_end_the_sweep_with_their_words_and_fail_no_run() {
        let (_dir, ledger, outcome) = supervised("echo 'error: no such device' >&2; exit 2", 2);
        let error = outcome.unwrap_err().to_string();
        assert!(error.contains("no such device"), "{error}");
        assert_eq!(ledger.state(&ledger.plan().runs[0].id).unwrap(), State::Pending);
    }

    #[test]
    fn a_signal_asks_workers_to_stop_and_a_second_one_ends_them() {
        for stubborn in [false, true] {
            let (_dir, ledger) = ledger(1);
            let (sender, interrupts) = channel();
            let pids = tempfile::NamedTempFile::new().unwrap();
            let trap = if stubborn { "trap '' TERM" } else { "trap 'exit 75' TERM" };
            let command = |_| {
                let mut command = Command::new("sh");
                let script = format!("{trap}; echo $$ > \"$PIDS\"; while :; do sleep 0.05; done");
                command.arg("-c").arg(script).env("PIDS", pids.path());
                command
            };
            let written = || std::fs::read_to_string(pids.path()).unwrap();
            let patience = Duration::from_mins(1);
            let summary = std::thread::scope(|scope| {
                scope.spawn(|| {
                    while !written().ends_with('\n') {
                        std::thread::sleep(TICK);
                    }
                    sender.send(15).unwrap();
                    if stubborn {
                        sender.send(2).unwrap();
                    }
                });
                let pool = Pool { patience, ..pool(1, &command) };
                supervise(&ledger, &pool, &mut Display::new(&ledger, 1, false), &interrupts).unwrap()
            });
            assert_eq!((summary.interrupted, summary.pending, summary.failed.len()), (Some(15), 1, 0));
            let gone = Command::new("kill").args(["-0", written().trim()]).output().unwrap();
            assert!(!gone.status.success(), "the worker is dead");
        }
    }
}
