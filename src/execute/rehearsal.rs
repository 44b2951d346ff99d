//! A trainer that does not train: its losses come from a known surface.
//!
//! With `--device rehearsal` a sweep goes its whole way in seconds: does the grid bracket its optima, how wide will
//! the intervals be, what will the report look like, before the compute is paid for. The end-to-end tests use it to
//! see that the planted exponents come back.

use std::collections::BTreeMap;
use std::fs::File;
use std::ops::ControlFlow;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::columns::PART_LOSS;
use crate::columns::REHEARSAL;
use crate::observation::Counting;
use crate::plan::{PlannedRun, RunId};
use crate::spec::{KeepBy, Task, TaskKind};
use crate::trainer::{DeviceInfo, Job, Measured, OnProgress, Outcome, Progress, TrainError, Trainer};

/// Name of the device on the command line and in results.
pub const DEVICE: &str = REHEARSAL;

/// The loss surface L(N, D) = E + A/N^alpha + B/D^beta of Hoffmann et al. 2022 (arXiv 2203.15556, equation 2), with N
/// counted as blocks and unembedding.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Surface {
    /// Irreducible loss E, in nats per token.
    pub e: f64,
    /// A.
    pub a: f64,
    /// B.
    pub b: f64,
    /// Exponent of parameters.
    pub alpha: f64,
    /// Exponent of tokens.
    pub beta: f64,
}

/// The surface that is rehearsed. At C = 6ND it has `N_opt` ~ C^0.4545 and `D_opt` ~ C^0.5455, so that tokens per
/// parameter grow slowly: 13 at 1e11 FLOPs, 20 at 1e13, 30 at 1e15, which is where runs of this program lie.
pub const SURFACE: Surface = Surface { e: 1.8, a: 73.9, b: 102.5, alpha: 0.36, beta: 0.30 };

/// Standard deviation of the noise on the final loss, in nats.
pub const NOISE: f64 = 0.002;

/// Where a sweep varies the batch size: the batch, in tokens, at which a run needs twice the tokens that it would need with
/// the smallest one (arXiv 1812.06162, equation 2.11).
pub const CRITICAL_BATCH: f64 = 4096.0;

/// Where a sweep varies the learning rate: the best one at 1e5 parameters, and its exponent in parameters; under a parameterization
/// that carries rates over widths it is the same at every size.
pub const BEST_RATE: [f64; 2] = [0.01, -0.333];
/// Nats lost at twice or half the best rate.
pub const RATE_CURVATURE: f64 = 0.02;
/// Nats by which a curve lies higher at first for each doubling of the rate above the best one; made up evenly over the run, as
/// by a rate that decays.
const RATE_TRANSIENT: f64 = 0.05;

/// Where a sweep varies the weight decay: the best one at 20 tokens a parameter, and its exponent in tokens per parameter.
pub const BEST_DECAY: [f64; 2] = [0.2, -0.25];
/// Nats lost at twice or half the best weight decay.
const DECAY_CURVATURE: f64 = 0.005;

/// Where data are repeated: the number of repetitions after which most of the worth of a repeated token is gone (Muennighoff
/// et al. 2023, arXiv 2305.16264).
pub const HALF_LIFE: f64 = 15.39;

/// Tokens for each parameter after which half of what a task asks is learned.
pub const SKILL: f64 = 20.0;

/// Where documents are kept by a score: what a token is worth beyond one of all documents, times the share that is left out.
pub const KEPT_WORTH: f64 = 1.0;

/// Where a sweep varies the weights of a mixture: each part adds this many nats to the loss on it where nothing of it is seen...
pub const MIXTURE_NATS: f64 = 1.5;

/// ...times exp(-rate times its share), with this rate for the first part, and one more for each after it.
pub const MIXTURE_RATE: f64 = 2.0;

/// FLOP/s of the notional device, which gives the notional times: 1e12.
const FLOPS_PER_SECOND: f64 = 1e12;

impl Surface {
    /// The loss, without noise, in nats per token.
    pub fn loss(&self, params: f64, tokens: f64) -> f64 {
        self.e + self.a / params.powf(self.alpha) + self.b / tokens.powf(self.beta)
    }

    /// Exponent of `N_opt` in compute: beta / (alpha + beta), Hoffmann et al., equation 4.
    pub fn n_exponent(&self) -> f64 {
        self.beta / (self.alpha + self.beta)
    }

    /// Exponent of `D_opt` in compute.
    pub fn d_exponent(&self) -> f64 {
        1.0 - self.n_exponent()
    }

    /// Compute-optimal parameters and tokens where compute is 6ND, by the same equation.
    pub fn optimum(&self, flops: f64) -> (f64, f64) {
        let g = (self.alpha * self.a / (self.beta * self.b)).powf(1.0 / (self.alpha + self.beta));
        let params = g * (flops / 6.0).powf(self.n_exponent());
        (params, flops / 6.0 / params)
    }
}

/// Gives every run the loss of [`SURFACE`] and noise drawn from the run's identity, its seed included. What a sweep varies
/// has an effect of known size where it is the batch size, the learning rate, the weight decay, the number of epochs or the
/// weights of a mixture; the parameterization decides whether the best learning rate moves with size; the shape of the model and all
/// else make no difference. Time is that of a notional device of 1e12 FLOP/s, so
/// that all of a rehearsal is reproducible.
#[derive(Clone, Copy, Debug)]
pub struct Rehearsal;

impl Trainer for Rehearsal {
    fn device(&self) -> DeviceInfo {
        DeviceInfo {
            kind: DEVICE.to_owned(),
            name: "known loss surface, nothing trained".to_owned(),
            driver: "none".to_owned(),
            threads: 1,
            precision: "f64".to_owned(),
        }
    }

    /// Its checkpoint is the step that it has come to, and all else follows from the run.
    fn train(&mut self, job: Job<'_>, on_progress: OnProgress<'_>) -> Result<Outcome, TrainError> {
        let Job { run, checkpoints, .. } = job;
        let params = run.params.by(Counting::BlocksAndUnembedding) as f64;
        let tokens_per_second = FLOPS_PER_SECOND / run.flops_per_token.exact;
        // Untrained, a model spreads its guess over the vocabulary.
        let vocab = run.run.shape.vocab;
        let untrained = if vocab == 0 { f64::INFINITY } else { (vocab as f64).ln() };
        let steps = run.run.schedule.steps;
        let points = run.run.eval.curve_points.clamp(1, steps.max(1));
        let (mut train_loss, mut left) = (untrained, false);
        let mut place = Memory::default();
        let mut read = |file: &mut File| {
            place = serde_json::from_reader(file).map_err(|error| error.to_string())?;
            Ok(())
        };
        let is_own = checkpoints.load(&mut read);
        if !is_own && run.trunk.is_some() {
            checkpoints.load_trunk(&mut read);
        }
        let Memory { step: told, shared } = place;
        let end_of_trunk = run.run.schedule.stable_steps();
        for point in 1..=points {
            let step = steps * point / points;
            let tokens = run.run.tokens_per_step() as u64 * step as u64;
            let share = step as f64 / steps.max(1) as f64;
            train_loss = (SURFACE.loss(params, tokens as f64) + rate_loss(run, share)).min(untrained);
            if run.trunk.is_some() && told < end_of_trunk && step >= end_of_trunk && !left {
                left = true;
                let place = Memory { step: end_of_trunk, shared: end_of_trunk };
                // Where it fails the others rehearse it again.
                let _ = checkpoints.save_trunk(&mut |out| Ok(serde_json::to_writer(out, &place)?));
            }
            let progress = Progress {
                step,
                tokens,
                train_loss,
                learning_rate: run.learning_rate(),
                tokens_per_second,
                seconds: tokens.saturating_sub((shared * run.run.tokens_per_step()) as u64) as f64 / tokens_per_second,
                curve_point: true,
                again: step <= told,
            };
            if on_progress(progress).is_break() {
                let place = Memory { step: told.max(step), shared };
                // Where it fails the rehearsal begins anew, which takes no time.
                let _ = checkpoints.save(&mut |out| Ok(serde_json::to_writer(out, &place)?));
                return Err(TrainError::Interrupted { step });
            }
        }
        let mut evaluations = parts(run);
        let of_parts = evaluations.iter().map(|part| part.value).sum::<f64>() / evaluations.len() as f64;
        let whole = loss(run) + NOISE * gaussian(&run.id, "");
        let val_loss = if evaluations.is_empty() { whole } else { of_parts };
        evaluations.extend(run.run.eval.tasks.iter().flat_map(|task| answers(task, run)));
        Ok(Outcome::Finished {
            val_loss,
            val_loss_se: NOISE,
            train_loss: Some(train_loss),
            tokens_per_second,
            seconds: run.tokens as f64 * run.own_share(shared) / tokens_per_second,
            evaluations,
            shared_steps: shared,
            told: BTreeMap::new(),
        })
    }
}

/// The end of a run as it is rehearsed.
pub fn end(run: &PlannedRun) -> Outcome {
    let job = Job { run, micro_batches: 1, alike: 1, checkpoints: &mut (), checkpoint_every: Duration::MAX };
    let outcome = Rehearsal.train(job, &mut |_| ControlFlow::Continue(()));
    outcome.expect("a rehearsal ends unless it is stopped")
}

/// How far a rehearsal is: all that it remembers.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Memory {
    /// Steps that were told.
    step: usize,
    /// Those of them that another run had told, with which it shares its stable phase.
    shared: usize,
}

/// The final loss without noise.
fn loss(run: &PlannedRun) -> f64 {
    let params = run.params.by(Counting::BlocksAndUnembedding) as f64;
    let varies = |field: &str| run.axes.contains_key(field);
    let mut tokens = run.tokens as f64;
    if let Some(repeated) = run.epochs.map(|epochs| epochs - 1.0).filter(|repeated| *repeated > 0.0) {
        tokens *= (1.0 + HALF_LIFE * (1.0 - (-repeated / HALF_LIFE).exp())) / (1.0 + repeated);
    }
    if let (Some(keep), Some(KeepBy::Ngram | KeepBy::File)) = (run.run.data.keep, run.run.data.keep_by) {
        tokens *= 1.0 + KEPT_WORTH * (1.0 - keep);
    }
    if varies("optimizer.batch_tokens") {
        tokens /= 1.0 + run.run.tokens_per_step() as f64 / CRITICAL_BATCH;
    }
    let mut loss = SURFACE.loss(params, tokens);
    loss += rate_loss(run, 1.0);
    let [at_20, exponent] = BEST_DECAY;
    let decay = run.run.optimizer.weight_decay;
    if varies("optimizer.weight_decay") && decay > 0.0 {
        let octaves = (decay / (at_20 * (run.tokens as f64 / params / 20.0).powf(exponent))).log2();
        loss += DECAY_CURVATURE * octaves * octaves;
    }
    loss
}

/// What a model answers: a token is right with a share that rises with training, and an answer of k tokens with the k-th
/// power of it. Clozes follow the loss.
fn answers(task: &Task, run: &PlannedRun) -> Vec<Measured> {
    let params = run.params.by(Counting::BlocksAndUnembedding) as f64;
    let right = 0.1 + 0.9 / (1.0 + (SKILL * params / run.tokens as f64).powf(1.5));
    let measured = |measure: &str, value: f64| Measured {
        name: format!("{}.{measure}", task.name()),
        value,
        standard_error: 0.0,
        chance: None,
    };
    if task.kind == TaskKind::Cloze {
        return vec![measured("accuracy", 0.25 + 0.75 * (SURFACE.e - loss(run)).exp())];
    }
    vec![
        measured("exact_match", right.powi(i32::try_from(task.length).unwrap_or(i32::MAX))),
        measured("token_accuracy", right),
        measured("edit_distance", task.length as f64 * (1.0 - right)),
        measured("log_likelihood", right.ln()),
    ]
}

/// What the learning rate costs after a share of the run, where a sweep varies it.
fn rate_loss(run: &PlannedRun, share: f64) -> f64 {
    if !run.axes.contains_key("optimizer.learning_rate") {
        return 0.0;
    }
    let params = run.params.by(Counting::BlocksAndUnembedding) as f64;
    let [at_1e5, exponent] = BEST_RATE;
    let exponent = if run.run.parameterization.reads_base_width() { 0.0 } else { exponent };
    let octaves = (run.run.optimizer.learning_rate / (at_1e5 * (params / 1e5).powf(exponent))).log2();
    RATE_CURVATURE * octaves * octaves + RATE_TRANSIENT * octaves.max(0.0) * (1.0 - share)
}

/// The losses on the parts of a mixture: an offset of each, whatever the size, that falls exponentially in its share (Ye et al.
/// 2024, arXiv 2403.16952).
fn parts(run: &PlannedRun) -> Vec<Measured> {
    let part = |(at, (name, share)): (usize, (String, f64))| {
        let name = format!("{PART_LOSS}{name}");
        let offset = MIXTURE_NATS * (-(MIXTURE_RATE + at as f64) * share).exp();
        let value = loss(run) + offset + NOISE * gaussian(&run.id, &name);
        Measured { name, value, standard_error: NOISE, chance: None }
    };
    run.run.data.shares().into_iter().enumerate().map(part).collect()
}

/// A standard normal number that depends on the run, and on what it is for, alone (Box and Muller 1958).
fn gaussian(id: &RunId, of: &str) -> f64 {
    let hash = blake3::derive_key("runner 2026 noise of rehearsals", &[id.as_str(), of].concat().into_bytes());
    let uniform = |at: usize| {
        let bits = u64::from_le_bytes(hash[at..at + 8].try_into().expect("eight bytes"));
        ((bits >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    };
    (-2.0 * uniform(0).ln()).sqrt() * (std::f64::consts::TAU * uniform(8)).cos()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::testing::planned;

    fn train(run: &PlannedRun, told: &mut dyn FnMut(Progress)) -> Outcome {
        let job =
            Job { run, micro_batches: 1, alike: 1, checkpoints: &mut (), checkpoint_every: std::time::Duration::MAX };
        let mut on_progress = |progress| {
            told(progress);
            std::ops::ControlFlow::Continue(())
        };
        Rehearsal.train(job, &mut on_progress).unwrap()
    }

    #[test]
    fn the_surfaces_optimum_is_where_no_neighbour_on_the_curve_is_better() {
        for budget in [1e11, 1e13, 1e15] {
            let (params, tokens) = SURFACE.optimum(budget);
            let best = SURFACE.loss(params, tokens);
            for factor in [0.8, 0.99, 1.01, 1.25] {
                assert!(SURFACE.loss(params * factor, tokens / factor) > best);
            }
            assert!((10.0..35.0).contains(&(tokens / params)), "{budget}: {}", tokens / params);
        }
        let (params, tokens) = SURFACE.optimum(1e13);
        assert!((tokens / params - 20.0).abs() < 0.2, "{}", tokens / params);
    }

    #[test]
    fn seeds_scatter_around_the_surface_and_the_first_losses_are_pinned() {
        let val_loss = |run: &PlannedRun| match train(run, &mut |_| {}) {
            Outcome::Finished { val_loss, .. } => val_loss,
            Outcome::Diverged { .. } => panic!("the surface is finite"),
        };
        let loss = |seed| {
            let run = planned(2, seed);
            let params = run.params.by(Counting::BlocksAndUnembedding) as f64;
            (val_loss(&run) - SURFACE.loss(params, run.tokens as f64)) / NOISE
        };
        // The noise is made of the identity of a run, so another identity moves every rehearsal.
        for (seed, pinned) in [(1, 8.291_009_783_769_686), (2, 8.289_432_038_297_297)] {
            let loss = val_loss(&planned(2, seed));
            assert!((loss - pinned).abs() < 1e-12, "seed {seed}: {loss}");
        }
        let n = 4000;
        let noise: Vec<f64> = (0..n).map(loss).collect();
        let mean = noise.iter().sum::<f64>() / n as f64;
        let variance = noise.iter().map(|z| (z - mean).powi(2)).sum::<f64>() / n as f64;
        assert!(mean.abs() < 0.06 && (variance - 1.0).abs() < 0.1, "mean {mean}, variance {variance}");
    }

    #[test]
    fn the_curve_has_its_points_and_ends_with_the_run() {
        let run = planned(1, 0);
        let mut points = Vec::new();
        train(&run, &mut |progress| points.push(progress));
        assert_eq!(points.len(), run.run.eval.curve_points);
        assert_eq!(points.last().map(|point| (point.step, point.tokens)), Some((100, run.tokens)));
        assert!(points.is_sorted_by(|a, b| a.step < b.step && a.train_loss >= b.train_loss));
    }
}
