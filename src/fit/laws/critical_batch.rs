//! The critical batch size (`McCandlish` et al. 2018, arXiv 1812.06162): steps against examples, against loss, and against
//! data. From gradients alone it is `gradient_noise`.
//!
//! Loss and data give different laws, Kaplan's B* / `L^(1/alpha_B)` and the power law in tokens of Bergsma et al. (arXiv
//! 2505.13738); they are fitted apart and never mixed.

pub mod repeats;
pub mod runs;

use serde::{Deserialize, Serialize};

use crate::fit::numerics::least_squares::best_of;
use crate::fit::numerics::regress::Design;

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

/// `B_crit` = coefficient x tokens^exponent, or the same in another measure: the two numbers.
fn power_law(pairs: &[(f64, f64)]) -> Option<(f64, f64)> {
    let x: Vec<f64> = pairs.iter().map(|(x, _)| x.ln()).collect();
    let differ = x.iter().any(|other| (other - x[0]).abs() > 1e-9);
    let line = Design::new(&x).line(&pairs.iter().map(|(_, batch)| batch.ln()).collect::<Vec<_>>());
    (pairs.len() >= 3 && differ).then(|| (line.intercept.exp(), line.slope))
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert!((power_law(&pairs).unwrap().1 - 0.462).abs() < 1e-9);
        assert!(power_law(&pairs[..2]).is_none() && power_law(&[(1.0, 2.0); 5]).is_none());
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
}
