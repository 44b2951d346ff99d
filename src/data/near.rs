//! Near duplicates: documents that share most of their passages of five words with another, as editions and mirrors of one
//! page do. They are counted and stay where they are.
//!
//! The share is estimated by `MinHash` (Broder 1997): passages fall into 128 bins by their hash, the smallest of each bin
//! stands for it (one permutation, Li, Owen and Zhang 2012), and an empty bin borrows from another (Shrivastava 2017). Two
//! documents agree in a bin about as often as a passage of either is one of both. They are compared where they agree in a
//! whole band of bins (Leskovec, Rajaraman and Ullman, Mining of Massive Datasets, section 3.4): of pairs that share 80% of
//! their passages 95% are, of those that share 90% all, of those that share 30% one in a thousand.

use std::collections::HashSet;
use std::fmt;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::hash;

/// Words of a passage; shorter documents are compared as a whole only, as exact duplicates.
const PASSAGE: usize = 5;
/// Parts of a signature.
const BINS: usize = 128;
/// Bins that have to agree for two documents to be compared.
const BAND: usize = 8;
/// Share of equal bins from which on two documents are near duplicates.
const NEAR: f64 = 0.8;
/// Documents that are asked for near duplicates, and that are held against them at once: 128 MB of signatures together.
const AT_ONCE: usize = 1 << 18;
/// Documents of one band that each is compared with, so that a phrase which begins a million pages costs no square of it.
const NEIGHBOURS: usize = 32;

/// How many documents have a near duplicate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NearFacts {
    /// Documents that were asked: of five words and more, each text once.
    pub asked: u64,
    /// Those of them that have a near duplicate among all documents.
    pub found: u64,
    /// Whether those that were asked are a sample.
    #[serde(default)]
    pub sampled: bool,
}

impl fmt::Display for NearFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { asked, found, sampled } = self;
        let share = 100.0 * *found as f64 / (*asked).max(1) as f64;
        let of = if *sampled { "a sample of " } else { "" };
        write!(f, "{share:.1}% of documents have a near duplicate ({found} of {of}{asked})")
    }
}

/// What stands for a document: 16 bits for each bin.
type Signature = [u16; BINS];

/// The signature of a document's words, each by its hash; nothing where they are fewer than a passage.
pub fn signature(words: impl Iterator<Item = u64>) -> Option<Signature> {
    let mut smallest = [u64::MAX; BINS];
    let mut passage = [0; PASSAGE];
    let mut count = 0_usize;
    for word in words {
        passage.rotate_left(1);
        passage[PASSAGE - 1] = word;
        count += 1;
        if count >= PASSAGE {
            let hash = hash::key(&passage);
            let bin = &mut smallest[hash as usize % BINS];
            *bin = hash.min(*bin);
        }
    }
    (count >= PASSAGE).then(|| std::array::from_fn(|bin| (smallest[lender(&smallest, bin)] >> 7) as u16))
}

/// The bin whose passage stands for a bin: itself, or where it is empty the first that is not in an order of its own, which
/// is the same for every document.
fn lender(smallest: &[u64; BINS], bin: usize) -> usize {
    let order = (1..).map(|attempt| hash::key(&[bin as u64, attempt]) as usize % BINS);
    let full = |bin: &usize| smallest[*bin] != u64::MAX;
    std::iter::once(bin).chain(order).find(full).expect("one bin at least has a passage")
}

/// Counts the documents that have a near duplicate; `contents` has the hash of each, by which the same text is taken once,
/// and `signature` makes that of a document from its number.
pub fn count(contents: &[u64], signature: impl Fn(usize) -> Option<Signature> + Sync) -> NearFacts {
    count_by(contents, signature, AT_ONCE)
}

/// Documents that are the same as one before.
pub fn repeated(contents: &[u64]) -> u64 {
    let distinct: HashSet<u64> = contents.iter().copied().collect();
    (contents.len() - distinct.len()) as u64
}

/// As [`count`], with so many documents at once. What is kept of a document beyond that is its hash and number.
fn count_by(contents: &[u64], signature: impl Fn(usize) -> Option<Signature> + Sync, at_once: usize) -> NearFacts {
    let mut distinct: Vec<(u64, usize)> = contents.iter().copied().zip(0..).collect();
    distinct.par_sort_unstable();
    distinct.dedup_by_key(|(content, _)| *content);
    let signatures = |group: &[(u64, usize)]| -> Vec<Signature> {
        group.par_iter().filter_map(|(_, document)| signature(*document)).collect()
    };
    // In the order of their hashes the first are a sample without regard to where they lie.
    let (first, rest) = distinct.split_at(at_once.min(distinct.len()));
    let mut all = signatures(first);
    let asked = all.len();
    let mut found = vec![false; asked];
    mark(&all, &mut found);
    for others in rest.chunks(at_once) {
        all.truncate(asked);
        all.extend(signatures(others));
        mark(&all, &mut found);
    }
    let found = found.into_iter().filter(|found| *found).count();
    NearFacts { asked: asked as u64, found: found as u64, sampled: !rest.is_empty() }
}

/// Marks those of the first documents that have a near duplicate among all of these.
fn mark(all: &[Signature], found: &mut [bool]) {
    let bands: Vec<Vec<usize>> = (0..BINS / BAND).into_par_iter().map(|band| in_band(all, found, band)).collect();
    for document in bands.into_iter().flatten() {
        found[document] = true;
    }
}

/// Those of the first documents, not found before, that have a near duplicate with the same band.
fn in_band(all: &[Signature], found: &[bool], band: usize) -> Vec<usize> {
    let of = |signature: &Signature| -> [u16; BAND] { signature.as_chunks().0[band] };
    let mut order: Vec<([u16; BAND], usize)> = all.iter().map(of).zip(0..).collect();
    order.sort_unstable();
    let wanted = |document: usize| found.get(document).is_some_and(|found| !found);
    let mut near = Vec::new();
    for same in order.chunk_by(|one, other| one.0 == other.0) {
        for (at, (_, one)) in same.iter().enumerate() {
            for (_, other) in same[at + 1..].iter().take(NEIGHBOURS) {
                let [one, other] = [*one, *other];
                if (wanted(one) || wanted(other)) && are_near(&all[one], &all[other]) {
                    near.extend([one, other].into_iter().filter(|document| wanted(*document)));
                }
            }
        }
    }
    near
}

fn are_near(one: &Signature, other: &Signature) -> bool {
    let equal = one.iter().zip(other).filter(|(one, other)| one == other).count();
    equal as f64 >= NEAR * BINS as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hashes of `n` words of a document of its own, of a vocabulary of 10,000.
    fn words(document: u64, n: u64) -> Vec<u64> {
        (0..n).map(|i| hash::mix(hash::key(&[document, i]) % 10_000)).collect()
    }

    /// The same with every word of a number changed, from half of it on.
    fn edited(mut words: Vec<u64>, every: usize) -> Vec<u64> {
        words.iter_mut().skip(every / 2).step_by(every).for_each(|word| *word = hash::mix(!*word));
        words
    }

    fn counted(documents: &[Vec<u64>], at_once: usize) -> NearFacts {
        let contents: Vec<u64> = documents.iter().map(|words| hash::key(words)).collect();
        count_by(&contents, |at| signature(documents[at].iter().copied()), at_once)
    }

    fn facts(asked: u64, found: u64) -> NearFacts {
        NearFacts { asked, found, sampled: false }
    }

    #[test]
    fn documents_of_their_own_have_no_near_duplicates_and_those_of_the_same_text_are_taken_once() {
        let alone: Vec<Vec<u64>> = (0..2000).map(|i| words(i, 200)).collect();
        assert_eq!(counted(&alone, AT_ONCE), facts(2000, 0));
        let twice = [alone.clone(), alone].concat();
        assert_eq!(counted(&twice, AT_ONCE), facts(2000, 0));
        // Shorter than a passage.
        assert_eq!(counted(&[words(1, 4), words(1, 3), Vec::new()], AT_ONCE), facts(0, 0));
    }

    #[test]
    fn editions_are_found_by_the_share_of_passages_that_they_have_in_common() {
        // One word in 100 changed leaves 95 of 105 passages in common, one in 50 leaves 45 of 55 (0.82, and 0.034 is the
        // standard error of 128 bins), one in 25 leaves 20 of 30.
        let of = |every: usize| {
            let originals: Vec<Vec<u64>> = (0..1000).map(|i| words(i, 1000)).collect();
            let editions = originals.iter().map(|words| edited(words.clone(), every));
            counted(&editions.chain(originals.clone()).collect::<Vec<_>>(), AT_ONCE).found
        };
        let [hundred, fifty, twenty_five] = [100, 50, 25].map(of);
        assert!(hundred > 1980, "{hundred}");
        assert!((1200..1600).contains(&fifty), "{fifty}");
        assert!(twenty_five < 20, "{twenty_five}");
    }

    #[test]
    fn short_documents_are_compared_although_most_of_their_bins_are_borrowed() {
        let originals: Vec<Vec<u64>> = (0..1000).map(|i| words(i, 30)).collect();
        // A word behind the last: 26 of 27 passages are in common.
        let longer = originals.iter().map(|words| [&words[..], &[7]].concat());
        let found = counted(&longer.chain(originals.clone()).collect::<Vec<_>>(), AT_ONCE).found;
        assert!(found > 1900, "{found}");
    }

    #[test]
    fn a_sample_is_asked_of_all_documents() {
        let originals: Vec<Vec<u64>> = (0..2000).map(|i| words(i, 100)).collect();
        let editions = originals.iter().take(1000).map(|words| edited(words.clone(), 100));
        let documents: Vec<Vec<u64>> = originals.iter().cloned().chain(editions).collect();
        // Two of three documents have one, wherever the other lies.
        let all = counted(&documents, AT_ONCE);
        assert!((1980..=2000).contains(&all.found) && !all.sampled, "{all:?}");
        let some = counted(&documents, 600);
        let share = some.found as f64 / 600.0;
        assert!(some.sampled && some.asked == 600 && (share - 2.0 / 3.0).abs() < 0.06, "{some:?}");
        assert!(some.to_string().ends_with("of a sample of 600)"), "{some}");
    }

    #[test]
    fn the_count_does_not_depend_on_the_order_of_documents() {
        let mut documents: Vec<Vec<u64>> = (0..300).map(|i| words(i, 100)).collect();
        documents.extend((0..100).map(|i| edited(words(i, 100), 50)));
        let there = counted(&documents, 128);
        documents.reverse();
        assert_eq!(counted(&documents, 128), there);
        assert!(there.found > 10, "{there:?}");
    }

    #[test]
    fn a_phrase_that_many_documents_begin_with_makes_them_no_duplicates() {
        let beginning = words(1, 40);
        let documents: Vec<Vec<u64>> = (2..3000).map(|i| [beginning.clone(), words(i, 100)].concat()).collect();
        assert_eq!(counted(&documents, AT_ONCE).found, 0);
    }
}
