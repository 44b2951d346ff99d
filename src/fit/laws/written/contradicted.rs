//! Rows that the others contradict: a look at them by a law that one row far off does not move.

use super::Options;
use crate::fit::formula::{self, Data, Law, Measure, Residual};
use crate::fit::numerics::bootstrap::median;

/// A row far from what the others agree on.
#[derive(Clone, Debug, PartialEq)]
pub struct Contradicted {
    /// Its place among the rows.
    pub row: usize,
    /// What the others say of it.
    pub expected: f64,
}

/// Rows above which nothing is looked at, and below which none contradicts the others.
const MOST: usize = 5000;
const FEWEST: usize = 12;
/// Size above which a residual of the look counts linearly, in the logarithm.
const DELTA: f64 = 1e-3;
/// Starts of the look.
const STARTS: usize = 24;
/// Least error in the logarithm, and least multiple of the scatter, that is far; those of `approaches/outliers.rs`.
const FAR: (f64, f64) = (0.1, 8.0);
/// Largest share of rows that may be far: where there are more it is the law that does not fit.
const MOST_FAR: f64 = 0.25;
/// From a median absolute deviation to the standard deviation of normal errors.
const NORMAL_MAD: f64 = 1.4826;

/// The rows that the others contradict, the farthest first; `values` are the numbers of the fit to all rows.
pub fn contradicted(law: &Law, data: &Data, values: &[f64], options: &Options) -> Vec<Contradicted> {
    if !(FEWEST..=MOST).contains(&data.len()) || data.loss.iter().any(|loss| *loss <= 0.0) {
        return Vec::new();
    }
    let Ok(bound) = law.bind(data) else { return Vec::new() };
    let errors = |values: &[f64]| -> Vec<f64> {
        bound.predict(values).iter().zip(&data.loss).map(|(told, loss)| (loss / told).ln().abs()).collect()
    };
    // Where the fit to all rows is near all of them, so are the others.
    let is_far = |error: &f64| *error > 0.5 * FAR.0 || !error.is_finite();
    if !errors(values).iter().any(is_far) {
        return Vec::new();
    }
    let measure = Measure { residual: Residual::Log, delta: DELTA, above: 1.0 };
    let Some(robust) = formula::solve(&bound, data, measure, STARTS, options.bootstrap.seed) else { return Vec::new() };
    let errors = errors(&robust.values);
    let scatter = NORMAL_MAD * median(errors.clone());
    let limit = FAR.0.max(FAR.1 * scatter);
    let mut far: Vec<usize> = (0..data.len()).filter(|row| errors[*row] > limit).collect();
    if far.len() as f64 > MOST_FAR * data.len() as f64 {
        return Vec::new();
    }
    far.sort_by(|a, b| errors[*b].total_cmp(&errors[*a]));
    let told = bound.predict(&robust.values);
    far.into_iter().map(|row| Contradicted { row, expected: told[row] }).collect()
}
