//! The loss surface L(N, D) = E + A/N^alpha + B/D^beta (Hoffmann et al. 2022, arXiv 2203.15556, equation 2) and what
//! follows from it where FLOPs are 6ND.

use serde::{Deserialize, Serialize};

use super::cost::Priced;

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

#[cfg(test)]
mod tests {
    use super::*;

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
}
