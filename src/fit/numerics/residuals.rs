//! How far a fit is from the data.

use serde::{Deserialize, Serialize};

use super::averages::{median, quantile};

/// Residuals in log loss: predicted minus measured.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Residuals {
    /// Root of the mean square.
    pub rms: f64,
    /// Median of the absolute residuals.
    pub median: f64,
    /// The largest absolute residual.
    pub largest: f64,
}

/// `AICc` of Gaussian residuals by their root mean square (Hurvich and Tsai 1989), with the width of the residuals as one more unknown.
pub(in crate::fit) fn aicc(rms: f64, points: usize, unknowns: usize) -> f64 {
    let (n, k) = (points as f64, unknowns as f64 + 1.0);
    2.0 * n * rms.max(1e-15).ln() + 2.0 * k + 2.0 * k * (k + 1.0) / (n - k - 1.0).max(1e-9)
}

/// Least error of log loss, and least multiple of the scatter, that is far off.
const FAR: (f64, f64) = (0.1, 8.0);
/// Largest share of errors that may be far off: where there are more it is the law that does not fit.
const MOST_FAR: f64 = 0.25;
/// From a median absolute deviation to the standard deviation of normal errors.
const NORMAL_MAD: f64 = 1.4826;

/// The places of the errors, in the logarithm of the loss and without their sign, that are far off the others, and what the others
/// scatter by; no places where too many are.
pub(in crate::fit) fn far_off(errors: &[f64]) -> (Vec<usize>, f64) {
    let scatter = NORMAL_MAD * median(errors.to_vec());
    let limit = FAR.0.max(FAR.1 * scatter);
    let mut far: Vec<usize> = (0..errors.len()).filter(|at| errors[*at] > limit).collect();
    if far.len() as f64 > MOST_FAR * errors.len() as f64 {
        far.clear();
    }
    (far, scatter)
}

impl Residuals {
    /// Of at least one residual.
    pub(in crate::fit) fn of(residuals: impl Iterator<Item = f64>) -> Self {
        let mut sizes: Vec<f64> = residuals.map(f64::abs).collect();
        sizes.sort_by(f64::total_cmp);
        let square = sizes.iter().map(|r| r * r).sum::<f64>() / sizes.len() as f64;
        Self { rms: square.sqrt(), median: quantile(&sizes, 0.5), largest: sizes.last().copied().unwrap_or(f64::NAN) }
    }
}
