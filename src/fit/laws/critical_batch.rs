//! The critical batch size (`McCandlish` et al. 2018, arXiv 1812.06162): steps against examples, against loss, against
//! data, and from gradients alone.
//!
//! Loss and data give different laws, Kaplan's B* / `L^(1/alpha_B)` and the power law in tokens of Bergsma et al. (arXiv
//! 2505.13738); they are fitted apart and never mixed.

pub mod repeats;
pub mod runs;

use serde::{Deserialize, Serialize};

use crate::fit::estimate::too_many_lost;
use crate::fit::laws::law::{LawFit, Parameter, large};
use crate::fit::numerics::bootstrap::Bootstrap;
use crate::fit::numerics::chance::widening;
use crate::fit::numerics::least_squares::best_of;
use crate::fit::numerics::regress::Design;
use crate::fit::{Estimate, Status};

/// (`S/S_min` - `1)(E/E_min` - 1) = 1 for S steps and E examples to reach one loss.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hyperbola {
    /// Least steps, with unlimited batch.
    pub min_steps: f64,
    /// Least examples (or tokens), with the smallest batch.
    pub min_examples: f64,
}

impl Hyperbola {
    /// The batch at which steps and examples are both twice their least: `E_min/S_min`.
    pub fn critical_batch(&self) -> f64 {
        self.min_examples / self.min_steps
    }

    /// Steps to the loss at a batch size.
    pub fn steps(&self, batch: f64) -> f64 {
        self.min_steps * (1.0 + self.critical_batch() / batch)
    }

    /// Examples to the loss at a batch size.
    pub fn examples(&self, batch: f64) -> f64 {
        self.min_examples * (1.0 + batch / self.critical_batch())
    }
}

/// Fits the hyperbola to pairs (batch, steps to a common loss), by least squares in log steps. Nothing where there are
/// fewer than 3 different batches.
pub fn hyperbola(runs: &[(f64, f64)]) -> Option<Hyperbola> {
    let mut batches: Vec<f64> = runs.iter().map(|(batch, _)| *batch).collect();
    batches.sort_by(f64::total_cmp);
    batches.dedup();
    if batches.len() < 3 {
        return None;
    }
    let rows = |[ln_steps, ln_critical]: &[f64; 2]| {
        let row = |(batch, steps): &(f64, f64)| {
            let ratio = ln_critical.exp() / batch;
            (ln_steps + ratio.ln_1p() - steps.ln(), [1.0, ratio / (1.0 + ratio)])
        };
        runs.iter().map(row).collect()
    };
    let least = runs.iter().map(|(_, steps)| *steps).fold(f64::INFINITY, f64::min);
    let stop = best_of(rows, batches.iter().map(|batch| [least.ln(), batch.ln()]), 200)?;
    let [min_steps, critical] = stop.x.map(f64::exp);
    Some(Hyperbola { min_steps, min_examples: min_steps * critical })
}

/// Kaplan et al. 2020 (arXiv 2001.08361, equation 1.4): `B_crit` = B* / `L^(1/alpha_B)`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgainstLoss {
    /// B*, the critical batch at a loss of one nat.
    pub b_star: f64,
    /// The exponent `alpha_B`.
    pub alpha_b: f64,
}

impl AgainstLoss {
    /// The critical batch at a loss in nats per token.
    pub fn critical_batch(&self, loss: f64) -> f64 {
        self.b_star * loss.powf(-1.0 / self.alpha_b)
    }

    /// The least steps that a run could have reached its loss with, at a batch far above the critical one (equation 5.4).
    pub fn least_steps(&self, steps: f64, batch: f64, loss: f64) -> f64 {
        steps / (1.0 + self.critical_batch(loss) / batch)
    }
}

/// Fits `B_crit` against loss to pairs (loss, critical batch).
pub fn against_loss(pairs: &[(f64, f64)]) -> Option<AgainstLoss> {
    let (coefficient, exponent) = power_law(pairs)?;
    Some(AgainstLoss { b_star: coefficient, alpha_b: -1.0 / exponent })
}

/// A power law in training tokens, `B_crit` = coefficient x tokens^exponent.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgainstTokens {
    /// Batch at one token.
    pub coefficient: f64,
    /// The exponent.
    pub exponent: f64,
}

/// Fits `B_crit` against data to pairs (tokens, critical batch).
pub fn against_tokens(pairs: &[(f64, f64)]) -> Option<AgainstTokens> {
    power_law(pairs).map(|(coefficient, exponent)| AgainstTokens { coefficient, exponent })
}

fn power_law(pairs: &[(f64, f64)]) -> Option<(f64, f64)> {
    let x: Vec<f64> = pairs.iter().map(|(x, _)| x.ln()).collect();
    let differ = x.iter().any(|other| (other - x[0]).abs() > 1e-9);
    let line = Design::new(&x).line(&pairs.iter().map(|(_, batch)| batch.ln()).collect::<Vec<_>>());
    (pairs.len() >= 3 && differ).then(|| (line.intercept.exp(), line.slope))
}

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
pub fn gradient_noise(pairs: &[NormPair], bootstrap: &Bootstrap) -> LawFit {
    use rand::RngExt;
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
    use super::*;
    use rand::{RngExt, SeedableRng};

    #[test]
    fn a_noiseless_hyperbola_comes_back() {
        let truth = Hyperbola { min_steps: 1500.0, min_examples: 3e6 };
        let runs: Vec<(f64, f64)> = (4..14).map(|k| 2_f64.powi(k)).map(|batch| (batch, truth.steps(batch))).collect();
        let found = hyperbola(&runs).unwrap();
        assert!((found.critical_batch() / 2000.0 - 1.0).abs() < 1e-6, "{found:?}");
        for (batch, steps) in &runs {
            let product = (steps / found.min_steps - 1.0) * (found.examples(*batch) / found.min_examples - 1.0);
            assert!((product - 1.0).abs() < 1e-4);
        }
        assert!(hyperbola(&runs[..2]).is_none());
    }

    #[test]
    fn kaplans_law_of_the_loss_and_the_law_of_data_come_back() {
        let pairs: Vec<(f64, f64)> = [2.0_f64, 2.5, 3.0, 4.0].map(|loss| (loss, 2e8 / loss.powf(1.0 / 0.21))).to_vec();
        let law = against_loss(&pairs).unwrap();
        assert!((law.alpha_b - 0.21).abs() < 1e-9 && (law.b_star / 2e8 - 1.0).abs() < 1e-6);
        let pairs: Vec<(f64, f64)> = [1e8_f64, 1e9, 1e10].map(|tokens| (tokens, 0.0471 * tokens.powf(0.462))).to_vec();
        assert!((against_tokens(&pairs).unwrap().exponent - 0.462).abs() < 1e-9);
        assert!(against_tokens(&pairs[..2]).is_none() && against_tokens(&[(1.0, 2.0); 5]).is_none());
    }

    #[test]
    fn steps_are_wasted_by_a_batch_below_the_critical_one_and_not_by_a_big_one() {
        let law = AgainstLoss { b_star: 2e8, alpha_b: 0.21 };
        let critical = law.critical_batch(3.0);
        assert!((critical / 1.0691e6 - 1.0).abs() < 1e-3, "{critical}");
        assert!(
            (law.least_steps(1e4, critical, 3.0) - 5e3).abs() < 1e-6,
            "twice the least steps at the critical batch"
        );
        assert!((law.least_steps(1e4, 1e12, 3.0) / 1e4 - 1.0).abs() < 1e-5);
        assert!(law.least_steps(1e4, 1.0, 3.0) < 0.01);
    }

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
        let fit = gradient_noise(&pairs, &bootstrap);
        let interval = fit.get("B_simple").unwrap();
        assert!(fit.status == Status::Converged && interval.holds(100.0) && interval.high < 110.0, "{fit:?}");
        assert!((interval.value / 100.0 - 1.0).abs() < 0.03, "{fit:?}");
        let few = gradient_noise(&pairs[..10], &bootstrap).get("B_simple").unwrap();
        assert!(few.high - few.low > 3.0 * (interval.high - interval.low), "{few:?}");
        let noise: Vec<NormPair> = pairs.iter().map(|pair| NormPair { small: pair.big * 16.0, ..*pair }).collect();
        assert_eq!(gradient_noise(&noise, &bootstrap).status, Status::NotIdentified);
    }
}
