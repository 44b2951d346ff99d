//! Rows that the others contradict: a look at them by a law that one row far off does not move.

use super::Options;
use crate::fit::formula::{self, Data, Law, Measure, Residual};
use crate::fit::numerics::residuals::far_off;

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
/// Errors of the fit to all rows, in the logarithm, below which none is far off: half of what would be.
const NEAR: f64 = 0.05;

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
    let is_far = |error: &f64| *error > NEAR || !error.is_finite();
    if !errors(values).iter().any(is_far) {
        return Vec::new();
    }
    let measure = Measure { residual: Residual::Log, delta: DELTA, above: 1.0 };
    let Some(robust) = formula::solve(&bound, measure, STARTS, options.bootstrap.seed) else { return Vec::new() };
    let errors = errors(&robust.values);
    let (mut far, _) = far_off(&errors);
    far.sort_by(|a, b| errors[*b].total_cmp(&errors[*a]));
    let told = bound.predict(&robust.values);
    far.into_iter().map(|row| Contradicted { row, expected: told[row] }).collect()
}
