//! Every kernel with what it takes: grid, block, arguments. What it computes is written on top of its source, in `kernels/`.

use std::ops::Range;

use super::gpu::{Address, Argument, Launch, Number, Product};
use super::layout::{self, ALIGNMENT, Activations, BlockActivations, Flat, Normed};
use super::state::State;
use crate::optimizer::{Key, RunOptimizer};
use crate::parameterization::Rule;
use crate::plan::Shape;

/// Threads of most kernels.
const THREADS: u32 = 128;

/// Threads of a warp, which has one row of a normalization.
const WARP: usize = 32;

/// Numbers of one thread of the activation (`GELU_NUMBERS`).
const GELU_NUMBERS: usize = 8;

/// Channels of one thread that turns queries and keys: as many of either half (`ROTATED`).
const ROTATED: usize = 4;

/// Heads that the tensor cores take in bf16 (`ON_TENSOR_CORES`).
const ON_TENSOR_CORES: [usize; 3] = [16, 32, 64];

/// Rows and columns of one block of our own product (`TILE`).
const PRODUCT_TILE: usize = 64;

/// Ids of one block of the embedding's gradient (`EMBED_IDS`).
const EMBED_IDS: usize = 8;

/// Most pieces of a sum over a flat buffer, and numbers of one as long as there are fewer.
pub const MOST_PIECES: usize = 1024;
const PIECE: usize = 4096;

/// Numbers that one block of 256 threads updates.
const UPDATED_AT_ONCE: usize = 1024;

/// What kernels on rows of tokens are told.
#[derive(Clone, Copy, Debug)]
pub struct Act {
    /// Numbers of activations.
    pub number: Number,
    /// The model's shape.
    pub shape: Shape,
    /// Tokens.
    pub rows: usize,
}

/// Tokens on the card: sequences of context + 1.
#[derive(Clone, Copy, Debug)]
pub struct Batch {
    /// The first sequence at place 0 of the ring.
    pub at: Address,
    /// Tokens from a place of the ring to the next.
    pub stride: usize,
    /// Places of the ring.
    pub slots: usize,
    /// Sequences.
    pub sequences: usize,
    /// The state in which the step stands.
    pub state: Address,
}

impl Batch {
    /// Tokens that the model reads.
    pub fn rows(&self, shape: &Shape) -> usize {
        self.sequences * shape.context
    }

    fn arguments(&self, context: usize) -> Vec<Argument> {
        vec![self.at.into(), long(self.stride), int(self.slots), self.state.into(), int(context)]
    }
}

/// The small numbers of a step: `StepState` in the kernels.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StepState {
    /// The step under way, or that comes next, from 0.
    pub step: u32,
    /// The one whose gradient was taken last.
    pub current: u32,
    /// Clip factor, learning rate as a share of its peak, both corrections, norm: each step writes them anew.
    pub numbers: [f32; 5],
    /// Sum of the losses of the steps.
    pub loss_sum: f32,
}

impl StepState {
    /// Bytes on the card.
    pub const BYTES: usize = 64;

    /// As it lies on the card.
    pub fn bytes(&self) -> [u8; Self::BYTES] {
        let floats = self.numbers.into_iter().chain([self.loss_sum]).map(f32::to_bits);
        let mut bytes = [0; Self::BYTES];
        for (place, word) in bytes.chunks_exact_mut(4).zip([self.step, self.current].into_iter().chain(floats)) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    /// From what lies on the card.
    pub fn from_bytes(bytes: &[u8; Self::BYTES]) -> Self {
        let word = |at: usize| u32::from_le_bytes(bytes[4 * at..4 * at + 4].try_into().expect("four bytes"));
        let float = |at| f32::from_bits(word(at));
        Self { step: word(0), current: word(1), numbers: [2, 3, 4, 5, 6].map(float), loss_sum: float(7) }
    }
}

/// What the optimizer knows of one weight: `UpdateRow` in the kernels.
#[derive(Clone, Debug, PartialEq)]
pub struct UpdateRow {
    place: Range<usize>,
    rate: f32,
    decay: f32,
    epsilon: f32,
}

impl UpdateRow {
    /// Bytes on the card.
    pub const BYTES: usize = 32;

    /// The row of a weight at a place of the flat buffers: peak rate, what decay takes at it, and epsilon.
    pub fn new(optimizer: &RunOptimizer, rule: &Rule, place: Range<usize>) -> Self {
        let rate = optimizer.learning_rate * rule.learning_rate;
        let decay = rate * optimizer.weight_decay * rule.weight_decay;
        Self {
            place,
            rate: rate as f32,
            decay: decay as f32,
            epsilon: (optimizer.number(Key::Epsilon) * rule.epsilon) as f32,
        }
    }

    /// As it lies on the card.
    pub fn bytes(&self) -> [u8; Self::BYTES] {
        let Self { place, rate, decay, epsilon } = self;
        let mut bytes = [0; Self::BYTES];
        let places = [place.start, place.end].map(|place| (place as u64).to_le_bytes());
        let floats = [rate, decay, epsilon].map(|number| number.to_le_bytes());
        bytes[..16].copy_from_slice(places.as_flattened());
        bytes[16..28].copy_from_slice(floats.as_flattened());
        bytes
    }
}

/// Number of the weight to which each piece of [`ALIGNMENT`] numbers of a flat buffer belongs.
pub fn owners(flat: &Flat) -> Vec<i32> {
    let pieces = |weight: usize| {
        let length = flat.place(weight).len().div_ceil(ALIGNMENT);
        std::iter::repeat_n(weight.cast_signed() as i32, length)
    };
    (0..flat.count()).flat_map(pieces).collect()
}

/// Pieces of a sum over so many numbers.
pub fn pieces(count: usize) -> usize {
    count.div_ceil(PIECE).min(MOST_PIECES)
}

/// The stream as it begins, multiplier x rows of the table, and its normalization.
pub fn embed_norm(batch: &Batch, act: &Act, (table, multiplier): (Address, f32), to: Normed, gain: Address) -> Launch {
    let mut arguments = batch.arguments(act.shape.context);
    arguments.extend([Argument::from(table), multiplier.into()]);
    arguments.extend(normed(act, to, gain));
    by_warps(named(act.number, "embed_norm_f32", "embed_norm_bf16"), act.rows, arguments)
}

/// Gradient of the table, summed in the order of the tokens.
pub fn embed_backward(
    batch: &Batch,
    act: &Act,
    grad_x: Address,
    (table, multiplier, accumulate): (Address, f32, bool),
) -> Launch {
    let Shape { width: d, vocab, .. } = act.shape;
    let mut arguments = batch.arguments(act.shape.context);
    arguments.extend([Argument::from(grad_x), table.into(), int(d), int(act.rows), int(vocab)]);
    arguments.extend([multiplier.into(), int(usize::from(accumulate))]);
    let shared = extent(EMBED_IDS * d * 4);
    Launch { shared, ..launch("embed_backward", [extent(vocab.div_ceil(EMBED_IDS)), 1, 1], 256, arguments) }
}

/// The stream x + multiplier x branch, and its normalization.
pub fn add_norm(act: &Act, x: Address, (branch, multiplier): (Address, f32), to: Normed, gain: Address) -> Launch {
    let mut arguments = vec![x.into(), branch.into(), multiplier.into()];
    arguments.extend(normed(act, to, gain));
    by_warps(named(act.number, "add_norm_f32", "add_norm_bf16"), act.rows, arguments)
}

/// What both normalizations end with.
fn normed(act: &Act, to: Normed, gain: Address) -> [Argument; 6] {
    let Normed { x, rms, out } = to;
    [gain.into(), x.into(), out.into(), rms.into(), int(act.rows), int(act.shape.width)]
}

/// Gradients through normalization `number` of the step: of the stream, of the branch before with its multiplier, and pieces
/// of that of the gain.
pub fn norm_backward(
    act: &Act,
    (number, normed): (usize, Normed),
    gain: Address,
    activations: &Activations,
    begins: bool,
    branch: Option<f32>,
) -> Launch {
    let Activations { grad_x, grad_narrow, partials, .. } = *activations;
    let d = act.shape.width;
    let rows = layout::sum_rows(act.rows);
    let pieces = act.rows.div_ceil(rows);
    let arguments = vec![
        grad_narrow.into(),
        normed.x.into(),
        normed.rms.into(),
        gain.into(),
        if begins { 0_u64 } else { grad_x }.into(),
        grad_x.into(),
        branch.map_or(0, |_| activations.branch).into(),
        branch.unwrap_or(0.0).into(),
        (partials + (4 * number * pieces * d) as u64).into(),
        int(rows),
        int(act.rows),
        int(d),
    ];
    // A thread has four channels.
    let threads = extent((d / 4).next_multiple_of(WARP).clamp(128, 512));
    launch(named(act.number, "norm_backward_f32", "norm_backward_bf16"), [extent(pieces), 1, 1], threads, arguments)
}

/// Gradients of all gains, of which `places` has the places in the flat buffer, from their pieces.
pub fn gain_reduce(act: &Act, activations: &Activations, state: &State, (norms, accumulate): (usize, bool)) -> Launch {
    let d = act.shape.width;
    let pieces = act.rows.div_ceil(layout::sum_rows(act.rows));
    let arguments = vec![
        activations.partials.into(),
        int(pieces),
        state.gradients.into(),
        state.gains.into(),
        int(d),
        int(usize::from(accumulate)),
    ];
    launch("gain_reduce", [extent(d.div_ceil(WARP)), extent(norms), 1], 256, arguments)
}

/// y = x Phi(x).
pub fn gelu(act: &Act, x: Address, y: Address, count: usize) -> Launch {
    spread(
        named(act.number, "gelu_f32", "gelu_bf16"),
        count.div_ceil(GELU_NUMBERS),
        vec![x.into(), y.into(), long(count)],
    )
}

/// Turns the gradient of y into that of x.
pub fn gelu_backward(act: &Act, x: Address, grad: Address, count: usize) -> Launch {
    let name = named(act.number, "gelu_backward_f32", "gelu_backward_bf16");
    spread(name, count.div_ceil(GELU_NUMBERS), vec![x.into(), grad.into(), long(count)])
}

/// Turns queries and keys by the angles of their positions, in place.
pub fn rotate(act: &Act, tables: [Address; 2], qkv: Address) -> Launch {
    let [cos, sin] = tables.map(Argument::from);
    let mut arguments = vec![qkv.into(), cos, sin, int(act.rows)];
    arguments.extend(heads(act));
    spread(named(act.number, "rotate_f32", "rotate_bf16"), act.rows * act.shape.width / ROTATED, arguments)
}

/// Causal attention.
pub fn attention(act: &Act, block: &BlockActivations, scale: f64) -> Launch {
    let arguments = [block.qkv, block.mixed, block.denominators].map(Argument::from).to_vec();
    attending((act, 3), named(act.number, "attention_f32", "attention_bf16"), arguments, scale)
}

/// What the gradient of attention's softmax subtracts, from what it mixed and the gradient of that.
pub fn attention_deltas(act: &Act, block: &BlockActivations, activations: &Activations) -> Launch {
    let Activations { grad_narrow, deltas, .. } = *activations;
    let mut arguments = [block.mixed, grad_narrow, deltas].map(Argument::from).to_vec();
    arguments.push(int(act.rows));
    arguments.extend(heads(act));
    spread(named(act.number, "attention_deltas_f32", "attention_deltas_bf16"), act.rows * act.shape.heads, arguments)
}

/// Gradient of queries, keys and values, before they were turned, from that of what attention mixed.
pub fn attention_backward(
    act: &Act,
    tables: [Address; 2],
    block: &BlockActivations,
    activations: &Activations,
    scale: f64,
) -> Launch {
    let Activations { grad_narrow, grad_qkv, deltas, .. } = *activations;
    let [cos, sin] = tables;
    let addresses = [block.qkv, cos, sin, block.denominators, deltas, grad_narrow, grad_qkv];
    let name = named(act.number, "attention_backward_f32", "attention_backward_bf16");
    let mut launch = attending((act, 4), name, addresses.map(Argument::from).to_vec(), scale);
    // Half of the blocks have queries, half keys.
    launch.grid[0] *= 2;
    launch
}

/// Cross entropy of rows of logits, `count` of them from row `first` on, as `losses` has them in the order of the batch. With
/// a total of rows, the logits become the gradients of the mean over them by the product without its multiplier.
pub fn cross_entropy(
    act: &Act,
    batch: &Batch,
    activations: &Activations,
    ([first, count], losses, total): ([usize; 2], Address, Option<usize>),
    multiplier: f32,
) -> Launch {
    let mut arguments: Vec<Argument> = vec![activations.logits.into()];
    arguments.extend(batch.arguments(act.shape.context));
    arguments.extend([int(first), int(act.shape.vocab), multiplier.into()]);
    let grid = [extent(count), 1, 1];
    // A thread has two packs of 16 bytes, as long as a block has room for so many threads.
    let packs = act.shape.vocab * act.number.bytes() / 16;
    let threads = extent((packs / 2).next_multiple_of(WARP).clamp(WARP, 1024));
    let Some(total) = total else {
        arguments.push(losses.into());
        return launch(named(act.number, "token_losses_f32", "token_losses_bf16"), grid, threads, arguments);
    };
    arguments.extend([Argument::from((1.0 / total as f64) as f32), losses.into()]);
    launch(named(act.number, "cross_entropy_f32", "cross_entropy_bf16"), grid, threads, arguments)
}

/// Ends a step of so many tokens for all but the weights: its loss, the norm of all gradients and the factor that brings it
/// down to the limit, its rate, and the number of the next.
pub fn settle(state: &State, count: usize, losses: Address, tokens: usize, optimizer: &RunOptimizer) -> Launch {
    let arguments = vec![
        state.gradients.into(),
        long(count),
        state.squares.into(),
        losses.into(),
        int(tokens),
        ((1.0 / tokens as f64) as f32).into(),
        (optimizer.clip_norm as f32).into(),
        state.shares.into(),
        optimizer.number(Key::Beta1).into(),
        optimizer.number(Key::Beta2).into(),
        state.step.into(),
    ];
    launch("settle", [extent(pieces(count)), 1, 1], 256, arguments)
}

/// AdamW of all weights.
pub fn adamw(state: &State, count: usize, optimizer: &RunOptimizer, number: Number) -> Launch {
    let arguments = vec![
        state.masters.into(),
        state.factors.into(),
        state.first.into(),
        state.second.into(),
        state.gradients.into(),
        state.updates.into(),
        state.owners.into(),
        long(count),
        (optimizer.number(Key::Beta1) as f32).into(),
        (optimizer.number(Key::Beta2) as f32).into(),
        state.step.into(),
    ];
    let grid = [extent(count.div_ceil(UPDATED_AT_ONCE)), 1, 1];
    launch(named(number, "adamw_f32", "adamw_bf16"), grid, 256, arguments)
}

/// Sums of |x| over pieces of so many numbers, f64.
pub fn watch(at: Address, number: Number, count: usize, sums: Address) -> Launch {
    let arguments = vec![at.into(), long(count), sums.into()];
    launch(named(number, "watch_f32", "watch_bf16"), [extent(pieces(count)), 1, 1], 256, arguments)
}

/// Sum over heads and visible keys of |scale q.k|, for each row.
pub fn watch_logits(act: &Act, qkv: Address, sums: Address, scale: f64) -> Launch {
    let mut arguments = vec![qkv.into(), sums.into()];
    arguments.extend(scaled_heads(act, scale));
    rows(named(act.number, "watch_logits_f32", "watch_logits_bf16"), act.rows, arguments)
}

/// Our own product.
pub fn product(product: &Product) -> Launch {
    let Product { a, b, out, size: [m, n, k], factors, result, tf32, alpha, beta } = *product;
    let name = match (factors, result) {
        (Number::F32, _) if tf32 => "product_tf32_f32",
        (Number::F32, _) => "product_f32_f32",
        (Number::Bf16, Number::Bf16) => "product_bf16_bf16",
        (Number::Bf16, Number::F32) => "product_bf16_f32",
    };
    let arguments = vec![
        a.at.into(),
        b.at.into(),
        out.into(),
        int(m),
        int(n),
        int(k),
        int(usize::from(a.transposed)),
        int(usize::from(b.transposed)),
        alpha.into(),
        beta.into(),
    ];
    let grid = [extent(n.div_ceil(PRODUCT_TILE)), extent(m.div_ceil(PRODUCT_TILE)), 1];
    launch(name, grid, 128, arguments)
}

/// Context, heads, and their channels.
fn heads(act: &Act) -> [Argument; 3] {
    [act.shape.context, act.shape.heads, act.shape.head_dim()].map(int)
}

/// These, and the factor on the product of query and key.
fn scaled_heads(act: &Act, scale: f64) -> impl Iterator<Item = Argument> {
    heads(act).into_iter().chain([(scale as f32).into()])
}

/// A kernel of attention, with so many tiles of numbers in shared memory where no tensor cores compute.
fn attending((act, tiles): (&Act, usize), kernel: &'static str, mut arguments: Vec<Argument>, scale: f64) -> Launch {
    let Shape { context, heads: count, .. } = act.shape;
    let head_dim = act.shape.head_dim();
    arguments.extend(scaled_heads(act, scale));
    // `MMA_ROWS` and two of `MMA_STAGE`, or `ROWS` and a pitch of one number more than a head has.
    let tensor_cores = act.number == Number::Bf16 && ON_TENSOR_CORES.contains(&head_dim);
    let (rows, shared) = if tensor_cores { (64, 2 * 32 * (head_dim + 10)) } else { (32, tiles * 32 * (head_dim + 1)) };
    let grid = [extent(context.div_ceil(rows)), extent(count), extent(act.rows / context)];
    Launch { shared: extent(4 * shared), ..launch(kernel, grid, THREADS, arguments) }
}

fn named(number: Number, f32: &'static str, bf16: &'static str) -> &'static str {
    match number {
        Number::F32 => f32,
        Number::Bf16 => bf16,
    }
}

/// One warp a row.
fn by_warps(kernel: &'static str, rows: usize, arguments: Vec<Argument>) -> Launch {
    launch(kernel, [extent(rows.div_ceil(THREADS as usize / WARP)), 1, 1], THREADS, arguments)
}

/// One block a row.
fn rows(kernel: &'static str, rows: usize, arguments: Vec<Argument>) -> Launch {
    launch(kernel, [extent(rows), 1, 1], THREADS, arguments)
}

/// One thread a number.
fn spread(kernel: &'static str, count: usize, arguments: Vec<Argument>) -> Launch {
    const TOGETHER: u32 = 256;
    launch(kernel, [extent(count.div_ceil(TOGETHER as usize)), 1, 1], TOGETHER, arguments)
}

fn launch(kernel: &'static str, grid: [u32; 3], threads: u32, arguments: Vec<Argument>) -> Launch {
    Launch { kernel, grid, block: [threads, 1, 1], shared: 0, arguments }
}

fn extent(count: usize) -> u32 {
    u32::try_from(count).expect("a grid")
}

fn int(value: usize) -> Argument {
    i32::try_from(value).expect("a number that a kernel can count to").into()
}

fn long(value: usize) -> Argument {
    i64::try_from(value).expect("a number that a kernel can count to").into()
}
