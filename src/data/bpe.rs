//! Training of a byte-level byte-pair encoding (Sennrich et al. 2016; on bytes as in Radford et al. 2019).
//!
//! The trainer of the `tokenizers` crate goes through hash maps seeded anew by each process, and where a pair waits in
//! its queue twice their order decides. This one breaks every tie by token ids, so equal text gives equal merges.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap};

/// Two neighbouring tokens.
type Pair = (u32, u32);

/// What was learned.
pub struct Merges {
    /// The bytes of each token. Token ids below 256 are the bytes themselves.
    pub tokens: Vec<Vec<u8>>,
    /// Pairs to be joined, the earlier the better.
    pub pairs: Vec<Pair>,
}

/// Learns merges from words with their counts, most frequent pair first (of equals the one with the smaller ids), until
/// there are `vocab` tokens or no pair occurs twice.
pub fn train(words: &[(&[u8], u64)], vocab: usize) -> Merges {
    let mut state = State::new(words);
    let mut tokens: Vec<Vec<u8>> = (0..=255).map(|byte| vec![byte]).collect();
    let mut ids: HashMap<Vec<u8>, u32> = tokens.iter().cloned().zip(0..).collect();
    let mut pairs = Vec::new();
    let mut known = HashMap::new();
    while tokens.len() < vocab {
        let Some(pair) = state.most_frequent() else { break };
        let joined = [&tokens[pair.0 as usize][..], &tokens[pair.1 as usize]].concat();
        // The same bytes can come from two pairs, and then are one token.
        let id = *ids.entry(joined).or_insert_with_key(|joined| {
            tokens.push(joined.clone());
            tokens.len() as u32 - 1
        });
        if known.insert(pair, id).is_none() {
            pairs.push(pair);
        }
        state.merge(pair, id);
    }
    Merges { tokens, pairs }
}

struct State {
    words: Vec<Vec<u32>>,
    word_counts: Vec<u64>,
    pair_counts: HashMap<Pair, u64>,
    /// Words in which a pair occurs, or did.
    places: HashMap<Pair, BTreeSet<u32>>,
    /// Pairs by count. A count that is out of date is corrected when it comes up.
    queue: BinaryHeap<(u64, Reverse<Pair>)>,
}

impl State {
    fn new(words: &[(&[u8], u64)]) -> Self {
        let mut state = Self {
            words: words.iter().map(|(word, _)| word.iter().map(|&byte| u32::from(byte)).collect()).collect(),
            word_counts: words.iter().map(|(_, count)| *count).collect(),
            pair_counts: HashMap::new(),
            places: HashMap::new(),
            queue: BinaryHeap::new(),
        };
        for index in 0..state.words.len() {
            for pair in state.words[index].windows(2) {
                let pair = (pair[0], pair[1]);
                *state.pair_counts.entry(pair).or_default() += state.word_counts[index];
                state.places.entry(pair).or_default().insert(index as u32);
            }
        }
        state.queue = state.pair_counts.iter().map(|(&pair, &count)| (count, Reverse(pair))).collect();
        state
    }

    fn most_frequent(&mut self) -> Option<Pair> {
        loop {
            let (count, Reverse(pair)) = self.queue.pop()?;
            let now = self.pair_counts.get(&pair).copied().unwrap_or(0);
            if now < 2 {
                continue;
            }
            if now == count {
                return Some(pair);
            }
            // Growth puts a pair into the queue again, so only a count that has fallen needs another try.
            if now < count {
                self.queue.push((now, Reverse(pair)));
            }
        }
    }

    fn merge(&mut self, pair: Pair, id: u32) {
        let mut grown = BTreeSet::new();
        for index in self.places.remove(&pair).unwrap_or_default() {
            let count = self.word_counts[index as usize];
            let old = std::mem::take(&mut self.words[index as usize]);
            let new = join(&old, pair, id);
            for pair in old.windows(2) {
                *self.pair_counts.get_mut(&(pair[0], pair[1])).expect("counted before") -= count;
            }
            for pair in new.windows(2) {
                let pair = (pair[0], pair[1]);
                *self.pair_counts.entry(pair).or_default() += count;
                if pair.0 == id || pair.1 == id {
                    self.places.entry(pair).or_default().insert(index);
                    grown.insert(pair);
                }
            }
            self.words[index as usize] = new;
        }
        self.queue.extend(grown.into_iter().map(|pair| (self.pair_counts[&pair], Reverse(pair))));
    }
}

/// Replaces a pair by its token, from left to right.
fn join(word: &[u32], pair: Pair, id: u32) -> Vec<u32> {
    let mut out = Vec::with_capacity(word.len());
    let mut rest = word;
    while let [first, tail @ ..] = rest {
        if *first == pair.0 && tail.first() == Some(&pair.1) {
            out.push(id);
            rest = &tail[1..];
        } else {
            out.push(*first);
            rest = tail;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learned(words: &[(&str, u64)], vocab: usize) -> Vec<String> {
        let words: Vec<(&[u8], u64)> = words.iter().map(|(word, count)| (word.as_bytes(), *count)).collect();
        let merges = train(&words, vocab);
        merges.tokens[256..].iter().map(|token| String::from_utf8_lossy(token).into_owned()).collect()
    }

    #[test]
    fn the_most_frequent_pair_is_joined_first() {
        // es and st occur 9 times; of equals the smaller ids win, then est, then lo with 7.
        let words = [("low", 5), ("lower", 2), ("newest", 6), ("widest", 3)];
        assert_eq!(learned(&words, 262), ["es", "est", "lo", "low", "ew", "new"]);
    }

    #[test]
    fn runs_of_one_letter_are_joined_from_the_left() {
        assert_eq!(learned(&[("aaaaa", 1)], 300), ["aa"]);
        assert_eq!(learned(&[("aaaaa", 3)], 300), ["aa", "aaa", "aaaaa"]);
    }

    #[test]
    fn a_token_of_two_pairs_is_one_token() {
        let words = [("abc", 10), ("ab", 10), ("xbc", 15), ("yabc", 2)];
        let tokens = learned(&words, 300);
        let distinct: BTreeSet<&String> = tokens.iter().collect();
        assert_eq!(distinct.len(), tokens.len(), "{tokens:?}");
    }
}
