//! What training costs: FLOPs as C = f(N) D, and the optimum of a surface under that cost.
//!
//! FLOPs are 6ND only for one way to count parameters and FLOPs. Under another one (attention counted, embeddings not)
//! FLOPs per token follow f(N) = k N^p over the sizes of one table, which its columns of FLOPs or budgets give, or bend
//! where a part that is not counted weighs less and less (Pearce and Song 2024, arXiv 2406.12907): then the logarithm of
//! f is a parabola in ln N over those sizes.
//!
//! Neither says what a larger model costs: what makes f differ from 6N (attention, embeddings, unembedding) grows with the width
//! or its square, and N with its cube where models keep their shape. So beyond the largest model ln(f/6N) goes to zero as
//! N^-1/3 and N^-2/3 do.
//!
//! Minimising E + A/N^alpha + B/D^beta at C = f(N) D gives alpha A N^-alpha = s beta B D^-beta, where s is the slope of
//! ln f in ln N. For f = k N^p that is `N_opt` ~ C^(beta/(alpha + p beta)) and `D_opt` ~ C^(alpha/(alpha + p beta)), with
//! p = 1 Hoffmann et al. 2022 (arXiv 2203.15556, equation 4); otherwise it is solved, and the exponents are those between
//! two budgets.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::fit::numerics::minimize::root;
use crate::fit::numerics::order::ends;
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
    /// What it is beyond the largest model, where it is not 6ND.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beyond: Option<Beyond>,
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

/// FLOPs per token beyond the largest model: 6N exp((y - v) z + v z^2) with z = (largest/N)^(1/3), where y is what the
/// logarithm of FLOPs per token over 6N is at the largest model.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Beyond {
    /// Parameters of the largest model.
    pub largest: f64,
    /// The part v of what differs from 6N that vanishes twice as fast as the rest, in the logarithm.
    pub fast: f64,
}

impl Beyond {
    /// The share of `excess`, the logarithm of FLOPs per token over 6N at the largest model, that is left at a size beyond it,
    /// and the exponent of parameters there.
    fn at(&self, excess: f64, ln_params: f64) -> (f64, f64) {
        let z = ((self.largest.ln() - ln_params) / 3.0).exp();
        let slow = excess - self.fast;
        (slow * z + self.fast * z * z, 1.0 - z / 3.0 * (slow + 2.0 * self.fast * z))
    }

    /// By least squares over the sizes; nothing where no size says it.
    fn fit(largest: f64, excess: f64, ln_params: &[f64], ln_flops_per_token: &[f64]) -> Self {
        let (mut square, mut product) = (0.0, 0.0);
        for (x, y) in ln_params.iter().zip(ln_flops_per_token) {
            let z = ((largest.ln() - x) / 3.0).exp();
            let curve = z * z - z;
            square += curve * curve;
            product += curve * (y - x - 6_f64.ln() - excess * z);
        }
        Self { largest, fast: if square > 0.0 { product / square } else { 0.0 } }
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
    pub const SIX_ND: Self = Self { coefficient: 6.0, exponent: 1.0, bend: None, beyond: None, rms: 0.0 };

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
            Self { coefficient: line.intercept.exp(), exponent: line.slope, rms: rms(&|x| line.at(x)), ..Self::SIX_ND };
        if straight.rms > ROUNDING && distinct_logarithms(ln_params.iter().copied()) >= BENT_SIZES {
            let parabola = design.parabola(ln_flops_per_token);
            let bent = Self::bent(parabola.coefficients(), ln_params, rms(&|x| parabola.at(x)));
            if bent.rms < WORTH_A_BEND * straight.rms && bent.is_sensible() {
                return bent.with_end(ln_params, ln_flops_per_token);
            }
        }
        if straight.is_sensible() { straight.with_end(ln_params, ln_flops_per_token) } else { Self::SIX_ND }
    }

    /// With what it is beyond the largest of the sizes.
    fn with_end(self, ln_params: &[f64], ln_flops_per_token: &[f64]) -> Self {
        let largest = ln_params.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let excess = self.ln_per_token(largest) - largest - 6_f64.ln();
        let fitted = Beyond::fit(largest.exp(), excess, ln_params, ln_flops_per_token);
        let sensible =
            |end: &Beyond| (0..40).all(|k| SENSIBLE.contains(&end.at(excess, largest + 0.5 * f64::from(k)).1));
        let ends = [fitted, Beyond { fast: 0.0, ..fitted }];
        Self { beyond: ends.into_iter().find(sensible), ..self }
    }

    /// The same, which comes to 6ND beyond this size where it does not say what it is there: files of earlier programs do not.
    #[must_use]
    pub fn ending_at(self, largest: Option<f64>) -> Self {
        let unsaid = self.beyond.is_none() && self != Self { rms: self.rms, ..Self::SIX_ND };
        let beyond = largest.filter(|_| unsaid).map(|largest| Beyond { largest, fast: 0.0 });
        Self { beyond: beyond.or(self.beyond), ..self }
    }

    /// From the parabola y = p x^2 + q x + r of ln FLOPs per token in ln N.
    fn bent([curvature, q, r]: [f64; 3], ln_params: &[f64], rms: f64) -> Self {
        let (low, high) = ends(ln_params.iter().copied());
        let bend = Bend { curvature, smallest: low.exp(), largest: high.exp() };
        let (middle, _) = bend.middle();
        let coefficient = (r - curvature * middle * middle).exp();
        Self { coefficient, exponent: q + 2.0 * curvature * middle, bend: Some(bend), beyond: None, rms }
    }

    fn is_sensible(&self) -> bool {
        let ends = self.bend.map_or([1.0; 2], |bend| [bend.smallest, bend.largest]);
        self.coefficient.is_finite() && ends.iter().all(|params| SENSIBLE.contains(&self.slope(params.ln())))
    }

    /// The logarithm of FLOPs per token, and the exponent of parameters, as the sizes that it was fitted to have them.
    fn within(&self, ln_params: f64) -> (f64, f64) {
        let (factor, slope) = self.bend.map_or((0.0, 0.0), |bend| bend.at(ln_params));
        (self.coefficient.ln() + self.exponent * ln_params + factor, self.exponent + slope)
    }

    /// The logarithm of FLOPs per token, and the exponent of parameters, at a size.
    fn at(&self, ln_params: f64) -> (f64, f64) {
        let Some(beyond) = self.beyond.filter(|beyond| ln_params > beyond.largest.ln()) else {
            return self.within(ln_params);
        };
        let six_n = |ln_params: f64| 6_f64.ln() + ln_params;
        let end = beyond.largest.ln();
        let (left, slope) = beyond.at(self.within(end).0 - six_n(end), ln_params);
        (six_n(ln_params) + left, slope)
    }

    /// The exponent of parameters at a size.
    pub(super) fn slope(&self, ln_params: f64) -> f64 {
        self.at(ln_params).1
    }

    pub(super) fn ln_per_token(&self, ln_params: f64) -> f64 {
        self.at(ln_params).0
    }

    /// Whether a power law is all there is to it up to a size.
    pub(super) fn is_straight(&self, params: f64) -> bool {
        self.bend.is_none() && self.beyond.is_none_or(|beyond| params <= beyond.largest)
    }

    /// FLOPs of one token in training.
    pub fn per_token(&self, params: f64) -> f64 {
        if self.is_straight(params) {
            return self.coefficient * params.powf(self.exponent);
        }
        self.ln_per_token(params.ln()).exp()
    }

    /// Parameters of the model that spends these FLOPs on each token.
    pub fn params(&self, per_token: f64) -> f64 {
        let straight = (per_token / self.coefficient).powf(1.0 / self.exponent);
        if self.is_straight(straight) {
            return straight;
        }
        root(|ln_n| per_token.ln() - self.ln_per_token(ln_n), straight.ln()).exp()
    }
}

#[cfg(test)]
impl Cost {
    /// A cost with a bend, for tests.
    pub(super) const BENT: Self = Self {
        coefficient: 200.0,
        exponent: 0.75,
        bend: Some(Bend { curvature: 0.05, smallest: 1e4, largest: 1e6 }),
        beyond: None,
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
        for params in [1e3, 1e4, 1e5, 1e6] {
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
        assert!((found.params(found.per_token(1e10)) / 1e10 - 1.0).abs() < 1e-9, "beyond the largest model too");
        assert_eq!(Cost::fit(&ln_n, &counted(1.0, -1.0)), Cost::SIX_ND, "no count of FLOPs falls with size");
        // A file of an earlier program does not say what larger models cost.
        let unsaid = Cost { beyond: None, ..found };
        assert!((unsaid.per_token(1e15) / 6e15).ln().abs() > 2.0);
        assert!((unsaid.ending_at(Some(1e8)).per_token(1e15) / 6e15 - 1.0).abs() < 0.02);
        assert_eq!(Cost::SIX_ND.ending_at(Some(1e8)), Cost::SIX_ND);
    }

    /// Models of one shape, as `runner plan` counts them: blocks 12 L d^2 of depth L = d/16, 1024 tokens of the vocabulary in an
    /// embedding and an unembedding, attention over 128 positions.
    fn counted(width: f64, embedding: bool) -> (f64, f64) {
        let blocks = 12.0 * width.powi(3) / 16.0;
        let vocabulary = 1024.0 * width;
        let attention = 6.0 * 2.0 * width / 16.0 * width * 128.0;
        let params = if embedding { blocks + 2.0 * vocabulary } else { blocks };
        (params, 6.0 * (blocks + vocabulary) + attention)
    }

    #[test]
    fn beyond_the_largest_model_flops_come_to_6nd() {
        for embedding in [true, false] {
            let (ln_n, ln_f): (Vec<f64>, Vec<f64>) = (4..15)
                .map(|k| counted(8.0 * f64::from(k), embedding))
                .map(|(params, flops)| (params.ln(), flops.ln()))
                .unzip();
            let cost = Cost::fit(&ln_n, &ln_f);
            let free = Cost { beyond: None, ..cost };
            let off = |cost: &Cost, width: f64| {
                let (params, flops) = counted(width, embedding);
                (cost.per_token(params) / flops).ln().abs()
            };
            for width in [224.0, 1024.0, 4096.0, 16_384.0] {
                assert!(off(&cost, width) < 0.1, "{width}: {}", off(&cost, width));
            }
            assert!(off(&cost, 16_384.0) < 0.03, "{}", off(&cost, 16_384.0));
            assert!(off(&free, 16_384.0) > 0.08, "{}", off(&free, 16_384.0));
            // It goes on where the sizes end, without a step.
            let end = ln_n[10].exp();
            assert!((cost.per_token(1.000_001 * end) / cost.per_token(end) - 1.0).abs() < 1e-5);
        }
    }
}
