//! Muon's step of hidden matrices (`src/optimizer/muon.rs`): all of them at once between its products, each by itself in them.

use super::gpu::{Address, Argument, Factor, Launch, Number, Product, Runs};
use super::launch::{extent, launch, long, spread};
use super::layout::{ALIGNMENT, Flat, Room};
use super::pass::OnCard;
use super::product::{multiply, plain, turned};
use super::update::{UPDATED_AT_ONCE, owners};
use crate::model::{Shape, Weight};
use crate::optimizer::muon::{ITERATIONS, POLYNOMIAL};
use crate::optimizer::{Key, OptimizerKind};
use crate::spec::Precision;
use crate::trainer::TrainError;

/// What it needs beside the state of all optimizers. The matrix that is made orthogonal lies by turns where second moments
/// and where gradients do, which Muon has none of, and no use for any more.
pub struct Muon {
    /// Weights that it steps, and where the squares of each lie in their buffers.
    matrices: Vec<(usize, usize)>,
    /// The weight of each piece of a flat buffer, or -1.
    owners: Address,
    /// Numbers of these weights.
    numbers: Address,
    /// Sums of squares of pieces, and inverses of the norms of weights.
    norms: [Address; 2],
    /// x times its transpose, and the factor that x is multiplied by.
    squares: [Address; 2],
    /// Place and side of each square: `Square` in the kernels.
    places: Address,
    /// The longest side.
    side: usize,
}

impl Muon {
    /// For a model of this shape; nothing where another optimizer is asked for.
    pub fn new(
        room: &dyn Room,
        (shape, flat): (&Shape, &Flat),
        kind: OptimizerKind,
    ) -> Result<Option<Self>, TrainError> {
        if kind != OptimizerKind::Muon {
            return Ok(None);
        }
        let steps = |(_, weight): &(usize, Weight)| kind.of(weight.role) == kind;
        let weights: Vec<usize> = shape.weights().into_iter().enumerate().filter(steps).map(|(at, _)| at).collect();
        let (mut length, mut side) = (0, 0);
        let (mut matrices, mut places) = (Vec::new(), Vec::new());
        for weight in weights {
            let [rows, columns] = flat.shape(weight);
            let shorter = rows.min(columns);
            matrices.push((weight, length));
            places.extend([length as u64, shorter as u64].map(u64::to_le_bytes));
            (length, side) = ((length + shorter * shorter).next_multiple_of(ALIGNMENT), side.max(shorter));
        }
        let owners = owners(flat, &|weight| matrices.iter().any(|(own, _)| *own == weight));
        let numbers: Vec<[u8; 4]> = matrices.iter().map(|(weight, _)| (*weight as u32).to_le_bytes()).collect();
        Ok(Some(Self {
            owners: room.holding(&owners)?,
            numbers: room.holding(numbers.as_flattened())?,
            norms: [room.words(flat.len() / ALIGNMENT)?, room.words(flat.count())?],
            squares: [room.words(length)?, room.words(length)?],
            places: room.holding(places.as_flattened())?,
            matrices,
            side,
        }))
    }

    /// One step of its weights, whose gradients are used up.
    pub fn step(&self, on: &OnCard<'_>) -> Result<(), TrainError> {
        let (state, count) = (on.state, on.flat.len());
        let decay = Argument::from(on.recipe.optimizer.number(Key::Momentum) as f32);
        let [pieces, inverses] = self.norms;
        // Where x lies, and where it goes.
        let [mut x, mut next] = [state.second, state.gradients];
        let ahead = [state.first, state.gradients, x, self.owners, pieces].map(Argument::from);
        on.gpu.launch(&Self::over_all(
            "muon_ahead",
            on,
            &[&ahead[..], &[long(count), decay, state.step.into()]].concat(),
        ))?;
        let norms = [pieces, state.updates, self.numbers, inverses].map(Argument::from).to_vec();
        on.gpu.launch(&launch("muon_norms", [extent(self.matrices.len()), 1], 256, norms))?;
        let normalize = [x, self.owners, inverses].map(Argument::from);
        on.gpu.launch(&Self::over_all("muon_normalize", on, &[&normalize[..], &[long(count)]].concat()))?;
        for _ in 0..ITERATIONS {
            self.iterate(on, x, next)?;
            (x, next) = (next, x);
        }
        let step = [state.masters, on.rounded(), x, state.updates, self.owners].map(Argument::from);
        on.gpu.launch(&Self::over_all("muon_step", on, &[&step[..], &[long(count), state.step.into()]].concat()))
    }

    /// One iteration of Newton and Schulz: from x to (a I + b s + c s s) x with s = x x^T, or the other way round where that is
    /// smaller.
    fn iterate(&self, on: &OnCard<'_>, x: Address, next: Address) -> Result<(), TrainError> {
        let [a, b, c] = POLYNOMIAL.map(|factor| factor as f32);
        let [s, f] = self.squares;
        for &(weight, at) in &self.matrices {
            let [rows, columns] = on.flat.shape(weight);
            let x = x + offset(on, weight);
            let (factors, long) =
                if rows > columns { ([turned(x), plain(x)], rows) } else { ([plain(x), turned(x)], columns) };
            let side = rows.min(columns);
            product(on, factors, s + 4 * at as u64, [side, side, long], (1.0, 0.0))?;
        }
        let arguments = vec![s.into(), f.into(), self.places.into(), a.into(), b.into()];
        let mut factor = spread("muon_factor", self.side * self.side, arguments);
        factor.grid[1] = extent(self.matrices.len());
        on.gpu.launch(&factor)?;
        for &(weight, at) in &self.matrices {
            let [rows, columns] = on.flat.shape(weight);
            let side = rows.min(columns);
            let [s, f] = [s, f].map(|squares| squares + 4 * at as u64);
            product(on, [plain(s), plain(s)], f, [side; 3], (c, 1.0))?;
            let [x, next] = [x, next].map(|matrices| matrices + offset(on, weight));
            let factors = if rows > columns { [plain(x), plain(f)] } else { [plain(f), plain(x)] };
            product(on, factors, next, [rows, columns, side], (1.0, 0.0))?;
        }
        Ok(())
    }

    /// A kernel over all numbers of the flat buffers.
    fn over_all(kernel: &'static str, on: &OnCard<'_>, arguments: &[Argument]) -> Launch {
        launch(kernel, [extent(on.flat.len().div_ceil(UPDATED_AT_ONCE)), 1], 256, arguments.to_vec())
    }
}

/// A product of f32; where the run rounds its factors, they may be rounded to TF32.
fn product(
    on: &OnCard<'_>,
    [a, b]: [Factor; 2],
    out: Address,
    size: [usize; 3],
    (alpha, beta): (f32, f32),
) -> Result<(), TrainError> {
    let tf32 = on.recipe.precision != Precision::F32;
    let (factors, result) = (Number::F32, Number::F32);
    multiply(on.gpu, &Product { a, b, out, size, factors, result, tf32, alpha, beta, runs: Runs::ONE })
}

/// Bytes before a weight in a flat buffer of f32.
fn offset(on: &OnCard<'_>, weight: usize) -> u64 {
    4 * on.flat.place(weight).start as u64
}
