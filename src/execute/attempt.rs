//! One attempt of a worker: train, and publish the result or record the failure.

use std::cell::RefCell;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::shelf::Shelf;
use super::terms::{Terms, Work, WorkError};
use super::{Event, failpoint, retry};
use crate::ledger::{Claim, CurvePoint, Failure, FailureClass, Published};
use crate::plan::PlannedRun;
use crate::trainer::{Job, Outcome, Progress, TrainError, Trainer};

/// Time between two events of progress.
const PROGRESS_EVERY: Duration = Duration::from_millis(200);

/// Trains a claimed run and publishes what becomes of it, or records why nothing does.
pub(super) fn train(
    mut claim: Claim<'_>,
    run: &PlannedRun,
    trainer: &mut dyn Trainer,
    terms: Terms<'_>,
    emit: &mut dyn FnMut(Event),
) -> Result<Work, WorkError> {
    let id = || run.id.clone();
    emit(Event::Claimed { run: id(), attempt: claim.attempt() });
    claim.begin(terms.device);
    let micro_batches = retry::micro_batches(claim.failures());
    let claim = RefCell::new(claim);
    let mut unseen = false;
    let mut emitted: Option<Instant> = None;
    let mut on_progress = |progress: Progress| {
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
            eprintln!("the curve cannot be watched: {error}");
        }
        claim.beat(terms.device, tokens, tokens_per_second);
        if emitted.is_none_or(|at| at.elapsed() >= PROGRESS_EVERY) {
            emitted = Some(Instant::now());
            emit(Event::Progress { run: id(), tokens, train_loss, tokens_per_second });
        }
        if terms.stop.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let checkpoints = &mut Shelf(&claim);
    let job = Job { run, micro_batches, checkpoints, checkpoint_every: terms.checkpoint_every };
    // A trainer that panicked is not used again: the process ends.
    let outcome = catch_unwind(AssertUnwindSafe(|| trainer.train(job, &mut on_progress)));
    let claim = claim.into_inner();
    let (class, message) = match outcome {
        Ok(Ok(outcome)) => {
            let outcome = sound(&failpoint::outcome(run, outcome), run);
            publish(claim, run, outcome, trainer, micro_batches, emit)?;
            return Ok(Work::Done);
        }
        Ok(Err(TrainError::Interrupted { step })) => {
            emit(Event::Interrupted { run: id(), step });
            return Ok(Work::Interrupted);
        }
        Ok(Err(error)) => failure(&error),
        Err(panic) => {
            let message = words(panic.as_ref());
            (retry::class_of_death(&message), format!("the trainer panicked: {message}"))
        }
    };
    let failure = Failure { class, message, device: Some(terms.device.to_owned()) };
    fail(claim, run, failure, emit)
}

/// Records a failure, and gives the run up where that is hopeless. Ends the worker unless the run alone is at fault.
fn fail(claim: Claim<'_>, run: &PlannedRun, failure: Failure, emit: &mut dyn FnMut(Event)) -> Result<Work, WorkError> {
    claim.fail(&failure, retry::is_hopeless)?;
    emit(Event::Failed { run: run.id.clone(), failure: failure.clone() });
    match failure.class {
        FailureClass::Configuration => Ok(Work::Done),
        _ => Err(WorkError::Failed { run: run.id.to_string(), failure }),
    }
}

fn failure(error: &TrainError) -> (FailureClass, String) {
    let class = match error {
        TrainError::Configuration(_) => FailureClass::Configuration,
        TrainError::OutOfMemory(_) => FailureClass::OutOfMemory,
        TrainError::Device(message) => match retry::class_of_death(message) {
            FailureClass::OutOfMemory => FailureClass::OutOfMemory,
            _ => FailureClass::Device,
        },
        TrainError::Interrupted { .. } => FailureClass::Crash,
    };
    (class, error.to_string())
}

/// What a panic said.
fn words(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a word".to_owned())
}

fn publish(
    claim: Claim<'_>,
    run: &PlannedRun,
    outcome: Outcome,
    trainer: &dyn Trainer,
    micro_batches: usize,
    emit: &mut dyn FnMut(Event),
) -> Result<(), WorkError> {
    let id = || run.id.clone();
    let event = match outcome {
        Outcome::Finished { val_loss, tokens_per_second, seconds, .. } => {
            Event::Finished { run: id(), val_loss, tokens_per_second, seconds }
        }
        Outcome::Diverged { step, train_loss, .. } => Event::Diverged { run: id(), step, train_loss },
    };
    if let Published::Conflict(kept) = claim.publish(outcome, trainer.device(), micro_batches)? {
        emit(Event::Conflict { run: id(), kept });
    }
    emit(event);
    Ok(())
}

/// A loss that is no number is divergence, whatever the trainer calls it, and JSON has no word for such numbers.
fn sound(outcome: &Outcome, run: &PlannedRun) -> Outcome {
    let number = |value: f64| if value.is_finite() { value } else { 0.0 };
    match *outcome {
        Outcome::Finished { val_loss, val_loss_se, train_loss, tokens_per_second, seconds }
            if [val_loss, val_loss_se, train_loss].iter().all(|value| value.is_finite()) =>
        {
            let [tokens_per_second, seconds] = [tokens_per_second, seconds].map(number);
            Outcome::Finished { val_loss, val_loss_se, train_loss, tokens_per_second, seconds }
        }
        Outcome::Finished { train_loss, seconds, .. } => Outcome::Diverged {
            step: run.run.schedule.steps,
            train_loss: Some(train_loss).filter(|loss| loss.is_finite()),
            seconds: number(seconds),
        },
        Outcome::Diverged { step, train_loss, seconds } => {
            let train_loss = train_loss.filter(|loss| loss.is_finite());
            Outcome::Diverged { step, train_loss, seconds: number(seconds) }
        }
    }
}
