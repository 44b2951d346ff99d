//! The engine of the CPU and of wgpu, and the only place that knows burn: model, optimizer, kernels.
//!
//! From the bottom: `update`, `positions` and `weight` are nouns; `kernels` (the CPU's) and `composed` (burn's own
//! operations) compute; `ops` and `parts` choose between them; `pass` hands it to the parts of `model`; `optimizer` uses it; `session`,
//! `probe` and `bench` train.

mod batch;
mod bench;
mod composed;
mod device;
#[cfg(feature = "cpu")]
mod kernels;
mod model;
pub mod ops;
mod optimizer;
mod parts;
mod pass;
pub mod positions;
mod probe;
mod session;
mod update;
mod wait;
mod watch;
mod weight;

pub use device::{description, missing};

use super::engine::Bench;
use super::engine::{Engine, Session};
use super::site::{Batches, Seen};
use crate::data::Corpus;
use crate::parameterization::Rules;
use crate::plan::Run;
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
        check(&self.info, run)?;
        Ok(Box::new(session::Session::new(run, corpus, &self.device, micro_batches)))
    }

    fn measure<'a>(&'a self, run: &'a Run, corpus: &'a Corpus) -> Result<Box<dyn Bench + 'a>, TrainError> {
        check(&self.info, run)?;
        Ok(Box::new(bench::Stepper::new(run, corpus, &self.device)))
    }

    fn probe(&self, run: &Run, rules: &dyn Rules, batches: Batches<'_>, steps: usize) -> Result<Vec<Seen>, TrainError> {
        check(&self.info, run)?;
        Ok(probe::probe(run, rules, batches, steps, &self.device))
    }
}

/// The CPU for unit tests. Tests of one process share its threads, so that none may be made the only one.
#[cfg(all(test, feature = "cpu"))]
pub fn testing() -> impl Engine {
    device::testing()
}

/// Refuses what burn does not compute.
fn check(info: &DeviceInfo, run: &Run) -> Result<(), TrainError> {
    if run.precision == Precision::F32 {
        return Ok(());
    }
    Err(TrainError::Configuration(format!(
        "train.precision = {:?}: the device {} computes in f32 only; train on cuda, or write f32",
        run.precision.name(),
        info.kind
    )))
}

#[cfg(all(test, feature = "cpu"))]
mod tests {
    use super::*;
    use crate::plan::testing;

    #[test]
    fn a_precision_that_the_device_lacks_is_refused_by_name() {
        let run = testing::small(|spec| spec.train.precision = Precision::Bf16).run;
        let engine = testing();
        let error = engine.probe(&run, &run.table(), &|_, _| (), 1).unwrap_err().to_string();
        assert!(error.contains("train.precision = \"bf16\": the device cpu computes in f32 only"), "{error}");
    }
}
