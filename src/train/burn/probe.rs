//! Sizes of activations over the first steps of a model in burn.

use burn::tensor::Device;

use super::batch::upload;
use super::model::Model;
use super::optimizer::{self, Optimizer};
use crate::parameterization::Rules;
use crate::plan::Run;
use crate::train::site::{Batches, Seen};

/// Trains `steps` steps of `run` under `rules`, at the peak learning rate and without warm-up, and records all
/// activations before each, on the batch of that step.
pub fn probe(run: &Run, rules: &dyn Rules, batch: Batches<'_>, steps: usize, device: &Device) -> Vec<Seen> {
    let mut model = Model::with_rules(run, rules, device);
    let mut optimizer = Optimizer::new(&run.optimizer, &mut model);
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

#[cfg(all(test, feature = "cpu"))]
mod tests;
