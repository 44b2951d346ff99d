//! What a step takes.

use serde::{Deserialize, Serialize};

/// Seconds of one training step.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Phases {
    /// Sampling a batch and bringing it to the device.
    pub data: f64,
    /// From tokens to the loss.
    pub forward: f64,
    /// From the loss to the gradients.
    pub backward: f64,
    /// Clipping and AdamW.
    pub optimizer: f64,
}

impl Phases {
    /// Seconds of the whole step.
    pub fn total(&self) -> f64 {
        let Self { data, forward, backward, optimizer } = self;
        data + forward + backward + optimizer
    }
}

/// The value in the middle.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { f64::midpoint(values[middle - 1], values[middle]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between_the_two_in_the_middle() {
        assert!((median(vec![4.0, 1.0, 3.0]) - 3.0).abs() < 1e-12);
        assert!((median(vec![4.0, 1.0, 3.0, 2.0]) - 2.5).abs() < 1e-12);
    }
}
