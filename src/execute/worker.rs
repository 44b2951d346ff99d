//! One worker: claim, train, publish, until nothing is left to claim.

use std::time::{Duration, Instant};

use thiserror::Error;

use super::{Event, rehearsal};
use crate::ledger::{Claim, CurvePoint, Failure, FailureClass, Ledger, LedgerError, Losses, Published};
use crate::plan::PlannedRun;
use crate::trainer::{Outcome, Progress, TrainError, Trainer};

/// Why a worker stopped before everything was done.
#[derive(Debug, Error)]
pub enum WorkError {
    /// The results folder could not be read or written.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The device failed, and nothing more is expected of it in this process.
    #[error("run {run}: {message}")]
    Device {
        /// The run that was being trained.
        run: String,
        /// What happened.
        message: String,
    },
    /// A rehearsal in a folder of trained runs, or the other way round.
    #[error("device {device} cannot add to {dir}: rehearsed and trained losses never mix. Choose another folder")]
    Mixed {
        /// The device.
        device: String,
        /// The results folder.
        dir: String,
    },
}

/// Time between two events of progress.
const PROGRESS_EVERY: Duration = Duration::from_millis(200);

/// Trains every run that it can claim, largest first so that the end of the sweep keeps all slots busy.
pub fn work(ledger: &Ledger, trainer: &mut dyn Trainer, emit: &mut dyn FnMut(Event)) -> Result<(), WorkError> {
    let device = trainer.device().kind;
    if (device == rehearsal::DEVICE) != (ledger.losses() == Losses::Rehearsed) {
        return Err(WorkError::Mixed { device, dir: ledger.dir().display().to_string() });
    }
    let mut runs: Vec<&PlannedRun> = ledger.plan().runs.iter().collect();
    runs.sort_by(|a, b| b.flops.total_cmp(&a.flops));
    loop {
        let mut trained_any = false;
        for &run in &runs {
            if let Some(claim) = ledger.claim(run)? {
                trained_any = true;
                train(claim, run, trainer, emit)?;
            }
        }
        // Another pass finds runs that a worker let go meanwhile.
        if !trained_any {
            return Ok(());
        }
    }
}

fn train(
    mut claim: Claim<'_>,
    run: &PlannedRun,
    trainer: &mut dyn Trainer,
    emit: &mut dyn FnMut(Event),
) -> Result<(), WorkError> {
    let id = || run.id.clone();
    emit(Event::Claimed { run: id(), attempt: claim.attempt() });
    let mut recorded = Ok(());
    let mut emitted: Option<Instant> = None;
    let outcome = trainer.train(run, &mut |progress| {
        if progress.curve_point && recorded.is_ok() {
            recorded = claim.record(&CurvePoint::from(&progress));
        }
        if emitted.is_none_or(|at| at.elapsed() >= PROGRESS_EVERY) {
            emitted = Some(Instant::now());
            let Progress { tokens, train_loss, tokens_per_second, .. } = progress;
            let [train_loss, tokens_per_second] =
                [train_loss, tokens_per_second].map(|value| Some(value).filter(|value| value.is_finite()));
            emit(Event::Progress { run: id(), tokens, train_loss, tokens_per_second });
        }
    });
    // A curve with holes is not published.
    recorded?;
    match outcome {
        Ok(outcome) => publish(claim, run, sound(&outcome, run), trainer, emit)?,
        Err(error) => {
            let message = error.to_string();
            let class = match error {
                TrainError::Configuration(_) => FailureClass::Configuration,
                TrainError::Device(_) => FailureClass::Device,
            };
            let failure = Failure { class, message: message.clone() };
            claim.fail(&failure)?;
            emit(Event::Failed { run: id(), failure });
            if class == FailureClass::Device {
                return Err(WorkError::Device { run: run.id.to_string(), message });
            }
        }
    }
    Ok(())
}

fn publish(
    claim: Claim<'_>,
    run: &PlannedRun,
    outcome: Outcome,
    trainer: &dyn Trainer,
    emit: &mut dyn FnMut(Event),
) -> Result<(), WorkError> {
    let id = || run.id.clone();
    let event = match outcome {
        Outcome::Finished { val_loss, tokens_per_second, seconds, .. } => {
            Event::Finished { run: id(), val_loss, tokens_per_second, seconds }
        }
        Outcome::Diverged { step, .. } => Event::Diverged { run: id(), step },
    };
    if let Published::Conflict(kept) = claim.publish(outcome, trainer.device())? {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::State;
    use crate::ledger::testing::{device, finished, ledger};
    use crate::trainer::DeviceInfo;

    /// Ends each run as the function says, in the order in which they come.
    struct Scripted<F> {
        end: F,
        seen: Vec<usize>,
    }

    impl<F: FnMut(usize) -> Result<Outcome, TrainError>> Trainer for Scripted<F> {
        fn device(&self) -> DeviceInfo {
            device()
        }

        fn train(&mut self, run: &PlannedRun, on: &mut dyn FnMut(Progress)) -> Result<Outcome, TrainError> {
            self.seen.push(run.run.shape.depth);
            let nan = f64::NAN;
            let step = Progress {
                step: 1,
                tokens: 256,
                train_loss: nan,
                learning_rate: 0.01,
                tokens_per_second: nan,
                curve_point: true,
            };
            on(step);
            (self.end)(run.run.shape.depth)
        }
    }

    fn scripted<F: FnMut(usize) -> Result<Outcome, TrainError>>(end: F) -> Scripted<F> {
        Scripted { end, seen: Vec::new() }
    }

    #[test]
    fn runs_are_trained_largest_first_and_never_twice() {
        let (_dir, ledger) = ledger(4);
        let mut trainer = scripted(|_| Ok(finished(3.0)));
        work(&ledger, &mut trainer, &mut |_| {}).unwrap();
        work(&ledger, &mut trainer, &mut |_| {}).unwrap();
        assert_eq!(trainer.seen, [4, 3, 2, 1]);
    }

    #[test]
    fn a_wrong_run_is_given_up_and_the_rest_goes_on() {
        let (_dir, ledger) = ledger(3);
        let mut trainer = scripted(|depth| match depth {
            2 => Err(TrainError::Configuration("two is too many".to_owned())),
            _ => Ok(finished(3.0)),
        });
        let mut events = Vec::new();
        work(&ledger, &mut trainer, &mut |event| events.push(event)).unwrap();
        assert_eq!(trainer.seen, [3, 2, 1]);
        assert!(matches!(ledger.state(&ledger.plan().runs[1].id).unwrap(), State::Failed(_)));
        for event in &events {
            let line = serde_json::to_string(event).unwrap();
            assert_eq!(&serde_json::from_str::<Event>(&line).unwrap(), event, "{line}");
        }
        assert!(events.iter().any(|event| matches!(event, Event::Failed { failure, .. }
            if failure.class == FailureClass::Configuration && failure.message == "two is too many")));
    }

    #[test]
    fn a_lost_device_ends_the_worker_and_leaves_the_run_to_others() {
        let (_dir, ledger) = ledger(2);
        let mut trainer = scripted(|_| Err(TrainError::Device("fell off the bus".to_owned())));
        let error = work(&ledger, &mut trainer, &mut |_| {}).unwrap_err();
        assert!(matches!(error, WorkError::Device { .. }), "{error}");
        work(&ledger, &mut scripted(|_| Ok(finished(3.0))), &mut |_| {}).unwrap();
        assert_eq!(ledger.observations().unwrap().len(), 2);
    }

    #[test]
    fn a_loss_that_is_no_number_is_divergence_and_can_be_read_back() {
        let (_dir, ledger) = ledger(2);
        let mut trainer = scripted(|depth| match depth {
            1 => Ok(finished(f64::NAN)),
            _ => Ok(Outcome::Diverged { step: 7, train_loss: Some(f64::INFINITY), seconds: f64::NAN }),
        });
        work(&ledger, &mut trainer, &mut |_| {}).unwrap();
        let outcome = |at: usize| ledger.result(&ledger.plan().runs[at].id).unwrap().unwrap().outcome;
        assert_eq!(outcome(0), Outcome::Diverged { step: 100, train_loss: None, seconds: 2.5 });
        assert_eq!(outcome(1), Outcome::Diverged { step: 7, train_loss: None, seconds: 0.0 });
        ledger.rebuild_tables().unwrap();
    }

    #[test]
    fn a_trained_loss_never_gets_into_a_rehearsal() {
        struct Real;
        impl Trainer for Real {
            fn device(&self) -> DeviceInfo {
                DeviceInfo { kind: "cpu".to_owned(), ..device() }
            }
            fn train(&mut self, _: &PlannedRun, _: &mut dyn FnMut(Progress)) -> Result<Outcome, TrainError> {
                panic!("nothing is trained")
            }
        }
        let (_dir, ledger) = ledger(1);
        assert!(matches!(work(&ledger, &mut Real, &mut |_| {}), Err(WorkError::Mixed { .. })));
    }

    #[test]
    fn two_thousand_runs_are_rehearsed_and_two_workers_share_them() {
        let dir = tempfile::tempdir().unwrap();
        let runs = (0..2000).map(|seed| crate::ledger::testing::planned(1, seed)).collect();
        let plan = crate::plan::Plan { runs, left_out: Vec::new() };
        let ledger = Ledger::create(&dir.path().join("r"), "", plan, Losses::Rehearsed).unwrap();
        let started = Instant::now();
        let each: Vec<usize> = std::thread::scope(|scope| {
            let worker = || {
                let mut ended = 0;
                let mut count = |event| ended += usize::from(matches!(event, Event::Finished { .. }));
                work(&ledger, &mut rehearsal::Rehearsal, &mut count).unwrap();
                ended
            };
            let workers = [scope.spawn(worker), scope.spawn(worker)];
            workers.map(|worker| worker.join().unwrap()).to_vec()
        });
        eprintln!("{:.3} ms a run", started.elapsed().as_secs_f64() * 1e3 / 2000.0);
        assert_eq!(each.iter().sum::<usize>(), 2000, "each run is trained once: {each:?}");
        assert_eq!(ledger.observations().unwrap().len(), 2000);
    }
}
