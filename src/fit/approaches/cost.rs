//! What training costs: FLOPs as C = f(N) D, and the optimum of a surface under that cost.
//!
//! FLOPs are 6ND only for one way to count parameters and FLOPs. Under another one (attention counted, embeddings not)
//! FLOPs per token follow f(N) = k N^p over the sizes of one table, which its columns of FLOPs or budgets give, or bend
//! where a part that is not counted weighs less and less (Pearce and Song 2024, arXiv 2406.12907): then the logarithm of
//! f is a parabola in ln N over those sizes.
//!
//! Minimising E + A/N^alpha + B/D^beta at C = f(N) D gives alpha A N^-alpha = s beta B D^-beta, where s is the slope of
//! ln f in ln N. For f = k N^p that is `N_opt` ~ C^(beta/(alpha + p beta)) and `D_opt` ~ C^(alpha/(alpha + p beta)), with
//! p = 1 Hoffmann et al. 2022 (arXiv 2203.15556, equation 4); otherwise it is solved, and the exponents are those between
//! two budgets.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::fit::numerics::minimize::root;
use crate::fit::numerics::regress::{Design, distinct_logarithms};

/// Largest deviation from 6ND, in the logarithm, that is rounding of steps and batches.
const ROUNDING: f64 = 0.02;
/// Exponents outside of this are no count of FLOPs.
const SENSIBLE: std::ops::Range<f64> = 0.3..3.0;
/// A bend must leave less than this share of what a power law leaves, and the power law more than rounding, ...
const WORTH_A_BEND: f64 = 0.7;
/// ... and so many sizes must show it.
const BENT_SIZES: usize = 5;

/// FLOPs of training: C = coefficient x N^exponent x D, times what a bend makes of it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// FLOPs per token of a model of one parameter.
    pub coefficient: f64,
    /// Exponent of parameters; with a bend, in the middle of the sizes.
    pub exponent: f64,
    /// How the exponent changes over the sizes, where it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bend: Option<Bend>,
    /// Root of the mean squared deviation of the table's FLOPs from this, in the logarithm.
    pub rms: f64,
}

/// A factor exp(curvature x t^2) in FLOPs per token, where t is ln N from the middle of the sizes that it was fitted to.
/// Beyond them the exponent stays what it is at their ends.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bend {
    /// Half the change of the exponent for each unit of ln N.
    pub curvature: f64,
    /// Parameters of the smallest model it was fitted to.
    pub smallest: f64,
    /// Parameters of the largest.
    pub largest: f64,
}

impl Bend {
    /// The middle of the sizes in ln N, and how far their ends are from it.
    fn middle(&self) -> (f64, f64) {
        let (low, high) = (self.smallest.ln(), self.largest.ln());
        (f64::midpoint(low, high), 0.5 * (high - low))
    }

    /// What it adds to the logarithm of FLOPs per token, and to the exponent.
    fn at(&self, ln_params: f64) -> (f64, f64) {
        let (middle, half) = self.middle();
        let t = ln_params - middle;
        let inside = t.clamp(-half, half);
        // The tangent beyond the ends: t^2 within them.
        (self.curvature * inside * (2.0 * t - inside), 2.0 * self.curvature * inside)
    }
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
        if let Some(Bend { smallest, largest, .. }) = self.bend {
            let [low, high] = [smallest, largest].map(|params| self.slope(params.ln()));
            return f.pad(&format!("N^{low:.2} to N^{high:.2} D"));
        }
        let text = if (0.1..1e4).contains(k) { format!("{k:.1} N^{p:.3} D") } else { format!("{k:.2e} N^{p:.3} D") };
        f.pad(&text)
    }
}

impl Cost {
    /// Six FLOPs for each parameter and token.
    pub const SIX_ND: Self = Self { coefficient: 6.0, exponent: 1.0, bend: None, rms: 0.0 };

    /// The cost that FLOPs per token follow, by least squares in the logarithms; 6ND where they are that, or where they
    /// are no power law of parameters.
    pub fn fit(ln_params: &[f64], ln_flops_per_token: &[f64]) -> Self {
        let off = |i: usize| ln_flops_per_token[i] - ln_params[i] - 6_f64.ln();
        if (0..ln_params.len()).all(|i| off(i).abs() < ROUNDING) {
            return Self::SIX_ND;
        }
        let design = Design::new(ln_params);
        let rms = |fitted: &dyn Fn(f64) -> f64| {
            let square = ln_params.iter().zip(ln_flops_per_token).map(|(x, y)| (fitted(*x) - y).powi(2));
            (square.sum::<f64>() / ln_params.len() as f64).sqrt()
        };
        let line = design.line(ln_flops_per_token);
        let straight =
            Self { coefficient: line.intercept.exp(), exponent: line.slope, bend: None, rms: rms(&|x| line.at(x)) };
        if straight.rms > ROUNDING && distinct_logarithms(ln_params.iter().copied()) >= BENT_SIZES {
            let parabola = design.parabola(ln_flops_per_token);
            let bent = Self::bent(parabola.coefficients(), ln_params, rms(&|x| parabola.at(x)));
            if bent.rms < WORTH_A_BEND * straight.rms && bent.is_sensible() {
                return bent;
            }
        }
        if straight.is_sensible() { straight } else { Self::SIX_ND }
    }

    /// From the parabola y = p x^2 + q x + r of ln FLOPs per token in ln N.
    fn bent([curvature, q, r]: [f64; 3], ln_params: &[f64], rms: f64) -> Self {
        let (low, high) =
            ln_params.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(*x), high.max(*x)));
        let bend = Bend { curvature, smallest: low.exp(), largest: high.exp() };
        let (middle, _) = bend.middle();
        let coefficient = (r - curvature * middle * middle).exp();
        Self { coefficient, exponent: q + 2.0 * curvature * middle, bend: Some(bend), rms }
    }

    fn is_sensible(&self) -> bool {
        let ends = self.bend.map_or([1.0; 2], |bend| [bend.smallest, bend.largest]);
        self.coefficient.is_finite() && ends.iter().all(|params| SENSIBLE.contains(&self.slope(params.ln())))
    }

    /// The exponent of parameters at a size.
    pub(super) fn slope(&self, ln_params: f64) -> f64 {
        self.exponent + self.bend.map_or(0.0, |bend| bend.at(ln_params).1)
    }

    pub(super) fn ln_per_token(&self, ln_params: f64) -> f64 {
        self.coefficient.ln() + self.exponent * ln_params + self.bend.map_or(0.0, |bend| bend.at(ln_params).0)
    }

    /// FLOPs of one token in training.
    pub fn per_token(&self, params: f64) -> f64 {
        match self.bend {
            None => self.coefficient * params.powf(self.exponent),
            Some(_) => self.ln_per_token(params.ln()).exp(),
        }
    }

    /// Parameters of the model that spends these FLOPs on each token.
    pub fn params(&self, per_token: f64) -> f64 {
        let straight = (per_token / self.coefficient).powf(1.0 / self.exponent);
        match self.bend {
            None => straight,
            Some(_) => root(|ln_n| per_token.ln() - self.ln_per_token(ln_n), straight.ln()).exp(),
        }
    }
}

#[cfg(test)]
impl Cost {
    /// A cost with a bend, for tests.
    pub(super) const BENT: Self = Self {
        coefficient: 200.0,
        exponent: 0.75,
        bend: Some(Bend { curvature: 0.05, smallest: 1e4, largest: 1e6 }),
        rms: 0.0,
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bent_cost_is_found_and_inverted() {
        let ln_n: Vec<f64> = (0..9).map(|k| 1e4_f64.ln() + 100_f64.ln() * f64::from(k) / 8.0).collect();
        let ln_f: Vec<f64> = ln_n.iter().map(|x| Cost::BENT.per_token(x.exp()).ln()).collect();
        let found = Cost::fit(&ln_n, &ln_f);
        for params in [1e3, 1e4, 1e5, 1e6, 1e8] {
            assert!((found.per_token(params) / Cost::BENT.per_token(params) - 1.0).abs() < 1e-9, "{found:?}");
            assert!((found.params(found.per_token(params)) / params - 1.0).abs() < 1e-9);
        }
        assert_eq!(found.to_string(), "N^0.52 to N^0.98 D");
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
