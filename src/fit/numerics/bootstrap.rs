//! Seeded resampling, parallel and independent of the number of threads, and percentile intervals.
//!
//! Every resample has a stream of its own of one `ChaCha` generator, so that what it draws depends on the seed and its
//! number only. Intervals are percentiles (Efron and Tibshirani 1993, chapter 13).

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::averages::quantile;
use crate::fit::Estimate;

/// How often to resample, and from which seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bootstrap {
    /// Number of resamples; 0 gives values without intervals (NaN).
    pub resamples: usize,
    /// Seed of the resampling.
    pub seed: u64,
}

impl Default for Bootstrap {
    fn default() -> Self {
        Self { resamples: 1000, seed: 0 }
    }
}

impl Bootstrap {
    /// Runs `draw` once for each resample, each with a generator of its own, and returns the results in order.
    pub fn draws<T: Send>(&self, draw: impl Fn(&mut ChaCha8Rng) -> T + Sync) -> Vec<T> {
        (0..self.resamples as u64)
            .into_par_iter()
            .map(|resample| {
                let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
                rng.set_stream(resample);
                draw(&mut rng)
            })
            .collect()
    }
}

impl Estimate {
    /// `value` with the 95% percentile interval of `draws`; NaN bounds where there are no draws.
    pub fn from_draws(value: f64, draws: impl IntoIterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = draws.into_iter().filter(|draw| !draw.is_nan()).collect();
        sorted.sort_by(f64::total_cmp);
        Self { value, low: quantile(&sorted, 0.025), high: quantile(&sorted, 0.975) }
    }
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;

    #[test]
    fn draws_do_not_depend_on_the_number_of_threads() {
        let bootstrap = Bootstrap { resamples: 100, seed: 3 };
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| bootstrap.draws(|rng| rng.random_range(0..1_000_000_u32)))
        };
        let one = run(1);
        assert_eq!(one, run(2));
        assert!(one.iter().collect::<std::collections::BTreeSet<_>>().len() > 90, "streams must differ");
    }
}
