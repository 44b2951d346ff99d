//! Approach 3: the whole surface by a robust fit of log loss (Hoffmann et al. 2022, arXiv 2203.15556, equation 3).
//!
//! With a = ln A, b = ln B, e = ln E it minimises the SUM over runs of
//! `Huber_delta(LSE(a - alpha ln N, b - beta ln D, e) - ln L)`. The sum and not the mean: a mean of some 1e-6 meets the
//! tolerances of common optimisers before its minimum, which is Besiroglu et al.'s explanation (arXiv 2404.10102) of
//! the constants first published.
//!
//! BFGS with analytic gradients runs from every point of the start grid; Newton's method with the analytic Hessian
//! takes the best ends to the minimum. A small delta makes the Huber loss the least absolute deviations: it is reached
//! by lowering delta in steps, each from the minimum of the one before, because nearly all of its gradient is a sum of
//! signs and tells nothing of the distance to the minimum.

use rayon::prelude::*;
use thiserror::Error;

use crate::fit::approaches::approach::Approach;
use crate::fit::approaches::parametric::{Fitted, Method, SurfaceFit, assemble};
use crate::fit::approaches::points::{ENOUGH, Points};
use crate::fit::approaches::surface::Surface;
use crate::fit::numerics::bootstrap::Bootstrap;
use crate::fit::numerics::minimize::{Stop, bfgs, newton};
use crate::fit::numerics::order::combinations;
use crate::fit::table::resample::Resample;
use crate::observation::{Counting, Observation};

/// The residual above which the Huber loss is linear, that of Hoffmann et al.
pub const DELTA: f64 = 1e-3;
/// Below this delta the minimum is approached from larger ones.
const FIRST_DELTA: f64 = 1e-3;
/// Ends of the start grid that Newton's method takes further, and that resamples start from.
const KEPT: usize = 4;
/// Combinations of starting values that are accepted.
const MOST_STARTS: usize = 1_000_000;

/// How approach 3 is fitted.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Residual in log loss above which the Huber loss is linear.
    pub delta: f64,
    /// Starting values.
    pub starts: StartGrid,
    /// How often to resample.
    pub bootstrap: Bootstrap,
    /// What is resampled.
    pub resample: Resample,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            delta: DELTA,
            starts: StartGrid::default(),
            bootstrap: Bootstrap::default(),
            resample: Resample::default(),
        }
    }
}

/// Starting values, in every combination.
#[derive(Clone, Debug, PartialEq)]
pub struct StartGrid {
    /// Values of a = ln A.
    pub a: Vec<f64>,
    /// Values of b = ln B.
    pub b: Vec<f64>,
    /// Values of e = ln E.
    pub e: Vec<f64>,
    /// Values of alpha.
    pub alpha: Vec<f64>,
    /// Values of beta.
    pub beta: Vec<f64>,
}

impl Default for StartGrid {
    /// The 4500 starts of Hoffmann et al. 2022, section D.2.
    fn default() -> Self {
        let coefficients = vec![0.0, 5.0, 10.0, 15.0, 20.0, 25.0];
        let exponents = vec![0.0, 0.5, 1.0, 1.5, 2.0];
        Self {
            a: coefficients.clone(),
            b: coefficients,
            e: vec![-1.0, -0.5, 0.0, 0.5, 1.0],
            alpha: exponents.clone(),
            beta: exponents,
        }
    }
}

/// A start grid that means nothing.
#[derive(Debug, Error)]
pub enum StartError {
    /// Not `name=value,value`.
    #[error("'{text}': write NAME=VALUE,VALUE,... with a name out of a, b, e (the logarithms of A, B, E), alpha, beta")]
    Unreadable {
        /// What was written.
        text: String,
    },
    /// More starts than anybody waits for.
    #[error("{count} starting points are too many: give fewer values, at most {MOST_STARTS} combinations")]
    TooMany {
        /// The number of combinations.
        count: usize,
    },
}

impl StartGrid {
    /// The default grid with the values of `name=value,value` in place of its own.
    pub fn parse(axes: &[String]) -> Result<Self, StartError> {
        let mut grid = Self::default();
        for text in axes {
            let unreadable = || StartError::Unreadable { text: text.clone() };
            let (name, list) = text.split_once('=').ok_or_else(unreadable)?;
            let values: Vec<f64> = list
                .split(',')
                .map(|value| value.trim().parse().map_err(|_| unreadable()))
                .collect::<Result<_, _>>()?;
            if values.iter().any(|value| !value.is_finite()) {
                return Err(unreadable());
            }
            let axis = match name.trim() {
                "a" => &mut grid.a,
                "b" => &mut grid.b,
                "e" => &mut grid.e,
                "alpha" => &mut grid.alpha,
                "beta" => &mut grid.beta,
                _ => return Err(unreadable()),
            };
            *axis = values;
        }
        let axes = [&grid.a, &grid.b, &grid.e, &grid.alpha, &grid.beta];
        let count = axes.iter().fold(1, |count: usize, axis| count.saturating_mul(axis.len()));
        if count > MOST_STARTS { Err(StartError::TooMany { count }) } else { Ok(grid) }
    }

    /// Starts near a surface, for another fit to nearly the same runs.
    pub fn around(surface: &Surface) -> Self {
        let near = |value: f64| vec![0.7 * value, value, 1.4 * value];
        Self {
            a: near(surface.a.ln()),
            b: near(surface.b.ln()),
            e: vec![surface.e.max(1e-3).ln(), 0.0],
            alpha: near(surface.alpha),
            beta: near(surface.beta),
        }
    }

    /// Every combination as [a, b, e, alpha, beta].
    fn all(&self) -> Vec<[f64; 5]> {
        combinations([&self.a, &self.b, &self.e, &self.alpha, &self.beta])
    }
}

/// Fits approach 3 to `observations`, counting parameters by `counting`. It never fails: what the data do not decide
/// is a status.
pub fn fit(observations: &[Observation], counting: Counting, options: &Options) -> SurfaceFit {
    let points = Points::new(observations, counting);
    let method = Method { approach: Approach::Huber, counting, delta: Some(options.delta), resample: options.resample };
    if points.too_few() || points.flat() {
        return assemble(&method, &points, None, Vec::new());
    }
    let ones = vec![1.0; points.len()];
    let problem = Problem { points: &points, weights: &ones };
    // The ends of the starts need not be exact: where there are many runs, an even share of them shows the way.
    let share = points.len().div_ceil(ENOUGH);
    let thinned: Vec<f64> = (0..points.len()).map(|i| if i % share == 0 { 1.0 } else { 0.0 }).collect();
    let rough = Problem { points: &points, weights: &thinned };
    let ends = rough.ends_of(&options.starts.all(), options.delta.max(FIRST_DELTA));
    let best = problem.best(&ends, options.delta);
    let units = points.units(options.resample);
    let draws = options.bootstrap.draws(|rng| {
        let weights = points.resample(&units, rng);
        let resampled = Problem { points: &points, weights: &weights };
        let mut starts = vec![best.x];
        starts.extend(ends.iter().filter(|_| points.len() <= ENOUGH));
        points.surface(&resampled.best(&starts, options.delta).x)
    });
    let surface = points.surface(&best.x);
    let unfinished = (!best.converged).then_some("the solver did not converge");
    assemble(
        &method,
        &points,
        Some(&Fitted { surface, objective: best.value, unfinished, at_bound: Vec::new(), searched: None }),
        draws,
    )
}

impl Points {
    /// The surface of centred unknowns [a, b, e, alpha, beta].
    fn surface(&self, [a, b, e, alpha, beta]: &[f64; 5]) -> Surface {
        Surface {
            e: e.exp(),
            a: (a + alpha * self.mean_n).exp(),
            b: (b + beta * self.mean_d).exp(),
            alpha: *alpha,
            beta: *beta,
        }
    }

    fn centred(&self, [a, b, e, alpha, beta]: [f64; 5]) -> [f64; 5] {
        [a - alpha * self.mean_n, b - beta * self.mean_d, e, alpha, beta]
    }
}

struct Problem<'a> {
    points: &'a Points,
    weights: &'a [f64],
}

impl Problem<'_> {
    /// The best distinct ends of BFGS from every start.
    fn ends_of(&self, starts: &[[f64; 5]], delta: f64) -> Vec<[f64; 5]> {
        let mut ends: Vec<Stop<5>> = starts
            .par_iter()
            .map(|start| bfgs(|x| self.value(x, delta), self.points.centred(*start), 1e-6, 300))
            .filter(|end| end.value.is_finite())
            .collect();
        ends.sort_by(|a, b| a.value.total_cmp(&b.value));
        let mut kept: Vec<[f64; 5]> = Vec::new();
        for end in ends {
            let near = |x: &[f64; 5]| x.iter().zip(&end.x).all(|(a, b)| (a - b).abs() < 1e-2 * (1.0 + b.abs()));
            if !kept.iter().any(near) {
                kept.push(end.x);
            }
            if kept.len() == KEPT {
                break;
            }
        }
        kept
    }

    /// The lowest minimum that Newton's method reaches from `starts`.
    fn best(&self, starts: &[[f64; 5]], delta: f64) -> Stop<5> {
        let polish = |start: &[f64; 5]| {
            let mut step = delta.max(FIRST_DELTA);
            let mut stop = newton(|x| self.curved(x, step), *start, 200);
            while step > delta {
                step = (step * 0.2).max(delta);
                stop = newton(|x| self.curved(x, step), stop.x, 200);
            }
            stop
        };
        let stops = starts.iter().map(polish).filter(|stop| stop.value.is_finite());
        stops.min_by(|a, b| a.value.total_cmp(&b.value)).unwrap_or(Stop {
            x: [f64::NAN; 5],
            value: f64::NAN,
            converged: false,
        })
    }

    /// Residual of run `i` and the shares of the three terms in its predicted loss; `floor` is exp(e).
    ///
    /// The terms are added as they are. Shifting them by the largest, as log-sum-exp does, would guard against
    /// overflow, but a term that overflows gives an infinite value, which the line search steps back from.
    fn residual(&self, i: usize, [a, b, _, alpha, beta]: &[f64; 5], floor: f64) -> (f64, [f64; 3]) {
        let by_params = (a - alpha * self.points.ln_n[i]).exp();
        let by_tokens = (b - beta * self.points.ln_d[i]).exp();
        let total = by_params + by_tokens + floor;
        let inverse = 1.0 / total;
        (total.ln() - self.points.ln_loss[i], [by_params * inverse, by_tokens * inverse, floor * inverse])
    }

    /// Sum of the Huber losses and its gradient.
    fn value(&self, x: &[f64; 5], delta: f64) -> (f64, [f64; 5]) {
        let (mut sum, mut gradient, floor) = (0.0, [0.0; 5], x[2].exp());
        for (i, weight) in self.weights.iter().enumerate().filter(|(_, weight)| **weight > 0.0) {
            let (r, w) = self.residual(i, x, floor);
            sum += weight * huber(r, delta);
            let pull = weight * r.clamp(-delta, delta);
            let (pull_n, pull_d) = (pull * w[0], pull * w[1]);
            gradient[0] += pull_n;
            gradient[1] += pull_d;
            gradient[2] += pull * w[2];
            gradient[3] -= pull_n * self.points.ln_n[i];
            gradient[4] -= pull_d * self.points.ln_d[i];
        }
        (sum, gradient)
    }

    /// The same with the Hessian.
    #[expect(clippy::needless_range_loop, reason = "indices read as in the formula")]
    fn curved(&self, x: &[f64; 5], delta: f64) -> (f64, [f64; 5], [[f64; 5]; 5]) {
        let (mut sum, mut gradient, mut hessian) = (0.0, [0.0; 5], [[0.0; 5]; 5]);
        let floor = x[2].exp();
        for (i, weight) in self.weights.iter().enumerate().filter(|(_, weight)| **weight > 0.0) {
            let (r, w) = self.residual(i, x, floor);
            let (n, d) = (self.points.ln_n[i], self.points.ln_d[i]);
            sum += weight * huber(r, delta);
            let pull = weight * r.clamp(-delta, delta);
            let inside = if r.abs() <= delta { *weight } else { 0.0 };
            let slope = [w[0], w[1], w[2], -w[0] * n, -w[1] * d];
            // The second derivative of log-sum-exp is the covariance of its terms' derivatives under the shares.
            let mixed = inside - pull;
            for (j, left) in slope.iter().enumerate() {
                gradient[j] += pull * left;
                for (k, right) in slope.iter().enumerate().take(j + 1) {
                    hessian[j][k] += mixed * left * right;
                }
            }
            hessian[0][0] += pull * w[0];
            hessian[1][1] += pull * w[1];
            hessian[2][2] += pull * w[2];
            hessian[3][0] -= pull * w[0] * n;
            hessian[3][3] += pull * w[0] * n * n;
            hessian[4][1] -= pull * w[1] * d;
            hessian[4][4] += pull * w[1] * d * d;
        }
        for j in 0..5 {
            for k in 0..j {
                hessian[k][j] = hessian[j][k];
            }
        }
        (sum, gradient, hessian)
    }
}

/// Half the square up to delta, a straight line beyond (Huber 1964).
pub fn huber(r: f64, delta: f64) -> f64 {
    if r.abs() <= delta { 0.5 * r * r } else { delta * (r.abs() - 0.5 * delta) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points() -> Points {
        let truth = Surface { e: 1.7, a: 400.0, b: 500.0, alpha: 0.33, beta: 0.29 };
        let run = |i: i32| {
            let (params, tokens) = (1e6 * 1.7_f64.powi(i % 7), 1e8 * 2.1_f64.powi(i % 5));
            Observation::of(params, tokens, truth.loss(params, tokens) * (1.0 + 1e-3 * f64::from(i % 3)))
        };
        Points::new(&(0..35).map(run).collect::<Vec<_>>(), Counting::All)
    }

    #[test]
    #[expect(clippy::needless_range_loop, reason = "indices read as in the formula")]
    fn gradient_and_hessian_agree_with_finite_differences() {
        let points = points();
        let weights: Vec<f64> = (0..points.len()).map(|i| (i % 3) as f64).collect();
        let problem = Problem { points: &points, weights: &weights };
        let x = points.centred([5.8, 6.4, 0.55, 0.31, 0.3]);
        let delta = 0.02;
        let (value, gradient, hessian) = problem.curved(&x, delta);
        let (same, same_gradient) = problem.value(&x, delta);
        assert!((value - same).abs() < 1e-14);
        let h = 1e-6;
        for k in 0..5 {
            let moved = |step: f64| {
                let mut moved = x;
                moved[k] += step;
                problem.value(&moved, delta)
            };
            let (up, down) = (moved(h), moved(-h));
            let numeric = (up.0 - down.0) / (2.0 * h);
            assert!((numeric - gradient[k]).abs() < 1e-6 * gradient[k].abs().max(1e-3), "{k}: {numeric} {gradient:?}");
            assert!((same_gradient[k] - gradient[k]).abs() < 1e-14);
            for j in 0..5 {
                let numeric = (up.1[j] - down.1[j]) / (2.0 * h);
                assert!((numeric - hessian[j][k]).abs() < 1e-5 * (1.0 + numeric.abs()), "{j}{k}: {numeric}");
            }
        }
    }
}
