//! How many sequences are evaluated at once, and means over them.

/// Tokens of one evaluation batch: large enough to be quick, small enough to need less memory than training.
const BATCH_TOKENS: usize = 4096;

/// Tokens of one evaluation batch at a context: whole sequences, one at least.
pub fn batch_rows(context: usize) -> usize {
    (BATCH_TOKENS / context).max(1) * context
}

pub(super) fn mean(losses: &[f32]) -> f64 {
    losses.iter().map(|&x| f64::from(x)).sum::<f64>() / losses.len() as f64
}

/// Mean and its standard error.
pub(super) fn mean_and_error(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0).max(1.0);
    (mean, (variance / n).sqrt())
}
