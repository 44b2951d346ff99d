//! The optimizer of a run: clipping by the global norm, then a step of each weight by its optimizer (`src/optimizer/`), with
//! the numbers of its row in the table of parameterizations.
//!
//! burn has optimizers of its own; this one clips by the norm over all weights (burn's clip each tensor) and never waits
//! for the device: the norm stays a tensor.

use burn::tensor::{Gradients, Tensor};

use super::model::Model;
use super::ops::Ops;
use super::weight::Weight;
use crate::optimizer::RunOptimizer;

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
        let ops = model.ops();
        let clip = clip_factor(ops, &gradients, self.config.clip_norm);
        for ((weight, gradient), moments) in model.weights_mut().zip(gradients).zip(&mut self.moments) {
            let update = self.config.update(weight.role, &weight.rule, self.steps, share_of_peak);
            // Taken out of their places, so that they are updated where they lie.
            let mut kept = vec![weight.take()];
            kept.append(moments);
            let mut kept = ops.step(self.config.kind.of(weight.role), kept, gradient, clip.clone(), update);
            *moments = kept.split_off(1);
            weight.value = Tensor::from_inner(kept.remove(0)).require_grad();
        }
    }
}

/// The gradient of each weight, in the order of [`Model::weights_mut`].
pub fn gradients(model: &mut Model, mut gradients: Gradients) -> Vec<Tensor<2>> {
    let gradient = |weight: &mut Weight| {
        let gradient = weight.value.grad_remove(&mut gradients);
        gradient.unwrap_or_else(|| panic!("{} takes no part in the loss", weight.name))
    };
    model.weights_mut().map(gradient).collect()
}

/// Factor `[1]` that brings the common norm of all gradients down to `limit`, at most 1; 0 leaves them alone.
fn clip_factor(ops: Ops, gradients: &[Tensor<2>], limit: f64) -> Tensor<1> {
    if limit <= 0.0 {
        return Tensor::ones([1], &gradients[0].device());
    }
    let squares = gradients.iter().map(|gradient| ops.sum_squares(gradient.clone()));
    let norm = squares.reduce(|a, b| a + b).expect("a model has weights").sqrt();
    norm.add_scalar(f32::MIN_POSITIVE).recip().mul_scalar(limit).clamp_max(1.0)
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
