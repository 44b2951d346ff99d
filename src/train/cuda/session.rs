//! One run under way on the card: batches go ahead, steps are asked for one by one, and losses come back when they are asked for.

use std::ops::Range;

use super::held::RING;
use super::program::{Program, bytes_of};
use super::seat::Seat;
use super::state::StepState;
use crate::checkpoint::{self, Place};
use crate::data::Corpus;
use crate::optimizer::Kept;
use crate::plan::Run;
use crate::train::engine;
use crate::trainer::TrainError;

/// One run under way.
pub struct Session<'a, S> {
    run: &'a Run,
    corpus: &'a Corpus,
    seat: S,
    /// Steps whose batches are on the card.
    loaded: Range<usize>,
    /// The step that the card does next.
    next: usize,
    /// Losses since they were last forgotten.
    losses: usize,
    tokens: Vec<u16>,
    ahead: Ahead,
    /// Whether the batches of the first ring serve all steps.
    repeats: bool,
}

/// Batches that are drawn and not on the card: one with each step, so that no step waits for those of a whole ring.
struct Ahead {
    /// The step of the first.
    first: usize,
    /// How many there are.
    count: usize,
    /// Their tokens, as they lie on the card.
    bytes: Vec<u8>,
}

impl<'a, S: Seat> Session<'a, S> {
    /// The beginning of a run that has a seat on the card.
    pub fn new(run: &'a Run, corpus: &'a Corpus, seat: S) -> Self {
        let ahead = Ahead { first: 0, count: 0, bytes: Vec::new() };
        Self { run, corpus, seat, loaded: 0..0, next: 0, losses: 0, tokens: Vec::new(), ahead, repeats: false }
    }

    /// Trains on the batches of one ring again and again, to see how fast the card is whatever the text.
    pub fn repeat_batches(&mut self) {
        self.repeats = true;
    }

    /// Where the run lies.
    pub fn seat(&mut self) -> &mut S {
        &mut self.seat
    }

    /// The run on the card, where nobody else works on it.
    pub fn program(&self) -> Option<&Program<'_>> {
        self.seat.program()
    }

    /// Bytes of the card's memory that the run holds.
    pub fn bytes(&self) -> usize {
        self.seat.bytes()
    }

    /// Sees to it that the batch of `step` is on the card, with those after it up to the end of the ring.
    fn load(&mut self, step: usize) -> Result<(), TrainError> {
        if self.repeats && self.loaded.len() == RING {
            return Ok(());
        }
        if !self.loaded.contains(&step) {
            if self.ahead.first != step {
                self.ahead = Ahead { first: step, count: 0, bytes: Vec::new() };
            }
            let end = self.end_of_ring(step);
            while self.ahead.first + self.ahead.count < end {
                self.draw();
            }
            let bytes = std::mem::take(&mut self.ahead.bytes);
            self.ahead = Ahead { first: end, count: 0, bytes: Vec::with_capacity(bytes.len()) };
            self.loaded = step..end;
            self.seat.with(move |program| program.load(step, &bytes))?;
        }
        if self.ahead.first + self.ahead.count < self.end_of_ring(self.ahead.first) {
            self.draw();
        }
        Ok(())
    }

    /// The step behind the last whose batch lies in one ring with that of `step`.
    fn end_of_ring(&self, step: usize) -> usize {
        ((step / RING + 1) * RING).min(self.run.schedule.steps)
    }

    /// Draws the batch behind those that are drawn.
    fn draw(&mut self) {
        let step = self.ahead.first + self.ahead.count;
        self.corpus.train_batch(self.run.seed, self.run.optimizer.batch_sequences, step, &mut self.tokens);
        self.ahead.bytes.extend(bytes_of(&self.tokens));
        self.ahead.count += 1;
    }

    /// Changes the small numbers of a step.
    fn change(&mut self, change: impl FnOnce(StepState) -> StepState + Send + 'static) -> Result<(), TrainError> {
        self.seat.with(move |program| program.set_step_state(&change(program.step_state()?)))
    }
}

impl<S: Seat> engine::Session for Session<'_, S> {
    fn step(&mut self, step: usize) -> Result<(), TrainError> {
        self.load(step)?;
        if step != self.next {
            self.change(move |state| StepState { step: step as u32, ..state })?;
        }
        self.seat.train()?;
        self.next = step + 1;
        self.losses += 1;
        Ok(())
    }

    fn ahead(&self) -> usize {
        self.seat.ahead()
    }

    fn losses(&mut self) -> Result<(f32, usize), TrainError> {
        let sum = self.seat.with(|program| Ok(program.step_state()?.loss_sum))?;
        self.seat.caught_up();
        Ok((sum, self.losses))
    }

    fn forget_losses(&mut self) -> Result<(), TrainError> {
        self.losses = 0;
        self.seat.with(|program| program.set_loss_sum(0.0))
    }

    fn numbers(&mut self, weight: usize, kept: Kept) -> Result<Vec<f32>, TrainError> {
        self.seat.with(move |program| program.read(weight, kept))
    }

    fn restore(&mut self, place: &Place, loss_sum: f32, numbers: Vec<Vec<f32>>) -> Result<(), TrainError> {
        let places = checkpoint::kept(&self.run.shape, self.run.optimizer.kind);
        self.seat.with(move |program| {
            let mut kept = places.into_iter().zip(numbers);
            kept.try_for_each(|((weight, kept), values)| program.write(weight, kept, &values))
        })?;
        (self.next, self.losses) = (place.step, place.losses);
        let step = place.step as u32;
        self.change(move |state| StepState { step, loss_sum, ..state })
    }

    fn token_losses(&mut self, tokens: &[u16]) -> Result<Vec<f32>, TrainError> {
        let tokens = tokens.to_vec();
        self.seat.with(move |program| program.token_losses(&tokens))
    }

    fn best_tokens(&mut self, tokens: &[u16]) -> Result<Vec<u16>, TrainError> {
        let tokens = tokens.to_vec();
        self.seat.with(move |program| program.best_tokens(&tokens))
    }
}
