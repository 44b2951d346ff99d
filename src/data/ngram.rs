//! How surprising each document is to a model of three tokens in a row, trained on all the others.
//!
//! Each order is smoothed by the one below it, as if that had been seen [`STRENGTH`] times (`MacKay` and Peto 1995: a hierarchical
//! Dirichlet model). Its numbers are counts alone, so that a document can be left out exactly: its own are taken away.

use std::collections::HashMap;
use std::ops::Range;

use rayon::prelude::*;

use super::hash;

/// How many times each order is believed to have seen what the order below says.
const STRENGTH: f64 = 5.0;
/// Most tokens that are counted: of a larger corpus whole documents in the order of their hash, a sample.
const MOST: usize = 1 << 25;

/// Mean loss of each document in nats per token.
pub fn losses(tokens: &[u16], documents: &[Range<usize>]) -> Vec<f64> {
    let counted = sample(tokens, documents);
    let mut all = Counts::default();
    for (document, _) in documents.iter().zip(&counted).filter(|(_, counted)| **counted) {
        all.add(&tokens[document.clone()]);
    }
    let loss = |(document, counted): (&Range<usize>, &bool)| {
        let tokens = &tokens[document.clone()];
        let mut own = Counts::default();
        if *counted {
            own.add(tokens);
        }
        Others { all: &all, own: &own }.loss(tokens)
    };
    documents.par_iter().zip(&counted).map(loss).collect()
}

/// Which documents are counted: all of them, or as many as there is room for.
fn sample(tokens: &[u16], documents: &[Range<usize>]) -> Vec<bool> {
    let key =
        |at: &usize| hash::key(&tokens[documents[*at].clone()].iter().map(|id| u64::from(*id)).collect::<Vec<_>>());
    let mut order: Vec<usize> = (0..documents.len()).collect();
    order.par_sort_by_cached_key(key);
    let mut left = MOST;
    let mut counted = vec![false; documents.len()];
    for at in order {
        let Some(rest) = left.checked_sub(documents[at].len()) else { break };
        (left, counted[at]) = (rest, true);
    }
    counted
}

/// Counts of one, two and three tokens in a row inside of documents.
#[derive(Default)]
struct Counts {
    total: u32,
    ones: HashMap<u16, u32>,
    twos: HashMap<[u16; 2], u32>,
    threes: HashMap<[u16; 3], u32>,
}

impl Counts {
    fn add(&mut self, tokens: &[u16]) {
        self.total += tokens.len() as u32;
        for one in tokens {
            *self.ones.entry(*one).or_default() += 1;
        }
        for two in tokens.array_windows() {
            *self.twos.entry(*two).or_default() += 1;
        }
        for three in tokens.array_windows() {
            *self.threes.entry(*three).or_default() += 1;
        }
    }
}

/// The counts of all documents but one.
struct Others<'a> {
    all: &'a Counts,
    own: &'a Counts,
}

impl Others<'_> {
    fn loss(&self, tokens: &[u16]) -> f64 {
        let sum: f64 = (0..tokens.len()).map(|at| -self.probability(&tokens[at.saturating_sub(2)..=at]).ln()).sum();
        sum / tokens.len() as f64
    }

    /// Of the last token after the one or two before it.
    fn probability(&self, tokens: &[u16]) -> f64 {
        let smoothed = |seen: f64, of: f64, below: f64| (seen + STRENGTH * below) / (of + STRENGTH);
        let [.., last] = *tokens else { return 1.0 };
        // What was never seen is one of all that are.
        let kinds = self.all.ones.len() as f64;
        let one = (self.one(last) + 1.0) / (f64::from(self.all.total - self.own.total) + kinds);
        let [.., before, _] = *tokens else { return one };
        let two = smoothed(self.two([before, last]), self.one(before), one);
        let [first, _, _] = *tokens else { return two };
        smoothed(self.three([first, before, last]), self.two([first, before]), two)
    }

    fn one(&self, key: u16) -> f64 {
        left(self.all.ones.get(&key), self.own.ones.get(&key))
    }

    fn two(&self, key: [u16; 2]) -> f64 {
        left(self.all.twos.get(&key), self.own.twos.get(&key))
    }

    fn three(&self, key: [u16; 3]) -> f64 {
        left(self.all.threes.get(&key), self.own.threes.get(&key))
    }
}

/// What is left of a count.
fn left(all: Option<&u32>, own: Option<&u32>) -> f64 {
    f64::from(all.copied().unwrap_or_default().saturating_sub(own.copied().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_left_out_of_what_it_is_judged_by() {
        // The first two are the same, the third is like nothing else, whatever it repeats inside.
        let tokens: Vec<u16> = [[1, 2, 3, 4, 1, 2, 3, 4], [1, 2, 3, 4, 1, 2, 3, 4], [9, 8, 9, 8, 9, 8, 9, 8]].concat();
        let found = losses(&tokens, &[0..8, 8..16, 16..24]);
        assert!((found[0] - found[1]).abs() < 1e-12 && found[2] > found[0] + 1.0, "{found:?}");
        // Of the third nothing is left: each token is one of six that 16 tokens did not have.
        assert!((found[2] - 22.0_f64.ln()).abs() < 1.0, "{found:?}");
    }

    #[test]
    fn counts_by_hand_give_the_loss() {
        // Of [1, 2] by [1, 3]: the first token has (1 + 1) / (2 + 3), the second is never seen, after a 1 that is seen once.
        let found = losses(&[1, 2, 1, 3], &[0..2, 2..4]);
        let one = 1.0 / 5.0;
        let expected = -((2.0_f64 / 5.0).ln() + (STRENGTH * one / (1.0 + STRENGTH)).ln()) / 2.0;
        assert!((found[0] - expected).abs() < 1e-12, "{} and not {expected}", found[0]);
    }

    #[test]
    fn probabilities_of_all_that_may_come_are_one() {
        let mut all = Counts::default();
        all.add(&[1, 2, 3, 1, 2, 1, 3, 2, 2]);
        let own = Counts::default();
        let others = Others { all: &all, own: &own };
        for before in [&[][..], &[1], &[1, 2], &[7, 7]] {
            let sum: f64 = [1, 2, 3].iter().map(|next| others.probability(&[before, &[*next]].concat())).sum();
            // A context at the very end was followed by nothing once.
            assert!(sum <= 1.0 + 1e-12 && sum > 0.8, "{before:?}: {sum}");
        }
    }
}
