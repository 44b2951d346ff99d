//! Sizes of activations over the first steps of training: what a coordinate check looks at (Yang et al. 2022, arXiv
//! 2203.03466, appendix D.1).

use std::path::Path;

use burn::tensor::{Bool, Device, Tensor};

use super::composed::rotate;
use super::device;
use super::model::Model;
use super::ops::Positions;
use super::optimizer::{self, AdamW};
use super::session::upload;
use crate::data::Corpus;
use crate::parameterization::Rules;
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

/// Told of every activation; its mean absolute value is computed only if asked for, so that training pays nothing.
pub type Watch<'a> = &'a mut dyn FnMut(Site, &dyn Fn() -> f64);

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

/// Trains `steps` steps of `run` under `rules`, at the peak learning rate and without warm-up, and records all
/// activations before each, on the batch of that step, which `batch` fills in as [`Corpus::train_batch`] does.
fn probe(
    run: &Run,
    rules: &dyn Rules,
    batch: &dyn Fn(usize, &mut Vec<u16>),
    steps: usize,
    device: &Device,
) -> Vec<Seen> {
    let mut model = Model::with_rules(run, rules, device);
    let mut optimizer = AdamW::new(&run.optimizer, &mut model);
    let (mut seen, mut tokens) = (Vec::new(), Vec::new());
    for step in 1..=steps {
        batch(step - 1, &mut tokens);
        let (ids, targets) = upload(&tokens, run.shape.context, device);
        model.without_gradients().watch(ids.clone().inner(), &mut |site, mean_abs| {
            seen.push(Seen { step, site, mean_abs: mean_abs() });
        });
        if step < steps {
            let loss = model.mean_loss(ids, targets);
            let gradients = optimizer::gradients(&mut model, loss.backward());
            optimizer.step(&mut model, gradients, 1.0);
        }
    }
    seen
}

/// A device and a corpus to probe runs on.
pub struct Prober {
    device: Device,
    corpus: Corpus,
}

impl Prober {
    /// Opens a device by its name and the corpus of `run` from `cache`.
    pub fn open(device: &str, threads: usize, run: &Run, cache: &Path) -> Result<Self, TrainError> {
        let corpus = Corpus::open(&run.data, &run.corpus, run.shape.context, cache)
            .map_err(|error| TrainError::Configuration(error.to_string()))?;
        Ok(Self { device: device::open(device, threads)?.device, corpus })
    }

    /// Sizes of all activations of a run before each of its first steps, taken at the peak learning rate.
    pub fn probe(&self, run: &Run, steps: usize) -> Vec<Seen> {
        let sequences = run.optimizer.batch_sequences;
        let batch = |step: usize, out: &mut Vec<u16>| self.corpus.train_batch(run.seed, sequences, step, out);
        probe(run, &run.table(), &batch, steps, &self.device)
    }
}

/// Mean absolute value of all elements.
pub fn mean_abs(x: Tensor<2>) -> f64 {
    f64::from(x.abs().mean().into_scalar::<f32>())
}

/// Mean absolute value of the scaled products of query and key, from packed `qkv` `[n, 3 d]`, that the causal mask
/// leaves.
pub fn mean_abs_logits(qkv: &Tensor<2>, heads: usize, positions: &Positions, scale: f64) -> f64 {
    let [n, three_d] = qkv.dims();
    let context = positions.cos.dims()[0];
    let (batch, d) = (n / context, three_d / 3);
    let packed = qkv.clone().reshape([batch, context, 3 * heads, d / heads]).swap_dims(1, 2);
    let [q, k] = [0, 1].map(|part| rotate(packed.clone().narrow(1, part * heads, heads), positions));
    let hidden = Tensor::<2, Bool>::tril_mask([context, context], 0, &q.device()).unsqueeze::<4>();
    let sum = q.matmul(k.swap_dims(2, 3)).mul_scalar(scale).mask_fill(hidden, 0.0).abs().sum();
    let visible = batch * heads * context * (context + 1) / 2;
    f64::from(sum.into_scalar::<f32>()) / visible as f64
}

#[cfg(all(test, feature = "cpu"))]
mod tests;
