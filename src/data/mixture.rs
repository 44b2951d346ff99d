//! Which part of a mixture each sequence comes from.
//!
//! The weights are rounded to 65,536ths. Sequence number i takes the part in whose interval the bit-reversed i falls
//! (van der Corput 1935), so that the shares hold not only in the long run: among any number of sequences from the first
//! on, each part has its share give or take a few, and every batch has nearly the same mixture. Nothing is drawn, so a
//! batch is the same on every device, after every resume and for any number of threads.

use serde::{Deserialize, Serialize};

use super::sampler::Sampler;

/// Sequences after which the order of the parts repeats.
const SLOTS: usize = 1 << 16;

/// What is known of a part: in the manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartFacts {
    /// Share of the sequences, in 65,536ths.
    pub share: u32,
    /// Training tokens.
    pub train_tokens: u64,
    /// Validation tokens.
    pub validation_tokens: u64,
    /// Documents.
    pub documents: u64,
    /// Documents held out for validation.
    pub validation_documents: u64,
}

/// Weights as shares in 65,536ths that sum to one; the part whose share would be nothing, where there is one.
pub fn shares(weights: &[f64]) -> Result<Vec<u32>, usize> {
    let sum: f64 = weights.iter().sum();
    let exact: Vec<f64> = weights.iter().map(|weight| weight / sum * SLOTS as f64).collect();
    let mut shares: Vec<u32> = exact.iter().map(|share| share.floor() as u32).collect();
    // The largest remainders get what rounding down has left.
    let mut order: Vec<usize> = (0..weights.len()).collect();
    order.sort_by(|&a, &b| exact[b].fract().total_cmp(&exact[a].fract()).then(a.cmp(&b)));
    let left = SLOTS.saturating_sub(shares.iter().map(|share| *share as usize).sum());
    order.iter().take(left).for_each(|&part| shares[part] += 1);
    shares.iter().position(|share| *share == 0).map_or(Ok(shares), Err)
}

/// The parts of a mixture in the token files, where they lie one after another.
pub struct Mixture {
    parts: Vec<Part>,
    /// The part of each slot.
    slots: Vec<u16>,
    context: u64,
}

struct Part {
    /// Its slots, rising.
    slots: Vec<u16>,
    sampler: Sampler,
    train_start: u64,
    validation_start: u64,
    validation_windows: u64,
}

impl Mixture {
    /// Of parts that each have enough tokens for `context`.
    pub fn new(facts: &[PartFacts], context: usize) -> Self {
        let mut slots = vec![0_u16; SLOTS];
        let (mut parts, mut ends) = (Vec::with_capacity(facts.len()), Vec::new());
        let (mut train_start, mut validation_start, mut end) = (0, 0, 0);
        for part in facts {
            end += part.share as usize;
            ends.push(end);
            let validation_windows = part.validation_tokens.saturating_sub(1) / context as u64;
            let sampler = Sampler::new(part.train_tokens, context);
            parts.push(Part { slots: Vec::new(), sampler, train_start, validation_start, validation_windows });
            train_start += part.train_tokens;
            validation_start += part.validation_tokens;
        }
        for slot in 0..SLOTS as u32 {
            let place = (slot as u16).reverse_bits();
            // A damaged manifest, whose shares do not fill the slots, gives the rest to the last part.
            let part = ends.partition_point(|end| *end <= usize::from(place)).min(parts.len() - 1);
            slots[slot as usize] = part as u16;
            parts[part].slots.push(slot as u16);
        }
        Self { parts, slots, context: context as u64 }
    }

    /// The part of sequence `index`, and how many sequences before it are of the same part.
    fn place(&self, index: u64) -> (usize, u64) {
        let part = usize::from(self.slots[(index % SLOTS as u64) as usize]);
        (part, self.count(part, index))
    }

    /// How many of the first `n` sequences are of a part.
    fn count(&self, part: usize, n: u64) -> u64 {
        let slots = &self.parts[part].slots;
        let (rounds, rest) = (n / SLOTS as u64, n % SLOTS as u64);
        rounds * slots.len() as u64 + slots.partition_point(|slot| u64::from(*slot) < rest) as u64
    }

    /// Number of the sequence before which a part has had `count` of them, as the part's own are counted.
    fn nth(&self, part: usize, count: u64) -> u64 {
        let slots = &self.parts[part].slots;
        let of_round = slots.len() as u64;
        count / of_round * SLOTS as u64 + u64::from(slots[(count % of_round) as usize])
    }

    /// Training sequences until some part has to repeat itself.
    pub fn windows(&self) -> u64 {
        let until = |(at, part): (usize, &Part)| self.nth(at, part.sampler.windows());
        self.parts.iter().enumerate().map(until).min().unwrap_or_default()
    }

    /// Validation sequences of these shares in which nothing appears twice.
    pub fn validation_windows(&self) -> u64 {
        let until = |(at, part): (usize, &Part)| self.nth(at, part.validation_windows);
        self.parts.iter().enumerate().map(until).min().unwrap_or_default()
    }

    /// Where training sequence `index` begins, in tokens; `key` makes the order of a part from its number.
    pub fn start(&self, key: impl Fn(u64) -> u64, index: u64) -> u64 {
        let (at, of_part) = self.place(index);
        let part = &self.parts[at];
        part.train_start + part.sampler.start(key(at as u64), of_part)
    }

    /// Where sequence `index` of `sequences` for validation begins, in tokens: those of each part spread evenly over it.
    pub fn validation_start(&self, index: u64, sequences: u64) -> u64 {
        let (at, of_part) = self.place(index);
        let part = &self.parts[at];
        part.validation_start + of_part * part.validation_windows / self.count(at, sequences) * self.context
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn facts(shares: &[u32], tokens: &[u64]) -> Vec<PartFacts> {
        let part = |(share, tokens): (&u32, &u64)| PartFacts {
            share: *share,
            train_tokens: *tokens,
            validation_tokens: *tokens,
            documents: 1,
            validation_documents: 1,
        };
        shares.iter().zip(tokens).map(part).collect()
    }

    #[test]
    fn shares_are_weights_to_a_65536th_and_sum_to_one() {
        assert_eq!(shares(&[1.0, 1.0]), Ok(vec![32768, 32768]));
        assert_eq!(shares(&[1.0, 1.0, 1.0]), Ok(vec![21846, 21845, 21845]));
        assert_eq!(shares(&[7e300, 3e300]), Ok(vec![45875, 19661]));
        assert_eq!(shares(&[1.0, 1e-9]), Err(1));
        assert_eq!(shares(&[5.0]), Ok(vec![65536]));
    }

    proptest! {
        #[test]
        fn every_beginning_of_the_stream_has_the_shares_and_counts_are_those_of_walking_it(
            weights in proptest::collection::vec(0.01_f64..1.0, 1..6), n in 1_u64..200_000,
        ) {
            let shares = shares(&weights).unwrap();
            let mixture = Mixture::new(&facts(&shares, &vec![1000; shares.len()]), 10);
            let mut walked = vec![0_u64; shares.len()];
            for index in 0..n {
                let (part, before) = mixture.place(index);
                prop_assert_eq!(before, walked[part]);
                prop_assert_eq!(mixture.nth(part, before), index);
                walked[part] += 1;
            }
            for (part, share) in shares.iter().enumerate() {
                prop_assert_eq!(mixture.count(part, n), walked[part]);
                let expected = n as f64 * f64::from(*share) / SLOTS as f64;
                prop_assert!((walked[part] as f64 - expected).abs() <= 8.0, "{} of {n}, not {expected}", walked[part]);
            }
        }
    }

    #[test]
    fn nothing_repeats_before_the_first_part_is_used_up_and_all_parts_stay_in_their_place() {
        let mixture = Mixture::new(&facts(&[49152, 16384], &[1000, 300]), 10);
        // 99 and 29 windows: three quarters of the stream use up the first after 132 sequences, the second after 116.
        let windows = mixture.windows();
        assert!((112..=120).contains(&windows), "{windows}");
        let starts: Vec<u64> = (0..windows).map(|index| mixture.start(|part| part + 5, index)).collect();
        let firsts: HashSet<u64> = starts.iter().copied().collect();
        assert_eq!(firsts.len(), starts.len(), "a window repeats");
        assert!(starts.iter().filter(|start| **start < 1000).all(|start| start + 10 < 1000), "beyond the first part");
        assert!(starts.iter().all(|start| start + 10 < 1300), "beyond the second part");
        let quarter = starts.iter().filter(|start| **start >= 1000).count() as f64 / windows as f64;
        assert!((quarter - 0.25).abs() < 0.02, "{quarter}");
        let validation = mixture.validation_windows();
        let starts: HashSet<u64> = (0..validation).map(|index| mixture.validation_start(index, validation)).collect();
        assert_eq!(starts.len() as u64, validation, "a validation window appears twice");
        assert!(starts.iter().all(|start| (start % 1000).is_multiple_of(10)));
        // A few of many: still spread over all of each part.
        let few: Vec<u64> = (0..16).map(|index| mixture.validation_start(index, 16)).collect();
        assert_eq!(few.iter().filter(|start| **start >= 1000).count(), 4);
        assert!(
            few.iter().any(|start| (800..1000).contains(start)) && few.iter().any(|start| *start >= 1200),
            "{few:?}"
        );
    }
}
