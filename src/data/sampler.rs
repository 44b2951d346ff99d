//! The order of training sequences: a pure function of the seeds and the position in the stream.
//!
//! An epoch cuts the tokens into windows of one context each, at an offset of its own, and goes through all of them in
//! the order of a keyed permutation. So a batch is the same on every device, after every resume and for any number of
//! threads, and nothing repeats before the epoch ends.

use super::hash;

/// Rounds of the Feistel network; four already pass for random (Luby and Rackoff 1988), two more cost nothing here.
const ROUNDS: u64 = 6;

/// The order of the windows of a token file.
#[derive(Clone, Copy, Debug)]
pub struct Sampler {
    context: u64,
    windows: u64,
}

impl Sampler {
    /// Over `tokens` tokens. Any offset below the context must leave room for all windows and the last target, so up to
    /// two contexts of tokens are not seen in an epoch (others in each).
    pub fn new(tokens: u64, context: usize) -> Self {
        let context = context as u64;
        Self { context, windows: (tokens / context).saturating_sub(1) }
    }

    /// Sequences of one epoch.
    pub fn windows(&self) -> u64 {
        self.windows
    }

    /// Where sequence number `index` of the stream begins, in tokens. `seed` is made of the corpus's and the run's.
    pub fn start(&self, seed: u64, index: u64) -> u64 {
        let epoch = index / self.windows;
        let key = hash::key(&[seed, epoch]);
        let offset = hash::key(&[key, 1]) % self.context;
        permute(key, self.windows, index % self.windows) * self.context + offset
    }
}

/// Where `index` goes in a keyed permutation of `0..n`: a Feistel network on the next power of four, walked along its
/// cycle until it is back inside (Black and Rogaway 2002).
pub(super) fn permute(key: u64, n: u64, index: u64) -> u64 {
    let bits = (64 - (n - 1).leading_zeros()).div_ceil(2).max(1);
    let mask = (1_u64 << bits) - 1;
    let mut at = index;
    loop {
        let (mut left, mut right) = (at >> bits, at & mask);
        for round in 0..ROUNDS {
            (left, right) = (right, left ^ (hash::key(&[key, round, right]) & mask));
        }
        at = left << bits | right;
        if at < n {
            return at;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_epoch_is_a_permutation_of_windows_that_do_not_overlap(
            tokens in 20_u64..5000, context in 1_usize..10, seed: u64, epoch in 0_u64..4,
        ) {
            let sampler = Sampler::new(tokens, context);
            let n = sampler.windows();
            let starts: HashSet<u64> = (epoch * n..(epoch + 1) * n).map(|i| sampler.start(seed, i)).collect();
            prop_assert_eq!(starts.len() as u64, n, "a window repeats inside an epoch");
            let offset = starts.iter().min().unwrap();
            for start in &starts {
                prop_assert_eq!((start - offset) % context as u64, 0, "two windows overlap");
                prop_assert!(start + (context as u64) < tokens, "a window leaves the file");
            }
        }
    }

    #[test]
    fn epochs_differ_in_order_and_seeds_too() {
        let sampler = Sampler::new(100_000, 10);
        let n = sampler.windows();
        let order =
            |seed, epoch: u64| -> Vec<u64> { (0..n).map(|i| sampler.start(seed, epoch * n + i) / 10).collect() };
        assert_ne!(order(1, 0), order(1, 1));
        assert_ne!(order(1, 0), order(2, 0));
    }

    /// Pinned: committed sweeps were trained in this order, so another one gives other losses.
    #[test]
    fn the_order_is_that_of_the_committed_sweeps() {
        let starts = |tokens, context, seed, from: u64| {
            let sampler = Sampler::new(tokens, context);
            (from..from + 4).map(|i| sampler.start(seed, i)).collect::<Vec<_>>()
        };
        assert_eq!(starts(100_000, 10, 1, 0), [43_597, 80_997, 51_007, 5277]);
        // Across the end of the first epoch, with a context and tokens that are no round numbers.
        assert_eq!(starts(12_345, 7, 0xdead_beef, 1760), [7928, 3721, 12_271, 2219]);
    }

    #[test]
    fn neighbours_in_the_stream_are_far_apart_in_the_file() {
        let sampler = Sampler::new(1_000_000, 10);
        let n = sampler.windows() as f64;
        let starts: Vec<f64> = (0..10_000).map(|i| sampler.start(5, i) as f64 / 10.0).collect();
        let mean = starts.windows(2).map(|pair| (pair[1] - pair[0]).abs()).sum::<f64>() / 9999.0;
        // Two independent uniform places are a third of the file apart in the mean; the standard error is 0.003.
        assert!((mean / n - 1.0 / 3.0).abs() < 0.012, "{}", mean / n);
    }
}
