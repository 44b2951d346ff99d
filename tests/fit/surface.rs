//! Simulated runs of a known surface L(N, D) = E + A/N^alpha + B/D^beta.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
pub use runner::fit::approaches::surface::Surface;
use runner::observation::Observation;

/// Hoffmann et al. 2022, rounded as they print it.
pub const CHINCHILLA: Surface = Surface { e: 1.69, a: 406.4, b: 410.7, alpha: 0.34, beta: 0.28 };

/// Noiseless runs of a surface.
pub trait Runs {
    /// A run of these FLOPs, which are 6ND.
    fn run(&self, flops: f64, params: f64) -> Observation;

    /// `sizes` evenly spaced in log N within a factor of `spread` of the optimum of each budget.
    fn grid(&self, budgets: &[f64], sizes: usize, spread: f64) -> Vec<Observation>;
}

impl Runs for Surface {
    fn run(&self, flops: f64, params: f64) -> Observation {
        let tokens = flops / (6.0 * params);
        Observation { flops, flop_budget: Some(flops), ..Observation::of(params, tokens, self.loss(params, tokens)) }
    }

    fn grid(&self, budgets: &[f64], sizes: usize, spread: f64) -> Vec<Observation> {
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
