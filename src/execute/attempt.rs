//! One attempt of a worker: train, and publish the result or record the failure.

use std::cell::{Cell, RefCell};
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use super::lanes::Lanes;
use super::shelf::Shelf;
use super::terms::{Terms, WorkError};
use super::{Event, failpoint, retry};
use crate::ledger::{Claim, CurvePoint, Failure, FailureClass, Ledger, Published, Reason};
use crate::plan::PlannedRun;
use crate::trainer::{Job, Outcome, Progress, Told, TrainError, Trainer};

/// Time between two events of progress.
const PROGRESS_EVERY: Duration = Duration::from_millis(200);

/// Why a run is stopped before its end, and after how many seconds.
type Verdict = (Reason, f64);

/// What an attempt came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The run has a result, or was given up.
    Over,
    /// The worker was asked to stop; the run is checkpointed.
    Interrupted,
    /// There is no room for the run beside its neighbours.
    NoRoom,
    /// It failed, which is recorded.
    Failed(Failure),
}

/// One place of a worker: its number, and what it shares with the others.
#[derive(Clone, Copy)]
pub(super) struct Lane<'a, 'e> {
    pub(super) number: usize,
    pub(super) lanes: &'a Lanes<'e>,
    pub(super) terms: Terms<'a>,
}

/// Trains a claimed run and publishes what becomes of it, or records why nothing does.
pub(super) fn train(
    mut claim: Claim<'_>,
    run: &PlannedRun,
    trainer: &mut dyn Trainer,
    lane: Lane<'_, '_>,
) -> Result<End, WorkError> {
    let Lane { number, lanes, terms } = lane;
    lanes.tell(Event::Claimed { run: run.id.clone(), attempt: claim.attempt() });
    claim.begin(terms.device);
    let standing = run.run.program.as_ref().map(|_| claim.standing());
    lanes.begin(number, &run.id, trainer);
    let micro_batches = retry::micro_batches(claim.failures(), terms.device);
    let apart = retry::is_alone(claim.failures()) || micro_batches > 1;
    let alike = if apart { 1 } else { alike(claim.ledger(), run, terms, lanes.open()) };
    let (claim, verdict) = (RefCell::new(claim), Cell::new(None));
    // A trainer that panicked is not used again.
    let outcome =
        catch_unwind(AssertUnwindSafe(|| attempt((&claim, &verdict), run, (trainer, [micro_batches, alike]), lane)));
    let (claim, verdict) = (claim.into_inner(), verdict.into_inner());
    let end = match believed(outcome, standing.and_then(|standing| claim.trespass(&standing))) {
        Ok(Ok(outcome)) => {
            publish(claim, run, sound(outcome, run), (trainer, micro_batches), lanes).map(|()| End::Over)
        }
        Ok(Err(TrainError::Interrupted { .. })) if let Some(verdict) = verdict => {
            stop(claim, run, verdict, (trainer, micro_batches), lanes).map(|()| End::Over)
        }
        Ok(Err(TrainError::Interrupted { step })) => {
            lanes.tell(Event::Interrupted { run: run.id.clone(), step });
            Ok(End::Interrupted)
        }
        Ok(Err(error)) => fail(claim, run, failure(&error), lane),
        Err(panic) => {
            let message = words(panic.as_ref());
            let class = retry::class_of_words(&message);
            fail(claim, run, (class, format!("the trainer panicked: {message}")), lane)
        }
    };
    lanes.end(number);
    end
}

/// Runs that this process may train at once in so many places and step together, with this one: those that are not over and whose
/// steps are the same work, divided among the devices.
fn alike(ledger: &Ledger, run: &PlannedRun, terms: Terms<'_>, places: usize) -> usize {
    if !terms.together || places == 1 {
        return 1;
    }
    let enough = places * terms.devices.len();
    let alike = ledger.plan().runs.iter().filter(|other| other.run.steps_as(&run.run));
    alike.filter(|other| !ledger.is_over(&other.id)).take(enough).count().div_ceil(terms.devices.len())
}

/// Trains, and tells of it. Why the run is stopped before its end, where it is, and after how many seconds, goes into the
/// second of the pair.
fn attempt(
    (claim, verdict): (&RefCell<Claim<'_>>, &Cell<Option<Verdict>>),
    run: &PlannedRun,
    (trainer, [micro_batches, alike]): (&mut dyn Trainer, [usize; 2]),
    lane: Lane<'_, '_>,
) -> Result<Outcome, TrainError> {
    let Lane { number, lanes, terms } = lane;
    let id = || run.id.clone();
    let mut unseen = false;
    let mut emitted: Option<Instant> = None;
    let mut on_progress = |progress: Progress| {
        if !progress.again {
            lanes.stepped(number);
        }
        failpoint::hit(run, &progress);
        let Progress { tokens, train_loss, tokens_per_second, .. } = progress;
        let [train_loss, tokens_per_second] =
            [train_loss, tokens_per_second].map(|value| Some(value).filter(|value| value.is_finite()));
        let mut claim = claim.borrow_mut();
        if progress.curve_point
            && let Err(error) = claim.record(&CurvePoint::from(&progress))
            && !std::mem::replace(&mut unseen, true)
        {
            // The result will have the whole curve; until then nobody can watch it.
            tell!("run {}: the curve cannot be watched: {error}", run.id);
        }
        claim.beat(terms.device, tokens, tokens_per_second);
        if emitted.is_none_or(|at| at.elapsed() >= PROGRESS_EVERY) {
            emitted = Some(Instant::now());
            lanes.tell(Event::Progress { run: id(), tokens, train_loss, tokens_per_second });
        }
        let reason = terms.stopping.and_then(|stopping| stopping.judge(claim.ledger(), run, &progress));
        let stops = reason.is_some() || terms.stop.load(Ordering::Relaxed);
        if let Some(reason) = reason {
            verdict.set(Some((reason, progress.seconds)));
        }
        if stops { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let checkpoints = &mut Shelf { claim, run };
    let job = Job { run, micro_batches, alike, checkpoints, checkpoint_every: terms.checkpoint_every };
    failpoint::begin(run);
    failpoint::outcome(run, trainer.train(job, &mut on_progress))
}

/// Records a failure, and gives the run up where that is hopeless. What comes of company is held against nobody.
fn fail(
    claim: Claim<'_>,
    run: &PlannedRun,
    (class, message): (FailureClass, String),
    lane: Lane<'_, '_>,
) -> Result<End, WorkError> {
    let Lane { number, lanes, terms } = lane;
    let id = || run.id.clone();
    let class = match (class, lanes.beside(number)) {
        (FailureClass::OutOfMemory, 1..) if lanes.close() => {
            lanes.tell(Event::Postponed { run: id(), message });
            return Ok(End::NoRoom);
        }
        // The error of one run is told to whoever asks the device next.
        (FailureClass::Device, 1..) => FailureClass::Shared,
        (class, _) => class,
    };
    let failure = Failure { class, message, device: Some(terms.device.to_owned()) };
    claim.fail(&failure, &|failures| retry::is_hopeless(failures, terms.devices))?;
    lanes.tell(Event::Failed { run: id(), failure: failure.clone() });
    Ok(End::Failed(failure))
}

fn failure(error: &TrainError) -> (FailureClass, String) {
    let class = match error {
        TrainError::Configuration(_) => FailureClass::Configuration,
        TrainError::OutOfMemory(_) => FailureClass::OutOfMemory,
        TrainError::Device(message) => match retry::class_of_words(message) {
            FailureClass::OutOfMemory => FailureClass::OutOfMemory,
            _ => FailureClass::Device,
        },
        TrainError::Program(message) => match retry::class_of_words(message) {
            FailureClass::OutOfMemory => FailureClass::OutOfMemory,
            _ => FailureClass::Program,
        },
        TrainError::Interrupted { .. } => FailureClass::Crash,
    };
    (class, error.to_string())
}

/// What an attempt came to, unless its program did what no program may: then that is told, and what else went wrong.
fn believed(
    outcome: thread::Result<Result<Outcome, TrainError>>,
    trespass: Option<String>,
) -> thread::Result<Result<Outcome, TrainError>> {
    let Some(trespass) = trespass else { return outcome };
    let more = match outcome {
        Ok(Ok(_) | Err(TrainError::Interrupted { .. })) | Err(_) => String::new(),
        Ok(Err(error)) => format!("; {error}"),
    };
    Ok(Err(TrainError::Configuration(trespass + &more)))
}

/// What a panic said.
fn words(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "with no message".to_owned())
}

fn publish(
    claim: Claim<'_>,
    run: &PlannedRun,
    outcome: Outcome,
    (trainer, micro_batches): (&dyn Trainer, usize),
    lanes: &Lanes<'_>,
) -> Result<(), WorkError> {
    let id = || run.id.clone();
    let event = match outcome {
        Outcome::Finished { val_loss, tokens_per_second, seconds, .. } => {
            Event::Finished { run: id(), val_loss, tokens_per_second, seconds }
        }
        Outcome::Diverged { step, train_loss, .. } => Event::Diverged { run: id(), step, train_loss },
    };
    if let Published::Conflict(kept) = claim.publish(outcome, trainer.device(), micro_batches)? {
        lanes.tell(Event::Conflict { run: id(), kept });
    }
    lanes.tell(event);
    Ok(())
}

/// Records that the run was stopped before its end, and tells why.
fn stop(
    claim: Claim<'_>,
    run: &PlannedRun,
    verdict: Verdict,
    (trainer, micro_batches): (&dyn Trainer, usize),
    lanes: &Lanes<'_>,
) -> Result<(), WorkError> {
    let stopped = claim.stop(verdict, trainer.device(), micro_batches)?;
    lanes.tell(Event::Stopped { run: run.id.clone(), tokens: stopped.tokens, why: stopped.words(run) });
    Ok(())
}

/// A loss that is not a number is divergence, whatever the trainer calls it, and JSON has no word for such numbers: what else was
/// measured and is none is left out.
fn sound(mut outcome: Outcome, run: &PlannedRun) -> Outcome {
    let number = |value: f64| if value.is_finite() { value } else { 0.0 };
    match &mut outcome {
        Outcome::Finished {
            val_loss, val_loss_se, train_loss, tokens_per_second, seconds, evaluations, told, ..
        } if [*val_loss, *val_loss_se].into_iter().chain(*train_loss).all(f64::is_finite) => {
            (*tokens_per_second, *seconds) = (number(*tokens_per_second), number(*seconds));
            evaluations.retain(|one| {
                let is_number = [one.value, one.standard_error].into_iter().chain(one.chance).all(f64::is_finite);
                if !is_number {
                    let (name, value, error) = (&one.name, one.value, one.standard_error);
                    tell!(
                        "run {}: {name} is {value}, with a standard error of {error}: left out of its result",
                        run.id
                    );
                }
                is_number
            });
            told.retain(|_, value| !matches!(value, Told::Number(number) if !number.is_finite()));
        }
        Outcome::Finished { train_loss, seconds, .. } => {
            outcome = Outcome::Diverged {
                step: run.run.schedule.steps,
                train_loss: train_loss.filter(|loss| loss.is_finite()),
                seconds: number(*seconds),
            };
        }
        Outcome::Diverged { train_loss, seconds, .. } => {
            (*train_loss, *seconds) = (train_loss.filter(|loss| loss.is_finite()), number(*seconds));
        }
    }
    outcome
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;
    use crate::execute::rehearsal::Rehearsal;
    use crate::ledger::Losses;
    use crate::ledger::testing::{SPEC, device, finished};
    use crate::plan::Plan;
    use crate::plan::testing::planned;

    #[test]
    fn runs_of_one_form_that_are_left_are_counted_and_divided_among_the_devices() {
        let dir = tempfile::tempdir().unwrap();
        let mut runs: Vec<PlannedRun> = (0..5).map(|seed| planned(1, seed)).chain([planned(2, 0)]).collect();
        runs[4].run.optimizer.learning_rate *= 2.0;
        let plan = Plan { runs, left_out: Vec::new() };
        let ledger = Ledger::create(&dir.path().join("results"), SPEC, plan, Losses::Rehearsed).unwrap();
        let devices = ["cuda:0", "cuda:1"].map(str::to_owned);
        let stop = AtomicBool::new(false);
        let terms = Terms {
            device: "cuda:0",
            devices: &devices[..1],
            runs: 4,
            together: true,
            open: &|| Ok(Box::new(Rehearsal)),
            checkpoint_every: Duration::ZERO,
            stopping: None,
            stop: &stop,
            leave: &|_| {},
        };
        let [first, .., other] = ledger.plan().runs.as_slice() else { panic!("six runs") };
        let of = |run, terms| alike(&ledger, run, terms, 4);
        assert_eq!([of(first, terms), of(other, terms)], [4, 1], "no more than are trained at once");
        assert_eq!(of(first, Terms { devices: &devices, ..terms }), 3);
        assert_eq!(of(first, Terms { together: false, ..terms }), 1);
        assert_eq!([1, 2].map(|places| alike(&ledger, first, terms, places)), [1, 2]);
        for run in &ledger.plan().runs[..3] {
            ledger.claim(run).unwrap().unwrap().publish(finished(3.0), device(), 1).unwrap();
        }
        assert_eq!(of(&ledger.plan().runs[3], terms), 2, "those that are left");
    }
}
