//! A model and its optimizer on the card: memory, the copies in and out, and the steps.

use std::rc::Rc;

use super::gpu::{Address, Gpu, Number};
use super::held::{Held, RING};
use super::launch::Batch;
use super::layout::Arena;
use super::loss::Loss;
use super::pass::{OnCard, Pass};
use super::state::{Recipe, StepState};
use super::step::Step;
use super::update::{self, UpdateRow};
use crate::optimizer::{Kept, OptimizerKind, RunOptimizer};
use crate::parameterization::Rules;
use crate::plan::Run;
use crate::train::{initial, rotary};
use crate::trainer::TrainError;

/// A part of a step.
#[derive(Clone, Copy, Debug)]
pub enum Phase {
    /// From tokens to what the unembedding reads.
    Forward,
    /// Loss and gradients.
    Backward,
    /// Clipping, and a step of all weights.
    Optimizer,
}

impl Phase {
    /// All of them, in their order.
    pub const ALL: [Self; 3] = [Self::Forward, Self::Backward, Self::Optimizer];
}

/// A model and its optimizer on the card.
pub struct Program<'g> {
    gpu: &'g dyn Gpu,
    held: Rc<Held>,
    /// Memory that goes with it. Last, so that it goes after what works on it.
    arena: Option<Arena<'g>>,
}

impl<'g> Program<'g> {
    /// The beginning of `run` under `rules`, with the share of the peak rate at each step, in so many micro-batches.
    pub fn new(
        gpu: &'g dyn Gpu,
        (run, rules): (&Run, &dyn Rules),
        shares: &[f32],
        micro_batches: usize,
        shown_rows: usize,
    ) -> Result<Self, TrainError> {
        let arena = Arena::new(gpu);
        let held = Held::of(&arena, Recipe::of(run, rules), shares.len(), micro_batches, shown_rows)?;
        let program = Self { gpu, held: Rc::new(held), arena: Some(arena) };
        let drawn: Vec<initial::Drawn> = initial::weights(run, rules).collect();
        program.begin(&run.optimizer, &drawn, shares)?;
        Ok(program)
    }

    /// One on memory that others have as well, and see to.
    pub fn within(gpu: &'g dyn Gpu, held: Rc<Held>) -> Self {
        Self { gpu, held, arena: None }
    }

    /// Copies everything of a run to the card that does not change, and the weights as they are drawn.
    pub fn begin(&self, optimizer: &RunOptimizer, drawn: &[initial::Drawn], shares: &[f32]) -> Result<(), TrainError> {
        let (gpu, Held { recipe, flat, state, .. }) = (self.gpu, self.held.as_ref());
        let place = |(at, drawn)| UpdateRow::new(optimizer, drawn, flat.place(at)).bytes();
        gpu.upload(state.updates, drawn.iter().enumerate().map(place).collect::<Vec<_>>().as_flattened())?;
        let of_adamw = |weight: usize| {
            let kind = recipe.optimizer.kind;
            kind != OptimizerKind::Muon || kind.of(drawn[weight].role) != kind
        };
        gpu.upload(state.owners, &update::owners(flat, &of_adamw))?;
        let shape = &recipe.shape;
        for (table, at) in rotary::tables(shape).iter().zip(state.tables) {
            gpu.upload(at, &bytes_of_floats(table))?;
        }
        gpu.upload(state.shares, &bytes_of_floats(shares))?;
        let mut weights = drawn.iter().enumerate();
        weights.try_for_each(|(number, drawn)| self.write(number, Kept::Value, &drawn.values))
    }

    /// Bytes of the card's memory that go with it.
    pub fn bytes(&self) -> usize {
        self.arena.as_ref().map_or(0, Arena::taken)
    }

    /// The card.
    pub fn gpu(&self) -> &'g dyn Gpu {
        self.gpu
    }

    /// Writes the numbers of a weight.
    pub fn write(&self, weight: usize, kept: Kept, values: &[f32]) -> Result<(), TrainError> {
        let begin = self.held.flat.place(weight).start as u64;
        self.gpu.upload(self.buffer(kept) + 4 * begin, &bytes_of_floats(values))?;
        if kept == Kept::Value && self.held.recipe.number() == Number::Bf16 {
            let bytes: Vec<u8> = values.iter().flat_map(|value| rounded(*value).to_le_bytes()).collect();
            self.gpu.upload(self.held.state.factors + 2 * begin, &bytes)?;
        }
        Ok(())
    }

    /// Reads the numbers of a weight.
    pub fn read(&self, weight: usize, kept: Kept) -> Result<Vec<f32>, TrainError> {
        let place = self.held.flat.place(weight);
        self.floats(self.buffer(kept) + 4 * place.start as u64, place.len())
    }

    /// Numbers at an address.
    pub fn floats(&self, at: Address, count: usize) -> Result<Vec<f32>, TrainError> {
        let mut bytes = vec![0; 4 * count];
        self.gpu.download(at, &mut bytes)?;
        Ok(bytes.chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().expect("four bytes"))).collect())
    }

    /// Numbers of eight bytes at an address.
    pub fn doubles(&self, at: Address, count: usize) -> Result<Vec<f64>, TrainError> {
        let mut bytes = vec![0; 8 * count];
        self.gpu.download(at, &mut bytes)?;
        Ok(bytes.chunks_exact(8).map(|eight| f64::from_le_bytes(eight.try_into().expect("eight bytes"))).collect())
    }

    /// The small numbers of a step.
    pub fn step_state(&self) -> Result<StepState, TrainError> {
        let mut bytes = [0; StepState::BYTES];
        self.gpu.download(self.held.state.step, &mut bytes)?;
        Ok(StepState::from_bytes(&bytes))
    }

    /// Leaves the run out of steps that are asked for together with others, or takes it in again.
    pub fn set_waits(&self, waits: bool) -> Result<(), TrainError> {
        self.gpu.upload(self.held.state.step + StepState::BEFORE_WAITS, &u32::from(waits).to_le_bytes())
    }

    /// Sets the sum of losses alone, without a look at the others.
    pub fn set_loss_sum(&self, sum: f32) -> Result<(), TrainError> {
        self.gpu.upload(self.held.state.step + StepState::BEFORE_LOSS_SUM, &sum.to_le_bytes())
    }

    /// Sets them.
    pub fn set_step_state(&self, state: &StepState) -> Result<(), TrainError> {
        self.gpu.upload(self.held.state.step, &state.bytes())
    }

    /// Brings the tokens of steps to the card, as [`bytes_of`] gives them, whole batches one after another, of which the first is
    /// that of step `first`; they do not reach over the end of the ring.
    pub fn load(&self, first: usize, tokens: &[u8]) -> Result<(), TrainError> {
        let slot = 2 * self.slot_tokens();
        assert!(first % RING + tokens.len() / slot <= RING, "batches beyond the ring");
        self.gpu.upload(self.held.ring + (first % RING * slot) as u64, tokens)
    }

    /// Asks for one training step on the batch of the step that comes next.
    pub fn train(&self) -> Result<(), TrainError> {
        self.step().train(&self.parts(), self.held.sequences[0])
    }

    /// One phase of a step on the first part of its batch, to see how long it takes.
    pub fn phase(&self, phase: Phase) -> Result<(), TrainError> {
        let (step, batch) = (self.step(), self.parts()[0]);
        let pass = step.pass(&batch, false);
        match phase {
            Phase::Forward => step.forward(&batch, &mut |_, _| Ok(())),
            Phase::Backward => {
                step.loss.backward(&pass, (0, self.held.sequences[0]))?;
                step.backward(&pass)
            }
            Phase::Optimizer => step.optimize(self.held.sequences[0]),
        }
    }

    /// All products of the weights on the first part of a batch.
    pub fn products(&self) -> Result<(), TrainError> {
        self.step().products(&self.parts()[0])
    }

    /// The batch of the next step, in parts.
    fn parts(&self) -> Vec<Batch> {
        let [sequences, part] = self.held.sequences;
        let begin = |first: usize| Batch {
            at: self.held.ring + (first * (self.held.recipe.shape.context + 1) * 2) as u64,
            stride: self.slot_tokens(),
            slots: RING,
            sequences: part.min(sequences - first),
            state: self.held.state.step,
        };
        (0..sequences).step_by(part).map(begin).collect()
    }

    /// Brings tokens to the card that are only shown to the model.
    pub fn show(&self, tokens: &[u16]) -> Result<Batch, TrainError> {
        self.gpu.upload(self.held.shown, &bytes_of(tokens))?;
        let sequences = tokens.len() / (self.held.recipe.shape.context + 1);
        Ok(Batch { at: self.held.shown, stride: 0, slots: 1, sequences, state: self.held.state.step })
    }

    /// Cross entropy of each token of whole sequences.
    pub fn token_losses(&self, tokens: &[u16]) -> Result<Vec<f32>, TrainError> {
        self.of_each_token(tokens, Loss::token_losses)
    }

    /// The most likely token after each of whole sequences, the last left out.
    pub fn best_tokens(&self, tokens: &[u16]) -> Result<Vec<u16>, TrainError> {
        let words = self.of_each_token(tokens, Loss::best_tokens)?;
        Ok(words.into_iter().map(|word| word.to_bits() as u16).collect())
    }

    /// A word for each token of whole sequences, which `make` puts in the place of its loss.
    fn of_each_token(
        &self,
        tokens: &[u16],
        make: fn(&Loss, &Pass<'_>) -> Result<(), TrainError>,
    ) -> Result<Vec<f32>, TrainError> {
        let batch = self.show(tokens)?;
        let step = self.step();
        step.forward(&batch, &mut |_, _| Ok(()))?;
        make(step.loss, &step.pass(&batch, false))?;
        self.floats(self.held.loss.losses, batch.rows(&self.held.recipe.shape))
    }

    /// The launches of a step.
    pub fn step(&self) -> Step<'_> {
        let (gpu, Held { recipe, flat, state, model, loss, muon, .. }) = (self.gpu, self.held.as_ref());
        Step { on: OnCard { gpu, recipe, flat, state }, model, loss, muon: muon.as_ref() }
    }

    fn slot_tokens(&self) -> usize {
        self.held.sequences[0] * (self.held.recipe.shape.context + 1)
    }

    fn buffer(&self, kept: Kept) -> Address {
        match kept {
            Kept::Value => self.held.state.masters,
            Kept::First => self.held.state.first,
            Kept::Second => self.held.state.second,
        }
    }
}

/// The nearest bf16; of two, the even one. What is not a number stays none.
pub fn rounded(value: f32) -> u16 {
    let bits = value.to_bits();
    if value.is_nan() {
        return (bits >> 16) as u16 | 0x40;
    }
    ((bits + 0x7fff + (bits >> 16 & 1)) >> 16) as u16
}

fn bytes_of_floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// Tokens as they lie on the card.
pub fn bytes_of(tokens: &[u16]) -> Vec<u8> {
    tokens.iter().flat_map(|token| token.to_le_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_is_to_the_nearest_and_to_even() {
        let float = |bits: u16| f32::from_bits(u32::from(bits) << 16);
        for (value, expected) in
            [(1.0, 1.0), (1.0 + 1.0 / 256.0, 1.0), (1.0 + 3.0 / 256.0, 1.015_625), (-2.5e-3, -2.502_441_4e-3)]
        {
            assert!((float(rounded(value)) - expected).abs() < 1e-9, "{value}: {}", float(rounded(value)));
        }
        assert!(float(rounded(f32::NAN)).is_nan() && float(rounded(f32::INFINITY)).is_infinite());
    }
}
