//! Runs that lie apart from all others: each is judged by a fit without it, so that no run hides by drawing the fit to
//! itself, as one at the end of a grid would.
//!
//! A run lies apart where a fit that gives it a mean of its own is better by far more than chance: Fisher's F of the
//! residual sums of squares with and without it, the chance of which is counted once for each run that is looked at. The
//! scatter that this is measured by is that of the other runs about their own fit, so that noise and a form that is not quite
//! right count alike. A run must err by 2.5% as well: two percent are a bad seed.
//!
//! Runs are left out one after the other, the one whose absence helps most first; all up to the last that lies apart do
//! (Rosner 1983), since two bad runs hide each other from a look at one alone.
//!
//! The fit is the surface where there are runs enough, and a parabola for each budget where there are not. A parabola follows
//! the ends of a curve, and an end may be steep, so that it accuses only sizes between others.

use crate::fit::approaches::least::CONTRADICTING;
use crate::fit::approaches::points::{self, Points};
use crate::fit::approaches::vpnls;
use crate::fit::numerics::chance::beyond_f;
use crate::fit::numerics::order::by_first_difference;
use crate::fit::numerics::regress::{Design, distinct_logarithms};
use crate::fit::table::budgets::same_budget;
use crate::observation::{Counting, Observation};

/// The chance of one false accusation in a table of normal errors.
const CHANCE: f64 = 1e-3;
/// Least ratio of its error to the scatter, squared: with many runs chance alone would accuse what is not worth a word.
const LEAST: f64 = 64.0;
/// Least error of the loss, in the logarithm.
const FLOOR: f64 = 0.025;
/// Runs of a table, of which at most one may lie apart: where there are more it is the law that does not fit.
const SHARE: usize = 6;
/// Most runs that are left out in turn, and most that are tried each time, those of largest error.
const MOST: usize = 12;
const TRIED: usize = 16;
/// Runs above which no surface is fitted without one of them: there single runs decide nothing.
const LONG: usize = 1000;
/// Runs below which each fit is searched from all starts.
const SHORT: usize = 60;
/// Unknowns of the surface, and of a parabola.
const SURFACE: usize = 5;
const PARABOLA: usize = 3;
/// Sizes of a budget that must remain beside one that is left out.
const SIZES: usize = 4;
/// How much a parabola may follow a run that the others judge: of a size far from others that are nearly one size, they know nothing.
const FOLLOWED: f64 = 0.9;

/// A run that lies apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Apart {
    /// Its place among the runs.
    pub(super) index: usize,
    /// The loss that the others say it has.
    pub(super) expected: f64,
}

/// One run left out, and what that changes.
struct Step {
    apart: Apart,
    /// Residual sums of squares with it and without it.
    squares: [f64; 2],
    /// Degrees of freedom without it.
    freedom: usize,
    /// The largest error of the others, in the logarithm.
    largest: f64,
}

/// The runs that lie apart by the surface of the others.
pub(super) fn of_surface(runs: &[Observation]) -> Vec<Apart> {
    let mut order: Vec<usize> = (0..runs.len()).collect();
    // The order of `Points`, so that places there are places here.
    let key = |i: &usize| points::row(&runs[*i], Counting::All).unwrap_or([f64::NAN; 5]);
    order.sort_by(|i, j| by_first_difference(&key(i), &key(j)));
    let sorted: Vec<Observation> = order.iter().map(|i| runs[*i].clone()).collect();
    let points = Points::new(&sorted, Counting::All);
    if !(CONTRADICTING..=LONG).contains(&runs.len()) || points.too_few() || points.flat() {
        return Vec::new();
    }
    let starts = vpnls::starts(&points);
    let fit = |weights: &[f64], near: Option<[f64; 2]>| {
        // Of many runs one does not move the fit into another valley.
        let all = near.is_none() || sorted.len() < SHORT;
        let from: Vec<[f64; 2]> = near.into_iter().chain(starts.iter().copied().filter(|_| all)).collect();
        vpnls::least(&points, weights, &from)
    };
    let mut now = fit(&vec![1.0; runs.len()], None);
    let step = |weights: &[f64]| {
        let error = |i: &usize, by: &vpnls::Least| (sorted[*i].loss / loss_at(by, &sorted[*i])).ln().abs();
        let mut kept: Vec<usize> = (0..weights.len()).filter(|i| weights[*i] > 0.0).collect();
        kept.sort_by(|i, j| error(j, &now).total_cmp(&error(i, &now)));
        let without = |&i: &usize| {
            let mut weights = weights.to_vec();
            weights[i] = 0.0;
            (i, fit(&weights, Some(now.exponents)))
        };
        let best = kept.iter().take(TRIED).map(without);
        let (at, next) = best.min_by(|a, b| a.1.squares.total_cmp(&b.1.squares))?;
        let squares = [now.squares, next.squares];
        let largest = kept.iter().filter(|i| **i != at).map(|i| error(i, &next)).fold(0.0, f64::max);
        let apart = Apart { index: at, expected: loss_at(&next, &sorted[at]) };
        now = next;
        Some(Step { apart, squares, freedom: (kept.len() - 1).saturating_sub(SURFACE), largest })
    };
    let found = in_turn(&sorted, step);
    found.into_iter().map(|apart| Apart { index: order[apart.index], ..apart }).collect()
}

fn loss_at(by: &vpnls::Least, run: &Observation) -> f64 {
    by.surface.loss(run.params, run.tokens)
}

/// The runs that lie apart by the parabolas of the budgets.
pub(super) fn of_budgets(runs: &[Observation]) -> Vec<Apart> {
    let mut order: Vec<usize> = (0..runs.len()).collect();
    let key = |i: &usize| [runs[*i].budget(), runs[*i].params, runs[*i].loss];
    order.sort_by(|i, j| by_first_difference(&key(i), &key(j)));
    let budgets: Vec<&[usize]> = order.chunk_by(|i, j| same_budget(runs[*i].budget(), runs[*j].budget())).collect();
    let step = |weights: &[f64]| {
        let curves = budgets.iter().filter_map(|budget| Curve::new(runs, budget, weights));
        let curves: Vec<Curve> = curves.collect();
        let whole: f64 = curves.iter().map(|curve| curve.squares(None)).sum();
        let freedom = curves.iter().map(|curve| curve.members.len() - PARABOLA).sum::<usize>().saturating_sub(1);
        let gain = |curve: &Curve, at: usize| curve.squares(None) - curve.squares(Some(at));
        let inner = curves.iter().flat_map(|curve| curve.inner().map(move |at| (curve, at)));
        let (curve, at) = inner.max_by(|a, b| gain(a.0, a.1).total_cmp(&gain(b.0, b.1)))?;
        let errors = curves.iter().flat_map(|of| of.errors(Some(at).filter(|_| std::ptr::eq(of, curve))));
        Some(Step {
            apart: Apart { index: curve.members[at], expected: curve.without(at) },
            squares: [whole, whole - gain(curve, at)],
            freedom,
            largest: errors.fold(0.0, f64::max),
        })
    };
    in_turn(runs, step)
}

/// The runs of one budget and a parabola of their losses in the logarithm of size.
struct Curve {
    members: Vec<usize>,
    x: Vec<f64>,
    losses: Vec<f64>,
    design: Design,
    /// Residuals, and how much the parabola follows each run.
    residuals: Vec<[f64; 2]>,
}

impl Curve {
    /// Nothing where a parabola could not do without one of the sizes.
    fn new(runs: &[Observation], budget: &[usize], weights: &[f64]) -> Option<Self> {
        let mut members: Vec<usize> = budget.iter().copied().filter(|i| weights[*i] > 0.0).collect();
        // Budgets that differ by a percent are in no order of sizes.
        members
            .sort_by(|i, j| runs[*i].params.total_cmp(&runs[*j].params).then(runs[*i].loss.total_cmp(&runs[*j].loss)));
        let x: Vec<f64> = members.iter().map(|i| runs[*i].params.ln()).collect();
        if distinct_logarithms(x.iter().copied()) <= SIZES {
            return None;
        }
        let losses: Vec<f64> = members.iter().map(|i| runs[*i].loss).collect();
        let design = Design::new(&x);
        let curve = design.parabola(&losses);
        let residual = |(i, (x, loss)): (usize, (&f64, &f64))| [loss - curve.at(*x), design.leverage(i)];
        let residuals = x.iter().zip(&losses).enumerate().map(residual).collect();
        Some(Self { members, x, losses, design, residuals })
    }

    /// The runs whose size is neither the smallest nor the largest, and of which the others can tell.
    fn inner(&self) -> impl Iterator<Item = usize> {
        let (first, last) = (self.x[0], self.x[self.x.len() - 1]);
        let is_told = |i: usize| self.residuals[i][1] < FOLLOWED;
        (0..self.x.len()).filter(move |i| self.x[*i] > first && self.x[*i] < last && is_told(*i))
    }

    /// The residual sum of squares, without one of the runs where one is told.
    fn squares(&self, without: Option<usize>) -> f64 {
        let all: f64 = self.residuals.iter().map(|[residual, _]| residual * residual).sum();
        without.map_or(all, |i| {
            let [residual, leverage] = self.residuals[i];
            (all - residual * residual / (1.0 - leverage)).max(0.0)
        })
    }

    /// What the parabola of the others says of a run.
    fn without(&self, i: usize) -> f64 {
        let [residual, leverage] = self.residuals[i];
        self.losses[i] - residual / (1.0 - leverage)
    }

    /// Errors of the runs in the logarithm, of all about their parabola or of the others about theirs.
    fn errors(&self, without: Option<usize>) -> Vec<f64> {
        let mut losses = self.losses.clone();
        if let Some(i) = without {
            losses[i] = self.without(i);
        }
        let curve = self.design.parabola(&losses);
        let error = |i: usize| (losses[i] / curve.at(self.x[i])).ln().abs();
        (0..losses.len()).map(error).collect()
    }
}

/// Leaves runs out one after the other; those up to the last that lies apart.
fn in_turn(runs: &[Observation], mut step: impl FnMut(&[f64]) -> Option<Step>) -> Vec<Apart> {
    let mut weights = vec![1.0; runs.len()];
    let (mut found, mut last) = (Vec::new(), 0);
    let error = |apart: &Apart| (runs[apart.index].loss / apart.expected).ln().abs();
    for left in (1..=runs.len()).rev().take((runs.len() / SHARE).clamp(1, MOST)) {
        let Some(Step { apart, squares: [with, without], freedom, largest }) = step(&weights) else { break };
        let ratio = (with - without) * freedom as f64 / without.max(f64::MIN_POSITIVE);
        weights[apart.index] = 0.0;
        found.push(apart);
        if ratio > LEAST && error(&apart) > FLOOR && beyond_f(ratio, 1, freedom) * (left as f64) < CHANCE {
            last = found.len();
        }
        if error(&apart).max(largest) <= FLOOR {
            break;
        }
    }
    found.truncate(last);
    found.retain(|apart| error(apart) > FLOOR);
    found
}
