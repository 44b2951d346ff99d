//! Sizes of activations over the first steps of training: what a coordinate check looks at (Yang et al. 2022, arXiv
//! 2203.03466, appendix D.1).

use std::path::Path;

use super::device;
use super::engine::Engine;
use super::trainer::open_corpus;
use crate::data::Corpus;
use crate::plan::Run;
use crate::trainer::TrainError;

/// Where in the model an activation is; blocks count from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Site {
    /// What the embedding gives to the first block.
    Embedding,
    /// Scaled products of queries and keys that the mask leaves.
    AttentionLogits(usize),
    /// What attention would add to the residual stream, before its multiplier.
    Attention(usize),
    /// What the MLP would add to the residual stream, before its multiplier.
    Mlp(usize),
    /// The residual stream after a block.
    Stream(usize),
    /// What the unembedding reads.
    FinalNorm,
    /// What the softmax reads.
    Logits,
}

impl Site {
    /// Its name among models of one depth, `block 2 attention`, or of several, where only the first, the middle and the
    /// last block are the same block in all of them; nothing for the others.
    pub fn name(self, depth: usize, several_depths: bool) -> Option<String> {
        let part = match self {
            Self::Embedding => return Some("embedding".to_owned()),
            Self::FinalNorm => return Some("final norm".to_owned()),
            Self::Logits => return Some("logits".to_owned()),
            Self::AttentionLogits(_) => "attention logits",
            Self::Attention(_) => "attention",
            Self::Mlp(_) => "MLP",
            Self::Stream(_) => "residual stream",
        };
        let (Self::AttentionLogits(block) | Self::Attention(block) | Self::Mlp(block) | Self::Stream(block)) = self
        else {
            return None;
        };
        let place = match block {
            _ if !several_depths => (block + 1).to_string(),
            _ if block + 1 == depth => "last".to_owned(),
            // The stream after the first block holds a share of it that shrinks with depth, as it should.
            0 if matches!(self, Self::Stream(_)) => return None,
            0 => "first".to_owned(),
            _ if 2 * (block + 1) == depth => "middle".to_owned(),
            _ => return None,
        };
        Some(if several_depths { format!("{place} block {part}") } else { format!("block {place} {part}") })
    }
}

/// Mean absolute value of one activation before a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Seen {
    /// The step that comes next, from 1: at 1 the model is as it was drawn.
    pub step: usize,
    /// Which activation.
    pub site: Site,
    /// Mean of |x| over the batch and all channels.
    pub mean_abs: f64,
}

/// Fills in the batch of a step, as [`Corpus::train_batch`] does.
pub type Batches<'a> = &'a dyn Fn(usize, &mut Vec<u16>);

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
