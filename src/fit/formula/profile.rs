//! The profile of the objective along a number: whether the rows speak against what lies outside its interval.
//!
//! A search that stops in a flat valley stops in most resamples near the same place, and the interval looks narrow. So each number is
//! held outside of its interval, the others are fitted again, and the objective tells.

use super::law::Bound;
use super::solve::{Measure, Solution, descend, with_linear};
use super::vanished::{PATIENCE, is_as_good};
use crate::fit::Estimate;

/// The place of a number among `intervals`, and a value outside its interval by which the rows are fitted as well; nothing where they
/// speak against all that were tried.
///
/// Tried is what lies as far beyond each end as the end is from the number. There the objective of a right interval has risen by some
/// fifteen times the noise, and four would be enough.
pub fn as_good_outside(
    bound: &Bound<'_>,
    best: &Solution,
    measure: Measure,
    intervals: &[Estimate],
) -> Option<(usize, f64)> {
    let free = (0..bound.numbers.len()).filter(|&k| bound.numbers[k].is_free());
    let mut tried = free.flat_map(|k| {
        let Estimate { low, high, .. } = intervals[k];
        [low, high].map(|end| (k, end))
    });
    tried.find_map(|(k, end)| {
        let values = farther(best, k, end)?;
        is_as_good(held_at(bound, best, measure, k, values)?, best, bound).then_some((k, values[1]))
    })
}

/// The end of an interval, and what lies as far beyond it; nothing where the end is no end, or the range of the number too near.
fn farther(best: &Solution, number: usize, end: f64) -> Option<[f64; 2]> {
    let at = |value: f64| {
        let mut values = best.values.clone();
        values[number] = value;
        best.coordinates.inner(&values)[number]
    };
    let (middle, edge) = (at(best.values[number]), at(end));
    let has_turned = best.moves_by_factors(number) && (end <= 0.0) != (best.values[number] <= 0.0);
    if !end.is_finite() || has_turned || (edge - middle).abs() <= 1e-9 * middle.abs() {
        return None;
    }
    let (low, high) = best.coordinates.bounds[number];
    let far = (2.0 * edge - middle).clamp(low, high);
    if (far - middle).abs() < 1.5 * (edge - middle).abs() {
        return None;
    }
    let mut inner = best.coordinates.inner(&best.values);
    inner[number] = far;
    Some([end, best.coordinates.outer(&inner)[number]])
}

/// The objective with a number held at the last of some values, to which the others follow from one to the next.
fn held_at(bound: &Bound<'_>, best: &Solution, measure: Measure, number: usize, path: [f64; 2]) -> Option<f64> {
    let weights = bound.even();
    let mut held = bound.law.bind(bound.data).ok()?;
    let (mut values, mut objective) = (best.values.clone(), f64::INFINITY);
    for value in path {
        held.numbers[number].range = (value, value);
        values[number] = value;
        let starts = [values.clone(), with_linear(&held, measure, &weights, values)];
        let ends = starts.map(|start| descend(&held, measure, &weights, &start, PATIENCE));
        let (end, coordinates) = ends.into_iter().min_by(|a, b| a.0.value.total_cmp(&b.0.value))?;
        (values, objective) = (coordinates.outer(&end.x), end.value);
    }
    Some(objective)
}
