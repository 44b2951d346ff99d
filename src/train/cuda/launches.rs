//! Every kernel with what it takes: grid, block, arguments. What it computes is written on top of its source, in `kernels/`.

use super::gpu::{Address, Argument, Launch, Number, Product};
use super::layout::{ALIGNMENT, Activations, BlockActivations, Flat, Normed};
use super::step::State;
use crate::parameterization::Rule;
use crate::plan::{RunOptimizer, Shape};

/// Threads of most kernels.
const THREADS: u32 = 128;

/// Threads of a kernel of one block.
const ALONE: u32 = 1024;

/// Rows of one block of attention (`ROWS`), and bytes of one of its tiles.
const ATTENTION_ROWS: usize = 32;
const ATTENTION_TILE: u32 = 32 * 129 * 4;

/// Rows and columns of one block of our own product (`TILE`).
const PRODUCT_TILE: usize = 32;

/// Ids of one block of the embedding's gradient (`EMBED_IDS`).
const EMBED_IDS: usize = 8;

/// Numbers of one piece of the norm (`SQUARES`).
const SQUARES: usize = 4096;

/// What kernels on rows of tokens are told.
#[derive(Clone, Copy, Debug)]
pub struct Act {
    /// Numbers of activations.
    pub number: Number,
    /// The model's shape.
    pub shape: Shape,
    /// Tokens.
    pub rows: usize,
    /// Rows of one piece of a sum over rows.
    pub sum_rows: usize,
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
        vec![self.at.into(), self.state.into(), int(self.slots), long(self.stride), int(context)]
    }
}

/// The small numbers of a step: `StepState` in the kernels.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StepState {
    /// The step that comes next, from 0.
    pub step: u32,
    /// The one under way, or done last.
    pub current: u32,
    /// Learning rate as a share of its peak, both corrections, norm and clip factor: each step writes them anew.
    pub numbers: [f32; 5],
    /// Sum of the losses of the steps.
    pub loss_sum: f32,
}

impl StepState {
    /// Bytes on the card.
    pub const BYTES: usize = 32;

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
pub struct UpdateRow([f32; 4]);

impl UpdateRow {
    /// Bytes on the card.
    pub const BYTES: usize = 16;

    /// The row of a weight: peak rate, decay coefficient and epsilon, each with its factor of the parameterization.
    pub fn new(optimizer: &RunOptimizer, rule: &Rule) -> Self {
        let rate = optimizer.learning_rate * rule.learning_rate;
        let decay = optimizer.weight_decay * rule.weight_decay;
        Self([rate as f32, decay as f32, (optimizer.epsilon * rule.epsilon) as f32, 0.0])
    }

    /// As it lies on the card.
    pub fn bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|number| number.to_le_bytes()).collect()
    }
}

/// Number of the weight to which each piece of [`ALIGNMENT`] numbers of a flat buffer belongs.
pub fn owners(flat: &Flat) -> Vec<i32> {
    let pieces = |weight: usize| {
        let length = flat.place(weight).len().div_ceil(ALIGNMENT);
        std::iter::repeat_n(weight as i32, length)
    };
    (0..flat.count()).flat_map(pieces).collect()
}

/// Pieces of the norm over so many numbers.
pub fn pieces(count: usize) -> usize {
    count.div_ceil(SQUARES)
}

/// The numbers of the step that begins.
pub fn advance(state: &State, optimizer: &RunOptimizer) -> Launch {
    let betas = [optimizer.beta1, optimizer.beta2].map(|beta| beta as f32);
    let arguments = vec![state.step.into(), state.shares.into(), betas[0].into(), betas[1].into()];
    launch("advance", [1, 1, 1], 1, arguments)
}

/// x = multiplier x rows of the table.
pub fn embed(batch: &Batch, act: &Act, table: Address, x: Address, multiplier: f32) -> Launch {
    let mut arguments = batch.arguments(act.shape.context);
    arguments.extend([table.into(), multiplier.into(), x.into(), int(act.shape.width)]);
    rows("embed", act.rows, arguments)
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
    arguments.extend([Argument::from(grad_x), multiplier.into(), table.into()]);
    arguments.extend([int(d), int(act.rows), int(vocab), int(usize::from(accumulate))]);
    let shared = extent(EMBED_IDS * d * 4);
    Launch { shared, ..launch("embed_backward", [extent(vocab.div_ceil(EMBED_IDS)), 1, 1], 256, arguments) }
}

/// x_out = x + multiplier x branch, and its normalization.
pub fn add_norm(act: &Act, x: Address, added: Option<(Address, f32)>, to: Normed, gain: Address) -> Launch {
    let (branch, multiplier) = added.unwrap_or((0, 0.0));
    let arguments = vec![
        x.into(),
        branch.into(),
        multiplier.into(),
        gain.into(),
        to.x.into(),
        to.out.into(),
        to.rms.into(),
        int(act.shape.width),
    ];
    rows(named(act.number, "add_norm_f32", "add_norm_bf16"), act.rows, arguments)
}

/// Gradients through a normalization: of the stream, of the gain, and of the branch before with its multiplier.
pub fn norm_backward(
    act: &Act,
    normed: Normed,
    (gain, grad_gain): (Address, Address),
    activations: &Activations,
    (begins, accumulate): (bool, bool),
    branch: Option<f32>,
) -> [Launch; 2] {
    let Activations { grad_x, grad_narrow, partials, .. } = *activations;
    let d = act.shape.width;
    let pieces = act.rows.div_ceil(act.sum_rows);
    let arguments = vec![
        normed.x.into(),
        normed.rms.into(),
        gain.into(),
        grad_narrow.into(),
        if begins { 0_u64 } else { grad_x }.into(),
        grad_x.into(),
        branch.map_or(0, |_| activations.branch).into(),
        branch.unwrap_or(0.0).into(),
        partials.into(),
        int(act.rows),
        int(d),
    ];
    let summing = vec![partials.into(), grad_gain.into(), int(pieces), int(d), int(usize::from(accumulate))];
    let name = named(act.number, "norm_backward_f32", "norm_backward_bf16");
    [Launch { shared: extent(4 * d), ..rows(name, pieces, arguments) }, spread("gain_gradient", d, summing)]
}

/// y = x Phi(x).
pub fn gelu(act: &Act, x: Address, y: Address, count: usize) -> Launch {
    spread(named(act.number, "gelu_f32", "gelu_bf16"), count, vec![x.into(), y.into(), long(count)])
}

/// Turns the gradient of y into that of x.
pub fn gelu_backward(act: &Act, x: Address, grad: Address, count: usize) -> Launch {
    let name = named(act.number, "gelu_backward_f32", "gelu_backward_bf16");
    spread(name, count, vec![x.into(), grad.into(), long(count)])
}

/// Causal attention with rotary positions.
pub fn attention(act: &Act, tables: [Address; 2], block: &BlockActivations, scale: f64) -> Launch {
    let mut arguments = vec![block.qkv.into()];
    arguments.extend(tables.map(Argument::from));
    arguments.extend([block.mixed, block.denominators].map(Argument::from));
    attending((act, 3), named(act.number, "attention_f32", "attention_bf16"), arguments, scale)
}

/// Gradient of queries, keys and values from that of what attention mixed.
pub fn attention_backward(
    act: &Act,
    tables: [Address; 2],
    block: &BlockActivations,
    activations: &Activations,
    scale: f64,
) -> [Launch; 2] {
    let Activations { grad_narrow, grad_qkv, delta, .. } = *activations;
    let begin = || [block.qkv, tables[0], tables[1]].into_iter();
    let addresses = |rest: &[Address]| begin().chain(rest.iter().copied()).map(Argument::from).collect();
    let queries = addresses(&[block.mixed, block.denominators, grad_narrow, delta, grad_qkv]);
    let keys = addresses(&[block.denominators, grad_narrow, delta, grad_qkv]);
    [
        attending((act, 4), named(act.number, "attention_queries_f32", "attention_queries_bf16"), queries, scale),
        attending((act, 4), named(act.number, "attention_keys_f32", "attention_keys_bf16"), keys, scale),
    ]
}

/// Cross entropy of rows of logits, `count` of them from row `first` on. With a total of rows, the logits become the
/// gradients of the mean over them by the product without its multiplier.
pub fn cross_entropy(
    act: &Act,
    batch: &Batch,
    activations: &Activations,
    ([first, count], total): ([usize; 2], Option<usize>),
    multiplier: f32,
) -> Launch {
    let mut arguments: Vec<Argument> = vec![activations.logits.into()];
    arguments.extend(batch.arguments(act.shape.context));
    let weight = total.map_or(0.0, |total| (1.0 / total as f64) as f32);
    arguments.extend([int(first), multiplier.into(), weight.into(), activations.losses.into(), int(act.shape.vocab)]);
    launch(named(act.number, "cross_entropy_f32", "cross_entropy_bf16"), [extent(count), 1, 1], 256, arguments)
}

/// Adds the rows' share of the mean loss over `total` rows to the sum of losses.
pub fn sum_losses(state: &State, losses: Address, rows: usize, total: usize) -> Launch {
    let weight = (1.0 / total as f64) as f32;
    launch("sum_losses", [1, 1, 1], ALONE, vec![losses.into(), int(rows), weight.into(), state.step.into()])
}

/// The factor that brings the norm of all gradients down to the limit.
pub fn clip(state: &State, count: usize, limit: f64) -> [Launch; 2] {
    let pieces = pieces(count);
    let squares = vec![state.gradients.into(), state.squares.into(), long(count)];
    let finish = vec![state.squares.into(), int(pieces), (limit as f32).into(), state.step.into()];
    [launch("sum_squares", [extent(pieces), 1, 1], 256, squares), launch("clip", [1, 1, 1], ALONE, finish)]
}

/// AdamW of all weights.
pub fn adamw(state: &State, count: usize, optimizer: &RunOptimizer) -> Launch {
    let rounded = if state.factors == state.masters { 0 } else { state.factors };
    let arguments = vec![
        state.masters.into(),
        rounded.into(),
        state.first.into(),
        state.second.into(),
        state.gradients.into(),
        state.updates.into(),
        state.owners.into(),
        state.step.into(),
        (optimizer.beta1 as f32).into(),
        (optimizer.beta2 as f32).into(),
        long(count),
    ];
    spread("adamw", count, arguments)
}

/// Mean of |factor x| over so many numbers, one f64.
pub fn mean_abs(at: Address, number: Number, count: usize, factor: f32, mean: Address) -> Launch {
    let arguments = vec![at.into(), long(count), factor.into(), mean.into()];
    launch(named(number, "mean_abs_f32", "mean_abs_bf16"), [1, 1, 1], ALONE, arguments)
}

/// Sums over visible keys of |scale q.k|, one f64 for each head of each sequence.
pub fn attention_logits(act: &Act, tables: [Address; 2], qkv: Address, sums: Address, scale: f64) -> Launch {
    let mut arguments = vec![qkv.into()];
    arguments.extend(tables.map(Argument::from));
    arguments.push(sums.into());
    arguments.extend(heads(act, scale));
    let grid = [extent(act.shape.heads), extent(act.rows / act.shape.context), 1];
    launch(named(act.number, "attention_logits_f32", "attention_logits_bf16"), grid, 256, arguments)
}

/// Our own product.
pub fn product(product: &Product) -> Launch {
    let Product { a, b, out, size: [m, n, k], factors, result, tf32, alpha, beta } = *product;
    let name = match (factors, result) {
        (Number::F32, _) if tf32 => "product_tf32",
        (Number::F32, _) => "product_f32",
        (Number::Bf16, Number::Bf16) => "product_bf16",
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
    launch(name, grid, 256, arguments)
}

/// Context, width, heads, and the factor on the product of query and key.
fn heads(act: &Act, scale: f64) -> [Argument; 4] {
    [int(act.shape.context), int(act.shape.width), int(act.shape.heads), (scale as f32).into()]
}

/// A kernel of attention with so many tiles.
fn attending((act, tiles): (&Act, u32), kernel: &'static str, mut arguments: Vec<Argument>, scale: f64) -> Launch {
    let Shape { context, heads: count, .. } = act.shape;
    arguments.extend(heads(act, scale));
    let grid = [extent(context.div_ceil(ATTENTION_ROWS)), extent(count), extent(act.rows / context)];
    Launch { shared: tiles * ATTENTION_TILE, ..launch(kernel, grid, THREADS, arguments) }
}

fn named(number: Number, f32: &'static str, bf16: &'static str) -> &'static str {
    match number {
        Number::F32 => f32,
        Number::Bf16 => bf16,
    }
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
