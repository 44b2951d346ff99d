//! What training costs: FLOPs as C = k N^p D, and the optimum of a surface under that cost.
//!
//! FLOPs are 6ND only for one way to count parameters and FLOPs. Under another one (attention counted, embeddings not)
//! FLOPs per token still follow a power law in N over the sizes of one table, which its columns of FLOPs or budgets give.
//! Minimising E + A/N^alpha + B/D^beta at C = k N^p D gives alpha A N^-alpha = p beta B D^-beta, hence `N_opt` ~
//! C^(beta/(alpha + p beta)) and `D_opt` ~ C^(alpha/(alpha + p beta)): Hoffmann et al. 2022 (arXiv 2203.15556, equation
//! 4) for p = 1.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::regress::Design;
use super::surface::Surface;

/// Largest deviation from 6ND, in the logarithm, that is rounding of steps and batches.
const ROUNDING: f64 = 0.02;
/// Exponents outside of this are no count of FLOPs.
const SENSIBLE: std::ops::Range<f64> = 0.3..3.0;

/// FLOPs of training, C = coefficient x N^exponent x D.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// FLOPs per token of a model of one parameter.
    pub coefficient: f64,
    /// Exponent of parameters.
    pub exponent: f64,
    /// Root of the mean squared deviation of the table's FLOPs from this, in the logarithm.
    pub rms: f64,
}

impl Default for Cost {
    fn default() -> Self {
        Self::SIX_ND
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::SIX_ND {
            return f.pad("6ND");
        }
        let Self { coefficient: k, exponent: p, .. } = self;
        let text = if (0.1..1e4).contains(k) { format!("{k:.1} N^{p:.3} D") } else { format!("{k:.2e} N^{p:.3} D") };
        f.pad(&text)
    }
}

impl Cost {
    /// Six FLOPs for each parameter and token.
    pub const SIX_ND: Self = Self { coefficient: 6.0, exponent: 1.0, rms: 0.0 };

    /// The cost that FLOPs per token follow, by least squares in the logarithms; 6ND where they are that, or where they
    /// are no power law of parameters.
    pub fn fit(ln_params: &[f64], ln_flops_per_token: &[f64]) -> Self {
        let off = |i: usize| ln_flops_per_token[i] - ln_params[i] - 6_f64.ln();
        if (0..ln_params.len()).all(|i| off(i).abs() < ROUNDING) {
            return Self::SIX_ND;
        }
        let line = Design::new(ln_params).line(ln_flops_per_token);
        let square = ln_params.iter().zip(ln_flops_per_token).map(|(x, y)| (line.at(*x) - y).powi(2));
        let rms = (square.sum::<f64>() / ln_params.len() as f64).sqrt();
        let fitted = Self { coefficient: line.intercept.exp(), exponent: line.slope, rms };
        if fitted.coefficient.is_finite() && SENSIBLE.contains(&fitted.exponent) { fitted } else { Self::SIX_ND }
    }

    /// FLOPs of one token in training.
    pub fn per_token(&self, params: f64) -> f64 {
        self.coefficient * params.powf(self.exponent)
    }

    /// Parameters of the model that spends these FLOPs on each token.
    pub fn params(&self, per_token: f64) -> f64 {
        (per_token / self.coefficient).powf(1.0 / self.exponent)
    }
}

/// A surface and what training on it costs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Priced {
    /// Loss.
    pub surface: Surface,
    /// FLOPs.
    pub cost: Cost,
}

impl From<Surface> for Priced {
    /// With FLOPs of 6ND.
    fn from(surface: Surface) -> Self {
        Self { surface, cost: Cost::SIX_ND }
    }
}

impl Priced {
    /// Exponent of `N_opt` in compute.
    pub fn n_exponent(&self) -> f64 {
        self.surface.beta / self.sum()
    }

    /// Exponent of `D_opt` in compute.
    pub fn d_exponent(&self) -> f64 {
        self.surface.alpha / self.sum()
    }

    /// Exponent with which the reducible part of the optimal loss falls in compute.
    pub fn loss_exponent(&self) -> f64 {
        self.surface.alpha * self.surface.beta / self.sum()
    }

    fn sum(&self) -> f64 {
        self.surface.alpha + self.cost.exponent * self.surface.beta
    }

    /// Compute-optimal parameters for a budget in FLOPs.
    pub fn n_opt(&self, flops: f64) -> f64 {
        let Surface { a, b, alpha, beta, .. } = self.surface;
        let Cost { coefficient, exponent, .. } = self.cost;
        (((alpha * a / (exponent * beta * b)).ln() + beta * (flops / coefficient).ln()) / self.sum()).exp()
    }

    /// Compute-optimal tokens for a budget in FLOPs.
    pub fn d_opt(&self, flops: f64) -> f64 {
        flops / self.cost.per_token(self.n_opt(flops))
    }

    /// Compute-optimal tokens per parameter for a budget in FLOPs.
    pub fn tokens_per_param(&self, flops: f64) -> f64 {
        self.d_opt(flops) / self.n_opt(flops)
    }

    /// FLOPs of a run.
    pub fn flops(&self, params: f64, tokens: f64) -> f64 {
        self.cost.per_token(params) * tokens
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SURFACE: Surface = Surface { e: 1.7, a: 300.0, b: 900.0, alpha: 0.3, beta: 0.35 };

    #[test]
    fn the_optimum_under_any_cost_is_lower_than_its_neighbours_of_the_same_compute() {
        for cost in [Cost::SIX_ND, Cost { coefficient: 40.0, exponent: 0.8, rms: 0.0 }] {
            let priced = Priced { surface: SURFACE, cost };
            let (n, d) = (priced.n_opt(1e19), priced.d_opt(1e19));
            assert!((priced.flops(n, d) / 1e19 - 1.0).abs() < 1e-9);
            let at = |n: f64| SURFACE.loss(n, 1e19 / cost.per_token(n));
            assert!(at(n) < at(1.01 * n) && at(n) < at(n / 1.01), "{cost}");
            let slope = |of: &dyn Fn(f64) -> f64| (of(1e20) / of(1e19)).log10();
            assert!((slope(&|c| priced.n_opt(c)) - priced.n_exponent()).abs() < 1e-9);
            assert!((slope(&|c| priced.d_opt(c)) - priced.d_exponent()).abs() < 1e-9);
            let reducible = |c: f64| SURFACE.loss(priced.n_opt(c), priced.d_opt(c)) - SURFACE.e;
            assert!((slope(&reducible) + priced.loss_exponent()).abs() < 1e-9);
        }
    }

    #[test]
    fn six_nd_is_told_from_another_count_of_flops() {
        let ln_n: Vec<f64> = (10..20).map(f64::from).collect();
        let counted = |k: f64, p: f64| ln_n.iter().map(|n| k.ln() + p * n).collect::<Vec<_>>();
        assert_eq!(Cost::fit(&ln_n, &counted(6.05, 1.0)), Cost::SIX_ND);
        let found = Cost::fit(&ln_n, &counted(40.0, 0.8));
        assert!((found.coefficient / 40.0 - 1.0).abs() < 1e-9 && (found.exponent - 0.8).abs() < 1e-12);
        assert_eq!(found.to_string(), "40.0 N^0.800 D");
        assert!((found.params(found.per_token(1e6)) / 1e6 - 1.0).abs() < 1e-9);
        assert_eq!(Cost::fit(&ln_n, &counted(1.0, -1.0)), Cost::SIX_ND, "no count of FLOPs falls with size");
    }
}
