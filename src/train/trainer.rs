//! The training loop.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::device::Opened;
use super::eval::validation_loss;
use super::pace::Pace;
use super::schedule::share_of_peak;
use super::session::Session;
use crate::checkpoint::{Place, Point};
use crate::data::Corpus;
use crate::plan::{PlannedRun, Run};
use crate::spec::Data;
use crate::trainer::{Checkpoints, DeviceInfo, Job, OnProgress, Outcome, Progress, TrainError, Trainer};

/// A run has diverged when its mean loss is this far above that of guessing, in nats.
const DIVERGED_ABOVE_GUESSING: f64 = 3.0;

/// How often a run tells that it is alive, between the points of its curve.
const REPORT_EVERY: Duration = Duration::from_millis(300);

/// Steps by which [`BurnTrainer::throughput`] warms up, and seconds for which it then measures.
const THROUGHPUT_WARMUP: usize = 2;
const THROUGHPUT_SECONDS: f64 = 0.7;

/// Trains with burn on one device.
pub struct BurnTrainer {
    opened: Opened,
    cache: PathBuf,
    /// The corpus of the last run and what it was opened with: the next run mostly needs the same.
    corpus: Option<(Data, String, usize, Corpus)>,
}

impl BurnTrainer {
    /// A trainer on an opened device.
    pub fn new(opened: Opened, cache: &Path) -> Self {
        Self { opened, cache: cache.to_owned(), corpus: None }
    }

    /// Sustained training FLOPs per second of `run`, evaluation left out.
    pub fn throughput(&mut self, run: &PlannedRun) -> Result<f64, TrainError> {
        let device = self.opened.device.clone();
        let mut session = Session::new(&run.run, self.corpus(&run.run)?, &device, 1);
        let mut steps = 0;
        let mut begun = Instant::now();
        while steps < THROUGHPUT_WARMUP + 1 || begun.elapsed().as_secs_f64() < THROUGHPUT_SECONDS {
            session.step(steps);
            if steps < THROUGHPUT_WARMUP {
                begun = Instant::now();
            }
            steps += 1;
        }
        session.take_mean_loss();
        let measured = (steps - THROUGHPUT_WARMUP) * run.run.tokens_per_step();
        Ok(measured as f64 * run.flops_per_token.exact / begun.elapsed().as_secs_f64())
    }

    /// The corpus of `run`, opened unless it is that of the last run.
    fn corpus(&mut self, run: &Run) -> Result<&Corpus, TrainError> {
        let same = |(data, fingerprint, context, _): &(Data, String, usize, Corpus)| {
            *data == run.data && *fingerprint == run.corpus && *context == run.shape.context
        };
        if !self.corpus.as_ref().is_some_and(same) {
            let corpus = Corpus::open(&run.data, &run.corpus, run.shape.context, &self.cache)
                .map_err(|error| TrainError::Configuration(error.to_string()))?;
            self.corpus = Some((run.data.clone(), run.corpus.clone(), run.shape.context, corpus));
        }
        Ok(&self.corpus.as_ref().expect("opened above").3)
    }
}

impl Trainer for BurnTrainer {
    fn device(&self) -> DeviceInfo {
        self.opened.info.clone()
    }

    fn train(&mut self, job: Job<'_>, on_progress: OnProgress<'_>) -> Result<Outcome, TrainError> {
        let Job { run: planned, micro_batches, checkpoints, checkpoint_every } = job;
        let run = &planned.run;
        let device = self.opened.device.clone();
        let corpus = self.corpus(run)?;
        let begun = Instant::now();
        let mut session = Session::new(run, corpus, &device, micro_batches);
        let pace = Pace::new(checkpoint_every, session.checkpoint_bytes());
        let mut course = Course { planned, begun, place: Place::default(), checkpoints, pace, on_progress };
        course.resume(&mut session)?;
        if let Some(diverged) = course.steps(&mut session)? {
            return Ok(diverged);
        }
        let tokens_per_second = run.tokens() as f64 / course.seconds();
        let measured = validation_loss(&session.model, corpus, run, &device, &mut || course.tell(None));
        let ControlFlow::Continue((val_loss, val_loss_se)) = measured else {
            return Err(course.interrupt(&mut session));
        };
        // The result is worth more than the weights: whoever keeps them tells where that fails.
        let _ = course.checkpoints.keep_model(&mut |out| session.write_model(out, &planned.id));
        let (train_loss, seconds) = (course.train_loss(), course.seconds());
        Ok(Outcome::Finished { val_loss, val_loss_se, train_loss, tokens_per_second, seconds })
    }
}

/// How far a run is, and who wants to know.
struct Course<'a> {
    planned: &'a PlannedRun,
    begun: Instant,
    /// As of the beginning of this attempt where it speaks of seconds, and as of now otherwise.
    place: Place,
    checkpoints: &'a mut dyn Checkpoints,
    pace: Pace,
    on_progress: OnProgress<'a>,
}

impl Course<'_> {
    /// Takes up the newest checkpoint that can be used, and tells the curve up to there.
    fn resume(&mut self, session: &mut Session<'_>) -> Result<(), TrainError> {
        let id = &self.planned.id;
        let mut found = Place::default();
        let place = &mut found;
        self.checkpoints.load(&mut |file| session.read(file, id).map(|read| *place = read));
        for point in std::mem::take(&mut found.points) {
            self.place.step = point.step;
            self.place.points.push(point);
            if self.tell(Some(point.train_loss)).is_break() {
                // Nothing was done that the checkpoint does not have.
                return Err(TrainError::Interrupted { step: found.step });
            }
        }
        found.points = std::mem::take(&mut self.place.points);
        self.place = found;
        Ok(())
    }

    /// Trains to the last step, unless the run diverges.
    fn steps(&mut self, session: &mut Session<'_>) -> Result<Option<Outcome>, TrainError> {
        let run = &self.planned.run;
        let steps = run.schedule.steps;
        // Points of the curve up to a step, so that all its intervals are of one length, give or take a step.
        let points = |step: usize| step * run.eval.curve_points.clamp(1, steps) / steps;
        let diverged_above = (run.shape.vocab as f64).ln() + DIVERGED_ABOVE_GUESSING;
        let mut reported = Instant::now();
        for step in self.place.step..steps {
            session.step(step);
            let done = step + 1;
            self.place.step = done;
            let mut goes_on = ControlFlow::Continue(());
            if points(done) > points(step) {
                // The only place where the host waits for the device, checkpoints apart.
                let train_loss = session.take_mean_loss();
                if train_loss.is_nan() || train_loss > diverged_above {
                    let train_loss = train_loss.is_finite().then_some(train_loss);
                    return Ok(Some(Outcome::Diverged { step: done, train_loss, seconds: self.seconds() }));
                }
                self.place.points.push(Point { step: done, train_loss });
                goes_on = self.tell(Some(train_loss));
                reported = Instant::now();
            } else if reported.elapsed() >= REPORT_EVERY {
                goes_on = self.tell(None);
                reported = Instant::now();
            }
            if goes_on.is_break() {
                return Err(self.interrupt(session));
            }
            // The last steps are not worth it: what comes next is the result.
            if self.pace.is_due() && done < steps {
                self.checkpoint(session);
            }
        }
        Ok(None)
    }

    /// Keeps the state for the next attempt.
    fn interrupt(&mut self, session: &mut Session<'_>) -> TrainError {
        self.checkpoint(session);
        TrainError::Interrupted { step: self.place.step }
    }

    /// Writes a checkpoint. One that cannot be written now is no reason to lose the run: it is told, and tried again.
    fn checkpoint(&mut self, session: &mut Session<'_>) {
        let begun = Instant::now();
        let place = Place { seconds: self.seconds(), ..self.place.clone() };
        let id = &self.planned.id;
        let _ = self.checkpoints.save(&mut |out| session.write(out, id, &place));
        self.pace.written(begun);
    }

    /// Tells how far the run is: a point of the curve where there is a loss for it.
    fn tell(&mut self, point: Option<f64>) -> ControlFlow<()> {
        let run = &self.planned.run;
        let step = self.place.step;
        let tokens = (step * run.tokens_per_step()) as u64;
        let progress = Progress {
            step,
            tokens,
            train_loss: point.unwrap_or_else(|| self.train_loss()),
            learning_rate: run.optimizer.learning_rate * share_of_peak(&run.schedule, step.saturating_sub(1)),
            tokens_per_second: tokens as f64 / self.seconds(),
            curve_point: point.is_some(),
        };
        (self.on_progress)(progress)
    }

    /// Training loss of the last point of the curve.
    fn train_loss(&self) -> f64 {
        self.place.points.last().map_or(f64::NAN, |point| point.train_loss)
    }

    /// Wall-clock seconds of the run, those of earlier attempts up to the checkpoint included.
    fn seconds(&self) -> f64 {
        self.place.seconds + self.begun.elapsed().as_secs_f64()
    }
}
