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

/// The value in the middle, of two the larger; NaN where there are none.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The 97.5th percentile of the normal distribution.
const NORMAL: f64 = 1.959_964;

/// The 97.5th percentile of Student's t by degrees of freedom; NaN for none.
pub(in crate::fit) fn student(freedom: usize) -> f64 {
    const FIRST: [f64; 10] = [f64::NAN, 12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262];
    // The first terms of its expansion at the normal quantile (Abramowitz and Stegun, 26.7.5), within 0.003 from here.
    let (z, n) = (NORMAL, freedom as f64);
    let expansion = z + (z.powi(3) + z) / (4.0 * n) + (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / (96.0 * n * n);
    FIRST.get(freedom).copied().unwrap_or(expansion)
}

/// The chance that Student's t of whole degrees of freedom is further from zero than this, on either side (Abramowitz and
/// Stegun, 26.7.3 and 26.7.4); NaN for none.
pub(in crate::fit) fn chance_beyond(t: f64, freedom: usize) -> f64 {
    let (sin, cos) = (t.abs() / (freedom as f64).sqrt()).atan().sin_cos();
    let odd = freedom % 2 == 1;
    // Every other power of the cosine, each with the factor of its step: 2/3, 4/5, ... or 1/2, 3/4, ...
    let (mut term, mut sum) = (if odd { cos } else { 1.0 }, 0.0);
    for step in 0..freedom / 2 {
        if step > 0 {
            let k = 2.0 * step as f64;
            term *= cos * cos * if odd { k / (k + 1.0) } else { (k - 1.0) / k };
        }
        sum += term;
    }
    let within = if odd { (sin.atan2(cos) + sin * sum) * std::f64::consts::FRAC_2_PI } else { sin * sum };
    if freedom == 0 { f64::NAN } else { 1.0 - within }
}

/// By how much residuals of so many degrees of freedom are widened, so that their percentiles, which are normal ones, become
/// Student's.
pub(in crate::fit) fn widening(freedom: usize) -> f64 {
    student(freedom) / NORMAL
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

    #[test]
    fn students_quantile_is_that_of_the_tables() {
        for (freedom, quantile) in [(1, 12.706), (2, 4.303), (4, 2.776), (10, 2.228), (30, 2.042)] {
            let got = student(freedom);
            assert!((got - quantile).abs() < 3e-3, "{freedom}: {got} and not {quantile}");
        }
        assert!((widening(100_000) - 1.0).abs() < 1e-4);
    }

    #[test]
    fn the_chance_beyond_a_quantile_is_what_the_tables_say() {
        let quantiles = [
            (1, 12.706, 0.05),
            (2, 9.925, 0.01),
            (3, 3.182, 0.05),
            (4, 4.604, 0.01),
            (7, 2.365, 0.05),
            (30, 2.75, 0.01),
        ];
        for (freedom, t, chance) in quantiles {
            let got = chance_beyond(-t, freedom);
            assert!((got - chance).abs() < 5e-5, "{freedom}: {got} and not {chance}");
        }
        assert!(chance_beyond(1.0, 0).is_nan());
        assert!((chance_beyond(0.0, 5) - 1.0).abs() < 1e-12);
    }
}
