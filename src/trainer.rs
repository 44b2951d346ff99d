//! The seam between orchestration and training. `train` implements it with burn; `execute` rehearses with a trainer
//! whose losses come from a known surface.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::plan::PlannedRun;

/// Trains one run at a time on one device.
pub trait Trainer {
    /// The device and what runs on it; recorded with every result.
    fn device(&self) -> DeviceInfo;

    /// Trains a run to its end. `on_progress` is called a few times a second and at every point of the curve.
    fn train(&mut self, run: &PlannedRun, on_progress: &mut dyn FnMut(Progress)) -> Result<Outcome, TrainError>;
}

/// Where a result was computed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceInfo {
    /// `cpu`, `wgpu`, `cuda`, or `rehearsal` for losses that no training produced.
    pub kind: String,
    /// Model of the processor or adapter.
    pub name: String,
    /// Version of the driver or of the instruction set used.
    pub driver: String,
    /// Threads that one run uses.
    pub threads: usize,
    /// Number format of weights and products.
    pub precision: String,
}

/// What a run tells while it trains.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Steps done.
    pub step: usize,
    /// Tokens seen.
    pub tokens: u64,
    /// Mean training loss over the interval that the last point of the curve closed, in nats per token; NaN before.
    pub train_loss: f64,
    /// Learning rate of the last step.
    pub learning_rate: f64,
    /// Training tokens per second so far.
    pub tokens_per_second: f64,
    /// Whether this is a point of the recorded curve.
    pub curve_point: bool,
}

/// How a run ended. Divergence is a result, not an error.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Outcome {
    /// Trained to the end.
    Finished {
        /// Loss on the validation tokens, in nats per token.
        val_loss: f64,
        /// Its standard error over the sequences of the fixed set: what another draw of sequences from the same held-out
        /// documents would change. All runs see the same tokens, so differences between runs are known better.
        val_loss_se: f64,
        /// Mean training loss over the last point of the curve.
        train_loss: f64,
        /// Training tokens per second, evaluation not counted.
        tokens_per_second: f64,
        /// Wall-clock seconds of the whole run.
        seconds: f64,
    },
    /// The loss left the numbers, or rose far above where it began.
    Diverged {
        /// Step at which it was noticed.
        step: usize,
        /// The loss there; nothing where it was not a number.
        train_loss: Option<f64>,
        /// Wall-clock seconds until then.
        seconds: f64,
    },
}

/// Why a run has no outcome.
#[derive(Debug, Error)]
pub enum TrainError {
    /// The run asks for what this device or corpus cannot give.
    #[error("{0}")]
    Configuration(String),
    /// The device failed.
    #[error("the device failed: {0}")]
    Device(String),
}
