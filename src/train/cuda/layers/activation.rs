//! What is done with each number by itself, or with a gate and what it multiplies.

use crate::train::cuda::gpu::{Address, Argument, Launch, Number};
use crate::train::cuda::launch::{int, long, spread};
use crate::train::cuda::pass::{Layer, Pass, Scratch};
use crate::trainer::TrainError;

/// Numbers of one thread (`ACTIVATED`).
const ACTIVATED: usize = 8;

/// Which, by its kernels: forward and backward in f32, forward and backward in bf16.
#[derive(Clone, Copy)]
pub struct Function {
    kernels: [[&'static str; 2]; 2],
    /// Whether the first half of the columns of a row is a gate for the second.
    gated: bool,
}

impl Function {
    /// x Phi(x).
    pub const GELU: Self =
        Self { kernels: [["gelu_f32", "gelu_backward_f32"], ["gelu_bf16", "gelu_backward_bf16"]], gated: false };
    /// The square of what is above 0.
    pub const SQUARED_RELU: Self = Self {
        kernels: [
            ["squared_relu_f32", "squared_relu_backward_f32"],
            ["squared_relu_bf16", "squared_relu_backward_bf16"],
        ],
        gated: false,
    };
    /// silu of the gate, times the rest.
    pub const GATED_SILU: Self = Self {
        kernels: [["gated_silu_f32", "gated_silu_backward_f32"], ["gated_silu_bf16", "gated_silu_backward_bf16"]],
        gated: true,
    };
    /// x Phi(x) of the gate, times the rest.
    pub const GATED_GELU: Self = Self {
        kernels: [["gated_gelu_f32", "gated_gelu_backward_f32"], ["gated_gelu_bf16", "gated_gelu_backward_bf16"]],
        gated: true,
    };
    /// The gate times the rest.
    pub const GATED: Self =
        Self { kernels: [["gated_f32", "gated_backward_f32"], ["gated_bf16", "gated_backward_bf16"]], gated: true };

    /// Columns of what comes out, of so many that are given.
    pub fn columns(self, given: usize) -> usize {
        if self.gated { given / 2 } else { given }
    }

    fn kernels(self, number: Number) -> [&'static str; 2] {
        self.kernels[usize::from(number == Number::Bf16)]
    }
}

/// y = f(x).
pub struct Activation {
    /// Which.
    pub function: Function,
    /// What is given, and the columns of its rows.
    pub x: (Address, usize),
    /// What comes out.
    pub y: Address,
    /// Where the gradients of both lie.
    pub gradients: [Address; 2],
}

impl Activation {
    /// Each thread has some numbers of y.
    fn spread(&self, kernel: &'static str, addresses: &[Address], rows: usize) -> Launch {
        let columns = self.function.columns(self.x.1);
        let count = rows * columns;
        let mut arguments: Vec<Argument> = addresses.iter().copied().map(Argument::from).collect();
        arguments.push(long(count));
        if self.function.gated {
            arguments.push(int(columns));
        }
        spread(kernel, count.div_ceil(ACTIVATED), arguments)
    }
}

impl Layer for Activation {
    fn forward(&self, Pass { on, act, .. }: &Pass<'_>) -> Result<(), TrainError> {
        let [forward, _] = self.function.kernels(act.number);
        on.gpu.launch(&self.spread(forward, &[self.x.0, self.y], act.rows))
    }

    /// Without a gate the gradient of y becomes that of x where it lies.
    fn backward(&self, Pass { on, act, .. }: &Pass<'_>) -> Result<(), TrainError> {
        let ([_, backward], [of_x, of_y]) = (self.function.kernels(act.number), self.gradients);
        let addresses = [self.x.0, of_y, of_x];
        on.gpu.launch(&self.spread(backward, &addresses[..2 + usize::from(self.function.gated)], act.rows))
    }

    fn place_gradients(&mut self, of_output: Address, scratch: &mut Scratch<'_>) -> Result<Address, TrainError> {
        let of_input = if self.function.gated { scratch.beside(of_output, self.x.1)? } else { of_output };
        self.gradients = [of_input, of_output];
        Ok(of_input)
    }
}
