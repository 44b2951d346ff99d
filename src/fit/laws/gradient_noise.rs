//! The critical batch size from gradients alone: the simple noise scale (`McCandlish` et al. 2018, arXiv 1812.06162, appendix A.1).

use rand::RngExt;

use crate::fit::estimate::too_many_lost;
use crate::fit::laws::law::{LawFit, Parameter, large};
use crate::fit::numerics::bootstrap::Bootstrap;
use crate::fit::numerics::chance::widening;
use crate::fit::{Estimate, Status};

/// Squared gradient norms measured with a small and a big batch at one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NormPair {
    /// Examples of the small batch.
    pub small_batch: f64,
    /// Its squared gradient norm.
    pub small: f64,
    /// Examples of the big batch.
    pub big_batch: f64,
    /// Its squared gradient norm.
    pub big: f64,
}

/// Unbiased estimates of |G|^2 and tr(Sigma), averaged over the pairs (`McCandlish` et al. 2018, appendix A.1).
fn moments(pairs: &[NormPair]) -> [f64; 2] {
    let (mut square, mut trace) = (0.0, 0.0);
    for pair in pairs {
        square += (pair.big_batch * pair.big - pair.small_batch * pair.small) / (pair.big_batch - pair.small_batch);
        trace += (pair.small - pair.big) / (1.0 / pair.small_batch - 1.0 / pair.big_batch);
    }
    [square, trace].map(|sum| sum / pairs.len() as f64)
}

/// With fewer pairs a mean of |G|^2 above zero may be chance, and intervals of the ratio hold it too seldom.
const LEAST_PAIRS: usize = 10;

/// The noise scale with intervals over resampled pairs.
pub fn fit(pairs: &[NormPair], bootstrap: &Bootstrap) -> LawFit {
    const LAW: &str = "B_simple = tr(Sigma) / |G|^2";
    let n = pairs.len();
    if n < LEAST_PAIRS {
        let sentence =
            &format!("The noise scale needs at least {LEAST_PAIRS} pairs of gradient norms; use about a hundred.");
        return LawFit::without_numbers(LAW, Status::TooFewPoints, pairs.len(), sentence);
    }
    let value = moments(pairs);
    // A resample of n pairs scatters by (n - 1)/n of their variance, and percentiles are normal ones where Student's are due.
    let wider = (n as f64 / (n - 1) as f64).sqrt() * widening(n - 1);
    let draws: Vec<[f64; 2]> = bootstrap.draws(|rng| {
        let drawn = moments(&(0..n).map(|_| pairs[rng.random_range(0..n)]).collect::<Vec<_>>());
        std::array::from_fn(|k| value[k] + wider * (drawn[k] - value[k]))
    });
    // A mean of |G|^2 at or below zero says that the batch may be as large as one likes.
    let scale = |[square, trace]: &[f64; 2]| if *square > 0.0 { trace / square } else { f64::INFINITY };
    let estimate = |of: &dyn Fn(&[f64; 2]) -> f64| Estimate::from_draws(of(&value), draws.iter().map(of));
    let batch = estimate(&scale);
    let lost = draws.iter().filter(|[square, trace]| *square <= 0.0 || *trace <= 0.0).count();
    let identified = value.iter().all(|x| *x > 0.0) && !too_many_lost(lost, draws.len());
    LawFit {
        formula: LAW.to_owned(),
        status: if identified { Status::Converged } else { Status::NotIdentified },
        points: pairs.len(),
        parameters: vec![
            Parameter::new("B_simple", "noise scale, in the unit of the batches", batch),
            Parameter::new("|G|^2", "squared norm of the true gradient", estimate(&|[square, _]| *square)),
            Parameter::new("tr(Sigma)", "variance of the gradient of one example", estimate(&|[_, trace]| *trace)),
        ],
        residuals: None,
        resampled: "pairs of norms".to_owned(),
        conclusion: if identified {
            format!(
                "The simple noise scale is {}: batches well below it waste steps, batches well above it waste data. It \
                 equals the critical batch size only if the Hessian is close to a multiple of the identity.",
                large(batch)
            )
        } else {
            "Not identified: the mean of |G|^2 may be zero; measure more pairs, or use a larger big batch.".to_owned()
        },
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};

    use super::*;

    #[test]
    fn the_noise_scale_of_gaussian_gradients_is_estimated() {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(5);
        let mut normal = || {
            let (u, v): (f64, f64) = (rng.random(), rng.random());
            (-2.0 * (1.0 - u).ln()).sqrt() * (std::f64::consts::TAU * v).cos()
        };
        // 50 channels of mean 0.1 and variance 1: |G|^2 = 0.5, tr(Sigma) = 50, noise scale 100.
        let mut square = |batch: f64| (0..50).map(|_| (0.1 + normal() / batch.sqrt()).powi(2)).sum::<f64>();
        let pairs: Vec<NormPair> = (0..4000)
            .map(|_| NormPair { small_batch: 32.0, small: square(32.0), big_batch: 512.0, big: square(512.0) })
            .collect();
        let bootstrap = Bootstrap { resamples: 200, seed: 1 };
        let whole = fit(&pairs, &bootstrap);
        let interval = whole.get("B_simple").unwrap();
        assert!(whole.status == Status::Converged && interval.holds(100.0) && interval.high < 110.0, "{whole:?}");
        assert!((interval.value / 100.0 - 1.0).abs() < 0.03, "{whole:?}");
        let few = fit(&pairs[..10], &bootstrap).get("B_simple").unwrap();
        assert!(few.high - few.low > 3.0 * (interval.high - interval.low), "{few:?}");
        let noise: Vec<NormPair> = pairs.iter().map(|pair| NormPair { small: pair.big * 16.0, ..*pair }).collect();
        assert_eq!(fit(&noise, &bootstrap).status, Status::NotIdentified);
    }
}
