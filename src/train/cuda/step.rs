//! One training step as launches, read from top to bottom: forward, loss, backward, optimizer. What a layer launches stands
//! in `layers/`; what a kernel computes, in its source.

use super::gpu::Launch;
use super::launch::{Act, Batch, WARP, extent, int, launch};
use super::loss::Loss;
use super::muon::Muon;
use super::optimizer;
use super::pass::{OnCard, Pass};
use super::state::Gains;
use super::trace::Model;
use super::watch::Watched;
use crate::train::site::Site;
use crate::trainer::TrainError;

/// Told of every activation of the forward pass, where somebody watches.
pub type Watch<'a> = &'a mut dyn FnMut(Site, Watched) -> Result<(), TrainError>;

/// One step of one run.
pub struct Step<'a> {
    /// The run.
    pub on: OnCard<'a>,
    /// The model.
    pub model: &'a Model,
    /// What it is trained to.
    pub loss: &'a Loss,
    /// What Muon needs, where it is the optimizer.
    pub muon: Option<&'a Muon>,
}

impl Step<'_> {
    /// A whole step on micro-batches, each with its tokens; `sequences` are those of all of them.
    pub fn train(&self, parts: &[Batch], sequences: usize) -> Result<(), TrainError> {
        let mut done = 0;
        for batch in parts {
            let pass = self.pass(batch, done > 0);
            self.forward(batch, &mut |_, _| Ok(()))?;
            self.loss.backward(&pass, (done, sequences))?;
            self.backward(&pass)?;
            done += batch.sequences;
        }
        self.optimize(sequences)
    }

    /// From tokens to what the unembedding reads.
    pub fn forward(&self, batch: &Batch, watch: Watch<'_>) -> Result<(), TrainError> {
        let pass = self.pass(batch, false);
        for (number, layer) in self.model.layers.iter().enumerate() {
            layer.forward(&pass)?;
            for (_, site, watched) in self.model.watched.iter().filter(|(behind, ..)| *behind == number) {
                watch(*site, *watched)?;
            }
        }
        Ok(())
    }

    /// From the gradient of what the unembedding reads to those of all weights.
    pub fn backward(&self, pass: &Pass<'_>) -> Result<(), TrainError> {
        for layer in self.model.layers.iter().rev() {
            layer.backward(pass)?;
        }
        let gains = self.on.state.gains.iter().filter(|gains| gains.count > 0);
        gains.map(|gains| gain_reduce(pass, gains)).try_for_each(|launch| self.on.gpu.launch(&launch))
    }

    /// Loss, clipping, and a step of all weights, after so many sequences.
    pub fn optimize(&self, sequences: usize) -> Result<(), TrainError> {
        let tokens = sequences * self.on.recipe.shape.context;
        optimizer::step(&self.on, self.muon, (self.loss.losses, tokens))
    }

    /// All products of the weights of a step on a batch, of whatever lies in memory: how long they take alone.
    pub fn products(&self, batch: &Batch) -> Result<(), TrainError> {
        let pass = self.pass(batch, false);
        for layer in self.model.layers.iter().filter(|layer| layer.is_product()) {
            layer.forward(&pass)?;
            layer.backward(&pass)?;
        }
        for (first, count) in self.loss.pieces(pass.act.rows) {
            self.loss.logits(&pass, first, count)?;
            self.loss.products_backward(&pass, [first, count])?;
        }
        Ok(())
    }

    /// A batch on its way.
    pub fn pass(&self, batch: &Batch, accumulate: bool) -> Pass<'_> {
        let shape = self.on.recipe.shape;
        let act = Act { number: self.on.recipe.number(), shape, rows: batch.rows(&shape) };
        Pass { on: self.on, act, batch: *batch, accumulate, head: self.loss.head.0 }
    }
}

/// Gradients of all gains of one size from their pieces.
fn gain_reduce(pass: &Pass<'_>, gains: &Gains) -> Launch {
    let (_, pieces) = pass.sums();
    let arguments = vec![
        gains.partials.into(),
        int(pieces),
        pass.on.state.gradients.into(),
        gains.places.into(),
        int(gains.columns),
        int(usize::from(pass.accumulate)),
    ];
    launch("gain_reduce", [extent(gains.columns.div_ceil(WARP)), extent(gains.count)], 256, arguments)
}
