//! What a device has to be able to do so that runs can be trained on it. Behind this stand burn (`burn/`, for the CPU and
//! wgpu) and the engine for NVIDIA cards (`cuda/`); everything else in this folder knows only these traits.

use std::time::Duration;

use super::site::{Batches, Seen};
use super::timing::{KernelTime, Phases};
use crate::checkpoint::Place;
use crate::data::Corpus;
use crate::optimizer::Kept;
use crate::parameterization::Rules;
use crate::plan::Run;
use crate::trainer::{DeviceInfo, TrainError};

/// An open device.
pub trait Engine {
    /// What is recorded with every result.
    fn info(&self) -> DeviceInfo;

    /// What goes on before the first step of a run, for people who wait for it.
    fn preparing(&self) -> &'static str;

    /// Bytes of the device's own memory that are free, where it has one.
    fn free_memory(&self) -> Result<Option<usize>, TrainError> {
        Ok(None)
    }

    /// The beginning of a run whose batches are cut into so many parts.
    fn begin<'a>(
        &'a self,
        run: &'a Run,
        corpus: &'a Corpus,
        micro_batches: usize,
    ) -> Result<Box<dyn Session + 'a>, TrainError>;

    /// The same of a run beside which others are trained in this process: so many, with this one, whose steps are the same work
    /// ([`Run::steps_as`]). An engine may step them together; the losses are those of a run by itself.
    fn begin_among<'a>(
        &'a self,
        run: &'a Run,
        corpus: &'a Corpus,
        (micro_batches, _alike): (usize, usize),
    ) -> Result<Box<dyn Session + 'a>, TrainError> {
        self.begin(run, corpus, micro_batches)
    }

    /// The beginning of a measurement of a run, of which so many are trained in this process and may be stepped together.
    fn measure<'a>(&'a self, run: &'a Run, corpus: &'a Corpus, alike: usize)
    -> Result<Box<dyn Bench + 'a>, TrainError>;

    /// Trains `steps` steps of `run` under `rules`, at the peak learning rate and without warm-up, and records all
    /// activations before each, on the batch of that step.
    fn probe(&self, run: &Run, rules: &dyn Rules, batches: Batches<'_>, steps: usize) -> Result<Vec<Seen>, TrainError>;
}

/// One run under way.
pub trait Session {
    /// Asks for step number `step`, from 0. Nothing is read back.
    fn step(&mut self, step: usize) -> Result<(), TrainError>;

    /// Steps that were asked for, and of which is not known that they are done; known without waiting.
    fn ahead(&self) -> usize {
        0
    }

    /// Sum of the losses of the steps since they were last forgotten, each in nats per token, and their number. Waits for all
    /// steps that were asked for.
    fn losses(&mut self) -> Result<(f32, usize), TrainError>;

    /// Begins that sum anew.
    fn forget_losses(&mut self) -> Result<(), TrainError>;

    /// Numbers of the weight at a place in the order of [`crate::plan::Shape::weights`].
    fn numbers(&mut self, weight: usize, kept: Kept) -> Result<Vec<f32>, TrainError>;

    /// Takes up the state at `place`: the sum of losses, and the numbers of all that is kept, in the
    /// order of [`crate::checkpoint::kept`].
    fn restore(&mut self, place: &Place, loss_sum: f32, numbers: Vec<Vec<f32>>) -> Result<(), TrainError>;

    /// Cross entropy of each token of whole sequences of context + 1 tokens, in nats. Trains nothing.
    fn token_losses(&mut self, tokens: &[u16]) -> Result<Vec<f32>, TrainError>;

    /// The most likely token after each of whole sequences of context + 1 tokens, the last left out. Trains nothing.
    fn best_tokens(&mut self, tokens: &[u16]) -> Result<Vec<u16>, TrainError>;
}

/// A run that is measured.
pub trait Bench {
    /// Trains for about so long, on the steps that come; mean seconds of a step.
    fn train(&mut self, about: Duration, steps: &mut dyn Iterator<Item = usize>) -> Result<Phases, TrainError>;

    /// FLOPs per second of large matrix products, measured for at least so long.
    fn peak(&mut self, at_least: Duration) -> Result<f64, TrainError>;

    /// Bytes per second that the device's own memory reads and writes, measured for at least so long, where it has one.
    fn memory_speed(&mut self, _at_least: Duration) -> Result<Option<f64>, TrainError> {
        Ok(None)
    }

    /// Seconds of all matrix products of one step when they are all there is to do.
    fn products(&mut self) -> Result<f64, TrainError>;

    /// What a step spends in each kernel, where the device can tell.
    fn kernels(&mut self) -> Result<Vec<KernelTime>, TrainError> {
        Ok(Vec::new())
    }

    /// Share of the time of the last training that the CPU was busy asking for it, where the device works by itself.
    fn host_share(&self) -> Option<f64> {
        None
    }

    /// Bytes of the card's own memory that the run holds, where there is a card.
    fn card_memory(&self) -> Option<u64> {
        None
    }

    /// The run.
    fn session(&mut self) -> &mut dyn Session;
}

/// Sum of the losses since the last call.
pub fn take_loss_sum(session: &mut dyn Session) -> Result<f32, TrainError> {
    let (sum, _) = session.losses()?;
    session.forget_losses()?;
    Ok(sum)
}

/// Mean of the losses since the last call, in nats per token.
pub fn take_mean_loss(session: &mut dyn Session) -> Result<f64, TrainError> {
    let (sum, count) = session.losses()?;
    session.forget_losses()?;
    Ok(mean(sum, count))
}

/// Mean of so many losses; not a number where there are none.
pub fn mean(sum: f32, count: usize) -> f64 {
    if count == 0 { f64::NAN } else { f64::from(sum) / count as f64 }
}
