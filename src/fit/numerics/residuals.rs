//! How far a fit is from the data.

use serde::{Deserialize, Serialize};

use super::bootstrap::quantile;

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

impl Residuals {
    /// Of at least one residual.
    pub(in crate::fit) fn of(residuals: impl Iterator<Item = f64>) -> Self {
        let mut sizes: Vec<f64> = residuals.map(f64::abs).collect();
        sizes.sort_by(f64::total_cmp);
        let square = sizes.iter().map(|r| r * r).sum::<f64>() / sizes.len() as f64;
        Self { rms: square.sqrt(), median: quantile(&sizes, 0.5), largest: sizes.last().copied().unwrap_or(f64::NAN) }
    }
}
