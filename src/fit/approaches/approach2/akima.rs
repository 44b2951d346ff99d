//! Approach 2 with an interpolating spline instead of a parabola, and with weighted regression (Porian et al. 2024, arXiv
//! 2406.19146, appendix B).
//!
//! Per budget an Akima spline of log loss in log N on a grid 25 times finer than the sizes; its lowest point counts
//! unless it is an end. Losses get Gaussian noise of a stated size many times: the median of the optima is the optimum,
//! their spread its standard error, never below a third of a step between sizes and widened where draws end at an edge.
//! The power laws weight each budget by one over the square of that error. A spline follows every bump of the data,
//! where a parabola averages over them: it has no bias of shape and more noise.

use serde::{Deserialize, Serialize};

use crate::fit::approaches::approach2::curve;
use crate::fit::approaches::approach2::curve::{AXES, Curve};
use crate::fit::approaches::optimal::PowerLaw;
use crate::fit::numerics::averages::quantile;
use crate::fit::numerics::bootstrap::Bootstrap;
use crate::fit::numerics::regress::{Design, Line};
use crate::fit::{Estimate, Status};
use crate::observation::{Counting, Observation};

/// Runs above which drawing noise a thousand times takes too long to be worth it.
pub const MOST_RUNS: usize = 5000;
/// Points of the fine grid for each step between sizes.
const FINER: usize = 25;
/// Least standard error of an optimum, in steps between sizes.
const LEAST_STEP: f64 = 0.33;
/// Sizes of one budget above which a spline would follow nothing but noise.
const MOST_SIZES: usize = 200;
/// Share of draws that must have an interior minimum.
const MIN_VALID: f64 = 0.5;

/// Standard deviation of the loss of one run, in nats: `low` at losses up to 3, `high` from 7 on, between them
/// interpolated in the logarithms.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Noise {
    /// At a loss of 3 and below.
    pub low: f64,
    /// At a loss of 7 and above.
    pub high: f64,
}

impl Default for Noise {
    /// What Porian et al. take for `RefinedWeb`.
    fn default() -> Self {
        Self { low: 0.002, high: 0.05 }
    }
}

impl Noise {
    fn at(self, loss: f64) -> f64 {
        let share = ((loss / 3.0).ln() / (7.0_f64 / 3.0).ln()).clamp(0.0, 1.0);
        self.low * (self.high / self.low).powf(share)
    }
}

/// The optimum of one budget by the spline.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SplineOptimum {
    /// The budget, in FLOPs.
    pub budget: f64,
    /// Whether it is used.
    pub status: Status,
    /// Median of `N_opt` over the draws.
    pub params: Option<f64>,
    /// Median of `D_opt` over the draws.
    pub tokens: Option<f64>,
    /// Standard error of ln `N_opt`.
    pub ln_params_se: Option<f64>,
}

/// Approach 2 by splines.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SplineFit {
    /// Whether the laws may be used.
    pub status: Status,
    /// One for each budget, ascending.
    pub optima: Vec<SplineOptimum>,
    /// `N_opt` against compute.
    pub n_opt: Option<PowerLaw>,
    /// `D_opt` against compute.
    pub d_opt: Option<PowerLaw>,
}

/// Fits splines to the budgets of `observations`; `bootstrap` says how many draws of the noise there are.
pub fn fit(observations: &[Observation], counting: Counting, noise: Noise, bootstrap: &Bootstrap) -> SplineFit {
    let curves = curve::split(observations, counting, false);
    let sizes: Vec<Vec<([f64; 2], f64)>> = curves.iter().map(Curve::means).collect();
    let draws: Vec<Vec<Option<[f64; 2]>>> = bootstrap.draws(|rng| {
        let noisy = |points: &Vec<([f64; 2], f64)>| {
            let shaken: Vec<([f64; 2], f64)> =
                points.iter().map(|(x, loss)| (*x, loss + noise.at(*loss) * normal(rng))).collect();
            lowest(&shaken)
        };
        sizes.iter().map(noisy).collect()
    });
    let mut kept: Vec<(usize, [f64; 2], f64)> = Vec::new();
    let mut optima = Vec::new();
    for (k, curve) in curves.iter().enumerate() {
        let valid: Vec<[f64; 2]> = draws.iter().filter_map(|draw| draw[k]).collect();
        let status = match () {
            () if !fits(&sizes[k]) => Status::TooFewPoints,
            () if lowest(&sizes[k]).is_none() || (valid.len() as f64) < MIN_VALID * draws.len() as f64 => {
                Status::EdgeMinimum
            }
            () => Status::Converged,
        };
        let mut optimum =
            SplineOptimum { budget: curve.budget, status, params: None, tokens: None, ln_params_se: None };
        if status == Status::Converged && !valid.is_empty() {
            let median = AXES.map(|axis| {
                let mut values: Vec<f64> = valid.iter().map(|x| x[axis]).collect();
                values.sort_by(f64::total_cmp);
                quantile(&values, 0.5)
            });
            let mean = valid.iter().map(|x| x[0]).sum::<f64>() / valid.len() as f64;
            let variance = valid.iter().map(|x| (x[0] - mean).powi(2)).sum::<f64>() / valid.len() as f64;
            let step = (sizes[k][sizes[k].len() - 1].0[0] - sizes[k][0].0[0]) / (sizes[k].len() - 1) as f64;
            let error = variance.sqrt().max(LEAST_STEP * step) * draws.len() as f64 / valid.len() as f64;
            (optimum.params, optimum.tokens) = (Some(median[0].exp()), Some(median[1].exp()));
            optimum.ln_params_se = Some(error);
            kept.push((k, median, error));
        }
        optima.push(optimum);
    }
    let law = |at: &dyn Fn(usize, [f64; 2]) -> Option<[f64; 2]>, axis: usize| -> Option<Line> {
        let found: Vec<(f64, f64, f64)> = kept
            .iter()
            .filter_map(|(k, median, error)| Some((curves[*k].budget.ln(), at(*k, *median)?[axis], error.powi(-2))))
            .collect();
        let column = |read: &dyn Fn(&(f64, f64, f64)) -> f64| found.iter().map(read).collect::<Vec<f64>>();
        (found.len() >= 2).then(|| Design::weighted(&column(&|p| p.0), &column(&|p| p.2)).line(&column(&|p| p.1)))
    };
    let status = match kept.len() {
        3.. => Status::Converged,
        1 | 2 => Status::TooFewPoints,
        _ if optima.iter().any(|optimum| optimum.status == Status::EdgeMinimum) => Status::EdgeMinimum,
        _ => Status::TooFewPoints,
    };
    // Two optima always lie on a line.
    let power = |axis: usize| {
        let line = law(&|_, median| Some(median), axis).filter(|_| status == Status::Converged)?;
        let slopes = draws.iter().filter_map(|draw| law(&|k, _| draw[k], axis)).map(|line| line.slope);
        Some(PowerLaw { coefficient: line.intercept.exp(), exponent: Estimate::from_draws(line.slope, slopes) })
    };
    SplineFit { status, optima, n_opt: power(0), d_opt: power(1) }
}

/// Whether a spline can go through the sizes: enough, not too many, and no two of the same number of parameters.
fn fits(points: &[([f64; 2], f64)]) -> bool {
    (5..=MOST_SIZES).contains(&points.len()) && points.windows(2).all(|pair| pair[0].0[0] < pair[1].0[0])
}

/// ln N and ln D at the lowest point of the spline through (ln N, ln D, loss), unless it is an end.
fn lowest(points: &[([f64; 2], f64)]) -> Option<[f64; 2]> {
    if !fits(points) {
        return None;
    }
    let x: Vec<f64> = points.iter().map(|(x, _)| x[0]).collect();
    let loss = Spline::new(&x, points.iter().map(|(_, loss)| loss.max(f64::MIN_POSITIVE).ln()).collect());
    let tokens = Spline::new(&x, points.iter().map(|(x, _)| x[1]).collect());
    let (low, high) = (x[0], x[x.len() - 1]);
    let count = FINER * (x.len() - 1);
    let at = |i: usize| low + (high - low) * i as f64 / count as f64;
    let best = (0..=count).min_by(|&i, &j| loss.at(at(i)).total_cmp(&loss.at(at(j))))?;
    (best > 0 && best < count).then(|| [at(best), tokens.at(at(best))])
}

/// Akima's piecewise cubic (1970), which a single outlying point bends only nearby.
struct Spline<'a> {
    x: &'a [f64],
    y: Vec<f64>,
    slopes: Vec<f64>,
}

impl<'a> Spline<'a> {
    fn new(x: &'a [f64], y: Vec<f64>) -> Self {
        let secant = |i: usize| (y[i + 1] - y[i]) / (x[i + 1] - x[i]);
        let inner: Vec<f64> = (0..x.len() - 1).map(secant).collect();
        // Two secants beyond either end, by linear extrapolation.
        let last = inner.len() - 1;
        let mut m = vec![3.0 * inner[0] - 2.0 * inner[1], 2.0 * inner[0] - inner[1]];
        m.extend(&inner);
        m.extend([2.0 * inner[last] - inner[last - 1], 3.0 * inner[last] - 2.0 * inner[last - 1]]);
        let slope = |i: usize| {
            let (before, after) = ((m[i + 3] - m[i + 2]).abs(), (m[i + 1] - m[i]).abs());
            let total = before + after;
            if total > 0.0 { (before * m[i + 1] + after * m[i + 2]) / total } else { f64::midpoint(m[i + 1], m[i + 2]) }
        };
        let slopes = (0..x.len()).map(slope).collect();
        Self { x, y, slopes }
    }

    fn at(&self, x: f64) -> f64 {
        let i = self.x.partition_point(|knot| *knot <= x).clamp(1, self.x.len() - 1) - 1;
        let width = self.x[i + 1] - self.x[i];
        let t = (x - self.x[i]) / width;
        let (y0, y1, s0, s1) = (self.y[i], self.y[i + 1], width * self.slopes[i], width * self.slopes[i + 1]);
        let (rise, bend) = (y1 - y0, s0 + s1 - 2.0 * (y1 - y0));
        y0 + t * (s0 + t * (rise - s0 - bend + t * bend))
    }
}

/// A standard normal number (Box and Muller 1958).
fn normal(rng: &mut impl rand::Rng) -> f64 {
    use rand::RngExt;
    let (u, v): (f64, f64) = (rng.random(), rng.random());
    (-2.0 * (1.0 - u).ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spline_goes_through_its_points_and_is_exact_on_lines() {
        let x = [0.0, 1.0, 2.5, 3.0, 4.0, 6.0];
        let y = vec![1.0, 3.0, 2.0, 2.5, 0.0, 4.0];
        let spline = Spline::new(&x, y.clone());
        for (x, y) in x.iter().zip(&y) {
            assert!((spline.at(*x) - y).abs() < 1e-12);
        }
        let line = Spline::new(&x, x.iter().map(|x| 3.0 - 2.0 * x).collect());
        assert!((line.at(1.7) + 0.4).abs() < 1e-12 && (line.at(5.1) + 7.2).abs() < 1e-12);
    }

    #[test]
    fn the_spline_is_smooth_at_its_knots() {
        let x = [0.0, 1.0, 2.5, 3.0, 4.0, 6.0];
        let spline = Spline::new(&x, vec![1.0, 3.0, 2.0, 2.5, 0.0, 4.0]);
        for knot in &x[1..5] {
            let h = 1e-6;
            let (left, right) = (spline.at(*knot) - spline.at(knot - h), spline.at(knot + h) - spline.at(*knot));
            assert!((left - right).abs() / h < 1e-4, "{knot}");
        }
    }
}
