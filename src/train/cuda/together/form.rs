//! What runs have to share so that one launch can be for all of them.

use crate::parameterization::Rules;
use crate::plan::Run;
use crate::train::cuda::held::Held;
use crate::train::cuda::layout::{Nowhere, Room};
use crate::train::cuda::state::Recipe;
use crate::train::evaluation::batch_rows;
use crate::trainer::TrainError;

/// Steps that there is room for at least: those of most runs, so that runs of other lengths are of one form.
const STEPS: usize = 1 << 16;

/// All that decides the launches of a step and the memory that they work on. Runs of one form differ in their weights, data, rates,
/// decays and lengths.
#[derive(Clone, PartialEq)]
pub struct Form {
    recipe: Recipe,
    micro_batches: usize,
    /// Steps that the memory has room for.
    steps: usize,
}

impl Form {
    /// That of a run whose batches are cut into so many parts.
    pub fn of(run: &Run, rules: &dyn Rules, micro_batches: usize) -> Self {
        let mut recipe = Recipe::of(run, rules);
        // Rates lie on the card, a row for each weight.
        recipe.optimizer = recipe.optimizer.without_rates();
        Self { recipe, micro_batches, steps: run.schedule.steps.next_power_of_two().max(STEPS) }
    }

    /// The memory of one run.
    pub fn hold(&self, room: &dyn Room) -> Result<Held, TrainError> {
        let shown = batch_rows(self.recipe.shape.context);
        Held::of(room, self.recipe.clone(), self.steps, self.micro_batches, shown)
    }

    /// Bytes of that memory.
    pub fn bytes(&self) -> Result<usize, TrainError> {
        let nowhere = Nowhere::default();
        self.hold(&nowhere)?;
        Ok(nowhere.in_whole_lines())
    }
}
