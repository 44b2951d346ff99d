//! The two joint laws of Kaplan et al. 2020 (arXiv 2001.08361, equations 1.5 and 1.6), by least squares in log loss.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::fit::Status;
use crate::fit::estimate::words;
use crate::fit::laws::law::{LawFit, Recipe};
use crate::fit::numerics::bootstrap::Bootstrap;
use crate::fit::numerics::chance::beyond_f;
use crate::fit::numerics::least_squares::{Row, least_squares};
use crate::fit::numerics::order::combinations;
use crate::fit::numerics::regress::distinct;
use crate::fit::numerics::residuals::Residuals;
use crate::fit::table::resample::Units;

/// L(N, D) = ((`N_c/N)^(alpha_N/alpha_D`) + `D_c/D)^alpha_D`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ParamsAndTokens {
    /// Scale of parameters.
    pub n_c: f64,
    /// Scale of tokens.
    pub d_c: f64,
    /// Exponent of parameters.
    pub alpha_n: f64,
    /// Exponent of tokens.
    pub alpha_d: f64,
}

impl ParamsAndTokens {
    /// Loss in nats per token.
    pub fn loss(&self, params: f64, tokens: f64) -> f64 {
        ((self.n_c / params).powf(self.alpha_n / self.alpha_d) + self.d_c / tokens).powf(self.alpha_d)
    }
}

/// L(N, S) = (`N_c/N)^alpha_N` + (`S_c/S)^alpha_S` for S steps at a batch well above the critical one.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ParamsAndSteps {
    /// Scale of parameters.
    pub n_c: f64,
    /// Scale of steps.
    pub s_c: f64,
    /// Exponent of parameters.
    pub alpha_n: f64,
    /// Exponent of steps.
    pub alpha_s: f64,
}

impl ParamsAndSteps {
    /// Loss in nats per token.
    pub fn loss(&self, params: f64, steps: f64) -> f64 {
        (self.n_c / params).powf(self.alpha_n) + (self.s_c / steps).powf(self.alpha_s)
    }
}

/// One point: parameters, tokens or steps, loss.
pub type Point = [f64; 3];

/// Fits L(N, D); `units` says which rows are resampled together.
pub fn params_and_tokens(points: &[Point], units: &Units, bootstrap: &Bootstrap) -> LawFit {
    const LAW: &str = "L(N,D) = ((N_c/N)^(alpha_N/alpha_D) + D_c/D)^alpha_D";
    let row: Residual = |[n, d, loss]: &Point, [ln_nc, ln_dc, alpha_n, alpha_d]: &[f64; 4]| {
        let (far_n, far_d) = (ln_nc - n.ln(), ln_dc - d.ln());
        let ratio = alpha_n / alpha_d;
        let (by_params, by_tokens) = ((ratio * far_n).exp(), far_d.exp());
        let sum = by_params + by_tokens;
        let (share_n, share_d) = (by_params / sum, by_tokens / sum);
        let slope = [alpha_n * share_n, alpha_d * share_d, share_n * far_n, sum.ln() - ratio * share_n * far_n];
        (alpha_d * sum.ln() - loss.ln(), slope)
    };
    let starts = combinations([&[20.0, 30.0, 40.0], &[20.0, 30.0, 40.0], &[0.05, 0.1, 0.3], &[0.05, 0.1, 0.3]]);
    let numbers = [
        ("alpha_N", "exponent of parameters"),
        ("alpha_D", "exponent of tokens"),
        ("N_c", "scale of parameters"),
        ("D_c", "scale of tokens"),
    ];
    let read = |u: &[f64; 4]| [u[2], u[3], u[0].exp(), u[1].exp()];
    unusable(LAW, points, "tokens").unwrap_or_else(|| {
        Recipe { law: LAW, row, starts, numbers, read, rows: points, units }.fit(bootstrap, |[n, d, _, _], u| {
            format!(
                "With unlimited data the loss falls as N^-{}, with unlimited size as D^-{}; the law has no irreducible \
                 loss, so it must not be extrapolated far.{}",
                words(*n),
                words(*d),
                checks(points, row, u)
            )
        })
    })
}

/// Fits L(N, S); `units` says which rows are resampled together. Steps are taken as those at a batch well above the
/// critical one; [`super::critical_batch::AgainstLoss::least_steps`] converts others.
pub fn params_and_steps(points: &[Point], units: &Units, bootstrap: &Bootstrap) -> LawFit {
    const LAW: &str = "L(N,S) = (N_c/N)^alpha_N + (S_c/S)^alpha_S";
    let row: Residual = |[n, s, loss]: &Point, [a, b, alpha_n, alpha_s]: &[f64; 4]| {
        let (by_params, by_steps) = ((a - alpha_n * n.ln()).exp(), (b - alpha_s * s.ln()).exp());
        let sum = by_params + by_steps;
        let (share_n, share_s) = (by_params / sum, by_steps / sum);
        (sum.ln() - loss.ln(), [share_n, share_s, -share_n * n.ln(), -share_s * s.ln()])
    };
    let starts = combinations([&[1.0, 3.0, 6.0], &[1.0, 3.0, 6.0], &[0.05, 0.1, 0.3], &[0.2, 0.5, 0.8]]);
    let numbers = [
        ("alpha_N", "exponent of parameters"),
        ("alpha_S", "exponent of steps"),
        ("N_c", "scale of parameters"),
        ("S_c", "scale of steps"),
    ];
    let read = |u: &[f64; 4]| [u[2], u[3], (u[0] / u[2]).exp(), (u[1] / u[3]).exp()];
    unusable(LAW, points, "steps").unwrap_or_else(|| {
        Recipe { law: LAW, row, starts, numbers, read, rows: points, units }.fit(bootstrap, |[n, s, _, _], u| {
            format!(
                "With unlimited steps the loss falls as N^-{}, with unlimited size as S^-{}, if batches were well \
                 above the critical one.{}",
                words(*n),
                words(*s),
                checks(points, row, u)
            )
        })
    })
}

/// A residual in the logarithm with its derivatives.
type Residual = fn(&Point, &[f64; 4]) -> Row<4>;

/// Chance below which residuals have a pattern.
const PATTERN: f64 = 0.01;
/// Residuals in the logarithm below which there is nothing but rounding.
const NO_RESIDUALS: f64 = 1e-9;

/// What speaks for the form of the law: rows that it has not seen, and residuals without a pattern.
fn checks(points: &[Point], row: Residual, unknowns: &[f64; 4]) -> String {
    let rows: Vec<Row<4>> = points.iter().map(|point| row(point, unknowns)).collect();
    let rms = Residuals::of(rows.iter().map(|(residual, _)| *residual)).rms;
    let mut text = held_out(points, row, unknowns).unwrap_or_default();
    if let Some((chance, bent)) = pattern(points, &rows).filter(|(chance, _)| *chance < PATTERN && rms > NO_RESIDUALS) {
        let chance = if chance < 1e-3 { "less than 0.001".to_owned() } else { format!("{chance:.3}") };
        let _ = write!(
            text,
            " The residuals have a pattern: a bend in both variables would lower them from {rms:.4} to {bent:.4} (by chance: {chance}), \
             so the loss is not of this form, and its exponents are those of these runs alone."
        );
    }
    text
}

/// How far the most expensive fifth of the rows is from the law of the others; nothing where those do not give it.
fn held_out(points: &[Point], row: Residual, unknowns: &[f64; 4]) -> Option<String> {
    let cost = |point: &Point| point[0] * point[1];
    let mut sorted = points.to_vec();
    sorted.sort_by(|a, b| cost(a).total_cmp(&cost(b)));
    let (seen, held) = sorted.split_at(sorted.len() - sorted.len().div_ceil(5));
    if unusable("", seen, "").is_some() {
        return None;
    }
    let again = least_squares(|u| seen.iter().map(|point| row(point, u)).collect(), *unknowns, 200).x;
    let errors: Vec<f64> = held.iter().map(|point| row(point, &again).0).collect();
    let mean = errors.iter().sum::<f64>() / errors.len() as f64;
    let rms = Residuals::of(errors.iter().copied()).rms;
    let inside = Residuals::of(seen.iter().map(|point| row(point, &again).0)).rms;
    rms.is_finite().then(|| {
        format!(
            " Fitted without the {} most expensive runs it misses them by {rms:.4} in the logarithm ({mean:+.4} on average), and lies \
             {inside:.4} from the others.",
            held.len()
        )
    })
}

/// The chance that terms of second order in both logarithms lower the residuals of the law by so much where it holds (Fisher's F),
/// and what is left of them.
fn pattern(points: &[Point], rows: &[Row<4>]) -> Option<(f64, f64)> {
    const TERMS: usize = 3;
    let freedom = points.len().checked_sub(4 + TERMS).filter(|freedom| *freedom > 0)?;
    let centred = [0, 1].map(|k| {
        let logs: Vec<f64> = points.iter().map(|point| point[k].ln()).collect();
        let centre = logs.iter().sum::<f64>() / logs.len() as f64;
        logs.into_iter().map(|x| x - centre).collect::<Vec<_>>()
    });
    let bent = |(at, (residual, slope)): (usize, &Row<4>)| {
        let [u, v] = [centred[0][at], centred[1][at]];
        (*residual, [slope[0], slope[1], slope[2], slope[3], u * u, u * v, v * v])
    };
    let linear: Vec<Row<7>> = rows.iter().enumerate().map(bent).collect();
    let at = |x: &[f64; 7]| -> Vec<Row<7>> {
        let moved = |slope: &[f64; 7]| slope.iter().zip(x).map(|(slope, x)| slope * x).sum::<f64>();
        linear.iter().map(|(residual, slope)| (residual + moved(slope), *slope)).collect()
    };
    let left = 2.0 * least_squares(at, [0.0; 7], 200).value;
    let all: f64 = rows.iter().map(|(residual, _)| residual * residual).sum();
    let ratio = (all - left) / TERMS as f64 / (left / freedom as f64);
    Some((beyond_f(ratio, TERMS, freedom), (left / points.len() as f64).sqrt()))
}

/// Why the rows cannot give a law, if they cannot.
fn unusable(law: &str, points: &[Point], second: &str) -> Option<LawFit> {
    let differ = |k: usize| distinct(points.iter().map(|point| point[k]));
    let refuse = |status, sentence: &str| Some(LawFit::without_numbers(law, status, points.len(), sentence));
    // Repeats of one size and length are drawn together: they are no points of their own.
    let places = Units::of_repeats(points.iter().map(|[n, x, _]| [*n, *x])).count();
    if places < 6 || differ(0) < 3 || differ(1) < 3 {
        let sentence = format!(
            "The law needs runs at 6 places at least, of 3 different sizes and 3 different numbers of {second}."
        );
        return refuse(Status::TooFewPoints, &sentence);
    }
    if differ(2) < 2 {
        return refuse(Status::NotIdentified, "Not identified: all losses are equal.");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(loss: impl Fn(f64, f64) -> f64, second: f64) -> Vec<Point> {
        (0..36)
            .map(|i| (1e6 * 4_f64.powi(i / 6), second * 5_f64.powi(i % 6)))
            .map(|(n, d)| [n, d, loss(n, d)])
            .collect()
    }

    fn fit(points: &[Point], law: fn(&[Point], &Units, &Bootstrap) -> LawFit) -> LawFit {
        let units = Units::of_repeats(points.iter().map(|[n, x, _]| [*n, *x]));
        law(points, &units, &Bootstrap { resamples: 100, seed: 1 })
    }

    fn close(found: &LawFit, name: &str, truth: f64, relative: f64) {
        let value = found.get(name).unwrap().value;
        assert!((value / truth - 1.0).abs() < relative, "{name}: {value} and not {truth}");
    }

    #[test]
    fn both_laws_recover_the_constants_of_the_paper() {
        let truth = ParamsAndTokens { n_c: 6.4e13, d_c: 1.8e13, alpha_n: 0.076, alpha_d: 0.103 };
        let found = fit(&grid(|n, d| truth.loss(n, d), 1e8), params_and_tokens);
        assert_eq!(found.status, Status::Converged, "{found:?}");
        close(&found, "alpha_N", truth.alpha_n, 1e-5);
        close(&found, "alpha_D", truth.alpha_d, 1e-5);
        close(&found, "N_c", truth.n_c, 1e-3);
        close(&found, "D_c", truth.d_c, 1e-3);
        let truth = ParamsAndSteps { n_c: 6.5e13, s_c: 2.1e3, alpha_n: 0.077, alpha_s: 0.76 };
        let found = fit(&grid(|n, s| truth.loss(n, s), 1e3), params_and_steps);
        close(&found, "alpha_N", truth.alpha_n, 1e-5);
        close(&found, "alpha_S", truth.alpha_s, 1e-5);
        close(&found, "S_c", truth.s_c, 1e-3);
    }

    #[test]
    fn what_cannot_be_fitted_is_a_status() {
        let points = grid(|n, d| (1e13 / n).powf(0.1) + 1e6 / d, 1e8);
        for law in [params_and_tokens, params_and_steps] {
            assert_eq!(fit(&points[..5], law).status, Status::TooFewPoints);
            let one_size: Vec<Point> = points.iter().map(|[_, d, loss]| [1e6, *d, *loss]).collect();
            assert_eq!(fit(&one_size, law).status, Status::TooFewPoints);
            let flat: Vec<Point> = points.iter().map(|[n, d, _]| [*n, *d, 3.0]).collect();
            assert_eq!(fit(&flat, law).status, Status::NotIdentified);
        }
    }

    #[test]
    fn a_law_of_another_form_is_told_by_its_residuals() {
        // Noise of half a percent that follows no pattern.
        let noise =
            |n: f64, s: f64| 0.005 * (((n.ln() * 7919.3).sin() + (s.ln() * 104_729.7).cos() + (n * s).sin()) / 1.5);
        let law = ParamsAndSteps { n_c: 6.5e13, s_c: 2.1e3, alpha_n: 0.077, alpha_s: 0.76 };
        let held = fit(&grid(|n, s| law.loss(n, s) * (1.0 + noise(n, s)), 5e2), params_and_steps);
        assert!(!held.conclusion.contains("pattern"), "{}", held.conclusion);
        assert!(
            held.conclusion.contains("Fitted without the 8 most expensive runs it misses them by 0.00"),
            "{}",
            held.conclusion
        );
        // A floor, which the law has not.
        let floored = |n: f64, s: f64| (1.8 + 20.0 * n.powf(-0.2) + (2100.0 / s).powf(0.76)) * (1.0 + noise(n, s));
        let found = fit(&grid(floored, 5e2), params_and_steps);
        assert!(found.conclusion.contains("The residuals have a pattern"), "{}", found.conclusion);
    }
}
