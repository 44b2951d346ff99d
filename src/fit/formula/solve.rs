//! Fitting a law: what is minimised, from where, and the best of many starts.
//!
//! Unknowns move in coordinates of their own: those above zero, and those that multiply other unknowns, by factors. Where a
//! law is linear in some of them, every start solves for these; the others are drawn, and the better half of many draws is
//! refined.

use clap::ValueEnum;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::error::FormulaError;
use super::law::{Bound, Number};
use super::unknowns::Unknown;
use crate::fit::numerics::bounded::{self, End, Linear, Objective, Patience, minimize};

/// What a residual is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Residual {
    /// Difference of logarithms.
    Log,
    /// Difference.
    Plain,
}

/// What is minimised over the residuals: half their squares, or less for large ones, or more where the law lies above a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measure {
    /// What a residual is.
    pub residual: Residual,
    /// Above this size a residual counts linearly (Huber 1964); infinite gives least squares.
    pub delta: f64,
    /// Weight of residuals where the law lies above the run, so that runs above the frontier weigh less; 1 is even.
    pub above: f64,
}

impl Default for Measure {
    fn default() -> Self {
        Self { residual: Residual::Log, delta: f64::INFINITY, above: 1.0 }
    }
}

impl Measure {
    /// Predicted minus measured.
    pub fn of(&self, predicted: f64, measured: f64) -> f64 {
        match self.residual {
            Residual::Log => predicted.ln() - measured.ln(),
            Residual::Plain => predicted - measured,
        }
    }

    /// What a residual adds to the objective.
    pub(in crate::fit) fn cost(&self, residual: f64) -> f64 {
        let size = residual.abs();
        let cost = if size <= self.delta { 0.5 * size * size } else { self.delta * (size - 0.5 * self.delta) };
        if residual > 0.0 { self.above * cost } else { cost }
    }

    /// The weight by which its square has the same slope.
    fn weight(&self, residual: f64) -> f64 {
        let weight = if residual.abs() <= self.delta { 1.0 } else { self.delta / residual.abs() };
        if residual > 0.0 { self.above * weight } else { weight }
    }
}

/// How an unknown moves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Scale {
    Plain,
    /// Its logarithm moves and its sign stays.
    Factor(f64),
}

/// The coordinates of every number.
#[derive(Clone, Debug, PartialEq)]
pub struct Coordinates {
    pub(super) scales: Vec<Scale>,
    pub(super) bounds: Vec<(f64, f64)>,
}

/// Logarithms beyond this are no numbers any more.
const FARTHEST: f64 = 690.0;
/// A range of positive numbers wider than this factor is one of magnitudes.
const WIDE: f64 = 30.0;

impl Unknown {
    fn scale(&self, value: f64) -> Scale {
        let wide = self.high > WIDE * self.low && (self.low > 0.0 || self.high.is_infinite());
        if (self.low >= 0.0 && wide) || (self.coefficient && self.low < self.high && value != 0.0) {
            Scale::Factor(if value < 0.0 { -1.0 } else { 1.0 })
        } else {
            Scale::Plain
        }
    }
}

impl Coordinates {
    /// Around some values.
    pub(super) fn around(bound: &Bound<'_>, values: &[f64]) -> Self {
        let scales: Vec<Scale> = values.iter().enumerate().map(|(k, value)| bound.unknown(k).scale(*value)).collect();
        let bounds = scales.iter().enumerate().map(|(k, scale)| {
            let (low, high) = bound.numbers[k].range;
            let ln = |x: f64| if x > 0.0 { x.ln().clamp(-FARTHEST, FARTHEST) } else { -FARTHEST };
            match scale {
                Scale::Plain => (low, high),
                Scale::Factor(sign) if *sign > 0.0 => (ln(low), ln(high)),
                Scale::Factor(_) => (ln(-high), ln(-low)),
            }
        });
        Self { bounds: bounds.collect(), scales }
    }

    pub(super) fn outer(&self, x: &[f64]) -> Vec<f64> {
        let value = |(x, scale): (&f64, &Scale)| match scale {
            Scale::Plain => *x,
            Scale::Factor(sign) => sign * x.exp(),
        };
        x.iter().zip(&self.scales).map(value).collect()
    }

    pub(super) fn inner(&self, values: &[f64]) -> Vec<f64> {
        let x = |(value, scale): (&f64, &Scale)| match scale {
            Scale::Plain => *value,
            Scale::Factor(sign) => (sign * value).max(f64::MIN_POSITIVE).ln(),
        };
        values.iter().zip(&self.scales).map(x).collect()
    }
}

/// A law over rows with weights, as the minimiser sees it.
pub(super) struct Weighted<'a> {
    pub(super) bound: &'a Bound<'a>,
    /// What was measured, or a copy of it that is.
    pub(super) loss: &'a [f64],
    pub(super) measure: Measure,
    pub(super) weights: &'a [f64],
    pub(super) coordinates: &'a Coordinates,
}

impl Objective for Weighted<'_> {
    fn value(&self, x: &[f64]) -> f64 {
        let predicted = self.bound.predict(&self.coordinates.outer(x));
        let rows = predicted.iter().zip(self.loss).zip(self.weights).filter(|(_, weight)| **weight > 0.0);
        rows.map(|((predicted, loss), weight)| weight * self.measure.cost(self.measure.of(*predicted, *loss))).sum()
    }

    fn linear(&self, x: &[f64], linear: &mut Linear) {
        let values = self.coordinates.outer(x);
        let predicted = self.bound.slopes(&values, &mut linear.slopes);
        linear.residuals.clear();
        let mut factors = Vec::with_capacity(predicted.len());
        for ((predicted, loss), weight) in predicted.iter().zip(self.loss).zip(self.weights) {
            let residual = self.measure.of(*predicted, *loss);
            let root = if *weight > 0.0 { (weight * self.measure.weight(residual)).sqrt() } else { 0.0 };
            linear.residuals.push(if root > 0.0 { root * residual } else { 0.0 });
            let inner = if self.measure.residual == Residual::Log { 1.0 / predicted } else { 1.0 };
            factors.push(root * inner);
        }
        for (k, slopes) in linear.slopes.iter_mut().enumerate() {
            let own = if self.coordinates.scales[k] == Scale::Plain { 1.0 } else { values[k] };
            slopes.iter_mut().zip(&factors).for_each(|(slope, factor)| {
                *slope = if *factor == 0.0 { 0.0 } else { *slope * factor * own };
            });
        }
    }
}

/// A law fitted to some rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Solution {
    /// The numbers, in the order of [`Bound::numbers`].
    pub values: Vec<f64>,
    /// The objective.
    pub objective: f64,
    /// Whether the minimiser came to rest.
    pub converged: bool,
    /// Starts that came to rest within a thousandth of this objective, and all of them.
    pub agree: (usize, usize),
    pub(super) coordinates: Coordinates,
}

/// Draws for each start that is refined.
const SCREENED: usize = 12;
/// Steps of every start, and of the best ones after.
const FIRST: Patience = Patience { iterations: 60, gain: 1e-6 };
const LAST: Patience = Patience { iterations: 2000, gain: 1e-10 };
/// How many starts are followed to the end.
const FINALISTS: usize = 6;

/// Draws that must agree on what no row tells.
const ASKED: u64 = 16;

/// The numbers on which no row depends, wherever a search may start: a half-life where nothing is repeated, say.
pub fn untold(bound: &Bound<'_>, seed: u64) -> Vec<usize> {
    let ranges = Range::all(bound);
    let mut untold: Vec<bool> = bound.numbers.iter().map(Number::is_free).collect();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let (mut slopes, mut seen) = (Vec::new(), false);
    for _ in 0..ASKED {
        let values: Vec<f64> = ranges.iter().map(|range| range.draw(&mut rng)).collect();
        // Where the law is no number its slopes say nothing.
        if bound.slopes(&values, &mut slopes).iter().all(|value| value.is_finite()) {
            seen = true;
            untold
                .iter_mut()
                .zip(&slopes)
                .for_each(|(untold, slopes)| *untold &= slopes.iter().all(|slope| *slope == 0.0));
        }
    }
    (0..untold.len()).filter(|&k| seen && untold[k]).collect()
}

/// The best of `starts` starts, each refined; nothing where the law is no number from any of them.
pub fn solve(bound: &Bound<'_>, measure: Measure, starts: usize, seed: u64) -> Option<Solution> {
    let weights = bound.even();
    let ranges = Range::all(bound);
    let draw = |k: usize| {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(k as u64);
        let values: Vec<f64> = ranges.iter().map(|range| range.draw(&mut rng)).collect();
        let values = with_linear(bound, measure, &weights, values);
        let predicted = bound.predict(&values);
        let cost: f64 = predicted.iter().zip(&bound.data.loss).map(|(p, l)| measure.cost(measure.of(*p, *l))).sum();
        (if cost.is_finite() { cost } else { f64::INFINITY }, values)
    };
    let mut drawn: Vec<(f64, Vec<f64>)> = (0..starts * SCREENED).into_par_iter().map(draw).collect();
    drawn.retain(|(cost, _)| cost.is_finite());
    drawn.sort_by(|a, b| a.0.total_cmp(&b.0));
    // The better half of the starts by their cost, the others from all over the draws: the nearest minimum is not the best.
    let (near, far) = drawn.split_at((starts / 2).min(drawn.len()));
    let apart = (far.len() / (starts - near.len()).max(1)).max(1);
    let chosen: Vec<&Vec<f64>> = near.iter().chain(far.iter().step_by(apart)).map(|(_, values)| values).collect();
    let refine = |values: &Vec<f64>, patience| descend(bound, measure, &weights, values, patience);
    let mut ends: Vec<(End, Coordinates)> = chosen.par_iter().map(|values| refine(values, FIRST)).collect();
    ends.retain(|(end, _)| end.value.is_finite());
    ends.sort_by(|a, b| a.0.value.total_cmp(&b.0.value));
    ends.dedup_by(|a, b| (a.0.value - b.0.value).abs() <= 1e-9 * b.0.value);
    let total = ends.len();
    ends[..total.min(FINALISTS)].par_iter_mut().for_each(|(end, coordinates)| {
        let objective = Weighted { bound, loss: &bound.data.loss, measure, weights: &weights, coordinates };
        *end = minimize(&objective, &coordinates.bounds, &end.x, LAST);
    });
    let least = ends.iter().map(|(end, _)| end.value).fold(f64::INFINITY, f64::min);
    let agree = ends.iter().filter(|(end, _)| end.value <= 1.001 * least).count();
    let (end, coordinates) = ends.into_iter().min_by(|a, b| a.0.value.total_cmp(&b.0.value))?;
    Some(Solution {
        values: coordinates.outer(&end.x),
        objective: end.value,
        converged: end.converged,
        agree: (agree, total),
        coordinates,
    })
}

/// Why [`solve`] found nothing: the place where the law stops being a number, from the first start.
pub fn nowhere(bound: &Bound<'_>, measure: Measure, seed: u64) -> FormulaError {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let drawn = Range::all(bound).iter().map(|range| range.draw(&mut rng)).collect();
    let values = with_linear(bound, measure, &bound.even(), drawn);
    bound.breaks(&values).unwrap_or_else(|| {
        let what = "what this predicts is not above zero for every row, from any start: say with --unknown in which ranges the \
                    unknowns lie, or fit --residuals plain";
        FormulaError::new(&bound.law.formula, bound.law.right_side(), what)
    })
}

/// From one start, in coordinates around it.
pub(super) fn descend(
    bound: &Bound<'_>,
    measure: Measure,
    weights: &[f64],
    values: &[f64],
    patience: Patience,
) -> (End, Coordinates) {
    let coordinates = Coordinates::around(bound, values);
    let objective = Weighted { bound, loss: &bound.data.loss, measure, weights, coordinates: &coordinates };
    let end = minimize(&objective, &coordinates.bounds, &coordinates.inner(values), patience);
    (end, coordinates)
}

/// The law fitted again from some places, of which the best counts, with rows weighed as resamples do; nothing where it is no number.
/// Several places, since what went to zero in the rows may come back in a resample.
pub fn again(bound: &Bound<'_>, measure: Measure, weights: &[f64], starts: &[&[f64]]) -> Option<Vec<f64>> {
    const DRAW: Patience = Patience { iterations: 150, gain: 1e-7 };
    let ends = starts.iter().map(|near| descend(bound, measure, weights, near, DRAW));
    let best = ends.filter(|(end, _)| end.value.is_finite()).min_by(|a, b| a.0.value.total_cmp(&b.0.value));
    best.map(|(end, coordinates)| coordinates.outer(&end.x))
}

impl Solution {
    /// The solution that another start leads to.
    pub(super) fn from(&self, bound: &Bound<'_>, measure: Measure, start: &[f64]) -> Self {
        let weights = bound.even();
        let (end, coordinates) = descend(bound, measure, &weights, start, LAST);
        Self {
            values: coordinates.outer(&end.x),
            objective: end.value,
            converged: end.converged,
            agree: (1, self.agree.1),
            coordinates,
        }
    }

    /// The sum of squares around the solution, in the coordinates of the fit: what the data tell of each number.
    pub(in crate::fit) fn information(&self, bound: &Bound<'_>, measure: Measure) -> Linear {
        let weights = bound.even();
        let objective =
            Weighted { bound, loss: &bound.data.loss, measure, weights: &weights, coordinates: &self.coordinates };
        let mut linear = Linear::default();
        objective.linear(&self.coordinates.inner(&self.values), &mut linear);
        linear
    }

    /// Whether a number moves by factors, so that it may come as near to zero as it likes.
    pub(in crate::fit) fn moves_by_factors(&self, number: usize) -> bool {
        self.coordinates.scales[number] != Scale::Plain
    }

    /// Numbers that ended at a bound that was set.
    pub(in crate::fit) fn at_bounds(&self, bound: &Bound<'_>) -> Vec<usize> {
        let x = self.coordinates.inner(&self.values);
        let at = |k: &usize| {
            let (low, high) = self.coordinates.bounds[*k];
            let near = |edge: f64| edge.is_finite() && (x[*k] - edge).abs() <= 1e-9 * edge.abs().max(1.0);
            bound.numbers[*k].is_free() && (near(low) || near(high))
        };
        (0..x.len()).filter(at).collect()
    }
}

/// Solves for what the law is linear in, with the other values as they are, in least squares of relative residuals of rows with
/// weights.
pub(super) fn with_linear(bound: &Bound<'_>, measure: Measure, weights: &[f64], mut values: Vec<f64>) -> Vec<f64> {
    let is_free = |k: &usize| bound.unknown(*k).linear && bound.numbers[*k].is_free();
    let free: Vec<usize> = (0..values.len()).filter(is_free).collect();
    if free.is_empty() {
        return values;
    }
    for &k in &free {
        values[k] = 0.0;
    }
    let mut slopes = Vec::new();
    let base = bound.slopes(&values, &mut slopes);
    let scale = |loss: f64| if measure.residual == Residual::Log { 1.0 / loss } else { 1.0 };
    let scales: Vec<f64> =
        bound.data.loss.iter().zip(weights).map(|(loss, weight)| weight.sqrt() * scale(*loss)).collect();
    let scaled = |column: &[f64]| column.iter().zip(&scales).map(|(x, scale)| x * scale).collect::<Vec<f64>>();
    let missing: Vec<f64> = bound.data.loss.iter().zip(&base).map(|(loss, base)| loss - base).collect();
    let mut kept = free.clone();
    // A number that must be above zero and is not leaves the others to the data.
    for _ in 0..free.len() {
        let linear = Linear { slopes: kept.iter().map(|&k| scaled(&slopes[k])).collect(), residuals: scaled(&missing) };
        let Some(found) = bounded::solve(&linear) else { break };
        kept.iter().zip(&found).for_each(|(&k, value)| values[k] = *value);
        let before = kept.len();
        kept.retain(|&k| (bound.numbers[k].range.0..=bound.numbers[k].range.1).contains(&values[k]));
        for k in free.iter().copied().filter(|k| !kept.contains(k)) {
            values[k] = values[k].clamp(bound.numbers[k].range.0, bound.numbers[k].range.1);
        }
        if kept.len() == before || kept.is_empty() {
            break;
        }
    }
    // What moves by factors cannot start from nothing.
    let least = bound.data.loss.iter().copied().fold(f64::INFINITY, f64::min);
    for k in free {
        let size = slopes[k].iter().fold(0.0_f64, |size, slope| size.max(slope.abs()));
        let unknown = bound.unknown(k);
        if values[k] == 0.0 && size > 0.0 && unknown.scale(1.0) != Scale::Plain {
            values[k] = (1e-3 * least / size).clamp(unknown.low, unknown.high);
        }
    }
    values
}

/// Where values of an unknown are drawn from.
pub(super) struct Range {
    listed: Vec<f64>,
    low: f64,
    high: f64,
    kind: Draw,
    /// Least and greatest positive number of all columns.
    columns: (f64, f64),
}

#[derive(Clone, Copy, PartialEq)]
enum Draw {
    /// Evenly between bounds.
    Even,
    /// Evenly in the logarithm between bounds.
    Magnitude,
    /// An exponent, nearly always above zero.
    Exponent,
    /// Any magnitude, also that of a column.
    Positive,
    /// Any magnitude of either sign.
    Either,
}

impl Range {
    /// Of every number.
    pub(super) fn all(bound: &Bound<'_>) -> Vec<Self> {
        (0..bound.numbers.len()).map(|number| Self::of(bound, number)).collect()
    }

    fn of(bound: &Bound<'_>, number: usize) -> Self {
        let unknown = bound.unknown(number);
        let (low, high) = bound.numbers[number].range;
        let kind = match () {
            () if low.is_finite() && high.is_finite() && low > 0.0 && high > WIDE * low => Draw::Magnitude,
            () if low.is_finite() && high.is_finite() => Draw::Even,
            () if unknown.exponent => Draw::Exponent,
            () if low >= 0.0 => Draw::Positive,
            () => Draw::Either,
        };
        let positive = || bound.data.columns.values().flatten().copied().filter(|x| *x > 0.0);
        let columns = (positive().fold(f64::INFINITY, f64::min), positive().fold(0.0, f64::max));
        let listed = if bound.numbers[number].is_free() { unknown.starts.clone() } else { vec![low] };
        Self { listed, low, high, kind, columns }
    }

    pub(super) fn draw(&self, rng: &mut impl Rng) -> f64 {
        if !self.listed.is_empty() {
            return self.listed[rng.random_range(0..self.listed.len())];
        }
        let mut between = |low: f64, high: f64| rng.random_range(low.ln()..=high.ln()).exp();
        let value = match self.kind {
            Draw::Even => return self.low + (self.high - self.low) * rng.random::<f64>(),
            Draw::Magnitude => return between(self.low, self.high),
            Draw::Exponent => between(0.03, 1.5),
            Draw::Positive | Draw::Either => between(1e-3, 1e2),
        };
        let value = match self.kind {
            Draw::Positive if self.columns.1 > 0.0 && rng.random_bool(0.5) => {
                rng.random_range((self.columns.0 / 100.0).ln()..=(self.columns.1 * 100.0).ln()).exp()
            }
            Draw::Exponent if self.low < 0.0 && rng.random_bool(0.2) => -value,
            Draw::Either if rng.random_bool(0.5) => -value,
            _ => value,
        };
        value.clamp(self.low, self.high)
    }
}
