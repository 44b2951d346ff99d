//! What one step of AdamW does to one weight.

/// The numbers of one step for one weight.
#[derive(Clone, Copy, Debug)]
pub struct Update {
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// Learning rate, over the correction of the first moment.
    pub rate: f64,
    /// Reciprocal of the correction of the second moment.
    pub second_correction: f64,
    /// What decay leaves of the value.
    pub keep: f64,
}
