//! One worker: claim, train, publish, until nothing is left to claim.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::attempt::train;
use super::terms::{Terms, Work, WorkError};
use super::{Event, rehearsal};
use crate::ledger::{Failure, Ledger};
use crate::plan::PlannedRun;
use crate::trainer::Trainer;

/// Time between two looks at runs of which it is not known whether somebody still trains them.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Trains every run that it can claim, largest first so that the end of the sweep keeps all slots busy; those that have
/// failed on this device before come last, so that others get them first.
pub fn work(
    ledger: &Ledger,
    trainer: &mut dyn Trainer,
    terms: Terms<'_>,
    emit: &mut dyn FnMut(Event),
) -> Result<Work, WorkError> {
    let device = trainer.device().kind;
    if rehearsal::losses(&device) != ledger.losses() {
        return Err(WorkError::Mixed { device, dir: ledger.dir().display().to_string() });
    }
    let mut runs: Vec<&PlannedRun> = ledger.plan().runs.iter().collect();
    runs.sort_by(|a, b| b.flops.total_cmp(&a.flops));
    loop {
        let mut trained_any = false;
        let mut failed_here = Vec::new();
        for last in [false, true] {
            let these = if last { std::mem::take(&mut failed_here) } else { runs.clone() };
            for run in these {
                if terms.stop.load(Ordering::Relaxed) {
                    return Ok(Work::Interrupted);
                }
                let Some(claim) = ledger.claim(run)? else { continue };
                let its = |failure: &Failure| failure.device.as_deref() == Some(terms.device);
                if !last && claim.failures().iter().any(its) {
                    failed_here.push(run);
                    continue;
                }
                trained_any = true;
                if train(claim, run, trainer, terms, emit)? == Work::Interrupted {
                    return Ok(Work::Interrupted);
                }
            }
        }
        // Another pass finds runs that a worker let go meanwhile.
        if trained_any {
            continue;
        }
        if !runs.iter().any(|run| !ledger.is_over(&run.id) && ledger.is_unclear(&run.id)) {
            return Ok(Work::Done);
        }
        // A process of another machine may have died with a run in its hands: some minutes will tell.
        std::thread::sleep(LOOK_AGAIN);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::time::Instant;

    use super::*;
    use crate::ledger::testing::{device, finished, ledger};
    use crate::ledger::{FailureClass, Losses, State};
    use crate::trainer::{DeviceInfo, Job, OnProgress, Outcome, Progress, TrainError};

    static STOP: AtomicBool = AtomicBool::new(true);
    static GO: AtomicBool = AtomicBool::new(false);

    /// Works until the end.
    fn work(ledger: &Ledger, trainer: &mut dyn Trainer, emit: &mut dyn FnMut(Event)) -> Result<Work, WorkError> {
        super::work(ledger, trainer, terms("here"), emit)
    }

    fn terms(device: &str) -> Terms<'_> {
        Terms { device, checkpoint_every: Duration::ZERO, stop: &GO }
    }

    /// Ends each run as the function says, in the order in which they come.
    struct Scripted<F> {
        end: F,
        seen: Vec<usize>,
        micro_batches: Vec<usize>,
    }

    impl<F: FnMut(usize) -> Result<Outcome, TrainError>> Trainer for Scripted<F> {
        fn device(&self) -> DeviceInfo {
            device()
        }

        fn train(&mut self, job: Job<'_>, on: OnProgress<'_>) -> Result<Outcome, TrainError> {
            let run = job.run;
            self.seen.push(run.run.shape.depth);
            self.micro_batches.push(job.micro_batches);
            let nan = f64::NAN;
            let step = Progress {
                step: 1,
                tokens: 256,
                train_loss: nan,
                learning_rate: 0.01,
                tokens_per_second: nan,
                curve_point: true,
            };
            if on(step).is_break() {
                return Err(TrainError::Interrupted { step: 1 });
            }
            (self.end)(run.run.shape.depth)
        }
    }

    fn scripted<F: FnMut(usize) -> Result<Outcome, TrainError>>(end: F) -> Scripted<F> {
        Scripted { end, seen: Vec::new(), micro_batches: Vec::new() }
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
        assert!(matches!(error, WorkError::Failed { .. }), "{error}");
        work(&ledger, &mut scripted(|_| Ok(finished(3.0))), &mut |_| {}).unwrap();
        assert_eq!(ledger.observations().unwrap().len(), 2);
    }

    #[test]
    fn what_failed_on_this_device_comes_last() {
        let (_dir, ledger) = ledger(3);
        let lost = |depth| match depth {
            3 => Err(TrainError::Device("fell off the bus".to_owned())),
            _ => Ok(finished(3.0)),
        };
        super::work(&ledger, &mut scripted(lost), terms("cuda:0"), &mut |_| {}).unwrap_err();
        let mut here = scripted(|_| Ok(finished(3.0)));
        super::work(&ledger, &mut here, terms("cuda:0"), &mut |_| {}).unwrap();
        assert_eq!(here.seen, [2, 1, 3]);
    }

    #[test]
    fn a_run_that_needs_too_much_memory_is_tried_with_half_the_micro_batch_and_the_result_says_so() {
        let (_dir, ledger) = ledger(1);
        let short = |_| panic!("CUDA_ERROR_OUT_OF_MEMORY");
        let Err(WorkError::Failed { failure, .. }) = work(&ledger, &mut scripted(short), &mut |_| {}) else {
            panic!("memory is short")
        };
        assert_eq!(failure.class, FailureClass::OutOfMemory);
        let mut second = scripted(|_| Ok(finished(3.0)));
        work(&ledger, &mut second, &mut |_| {}).unwrap();
        assert_eq!(second.micro_batches, [2]);
        assert_eq!(ledger.result(&ledger.plan().runs[0].id).unwrap().unwrap().micro_batches, 2);
    }

    #[test]
    fn a_run_that_needs_too_much_memory_twice_or_crashes_three_times_is_given_up() {
        for (times, words) in [(2, "out of memory"), (3, "gone")] {
            let (_dir, ledger) = ledger(1);
            let fails = |_| Err(TrainError::Device(words.to_owned()));
            for time in 1..=times {
                work(&ledger, &mut scripted(fails), &mut |_| {}).unwrap_err();
                assert_eq!(ledger.is_over(&ledger.plan().runs[0].id), time == times);
            }
        }
    }

    #[test]
    fn a_worker_that_is_asked_to_stop_lets_its_run_go() {
        let (_dir, ledger) = ledger(2);
        let terms = Terms { stop: &STOP, ..terms("here") };
        let nothing = super::work(&ledger, &mut scripted(|_| Ok(finished(3.0))), terms, &mut |_| {}).unwrap();
        assert_eq!(nothing, Work::Interrupted);
        // Asked in the middle of a run, the rehearsal keeps its place, and goes on from there to the same curve.
        let stop = AtomicBool::new(false);
        let terms = Terms { stop: &stop, ..terms };
        let mut in_the_middle = |event| stop.store(matches!(event, Event::Progress { .. }), Ordering::Relaxed);
        let run = &ledger.plan().runs[1];
        assert_eq!(
            super::work(&ledger, &mut rehearsal::Rehearsal, terms, &mut in_the_middle).unwrap(),
            Work::Interrupted
        );
        assert!(!ledger.is_held(&run.id) && !ledger.is_over(&run.id));
        assert_eq!(ledger.claim(run).unwrap().unwrap().checkpoints().unwrap().len(), 1);
        work(&ledger, &mut rehearsal::Rehearsal, &mut |_| {}).unwrap();
        let result = ledger.result(&run.id).unwrap().unwrap();
        assert_eq!((result.attempt, result.curve.len()), (2, 10));
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
            fn train(&mut self, _: Job<'_>, _: OnProgress<'_>) -> Result<Outcome, TrainError> {
                panic!("nothing is trained")
            }
        }
        let (_dir, ledger) = ledger(1);
        assert!(matches!(work(&ledger, &mut Real, &mut |_| {}), Err(WorkError::Mixed { .. })));
    }

    #[test]
    fn two_thousand_runs_are_rehearsed_and_two_workers_share_them() {
        let dir = tempfile::tempdir().unwrap();
        let runs = (0..2000).map(|seed| crate::plan::testing::planned(1, seed)).collect();
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
