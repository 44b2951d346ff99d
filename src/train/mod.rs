//! Training. What all engines share lies here: schedule, pace and course of a run, its state as a file, its evaluation, the
//! initial weights, the coordinate check, the benchmark, the choice of a device. `engine` is the seam; behind it `burn`
//! serves the CPU and wgpu, and `cuda` NVIDIA cards.

#[cfg(any(feature = "burn", test))]
#[cfg_attr(not(feature = "wgpu"), allow(dead_code))] // tested in every build
mod adapters;
mod bench;
#[cfg(feature = "burn")]
pub mod burn;
pub mod coordinates;
mod course;
#[cfg(feature = "cuda")]
mod cuda;
mod device;
mod engine;
mod evaluation;
mod initial;
mod pace;
mod rotary;
mod schedule;
mod score;
mod side_by_side;
pub mod site;
mod state;
mod timing;
mod trainer;
mod trunk;

use std::path::Path;

pub use bench::{Measurement, bench};
pub use side_by_side::{Chosen, SideBySide};
pub use timing::{KernelTime, Phases};

use crate::plan::{PlannedRun, Run};
use crate::spec::Precision;
use crate::trainer::{Listed, TrainError, Trainer};

/// Opens a device (`cpu`, `wgpu`, `cuda`, `cuda:1`) for training with `threads` threads of the CPU. Corpora
/// are read from `cache`.
pub fn open(device: &str, cache: &Path, threads: usize) -> Result<Box<dyn Trainer>, TrainError> {
    Ok(Box::new(trainer::EngineTrainer::new(device::open(device, threads)?, cache)))
}

/// Cards of NVIDIA by name, in the order of their numbers, as far as the driver shows them to this process.
pub fn cards() -> Vec<String> {
    #[cfg(feature = "cuda")]
    return cuda::names();
    #[cfg(not(feature = "cuda"))]
    Vec::new()
}

/// Every kind of device that there is, in the order of preference.
pub fn devices() -> Vec<Listed> {
    device::devices()
}

/// Whether factors of products can have this precision on a kind of device of this machine.
pub fn computes_in(kind: &str, precision: Precision) -> bool {
    device::computes_in(kind, precision)
}

/// Bytes of its own memory that a run takes of a kind of device, where that is known without the device.
pub fn bytes(kind: &str, run: &Run) -> Option<usize> {
    device::bytes(kind, run)
}

/// The mean loss of each training document of a run's text under its trained weights, in nats per token. `hear` is told of the
/// share that is done.
pub fn document_losses(
    device: &str,
    cache: &Path,
    threads: usize,
    (run, weights): (&PlannedRun, &[Vec<f32>]),
    hear: &mut dyn FnMut(f64),
) -> Result<Vec<f64>, TrainError> {
    score::documents(device::open(device, threads)?.as_ref(), cache, (&run.run, weights), hear)
}

/// Trains a few steps of a run and returns the sustained training FLOPs per second, counted exactly.
pub fn throughput(device: &str, cache: &Path, threads: usize, run: &PlannedRun) -> Result<f64, TrainError> {
    trainer::EngineTrainer::new(device::open(device, threads)?, cache).throughput(run)
}
