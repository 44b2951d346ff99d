//! One process, one run: the claim under which an attempt is made.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::attempt::{self, Attempt};
use super::lease::{Lease, Sight};
use super::{CurvePoint, Doing, Failure, Ledger, LedgerError, RunResult, files};
use crate::plan::{PlannedRun, RunId};
use crate::provenance::Build;
use crate::trainer::{DeviceInfo, Outcome};

/// The right to train a run, held until dropped. It saves work and no more: two claims of one run would still give one
/// result.
#[derive(Debug)]
pub struct Claim<'a> {
    pub(super) ledger: &'a Ledger,
    pub(super) id: RunId,
    attempt: Attempt,
    /// Failures of earlier attempts.
    failures: Vec<Failure>,
    curve: Vec<CurvePoint>,
    begun: Instant,
    /// The device that trains it, by its name in the sweep.
    device: Option<String>,
    lease: Lease,
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

/// What people are told of a result that differs from the first one of its run.
pub fn conflict_warning(kept: &Path) -> String {
    format!("WARNING: a run gave two different results; the first stands, the other is {}", kept.display())
}

/// An attempt that takes longer has a folder in which its curve can be watched.
const QUICK: Duration = Duration::from_secs(1);

impl Ledger {
    /// Publishes a result, durably, unless its run has one; what differs from that is kept under a mark of its own.
    pub(super) fn publish(&self, result: &RunResult, mark: &str) -> Result<Published, LedgerError> {
        let text = self.text(result);
        if files::publish(&self.result_path(&result.id), &text)? {
            return Ok(Published::First);
        }
        if self.result(&result.id)?.is_some_and(|first| first.agrees_with(result)) {
            return Ok(Published::Equal);
        }
        let path = self.run_dir(&result.id).join(format!("conflict-{mark}.json"));
        files::write(&path, &text)?;
        Ok(Published::Conflict(path))
    }

    /// Claims a run that has no result, is not given up or stopped, waits for no other, and is held by nobody.
    pub fn claim(&self, run: &PlannedRun) -> Result<Option<Claim<'_>>, LedgerError> {
        if self.is_over(&run.id) || self.waits(run) {
            return Ok(None);
        }
        if self.make_run_dir(&run.id)? {
            files::sync_dir(&self.dir.join("runs"))?;
        }
        let Ok(lease) = Lease::take(&self.lock_path(&run.id), &self.watch)? else { return Ok(None) };
        // Whoever held it before may have finished meanwhile.
        if self.is_over(&run.id) {
            return Ok(None);
        }
        let config = self.run_dir(&run.id).join("config.json");
        if !config.exists() {
            // For people: it repeats the plan, so nothing is lost with it, and it need not be durable.
            files::write_unsynced(&config, &files::json(run))?;
        }
        let attempt = Attempt::next(self.attempts_dir(&run.id))?;
        let failures = if attempt.number() > 1 { self.failures(&run.id)? } else { Vec::new() };
        let (id, curve, begun) = (run.id.clone(), Vec::new(), Instant::now());
        Ok(Some(Claim { ledger: self, id, attempt, failures, curve, begun, device: None, lease }))
    }

    /// Whether a run has a result, was given up or was stopped, without reading why.
    pub fn is_over(&self, id: &RunId) -> bool {
        let ends = [self.result_path(id), self.failed_path(id), self.stopped_path(id)];
        ends.iter().any(|path| path.exists())
    }

    /// Whether a run has a result, without reading it.
    pub fn has_result(&self, id: &RunId) -> bool {
        self.result_path(id).exists()
    }

    /// Whether a run is over without a result.
    pub fn is_given_up(&self, id: &RunId) -> bool {
        self.is_over(id) && !self.has_result(id)
    }

    /// Whether a process holds a run just now, as far as is known.
    pub fn is_held(&self, id: &RunId) -> bool {
        matches!(self.watch.sight(&self.lock_path(id)), Some(Sight::Alive | Sight::Unknown))
    }

    /// Whether a process of another machine held a run, of which it is not known yet whether it lives.
    pub fn is_unclear(&self, id: &RunId) -> bool {
        self.watch.sight(&self.lock_path(id)) == Some(Sight::Unknown)
    }
}

impl Claim<'_> {
    /// Number of this attempt, from 1.
    pub fn attempt(&self) -> u32 {
        self.attempt.number()
    }

    /// Why earlier attempts have no outcome.
    pub fn failures(&self) -> &[Failure] {
        &self.failures
    }

    /// The folder that it is of.
    pub fn ledger(&self) -> &Ledger {
        self.ledger
    }

    /// Its curve so far.
    pub(super) fn curve(&self) -> &[CurvePoint] {
        &self.curve
    }

    /// Tells whoever looks on which device the run is trained.
    pub fn begin(&mut self, device: &str) {
        let (device, attempt) = (device.to_owned(), self.attempt());
        self.device = Some(device.clone());
        self.lease.begin(Doing { device, attempt, ..Doing::default() });
    }

    /// Tells whoever looks that the attempt is alive, and how far it is.
    pub fn beat(&mut self, device: &str, tokens: u64, tokens_per_second: Option<f64>) {
        let attempt = self.attempt.number();
        self.lease.beat(|| Some(Doing { device: device.to_owned(), attempt, tokens, tokens_per_second }));
    }

    /// Adds a point to the curve.
    pub fn record(&mut self, point: &CurvePoint) -> Result<(), LedgerError> {
        self.curve.push(*point);
        if self.attempt.has_folder() {
            self.attempt.record(std::slice::from_ref(point))
        } else if self.begun.elapsed() >= QUICK {
            self.attempt.record(&self.curve)
        } else {
            Ok(())
        }
    }

    /// Opens the checkpoints of the run, newest first.
    pub fn checkpoints(&self) -> Result<Vec<(PathBuf, File)>, LedgerError> {
        let paths = attempt::checkpoints(&self.ledger.attempts_dir(&self.id))?;
        let open = |path: PathBuf| {
            let file = File::open(&path).map_err(LedgerError::io("open", &path))?;
            Ok((path, file))
        };
        paths.into_iter().map(open).collect()
    }

    /// Keeps a checkpoint, durably, and the one before it.
    pub fn save(&mut self, write: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>) -> Result<(), LedgerError> {
        if !self.attempt.has_folder() {
            self.attempt.record(&self.curve)?;
        }
        self.attempt.save(write)
    }

    /// Keeps the weights of a finished run, durably, where this folder keeps models.
    pub fn keep_model(&self, write: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>) -> Result<(), LedgerError> {
        if !self.ledger.keeps_models() {
            return Ok(());
        }
        // In one step: where the result is there already, nobody writes the weights again.
        files::fill(&self.ledger.model_path(&self.id), write)
    }

    /// Publishes the outcome, durably, unless another was first.
    pub fn publish(self, outcome: Outcome, device: DeviceInfo, micro_batches: usize) -> Result<Published, LedgerError> {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let build = Some(Box::new(Build::current()));
        let (ledger, attempt) = (self.ledger, self.attempt.number());
        let (id, curve) = (self.id.clone(), self.curve.clone());
        // Only where there may be several of a kind.
        let slot = self.device.clone().filter(|name| name.contains(':'));
        let result = RunResult { id, attempt, outcome, device, slot, version, build, micro_batches, curve };
        let published = ledger.publish(&result, &attempt.to_string())?;
        attempt::remove_all_checkpoints(&ledger.attempts_dir(&result.id));
        self.prune_trunk();
        Ok(published)
    }

    /// Records that the attempt failed, see [`Ledger::fail`].
    pub fn fail(self, failure: &Failure, hopeless: &dyn Fn(&[Failure]) -> bool) -> Result<(), LedgerError> {
        self.ledger.fail(&self.id, self.attempt(), failure, hopeless)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{device, finished, ledger};
    use super::super::{FailureClass, State};
    use super::*;

    fn point(step: usize) -> CurvePoint {
        CurvePoint { step, tokens: step as u64 * 256, train_loss: Some(4.0 / 3.0), learning_rate: Some(0.01) }
    }

    #[test]
    fn what_is_published_comes_back() {
        let (_dir, ledger) = ledger(2);
        let run = &ledger.plan().runs[1];
        let mut claim = ledger.claim(run).unwrap().expect("nobody holds it");
        claim.record(&point(10)).unwrap();
        claim.record(&point(20)).unwrap();
        assert_eq!(claim.publish(finished(3.25), device(), 1).unwrap(), Published::First);

        let result = ledger.result(&run.id).unwrap().unwrap();
        assert_eq!((result.attempt, &result.outcome), (1, &finished(3.25)));
        assert_eq!(ledger.curve(&result).unwrap(), [point(10), point(20)]);
        assert!(ledger.claim(run).unwrap().is_none(), "a finished run is not trained again");
        assert!(ledger.is_over(&run.id) && !ledger.is_given_up(&run.id));
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
        let holder = ledger.holder(&run.id).expect("held");
        assert_eq!(holder.pid, std::process::id());
        drop(first);
        assert!(!ledger.is_held(&run.id));
        assert!(ledger.claim(run).unwrap().is_some(), "free again");
    }

    /// Two claims of one run at once, as two hosts without common locks would have.
    fn twice(ledger: &Ledger) -> (Claim<'_>, Claim<'_>) {
        let run = &ledger.plan().runs[0];
        let first = ledger.claim(run).unwrap().unwrap();
        std::fs::remove_file(ledger.run_dir(&run.id).join("lock")).unwrap();
        (first, ledger.claim(run).unwrap().unwrap())
    }

    #[test]
    fn of_checkpoints_the_newest_comes_first_and_none_is_left_beside_a_result() {
        let (_dir, ledger) = ledger(1);
        let run = &ledger.plan().runs[0];
        let saved = |claim: &mut Claim<'_>, text: &str| claim.save(&mut |out| out.write_all(text.as_bytes())).unwrap();
        let found = |claim: &Claim<'_>| -> Vec<String> {
            let read = |(_, file)| io::read_to_string::<File>(file).unwrap();
            claim.checkpoints().unwrap().into_iter().map(read).collect()
        };
        let mut first = ledger.claim(run).unwrap().unwrap();
        for text in ["one", "two", "three"] {
            saved(&mut first, text);
        }
        assert_eq!(found(&first), ["three", "two"]);
        drop(first);
        let mut second = ledger.claim(run).unwrap().unwrap();
        saved(&mut second, "four");
        assert_eq!((second.attempt(), found(&second)), (2, ["four", "three", "two"].map(str::to_owned).to_vec()));
        let failed = second.save(&mut |_| Err(io::ErrorKind::StorageFull.into())).unwrap_err().to_string();
        assert!(failed.contains("checkpoint.safetensors") && failed.contains("Make room"), "{failed}");
        assert_eq!(found(&second).len(), 3, "what was there stays");
        saved(&mut second, "five");
        assert_eq!(found(&second), ["five", "four"]);
        second.publish(finished(3.0), device(), 1).unwrap();
        assert_eq!(attempt::checkpoints(&ledger.attempts_dir(&run.id)).unwrap(), Vec::<PathBuf>::new());
    }

    #[test]
    fn what_a_process_of_another_machine_holds_is_not_taken_before_its_heartbeat_stands_still() {
        let (_dir, ledger) = ledger(1);
        let run = &ledger.plan().runs[0];
        let theirs = super::super::Holder { host: "other".into(), boot: "other".into(), pid: 7, ..Default::default() };
        std::fs::write(ledger.lock_path(&run.id), serde_json::to_vec(&theirs).unwrap()).unwrap();
        assert!(ledger.claim(run).unwrap().is_none() && ledger.claim(run).unwrap().is_none());
        assert!(ledger.is_held(&run.id) && ledger.is_unclear(&run.id));
        assert_eq!(ledger.holder(&run.id), Some(theirs));
        // What a crash of the machine tore, and what the process left that died on this one, hold nobody back.
        std::fs::write(ledger.lock_path(&run.id), "{\"host\": \"ot").unwrap();
        assert!(ledger.claim(run).unwrap().is_some());
    }

    /// A file that took the place of another in two steps would have none in between. `model.previous` was its name then.
    #[test]
    fn weights_are_replaced_in_one_step() {
        let (_dir, ledger) = ledger(1);
        ledger.keep_models().unwrap();
        let run = &ledger.plan().runs[0];
        let claim = ledger.claim(run).unwrap().unwrap();
        let aside = ledger.model_path(&run.id).with_extension("previous");
        std::fs::write(&aside, "not of this run").unwrap();
        for weights in ["first", "second"] {
            claim.keep_model(&mut |out| out.write_all(weights.as_bytes())).unwrap();
            assert_eq!(std::fs::read_to_string(ledger.model_path(&run.id)).unwrap(), weights);
            assert_eq!(std::fs::read_to_string(&aside).unwrap(), "not of this run");
        }
    }

    #[test]
    fn an_equal_second_result_is_fine() {
        let (_dir, ledger) = ledger(1);
        let (first, second) = twice(&ledger);
        first.publish(finished(3.0), device(), 1).unwrap();
        let mut slower = finished(3.0);
        if let Outcome::Finished { seconds, .. } = &mut slower {
            *seconds *= 2.0;
        }
        assert_eq!(second.publish(slower, device(), 1).unwrap(), Published::Equal);
        assert_eq!(ledger.conflicts().unwrap(), Vec::<PathBuf>::new());
    }

    #[test]
    fn a_different_second_result_is_kept_aside_and_reported_and_the_first_stands() {
        let (_dir, ledger) = ledger(1);
        let (first, second) = twice(&ledger);
        first.publish(finished(3.0), device(), 1).unwrap();
        let Published::Conflict(path) = second.publish(finished(3.1), device(), 1).unwrap() else {
            panic!("3.1 is not 3.0");
        };
        let id = &ledger.plan().runs[0].id;
        assert_eq!(ledger.result(id).unwrap().unwrap().outcome, finished(3.0));
        let kept: RunResult = files::read_sealed(&path).unwrap().unwrap();
        assert_eq!(kept.outcome, finished(3.1));
        assert_eq!(ledger.conflicts().unwrap(), [path]);
    }

    #[test]
    fn a_hopeless_failure_gives_the_run_up_and_another_is_remembered() {
        let (_dir, ledger) = ledger(2);
        let [wrong, unlucky] = [&ledger.plan().runs[0], &ledger.plan().runs[1]];
        let failure = |class| Failure { class, message: "because".to_owned(), device: None };
        ledger.claim(wrong).unwrap().unwrap().fail(&failure(FailureClass::Configuration), &|_| true).unwrap();
        ledger.claim(unlucky).unwrap().unwrap().fail(&failure(FailureClass::Device), &|_| false).unwrap();
        assert!(ledger.claim(wrong).unwrap().is_none());
        assert_eq!(ledger.state(&wrong.id).unwrap(), State::Failed(failure(FailureClass::Configuration)));
        let again = ledger.claim(unlucky).unwrap().unwrap();
        assert_eq!((again.attempt(), again.failures()), (2, &[failure(FailureClass::Device)][..]));
    }
}
