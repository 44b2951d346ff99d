//! Sizes of activations over the first steps of training: what a coordinate check looks at (Yang et al. 2022, arXiv
//! 2203.03466, appendix D.1).

use std::path::Path;

use super::device;
use super::engine::Engine;
use super::site::Seen;
use super::trainer::open_corpus;
use crate::data::Corpus;
use crate::plan::Run;
use crate::trainer::TrainError;

/// A device and a corpus to probe runs on.
pub struct Prober {
    engine: Box<dyn Engine>,
    corpus: Corpus,
}

impl Prober {
    /// Opens a device by its name and the corpus of `run` from `cache`.
    pub fn open(device: &str, threads: usize, run: &Run, cache: &Path) -> Result<Self, TrainError> {
        Ok(Self { corpus: open_corpus(run, cache)?, engine: device::open(device, threads)? })
    }

    /// Sizes of all activations of a run before each of its first steps, taken at the peak learning rate.
    pub fn probe(&self, run: &Run, steps: usize) -> Result<Vec<Seen>, TrainError> {
        let sequences = run.optimizer.batch_sequences;
        let batch = |step: usize, out: &mut Vec<u16>| self.corpus.train_batch(run.seed, sequences, step, out);
        self.engine.probe(run, &run.table(), &batch, steps)
    }
}
