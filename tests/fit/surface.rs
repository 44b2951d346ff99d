//! Simulated runs of a known surface L(N, D) = E + A/N^alpha + B/D^beta.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use runner::observation::Observation;

#[derive(Clone, Copy)]
pub struct Surface {
    pub e: f64,
    pub a: f64,
    pub b: f64,
    pub alpha: f64,
    pub beta: f64,
}

/// Hoffmann et al. 2022, rounded as they print it.
pub const CHINCHILLA: Surface = Surface { e: 1.69, a: 406.4, b: 410.7, alpha: 0.34, beta: 0.28 };

impl Surface {
    pub fn loss(&self, params: f64, tokens: f64) -> f64 {
        self.e + self.a / params.powf(self.alpha) + self.b / tokens.powf(self.beta)
    }

    pub fn n_exponent(&self) -> f64 {
        self.beta / (self.alpha + self.beta)
    }

    /// `N_opt` where FLOPs are 6ND.
    pub fn n_opt(&self, flops: f64) -> f64 {
        let g = (self.alpha * self.a / (self.beta * self.b)).powf(1.0 / (self.alpha + self.beta));
        g * (flops / 6.0).powf(self.n_exponent())
    }

    pub fn run(&self, flops: f64, params: f64) -> Observation {
        let tokens = flops / (6.0 * params);
        Observation {
            params,
            params_non_embedding: None,
            params_blocks_and_unembedding: None,
            tokens,
            flops,
            flop_budget: Some(flops),
            loss: self.loss(params, tokens),
            loss_se: None,
            seed: None,
        }
    }

    /// `sizes` evenly spaced in log N within a factor of `spread` of the optimum of each budget.
    pub fn grid(&self, budgets: &[f64], sizes: usize, spread: f64) -> Vec<Observation> {
        let place = |i: usize| 2.0 * i as f64 / (sizes - 1) as f64 - 1.0;
        budgets
            .iter()
            .flat_map(|&flops| (0..sizes).map(move |i| self.run(flops, self.n_opt(flops) * spread.powf(place(i)))))
            .collect()
    }
}

/// Adds Gaussian noise to every loss.
pub fn noisy(mut runs: Vec<Observation>, sd: f64, seed: u64) -> Vec<Observation> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    for run in &mut runs {
        run.loss += sd * normal(&mut rng);
    }
    runs
}

/// A standard normal number (Box and Muller 1958).
pub fn normal(rng: &mut ChaCha8Rng) -> f64 {
    let (u, v): (f64, f64) = (rng.random(), rng.random());
    (-2.0 * (1.0 - u).ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}
