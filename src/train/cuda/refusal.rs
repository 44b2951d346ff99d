//! What the engine has no kernels for, said by name with what to do instead.

use super::gpu::Number;
use super::launch;
use super::layout::Nowhere;
use super::trace;
use crate::model::Shape;
use crate::plan::Run;
use crate::trainer::TrainError;

/// Head sizes that the kernels of attention are made for.
const HEAD_DIMS: std::ops::RangeInclusive<usize> = 8..=128;

/// Refuses a run that the kernels are not made for.
pub fn check(run: &Run) -> Result<(), TrainError> {
    if !has(&run.shape) {
        return Err(lacking(&run.shape));
    }
    countable(run)?;
    let head_dim = run.shape.head_dim();
    if HEAD_DIMS.contains(&head_dim) && head_dim.is_multiple_of(8) {
        return Ok(());
    }
    Err(TrainError::Configuration(format!(
        "heads of {head_dim} channels: the device cuda has kernels for multiples of 8 from {} to {}; write another \
         model.head_dim, or train on the CPU",
        HEAD_DIMS.start(),
        HEAD_DIMS.end()
    )))
}

/// Refuses what the kernels cannot count: one sequence that is too much for a pass, or tokens of a step. Batches of too many
/// sequences are cut into parts.
fn countable(run: &Run) -> Result<(), TrainError> {
    let Shape { width, context, .. } = run.shape;
    if launch::most_sequences(&run.shape) == 0 {
        return Err(TrainError::Configuration(format!(
            "sequences of {context} tokens at a width of {width}: this is more than the kernels of the device cuda can \
             count; write a smaller model.context, or train on the CPU"
        )));
    }
    let tokens = run.tokens_per_step();
    if i32::try_from(tokens).is_err() {
        return Err(TrainError::Configuration(format!(
            "batches of {tokens} tokens: the device cuda can count {} in a step; write a smaller optimizer.batch_tokens",
            i32::MAX
        )));
    }
    Ok(())
}

/// Refuses a batch that is too much for a pass that is not cut into parts.
pub fn check_whole(run: &Run) -> Result<(), TrainError> {
    check(run)?;
    let (sequences, most) = (run.optimizer.batch_sequences, launch::most_sequences(&run.shape));
    if sequences <= most {
        return Ok(());
    }
    Err(TrainError::Configuration(format!(
        "batches of {sequences} sequences: the device cuda can measure the activations of {most} at a time; write a \
         smaller optimizer.batch_tokens"
    )))
}

/// Why a model cannot be trained: its parts without kernels, or, where each has them, all that it is made of.
pub fn lacking(shape: &Shape) -> TrainError {
    let each = shape.parts.one_by_one();
    let named = |lacks: &dyn Fn(&Shape) -> bool| -> Vec<String> {
        let lacks = each.iter().filter(|(_, parts)| lacks(&Shape { parts: *parts, ..*shape }));
        lacks.map(|(name, _)| name.clone()).collect()
    };
    let mut names = named(&|shape| !has(shape));
    if names.is_empty() {
        names = named(&|_| true);
    }
    TrainError::Configuration(format!(
        "{}: the device cuda has no kernels for this; the devices cpu and wgpu have them: write --device cpu or --device wgpu",
        names.join(", ")
    ))
}

/// Whether there are kernels for all that a model is made of.
fn has(shape: &Shape) -> bool {
    let multipliers = vec![1.0; shape.weights().len()];
    trace::model(shape, (1, Number::F32), &multipliers, &Nowhere::default()).is_ok_and(|model| model.is_some())
}
