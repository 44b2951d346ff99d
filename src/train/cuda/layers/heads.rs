//! Queries, keys and values as attention reads them: each head of queries and keys normalized, and keys and values once for
//! each head of queries.

use crate::train::cuda::gpu::{Address, Argument, Launch};
use crate::train::cuda::launch::{WARP, extent, int, launch, named};
use crate::train::cuda::pass::{Layer, Pass, Scratch};
use crate::train::cuda::state::Gains;
use crate::trainer::TrainError;

/// Warps of a block of either kernel (`HEADS_WARPS`).
const WARPS: usize = 8;

/// From packed `[rows, (heads + 2 kv_heads) channels]` to `qkv` `[rows, 3 d]`.
pub struct Heads {
    /// Heads of queries, heads of keys, channels of one.
    pub sizes: [usize; 3],
    /// Gains of queries and keys where they are normalized: weights, and the number of the first among those of heads.
    pub gains: Option<([usize; 2], usize)>,
    /// What is given.
    pub packed: Address,
    /// 1 / rms of each head, f32 `[rows, heads + kv_heads]`.
    pub inverses: Address,
    /// What comes out.
    pub qkv: Address,
    /// Where the gradients of both lie.
    pub gradients: [Address; 2],
}

impl Heads {
    /// Heads of a row as it is given.
    fn packed_heads(&self) -> usize {
        self.sizes[0] + 2 * self.sizes[1]
    }
}

/// So many blocks of either kernel.
fn blocks(kernel: &'static str, count: usize, arguments: Vec<Argument>) -> Launch {
    launch(kernel, [extent(count), 1], extent(WARPS * WARP), arguments)
}

impl Layer for Heads {
    fn forward(&self, Pass { on, act, .. }: &Pass<'_>) -> Result<(), TrainError> {
        let gains = self.gains.map_or([0; 2], |(gains, _)| gains.map(|gain| on.master(gain)));
        let mut arguments = [self.packed, gains[0], gains[1], self.qkv, self.inverses].map(Argument::from).to_vec();
        arguments.push(int(act.rows));
        arguments.extend(self.sizes.map(int));
        let name = named(act.number, "heads_f32", "heads_bf16");
        on.gpu.launch(&blocks(name, (act.rows * self.packed_heads()).div_ceil(WARPS), arguments))
    }

    fn backward(&self, pass: &Pass<'_>) -> Result<(), TrainError> {
        let (Pass { on, act, .. }, [of_packed, of_qkv]) = (pass, self.gradients);
        let gains = self.gains.map_or([0; 2], |(gains, _)| gains.map(|gain| on.master(gain)));
        let (rows, pieces) = pass.sums();
        let sums = self.gains.map_or([0; 2], |(_, first)| {
            [first, first + 1].map(|number| on.state.gains[Gains::HEADS].partials_of(number, pieces))
        });
        let addresses = [of_qkv, self.packed, self.inverses, gains[0], gains[1], of_packed, sums[0], sums[1]];
        let mut arguments = addresses.map(Argument::from).to_vec();
        arguments.extend([int(rows), int(act.rows)]);
        arguments.extend(self.sizes.map(int));
        let name = named(act.number, "heads_backward_f32", "heads_backward_bf16");
        on.gpu.launch(&blocks(name, pieces, arguments))
    }

    fn place_gradients(&mut self, of_output: Address, scratch: &mut Scratch<'_>) -> Result<Address, TrainError> {
        self.gradients = [scratch.beside(of_output, self.packed_heads() * self.sizes[2])?, of_output];
        Ok(self.gradients[0])
    }
}
