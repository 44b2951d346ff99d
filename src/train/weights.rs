//! A weight: its values, and the row of the parameterization table that it follows.

use burn::tensor::{Device, Tensor, TensorData};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::{Distribution, StandardNormal};

use crate::parameterization::{Role, Rule, rule};
use crate::plan::Run;

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

/// Draws the initial weights of one model from the run's own generator: burn's seed is one for the whole process.
pub struct Initializer<'a> {
    run: &'a Run,
    device: &'a Device,
    drawn: u64,
}

impl<'a> Initializer<'a> {
    /// Begins the weights of `run` on `device`.
    pub fn new(run: &'a Run, device: &'a Device) -> Self {
        Self { run, device, drawn: 0 }
    }

    /// The next weight. Each has a stream of its own, so that none depends on the sizes of those before it.
    pub fn weight(&mut self, name: impl Into<String>, role: Role, shape: [usize; 2]) -> Weight {
        let rule = rule(self.run.parameterization, role, shape[0], &self.run.scale());
        let count = shape[0] * shape[1];
        let values: Vec<f32> = if role == Role::Vector {
            vec![1.0; count]
        } else {
            let mut generator = ChaCha8Rng::seed_from_u64(self.run.seed);
            generator.set_stream(self.drawn);
            StandardNormal.sample_iter(&mut generator).take(count).map(|x: f64| (x * rule.init_std) as f32).collect()
        };
        self.drawn += 1;
        let value = Tensor::from_data(TensorData::new(values, shape), self.device).require_grad();
        Weight { name: name.into(), rule, value }
    }
}
