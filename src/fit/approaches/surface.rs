//! The loss surface L(N, D) = E + A/N^alpha + B/D^beta (Hoffmann et al. 2022, arXiv 2203.15556, equation 2) and what
//! follows from it where FLOPs are 6ND.

use serde::{Deserialize, Serialize};

use crate::fit::approaches::cost::Cost;
use crate::fit::numerics::minimize::root;

/// The five constants of the surface, for N in parameters, D in tokens and the loss in nats per token.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Surface {
    /// Irreducible loss E, in nats per token.
    #[serde(rename = "E")]
    pub e: f64,
    /// Coefficient A of the parameters' term.
    #[serde(rename = "A")]
    pub a: f64,
    /// Coefficient B of the tokens' term.
    #[serde(rename = "B")]
    pub b: f64,
    /// Exponent of parameters.
    pub alpha: f64,
    /// Exponent of tokens.
    pub beta: f64,
}

impl Surface {
    /// Loss in nats per token.
    pub fn loss(&self, params: f64, tokens: f64) -> f64 {
        self.e + self.a * params.powf(-self.alpha) + self.b * tokens.powf(-self.beta)
    }

    /// Exponent of `N_opt` in compute: a = beta/(alpha+beta).
    pub fn n_exponent(&self) -> f64 {
        self.beta / (self.alpha + self.beta)
    }

    /// Exponent of `D_opt` in compute: b = alpha/(alpha+beta).
    pub fn d_exponent(&self) -> f64 {
        self.alpha / (self.alpha + self.beta)
    }

    /// Compute-optimal parameters for a budget in FLOPs: G (C/6)^a with G = (alpha A/(beta B))^(1/(alpha+beta)).
    pub fn n_opt(&self, flops: f64) -> f64 {
        Priced::from(*self).n_opt(flops)
    }

    /// Compute-optimal tokens for a budget in FLOPs.
    pub fn d_opt(&self, flops: f64) -> f64 {
        flops / (6.0 * self.n_opt(flops))
    }

    /// Compute-optimal tokens per parameter for a budget in FLOPs.
    pub fn tokens_per_param(&self, flops: f64) -> f64 {
        self.d_opt(flops) / self.n_opt(flops)
    }

    /// Whether every constant is finite, the exponents are positive and both terms are there.
    pub fn is_proper(&self) -> bool {
        [self.a, self.b, self.alpha, self.beta].iter().all(|x| x.is_finite() && *x > 0.0)
            && self.e.is_finite()
            && self.e >= 0.0
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
    /// Exponents of `N_opt` and `D_opt` in compute between two budgets in FLOPs. Without a bend they are the same between
    /// any two.
    pub fn exponents(&self, [low, high]: [f64; 2]) -> [f64; 2] {
        let Surface { alpha, beta, .. } = self.surface;
        if self.cost.bend.is_none() {
            let sum = alpha + self.cost.exponent * beta;
            return [beta / sum, alpha / sum];
        }
        // One budget has the slope of its surroundings.
        let high = high.max(1.01 * low);
        [Self::n_opt, Self::d_opt].map(|opt| (opt(self, high) / opt(self, low)).ln() / (high / low).ln())
    }

    /// Compute-optimal parameters for a budget in FLOPs.
    pub fn n_opt(&self, flops: f64) -> f64 {
        let Surface { a, b, alpha, beta, .. } = self.surface;
        let Cost { coefficient, exponent, .. } = self.cost;
        let straight =
            ((alpha * a / (exponent * beta * b)).ln() + beta * (flops / coefficient).ln()) / (alpha + exponent * beta);
        if self.cost.is_straight(straight.exp()) {
            return straight.exp();
        }
        // What more parameters gain over what the tokens they cost would gain.
        let gain = |ln_n: f64| {
            let ln_d = flops.ln() - self.cost.ln_per_token(ln_n);
            (alpha * a / (self.cost.slope(ln_n) * beta * b)).ln() - alpha * ln_n + beta * ln_d
        };
        root(gain, straight).exp()
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
    fn tokens_per_parameter_are_those_computed_from_the_published_constants() {
        let epoch = Surface { e: 1.8172, a: 482.01, b: 2085.43, alpha: 0.3478, beta: 0.3658 };
        let hoffmann = Surface { e: 1.69, a: 406.4, b: 410.7, alpha: 0.34, beta: 0.28 };
        for (surface, expected) in [
            (epoch, [(1e14, 32.42), (1e18, 25.70), (5.88e23, 18.38), (1e25, 17.11)]),
            (hoffmann, [(1e14, 10.53), (1e18, 25.67), (5.88e23, 92.83), (1e25, 122.1)]),
        ] {
            for (flops, ratio) in expected {
                let got = surface.tokens_per_param(flops);
                assert!((got / ratio - 1.0).abs() < 5e-4, "{flops:e}: {got} and not {ratio}");
            }
        }
    }

    #[test]
    fn the_optimum_is_lower_than_its_neighbours_at_the_same_compute() {
        let surface = Surface { e: 1.7, a: 300.0, b: 900.0, alpha: 0.3, beta: 0.35 };
        let (n, flops) = (surface.n_opt(1e19), 1e19);
        let at = |n: f64| surface.loss(n, flops / (6.0 * n));
        assert!(at(n) < at(1.01 * n) && at(n) < at(n / 1.01));
    }

    #[test]
    fn the_optimum_under_any_cost_is_lower_than_its_neighbours_of_the_same_compute() {
        for cost in [Cost::SIX_ND, Cost { coefficient: 40.0, exponent: 0.8, ..Cost::SIX_ND }, Cost::BENT] {
            // The bent cost has the middle of its sizes, one end of them and what lies beyond among these.
            for flops in [1e13, 1e16, 1e19] {
                let priced = Priced { surface: SURFACE, cost };
                let (n, d) = (priced.n_opt(flops), priced.d_opt(flops));
                assert!((priced.flops(n, d) / flops - 1.0).abs() < 1e-9);
                let at = |n: f64| SURFACE.loss(n, flops / cost.per_token(n));
                assert!(at(n) < at(1.01 * n) && at(n) < at(n / 1.01), "{cost} at {flops:e}");
                let slope = |of: &dyn Fn(f64) -> f64| (of(10.0 * flops) / of(flops)).log10();
                let [n_exponent, d_exponent] = priced.exponents([flops, 10.0 * flops]);
                assert!((slope(&|c| priced.n_opt(c)) - n_exponent).abs() < 1e-9);
                assert!((slope(&|c| priced.d_opt(c)) - d_exponent).abs() < 1e-9);
            }
        }
    }
}
