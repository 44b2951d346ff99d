//! The two joint laws of Kaplan et al. 2020 (arXiv 2001.08361, equations 1.5 and 1.6), by least squares in log loss.

use serde::{Deserialize, Serialize};

use crate::fit::Status;
use crate::fit::estimate::words;
use crate::fit::laws::law::{LawFit, Recipe};
use crate::fit::numerics::bootstrap::Bootstrap;
use crate::fit::numerics::regress::distinct;
use crate::fit::table::budgets::Units;

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
    let row = |[n, d, loss]: &Point, [ln_nc, ln_dc, alpha_n, alpha_d]: &[f64; 4]| {
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
        Recipe { law: LAW, row, starts, numbers, read, rows: points, units }.fit(bootstrap, |[n, d, _, _]| {
            format!(
                "With unlimited data the loss falls as N^-{}, with unlimited size as D^-{}; the law has no irreducible \
                 loss, so it must not be extrapolated far.",
                words(*n),
                words(*d)
            )
        })
    })
}

/// Fits L(N, S); `units` says which rows are resampled together. Steps are taken as those at a batch well above the
/// critical one; [`super::critical_batch::AgainstLoss::least_steps`] converts others.
pub fn params_and_steps(points: &[Point], units: &Units, bootstrap: &Bootstrap) -> LawFit {
    const LAW: &str = "L(N,S) = (N_c/N)^alpha_N + (S_c/S)^alpha_S";
    let row = |[n, s, loss]: &Point, [a, b, alpha_n, alpha_s]: &[f64; 4]| {
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
        Recipe { law: LAW, row, starts, numbers, read, rows: points, units }.fit(bootstrap, |[n, s, _, _]| {
            format!(
                "With unlimited steps the loss falls as N^-{}, with unlimited size as S^-{}, if batches were well \
                 above the critical one.",
                words(*n),
                words(*s)
            )
        })
    })
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

fn combinations(values: [&[f64]; 4]) -> Vec<[f64; 4]> {
    let mut all = vec![[0.0; 4]];
    for (k, values) in values.into_iter().enumerate() {
        let with = |start: &[f64; 4]| {
            values
                .iter()
                .map(|value| {
                    let mut next = *start;
                    next[k] = *value;
                    next
                })
                .collect::<Vec<_>>()
        };
        all = all.iter().flat_map(with).collect();
    }
    all
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
}
