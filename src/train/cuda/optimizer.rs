//! What ends a step: its loss and the norm of all gradients, then a step of all weights by their optimizer
//! (`src/optimizer/`), with the numbers of their rows in the table of parameterizations.

use super::gpu::{Address, Argument, Launch};
use super::launch::{extent, int, launch, long, named, pieces};
use super::muon::Muon;
use super::pass::OnCard;
use super::update::UPDATED_AT_ONCE;
use crate::optimizer::{Key, OptimizerKind};
use crate::trainer::TrainError;

/// Ends a step: its loss, whose parts lie at `losses` for so many tokens, clipping, and a step of all weights.
pub fn step(on: &OnCard<'_>, muon: Option<&Muon>, (losses, tokens): (Address, usize)) -> Result<(), TrainError> {
    let (optimizer, state, number) = (&on.recipe.optimizer, on.state, on.recipe.number());
    on.gpu.launch(&settle(on, losses, tokens))?;
    let number_at = |key| Argument::from(optimizer.number(key) as f32);
    let betas = [Key::Beta1, Key::Beta2].map(number_at);
    let momentum = [number_at(Key::Momentum)];
    let moments = [state.first, state.second];
    let (kernel, kept, own) = match optimizer.kind {
        OptimizerKind::Adamw => (named(number, "adamw_f32", "adamw_bf16"), &moments[..], &betas[..]),
        OptimizerKind::Lion => (named(number, "lion_f32", "lion_bf16"), &moments[..1], &betas[..]),
        OptimizerKind::Sgd => (named(number, "sgd_f32", "sgd_bf16"), &moments[..1], &momentum[..]),
        // AdamW steps those that Muon does not.
        OptimizerKind::Muon => (named(number, "adamw_some_f32", "adamw_some_bf16"), &moments[..], &betas[..]),
    };
    on.gpu.launch(&updating(on, kernel, kept, own))?;
    muon.map_or(Ok(()), |muon| muon.step(on))
}

/// The loss of a step of so many tokens, the norm of all gradients and the factor that brings it down to the limit, the
/// step's rate, and the number of the next.
fn settle(on: &OnCard<'_>, losses: Address, tokens: usize) -> Launch {
    let (state, count, optimizer) = (on.state, on.flat.len(), &on.recipe.optimizer);
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
    launch("settle", [extent(pieces(count)), 1], 256, arguments)
}

/// A kernel that steps weights: it takes them, their copies in bf16, what is kept of them, gradients, rows, owners, how many
/// numbers there are, its own numbers, and the state of the step.
fn updating(on: &OnCard<'_>, kernel: &'static str, kept: &[Address], own: &[Argument]) -> Launch {
    let (state, count) = (on.state, on.flat.len());
    let mut arguments: Vec<Argument> = vec![state.masters.into(), state.factors.into()];
    arguments.extend(kept.iter().copied().map(Argument::from));
    arguments.extend([state.gradients, state.updates, state.owners].map(Argument::from));
    arguments.push(long(count));
    arguments.extend(own);
    arguments.push(state.step.into());
    launch(kernel, [extent(count.div_ceil(UPDATED_AT_ONCE)), 1], 256, arguments)
}
