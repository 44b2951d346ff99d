//! AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101) with the learning rate, the decay and the epsilon of each weight
//! from the table of parameterizations, after clipping by the global norm.
//!
//! burn has an AdamW of its own; this one clips by the norm over all weights (burn's clips each tensor) and never waits
//! for the device: the norm stays a tensor.

use burn::tensor::{Gradients, Tensor};

use super::model::Model;
use super::update::Update;
use super::weight::Weight;
use crate::plan::RunOptimizer;

/// The optimizer's state for one model.
pub struct AdamW {
    config: RunOptimizer,
    steps: i32,
    /// First and second moment of each weight, in the order of [`Model::weights_mut`].
    moments: Vec<[Tensor<2>; 2]>,
}

impl AdamW {
    /// An optimizer that has seen no gradient.
    pub fn new(config: &RunOptimizer, model: &mut Model) -> Self {
        let zeros = |weight: &mut Weight| [(); 2].map(|()| weight.value.clone().inner().zeros_like());
        Self { config: config.clone(), steps: 0, moments: model.weights_mut().map(zeros).collect() }
    }

    /// First and second moment of each weight, in the order of [`Model::weights_mut`].
    pub fn moments(&self) -> &[[Tensor<2>; 2]] {
        &self.moments
    }

    /// Goes back to the moments that it had after so many steps.
    pub fn restore(&mut self, steps: usize, moments: Vec<[Tensor<2>; 2]>) {
        assert_eq!(moments.len(), self.moments.len(), "moments of another model");
        self.steps = i32::try_from(steps).expect("steps of a run");
        self.moments = moments;
    }

    /// One step down the gradients, in the order of [`Model::weights_mut`], at a share of the peak learning rate.
    pub fn step(&mut self, model: &mut Model, gradients: Vec<Tensor<2>>, share_of_peak: f64) {
        self.steps += 1;
        let RunOptimizer { beta1, beta2, epsilon, weight_decay, learning_rate, clip_norm, .. } = self.config;
        // The moments begin at zero; these undo their bias towards it.
        let correction1 = 1.0 - beta1.powi(self.steps);
        let second_correction = (1.0 - beta2.powi(self.steps)).recip();
        let update = |weight: &mut Weight| {
            let rate = learning_rate * share_of_peak * weight.rule.learning_rate;
            let keep = 1.0 - rate * weight_decay * weight.rule.weight_decay;
            let epsilon = epsilon * weight.rule.epsilon;
            Update { beta1, beta2, epsilon, rate: rate / correction1, second_correction, keep }
        };
        let updates: Vec<Update> = model.weights_mut().map(update).collect();
        // Taken out of their places, so that they are updated where they lie.
        let moments = std::mem::take(&mut self.moments);
        let state = |(weight, [first, second]): (&mut Weight, [Tensor<2>; 2])| [weight.take(), first, second];
        let states = model.weights_mut().zip(moments).map(state).collect();
        let states = model.ops().adamw(states, gradients, clip_norm, &updates);
        for (weight, [value, first, second]) in model.weights_mut().zip(states) {
            weight.value = Tensor::from_inner(value).require_grad();
            self.moments.push([first, second]);
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
        let mut optimizer = AdamW::new(&run.optimizer, &mut model);
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
