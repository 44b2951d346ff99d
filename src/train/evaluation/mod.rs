//! What is measured of a trained model: the validation loss, on the same tokens for all runs, also by position; and tasks.

mod sequences;
mod tasks;

use std::ops::{ControlFlow, Range};

pub use self::sequences::batch_rows;
use self::sequences::{mean, mean_and_error};
use super::engine::Session;
use crate::columns::{PART_LOSS, POSITION_LOSS};
use crate::data::Corpus;
use crate::plan::Run;
use crate::trainer::{Measured, TrainError};

/// Mean loss over the validation tokens of `run`, in nats per token, its standard error, and what else the run asks for;
/// nothing where `go_on`, asked after each batch, wants no more.
///
/// The tokens of one sequence depend on each other, so the error is that of the mean over sequences. Sequences of one
/// document do too: as a statement about *other documents* the error would be several times larger (about four times
/// on the RFC text), but every run is measured on the same ones.
#[allow(clippy::type_complexity)] // Loss, its error, and what else was measured, or that it was to stop.
pub fn evaluate(
    session: &mut dyn Session,
    corpus: &Corpus,
    run: &Run,
    go_on: &mut dyn FnMut() -> ControlFlow<()>,
) -> Result<ControlFlow<(), (f64, f64, Vec<Measured>)>, TrainError> {
    let ControlFlow::Continue(sequences) = validation_losses(session, corpus, run, go_on)? else {
        return Ok(ControlFlow::Break(()));
    };
    let Sequences { whole, octaves } = sequences;
    let parts = by_part(&corpus.validation_parts(run.eval.tokens), &whole);
    let (loss, error) = mean_of_parts(&parts).unwrap_or_else(|| mean_and_error(&whole));
    let mut evaluations: Vec<Measured> = octaves.iter().map(Octave::measured).collect();
    evaluations.extend(parts);
    for task in &run.eval.tasks {
        evaluations.extend(tasks::measure(session, corpus, run, task)?);
        if go_on().is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue((loss, error, evaluations)))
}

/// Mean losses of each validation sequence, in nats: the losses of its tokens are not kept, which may be a corpus of them.
struct Sequences {
    /// Over all positions.
    whole: Vec<f64>,
    /// Over those of each octave, where the run asks for them.
    octaves: Vec<Octave>,
}

impl Sequences {
    fn of(context: usize, by_position: bool) -> Self {
        Self { whole: Vec::new(), octaves: if by_position { octaves(context) } else { Vec::new() } }
    }

    /// Takes in the losses of one more sequence.
    fn add(&mut self, losses: &[f32]) {
        self.whole.push(mean(losses));
        for octave in &mut self.octaves {
            octave.means.push(mean(&losses[octave.first - 1..octave.last]));
        }
    }
}

/// Losses of each validation sequence.
fn validation_losses(
    session: &mut dyn Session,
    corpus: &Corpus,
    run: &Run,
    go_on: &mut dyn FnMut() -> ControlFlow<()>,
) -> Result<ControlFlow<(), Sequences>, TrainError> {
    let context = run.shape.context;
    let total = corpus.validation_sequences(run.eval.tokens);
    let batch = batch_rows(context) / context;
    let mut sequences = Sequences::of(context, run.eval.by_position);
    let mut tokens = Vec::new();
    for first in (0..total).step_by(batch) {
        let count = batch.min(total - first);
        corpus.validation_batch(run.eval.tokens, first, count, &mut tokens);
        let losses = session.token_losses(&tokens)?;
        losses.chunks_exact(context).for_each(|losses| sequences.add(losses));
        if go_on().is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(sequences))
}

/// The loss on each part of a mixture, of which these are the sequences.
fn by_part(parts: &[(&str, Range<usize>)], whole: &[f64]) -> Vec<Measured> {
    let measured = |(name, sequences): &(&str, Range<usize>)| {
        let (value, standard_error) = mean_and_error(&whole[sequences.clone()]);
        Measured { name: format!("{PART_LOSS}{name}"), value, standard_error, chance: None }
    };
    parts.iter().map(measured).collect()
}

/// The mean over parts of as many sequences each, and its error: how far the parts are apart is no part of it.
fn mean_of_parts(parts: &[Measured]) -> Option<(f64, f64)> {
    let n = parts.len() as f64;
    let variance: f64 = parts.iter().map(|part| part.standard_error * part.standard_error).sum();
    (!parts.is_empty()).then(|| (parts.iter().map(|part| part.value).sum::<f64>() / n, variance.sqrt() / n))
}

/// Positions by the number of tokens that are seen before them and with them: 1, 2 to 3, 4 to 7 and so on.
struct Octave {
    first: usize,
    last: usize,
    /// The mean loss of each sequence there.
    means: Vec<f64>,
}

impl Octave {
    fn measured(&self) -> Measured {
        let Self { first, last, means } = self;
        let (value, standard_error) = mean_and_error(means);
        let places = if first == last { first.to_string() } else { format!("{first}-{last}") };
        Measured { name: format!("{POSITION_LOSS}{places}"), value, standard_error, chance: None }
    }
}

fn octaves(context: usize) -> Vec<Octave> {
    let firsts = std::iter::successors(Some(1), |first| Some(2 * first)).take_while(|first| *first <= context);
    firsts.map(|first| Octave { first, last: (2 * first - 1).min(context), means: Vec::new() }).collect()
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

    #[test]
    fn parts_are_told_one_by_one_and_how_far_they_are_apart_is_no_error() {
        let parts = by_part(&[("a", 0..2), ("b", 2..4)], &[1.0, 3.0, 10.0, 14.0]);
        let told: Vec<_> = parts.iter().map(|one| (one.name.as_str(), one.value, one.standard_error)).collect();
        assert_eq!(told, [("val_loss_a", 2.0, 1.0), ("val_loss_b", 12.0, 2.0)]);
        let (mean, error) = mean_of_parts(&parts).unwrap();
        assert!((mean - 7.0).abs() < 1e-12 && (error - 5.0_f64.sqrt() / 2.0).abs() < 1e-12, "{mean} {error}");
        assert_eq!(mean_of_parts(&[]), None);
    }

    #[test]
    fn positions_are_told_in_octaves_and_their_mean_is_the_loss() {
        let mut sequences = Sequences::of(5, true);
        sequences.add(&[6.0, 4.0, 2.0, 1.0, 1.0]);
        sequences.add(&[8.0, 6.0, 4.0, 3.0, 1.0]);
        let measured: Vec<Measured> = sequences.octaves.iter().map(Octave::measured).collect();
        let seen: Vec<_> = measured.iter().map(|one| (one.name.as_str(), one.value)).collect();
        assert_eq!(seen, [("loss.1", 7.0), ("loss.2-3", 4.0), ("loss.4-5", 1.5)]);
        assert!((measured[0].standard_error - 1.0).abs() < 1e-12);
        let whole = (7.0 + 2.0 * 4.0 + 2.0 * 1.5) / 5.0;
        assert!((whole - sequences.whole.iter().sum::<f64>() / 2.0).abs() < 1e-12);
        assert!(Sequences::of(5, false).octaves.is_empty());
    }
}
