//! The engine of the CPU and of wgpu, and the only place that knows burn: model, optimizer, kernels.
//!
//! From the bottom: `positions` and `weight` are nouns; `kernels` (of the CPU and of wgpu) and `composed` (burn's own
//! operations) compute; `ops` and `parts` choose between them; `pass` hands it to the parts of `model`; `optimizer` uses it;
//! `session`, `probe` and `bench` train.

mod batch;
mod bench;
mod composed;
mod device;
#[cfg(any(feature = "cpu", feature = "wgpu"))]
mod kernels;
mod model;
pub mod ops;
mod optimizer;
mod parts;
mod pass;
pub mod positions;
mod probe;
mod session;
mod wait;
mod watch;
mod weight;

pub use device::{description, missing};

#[cfg(all(feature = "wgpu", feature = "burn-cuda"))]
compile_error!(
    "the features wgpu and burn-cuda exclude each other: burn-cuda brings burn's fusion, which wgpu's kernels replace"
);

use super::engine::Bench;
use super::engine::{Engine, Session};
use super::site::{Batches, Seen};
use crate::data::Corpus;
use crate::parameterization::Rules;
use crate::plan::Run;
#[cfg(feature = "cpu")]
use crate::spec::Precision;
use crate::trainer::{DeviceInfo, TrainError};

/// Opens a device that is not [`missing`]. On the CPU, `threads` holds for the whole process.
pub fn open(kind: &str, index: Option<usize>, threads: usize) -> impl Engine + use<> {
    device::open(kind, index, threads)
}

impl Engine for device::Opened {
    fn info(&self) -> DeviceInfo {
        self.info.clone()
    }

    fn preparing(&self) -> &'static str {
        if self.info.kind == "cpu" { "first step" } else { "compiling kernels" }
    }

    fn begin<'a>(
        &'a self,
        run: &'a Run,
        corpus: &'a Corpus,
        micro_batches: usize,
    ) -> Result<Box<dyn Session + 'a>, TrainError> {
        check(self, run)?;
        Ok(Box::new(session::Session::new(run, corpus, &self.device, micro_batches)))
    }

    fn measure<'a>(&'a self, run: &'a Run, corpus: &'a Corpus, _: usize) -> Result<Box<dyn Bench + 'a>, TrainError> {
        check(self, run)?;
        Ok(Box::new(bench::Stepper::new(run, corpus, &self.device, self.measured_as())))
    }

    fn probe(&self, run: &Run, rules: &dyn Rules, batches: Batches<'_>, steps: usize) -> Result<Vec<Seen>, TrainError> {
        check(self, run)?;
        Ok(probe::probe(run, rules, batches, steps, &self.device))
    }
}

/// The CPU for unit tests. Tests of one process share its threads, so that none may be made the only one.
#[cfg(all(test, feature = "cpu"))]
pub fn testing() -> impl Engine {
    device::testing()
}

/// Whether factors of products can have this precision on the CPU.
#[cfg(feature = "cpu")]
pub fn cpu_computes_in(precision: Precision) -> bool {
    ops::Ops::compute_in(&::burn::tensor::Device::flex(), precision)
}

/// Refuses what burn does not compute.
fn check(device: &device::Opened, run: &Run) -> Result<(), TrainError> {
    if ops::Ops::compute_in(&device.device, run.precision) {
        return Ok(());
    }
    let device = format!("{} ({})", device.info.kind, device.info.name);
    Err(TrainError::Configuration(run.precision.refused(&device)))
}

#[cfg(all(test, feature = "cpu"))]
mod tests {
    use super::*;
    use crate::plan::testing;

    #[test]
    fn a_precision_that_the_device_lacks_is_refused_by_name() {
        let run = testing::small(|spec| spec.train.precision = Precision::Tf32).run;
        let engine = testing();
        let error = engine.probe(&run, &run.table(), &|_, _| (), 1).unwrap_err().to_string();
        assert!(error.contains("train.precision = \"tf32\": the device cpu ("), "{error}");
        assert!(error.ends_with("does not compute in it; train with --device cuda, or write f32"), "{error}");
    }
}
