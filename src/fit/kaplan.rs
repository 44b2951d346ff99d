//! The two joint laws of Kaplan et al. 2020 (arXiv 2001.08361, equations 1.5 and 1.6), by least squares in log loss.

use serde::{Deserialize, Serialize};

use super::least_squares::best_of;

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

/// Fits L(N, D); nothing where there are fewer than 6 points.
pub fn params_and_tokens(points: &[Point]) -> Option<ParamsAndTokens> {
    let rows = |[ln_nc, ln_dc, alpha_n, alpha_d]: &[f64; 4]| {
        let row = |[n, d, loss]: &Point| {
            let (far_n, far_d) = (ln_nc - n.ln(), ln_dc - d.ln());
            let ratio = alpha_n / alpha_d;
            let (by_params, by_tokens) = ((ratio * far_n).exp(), far_d.exp());
            let sum = by_params + by_tokens;
            let (share_n, share_d) = (by_params / sum, by_tokens / sum);
            let slope = [alpha_n * share_n, alpha_d * share_d, share_n * far_n, sum.ln() - ratio * share_n * far_n];
            (alpha_d * sum.ln() - loss.ln(), slope)
        };
        points.iter().map(row).collect()
    };
    let starts = combinations([&[20.0, 30.0, 40.0], &[20.0, 30.0, 40.0], &[0.05, 0.1, 0.3], &[0.05, 0.1, 0.3]]);
    let stop = best_of(rows, starts, 500).filter(|_| points.len() >= 6)?;
    let [ln_nc, ln_dc, alpha_n, alpha_d] = stop.x;
    Some(ParamsAndTokens { n_c: ln_nc.exp(), d_c: ln_dc.exp(), alpha_n, alpha_d })
}

/// Fits L(N, S); nothing where there are fewer than 6 points.
pub fn params_and_steps(points: &[Point]) -> Option<ParamsAndSteps> {
    let rows = |[a, b, alpha_n, alpha_s]: &[f64; 4]| {
        let row = |[n, s, loss]: &Point| {
            let (by_params, by_steps) = ((a - alpha_n * n.ln()).exp(), (b - alpha_s * s.ln()).exp());
            let sum = by_params + by_steps;
            let (share_n, share_s) = (by_params / sum, by_steps / sum);
            (sum.ln() - loss.ln(), [share_n, share_s, -share_n * n.ln(), -share_s * s.ln()])
        };
        points.iter().map(row).collect()
    };
    let starts = combinations([&[1.0, 3.0, 6.0], &[1.0, 3.0, 6.0], &[0.05, 0.1, 0.3], &[0.2, 0.5, 0.8]]);
    let stop = best_of(rows, starts, 500).filter(|_| points.len() >= 6)?;
    let [a, b, alpha_n, alpha_s] = stop.x;
    Some(ParamsAndSteps { n_c: (a / alpha_n).exp(), s_c: (b / alpha_s).exp(), alpha_n, alpha_s })
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

    #[test]
    fn both_laws_recover_the_constants_of_the_paper() {
        let truth = ParamsAndTokens { n_c: 6.4e13, d_c: 1.8e13, alpha_n: 0.076, alpha_d: 0.103 };
        let found = params_and_tokens(&grid(|n, d| truth.loss(n, d), 1e8)).unwrap();
        assert!(
            (found.alpha_n - truth.alpha_n).abs() < 1e-6 && (found.alpha_d - truth.alpha_d).abs() < 1e-6,
            "{found:?}"
        );
        assert!((found.n_c / truth.n_c - 1.0).abs() < 1e-3 && (found.d_c / truth.d_c - 1.0).abs() < 1e-3, "{found:?}");
        let truth = ParamsAndSteps { n_c: 6.5e13, s_c: 2.1e3, alpha_n: 0.077, alpha_s: 0.76 };
        let found = params_and_steps(&grid(|n, s| truth.loss(n, s), 1e3)).unwrap();
        assert!(
            (found.alpha_n - truth.alpha_n).abs() < 1e-6 && (found.alpha_s - truth.alpha_s).abs() < 1e-6,
            "{found:?}"
        );
        assert!((found.s_c / truth.s_c - 1.0).abs() < 1e-3, "{found:?}");
    }

    #[test]
    fn five_points_are_too_few() {
        assert!(params_and_tokens(&grid(|n, _| n, 1e8)[..5]).is_none());
        assert!(params_and_steps(&grid(|n, _| n, 1e8)[..5]).is_none());
    }
}
