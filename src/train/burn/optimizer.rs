//! The optimizer of a run: clipping by the global norm, then a step of each weight by its optimizer (`src/optimizer/`), with
//! the numbers of its row in the table of parameterizations.
//!
//! burn has optimizers of its own; this one clips by the norm over all weights (burn's clip each tensor) and never waits
//! for the device: the norm stays a tensor.

use burn::tensor::{Gradients, Tensor};

use super::composed::clip_factor;
use super::model::Model;
use super::ops::Ops;
use super::weight::Weight;
use crate::optimizer::{OptimizerKind, RunOptimizer, Update};

/// The optimizer's state for one model.
pub struct Optimizer {
    config: RunOptimizer,
    steps: i32,
    /// What is kept of each weight beside its value, in the order of [`Model::weights_mut`].
    moments: Vec<Vec<Tensor<2>>>,
}

impl Optimizer {
    /// An optimizer that has seen no gradient.
    pub fn new(config: &RunOptimizer, model: &mut Model) -> Self {
        let zeros = |weight: &mut Weight| {
            let keeps = config.kind.of(weight.role).part().keeps;
            keeps[1..].iter().map(|_| weight.value.clone().inner().zeros_like()).collect()
        };
        Self { config: config.clone(), steps: 0, moments: model.weights_mut().map(zeros).collect() }
    }

    /// What is kept of each weight beside its value, in the order of [`Model::weights_mut`].
    pub fn moments(&self) -> &[Vec<Tensor<2>>] {
        &self.moments
    }

    /// Goes back to the moments that it had after so many steps.
    pub fn restore(&mut self, steps: usize, moments: Vec<Vec<Tensor<2>>>) {
        assert_eq!(moments.len(), self.moments.len(), "moments of another model");
        self.steps = i32::try_from(steps).expect("steps of a run");
        self.moments = moments;
    }

    /// One step down the gradients, in the order of [`Model::weights_mut`], at a share of the peak learning rate.
    pub fn step(&mut self, model: &mut Model, gradients: Vec<Tensor<2>>, share_of_peak: f64) {
        self.steps += 1;
        let (kind, ops, limit) = (self.config.kind, model.ops(), self.config.clip_norm);
        let update = |weight: &mut Weight| self.config.update(weight.role, &weight.rule, self.steps, share_of_peak);
        let updates: Vec<Update> = model.weights_mut().map(update).collect();
        // Those of AdamW go together, and clip their gradients themselves where there are no others.
        let (gradients, limit) =
            if kind == OptimizerKind::Adamw { (gradients, limit) } else { (clipped(ops, gradients, limit), 0.0) };
        let (mut states, mut together, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
        let each = model.weights_mut().zip(&mut self.moments).zip(gradients).zip(updates);
        for (((weight, moments), gradient), update) in each {
            // Taken out of their places, so that they are updated where they lie.
            let kept = std::mem::take(moments);
            match kind.of(weight.role) {
                OptimizerKind::Adamw => {
                    let [first, second] = of_kept(kept);
                    states.push([weight.take(), first, second]);
                    together.push(gradient);
                    theirs.push(update);
                }
                own => {
                    let [momentum] = of_kept(kept);
                    let [value, momentum] = ops.momentum(own, [weight.take(), momentum], gradient, &update);
                    weight.value = Tensor::from_inner(value).require_grad();
                    *moments = vec![momentum];
                }
            }
        }
        if states.is_empty() {
            return;
        }
        let mut stepped = ops.adamw(states, together, limit, &theirs).into_iter();
        for (weight, moments) in model.weights_mut().zip(&mut self.moments) {
            if kind.of(weight.role) == OptimizerKind::Adamw {
                let [value, first, second] = stepped.next().expect("one for each of AdamW's weights");
                weight.value = Tensor::from_inner(value).require_grad();
                *moments = vec![first, second];
            }
        }
    }
}

/// What is kept of a weight beside its value, as many as its optimizer says.
fn of_kept<const N: usize>(kept: Vec<Tensor<2>>) -> [Tensor<2>; N] {
    kept.try_into().expect("what the optimizer keeps")
}

/// The gradients, their common norm brought down to `limit`.
fn clipped(ops: Ops, gradients: Vec<Tensor<2>>, limit: f64) -> Vec<Tensor<2>> {
    if limit <= 0.0 {
        return gradients;
    }
    let squares = gradients.iter().map(|gradient| ops.sum_squares(gradient.clone())).collect();
    let clip = clip_factor(squares, limit).unsqueeze::<2>();
    gradients.into_iter().map(|gradient| gradient * clip.clone()).collect()
}

/// The gradient of each weight, in the order of [`Model::weights_mut`].
pub fn gradients(model: &mut Model, mut gradients: Gradients) -> Vec<Tensor<2>> {
    let gradient = |weight: &mut Weight| {
        let gradient = weight.value.grad_remove(&mut gradients);
        gradient.unwrap_or_else(|| panic!("{} takes no part in the loss", weight.name))
    };
    model.weights_mut().map(gradient).collect()
}

#[cfg(all(test, feature = "cpu"))]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::parameterization::Parameterization;
    use crate::plan::Run;
    use crate::plan::testing::small;
    use crate::train::burn::batch::upload;

    fn run(parameterization: Parameterization, width: usize) -> Run {
        let mut run = small(|_| ()).run;
        (run.shape.width, run.shape.heads, run.parameterization) = (width, width / 16, parameterization);
        (run.base_width, run.base_depth, run.base_head_dim) = (32, run.shape.depth, 16);
        run.optimizer.weight_decay = 0.0;
        run
    }

    /// Name and largest change of every weight in the first step.
    fn changes(run: &Run) -> Vec<(String, f64)> {
        let device = Device::flex().autodiff();
        let mut model = Model::new(run, &device);
        let mut optimizer = Optimizer::new(&run.optimizer, &mut model);
        let tokens: Vec<u16> = (0..8 * (run.shape.context as u32 + 1)).map(|i| (i * i * 31 % 512) as u16).collect();
        let (ids, targets) = upload(&tokens, run.shape.context, &device);
        let before: Vec<_> = model.weights_mut().map(|weight| weight.value.clone().inner()).collect();
        let loss = model.mean_loss(ids, targets);
        let gradients = gradients(&mut model, loss.backward());
        optimizer.step(&mut model, gradients, 1.0);
        let change = |(weight, before): (&mut Weight, Tensor<2>)| {
            let change = (weight.value.clone().inner() - before).abs().max().into_scalar::<f32>();
            (weight.name.clone(), f64::from(change))
        };
        model.weights_mut().zip(before).map(change).collect()
    }

    /// Adam's first step changes a weight by its learning rate, whatever the gradient: constant for vector-like weights
    /// and the unembedding, and in muP 1/m for matrices from width to width.
    #[test]
    fn the_first_step_of_each_role_scales_with_width_as_the_theory_says() {
        for (parameterization, matrices) in [(Parameterization::Standard, 1.0), (Parameterization::Mup, 0.25)] {
            let run = run(parameterization, 128);
            for (name, change) in changes(&run) {
                let hidden = ["qkv", "attention_out", "mlp_in", "mlp_out"].iter().any(|part| name.ends_with(part));
                let expected = run.optimizer.learning_rate * if hidden { matrices } else { 1.0 };
                assert!((change / expected - 1.0).abs() < 1e-2, "{parameterization:?} {name}: {change}");
            }
        }
    }
}
