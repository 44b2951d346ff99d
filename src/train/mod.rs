//! The only place that knows burn: device, model, optimizer, schedule, trainer, evaluation.

mod bench;
mod composed;
pub mod coordinates;
mod device;
mod eval;
#[cfg(feature = "cpu")]
mod kernels;
mod model;
pub mod ops;
mod optimizer;
mod pace;
mod schedule;
mod session;
mod trainer;
mod weights;

use std::path::Path;

pub use bench::{Measurement, Phases, bench};

use crate::plan::PlannedRun;
use crate::trainer::{Listed, TrainError, Trainer};

/// Opens a device (`cpu`, `wgpu`, `cuda`, `cuda:1`) for training with `threads` threads of the CPU. Corpora
/// are read from `cache`.
pub fn open(device: &str, cache: &Path, threads: usize) -> Result<Box<dyn Trainer>, TrainError> {
    Ok(Box::new(trainer::BurnTrainer::new(device::open(device, threads)?, cache)))
}

/// Every kind of device that there is, in the order of preference.
pub fn devices() -> [Listed; 3] {
    device::KINDS.map(device::listed)
}

/// Trains a few steps of a run and returns the sustained training FLOPs per second, counted exactly.
pub fn throughput(device: &str, cache: &Path, threads: usize, run: &PlannedRun) -> Result<f64, TrainError> {
    trainer::BurnTrainer::new(device::open(device, threads)?, cache).throughput(run)
}
