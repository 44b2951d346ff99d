//! What a step takes.

use std::collections::BTreeMap;

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
    /// Clipping and the step of the optimizer.
    pub optimizer: f64,
}

impl Phases {
    /// Seconds of the whole step.
    pub fn total(&self) -> f64 {
        let Self { data, forward, backward, optimizer } = self;
        data + forward + backward + optimizer
    }
}

/// What a training step spends in one kernel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KernelTime {
    /// Its name in the kernels' source; `product` is one of the maker's library.
    pub kernel: String,
    /// Starts in one step.
    pub launches: usize,
    /// Seconds of all of them together.
    pub seconds: f64,
}

impl KernelTime {
    /// Sums by name over so many equal steps, the longest first.
    pub fn of<'n>(starts: impl Iterator<Item = (&'n str, f64)>, steps: usize) -> Vec<Self> {
        let mut sums: BTreeMap<&str, (usize, f64)> = BTreeMap::new();
        for (kernel, seconds) in starts {
            let (launches, sum) = sums.entry(kernel).or_default();
            *launches += 1;
            *sum += seconds;
        }
        let per_step = |(kernel, (launches, seconds)): (&str, (usize, f64))| Self {
            kernel: kernel.to_owned(),
            launches: launches / steps,
            seconds: seconds / steps as f64,
        };
        let mut times: Vec<Self> = sums.into_iter().map(per_step).collect();
        times.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
        times
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
    fn kernels_are_summed_by_name_over_steps_and_the_longest_comes_first() {
        let step = [("norm", 1.0), ("product", 2.0), ("norm", 0.5), ("product", 4.0)];
        let times = KernelTime::of(step.into_iter().chain(step), 2);
        let expected = [("product", 2, 6.0), ("norm", 2, 1.5)];
        let seen: Vec<_> = times.iter().map(|time| (time.kernel.as_str(), time.launches, time.seconds)).collect();
        assert_eq!(seen, expected);
    }

    #[test]
    fn the_median_of_an_even_number_lies_between_the_two_in_the_middle() {
        assert!((median(vec![4.0, 1.0, 3.0]) - 3.0).abs() < 1e-12);
        assert!((median(vec![4.0, 1.0, 3.0, 2.0]) - 2.5).abs() < 1e-12);
    }
}
