//! VPNLS: variable projection with non-negative least squares (arXiv 2603.22339).
//!
//! For fixed alpha and beta the surface is linear in E, A and B, which non-negative least squares gives exactly; only
//! the two exponents are searched, on a grid and then by BFGS with the envelope gradient. Residuals are in nats, not
//! in log loss, and weigh the runs differently from approach 3. Three coefficients have eight sets of which are zero,
//! so the non-negative solution is the best feasible one of eight, without an iteration.

use rayon::prelude::*;

use crate::fit::approaches::approach::Approach;
use crate::fit::approaches::parametric::{Fitted, Method, SurfaceFit, assemble};
use crate::fit::approaches::points::{ENOUGH, Points};
use crate::fit::approaches::surface::Surface;
use crate::fit::numerics::bootstrap::Bootstrap;
use crate::fit::numerics::minimize::{bfgs, solve_positive};
use crate::fit::table::resample::Resample;
use crate::observation::{Counting, Observation};

/// Exponents of the grid: 32 even steps over this range.
const RANGE: (f64, f64) = (0.05, 0.95);
const STEPS: usize = 32;
/// Exponents outside of this are not searched.
const LIMITS: (f64, f64) = (1e-3, 5.0);
/// Most steps of least trimmed squares; most tables need three to six.
const TRIMS: usize = 12;
/// Ends of the grid from which BFGS runs.
const KEPT: usize = 3;

/// How VPNLS is fitted.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Options {
    /// How often to resample.
    pub bootstrap: Bootstrap,
    /// What is resampled.
    pub resample: Resample,
}

impl From<&Bootstrap> for Options {
    fn from(bootstrap: &Bootstrap) -> Self {
        Self { bootstrap: *bootstrap, resample: Resample::Runs }
    }
}

/// Fits VPNLS to `observations`, counting parameters by `counting`. It never fails: what the data do not decide is a
/// status.
pub fn fit(observations: &[Observation], counting: Counting, options: impl Into<Options>) -> SurfaceFit {
    let Options { bootstrap, resample } = options.into();
    let points = Points::new(observations, counting);
    let method = Method { approach: Approach::Vpnls, counting, delta: None, resample };
    if points.too_few() || points.flat() {
        return assemble(&method, &points, None, Vec::new());
    }
    let weights = vec![1.0; points.len()];
    let problem = Problem { points: &points, weights: &weights };
    let starts = problem.grid();
    let best = problem.best(&starts);
    let units = points.units(resample);
    let draws = bootstrap.draws(|rng| {
        let weights = points.resample(&units, rng);
        let mut from = vec![best.0];
        from.extend(starts.iter().filter(|_| points.len() <= ENOUGH));
        let resampled = Problem { points: &points, weights: &weights };
        resampled.surface(&resampled.best(&from).0)
    });
    let inside: fn(f64) -> bool = |x| x > LIMITS.0 * 1.01 && x < LIMITS.1 * 0.99;
    let at_bound: Vec<&str> =
        ["alpha", "beta"].into_iter().zip(best.0).filter(|(_, x)| !inside(*x)).map(|(name, _)| name).collect();
    let unfinished = (!at_bound.is_empty()).then_some("an exponent is at a bound of the search");
    let fitted =
        Fitted { surface: problem.surface(&best.0), objective: best.1, unfinished, at_bound, searched: Some(inside) };
    assemble(&method, &points, Some(&fitted), draws)
}

/// The surface of the three quarters of the runs that agree best: least trimmed squares of log loss, by steps that each
/// fit the runs of least error (Rousseeuw and Van Driessen 1999). From all runs, and from those of least loss, as what
/// went wrong in training stands too high. Nothing where there are too few runs.
pub(super) fn trimmed(observations: &[Observation], counting: Counting) -> Option<Surface> {
    let points = Points::new(observations, counting);
    if points.too_few() || points.flat() {
        return None;
    }
    let kept = points.len() - points.len() / 4;
    let least = |values: &[f64]| -> Vec<f64> {
        let mut order: Vec<usize> = (0..values.len()).collect();
        order.sort_by(|&i, &j| values[i].total_cmp(&values[j]));
        let mut weights = vec![0.0; values.len()];
        order[..kept].iter().for_each(|i| weights[*i] = 1.0);
        weights
    };
    let ends = [vec![1.0; points.len()], least(&points.loss)].map(|mut weights| {
        let (mut surface, mut sum) = (None, f64::INFINITY);
        let mut exponents = Problem { points: &points, weights: &weights }.grid()[0];
        for _ in 0..TRIMS {
            let problem = Problem { points: &points, weights: &weights };
            exponents = problem.best(&[exponents]).0;
            let found = problem.surface(&exponents);
            let errors: Vec<f64> = (0..points.len())
                .map(|i| {
                    let [n, d] = [points.ln_n[i] + points.mean_n, points.ln_d[i] + points.mean_d].map(f64::exp);
                    (found.loss(n, d).ln() - points.ln_loss[i]).abs()
                })
                .collect();
            weights = least(&errors);
            let now: f64 = errors.iter().zip(&weights).map(|(error, weight)| weight * error * error).sum();
            // A step never makes it worse; where it changes nothing, it is done.
            if now.is_nan() || now >= sum {
                break;
            }
            (surface, sum) = (Some(found), now);
        }
        (surface, sum)
    });
    ends.into_iter().min_by(|a, b| a.1.total_cmp(&b.1))?.0
}

/// The least-squares surface of some runs.
pub(super) struct Least {
    pub(super) surface: Surface,
    /// Residual sum of squares, in nats^2.
    pub(super) squares: f64,
    /// Its exponents, from which neighbouring fits start.
    pub(super) exponents: [f64; 2],
}

/// Exponents from which to search for the surface of all but a few of these runs.
pub(super) fn starts(points: &Points) -> Vec<[f64; 2]> {
    Problem { points, weights: &vec![1.0; points.len()] }.grid()
}

/// The least-squares surface of the runs at these weights, from the best of `starts`.
pub(super) fn least(points: &Points, weights: &[f64], starts: &[[f64; 2]]) -> Least {
    let problem = Problem { points, weights };
    let (exponents, squares) = problem.best(starts);
    Least { surface: problem.surface(&exponents), squares, exponents }
}

struct Problem<'a> {
    points: &'a Points,
    weights: &'a [f64],
}

impl Problem<'_> {
    /// The best exponents of the grid, far enough from each other to lie in different valleys.
    fn grid(&self) -> Vec<[f64; 2]> {
        let at = |i: usize| RANGE.0 + (RANGE.1 - RANGE.0) * i as f64 / (STEPS - 1) as f64;
        let mut values: Vec<([f64; 2], f64)> = (0..STEPS * STEPS)
            .into_par_iter()
            .map(|i| {
                let exponents = [at(i / STEPS), at(i % STEPS)];
                (exponents, self.value(&exponents).0)
            })
            .collect();
        values.sort_by(|a, b| a.1.total_cmp(&b.1));
        let mut kept: Vec<[f64; 2]> = Vec::new();
        for (exponents, _) in values {
            let near = |x: &[f64; 2]| (x[0] - exponents[0]).abs() + (x[1] - exponents[1]).abs() < 0.2;
            if !kept.iter().any(near) {
                kept.push(exponents);
            }
            if kept.len() == KEPT {
                break;
            }
        }
        kept
    }

    /// The best exponents that BFGS reaches from `starts`, and the residual sum of squares there.
    fn best(&self, starts: &[[f64; 2]]) -> ([f64; 2], f64) {
        let ends = starts.iter().map(|start| bfgs(|x| self.value(x), *start, 1e-14, 200));
        ends.min_by(|a, b| a.value.total_cmp(&b.value)).map_or(([f64::NAN; 2], f64::NAN), |end| (end.x, end.value))
    }

    /// Columns of the linear problem at run `i`, for centred N and D.
    fn columns(&self, i: usize, [alpha, beta]: &[f64; 2]) -> [f64; 3] {
        [1.0, (-alpha * self.points.ln_n[i]).exp(), (-beta * self.points.ln_d[i]).exp()]
    }

    /// Residual sum of squares in nats^2 with its gradient by the envelope theorem: at the best E, A, B these do not
    /// move it to first order.
    fn value(&self, exponents: &[f64; 2]) -> (f64, [f64; 2]) {
        if exponents.iter().any(|x| !(LIMITS.0..=LIMITS.1).contains(x)) {
            return (f64::INFINITY, [0.0; 2]);
        }
        let [e, a, b] = self.project(exponents);
        let (mut sum, mut gradient) = (0.0, [0.0; 2]);
        for (i, weight) in self.weights.iter().enumerate() {
            let [_, by_params, by_tokens] = self.columns(i, exponents);
            let residual = self.points.loss[i] - (e + a * by_params + b * by_tokens);
            sum += weight * residual * residual;
            gradient[0] += 2.0 * weight * residual * a * by_params * self.points.ln_n[i];
            gradient[1] += 2.0 * weight * residual * b * by_tokens * self.points.ln_d[i];
        }
        (sum, gradient)
    }

    /// Non-negative E, A, B of least squares at these exponents: the best feasible solution among all choices of which
    /// of them are zero.
    #[expect(clippy::needless_range_loop, reason = "indices read as in the formula")]
    fn project(&self, exponents: &[f64; 2]) -> [f64; 3] {
        let (mut matrix, mut right) = ([[0.0; 3]; 3], [0.0; 3]);
        for (i, weight) in self.weights.iter().enumerate() {
            let columns = self.columns(i, exponents);
            for j in 0..3 {
                right[j] += weight * columns[j] * self.points.loss[i];
                for k in 0..3 {
                    matrix[j][k] += weight * columns[j] * columns[k];
                }
            }
        }
        // The residual sum of squares without its constant part.
        let excess = |x: &[f64; 3]| -> f64 {
            (0..3).map(|j| x[j] * ((0..3).map(|k| matrix[j][k] * x[k]).sum::<f64>() - 2.0 * right[j])).sum()
        };
        let candidates = (0..8_usize).filter_map(|zero| {
            let (mut reduced, mut values) = (matrix, right);
            for j in (0..3).filter(|j| zero >> j & 1 == 1) {
                for k in 0..3 {
                    (reduced[j][k], reduced[k][j]) = (0.0, 0.0);
                }
                (reduced[j][j], values[j]) = (1.0, 0.0);
            }
            solve_positive(&reduced, &values).filter(|x| x.iter().all(|value| *value >= 0.0))
        });
        candidates.min_by(|x, y| excess(x).total_cmp(&excess(y))).unwrap_or([0.0; 3])
    }

    fn surface(&self, exponents: &[f64; 2]) -> Surface {
        let [e, a, b] = self.project(exponents);
        let [alpha, beta] = *exponents;
        let uncentred = |coefficient: f64, exponent: f64, mean: f64| coefficient * (exponent * mean).exp();
        Surface {
            e,
            a: uncentred(a, alpha, self.points.mean_n),
            b: uncentred(b, beta, self.points.mean_d),
            alpha,
            beta,
        }
    }
}
