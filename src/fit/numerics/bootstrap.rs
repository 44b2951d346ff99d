//! Seeded resampling, parallel and independent of the number of threads, and percentile intervals.
//!
//! Every resample has a stream of its own of one `ChaCha` generator, so that what it draws depends on the seed and its
//! number only. Intervals are percentiles (Efron and Tibshirani 1993, chapter 13).

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

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

    /// The same through an increasing function, such as from a logarithm to the quantity itself.
    #[must_use]
    pub fn map(self, increasing: impl Fn(f64) -> f64) -> Self {
        Self { value: increasing(self.value), low: increasing(self.low), high: increasing(self.high) }
    }

    /// Whether the interval holds `x`.
    pub fn holds(&self, x: f64) -> bool {
        self.low <= x && x <= self.high
    }
}

/// The quantile of ascending values, interpolated between neighbours; NaN where there are none.
pub fn quantile(sorted: &[f64], share: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let position = share * last as f64;
    let below = position.floor() as usize;
    let above = (below + 1).min(last);
    let weight = position - below as f64;
    // Not a weighted sum where both are equal: infinite neighbours would give NaN.
    if sorted[below].total_cmp(&sorted[above]).is_eq() {
        return sorted[below];
    }
    sorted[below] * (1.0 - weight) + sorted[above] * weight
}

/// The mean of at least one value.
pub(in crate::fit) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The root of the mean square of at least one value.
pub(in crate::fit) fn root_mean_square(values: &[f64]) -> f64 {
    (values.iter().map(|value| value * value).sum::<f64>() / values.len() as f64).sqrt()
}

/// The value in the middle, of two the larger; NaN where there are none.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;

    #[test]
    fn quantiles_interpolate_between_neighbours() {
        let values = [1.0, 2.0, 3.0, 5.0];
        for (share, expected) in [(0.0, 1.0), (0.5, 2.5), (1.0, 5.0)] {
            assert!((quantile(&values, share) - expected).abs() < 1e-12);
        }
        assert!(quantile(&[], 0.5).is_nan());
        assert!((quantile(&[7.0], 0.975) - 7.0).abs() < 1e-12);
    }

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
