//! One worker: claim, train, publish, until nothing is left to claim; several runs side by side where it is told so.

use std::panic::resume_unwind;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use super::attempt::{End, Lane, train};
use super::lanes::Lanes;
use super::terms::{Terms, Work, WorkError};
use super::{Event, retry};
use crate::ledger::{Claim, Failure, FailureClass, Ledger, Losses};
use crate::plan::PlannedRun;
use crate::trainer::Trainer;

/// Time between two looks at runs of which it is not known whether somebody still trains them.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Time between two looks at runs that are before their first step.
const LOOK_AT_LANES: Duration = Duration::from_millis(100);

/// Trains every run that it can claim, largest first, or in the order in which most can be stopped early; those that have
/// failed on this device before come last, so that others get them first. The first place uses `trainer`, on this thread;
/// each further one opens the device for itself, on a thread of its own. A run that ends in whatever way leaves those
/// beside it alone, but for a failure of the device: then nothing of this process is trusted any more.
pub fn work(
    ledger: &Ledger,
    trainer: &mut dyn Trainer,
    terms: Terms<'_>,
    emit: &mut (dyn FnMut(Event) + Send),
) -> Result<Work, WorkError> {
    let device = trainer.device().kind;
    if Losses::of_device(&device) != ledger.losses() {
        return Err(WorkError::Mixed { device, dir: ledger.dir().display().to_string() });
    }
    let lanes = &Lanes::new(terms.runs, emit);
    let lane = |number| Lane { number, lanes, terms };
    thread::scope(|scope| {
        let (working, over) = channel::<()>();
        scope.spawn(move || {
            while over.recv_timeout(LOOK_AT_LANES) == Err(RecvTimeoutError::Timeout) {
                if lanes.look(terms.stop.load(Ordering::Relaxed)) {
                    (terms.leave)(&Ok(Work::Interrupted));
                }
            }
        });
        let others: Vec<_> = (1..terms.runs).map(|number| scope.spawn(move || beside(ledger, lane(number)))).collect();
        let mut first = Place { ledger, lane: lane(0), trainer: Handle::Lent(trainer) };
        let mut ends = vec![first.all(Company::Any)];
        let joined = others.into_iter().map(|other| other.join().unwrap_or_else(|panic| resume_unwind(panic)));
        ends.extend(joined);
        let end = ends.into_iter().try_fold(Work::Done, |end, this| this.map(|this| end.max(this)));
        let end = match end {
            // Those that may have been the ruin of their neighbours.
            Ok(Work::Done) if terms.runs > 1 => first.all(Company::None),
            end => end,
        };
        drop(working);
        end
    })
}

/// A further place, on a thread of its own. Where the device cannot be opened once more the others go on without it.
fn beside(ledger: &Ledger, lane: Lane<'_, '_>) -> Result<Work, WorkError> {
    match (lane.terms.open)() {
        Ok(trainer) => Place { ledger, lane, trainer: Handle::Own(trainer) }.all(Company::Any),
        Err(message) if lane.lanes.close() => {
            tell!("one run fewer is trained side by side: {message}");
            Ok(Work::Done)
        }
        Err(message) => Err(WorkError::NoTrainer(message)),
    }
}

/// Which runs a place takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Company {
    /// Those that may be trained beside others.
    Any,
    /// All: there are no others.
    None,
}

/// All runs, so that the end of a sweep keeps all slots busy.
fn largest_first(runs: &[PlannedRun]) -> Vec<&PlannedRun> {
    let mut runs: Vec<&PlannedRun> = runs.iter().collect();
    runs.sort_by(|a, b| b.flops.total_cmp(&a.flops));
    runs
}

/// One place of a worker, at work.
struct Place<'a, 'e> {
    ledger: &'a Ledger,
    lane: Lane<'a, 'e>,
    trainer: Handle<'a>,
}

enum Handle<'a> {
    Lent(&'a mut dyn Trainer),
    Own(Box<dyn Trainer>),
}

/// What a look at all runs came to.
enum Pass {
    /// Some were trained.
    Trained,
    /// None could be claimed.
    Nothing,
    /// This place works no more.
    Over(Work),
}

impl Place<'_, '_> {
    /// Trains until nothing is left to claim.
    fn all(&mut self, company: Company) -> Result<Work, WorkError> {
        let ledger = self.ledger;
        let runs = self
            .lane
            .terms
            .stopping
            .map_or_else(|| largest_first(&ledger.plan().runs), |stopping| stopping.order(ledger.plan()));
        loop {
            match self.pass(&runs, company)? {
                Pass::Over(work) => return Ok(work),
                // Another pass finds runs that a worker let go meanwhile.
                Pass::Trained => {}
                Pass::Nothing if runs.iter().any(|run| !ledger.is_over(&run.id) && ledger.is_unclear(&run.id)) => {
                    // A process of another machine may have died with a run in its hands: some minutes will tell.
                    thread::sleep(LOOK_AGAIN);
                }
                // A run beside this one is about to leave a stable phase from which others go on.
                Pass::Nothing if self.lane.lanes.beside(self.lane.number) > 0 && ledger.waiting_for_trunks() > 0 => {
                    thread::sleep(LOOK_AGAIN);
                }
                Pass::Nothing => return Ok(Work::Done),
            }
        }
    }

    /// Trains each run once that can be claimed.
    fn pass(&mut self, runs: &[&PlannedRun], company: Company) -> Result<Pass, WorkError> {
        let Lane { terms, .. } = self.lane;
        let its = |failure: &Failure| {
            failure.class != FailureClass::Shared && failure.device.as_deref() == Some(terms.device)
        };
        let needs_peace =
            |claim: &Claim<'_>| company == Company::Any && terms.runs > 1 && retry::is_alone(claim.failures());
        let is_for_others = |claim: &Claim<'_>| retry::is_for_others(claim.failures(), terms.device, terms.devices);
        let mut trained_any = false;
        let mut failed_here = Vec::new();
        for last in [false, true] {
            let these = if last { std::mem::take(&mut failed_here) } else { runs.to_vec() };
            for run in these {
                if terms.stop.load(Ordering::Relaxed) {
                    return Ok(Pass::Over(Work::Interrupted));
                }
                let claim = self.ledger.claim(run)?.filter(|claim| !needs_peace(claim) && !is_for_others(claim));
                let Some(claim) = claim else { continue };
                if !last && claim.failures().iter().any(its) {
                    failed_here.push(run);
                    continue;
                }
                trained_any = true;
                match train(claim, run, self.trainer.get(), self.lane)? {
                    End::Over => {}
                    End::Interrupted => return Ok(Pass::Over(Work::Interrupted)),
                    End::NoRoom => return Ok(Pass::Over(Work::Done)),
                    End::Failed(failure) => self.go_on_after(failure, run)?,
                }
            }
        }
        Ok(if trained_any { Pass::Trained } else { Pass::Nothing })
    }

    /// What a failed run means to its place. A wrong configuration is the run's alone. A trainer that panicked is replaced
    /// where others go on beside it; otherwise the process ends, as it does when the device failed.
    fn go_on_after(&mut self, failure: Failure, run: &PlannedRun) -> Result<(), WorkError> {
        let Lane { terms, .. } = self.lane;
        let class = failure.class;
        let error = WorkError::Failed { run: run.id.to_string(), failure };
        match class {
            FailureClass::Configuration => Ok(()),
            FailureClass::Crash | FailureClass::Program if terms.runs > 1 => {
                self.trainer = Handle::Own((terms.open)().map_err(WorkError::NoTrainer)?);
                Ok(())
            }
            FailureClass::Shared => {
                let worked = Err(error);
                (terms.leave)(&worked);
                worked.map(drop)
            }
            _ => Err(error),
        }
    }
}

impl Handle<'_> {
    fn get(&mut self) -> &mut dyn Trainer {
        match self {
            Self::Lent(trainer) => *trainer,
            Self::Own(trainer) => trainer.as_mut(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize};
    use std::sync::{Arc, LazyLock};

    use super::*;
    use crate::execute::Open;
    use crate::execute::rehearsal;
    use crate::ledger::testing::{device, finished, ledger};
    use crate::ledger::{FailureClass, State};
    use crate::trainer::{DeviceInfo, Job, Measured, OnProgress, Outcome, Progress, Told, TrainError};

    static STOP: AtomicBool = AtomicBool::new(true);
    static GO: AtomicBool = AtomicBool::new(false);
    static HERE: LazyLock<String> = LazyLock::new(|| "here".to_owned());

    /// Works until the end.
    fn work(
        ledger: &Ledger,
        trainer: &mut dyn Trainer,
        emit: &mut (dyn FnMut(Event) + Send),
    ) -> Result<Work, WorkError> {
        super::work(ledger, trainer, terms("here"), emit)
    }

    fn terms(device: &str) -> Terms<'_> {
        let open: Open<'_> = &|| Ok(Box::new(rehearsal::Rehearsal));
        let (one, checkpoint_every) = (std::slice::from_ref(&*HERE), Duration::ZERO);
        Terms {
            device,
            devices: one,
            runs: 1,
            together: true,
            open,
            checkpoint_every,
            stopping: None,
            stop: &GO,
            leave: &|_| {},
        }
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
                learning_rate: Some(0.01),
                tokens_per_second: nan,
                seconds: 7.0,
                curve_point: true,
                again: false,
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
    fn measures_that_are_no_numbers_are_left_out_of_a_result_that_can_be_read() {
        let (_dir, ledger) = ledger(1);
        let measured = |name: &str, value: f64, standard_error: f64, chance: Option<f64>| Measured {
            name: name.to_owned(),
            value,
            standard_error,
            chance,
        };
        let ends = |_| {
            let (mut outcome, nan) = (finished(3.0), f64::NAN);
            if let Outcome::Finished { evaluations, told, .. } = &mut outcome {
                evaluations.push(measured("copy.4.accuracy", 0.5, 0.1, Some(0.25)));
                evaluations.push(measured("copy.8.accuracy", nan, 0.1, None));
                evaluations.push(measured("copy.16.accuracy", 0.5, f64::INFINITY, None));
                evaluations.push(measured("copy.32.accuracy", 0.5, 0.1, Some(nan)));
                told.extend([("layers".to_owned(), Told::Number(3.0)), ("norm".to_owned(), Told::Number(nan))]);
            }
            Ok(outcome)
        };
        work(&ledger, &mut scripted(ends), &mut |_| {}).unwrap();
        let result = ledger.result(&ledger.plan().runs[0].id).unwrap().unwrap();
        let Outcome::Finished { val_loss, evaluations, told, .. } = result.outcome else { panic!("it finished") };
        assert_eq!((val_loss, evaluations), (3.0, vec![measured("copy.4.accuracy", 0.5, 0.1, Some(0.25))]));
        assert_eq!(told.into_iter().collect::<Vec<_>>(), [("layers".to_owned(), Told::Number(3.0))]);
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
    fn a_run_that_does_not_fit_on_one_device_is_left_to_another_which_tries_it_whole() {
        let (_dir, ledger) = ledger(2);
        let devices = ["cuda:0", "cuda:1"].map(str::to_owned);
        let work = |device, trainer: &mut dyn Trainer| {
            super::work(&ledger, trainer, Terms { devices: &devices, ..terms(device) }, &mut |_| {})
        };
        let full = |_| Err(TrainError::OutOfMemory("cannot take 1 GiB".to_owned()));
        for _ in 0..2 {
            work("cuda:0", &mut scripted(full)).unwrap_err();
        }
        // Both have failed there, and neither is tried there again.
        let mut nothing = scripted(full);
        work("cuda:0", &mut nothing).unwrap();
        assert_eq!(nothing.seen, [0; 0]);
        let mut other = scripted(|_| Ok(finished(3.0)));
        work("cuda:1", &mut other).unwrap();
        assert_eq!((other.seen, other.micro_batches), (vec![2, 1], vec![1, 1]));
        let result = ledger.result(&ledger.plan().runs[0].id).unwrap().unwrap();
        assert_eq!(result.slot.as_deref(), Some("cuda:1"), "a result says on which card it was trained");
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

    /// Works with three runs side by side, on trainers that all do the same.
    fn together(ledger: &Ledger, open: Open<'_>) -> (Result<Work, WorkError>, Vec<Event>) {
        let mut events = Vec::new();
        let terms = Terms { runs: 3, open, ..terms("cuda:0") };
        let worked = super::work(ledger, open().unwrap().as_mut(), terms, &mut |event| events.push(event));
        (worked, events)
    }

    /// Lets no run end before three have begun, so that nothing depends on who is quick.
    struct Waiting(Arc<AtomicUsize>, fn(usize) -> Result<Outcome, TrainError>);

    impl Trainer for Waiting {
        fn device(&self) -> DeviceInfo {
            device()
        }

        fn train(&mut self, job: Job<'_>, _: OnProgress<'_>) -> Result<Outcome, TrainError> {
            self.0.fetch_add(1, Ordering::Relaxed);
            while self.0.load(Ordering::Relaxed) < 3 {
                thread::sleep(Duration::from_millis(1));
            }
            let depth = job.run.run.shape.depth;
            // What the third one does comes while the others are under way.
            if depth != 3 {
                thread::sleep(Duration::from_millis(300));
            }
            (self.1)(depth)
        }
    }

    #[test]
    fn three_runs_are_under_way_at_once_and_each_event_names_its_own() {
        let (_dir, ledger) = ledger(6);
        let begun = Arc::new(AtomicUsize::new(0));
        let open: Open<'_> = &|| Ok(Box::new(Waiting(begun.clone(), |depth| Ok(finished(depth as f64)))));
        let (worked, events) = together(&ledger, open);
        assert_eq!(worked.unwrap(), Work::Done);
        for run in &ledger.plan().runs {
            let mine: Vec<_> = events.iter().filter(|event| *event.run() == run.id).collect();
            let loss = run.run.shape.depth as f64;
            assert!(
                matches!(mine[..], [Event::Claimed { .. }, Event::Finished { val_loss, .. }]
                if (val_loss - loss).abs() < 1e-12),
                "{mine:?}"
            );
        }
    }

    #[test]
    fn an_error_of_the_card_ends_the_process_and_no_run_is_blamed() {
        let (_dir, ledger) = ledger(3);
        let begun = Arc::new(AtomicUsize::new(0));
        let open: Open<'_> = &|| {
            Ok(Box::new(Waiting(begun.clone(), |depth| match depth {
                3 => Err(TrainError::Device("CUDA_ERROR_ILLEGAL_ADDRESS".to_owned())),
                _ => Ok(finished(3.0)),
            })))
        };
        let left = AtomicBool::new(false);
        let leave = |worked: &Result<Work, WorkError>| {
            left.store(matches!(worked, Err(WorkError::Failed { .. })), Ordering::Relaxed);
        };
        let terms = Terms { runs: 3, open, leave: &leave, ..terms("cuda:0") };
        let mut events = Vec::new();
        super::work(&ledger, open().unwrap().as_mut(), terms, &mut |event| events.push(event)).unwrap_err();
        assert!(left.load(Ordering::Relaxed), "at once, while the others were under way");
        assert!(events.iter().any(|event| matches!(event, Event::Failed { failure, .. }
            if failure.class == FailureClass::Shared)));
        assert!(ledger.observations().unwrap().len() >= 2, "those who were under way may end here");
    }

    #[test]
    fn a_device_that_cannot_be_opened_so_often_trains_fewer_side_by_side() {
        let (_dir, ledger) = ledger(3);
        let terms = Terms { runs: 3, open: &|| Err("no room for a stream".to_owned()), ..terms("cuda:0") };
        let worked = super::work(&ledger, &mut scripted(|_| Ok(finished(3.0))), terms, &mut |_| {});
        assert_eq!((worked.unwrap(), ledger.observations().unwrap().len()), (Work::Done, 3));
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
    fn two_workers_share_the_runs_and_train_each_once() {
        let dir = tempfile::tempdir().unwrap();
        let runs = (0..200).map(|seed| crate::plan::testing::planned(1, seed)).collect();
        let plan = crate::plan::Plan { runs, left_out: Vec::new() };
        let ledger = Ledger::create(&dir.path().join("r"), "", plan, Losses::Rehearsed).unwrap();
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
        assert_eq!(each.iter().sum::<usize>(), 200, "each run is trained once: {each:?}");
        assert_eq!(ledger.observations().unwrap().len(), 200);
    }
}
