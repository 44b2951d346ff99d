//! The stable phase that a run shares with others, as the course of a run sees it.
//!
//! In it the loss of every step is noted one by one: runs of different lengths have the points of their curves at different
//! steps, and each must find its own, to the bit, whoever trained the steps before.

use super::engine::mean;
use crate::checkpoint::{Place, Point};
use crate::plan::{PlannedRun, Run};

/// The point of its curve up to which a run is after so many steps, so that all intervals are of one length, give or take a
/// step.
pub fn points(run: &Run, step: usize) -> usize {
    step * run.eval.curve_points.clamp(1, run.schedule.steps) / run.schedule.steps
}

/// Whether the loss of the step that comes is noted by itself: up to the end of what is shared, and on to the end of the
/// interval that begins there. A run that was begun alone has no history and leaves nothing to others.
pub fn notes(planned: &PlannedRun, place: &Place) -> bool {
    let shared = place.step < planned.run.schedule.stable_steps() || !place.history.is_empty();
    planned.trunk.is_some() && place.history.len() == place.step && shared
}

/// Whether the state is one that other runs go on from.
pub fn ends(planned: &PlannedRun, place: &Place) -> bool {
    place.step == planned.run.schedule.stable_steps() && place.history.len() == place.step && planned.trunk.is_some()
}

/// Mean loss since the last point of the curve, added up in the order of a device.
pub fn mean_since(history: &[u32], last: usize) -> f64 {
    let losses = history.get(last..).unwrap_or_default().iter().map(|bits| f32::from_bits(*bits));
    let count = losses.len();
    mean(losses.reduce(|sum, loss| sum + loss).unwrap_or_default(), count)
}

/// The place of a run that begins with what another left.
pub fn taken_over(run: &Run, left: Place) -> Place {
    let mut place = Place { shared: left.step, micro_batches: 0, ..left };
    let mut last = 0;
    for done in 1..=place.step {
        if points(run, done) > points(run, done - 1) {
            let train_loss = mean_since(&place.history[..done], last);
            place.points.push(Point { step: done, train_loss });
            last = done;
        }
    }
    place
}

#[cfg(all(test, feature = "cpu"))]
mod tests {
    use std::collections::BTreeMap;
    use std::fs::File;
    use std::io::{self, Seek as _, Write};
    use std::ops::ControlFlow;
    use std::path::Path;
    use std::time::{Duration, Instant};

    use crate::data::Corpus;
    use crate::plan::{Plan, PlannedRun, testing};
    use crate::train::course::Course;
    use crate::trainer::{Checkpoints, Job, Outcome, Progress, TrainError};

    /// Checkpoints in memory: those of the run, and what runs left at the ends of the phase that they share.
    #[derive(Default)]
    struct Memory {
        own: Option<Vec<u8>>,
        ends: BTreeMap<usize, Vec<u8>>,
        /// Steps of the stable phase of the run.
        end: usize,
    }

    fn written(write: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>) -> Vec<u8> {
        let mut bytes = Vec::new();
        write(&mut bytes).unwrap();
        bytes
    }

    fn file(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file.rewind().unwrap();
        file
    }

    impl Checkpoints for Memory {
        fn load(&mut self, read: &mut dyn FnMut(&mut File) -> Result<(), String>) -> bool {
            self.own.as_ref().is_some_and(|bytes| read(&mut file(bytes)).is_ok())
        }

        fn save(&mut self, write: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
            self.own = Some(written(write));
            Ok(())
        }

        fn load_trunk(&mut self, read: &mut dyn FnMut(&mut File) -> Result<(), String>) -> bool {
            self.ends.values().next_back().is_some_and(|bytes| read(&mut file(bytes)).is_ok())
        }

        fn save_trunk(&mut self, write: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
            self.ends.insert(self.end, written(write));
            Ok(())
        }

        fn keep_model(&mut self, _: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
            Ok(())
        }
    }

    /// How a run ended, without times, and the points of its curve.
    type End = (String, Vec<(usize, u64)>);

    /// Trains a run, which is stopped once after so many steps.
    fn train(
        run: &PlannedRun,
        cache: &Path,
        checkpoints: &mut dyn Checkpoints,
        micro_batches: usize,
        stop: Option<usize>,
    ) -> (End, usize) {
        let mut trainer = crate::train::open("cpu", cache, 1).unwrap();
        let mut attempt = |stop: Option<usize>| {
            let mut points = Vec::new();
            let mut hear = |progress: Progress| {
                points.extend(progress.curve_point.then_some((progress.step, progress.train_loss.to_bits())));
                if stop.is_some_and(|stop| progress.step >= stop) {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            };
            let (checkpoints, checkpoint_every) = (&mut *checkpoints, Duration::from_hours(1));
            let job = Job { run, micro_batches, alike: 1, checkpoints, checkpoint_every };
            (trainer.train(job, &mut hear), points)
        };
        if stop.is_some() {
            assert!(matches!(attempt(stop).0, Err(TrainError::Interrupted { .. })));
        }
        let (outcome, points) = attempt(None);
        match outcome.unwrap() {
            Outcome::Finished { val_loss, val_loss_se, train_loss, shared_steps, .. } => {
                let bits = [val_loss, val_loss_se, train_loss.unwrap()].map(f64::to_bits);
                ((format!("{bits:?}"), points), shared_steps)
            }
            Outcome::Diverged { step, train_loss, .. } => {
                ((format!("diverged at {step}: {:?}", train_loss.map(f64::to_bits)), points), 0)
            }
        }
    }

    /// Runs of some lengths on a corpus that is there, each with so many points of its curve.
    fn plan(lengths: &[usize], cache: &Path, change: impl Fn(usize, &mut PlannedRun)) -> Plan {
        let mut plan = testing::lengths(true, lengths);
        let first = &plan.runs[0].run;
        let corpus = Corpus::prepare(&first.data, first.shape.context, cache, &mut |_| {}).unwrap();
        for (at, run) in plan.runs.iter_mut().enumerate() {
            run.run.corpus = corpus.facts().fingerprint;
            change(at, run);
        }
        plan
    }

    /// The same run alone.
    fn alone(run: &PlannedRun, cache: &Path) -> End {
        train(&PlannedRun { trunk: None, ..run.clone() }, cache, &mut (), 1, None).0
    }

    #[test]
    fn runs_that_share_a_stable_phase_end_with_the_bits_and_the_curves_that_they_have_alone() {
        let cache = tempfile::tempdir().unwrap();
        // A curve of one interval reaches back to the first step.
        let plan = plan(&[100, 200, 300], cache.path(), |at, run| run.run.eval.curve_points = [7, 1, 13][at]);
        let mut memory = Memory::default();
        for (run, shared) in plan.runs.iter().zip([0, 80, 160]) {
            (memory.end, memory.own) = (run.run.schedule.stable_steps(), None);
            let whole = memory.ends.clone();
            let (told, took) = train(run, cache.path(), &mut memory, 1, None);
            assert_eq!((&told, took), (&alone(run, cache.path()), shared));
            // Stopped on the way, in the shared phase and after it, it leaves and ends the same.
            for stop in [shared + 30, memory.end + 5] {
                let mut again = Memory { ends: whole.clone(), end: memory.end, own: None };
                assert_eq!(
                    train(run, cache.path(), &mut again, 1, Some(stop)),
                    (told.clone(), shared),
                    "stopped at {stop}"
                );
                assert!(again.ends == memory.ends, "what it leaves, stopped at {stop}");
            }
        }
        assert_eq!(memory.ends.keys().copied().collect::<Vec<_>>(), [80, 160, 240]);
        // Batches cut otherwise have other last bits: such a state is not taken.
        let last = &plan.runs[2];
        assert_eq!(train(last, cache.path(), &mut memory, 2, None).1, 0);
    }

    #[test]
    fn a_point_that_is_told_again_has_the_seconds_of_the_attempts_before_it() {
        let cache = tempfile::tempdir().unwrap();
        let plan = plan(&[100], cache.path(), |_, run| run.run.eval.curve_points = 10);
        let run = &plan.runs[0];
        let corpus = Corpus::prepare(&run.run.data, run.run.shape.context, cache.path(), &mut |_| {}).unwrap();
        let engine = crate::train::device::open("cpu", 1).unwrap();
        let mut memory = Memory::default();
        // What is told of an attempt that began some time ago and is stopped at a step.
        let mut attempt = |ago: Duration, stop: usize| {
            let (begun, mut told) = (Instant::now().checked_sub(ago).expect("a clock that had begun"), Vec::new());
            let mut hear = |progress: Progress| {
                told.push(progress);
                if progress.step >= stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            };
            let mut session = engine.begin(&run.run, &corpus, 1).unwrap();
            let mut course = Course::new((run, 1, begun), &mut memory, Duration::from_hours(1), &mut hear);
            assert!(matches!(course.run(session.as_mut(), &corpus), Err(TrainError::Interrupted { .. })));
            told
        };
        let minute = Duration::from_mins(1);
        assert!(attempt(minute, 20).iter().all(|told| !told.again));
        let again = attempt(Duration::ZERO, 10);
        let [told] = &again[..] else { panic!("the first point: {again:?}") };
        assert!(told.again && told.step == 10 && told.tokens_per_second.is_nan(), "{told:?}");
        assert!(told.seconds >= minute.as_secs_f64(), "{told:?}");
    }

    #[test]
    fn divergence_in_a_shared_phase_is_seen_where_each_run_alone_sees_it() {
        let cache = tempfile::tempdir().unwrap();
        let plan = plan(&[100, 200], cache.path(), |at, run| {
            run.run.optimizer.learning_rate = 1e3;
            // The first looks only at its end, and leaves a state of which it does not know that it is bad.
            run.run.eval.curve_points = [1, 9][at];
        });
        let mut memory = Memory::default();
        for run in &plan.runs {
            memory.end = run.run.schedule.stable_steps();
            let (told, _) = train(run, cache.path(), &mut memory, 1, None);
            assert!(told.0.starts_with("diverged at"), "{told:?}");
            assert_eq!(told, alone(run, cache.path()));
        }
        assert_eq!(memory.ends.keys().copied().collect::<Vec<_>>(), [80]);
    }
}
