//! A weight: its values, and the row of the parameterization table that it follows.

use burn::tensor::{Device, Tensor, TensorData};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::{Distribution, StandardNormal};

use crate::parameterization::{Role, Rule, Rules};

/// One weight of the model. Gains are kept as `[1, width]`, so that every weight is a matrix.
#[derive(Clone, Debug)]
pub struct Weight {
    /// Name, as in `blocks.2.qkv`.
    pub name: String,
    /// Its row of the table.
    pub rule: Rule,
    /// Values, `[inputs, outputs]`.
    pub value: Tensor<2>,
}

impl Weight {
    /// Takes the values out, without gradients, so that their memory has one owner.
    pub fn take(&mut self) -> Tensor<2> {
        let nothing = Tensor::empty([1, 1], &self.value.device());
        std::mem::replace(&mut self.value, nothing).inner()
    }
}

/// Draws the initial weights of one model from a generator of its own: burn's seed is one for the whole process.
pub struct Initializer<'a> {
    rules: &'a dyn Rules,
    seed: u64,
    device: &'a Device,
    drawn: u64,
}

impl<'a> Initializer<'a> {
    /// Begins the weights of the model of a seed on `device`.
    pub fn new(rules: &'a dyn Rules, seed: u64, device: &'a Device) -> Self {
        Self { rules, seed, device, drawn: 0 }
    }

    /// The next weight `[inputs, outputs]`, its first `zeros` columns at zero. Each has a stream of its own, so that
    /// none depends on the sizes of those before it.
    pub fn weight(&mut self, name: impl Into<String>, role: Role, shape: [usize; 2], zeros: usize) -> Weight {
        let rule = self.rules.rule(role, shape[0]);
        let mean = if matches!(role, Role::BlockGain | Role::FinalGain) { 1.0 } else { 0.0 };
        let mut generator = ChaCha8Rng::seed_from_u64(self.seed);
        generator.set_stream(self.drawn);
        let drawn = StandardNormal.sample_iter(&mut generator).map(|x: f64| (mean + x * rule.init_std) as f32);
        let begin = |(i, x)| if i % shape[1] < zeros { 0.0 } else { x };
        let values: Vec<f32> = drawn.take(shape[0] * shape[1]).enumerate().map(begin).collect();
        self.drawn += 1;
        let value = Tensor::from_data(TensorData::new(values, shape), self.device).require_grad();
        Weight { name: name.into(), rule, value }
    }
}
