//! How much compute one way of training saves against another to reach the same loss, the cost of tuning included.
//!
//! For each way and budget, a parabola of loss in log parameters through its best learning rate at each size, taken for
//! each seed and averaged over the seeds; its minimum is the frontier. Between budgets the frontier's loss is a straight
//! line in log compute, beyond them the line goes on.
//! For each budget of the reference: the budget at which the other way reaches the same loss, alone and with everything
//! that was spent to get there, which is all learning rates at all sizes, and tuning done elsewhere.
//!
//! Intervals come from resampled, leverage-corrected residuals of the parabolas, pooled over the budgets of a way and
//! widened by Student's t for what the parabolas took.

use rand::RngExt;
use serde::{Deserialize, Serialize};

use crate::fit::estimate::too_many_lost;
use crate::fit::numerics::bootstrap::Bootstrap;
use crate::fit::numerics::chance::widening;
use crate::fit::numerics::regress::{Design, Parabola};
use crate::fit::{Estimate, Status};

/// One trained point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Run {
    /// Budget of its curve, in FLOPs.
    pub budget: f64,
    /// Number of parameters.
    pub params: f64,
    /// Final loss in nats per token; infinite where it diverged.
    pub loss: f64,
    /// Training FLOPs.
    pub flops: f64,
    /// Seed: runs that differ in it alone are repeats of each other.
    pub seed: u64,
}

/// A way of training, with all its runs: several of one budget and size differ in the learning rate.
#[derive(Clone, Debug, PartialEq)]
pub struct Way {
    /// Its name.
    pub name: String,
    /// All runs.
    pub runs: Vec<Run>,
    /// FLOPs of tuning that its runs do not hold, where known.
    pub tuning_flops: Option<f64>,
}

/// The two ways at one budget of the reference.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BudgetSaving {
    /// The budget, in FLOPs.
    pub budget: f64,
    /// Whether both curves have their minimum inside the sizes.
    pub status: Status,
    /// Loss of the reference's best size, in nats per token.
    pub reference_loss: Option<Estimate>,
    /// Loss of the other way's best size at the same budget.
    pub loss: Option<Estimate>,
    /// Budget of the reference over the budget at which the other way reaches its loss: above 1 it saves compute.
    pub saving: Option<Estimate>,
    /// The same for all that was spent: every learning rate at every size, and tuning elsewhere.
    pub saving_with_tuning: Option<Estimate>,
}

/// What the other way saves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Name of the reference.
    pub reference: String,
    /// Name of the other way.
    pub other: String,
    /// FLOPs that the other way spent on tuning elsewhere, where known.
    pub tuning_flops: Option<f64>,
    /// One for each budget of both, ascending.
    pub budgets: Vec<BudgetSaving>,
    /// What may be concluded, in a sentence.
    pub conclusion: String,
}

/// Log budget and least loss of each curve that has a minimum, for the reference and the other way.
type Frontiers = [Vec<[f64; 2]>; 2];

/// One budget of a way: the best loss of each size.
struct Curve {
    budget: f64,
    /// FLOPs of all runs, with those that lost.
    spent: f64,
    /// log10 of the parameters, and loss.
    points: Vec<[f64; 2]>,
    design: Design,
    fitted: Parabola,
}

/// Compares `other` with `reference`. It never fails: a budget without a minimum has a status.
pub fn compare(reference: &Way, other: &Way, bootstrap: &Bootstrap) -> Comparison {
    let ways = [reference, other].map(curves);
    let pools = [0, 1].map(|way| residuals(&ways[way]));
    let budgets: Vec<f64> = ways[0].iter().map(|curve| curve.budget).filter(|b| at(&ways[1], *b).is_some()).collect();
    let original = [0, 1].map(|way| frontier(&ways[way], || 0.0));
    let draws: Vec<Frontiers> = bootstrap.draws(|rng| {
        [0, 1].map(|way| {
            let pool: &[f64] = &pools[way];
            frontier(&ways[way], || if pool.is_empty() { 0.0 } else { pool[rng.random_range(0..pool.len())] })
        })
    });
    let estimate = |of: &dyn Fn(&Frontiers) -> f64| {
        let estimate = Estimate::from_draws(of(&original), draws.iter().map(of));
        let lost = draws.iter().filter(|draw| of(draw).is_nan()).count();
        (estimate.value.is_finite() && !too_many_lost(lost, draws.len())).then_some(estimate)
    };
    let saving = |budget: f64| {
        let curves = [0, 1].map(|way| at(&ways[way], budget).expect("a budget of both"));
        let status = curves.iter().map(|curve| curve.status()).find(|status| *status != Status::Converged);
        let known = status.is_none();
        let loss = |way: usize| estimate(&|f| loss_at(&f[way], budget)).filter(|_| known);
        // The budget at which the other way reaches the loss that the reference has at this one.
        let needed = |f: &Frontiers| budget_for(&f[1], loss_at(&f[0], budget));
        let runs_of_a_budget = curves[1].spent / budget;
        let tuning = reference.tuning_flops.zip(other.tuning_flops);
        BudgetSaving {
            budget,
            status: status.unwrap_or(Status::Converged),
            reference_loss: loss(0),
            loss: loss(1),
            saving: estimate(&|f| budget / needed(f)).filter(|_| known),
            saving_with_tuning: tuning.filter(|_| known).and_then(|(before, here)| {
                estimate(&|f| (curves[0].spent + before) / (runs_of_a_budget * needed(f) + here))
            }),
        }
    };
    let budgets: Vec<BudgetSaving> = budgets.into_iter().map(saving).collect();
    let conclusion = conclusion(&reference.name, &other.name, &budgets);
    let (names, tuning_flops) = ([&reference.name, &other.name].map(Clone::clone), other.tuning_flops);
    let [reference, other] = names;
    Comparison { reference, other, tuning_flops, budgets, conclusion }
}

fn curves(way: &Way) -> Vec<Curve> {
    let mut runs = way.runs.clone();
    runs.sort_by(|a, b| a.budget.total_cmp(&b.budget).then(a.params.total_cmp(&b.params)).then(a.seed.cmp(&b.seed)));
    let curve = |runs: &[Run]| {
        let sizes = runs.chunk_by(|a, b| a.params.total_cmp(&b.params).is_eq());
        let least = |rates: &[Run]| rates.iter().map(|run| run.loss).fold(f64::INFINITY, f64::min);
        let best = |size: &[Run]| {
            let seeds: Vec<f64> = size.chunk_by(|a, b| a.seed == b.seed).map(least).filter(|x| x.is_finite()).collect();
            let mean = if seeds.is_empty() { f64::INFINITY } else { seeds.iter().sum::<f64>() / seeds.len() as f64 };
            [size[0].params.log10(), mean]
        };
        let points: Vec<[f64; 2]> = sizes.map(best).filter(|point| point[1].is_finite()).collect();
        let (x, losses): (Vec<f64>, Vec<f64>) = points.iter().map(|[x, loss]| (*x, *loss)).unzip();
        (x.len() >= 4).then(|| {
            let design = Design::new(&x);
            let fitted = design.parabola(&losses);
            let spent = runs.iter().map(|run| run.flops).sum();
            Curve { budget: runs[0].budget, spent, points, design, fitted }
        })
    };
    runs.chunk_by(|a, b| a.budget.total_cmp(&b.budget).is_eq()).filter_map(curve).collect()
}

impl Curve {
    fn status(&self) -> Status {
        let [first, last] = [0, self.points.len() - 1].map(|i| self.points[i][0]);
        if self.fitted.curvature() <= 0.0 {
            Status::NotIdentified
        } else if self.fitted.vertex() <= first || self.fitted.vertex() >= last {
            Status::EdgeMinimum
        } else {
            Status::Converged
        }
    }
}

fn at(curves: &[Curve], budget: f64) -> Option<&Curve> {
    curves.iter().find(|curve| curve.budget.total_cmp(&budget).is_eq())
}

/// Log budget and least loss of every curve that has a minimum, with noise on each point.
fn frontier(curves: &[Curve], mut noise: impl FnMut() -> f64) -> Vec<[f64; 2]> {
    let found = curves.iter().filter(|curve| curve.status() == Status::Converged);
    let point = |curve: &Curve| {
        let noisy: Vec<f64> = curve.points.iter().map(|[_, loss]| loss + noise()).collect();
        let parabola = curve.design.parabola(&noisy);
        let least = if parabola.curvature() > 0.0 { parabola.at(parabola.vertex()) } else { f64::NAN };
        [curve.budget.ln(), least]
    };
    found.map(point).collect()
}

fn residuals(curves: &[Curve]) -> Vec<f64> {
    // Three unknowns a curve.
    let wider = widening(curves.iter().map(|curve| curve.points.len() - 3).sum());
    let of = |curve: &Curve| -> Vec<f64> {
        let points = curve.points.iter().enumerate();
        let residual = |(i, [x, loss]): (usize, &[f64; 2])| {
            wider * (loss - curve.fitted.at(*x)) / (1.0 - curve.design.leverage(i)).max(0.05).sqrt()
        };
        points.map(residual).collect()
    };
    curves.iter().flat_map(of).collect()
}

fn loss_at(frontier: &[[f64; 2]], budget: f64) -> f64 {
    let place = frontier.iter().find(|point| (point[0] - budget.ln()).abs() < 1e-9);
    place.map_or(f64::NAN, |point| point[1])
}

/// The budget at which a frontier has a loss; NaN where it does not fall, or has one point only.
fn budget_for(frontier: &[[f64; 2]], loss: f64) -> f64 {
    let Some(last) = frontier.len().checked_sub(2) else { return f64::NAN };
    let segment = frontier.windows(2).position(|pair| pair[1][1] <= loss).unwrap_or(last);
    let [[from, high], [to, low]] = [frontier[segment], frontier[segment + 1]];
    if high > low { (from + (to - from) * (high - loss) / (high - low)).exp() } else { f64::NAN }
}

fn conclusion(reference: &str, other: &str, budgets: &[BudgetSaving]) -> String {
    let Some((saving, with_tuning, budget)) =
        budgets.iter().rev().find_map(|b| Some((b.saving?, b.saving_with_tuning, b.budget)))
    else {
        return format!("{other} cannot be compared with {reference}: no budget has a minimum in both.");
    };
    let share = |saving: Estimate| {
        let verdict = match (saving.low > 1.0, saving.high < 1.0) {
            (true, _) => "less",
            (_, true) => "more",
            _ => "no clear difference",
        };
        let [value, low, high] = [saving.value, saving.high, saving.low].map(|saving| 1.0 / saving);
        format!("{value:.2} of the compute ({low:.2} to {high:.2}: {verdict})")
    };
    let tuned = with_tuning.map_or_else(
        || "the cost of tuning is not known".to_owned(),
        |saving| format!("including the cost of tuning, {}", share(saving)),
    );
    format!("{other} reaches the loss of {reference} at {budget:.2e} FLOPs with {}; {tuned}.", share(saving))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOTSTRAP: Bootstrap = Bootstrap { resamples: 200, seed: 1 };

    /// L = 2 + (C/1e10)^-0.1 + 0.05 (log10 N/N*)^2, where the way uses its compute with an efficiency, and
    /// loses 0.02 at rates that are off.
    fn way(name: &str, efficiency: f64, rates: usize, noise: f64) -> Way {
        let mut runs = Vec::new();
        for budget in [1e11, 3e11, 1e12, 3e12] {
            for size in 0..6_i32 {
                let off = (f64::from(size) - 2.5) / 4.0;
                let params = 1e4 * (budget / 1e11_f64).sqrt() * 10_f64.powf(off);
                for rate in 0..rates {
                    let wobble = noise * (f64::from(size * 7 + budget.log10() as i32 * 5) * 12.9898).sin();
                    let loss = 2.0 + (efficiency * budget / 1e10).powf(-0.1) + 0.3 * off * off;
                    runs.push(Run { budget, params, loss: loss + 0.02 * rate as f64 + wobble, flops: budget, seed: 1 });
                }
            }
        }
        Way { name: name.to_owned(), runs, tuning_flops: Some(0.0) }
    }

    #[test]
    fn a_way_that_needs_two_thirds_of_the_compute_saves_half_and_tuning_multiplies_it() {
        let tuned = way("standard", 1.0, 3, 0.0);
        let mut once = way("mup", 1.5, 1, 0.0);
        once.tuning_flops = Some(1e12);
        let result = compare(&tuned, &once, &BOOTSTRAP);
        assert_eq!(result.budgets.len(), 4);
        for b in &result.budgets[1..] {
            // The frontier is a straight line only between budgets.
            assert!((b.saving.unwrap().value - 1.5).abs() < 0.03, "{b:?}");
            let spent = 6.0 * b.budget / b.saving.unwrap().value + 1e12;
            assert!((b.saving_with_tuning.unwrap().value / (18.0 * b.budget / spent) - 1.0).abs() < 1e-9);
        }
        assert!(result.conclusion.contains(": less)"), "{}", result.conclusion);
    }

    #[test]
    fn equal_ways_save_nothing_and_the_interval_says_so() {
        let result = compare(&way("a", 1.0, 1, 0.01), &way("b", 1.0, 1, -0.01), &BOOTSTRAP);
        for b in &result.budgets {
            assert!(b.saving.unwrap().holds(1.0), "{b:?}");
        }
        assert!(result.conclusion.contains("no clear difference"), "{}", result.conclusion);
    }

    #[test]
    fn seeds_are_averaged_and_rates_are_not() {
        let one = way("one seed", 1.0, 3, 0.0);
        let mut two = way("two seeds", 1.0, 3, 0.0);
        let shifted = |run: &Run, seed, by: f64| Run { seed, loss: run.loss + by, ..*run };
        two.runs = one.runs.iter().flat_map(|run| [shifted(run, 1, 0.03), shifted(run, 2, -0.03)]).collect();
        for saving in compare(&one, &two, &BOOTSTRAP).budgets {
            assert!((saving.saving.unwrap().value - 1.0).abs() < 1e-6, "{saving:?}");
        }
    }

    #[test]
    fn what_tuning_costs_may_be_unknown() {
        let mut other = way("b", 1.0, 1, 0.0);
        other.tuning_flops = None;
        let result = compare(&way("a", 1.0, 1, 0.0), &other, &BOOTSTRAP);
        assert!(result.budgets.iter().all(|b| b.saving.is_some() && b.saving_with_tuning.is_none()));
        assert!(result.conclusion.contains("is not known"), "{}", result.conclusion);
    }

    #[test]
    fn a_curve_without_a_minimum_is_a_status_and_diverged_runs_are_passed_over() {
        let mut edge = way("edge", 1.0, 1, 0.0);
        edge.runs.retain(|run| run.params < 1e4 * (run.budget / 1e11).sqrt());
        edge.runs.iter_mut().for_each(|run| run.loss -= run.params.log10());
        edge.runs.push(Run { budget: 1e11, params: 77.0, loss: f64::INFINITY, flops: 1e11, seed: 1 });
        let result = compare(&way("a", 1.0, 1, 0.0), &edge, &BOOTSTRAP);
        assert!(result.budgets.iter().all(|b| b.status != Status::Converged && b.saving.is_none()), "{result:?}");
        let nothing = Way { name: "nothing".to_owned(), runs: Vec::new(), tuning_flops: Some(0.0) };
        assert!(compare(&nothing, &edge, &BOOTSTRAP).conclusion.contains("cannot be compared"));
    }
}
