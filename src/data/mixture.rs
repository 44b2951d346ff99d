//! Which part of a mixture each sequence comes from.
//!
//! The weights are rounded to 65,536ths. Sequence number i takes the part in whose interval the bit-reversed i falls
//! (van der Corput 1935), so that the shares hold not only in the long run: among any number of sequences from the first
//! on, each part has its share give or take a few, and every batch has nearly the same mixture. Nothing is drawn, so a
//! batch is the same on every device, after every resume and for any number of threads.

use serde::{Deserialize, Serialize};

use super::DataError;
use super::sampler::Sampler;

/// Sequences after which the order of the parts repeats.
const SLOTS: usize = 1 << 16;

/// What is known of a part: in the manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartFacts {
    /// Its name, where `data.weights` decide the shares: these are no matter of the corpus then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Share of the sequences, in 65,536ths, where the corpus decides it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<u32>,
    /// Training tokens.
    pub train_tokens: u64,
    /// Validation tokens.
    pub validation_tokens: u64,
    /// Documents.
    pub documents: u64,
    /// Documents held out for validation.
    pub validation_documents: u64,
}

/// Weights as shares in 65,536ths that sum to one. A part whose share would be nothing although it has a weight is an error.
pub fn shares(weights: &[f64]) -> Result<Vec<u32>, DataError> {
    let sum: f64 = weights.iter().sum();
    let exact: Vec<f64> = weights.iter().map(|weight| weight / sum * SLOTS as f64).collect();
    let mut shares: Vec<u32> = exact.iter().map(|share| share.floor() as u32).collect();
    // The largest remainders get what rounding down has left.
    let mut order: Vec<usize> = (0..weights.len()).collect();
    order.sort_by(|&a, &b| exact[b].fract().total_cmp(&exact[a].fract()).then(a.cmp(&b)));
    let left = SLOTS.saturating_sub(shares.iter().map(|share| *share as usize).sum());
    order.iter().take(left).for_each(|&part| shares[part] += 1);
    let nothing = shares.iter().zip(weights).position(|(share, weight)| *share == 0 && *weight > 0.0);
    nothing.map_or(Ok(shares), |part| {
        let what = format!(
            "the weight of part {} is less than a 65536th of their sum, so nothing of it would be seen; give it more, or leave \
             it out",
            part + 1
        );
        Err(DataError::configuration("parts", what))
    })
}

/// How the parts of a mixture stand in its validation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validation {
    /// By their shares.
    Shares,
    /// As many sequences of each, one part after another, whatever the shares: the same for all mixtures.
    Even,
}

/// The parts of a mixture in the token files, where they lie one after another.
pub struct Mixture {
    parts: Vec<Part>,
    /// The part of each slot.
    slots: Vec<u16>,
    context: u64,
    validation: Validation,
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
    /// Of parts that each have enough tokens for `context`, with their shares in 65,536ths.
    pub fn new(facts: &[PartFacts], shares: &[u32], context: usize, validation: Validation) -> Self {
        let mut slots = vec![0_u16; SLOTS];
        let (mut parts, mut ends) = (Vec::with_capacity(facts.len()), Vec::new());
        let (mut train_start, mut validation_start, mut end) = (0, 0, 0);
        for (part, share) in facts.iter().zip(shares) {
            end += *share as usize;
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
        Self { parts, slots, context: context as u64, validation }
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

    /// The parts of which there are sequences.
    fn seen(&self) -> impl Iterator<Item = (usize, &Part)> {
        self.parts.iter().enumerate().filter(|(_, part)| !part.slots.is_empty())
    }

    /// Training sequences until some part has to repeat itself.
    pub fn windows(&self) -> u64 {
        self.seen().map(|(at, part)| self.nth(at, part.sampler.windows())).min().unwrap_or_default()
    }

    /// Validation sequences in which nothing appears twice.
    pub fn validation_windows(&self) -> u64 {
        let least = || self.parts.iter().map(|part| part.validation_windows).min().unwrap_or_default();
        match self.validation {
            Validation::Shares => {
                self.seen().map(|(at, part)| self.nth(at, part.validation_windows)).min().unwrap_or_default()
            }
            Validation::Even => self.parts.len() as u64 * least(),
        }
    }

    /// How many sequences are taken for validation where `wanted` are asked for.
    pub fn validation_sequences(&self, wanted: u64) -> u64 {
        let whole = match self.validation {
            Validation::Shares => wanted,
            Validation::Even => wanted.next_multiple_of(self.parts.len() as u64),
        };
        whole.min(self.validation_windows())
    }

    /// How many of `sequences` for validation each part has, where they are as many and lie one part after another.
    pub fn of_each(&self, sequences: u64) -> Option<u64> {
        (self.validation == Validation::Even).then(|| sequences / self.parts.len() as u64)
    }

    /// Where training sequence `index` begins, in tokens; `key` makes the order of a part from its number.
    pub fn start(&self, key: impl Fn(u64) -> u64, index: u64) -> u64 {
        let (at, of_part) = self.place(index);
        let part = &self.parts[at];
        part.train_start + part.sampler.start(key(at as u64), of_part)
    }

    /// Where sequence `index` of `sequences` for validation begins, in tokens: those of each part spread evenly over it.
    pub fn validation_start(&self, index: u64, sequences: u64) -> u64 {
        let by_share = || {
            let (at, of_part) = self.place(index);
            (at, of_part, self.count(at, sequences))
        };
        let even = self.of_each(sequences).map(|each| ((index / each) as usize, index % each, each));
        let (at, of_part, count) = even.unwrap_or_else(by_share);
        let part = &self.parts[at];
        part.validation_start + of_part * part.validation_windows / count * self.context
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn mixture(shares: &[u32], tokens: &[u64], validation: Validation) -> Mixture {
        let part = |tokens: &u64| PartFacts {
            name: None,
            share: None,
            train_tokens: *tokens,
            validation_tokens: *tokens,
            documents: 1,
            validation_documents: 1,
        };
        Mixture::new(&tokens.iter().map(part).collect::<Vec<_>>(), shares, 10, validation)
    }

    #[test]
    fn shares_are_weights_to_a_65536th_and_sum_to_one() {
        assert_eq!(shares(&[1.0, 1.0]).unwrap(), vec![32768, 32768]);
        assert_eq!(shares(&[1.0, 1.0, 1.0]).unwrap(), vec![21846, 21845, 21845]);
        assert_eq!(shares(&[7e300, 3e300]).unwrap(), vec![45875, 19661]);
        let error = shares(&[1.0, 1e-9]).unwrap_err().to_string();
        assert!(error.contains("the weight of part 2 is less than a 65536th"), "{error}");
        assert_eq!(shares(&[5.0]).unwrap(), vec![65536]);
        assert_eq!(shares(&[0.0, 1.0, 0.0, 2.0]).unwrap(), vec![0, 21845, 0, 43691]);
    }

    proptest! {
        #[test]
        fn every_beginning_of_the_stream_has_the_shares_and_counts_are_those_of_walking_it(
            weights in proptest::collection::vec(0.01_f64..1.0, 1..6), n in 1_u64..200_000,
        ) {
            let shares = shares(&weights).unwrap();
            let mixture = mixture(&shares, &vec![1000; shares.len()], Validation::Shares);
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
        let mixture = mixture(&[49152, 16384], &[1000, 300], Validation::Shares);
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
    #[test]
    fn even_validation_is_the_same_for_all_shares_and_a_part_without_a_share_is_measured_and_never_trained_on() {
        let starts = |shares: &[u32], sequences: u64| -> Vec<u64> {
            let mixture = mixture(shares, &[1000, 300, 500], Validation::Even);
            (0..sequences).map(|index| mixture.validation_start(index, sequences)).collect()
        };
        let all = mixture(&[32768, 0, 32768], &[1000, 300, 500], Validation::Even);
        // The smallest part has 29 windows.
        assert_eq!((all.validation_windows(), all.validation_sequences(10), all.of_each(12)), (87, 12, Some(4)));
        assert_eq!(starts(&[32768, 0, 32768], 12), starts(&[1, 65534, 1], 12));
        let twelve = starts(&[65536, 0, 0], 12);
        assert_eq!(twelve.iter().filter(|start| (1000..1300).contains(*start)).count(), 4);
        assert_eq!(twelve.iter().collect::<HashSet<_>>().len(), 12);
        // Neither do its few tokens end an epoch.
        assert!(all.windows() > 90, "{}", all.windows());
        assert!((0..all.windows()).all(|index| !(1000..1300).contains(&all.start(|part| part, index))));
    }
}
