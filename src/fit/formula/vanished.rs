//! Unknowns that went to zero: whether the rows do not want them, or only do not tell.
//!
//! An unknown that moves by factors never comes back from zero, since nothing depends on it there. So it is held at values where
//! its part of the law counts, the others are fitted again, and the objective tells.

use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;

use super::law::Bound;
use super::solve::{Measure, Range, Solution, descend, with_linear};
use crate::fit::numerics::averages::root_mean_square;
use crate::fit::numerics::bounded::Patience;

/// A number moved by factors whose change by as much as itself changes residuals by less than this went to zero.
pub const NOTHING: f64 = 1e-5;
/// Shares of what the law says by which the part of an unknown changes it where it is held.
const SHARES: [f64; 3] = [0.1, 0.3, 0.6];
/// Starts at each of them.
const STARTS: u64 = 8;
/// Steps of each.
pub(super) const PATIENCE: Patience = Patience { iterations: 300, gain: 1e-8 };
/// By how much more than this, in units of the noise, twice the objective rises where rows speak against a value: 95% of a chi
/// squared of one degree of freedom.
const AGAINST: f64 = 3.84;

/// A number that went to zero.
#[derive(Clone, Debug, PartialEq)]
pub struct Gone {
    /// Its place among the numbers.
    pub number: usize,
    /// A value at which it would count and by which the rows are fitted as well; nothing where they speak against each.
    pub as_well: Option<f64>,
    /// The least value at which it was held: where its part is a tenth of what the law says somewhere.
    pub counts: f64,
    /// The numbers with it held where it counts, the best first, to start from.
    pub starts: Vec<Vec<f64>>,
}

/// Whether rows do not speak against other numbers than the best, with which the objective is this.
pub(super) fn is_as_good(objective: f64, best: &Solution, bound: &Bound<'_>) -> bool {
    let noise = 2.0 * best.objective / (bound.data.len() as f64 - bound.free() as f64).max(1.0);
    2.0 * (objective - best.objective) <= AGAINST * noise
}

/// The numbers that may be zero and went there.
fn vanished(bound: &Bound<'_>, best: &Solution, measure: Measure) -> Vec<usize> {
    let information = best.information(bound, measure);
    let may = |k: &usize| {
        let (low, high) = bound.numbers[*k].range;
        bound.numbers[*k].is_free() && best.moves_by_factors(*k) && low <= 0.0 && high > 0.0
    };
    (0..bound.numbers.len()).filter(may).filter(|k| root_mean_square(&information.slopes[*k]) < NOTHING).collect()
}

/// The numbers that went to zero, each held where it would count; and a better solution, where holding one led to it.
pub fn look(bound: &Bound<'_>, best: Solution, measure: Measure, seed: u64) -> (Solution, Vec<Gone>) {
    let gone = |best: &Solution| -> Vec<Gone> {
        let numbers = vanished(bound, best, measure).into_iter();
        numbers.filter_map(|k| held(bound, k, best, measure, seed)).collect()
    };
    let mut found = gone(&best);
    let mut best = best;
    // Each number that comes back may let another one.
    for _ in 0..3 {
        let starts = found.iter().flat_map(|gone| &gone.starts);
        let again = starts.map(|from| best.from(bound, measure, from));
        let lower =
            again.filter(|other| other.objective.is_finite()).min_by(|a, b| a.objective.total_cmp(&b.objective));
        let Some(other) = lower.filter(|other| other.objective < best.objective * (1.0 - 1e-6)) else { break };
        best = other;
        found = gone(&best);
    }
    (best, found)
}

/// One number held at values where it counts; nothing where it counts at none.
fn held(bound: &Bound<'_>, number: usize, best: &Solution, measure: Measure, seed: u64) -> Option<Gone> {
    let information = best.information(bound, measure);
    let ranges = Range::all(bound);
    let weights = bound.even();
    let mut held = bound.law.bind(bound.data).ok()?;
    let (mut found, mut counts): (Vec<(f64, Vec<f64>)>, f64) = (Vec::new(), f64::INFINITY);
    for share in SHARES {
        for start in 0..STARTS {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            rng.set_stream(start);
            let mut values = best.values.clone();
            for k in (0..values.len()).filter(|k| *k != number && bound.numbers[*k].is_free()) {
                // Its exponent may be anywhere, for nothing depends on that either.
                let is_open = start % 2 == 1 && root_mean_square(&information.slopes[k]) < 1e-3;
                if !bound.unknown(k).linear && start > 0 && (is_open || start % 2 == 0) {
                    values[k] = ranges[k].draw(&mut rng);
                }
            }
            let Some(value) = that_counts(bound, &values, number, share) else { continue };
            counts = counts.min(value);
            values[number] = value;
            held.numbers[number].range = (value, value);
            let values = with_linear(&held, measure, &weights, values);
            let (end, coordinates) = descend(&held, measure, &weights, &values, PATIENCE);
            if end.value.is_finite() {
                found.push((end.value, coordinates.outer(&end.x)));
            }
        }
    }
    found.sort_by(|a, b| a.0.total_cmp(&b.0));
    let as_well = found.first().filter(|(objective, _)| is_as_good(*objective, best, bound));
    let as_well = as_well.map(|(_, values)| values[number]);
    let mut starts: Vec<Vec<f64>> = Vec::new();
    for (_, values) in found {
        let is_near = |other: &Vec<f64>| (other[number] / values[number]).ln().abs() < 0.3;
        if starts.len() < 3 && !starts.iter().any(is_near) {
            starts.push(values);
        }
    }
    (!starts.is_empty()).then_some(Gone { number, as_well, counts, starts })
}

/// The value of a number, the others as they are, at which the law differs somewhere by a share of the measured loss from what it
/// says with the number at zero.
fn that_counts(bound: &Bound<'_>, values: &[f64], number: usize, share: f64) -> Option<f64> {
    let mut values = values.to_vec();
    values[number] = f64::MIN_POSITIVE;
    let base = bound.predict(&values);
    let mut change = |ln: f64| {
        values[number] = ln.exp();
        let changed = bound.predict(&values);
        // Of what was measured: with the others anywhere the law may say anything.
        let each = changed
            .iter()
            .zip(&base)
            .zip(&bound.data.loss)
            .map(|((changed, base), loss)| ((changed - base) / loss).abs());
        each.fold(0.0, |most: f64, one| if one.is_finite() { most.max(one) } else { f64::INFINITY })
    };
    let (mut low, mut high) = (-690.0, bound.numbers[number].range.1.ln().min(690.0));
    if change(high) < share || change(low) >= share {
        return None;
    }
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if change(middle) < share { low = middle } else { high = middle }
    }
    Some(high.exp())
}

/// Numbers with those that are next to nothing written as zero, where the law says the same with them: a logarithm at its end is no
/// number that anybody wants to read. `counts` is for each number a value that counts.
pub fn zeroed(bound: &Bound<'_>, values: &mut [f64], counts: &[f64]) {
    const NEXT_TO: f64 = 1e-9;
    for k in 0..values.len() {
        let (low, high) = bound.numbers[k].range;
        let is_nothing = values[k] != 0.0 && values[k].abs() < NEXT_TO * counts[k].abs();
        if !is_nothing || !bound.numbers[k].is_free() || low > 0.0 || high < 0.0 {
            continue;
        }
        let (before, was) = (bound.predict(values), values[k]);
        values[k] = 0.0;
        let after = bound.predict(values);
        let is_same = |(after, before): (&f64, &f64)| (after / before - 1.0).abs() < NEXT_TO;
        if !after.iter().zip(&before).all(is_same) {
            values[k] = was;
        }
    }
}
