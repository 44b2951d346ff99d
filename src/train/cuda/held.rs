//! What a run holds on the card, from first to last: where it lies, and how much it is.

use super::gpu::{Address, Number};
use super::launch;
use super::layout::{self, ALIGNMENT, Flat, Nowhere, Room};
use super::loss::Loss;
use super::muon::Muon;
use super::refusal;
use super::state::{Gains, Recipe, State, StepState};
use super::trace::{self, Model};
use super::update::UpdateRow;
use crate::plan::Run;
use crate::train::evaluation::batch_rows;
use crate::trainer::TrainError;

/// Batches on the card at a time.
pub const RING: usize = 32;

/// A model, its optimizer and its batches on the card.
pub struct Held {
    /// What does not change.
    pub recipe: Recipe,
    /// Where weights lie in the flat buffers.
    pub flat: Flat,
    /// The flat buffers, and what is as large as they are.
    pub state: State,
    /// Activations and their launches.
    pub model: Model,
    /// Logits and losses.
    pub loss: Loss,
    /// What Muon needs.
    pub muon: Option<Muon>,
    /// Batches of the steps to come: that of step s at place s mod [`RING`].
    pub ring: Address,
    /// Tokens to be evaluated.
    pub shown: Address,
    /// Sequences of a step, and of one part of it.
    pub sequences: [usize; 2],
}

impl Held {
    /// Of a run with so many steps, each in at least so many micro-batches, and rows to be evaluated at a time.
    pub fn of(
        room: &dyn Room,
        recipe: Recipe,
        steps: usize,
        micro_batches: usize,
        shown_rows: usize,
    ) -> Result<Self, TrainError> {
        let shape = recipe.shape;
        let sequences = recipe.optimizer.batch_sequences;
        // In more parts than asked for where the kernels cannot count so far.
        let part = sequences.div_ceil(micro_batches.clamp(1, sequences)).min(launch::most_sequences(&shape)).max(1);
        let flat = Flat::of(&shape);
        let (number, rows) = (recipe.number(), (part * shape.context).max(shown_rows));
        let model =
            trace::model(&shape, (rows, number), &recipe.multipliers, room)?.ok_or_else(|| refusal::lacking(&shape))?;
        let (ends, step_rows) = ((model.last, model.head), sequences * shape.context);
        let loss = Loss::new(room, &shape, ends, [rows, step_rows], number)?;
        let gains = gains(room, (&flat, &model), rows)?;
        let state = memory(room, &flat, (&recipe, gains), steps)?;
        let muon = Muon::new(room, (&shape, &flat), recipe.optimizer.kind)?;
        let ring = room.bytes(RING * sequences * (shape.context + 1) * 2)?;
        let shown = room.bytes(shown_rows / shape.context * (shape.context + 1) * 2)?;
        Ok(Self { recipe, flat, state, model, loss, muon, ring, shown, sequences: [sequences, part] })
    }
}

/// Bytes that a run takes of a card, its batches whole. The driver's own, some hundred MB, come once for each process.
pub fn bytes(run: &Run) -> Result<usize, TrainError> {
    let nowhere = Nowhere::default();
    Held::of(&nowhere, Recipe::of(run, &run.table()), run.schedule.steps, 1, batch_rows(run.shape.context))?;
    Ok(nowhere.taken())
}

/// Memory for the gradients of gains on so many rows, and the places of those.
fn gains(room: &dyn Room, (flat, model): (&Flat, &Model), rows: usize) -> Result<[Gains; 2], TrainError> {
    let of = |weights: &Vec<usize>| {
        let places: Vec<_> = weights.iter().map(|weight| flat.place(*weight)).collect();
        let (count, columns) = (places.len(), places.first().map_or(0, ExactSizeIterator::len));
        if count == 0 {
            return Ok(Gains { count, columns, places: 0, partials: 0 });
        }
        let bytes: Vec<u8> = places.iter().flat_map(|place| (place.start as u64).to_le_bytes()).collect();
        let places = room.holding(&bytes)?;
        let partials = room.words(count * layout::most_pieces(rows) * columns)?;
        Ok(Gains { count, columns, places, partials })
    };
    Ok([of(&model.gains[Gains::STREAM])?, of(&model.gains[Gains::HEADS])?])
}

/// Memory for the state of a run.
fn memory(
    room: &dyn Room,
    flat: &Flat,
    (recipe, gains): (&Recipe, [Gains; 2]),
    steps: usize,
) -> Result<State, TrainError> {
    let len = flat.len();
    let angles = recipe.shape.context * recipe.shape.head_dim() / 2;
    let masters = room.words(len)?;
    Ok(State {
        masters,
        factors: if recipe.number() == Number::Bf16 { room.numbers(len, Number::Bf16)? } else { masters },
        gradients: room.words(len)?,
        first: room.words(len)?,
        second: room.words(len)?,
        step: room.bytes(StepState::WHOLE)?,
        shares: room.words(steps)?,
        updates: room.bytes(flat.count() * UpdateRow::BYTES)?,
        owners: room.words(len / ALIGNMENT)?,
        squares: room.words(launch::pieces(len))?,
        gains,
        tables: [room.words(angles)?, room.words(angles)?],
    })
}
