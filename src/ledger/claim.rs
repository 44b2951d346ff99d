//! One process, one run: the claim under which an attempt is made.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::{CurvePoint, Failure, FailureClass, Ledger, LedgerError, RunResult, files};
use crate::plan::{PlannedRun, RunId};
use crate::trainer::{DeviceInfo, Outcome};

/// The right to train a run, held until dropped. The kernel takes it back when the process dies, so no claim on this
/// machine is ever stale. It saves work and no more: two claims of one run would still give one result.
#[derive(Debug)]
pub struct Claim<'a> {
    ledger: &'a Ledger,
    id: RunId,
    attempt: u32,
    metrics: File,
    _lock: File,
}

/// What became of a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Published {
    /// It is the run's result.
    First,
    /// Another said the same before.
    Equal,
    /// Another said something else before, and that stands; this one is kept in the file named here.
    Conflict(PathBuf),
}

impl Ledger {
    /// Claims a run that has no result, is not given up, and is held by nobody.
    pub fn claim(&self, run: &PlannedRun) -> Result<Option<Claim<'_>>, LedgerError> {
        let dir = self.run_dir(&run.id);
        if self.is_over(&run.id) {
            return Ok(None);
        }
        files::create_dir(&dir)?;
        let Some(lock) = try_lock(&dir.join("lock"))? else { return Ok(None) };
        // Whoever held it before may have finished meanwhile.
        if self.is_over(&run.id) {
            return Ok(None);
        }
        // For people: it repeats the plan, so nothing is lost with it, and it need not be durable.
        files::write_unsynced(&dir.join("config.json"), &files::json(run))?;
        let (attempt, attempt_dir) = self.new_attempt(&run.id)?;
        let path = attempt_dir.join("metrics.jsonl");
        let metrics =
            OpenOptions::new().create_new(true).append(true).open(&path).map_err(LedgerError::io("create", &path))?;
        Ok(Some(Claim { ledger: self, id: run.id.clone(), attempt, metrics, _lock: lock }))
    }

    /// Whether a run has a result or was given up, without reading either.
    pub fn is_over(&self, id: &RunId) -> bool {
        self.result_path(id).exists() || self.failed_path(id).exists()
    }

    /// Whether a process holds a run just now.
    pub fn is_held(&self, id: &RunId) -> bool {
        let lock = File::open(self.run_dir(id).join("lock"));
        lock.is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
    }

    /// Makes the folder of the next attempt: whoever makes it owns it.
    fn new_attempt(&self, id: &RunId) -> Result<(u32, PathBuf), LedgerError> {
        let attempts = self.run_dir(id).join("attempts");
        files::create_dir(&attempts)?;
        let mut attempt = 1;
        loop {
            let dir = self.attempt_dir(id, attempt);
            match fs::create_dir(&dir) {
                Ok(()) => return Ok((attempt, dir)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => attempt += 1,
                Err(cause) => return Err(LedgerError::io("create", &dir)(cause)),
            }
        }
    }
}

impl Claim<'_> {
    /// Number of this attempt, from 1.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Adds a point to the curve: one write(2), so that a crash tears at most the last line.
    pub fn record(&mut self, point: &CurvePoint) -> Result<(), LedgerError> {
        let mut line = serde_json::to_vec(point).expect("a point has only string keys");
        line.push(b'\n');
        self.metrics.write_all(&line).map_err(LedgerError::io("write", &self.dir().join("metrics.jsonl")))
    }

    /// Publishes the outcome, durably, unless another was first.
    pub fn publish(self, outcome: Outcome, device: DeviceInfo) -> Result<Published, LedgerError> {
        let dir = self.dir();
        // The curve must not be lost once the result stands: the file, its name, and the names of its folders.
        self.metrics.sync_all().map_err(LedgerError::io("sync", &dir.join("metrics.jsonl")))?;
        for folder in dir.ancestors().take(4) {
            files::sync_dir(folder)?;
        }

        let version = env!("CARGO_PKG_VERSION").to_owned();
        let result = RunResult { id: self.id.clone(), attempt: self.attempt, outcome, device, version };
        if files::publish(&self.ledger.result_path(&self.id), &files::json(&result))? {
            return Ok(Published::First);
        }
        match self.ledger.result(&self.id)? {
            Some(first) if first.agrees_with(&result) => Ok(Published::Equal),
            _ => {
                let path = self.ledger.run_dir(&self.id).join(format!("conflict-{}.json", self.attempt));
                files::write_json(&path, &result)?;
                Ok(Published::Conflict(path))
            }
        }
    }

    /// Records that the attempt failed; a failure of configuration gives the run up.
    pub fn fail(self, failure: &Failure) -> Result<(), LedgerError> {
        self.ledger.record_failure(&self.id, self.attempt, failure)?;
        match failure.class {
            FailureClass::Configuration => self.ledger.give_up(&self.id, failure),
            FailureClass::Device | FailureClass::Crash => Ok(()),
        }
    }

    fn dir(&self) -> PathBuf {
        self.ledger.attempt_dir(&self.id, self.attempt)
    }
}

/// Locks a file, made if need be; nothing where another process holds it.
pub(super) fn try_lock(path: &Path) -> Result<Option<File>, LedgerError> {
    let file = OpenOptions::new().create(true).append(true).open(path).map_err(LedgerError::io("create", path))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(cause)) => Err(LedgerError::io("lock", path)(cause)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::super::testing::{device, finished, ledger};
    use super::*;

    fn point(step: usize) -> CurvePoint {
        CurvePoint { step, tokens: step as u64 * 256, train_loss: Some(4.0 / 3.0), learning_rate: 0.01 }
    }

    #[test]
    fn what_is_published_comes_back() {
        let (_dir, ledger) = ledger(2);
        let run = &ledger.plan().runs[1];
        let mut claim = ledger.claim(run).unwrap().expect("nobody holds it");
        claim.record(&point(10)).unwrap();
        claim.record(&point(20)).unwrap();
        assert_eq!(claim.publish(finished(3.25), device()).unwrap(), Published::First);

        let result = ledger.result(&run.id).unwrap().unwrap();
        assert_eq!((result.attempt, &result.outcome), (1, &finished(3.25)));
        assert_eq!(ledger.curve(&run.id, 1).unwrap(), [point(10), point(20)]);
        assert!(ledger.claim(run).unwrap().is_none(), "a finished run is not trained again");
        assert_eq!(ledger.state(&ledger.plan().runs[0].id).unwrap(), State::Pending);
        let [observation] = ledger.observations().unwrap().try_into().unwrap();
        assert_eq!((observation.loss, observation.tokens), (3.25, run.tokens as f64));
    }

    #[test]
    fn a_claimed_run_is_held_until_the_claim_ends() {
        let (_dir, ledger) = ledger(1);
        let run = &ledger.plan().runs[0];
        let first = ledger.claim(run).unwrap();
        assert!(first.is_some() && ledger.is_held(&run.id) && ledger.claim(run).unwrap().is_none());
        drop(first);
        // A process that another test is just starting holds a copy of the lock until its own program begins.
        let patience = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while ledger.is_held(&run.id) && std::time::Instant::now() < patience {
            std::thread::yield_now();
        }
        assert!(!ledger.is_held(&run.id));
        assert_eq!(ledger.claim(run).unwrap().expect("free again").attempt(), 2);
    }

    /// Two claims of one run at once, as two hosts without common locks would have.
    fn twice(ledger: &Ledger) -> (Claim<'_>, Claim<'_>) {
        let run = &ledger.plan().runs[0];
        let first = ledger.claim(run).unwrap().unwrap();
        fs::remove_file(ledger.run_dir(&run.id).join("lock")).unwrap();
        (first, ledger.claim(run).unwrap().unwrap())
    }

    #[test]
    fn an_equal_second_result_is_fine() {
        let (_dir, ledger) = ledger(1);
        let (first, second) = twice(&ledger);
        first.publish(finished(3.0), device()).unwrap();
        let mut slower = finished(3.0);
        if let Outcome::Finished { seconds, .. } = &mut slower {
            *seconds *= 2.0;
        }
        assert_eq!(second.publish(slower, device()).unwrap(), Published::Equal);
        assert_eq!(ledger.conflicts().unwrap(), Vec::<PathBuf>::new());
    }

    #[test]
    fn a_different_second_result_is_kept_aside_and_reported_and_the_first_stands() {
        let (_dir, ledger) = ledger(1);
        let (first, second) = twice(&ledger);
        first.publish(finished(3.0), device()).unwrap();
        let Published::Conflict(path) = second.publish(finished(3.1), device()).unwrap() else {
            panic!("3.1 is not 3.0");
        };
        let id = &ledger.plan().runs[0].id;
        assert_eq!(ledger.result(id).unwrap().unwrap().outcome, finished(3.0));
        let kept: RunResult = files::read_json(&path).unwrap().unwrap();
        assert_eq!((kept.attempt, kept.outcome), (2, finished(3.1)));
        assert_eq!(ledger.conflicts().unwrap(), [path]);
    }

    #[test]
    fn a_failure_of_configuration_gives_the_run_up_and_one_of_the_device_does_not() {
        let (_dir, ledger) = ledger(2);
        let [wrong, unlucky] = [&ledger.plan().runs[0], &ledger.plan().runs[1]];
        let failure = |class| Failure { class, message: "because".to_owned() };
        ledger.claim(wrong).unwrap().unwrap().fail(&failure(FailureClass::Configuration)).unwrap();
        ledger.claim(unlucky).unwrap().unwrap().fail(&failure(FailureClass::Device)).unwrap();
        assert!(ledger.claim(wrong).unwrap().is_none());
        assert_eq!(ledger.state(&wrong.id).unwrap(), State::Failed(failure(FailureClass::Configuration)));
        assert_eq!(ledger.claim(unlucky).unwrap().unwrap().attempt(), 2);
    }
}
