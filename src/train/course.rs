//! The course of a run: its steps, the points of its curve, its checkpoints, and how it ends. The same for every engine.

use std::collections::BTreeMap;
use std::fs::File;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use super::engine::{Session, take_loss_sum, take_mean_loss};
use super::pace::Pace;
use super::schedule::share_of_peak;
use super::{evaluation, state, trunk};
use crate::checkpoint::{Place, Point};
use crate::data::Corpus;
use crate::plan::PlannedRun;
use crate::trainer::{Checkpoints, OnProgress, Outcome, Progress, TrainError};

/// A run has diverged when its mean loss is this far above that of guessing, in nats.
const DIVERGED_ABOVE_GUESSING: f64 = 3.0;

/// How often a run tells that it is alive, between the points of its curve.
const REPORT_EVERY: Duration = Duration::from_millis(300);

/// How far a run is, and who wants to know.
pub struct Course<'a> {
    planned: &'a PlannedRun,
    /// Parts into which its batches are cut.
    micro_batches: usize,
    begun: Instant,
    /// As of the beginning of this attempt where it speaks of seconds, and as of now otherwise. Its steps are asked for.
    place: Place,
    /// Those of them that may not be done yet.
    ahead: usize,
    checkpoints: &'a mut dyn Checkpoints,
    pace: Pace,
    on_progress: OnProgress<'a>,
}

impl<'a> Course<'a> {
    /// The course of a run of which nothing is done, begun at a time.
    pub fn new(
        (planned, micro_batches, begun): (&'a PlannedRun, usize, Instant),
        checkpoints: &'a mut dyn Checkpoints,
        checkpoint_every: Duration,
        on_progress: OnProgress<'a>,
    ) -> Self {
        let pace = Pace::new(checkpoint_every, planned.run.state_bytes());
        let place = Place::default();
        Self { planned, micro_batches, begun, place, ahead: 0, checkpoints, pace, on_progress }
    }

    /// From the newest checkpoint to the end.
    pub fn run(&mut self, session: &mut dyn Session, corpus: &Corpus) -> Result<Outcome, TrainError> {
        let run = &self.planned.run;
        if let Some(diverged) = self.resume(session)? {
            return Ok(diverged);
        }
        if let Some(diverged) = self.steps(session)? {
            return Ok(diverged);
        }
        let tokens_per_second = self.tokens_per_second();
        let measured = evaluation::evaluate(session, corpus, run, &mut || self.tell(None))?;
        let ControlFlow::Continue((val_loss, val_loss_se, evaluations)) = measured else {
            return Err(self.interrupt(session));
        };
        // The result is worth more than the weights: whoever keeps them tells where that fails.
        let id = &self.planned.id;
        let _ = self.checkpoints.keep_model(&mut |out| state::write_model(session, run, out, id));
        let (train_loss, seconds) = (self.train_loss(), self.seconds());
        let shared_steps = self.place.shared;
        Ok(Outcome::Finished {
            val_loss,
            val_loss_se,
            train_loss: Some(train_loss),
            tokens_per_second,
            seconds,
            evaluations,
            shared_steps,
            told: BTreeMap::new(),
        })
    }

    /// Takes up the newest checkpoint that can be used, or what another run left at the end of a stable phase that both share,
    /// and tells the curve up to there.
    fn resume(&mut self, session: &mut dyn Session) -> Result<Option<Outcome>, TrainError> {
        let PlannedRun { run, id, trunk, .. } = self.planned;
        let mut found = Place::default();
        let place = &mut found;
        let is_own = self.checkpoints.load(&mut |file| state::read(session, run, file, id).map(|read| *place = read));
        if !is_own && let Some(shared) = trunk {
            let (parts, id) = (self.micro_batches, &shared.id);
            let mut read = |file: &mut File| state::read_trunk(session, run, file, id, parts).map(|read| *place = read);
            self.checkpoints.load_trunk(&mut read);
            found = trunk::taken_over(run, found);
        }
        (self.place.shared, self.place.seconds) = (found.shared, found.seconds);
        for point in std::mem::take(&mut found.points) {
            self.place.step = point.step;
            if let Some(diverged) = self.diverged(point.train_loss) {
                return Ok(Some(diverged));
            }
            self.place.points.push(point);
            if self.tell_again(point.train_loss).is_break() {
                // Nothing was done that the checkpoint does not have.
                return Err(TrainError::Interrupted { step: found.step });
            }
        }
        found.points = std::mem::take(&mut self.place.points);
        self.place = found;
        Ok(None)
    }

    /// Trains to the last step, unless the run diverges.
    fn steps(&mut self, session: &mut dyn Session) -> Result<Option<Outcome>, TrainError> {
        let run = &self.planned.run;
        let steps = run.schedule.steps;
        let mut reported = Instant::now();
        for step in self.place.step..steps {
            session.step(step)?;
            let done = step + 1;
            if trunk::notes(self.planned, &self.place) {
                self.place.history.push(take_loss_sum(session)?.to_bits());
            }
            self.place.step = done;
            if trunk::ends(self.planned, &self.place) {
                self.leave_trunk(session);
            }
            let mut goes_on = ControlFlow::Continue(());
            if trunk::points(run, done) > trunk::points(run, step) {
                // The only place where the host waits for the device, checkpoints and what runs share apart.
                let train_loss = self.take_mean_loss(session)?;
                self.ahead = 0;
                if let Some(diverged) = self.diverged(train_loss) {
                    return Ok(Some(diverged));
                }
                self.place.points.push(Point { step: done, train_loss });
                goes_on = self.tell(Some(train_loss));
                reported = Instant::now();
            } else if reported.elapsed() >= REPORT_EVERY {
                self.ahead = session.ahead();
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

    /// Mean loss since the last point of the curve.
    fn take_mean_loss(&mut self, session: &mut dyn Session) -> Result<f64, TrainError> {
        if self.place.history.is_empty() {
            return take_mean_loss(session);
        }
        let last = self.place.points.last().map_or(0, |point| point.step);
        let mean = trunk::mean_since(&self.place.history, last);
        if self.place.step >= self.planned.run.schedule.stable_steps() {
            self.place.history.clear();
        }
        Ok(mean)
    }

    /// The end of a run whose loss is so high, if it is too high.
    fn diverged(&self, train_loss: f64) -> Option<Outcome> {
        let above = (self.planned.run.shape.vocab as f64).ln() + DIVERGED_ABOVE_GUESSING;
        let diverged = train_loss.is_nan() || train_loss > above;
        let train_loss = train_loss.is_finite().then_some(train_loss);
        diverged.then(|| Outcome::Diverged { step: self.place.step, train_loss, seconds: self.seconds() })
    }

    /// Leaves the state to the runs that share the stable phase which ends here. Where it cannot be written they train it
    /// again.
    fn leave_trunk(&mut self, session: &mut dyn Session) {
        let PlannedRun { run, trunk, .. } = self.planned;
        let Some(trunk) = trunk else { return };
        let (step, history) = (self.place.step, self.place.history.clone());
        let place = Place { step, history, micro_batches: self.micro_batches, ..Place::default() };
        let _ = self.checkpoints.save_trunk(&mut |out| state::write(session, run, out, &trunk.id, &place));
    }

    /// Keeps the state for the next attempt.
    fn interrupt(&mut self, session: &mut dyn Session) -> TrainError {
        self.checkpoint(session);
        TrainError::Interrupted { step: self.place.step }
    }

    /// Writes a checkpoint. One that cannot be written now is no reason to lose the run: it is told, and tried again.
    fn checkpoint(&mut self, session: &mut dyn Session) {
        // What was asked for is no cost of the checkpoint. An error shows again where the state is read.
        let _ = session.losses();
        let begun = Instant::now();
        let place = Place { seconds: self.seconds(), ..self.place.clone() };
        let PlannedRun { run, id, .. } = self.planned;
        let _ = self.checkpoints.save(&mut |out| state::write(session, run, out, id, &place));
        self.pace.written(begun);
    }

    /// Tells how far the run is: a point of the curve where there is a loss for it.
    fn tell(&mut self, point: Option<f64>) -> ControlFlow<()> {
        let progress = self.progress(point);
        (self.on_progress)(progress)
    }

    /// Tells a point of the curve that an earlier attempt has told.
    fn tell_again(&mut self, train_loss: f64) -> ControlFlow<()> {
        let progress = Progress { again: true, tokens_per_second: f64::NAN, ..self.progress(Some(train_loss)) };
        (self.on_progress)(progress)
    }

    fn progress(&self, point: Option<f64>) -> Progress {
        let run = &self.planned.run;
        let step = self.done();
        let tokens = (step * run.tokens_per_step()) as u64;
        Progress {
            step,
            tokens,
            train_loss: point.unwrap_or_else(|| self.train_loss()),
            learning_rate: Some(run.optimizer.learning_rate * share_of_peak(&run.schedule, step.saturating_sub(1))),
            tokens_per_second: self.tokens_per_second(),
            seconds: self.seconds(),
            curve_point: point.is_some(),
            again: false,
        }
    }

    /// Steps that are done.
    fn done(&self) -> usize {
        self.place.step.saturating_sub(self.ahead)
    }

    /// Tokens per second of what this run has trained itself.
    fn tokens_per_second(&self) -> f64 {
        let steps = self.done().saturating_sub(self.place.shared);
        (steps * self.planned.run.tokens_per_step()) as f64 / self.seconds()
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
