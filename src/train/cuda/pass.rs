//! What a layer of a model is on the card: launches that go forward, and launches that go back.

use super::gpu::{Address, Factor, Gpu, Number, Product, Runs};
use super::launch::{Act, Batch};
use super::layout::{self, Flat, Room};
use super::product::multiply;
use super::state::{Recipe, State};
use crate::spec::Precision;
use crate::trainer::TrainError;

/// One layer: what a kernel or a few do with the rows of a batch.
pub trait Layer {
    /// From what the layers before gave.
    fn forward(&self, pass: &Pass<'_>) -> Result<(), TrainError>;

    /// From the gradient of what this layer gave to that of what it was given, and to those of its weights.
    fn backward(&self, pass: &Pass<'_>) -> Result<(), TrainError>;

    /// Told before any pass where the gradient of what it gives will lie; says where that of what it is given will. The two
    /// may be one place where it works number by number.
    fn place_gradients(&mut self, of_output: Address, scratch: &mut Scratch<'_>) -> Result<Address, TrainError>;

    /// Whether it is a product with a weight and nothing else.
    fn is_product(&self) -> bool {
        false
    }
}

/// A run on a card.
#[derive(Clone, Copy)]
pub struct OnCard<'a> {
    /// The card.
    pub gpu: &'a dyn Gpu,
    /// What stays the same over the run.
    pub recipe: &'a Recipe,
    /// Order of the weights.
    pub flat: &'a Flat,
    /// Its state.
    pub state: &'a State,
}

impl OnCard<'_> {
    /// A product of numbers of the run's precision.
    pub fn product(
        &self,
        [a, b]: [Factor; 2],
        (out, result): (Address, Number),
        size: [usize; 3],
        (alpha, beta): (f32, f32),
    ) -> Result<(), TrainError> {
        let tf32 = self.recipe.precision == Precision::Tf32;
        let product =
            Product { a, b, out, size, factors: self.recipe.number(), result, tf32, alpha, beta, runs: Runs::ONE };
        multiply(self.gpu, &product)
    }

    /// The weights in bf16, where products take them so.
    pub fn rounded(&self) -> Address {
        if self.recipe.number() == Number::Bf16 { self.state.factors } else { 0 }
    }

    /// A weight in f32.
    pub fn master(&self, weight: usize) -> Address {
        self.state.masters + 4 * self.flat.place(weight).start as u64
    }

    /// The gradient of a weight.
    pub fn gradient(&self, weight: usize) -> Address {
        self.state.gradients + 4 * self.flat.place(weight).start as u64
    }

    /// A weight as a factor of products.
    pub fn factor(&self, weight: usize) -> Address {
        self.state.factors + (self.recipe.number().bytes() * self.flat.place(weight).start) as u64
    }
}

/// One batch, or a part of one, on its way.
#[derive(Clone, Copy)]
pub struct Pass<'a> {
    /// The run.
    pub on: OnCard<'a>,
    /// Its rows.
    pub act: Act,
    /// Its tokens.
    pub batch: Batch,
    /// Whether gradients of weights are added to what is there.
    pub accumulate: bool,
    /// The weight whose gradient the loss has begun.
    pub head: usize,
}

impl Pass<'_> {
    /// Pieces of the gradients of gains.
    pub fn sums(&self) -> (usize, usize) {
        let rows = layout::sum_rows(self.act.rows);
        (rows, self.act.rows.div_ceil(rows))
    }

    /// What stays of the gradient of a weight before this part of the batch.
    pub fn beta(&self) -> f32 {
        if self.accumulate { 1.0 } else { 0.0 }
    }
}

/// Memory that holds numbers from one layer to the next, by the columns of a row.
pub struct Scratch<'a> {
    room: &'a dyn Room,
    rows: usize,
    number: Number,
    taken: Vec<(usize, Address)>,
}

impl<'a> Scratch<'a> {
    /// Nothing yet, for so many rows.
    pub fn new(room: &'a dyn Room, rows: usize, number: Number) -> Self {
        Self { room, rows, number, taken: Vec::new() }
    }

    /// Memory for rows of so many columns, at another place than `other`.
    pub fn beside(&mut self, other: Address, columns: usize) -> Result<Address, TrainError> {
        if let Some((_, at)) = self.taken.iter().find(|(of, at)| *of == columns && *at != other) {
            return Ok(*at);
        }
        let at = self.room.numbers(self.rows * columns, self.number)?;
        self.taken.push((columns, at));
        Ok(at)
    }
}
