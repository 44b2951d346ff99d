//! Losses of the documents of a text under a model that was trained on it.

use std::path::Path;

use super::engine::Engine;
use super::evaluation::batch_rows;
use super::trainer::open_corpus;
use crate::checkpoint::{self, Place};
use crate::data::document_means;
use crate::optimizer::Kept;
use crate::plan::Run;
use crate::trainer::TrainError;

/// The mean loss of each training document, each token after those before it in the text.
pub fn documents(
    engine: &dyn Engine,
    cache: &Path,
    (run, weights): (&Run, &[Vec<f32>]),
    hear: &mut dyn FnMut(f64),
) -> Result<Vec<f64>, TrainError> {
    let corpus = open_corpus(run, cache)?;
    let refused = |what: String| TrainError::Configuration(what);
    let tokens = corpus.documents().map_err(|error| refused(error.to_string()))?;
    let context = run.shape.context;
    if tokens.len() <= context {
        return Err(refused(format!("{} training tokens are less than one sequence", tokens.len())));
    }
    let mut session = engine.begin(run, &corpus, 1)?;
    // A model that only tells losses needs no moments.
    let kept = checkpoint::kept(&run.shape, run.optimizer.kind).into_iter();
    let numbers = kept.map(|(weight, kept)| match kept {
        Kept::Value => weights[weight].clone(),
        Kept::First | Kept::Second => vec![0.0; weights[weight].len()],
    });
    session.restore(&Place::default(), 0.0, numbers.collect())?;
    // Every window begins with the last token of the one before; the last one begins earlier, where it would end too late.
    let targets = tokens.len() - 1;
    let starts: Vec<usize> = (0..targets).step_by(context).map(|start| start.min(targets - context)).collect();
    let mut losses = Vec::with_capacity(targets);
    for starts in starts.chunks(batch_rows(context) / context) {
        let windows: Vec<u16> = starts.iter().flat_map(|&start| &tokens[start..=start + context]).copied().collect();
        for (start, told) in starts.iter().zip(session.token_losses(&windows)?.chunks_exact(context)) {
            losses.extend_from_slice(&told[losses.len() - start..]);
        }
        hear(losses.len() as f64 / targets as f64);
    }
    Ok(document_means(&tokens, &losses))
}
