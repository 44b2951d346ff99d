//! The training loop.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use burn::tensor::{Device, Int, Tensor, TensorData};

use super::device::Opened;
use super::eval::validation_loss;
use super::model::Model;
use super::optimizer::AdamW;
use super::schedule::share_of_peak;
use crate::data::Corpus;
use crate::plan::{PlannedRun, Run};
use crate::spec::Data;
use crate::trainer::{DeviceInfo, Outcome, Progress, TrainError, Trainer};

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
        let mut session = Session::new(&run.run, self.corpus(&run.run)?, &device);
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

    fn train(&mut self, planned: &PlannedRun, on_progress: &mut dyn FnMut(Progress)) -> Result<Outcome, TrainError> {
        let run = &planned.run;
        let device = self.opened.device.clone();
        let corpus = self.corpus(run)?;
        let begun = Instant::now();
        let mut session = Session::new(run, corpus, &device);
        let steps = run.schedule.steps;
        // Points of the curve up to a step, so that all its intervals are of one length, give or take a step.
        let points = |step: usize| step * run.eval.curve_points.clamp(1, steps) / steps;
        let diverged_above = (run.shape.vocab as f64).ln() + DIVERGED_ABOVE_GUESSING;
        let mut train_loss = f64::NAN;
        let mut reported = Instant::now();
        for step in 0..steps {
            session.step(step);
            let done = step + 1;
            let curve_point = points(done) > points(step);
            if curve_point {
                // The only place where the host waits for the device.
                train_loss = session.take_mean_loss();
                if train_loss.is_nan() || train_loss > diverged_above {
                    let train_loss = train_loss.is_finite().then_some(train_loss);
                    return Ok(Outcome::Diverged { step: done, train_loss, seconds: begun.elapsed().as_secs_f64() });
                }
            } else if reported.elapsed() < REPORT_EVERY {
                continue;
            }
            reported = Instant::now();
            let tokens = (done * run.tokens_per_step()) as u64;
            on_progress(Progress {
                step: done,
                tokens,
                train_loss,
                learning_rate: run.optimizer.learning_rate * share_of_peak(&run.schedule, step),
                tokens_per_second: tokens as f64 / begun.elapsed().as_secs_f64(),
                curve_point,
            });
        }
        let tokens_per_second = run.tokens() as f64 / begun.elapsed().as_secs_f64();
        let (val_loss, val_loss_se) = validation_loss(&session.model, corpus, run, &device);
        let seconds = begun.elapsed().as_secs_f64();
        Ok(Outcome::Finished { val_loss, val_loss_se, train_loss, tokens_per_second, seconds })
    }
}

/// One run under way.
struct Session<'a> {
    run: &'a Run,
    corpus: &'a Corpus,
    device: &'a Device,
    model: Model,
    optimizer: AdamW,
    tokens: Vec<u16>,
    /// Sum of the losses since it was last read, on the device, and their number.
    loss_sum: Option<Tensor<1>>,
    losses: usize,
}

impl<'a> Session<'a> {
    fn new(run: &'a Run, corpus: &'a Corpus, device: &'a Device) -> Self {
        let mut model = Model::new(run, device);
        let optimizer = AdamW::new(&run.optimizer, &mut model);
        Self { run, corpus, device, model, optimizer, tokens: Vec::new(), loss_sum: None, losses: 0 }
    }

    /// Step number `step`, from 0. Nothing is read back.
    fn step(&mut self, step: usize) {
        let batch = self.run.optimizer.batch_sequences;
        self.corpus.train_batch(self.run.seed, batch, step, &mut self.tokens);
        let (ids, targets) = upload(&self.tokens, self.run.shape.context, self.device);
        let loss = self.model.mean_loss(ids, targets);
        let value = loss.clone().inner();
        self.optimizer.step(&mut self.model, loss.backward(), share_of_peak(&self.run.schedule, step));
        self.loss_sum = Some(match self.loss_sum.take() {
            Some(sum) => sum + value,
            None => value,
        });
        self.losses += 1;
    }

    /// Mean of the losses since the last call, in nats per token.
    fn take_mean_loss(&mut self) -> f64 {
        let count = std::mem::take(&mut self.losses);
        self.loss_sum.take().map_or(f64::NAN, |sum| f64::from(sum.into_scalar::<f32>()) / count as f64)
    }
}

/// Sequences of `context` + 1 tokens as ids and targets `[n]` on the device: each token's target is the next one.
pub fn upload(tokens: &[u16], context: usize, device: &Device) -> (Tensor<1, Int>, Tensor<1, Int>) {
    let part = |from: usize| {
        let rows = tokens.chunks_exact(context + 1);
        let ids: Vec<i32> = rows.flat_map(|row| row[from..from + context].iter().map(|&id| i32::from(id))).collect();
        let n = ids.len();
        Tensor::from_data(TensorData::new(ids, [n]), device)
    };
    (part(0), part(1))
}
