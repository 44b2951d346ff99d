//! The residual stream: how it begins, what is added to it, and its normalization in the same launch.

use crate::model::Norm;
use crate::train::cuda::gpu::{Address, Argument, Launch};
use crate::train::cuda::launch::{Act, WARP, by_warps, extent, int, launch, named, spread};
use crate::train::cuda::pass::{Layer, Pass, Scratch};
use crate::train::cuda::state::Gains;
use crate::trainer::TrainError;

/// Ids and channels of one block of the embedding's gradient (`EMBED_IDS`, `EMBED_CHANNELS`).
const EMBED_IDS: usize = 8;
const EMBED_CHANNELS: usize = 1024;

/// What makes the stream. Weights are numbers, with their multipliers.
#[derive(Clone, Copy)]
pub enum Source {
    /// Rows of a table, and perhaps of one for positions.
    Embedding { table: (usize, f32), positions: Option<(usize, f32)> },
    /// The stream before, and what a branch adds, with its multiplier.
    Added { before: Address, branch: Address, multiplier: f32 },
}

/// How it is normalized.
#[derive(Clone, Copy)]
pub struct Normalized {
    /// By what.
    pub by: Norm,
    /// Number of the gain.
    pub gain: usize,
    /// Its number among the gains of the stream.
    pub number: usize,
}

/// What is added to later on, and so has a gradient of the stream already when the way back comes here.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Later {
    /// Nothing: this is the last normalization.
    Nothing,
    /// The stream, which is normalized for the branch alone.
    Stream,
    /// What comes out, in f32: normalization stands behind the branch. Without one the two are the same.
    Output(Address),
}

/// The stream at one place, and what comes out of its normalization: the factor of a product.
pub struct Stream {
    /// What makes it.
    pub source: Source,
    /// Its normalization; where there is none, it comes out as it is.
    pub norm: Option<Normalized>,
    /// The stream, f32 `[rows, d]`.
    pub x: Address,
    /// 1 / rms of each row, f32 `[rows]`; for layer norm 1 / deviation, and behind them the means.
    pub inverse: Address,
    /// What comes out, `[rows, d]`.
    pub out: Address,
    /// What is added to later on.
    pub later: Later,
    /// Its channels.
    pub width: usize,
    /// Gradient of the stream, f32 `[rows, d]`: one for all.
    pub grad_x: Address,
    /// Where the gradients of the branch and of what comes out lie.
    pub gradients: [Address; 2],
}

impl Stream {
    /// Whether a kernel for every kind is needed, beside that of the usual kind: normalized by the root mean square before a
    /// branch, without positions.
    fn is_unusual(&self) -> bool {
        let positions = matches!(self.source, Source::Embedding { positions: Some(_), .. });
        positions || self.is_centred() || matches!(self.later, Later::Output(_))
    }

    fn is_centred(&self) -> bool {
        self.norm.is_some_and(|norm| norm.by == Norm::Layer)
    }

    /// The gain, and what both normalizations end with.
    fn normed(&self, act: &Act, gain: Address) -> Vec<Argument> {
        let mut arguments: Vec<Argument> = [gain, self.x, self.out, self.inverse].map(Argument::from).to_vec();
        arguments.extend([int(act.rows), int(act.shape.width)]);
        if self.is_unusual() {
            let whole = if let Later::Output(whole) = self.later { whole } else { 0 };
            arguments.extend([int(usize::from(self.is_centred())), whole.into()]);
        }
        arguments
    }

    /// Gradients through the normalization: of the stream, of the branch before with its multiplier, and pieces of that of
    /// the gain.
    fn norm_backward(&self, pass: &Pass<'_>, norm: Normalized) -> Launch {
        let (Pass { on, act, .. }, d) = (pass, pass.act.shape.width);
        let (rows, pieces) = pass.sums();
        let multiplier = if let Source::Added { multiplier, .. } = self.source { multiplier } else { 0.0 };
        let [of_branch, of_output] = self.gradients;
        let mut arguments = vec![
            of_output.into(),
            self.x.into(),
            self.inverse.into(),
            on.master(norm.gain).into(),
            if self.later == Later::Nothing { 0 } else { self.grad_x }.into(),
            self.grad_x.into(),
            of_branch.into(),
            multiplier.into(),
            on.state.gains[Gains::STREAM].partials_of(norm.number, pieces).into(),
            int(rows),
            int(act.rows),
            int(d),
        ];
        let mut name = named(act.number, "norm_backward_f32", "norm_backward_bf16");
        if self.is_unusual() {
            name = named(act.number, "any_norm_backward_f32", "any_norm_backward_bf16");
            let after = matches!(self.later, Later::Output(_));
            arguments.extend([self.is_centred(), after].map(|is| int(usize::from(is))));
        }
        // A thread has four channels.
        let threads = extent((d / 4).next_multiple_of(WARP).clamp(128, 512));
        launch(name, [extent(pieces), 1], threads, arguments)
    }

    /// Gradients of the tables, from that of the stream.
    fn embedding_backward(
        &self,
        pass: &Pass<'_>,
        (table, multiplier): (usize, f32),
        positions: Option<(usize, f32)>,
    ) -> Result<(), TrainError> {
        let (on, act, d) = (pass.on, pass.act, pass.act.shape.width);
        if let Some((weight, multiplier)) = positions {
            let mut arguments: Vec<Argument> = vec![self.grad_x.into(), on.gradient(weight).into()];
            arguments.extend([int(d), int(act.shape.context), int(act.rows), multiplier.into()]);
            arguments.push(int(usize::from(pass.accumulate)));
            on.gpu.launch(&spread("positions_backward", act.shape.context * d, arguments))?;
        }
        let mut arguments = pass.batch.arguments(act.shape.context);
        arguments.extend([Argument::from(self.grad_x), on.gradient(table).into(), int(d)]);
        arguments.extend([int(act.rows), int(act.shape.vocab), multiplier.into()]);
        arguments.push(int(usize::from(pass.accumulate || pass.head == table)));
        let grid = [extent(act.shape.vocab.div_ceil(EMBED_IDS)), extent(d.div_ceil(EMBED_CHANNELS))];
        let launch = launch("embed_backward", grid, 256, arguments);
        on.gpu.launch(&Launch { shared: extent(EMBED_IDS * d.min(EMBED_CHANNELS) * 4), ..launch })
    }
}

impl Layer for Stream {
    fn forward(&self, Pass { on, act, batch, .. }: &Pass<'_>) -> Result<(), TrainError> {
        let (mut arguments, usual, any) = match self.source {
            Source::Embedding { table: (table, multiplier), positions } => {
                let mut arguments = batch.arguments(act.shape.context);
                arguments.extend([Argument::from(on.master(table)), multiplier.into()]);
                if self.is_unusual() {
                    let (rows, multiplier) = positions.map_or((0, 0.0), |(rows, by)| (on.master(rows), by));
                    arguments.extend([Argument::from(rows), multiplier.into()]);
                }
                (arguments, ["embed_norm_f32", "embed_norm_bf16"], ["embed_any_norm_f32", "embed_any_norm_bf16"])
            }
            Source::Added { before, branch, multiplier } => (
                vec![before.into(), branch.into(), multiplier.into()],
                ["add_norm_f32", "add_norm_bf16"],
                ["add_any_norm_f32", "add_any_norm_bf16"],
            ),
        };
        arguments.extend(self.normed(act, self.norm.map_or(0, |norm| on.master(norm.gain))));
        let [f32, bf16] = if self.is_unusual() { any } else { usual };
        on.gpu.launch(&by_warps(named(act.number, f32, bf16), act.rows, arguments))
    }

    fn backward(&self, pass: &Pass<'_>) -> Result<(), TrainError> {
        let (on, act) = (pass.on, pass.act);
        if let Some(norm) = self.norm {
            on.gpu.launch(&self.norm_backward(pass, norm))?;
        } else {
            let count = act.rows * act.shape.width;
            let arguments = vec![self.gradients[1].into(), self.grad_x.into(), int(count)];
            on.gpu.launch(&spread(named(act.number, "add_gradient_f32", "add_gradient_bf16"), count, arguments))?;
        }
        match self.source {
            Source::Embedding { table, positions } => self.embedding_backward(pass, table, positions),
            Source::Added { .. } => Ok(()),
        }
    }

    fn place_gradients(&mut self, of_output: Address, scratch: &mut Scratch<'_>) -> Result<Address, TrainError> {
        let of_branch = match self.source {
            Source::Added { .. } => scratch.beside(of_output, self.width)?,
            Source::Embedding { .. } => 0,
        };
        self.gradients = [of_branch, of_output];
        Ok(of_branch)
    }
}
