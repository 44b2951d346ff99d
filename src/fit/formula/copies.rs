//! What few rows leave open of a law: fits to copies of them, each with noise of its own, from many starts.
//!
//! A copy minimises its residuals and how far each unknown with a range is from where the copy began, in units of that range.
//! The ends scatter as the posterior does where the law is nearly linear, and they stand in all minima that the rows allow
//! where it is not ("randomized maximum likelihood", Oliver, He and Reynolds 1996). Where fewer rows than unknowns say nothing,
//! losses elsewhere are expected to be of the size of those that are known. With each row the copies go on from where
//! they are, and each looks also from where another one is, so that a minimum that the rows contradict is left.
//!
//! No law is exact: one that is right near the region may be off by percents far from it, where most cheap rows are. So
//! residuals are allowed to be larger with the distance, and how much larger is what the rows themselves make probable.

use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;

use super::law::Bound;
use super::solve::{Coordinates, Measure, Range, Residual, Scale, Weighted, with_linear};
use crate::fit::numerics::averages::median;
use crate::fit::numerics::bounded::{Linear, Objective, Patience, minimize};

/// Draws for each start.
const SCREENED: u64 = 12;
/// Steps of a start, and of a copy that goes on.
const FIRST: Patience = Patience { iterations: 150, gain: 1e-6 };
const AGAIN: Patience = Patience { iterations: 60, gain: 1e-6 };
/// Every so many copies one starts anew.
const ANEW: usize = 8;
/// What the noise is before rows tell it, as a share of the loss, and how many rows that counts for.
const NOISE: (f64, f64) = (0.003, 3.0);
/// Copies that are followed to their minimum to measure the noise.
const BEST: usize = 6;
/// How much of the noise a unit of distance from the region may add, each as probable as the others before rows tell it.
const GROWTHS: [f64; 4] = [0.0, 1.0, 3.0, 10.0];
/// How far losses elsewhere are expected from the median of those that are known, as a share of it.
const ELSEWHERE: f64 = 0.3;

/// The rows that copies learn from.
#[derive(Clone, Copy)]
pub struct Lesson<'a> {
    /// The law over them.
    pub bound: &'a Bound<'a>,
    /// Where those whose losses are known stand in the pool; the others come behind them, with any losses.
    pub places: &'a [usize],
    /// How far each of these is from the region.
    pub away: &'a [f64],
    /// What residuals are.
    pub measure: Measure,
}

/// Fits to copies of the rows.
#[derive(Clone, Debug)]
pub struct Copies {
    /// The numbers of each copy.
    pub values: Vec<Vec<f64>>,
    /// Standard deviation of the noise at the region, in residuals.
    noise: f64,
    /// How much of it a unit of distance adds.
    growth: f64,
    /// Where each began.
    begun: Vec<Vec<f64>>,
    /// By copy, the noise of each row of the pool and of all that is elsewhere, in standard deviations.
    moved: Vec<Vec<f64>>,
    seed: u64,
    rounds: usize,
}

/// A copy as the minimiser sees it.
struct Held<'a> {
    rows: Weighted<'a>,
    /// Where each unknown began, and what a unit away from it counts.
    begun: Vec<(f64, f64)>,
}

impl Objective for Held<'_> {
    fn value(&self, x: &[f64]) -> f64 {
        let away = x.iter().zip(&self.begun).map(|(x, (at, weight))| 0.5 * (weight * (x - at)).powi(2));
        self.rows.value(x) + away.sum::<f64>()
    }

    fn linear(&self, x: &[f64], linear: &mut Linear) {
        self.rows.linear(x, linear);
        for (k, (at, weight)) in self.begun.iter().enumerate().filter(|(_, (_, weight))| *weight > 0.0) {
            linear.residuals.push(weight * (x[k] - at));
            for (other, slopes) in linear.slopes.iter_mut().enumerate() {
                slopes.push(if other == k { *weight } else { 0.0 });
            }
        }
    }
}

impl Copies {
    /// So many copies, of a pool of so many rows. Every second one has the noise of the one before with the other sign.
    pub fn new(count: usize, pool: usize, seed: u64) -> Self {
        let noise = |copy: usize| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            rng.set_stream(copy as u64 / 2);
            let sign = if copy.is_multiple_of(2) { 1.0 } else { -1.0 };
            (0..=pool).map(|_| sign * Distribution::<f64>::sample(&StandardNormal, &mut rng)).collect()
        };
        let moved = (0..count).map(noise).collect();
        let growth = expected_growth([0.0; GROWTHS.len()]);
        Self { values: Vec::new(), noise: f64::NAN, growth, begun: Vec::new(), moved, seed, rounds: 0 }
    }

    /// Fits all copies to some rows.
    pub fn learn(&mut self, lesson: Lesson<'_>) {
        let known = &lesson.bound.data.loss[..lesson.places.len()];
        let scale = if lesson.measure.residual == Residual::Log { 1.0 } else { median(known.to_vec()) };
        if self.rounds == 0 {
            self.noise = NOISE.0 * scale;
        }
        let weights = self.weights(lesson, scale, self.growth);
        if self.rounds == 0 {
            let start = |copy: usize| self.start(lesson, &weights, copy as u64);
            self.begun = (0..self.moved.len()).into_par_iter().map(start).collect();
        }
        let fits = (0..self.moved.len()).into_par_iter().map(|copy| {
            let loss = self.losses(lesson, scale, copy);
            let ends = self
                .from(lesson, &weights, copy)
                .into_iter()
                .map(|(from, patience)| self.descend(lesson, (&loss, &weights), (&self.begun[copy], &from), patience));
            ends.min_by(|a, b| a.0.total_cmp(&b.0)).map_or_else(|| self.begun[copy].clone(), |(_, values)| values)
        });
        self.values = fits.collect();
        self.rounds += 1;
        self.measure_noise(lesson, scale);
    }

    /// How often they have looked for their minima.
    pub fn rounds(&self) -> usize {
        self.rounds
    }

    /// Standard deviation of the noise so far from the region, in residuals.
    pub fn noise(&self, away: f64) -> f64 {
        self.noise * grown(self.growth, away)
    }

    /// What each row counts if noise grows so: all that is elsewhere together as one row, as uncertain as it is.
    fn weights(&self, lesson: Lesson<'_>, scale: f64, growth: f64) -> Vec<f64> {
        let (known, all) = (lesson.places.len(), lesson.bound.data.len());
        let elsewhere = (self.noise / (ELSEWHERE * scale)).powi(2) / (all - known).max(1) as f64;
        let near = lesson.away.iter().map(|away| grown(growth, *away).powi(-2));
        near.chain((known..all).map(|_| elsewhere)).collect()
    }

    /// The losses of a copy.
    fn losses(&self, lesson: Lesson<'_>, scale: f64, copy: usize) -> Vec<f64> {
        let known = &lesson.bound.data.loss[..lesson.places.len()];
        let noise = &self.moved[copy];
        let all = noise.last().map_or(0.0, |z| ELSEWHERE * scale * z);
        let usual = median(known.to_vec());
        let rows = known.iter().zip(lesson.places.iter().zip(lesson.away));
        let own = rows.map(|(loss, (row, away))| (*loss, self.noise(*away) * noise[*row]));
        let others = (known.len()..lesson.bound.data.len()).map(|_| (usual, all));
        let moved = own.chain(others);
        match lesson.measure.residual {
            Residual::Log => moved.map(|(loss, by)| loss * by.exp()).collect(),
            Residual::Plain => moved.map(|(loss, by)| loss + by).collect(),
        }
    }

    /// Where a copy looks from.
    fn from(&self, lesson: Lesson<'_>, weights: &[f64], copy: usize) -> Vec<(Vec<f64>, Patience)> {
        let Lesson { bound, measure, .. } = lesson;
        let count = self.moved.len();
        if self.rounds == 0 {
            return vec![(with_linear(bound, measure, weights, self.begun[copy].clone()), FIRST)];
        }
        let other = (copy + 1 + 2 * self.rounds) % count;
        let mut from = vec![(self.values[copy].clone(), AGAIN), (self.values[other].clone(), AGAIN)];
        if (copy + self.rounds).is_multiple_of(ANEW) {
            let start = self.start(lesson, weights, (count * self.rounds + copy) as u64);
            from.push((with_linear(bound, measure, weights, start), FIRST));
        }
        from
    }

    /// The best of some draws.
    fn start(&self, lesson: Lesson<'_>, weights: &[f64], number: u64) -> Vec<f64> {
        let Lesson { bound, measure, .. } = lesson;
        let ranges = Range::all(bound);
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed ^ 0x5eed);
        rng.set_stream(number);
        let mut draw = || {
            let values: Vec<f64> = ranges.iter().map(|range| range.draw(&mut rng)).collect();
            let predicted = bound.predict(&with_linear(bound, measure, weights, values.clone()));
            let rows = predicted.iter().zip(&bound.data.loss).zip(weights);
            let cost: f64 = rows.map(|((p, l), weight)| weight * measure.cost(measure.of(*p, *l))).sum();
            (if cost.is_finite() { cost } else { f64::INFINITY }, values)
        };
        let draws = (0..SCREENED).map(|_| draw());
        draws.min_by(|a, b| a.0.total_cmp(&b.0)).map_or_else(Vec::new, |(_, values)| values)
    }

    /// One copy from one place: the objective and the numbers.
    fn descend(
        &self,
        lesson: Lesson<'_>,
        (loss, weights): (&[f64], &[f64]),
        (begun, from): (&[f64], &[f64]),
        patience: Patience,
    ) -> (f64, Vec<f64>) {
        let Lesson { bound, measure, .. } = lesson;
        let coordinates = Coordinates::around(bound, from);
        let rows = Weighted { bound, loss, measure, weights, coordinates: &coordinates };
        let at = coordinates.inner(begun);
        let weight = |k: usize| {
            let (low, high) = coordinates.bounds[k];
            let told = bound.numbers[k].range;
            let has_range =
                told.1.is_finite() && (coordinates.scales[k] == Scale::Plain && told.0.is_finite() || told.0 > 0.0);
            // The standard deviation of an even range.
            if has_range && high > low { self.noise * 12_f64.sqrt() / (high - low) } else { 0.0 }
        };
        let held = Held { rows, begun: (0..at.len()).map(|k| (at[k], weight(k))).collect() };
        let end = minimize(&held, &coordinates.bounds, &coordinates.inner(from), patience);
        (end.value, coordinates.outer(&end.x))
    }

    /// What the rows and what was expected before say of the noise and of how it grows.
    fn measure_noise(&mut self, lesson: Lesson<'_>, scale: f64) {
        let each = GROWTHS.map(|growth| self.noise_that(lesson, scale, growth));
        if each[0].ln_likelihood.is_finite() {
            let growth = expected_growth(each.map(|noise| noise.ln_likelihood));
            self.noise = self.noise_that(lesson, scale, growth).variance.sqrt();
            self.growth = growth;
        }
    }

    /// The noise if it grew so, from the best fits that the copies lead to.
    fn noise_that(&self, lesson: Lesson<'_>, scale: f64, growth: f64) -> Noise {
        let Lesson { bound, places, away, measure, .. } = lesson;
        let squares = |values: &Vec<f64>| -> f64 {
            let known = bound.predict(values).into_iter().zip(&bound.data.loss).zip(away);
            known.map(|((p, l), away)| (measure.of(p, *l) / grown(growth, *away)).powi(2)).sum()
        };
        let of_copies: Vec<f64> = self.values.par_iter().map(squares).collect();
        let mut best: Vec<usize> = (0..of_copies.len()).filter(|copy| of_copies[*copy].is_finite()).collect();
        best.sort_by(|a, b| of_copies[*a].total_cmp(&of_copies[*b]));
        best.truncate(BEST);
        // Copies are fitted to noise of their own and by the growth that was expected before.
        let weights = self.weights(lesson, scale, growth);
        let settled = best.par_iter().map(|copy| {
            let from = (&self.begun[*copy][..], &self.values[*copy][..]);
            squares(&self.descend(lesson, (&bound.data.loss, &weights), from, AGAIN).1).min(of_copies[*copy])
        });
        let least = settled.reduce(|| f64::INFINITY, f64::min);
        let (expected, counts) = NOISE;
        let rows = (places.len() as f64 - bound.free() as f64).max(0.0);
        let known = places.len() as f64;
        let usual = away.iter().map(|away| grown(growth, *away).powi(2)).sum::<f64>() / known;
        let variance = (counts * (expected * scale).powi(2) / usual + least) / (counts + rows);
        let ln_grown = away.iter().map(|away| grown(growth, *away).ln()).sum::<f64>() / known;
        Noise { variance, ln_likelihood: -rows * (0.5 * variance.ln() + ln_grown) }
    }
}

/// What noise would be at the region, and how probable the rows are then. Each unknown takes one row away that tells of it.
#[derive(Clone, Copy)]
struct Noise {
    variance: f64,
    ln_likelihood: f64,
}

/// By what factor noise is larger so far from the region.
fn grown(growth: f64, away: f64) -> f64 {
    (1.0 + (growth * away).powi(2)).sqrt()
}

/// The growth that is expected by how probable each of [`GROWTHS`] is.
fn expected_growth(ln_likelihoods: [f64; GROWTHS.len()]) -> f64 {
    let most = ln_likelihoods.into_iter().fold(f64::NEG_INFINITY, f64::max);
    let weights = ln_likelihoods.map(|ln| (ln - most).exp());
    let logarithms: f64 = weights.iter().zip(GROWTHS).map(|(weight, growth)| weight * growth.ln_1p()).sum();
    (logarithms / weights.iter().sum::<f64>()).exp_m1()
}
