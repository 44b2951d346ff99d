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
mod schedule;
mod session;
mod trainer;
mod weights;

use std::path::Path;

pub use bench::{Measurement, Phases, bench};

use crate::plan::PlannedRun;
use crate::trainer::{TrainError, Trainer};

/// Opens a device (`auto`, `cpu`, `wgpu`, `cuda`, `cuda:1`) for training with `threads` threads of the CPU. Corpora
/// are read from `cache`.
pub fn open(device: &str, cache: &Path, threads: usize) -> Result<Box<dyn Trainer>, TrainError> {
    Ok(Box::new(trainer::BurnTrainer::new(device::open(device, threads)?, cache)))
}

/// Every kind of device that there is: its name, and its description or the reason why it cannot be used.
pub fn devices() -> Vec<(String, String)> {
    device::KINDS.iter().map(|kind| ((*kind).to_owned(), device::describe(kind))).collect()
}

/// Trains a few steps of a run and returns the sustained training FLOPs per second, counted exactly.
pub fn throughput(device: &str, cache: &Path, threads: usize, run: &PlannedRun) -> Result<f64, TrainError> {
    trainer::BurnTrainer::new(device::open(device, threads)?, cache).throughput(run)
}
