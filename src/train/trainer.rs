//! The trainer that stands behind the seam of `crate::trainer`: it opens corpora and drives runs on one engine.

use std::path::{Path, PathBuf};
use std::time::Instant;

use super::course::Course;
use super::engine::{Engine, take_mean_loss};
use crate::data::Corpus;
use crate::plan::{PlannedRun, Run};
use crate::spec::{Data, Precision};
use crate::trainer::{DeviceInfo, Job, OnProgress, Outcome, TrainError, Trainer};

/// Steps by which [`EngineTrainer::throughput`] warms up, and seconds for which it then measures.
const THROUGHPUT_WARMUP: usize = 2;
const THROUGHPUT_SECONDS: f64 = 0.7;

/// Trains on one engine.
pub struct EngineTrainer {
    engine: Box<dyn Engine>,
    corpora: Corpora,
    /// That of the run trained last.
    precision: Precision,
}

impl EngineTrainer {
    /// A trainer on an open device, with corpora in `cache`.
    pub fn new(engine: Box<dyn Engine>, cache: &Path) -> Self {
        Self { engine, corpora: Corpora { cache: cache.to_owned(), last: None }, precision: Precision::default() }
    }

    /// Sustained training FLOPs per second of `run`, evaluation left out.
    pub fn throughput(&mut self, run: &PlannedRun) -> Result<f64, TrainError> {
        let mut session = self.engine.begin(&run.run, self.corpora.of(&run.run)?, 1)?;
        let mut steps = 0;
        let mut begun = Instant::now();
        while steps < THROUGHPUT_WARMUP + 1 || begun.elapsed().as_secs_f64() < THROUGHPUT_SECONDS {
            session.step(steps % run.run.schedule.steps)?;
            if steps < THROUGHPUT_WARMUP {
                // Waits for the device, which may be behind.
                session.losses()?;
                begun = Instant::now();
            }
            steps += 1;
        }
        take_mean_loss(session.as_mut())?;
        let measured = (steps - THROUGHPUT_WARMUP) * run.run.tokens_per_step();
        Ok(measured as f64 * run.flops_per_token.exact / begun.elapsed().as_secs_f64())
    }
}

impl Trainer for EngineTrainer {
    fn device(&self) -> DeviceInfo {
        DeviceInfo { precision: self.precision.name().to_owned(), ..self.engine.info() }
    }

    fn train(&mut self, job: Job<'_>, on_progress: OnProgress<'_>) -> Result<Outcome, TrainError> {
        let Job { run: planned, micro_batches, alike, checkpoints, checkpoint_every } = job;
        let run = &planned.run;
        self.precision = run.precision;
        let corpus = self.corpora.of(run)?;
        let begun = Instant::now();
        let mut session = self.engine.begin_among(run, corpus, (micro_batches, alike))?;
        let mut course = Course::new((planned, micro_batches, begun), checkpoints, checkpoint_every, on_progress);
        course.run(session.as_mut(), corpus)
    }

    fn preparing(&self) -> &'static str {
        self.engine.preparing()
    }
}

/// The corpora of runs.
struct Corpora {
    cache: PathBuf,
    /// The corpus of the last run and what it was opened with: the next run mostly needs the same.
    last: Option<(Data, String, usize, Corpus)>,
}

impl Corpora {
    /// The corpus of `run`, opened unless it is that of the last run, which may have had other weights or another part of it.
    fn of(&mut self, run: &Run) -> Result<&Corpus, TrainError> {
        let same = |(data, fingerprint, context, _): &(Data, String, usize, Corpus)| {
            *data == run.data && *fingerprint == run.corpus && *context == run.shape.context
        };
        if !self.last.as_ref().is_some_and(same) {
            let corpus = match self.last.take() {
                Some((_, fingerprint, context, corpus))
                    if fingerprint == run.corpus && context == run.shape.context =>
                {
                    corpus.reordered(&run.data).map_err(|error| TrainError::Configuration(error.to_string()))?
                }
                _ => open_corpus(run, &self.cache)?,
            };
            self.last = Some((run.data.clone(), run.corpus.clone(), run.shape.context, corpus));
        }
        Ok(&self.last.as_ref().expect("opened above").3)
    }
}

/// Opens the corpus of `run` in `cache`.
pub fn open_corpus(run: &Run, cache: &Path) -> Result<Corpus, TrainError> {
    Corpus::open(&run.data, &run.corpus, run.shape.context, cache)
        .map_err(|error| TrainError::Configuration(error.to_string()))
}
