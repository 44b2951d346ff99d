//! Rows times a weight.

use crate::train::cuda::gpu::{Address, Number};
use crate::train::cuda::pass::{Layer, Pass, Scratch};
use crate::train::cuda::product::{plain, turned};
use crate::trainer::TrainError;

/// out = alpha x weight.
pub struct Linear {
    /// Number of the weight.
    pub weight: usize,
    /// Its inputs and outputs.
    pub size: [usize; 2],
    /// Its multiplier, unless that waits for the residual stream.
    pub alpha: f32,
    /// What is given, `[rows, inputs]`.
    pub x: Address,
    /// What comes out, `[rows, outputs]`.
    pub out: Address,
    /// Where the gradients of both lie.
    pub gradients: [Address; 2],
}

impl Layer for Linear {
    fn forward(&self, Pass { on, act, .. }: &Pass<'_>) -> Result<(), TrainError> {
        let [inputs, outputs] = self.size;
        let result = (self.out, act.number);
        on.product(
            [plain(self.x), plain(on.factor(self.weight))],
            result,
            [act.rows, outputs, inputs],
            (self.alpha, 0.0),
        )
    }

    fn backward(&self, pass: &Pass<'_>) -> Result<(), TrainError> {
        let (Pass { on, act, .. }, [inputs, outputs], [grad_x, grad]) = (pass, self.size, self.gradients);
        let to = (on.gradient(self.weight), Number::F32);
        on.product([turned(self.x), plain(grad)], to, [inputs, outputs, act.rows], (self.alpha, pass.beta()))?;
        let factors = [plain(grad), turned(on.factor(self.weight))];
        on.product(factors, (grad_x, act.number), [act.rows, inputs, outputs], (self.alpha, 0.0))
    }

    fn place_gradients(&mut self, of_output: Address, scratch: &mut Scratch<'_>) -> Result<Address, TrainError> {
        self.gradients = [scratch.beside(of_output, self.size[0])?, of_output];
        Ok(self.gradients[0])
    }

    fn is_product(&self) -> bool {
        true
    }
}
