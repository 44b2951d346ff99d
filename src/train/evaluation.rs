//! The validation loss: the same tokens for all runs, with its standard error.

use std::ops::ControlFlow;

use super::engine::Session;
use crate::data::Corpus;
use crate::plan::Run;
use crate::trainer::TrainError;

/// Tokens of one evaluation batch: large enough to be quick, small enough to need less memory than training.
const BATCH_TOKENS: usize = 4096;

/// Tokens of one evaluation batch at a context: whole sequences, one at least.
pub fn batch_rows(context: usize) -> usize {
    (BATCH_TOKENS / context).max(1) * context
}

/// Mean loss over the validation tokens of `run`, in nats per token, and its standard error; nothing where `go_on`,
/// asked after each batch, wants no more.
///
/// The tokens of one sequence depend on each other, so the error is that of the mean over sequences. Sequences of one
/// document do too: as a statement about *other documents* the error would be several times larger (about four times
/// on the RFC text), but every run is measured on the same ones.
pub fn validation_loss(
    session: &mut dyn Session,
    corpus: &Corpus,
    run: &Run,
    go_on: &mut dyn FnMut() -> ControlFlow<()>,
) -> Result<ControlFlow<(), (f64, f64)>, TrainError> {
    let context = run.shape.context;
    let total = corpus.validation_sequences(run.eval.tokens);
    let batch = batch_rows(context) / context;
    let mut sequences = Vec::with_capacity(total);
    let mut tokens = Vec::new();
    for first in (0..total).step_by(batch) {
        let count = batch.min(total - first);
        corpus.validation_batch(run.eval.tokens, first, count, &mut tokens);
        let losses = session.token_losses(&tokens)?;
        let mean = |sequence: &[f32]| sequence.iter().map(|&x| f64::from(x)).sum::<f64>() / context as f64;
        sequences.extend(losses.chunks_exact(context).map(mean));
        if go_on().is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(mean_and_error(&sequences)))
}

/// Mean and its standard error.
fn mean_and_error(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0).max(1.0);
    (mean, (variance / n).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_standard_error_is_that_of_the_mean() {
        let (mean, error) = mean_and_error(&[1.0, 2.0, 3.0, 4.0]);
        assert!((mean - 2.5).abs() < 1e-12);
        assert!((error - (5.0_f64 / 3.0 / 4.0).sqrt()).abs() < 1e-12);
    }
}
