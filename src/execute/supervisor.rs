//! Keeps one worker a slot alive until every run has ended or was given up.

use std::collections::BTreeMap;
use std::io;
use std::process::{Command, ExitStatus};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use thiserror::Error;

use super::choose::Chooser;
use super::health::Health;
use super::slot::{Said, Slot, Worker};
use super::{Display, Event, REQUEUE, Tally, retry};
use crate::ledger::{Failure, FailureClass, Ledger, LedgerError};
use crate::plan::{PlannedRun, RunId};
use crate::units::count;

/// Why a sweep could not go on.
#[derive(Debug, Error)]
pub enum ExecuteError {
    /// The results folder could not be read or written.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The system would not start a worker.
    #[error(
        "cannot start a worker: {0}; free memory, processes (`ulimit -u`) or files (`ulimit -n`), and run the same command again"
    )]
    Spawn(io::Error),
    /// Every worker gave up for a reason that is not a run's.
    #[error("no worker can continue; {0}")]
    NoWorker(String),
}

/// How often the supervisor looks up when nothing is said, and waits for runs that other processes hold.
const TICK: Duration = Duration::from_millis(100);

/// How often it looks for work that idle slots could do.
const LOOK_FOR_WORK: Duration = Duration::from_secs(1);

/// The longest time between two looks that counts as silence. What is longer was not the workers' doing: a machine, a
/// container or a Slurm job that was suspended, workers and supervisor together.
const LONGEST_LOOK: Duration = Duration::from_secs(1);

/// After this time it is tried again to open a device that did not open: whoever held it may have gone.
const OPEN_AGAIN: Duration = Duration::from_mins(5);

/// The workers of a sweep.
pub struct Pool<'a> {
    /// The device of each slot, by name.
    pub devices: Vec<String>,
    /// Runs that the worker of a slot trains side by side.
    pub runs: usize,
    /// Devices that did not open just now, each with the reason, which was told.
    pub shut: Vec<(String, String)>,
    /// Starts the worker of a slot, beside those of the devices that are still there.
    pub command: &'a dyn Fn(usize, &[String]) -> Command,
    /// A worker of which nothing is heard for so long hangs, and is ended.
    pub patience: Duration,
    /// What chooses runs, where they are chosen as results come.
    pub choose: Option<&'a Chooser>,
}

/// Runs a worker in each slot until every run of the plan has ended or was given up, no device is left, or a signal
/// comes: then the workers checkpoint, and a second signal ends them at once. A worker that dies fails its runs and no
/// others.
pub fn supervise(
    ledger: &Ledger,
    pool: &Pool<'_>,
    display: &mut Display<'_>,
    interrupts: &Receiver<i32>,
) -> Result<Tally, ExecuteError> {
    let (sender, receiver) = channel();
    let shut: BTreeMap<String, String> = pool.shut.iter().cloned().collect();
    let slot = |device: &String| match shut.get(device) {
        Some(reason) => Slot::Shut(reason.clone(), Instant::now()),
        None => Slot::Idle,
    };
    let slots = pool.devices.iter().map(slot).collect();
    let (health, stopping, fruitless) = (Health::default(), None, None);
    let mut supervisor = Supervisor { ledger, pool, display, slots, shut, health, stopping, fruitless, sender };
    let ended = supervisor.run(&receiver, interrupts);
    // Also after an error: no worker outlives its supervisor.
    supervisor.kill_all();
    ended?;
    let Supervisor { health, shut, stopping, fruitless, .. } = supervisor;
    let (quarantined, shut) = (health.quarantined, shut.into_iter().collect());
    Ok(Tally { interrupted: stopping, quarantined, shut, fruitless, ..Tally::of(ledger)? })
}

struct Supervisor<'a, 'p> {
    ledger: &'a Ledger,
    pool: &'a Pool<'a>,
    display: &'a mut Display<'p>,
    slots: Vec<Slot>,
    /// Devices that did not open, and have not trained since, with the reason, which was told.
    shut: BTreeMap<String, String>,
    health: Health,
    /// The signal that asks for the end.
    stopping: Option<i32>,
    /// Why no run of the sweep can be expected to have a result, where the first ones had none.
    fruitless: Option<String>,
    sender: Sender<(usize, Said)>,
}

impl Supervisor<'_, '_> {
    fn run(&mut self, receiver: &Receiver<(usize, Said)>, interrupts: &Receiver<i32>) -> Result<(), ExecuteError> {
        self.choose()?;
        // No more processes than there is work for.
        let idle = (0..self.slots.len()).filter(|slot| matches!(self.slots[*slot], Slot::Idle));
        for slot in idle.take(self.pending()).collect::<Vec<_>>() {
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
            let busy = self.slots.iter().any(|slot| matches!(slot, Slot::Busy(_)));
            if self.is_ending() {
                if !busy {
                    return Ok(());
                }
            } else if looked.is_none_or(|at| at.elapsed() >= if busy { LOOK_FOR_WORK } else { TICK }) {
                looked = Some(Instant::now());
                self.choose()?;
                if !busy && self.pending() == 0 {
                    return Ok(());
                }
                self.open_again(OPEN_AGAIN);
                if !self.start_idle()? && !busy {
                    if self.slots.iter().all(|slot| matches!(slot, Slot::Closed(_) | Slot::Shut(..))) {
                        return self.nobody_left();
                    }
                    // A task of an array ends instead of holding its processors while others finish.
                    if !self.ledger.holds_lock() {
                        return Ok(());
                    }
                    // Nothing to claim and yet something to do: another process, perhaps of a sweep that was killed
                    // just now, holds it.
                    if !std::mem::replace(&mut waiting, true) {
                        self.display
                            .say(&format!("waiting for {} that another process holds", count(self.pending(), "run")));
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
        self.ask_to_stop();
    }

    /// Whether no more runs are begun.
    fn is_ending(&self) -> bool {
        self.stopping.is_some() || self.fruitless.is_some()
    }

    fn ask_to_stop(&self) {
        for slot in &self.slots {
            if let Slot::Busy(worker) = slot {
                worker.ask_to_stop();
            }
        }
    }

    /// Starts a worker in an idle slot where there is a run for it to claim.
    fn start_idle(&mut self) -> Result<bool, ExecuteError> {
        let mut idle = (0..self.slots.len()).filter(|slot| matches!(self.slots[*slot], Slot::Idle));
        match idle.find(|slot| !self.waits(*slot) && self.has_work(*slot, |run| self.is_free(run))) {
            Some(slot) => self.start(slot).map(|()| true),
            None => Ok(false),
        }
    }

    /// Lets devices that did not open this long ago try once more, where there is work for them.
    fn open_again(&mut self, after: Duration) {
        for slot in 0..self.slots.len() {
            if matches!(&self.slots[slot], Slot::Shut(_, at) if at.elapsed() >= after) && self.claimable() {
                self.slots[slot] = Slot::Idle;
            }
        }
    }

    /// The devices that may still get runs.
    fn devices(&self) -> Vec<String> {
        let mut devices: Vec<String> = Vec::new();
        for (slot, device) in self.slots.iter().zip(&self.pool.devices) {
            if !matches!(slot, Slot::Closed(_) | Slot::Shut(..)) && !devices.contains(device) {
                devices.push(device.clone());
            }
        }
        devices
    }

    /// Whether the device of a slot waits for what others tell of the runs that failed there.
    fn waits(&self, slot: usize) -> bool {
        let device = &self.pool.devices[slot];
        let mut others = self.slots.iter().zip(&self.pool.devices).filter(|(_, other)| *other != device);
        self.health.is_resting(device) && others.any(|(slot, _)| matches!(slot, Slot::Busy(_)))
    }

    fn start(&mut self, slot: usize) -> Result<(), ExecuteError> {
        let command = (self.pool.command)(slot, &self.devices());
        let worker = Worker::start(slot, self.pool.runs, command, &self.sender);
        self.slots[slot] = Slot::Busy(worker.map_err(ExecuteError::Spawn)?);
        Ok(())
    }

    fn pending(&self) -> usize {
        self.ledger.wanted().iter().filter(|run| !self.ledger.is_over(&run.id)).count()
    }

    /// Has runs chosen for slots that have nothing to do.
    fn choose(&mut self) -> Result<(), ExecuteError> {
        let Some(chooser) = self.pool.choose else { return Ok(()) };
        let open = self.slots.iter().filter(|slot| !matches!(slot, Slot::Closed(_) | Slot::Shut(..))).count();
        let idle = self.slots.iter().any(|slot| matches!(slot, Slot::Idle));
        if idle && !self.claimable() {
            for line in chooser.more(self.ledger, open * self.pool.runs)? {
                self.display.say(&line);
            }
            self.display.count(self.ledger);
        }
        Ok(())
    }

    fn claimable(&self) -> bool {
        let runs = self.ledger.wanted();
        runs.iter().any(|run| !self.ledger.is_over(&run.id) && self.is_free(run))
    }

    fn is_free(&self, run: &PlannedRun) -> bool {
        !self.ledger.is_held(&run.id) && !self.ledger.waits(run)
    }

    /// Whether one of such runs is left that the device of a slot does not leave to others.
    fn has_work(&self, slot: usize, such: impl Fn(&PlannedRun) -> bool) -> bool {
        let (device, devices) = (&self.pool.devices[slot], self.devices());
        let is_for_others = |run: &PlannedRun| {
            // Where failures cannot be read, the worker that claims the run tells so.
            let failures =
                if devices.len() > 1 { self.ledger.failures(&run.id).unwrap_or_default() } else { Vec::new() };
            retry::is_for_others(&failures, device, &devices)
        };
        let runs = self.ledger.wanted();
        runs.iter().any(|run| !self.ledger.is_over(&run.id) && such(run) && !is_for_others(run))
    }

    /// Counts the time since the last look, and ends workers that have said nothing for too long, of a run or at all.
    fn end_the_silent(&mut self, since: Duration) {
        for slot in &mut self.slots {
            if let Slot::Busy(worker) = slot
                && worker.waited(since.min(LONGEST_LOOK), self.pool.patience)
            {
                worker.hung = true;
                worker.kill();
            }
        }
    }

    /// The line of the display for a place of a worker.
    fn line(&self, slot: usize, lane: usize) -> usize {
        slot * self.pool.runs + lane.min(self.pool.runs - 1)
    }

    /// What a slot is called before people.
    fn name(&self, slot: usize) -> String {
        match self.pool.runs {
            1 => format!("slot {}", slot + 1),
            runs => format!("slots {}-{}", slot * runs + 1, (slot + 1) * runs),
        }
    }

    fn heard(&mut self, slot: usize, said: Said) -> Result<(), ExecuteError> {
        let name = self.name(slot);
        let Slot::Busy(worker) = &mut self.slots[slot] else { return Ok(()) };
        let event = match said {
            Said::Talk(line) => {
                // Of a device that did not open it was told why.
                if !self.shut.contains_key(&self.pool.devices[slot]) {
                    self.display.say(&format!("{name}: {line}"));
                }
                worker.heard_of(None);
                worker.talked(line);
                return Ok(());
            }
            Said::Closed => return self.closed(slot),
            Said::Event(event) => event,
        };
        let run = event.run();
        if let Event::Claimed { run, attempt } = &event {
            worker.claimed(run, *attempt);
            self.shut.remove(&self.pool.devices[slot]);
        }
        // What goes on before the first step is told by a clock: it may hang all the same.
        if !matches!(event, Event::Preparing { .. }) {
            worker.heard_of(Some(run));
        }
        let lane = worker.lane(run).unwrap_or(0);
        let (mut since, mut bad) = (None, Vec::new());
        match &event {
            Event::Claimed { .. } | Event::Preparing { .. } | Event::Progress { .. } | Event::Conflict { .. } => {}
            Event::Finished { .. } | Event::Diverged { .. } | Event::Stopped { .. } => {
                worker.release(run);
                bad = self.health.worked(&self.pool.devices[slot], run);
            }
            Event::Interrupted { .. } | Event::Postponed { .. } => {
                worker.release(run);
            }
            Event::Failed { failure, .. } => {
                since = worker.release(run).map(|held| held.since);
                worker.failed |= failure.class != FailureClass::Configuration;
                worker.falling |= failure.class == FailureClass::Shared;
            }
        }
        self.display.show(self.line(slot, lane), &event);
        if let Event::Failed { run, failure } = &event {
            self.failed(slot, run, failure, since);
        }
        for device in bad {
            self.display.say(&format!("device {device} failed runs that end well on others, and gets no more"));
            self.leave_alone(&device);
        }
        Ok(())
    }

    fn closed(&mut self, slot: usize) -> Result<(), ExecuteError> {
        let Slot::Busy(mut worker) = std::mem::replace(&mut self.slots[slot], Slot::Idle) else { return Ok(()) };
        let status = worker.ended().map_err(ExecuteError::Spawn)?;
        if status.success() || self.is_ending() && status.code() == Some(REQUEUE.into()) {
            return Ok(());
        }
        let message = worker.epitaph(status);
        if worker.held().next().is_some() {
            self.died(slot, &worker, status)?;
        } else if !worker.failed && status.code() != Some(REQUEUE.into()) {
            self.shut(slot, message, worker.last_line());
        }
        if self.health.is_quarantined(&self.pool.devices[slot]) {
            self.slots[slot] = Slot::Closed("its device failed several runs in a row".to_owned());
        }
        let open = matches!(self.slots[slot], Slot::Idle) && !self.is_ending();
        if open && !self.waits(slot) && self.has_work(slot, |_| true) { self.start(slot) } else { Ok(()) }
    }

    /// Closes a slot whose worker could not begin, for some time, and tells it once for its device.
    fn shut(&mut self, slot: usize, epitaph: String, last_line: &str) {
        let device = &self.pool.devices[slot];
        let reason = last_line.strip_prefix("error: ").unwrap_or(last_line);
        let reason = if reason.is_empty() { &epitaph } else { reason };
        if self.shut.insert(device.clone(), reason.to_owned()).is_none() {
            self.display.say(&format!("{device} gets no runs: {reason}; it is tried again as long as others train"));
        }
        self.slots[slot] = Slot::Shut(epitaph, Instant::now());
    }

    /// Records what the death of a worker is to the runs that it held. Its device is blamed once, however many they were.
    fn died(&mut self, slot: usize, worker: &Worker, status: ExitStatus) -> Result<(), ExecuteError> {
        let (epitaph, devices) = (worker.epitaph(status), self.devices());
        let alone = worker.held().count() == 1 && !worker.falling;
        let device = &self.pool.devices[slot];
        let company = worker.held().map(|(_, held)| &held.run);
        let mut blamed = worker.falling || !alone && !self.health.is_news(device, company);
        for (lane, held) in worker.held() {
            let silent = worker.hung && held.silent > self.pool.patience;
            let patience = self.pool.patience.as_secs();
            let (own, message) = if silent {
                (FailureClass::Hang, format!("the worker gave no sign of life for {patience} s and was stopped"))
            } else if worker.hung {
                let message =
                    format!("the worker was stopped: another of its runs gave no sign of life for {patience} s");
                (FailureClass::Hang, message)
            } else {
                (retry::class_of_death(status, worker.last_line()), epitaph.clone())
            };
            let class = if alone { own } else { FailureClass::Shared };
            let failure = Failure { class, message, device: Some(self.pool.devices[slot].clone()) };
            let hopeless = |failures: &[Failure]| retry::is_hopeless(failures, &devices);
            self.ledger.fail(&held.run, held.attempt, &failure, &hopeless)?;
            let event = Event::Failed { run: held.run.clone(), failure: failure.clone() };
            self.display.show(self.line(slot, lane), &event);
            let since = (!std::mem::replace(&mut blamed, true)).then_some(held.since);
            self.failed(slot, &held.run, &failure, since);
        }
        Ok(())
    }

    /// Says what becomes of a run that has failed, and whether its device can be trusted.
    fn failed(&mut self, slot: usize, run: &RunId, failure: &Failure, claimed: Option<Instant>) {
        // Another worker may have ended it since: then it was tried again, even before its failure was heard of.
        if self.ledger.is_given_up(run) {
            self.display.given_up(run);
        } else {
            self.display.say(&format!("run {run} is tried again"));
        }
        self.end_if_fruitless(run, failure);
        let device = &self.pool.devices[slot];
        if self.health.failed(device, run, failure, claimed.map(|at| at.elapsed())) {
            self.display.say(&format!("device {device} failed several runs in a row and gets no more"));
            self.leave_alone(device);
        } else if self.waits(slot) {
            let what = if failure.class == FailureClass::OutOfMemory { "had no room for" } else { "failed" };
            self.display.say(&format!("device {device} {what} several runs in a row and waits until another ends one"));
        }
    }

    /// Ends a sweep whose program has trained the first runs and told no result of any: the others would be lost as well.
    fn end_if_fruitless(&mut self, run: &RunId, failure: &Failure) {
        let plan = &self.ledger.plan().runs;
        let is_programs = plan.iter().any(|planned| planned.id == *run && planned.run.program.is_some());
        let is_fruitless = is_programs && self.health.is_fruitless(run, failure);
        if is_fruitless && !self.is_ending() && !plan.iter().any(|planned| self.ledger.has_result(&planned.id)) {
            let first = failure.message.lines().next().unwrap_or_default().to_owned();
            self.display.say("the first runs have no result, all for one reason: the others are not begun");
            self.fruitless = Some(first);
            self.ask_to_stop();
        }
    }

    /// Closes the slots of a device.
    fn leave_alone(&mut self, device: &str) {
        for (slot, its) in self.pool.devices.iter().enumerate() {
            match &self.slots[slot] {
                // When it ends its slot is closed. One of several runs does not end with the one that failed.
                Slot::Busy(worker) if its == device && self.pool.runs > 1 => worker.ask_to_stop(),
                Slot::Idle if its == device => {
                    self.slots[slot] = Slot::Closed("its device failed several runs in a row".to_owned());
                }
                _ => {}
            }
        }
    }

    /// No device is left: bad ones are a result of the sweep, and workers that cannot even begin an error.
    fn nobody_left(&self) -> Result<(), ExecuteError> {
        if !self.health.quarantined.is_empty() {
            return Ok(());
        }
        let mut words: Vec<String> = Vec::new();
        for (slot, device) in self.slots.iter().zip(&self.pool.devices) {
            if let Slot::Closed(message) | Slot::Shut(message, _) = slot {
                words.push(if self.shut.len() > 1 { format!("{device}: {message}") } else { message.clone() });
            }
        }
        words.dedup();
        Err(ExecuteError::NoWorker(if words.is_empty() { "none was started".to_owned() } else { words.join("; ") }))
    }

    fn kill_all(&mut self) {
        for slot in &mut self.slots {
            if let Slot::Busy(worker) = slot {
                worker.kill();
            }
        }
    }
}

#[cfg(test)]
mod tests;
