//! Causal attention on packed queries, keys and values.

use crate::train::cuda::gpu::{Address, Argument, Launch, Number};
use crate::train::cuda::launch::{Act, extent, int, launch, named, spread};
use crate::train::cuda::pass::{Layer, Pass, Scratch};
use crate::trainer::TrainError;

/// Channels of one thread that turns queries and keys: as many of either half (`ROTATED`).
const ROTATED: usize = 4;

/// Heads that the tensor cores take in bf16 (`ON_TENSOR_CORES`).
const ON_TENSOR_CORES: [usize; 3] = [16, 32, 64];

/// Attention, whose queries and keys may be turned before.
pub struct Attention {
    /// Whether queries and keys are turned by the angles of their positions, in place.
    pub turns: bool,
    /// Queries, keys, values `[rows, 3 d]`.
    pub qkv: Address,
    /// What attention mixes `[rows, d]`.
    pub mixed: Address,
    /// Logarithms of the softmax denominators, f32 `[rows, heads]` in the kernel's order.
    pub denominators: Address,
    /// What the gradient of the softmax subtracts, likewise.
    pub deltas: Address,
    /// Channels of all heads.
    pub width: usize,
    /// Where the gradients of `qkv` and of `mixed` lie.
    pub gradients: [Address; 2],
}

impl Layer for Attention {
    fn forward(&self, Pass { on, act, .. }: &Pass<'_>) -> Result<(), TrainError> {
        if self.turns {
            on.gpu.launch(&rotate(act, on.state.tables, self.qkv))?;
        }
        let arguments = [self.qkv, self.mixed, self.denominators].map(Argument::from).to_vec();
        let name = named(act.number, "attention_f32", "attention_bf16");
        on.gpu.launch(&attending((act, 3), name, arguments, on.recipe.attention_scale))
    }

    /// The gradient of queries and keys is that before they were turned. Tables of no angle turn nothing.
    fn backward(&self, Pass { on, act, .. }: &Pass<'_>) -> Result<(), TrainError> {
        let [of_qkv, of_mixed] = self.gradients;
        let mut arguments = [self.mixed, of_mixed, self.deltas].map(Argument::from).to_vec();
        arguments.push(int(act.rows));
        arguments.extend(act.heads());
        let name = named(act.number, "attention_deltas_f32", "attention_deltas_bf16");
        on.gpu.launch(&spread(name, act.rows * act.shape.heads, arguments))?;
        let [cos, sin] = on.state.tables;
        let addresses = [self.qkv, cos, sin, self.denominators, self.deltas, of_mixed, of_qkv];
        let name = named(act.number, "attention_backward_f32", "attention_backward_bf16");
        let arguments = addresses.map(Argument::from).to_vec();
        let mut launch = attending((act, 4), name, arguments, on.recipe.attention_scale);
        // Half of the blocks have queries, half keys.
        launch.grid[0] *= 2;
        on.gpu.launch(&launch)
    }

    fn place_gradients(&mut self, of_output: Address, scratch: &mut Scratch<'_>) -> Result<Address, TrainError> {
        self.gradients = [scratch.beside(of_output, 3 * self.width)?, of_output];
        Ok(self.gradients[0])
    }
}

/// Turns queries and keys by the angles of their positions, in place.
fn rotate(act: &Act, tables: [Address; 2], qkv: Address) -> Launch {
    let [cos, sin] = tables.map(Argument::from);
    let mut arguments = vec![qkv.into(), cos, sin, int(act.rows)];
    arguments.extend(act.heads());
    spread(named(act.number, "rotate_f32", "rotate_bf16"), act.rows * act.shape.width / ROTATED, arguments)
}

/// A kernel of attention, with so many tiles of numbers in shared memory where no tensor cores compute.
fn attending((act, tiles): (&Act, usize), kernel: &'static str, mut arguments: Vec<Argument>, scale: f64) -> Launch {
    let (context, heads, head_dim) = (act.shape.context, act.shape.heads, act.shape.head_dim());
    arguments.extend(act.heads());
    arguments.push(Argument::from(scale as f32));
    // `MMA_ROWS` and two of `MMA_STAGE`, or `ROWS` and a pitch of one number more than a head has.
    let tensor_cores = act.number == Number::Bf16 && ON_TENSOR_CORES.contains(&head_dim);
    let (rows, shared) = if tensor_cores { (64, 2 * 32 * (head_dim + 10)) } else { (32, tiles * 32 * (head_dim + 1)) };
    let grid = [extent(context.div_ceil(rows) * heads), extent(act.rows / context)];
    Launch { shared: extent(4 * shared), ..launch(kernel, grid, 128, arguments) }
}
