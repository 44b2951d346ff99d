//! Which documents are held out for validation: by the hash of their content, so that their order does not matter, and
//! none that repeats training documents.

use std::collections::HashSet;

use rayon::prelude::*;

use super::hash;
use super::passages::Words;

/// Words of a passage that counts as repeated.
const PASSAGE: usize = 13;
/// Share of repeated passages above which a document is a near-duplicate.
const REPEATED: f64 = 0.2;

/// Base of the polynomial that hashes a passage: any odd number with its bits well spread.
const BASE: u64 = 0x9e37_79b9_7f4a_7c15;

/// A document and the hash of its content, which decides where it goes and whether it appears twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Document<'a> {
    /// Its text.
    pub text: &'a str,
    /// Of [`content`].
    pub content: u64,
}

impl<'a> Document<'a> {
    /// Hashes a text, once and for all.
    pub fn new(text: &'a str) -> Self {
        Self { text, content: content(text.as_bytes()) }
    }
}

/// The hash of a document's content: the first 64 bits of its BLAKE3.
pub fn content(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(*blake3::hash(bytes).as_bytes().first_chunk().expect("32 bytes"))
}

/// Whether a document is held out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// Trained on.
    In,
    /// Kept for validation.
    Out,
}

/// The split of a list of documents.
pub struct Split {
    /// For each document.
    pub held: Vec<Held>,
    /// Documents that were drawn for validation, but of whose 13-word passages more than 20% occur in training
    /// documents, and so were moved to training.
    pub near_duplicates: usize,
    /// The same of those that were given for validation, and so stay there.
    pub kept_duplicates: usize,
}

/// Draws `fraction` of the documents and moves near-duplicates back, until none is left: a document that was moved is a
/// training document for the others. Documents whose half is `given` stay where they are.
pub fn split(documents: &[Document<'_>], given: &[Option<Held>], words: Words, fraction: f64, seed: u64) -> Split {
    let drawn = |document: &Document<'_>| hash::unit(hash::key(&[seed, document.content])) < fraction;
    let draw = |(document, given): (&Document<'_>, &Option<Held>)| {
        given.unwrap_or_else(|| if drawn(document) { Held::Out } else { Held::In })
    };
    let mut held: Vec<Held> = documents.par_iter().zip(given).map(draw).collect();
    let passages = |at: usize| passages(documents[at].text, words);
    let of = |held: &[Held], wanted| -> Vec<usize> { (0..held.len()).filter(|&i| held[i] == wanted).collect() };

    // Only the candidates' passages are kept in memory; the training documents stream past them.
    let mut candidates: Vec<(usize, Vec<u64>)> =
        of(&held, Held::Out).into_par_iter().map(|i| (i, passages(i).collect())).collect();
    let wanted: HashSet<u64> = candidates.iter().flat_map(|(_, passages)| passages).copied().collect();
    let mut repeated: HashSet<u64> = of(&held, Held::In)
        .into_par_iter()
        .fold(HashSet::new, |mut found, i| {
            found.extend(passages(i).filter(|passage| wanted.contains(passage)));
            found
        })
        .reduce(HashSet::new, |a, b| if a.len() < b.len() { &b | &a } else { &a | &b });

    let mut near_duplicates = 0;
    loop {
        let share = |passages: &[u64]| {
            passages.iter().filter(|passage| repeated.contains(passage)).count() as f64 / passages.len() as f64
        };
        let (moved, kept): (Vec<_>, Vec<_>) =
            candidates.into_iter().partition(|(at, passages)| given[*at].is_none() && share(passages) > REPEATED);
        if moved.is_empty() {
            let kept_duplicates = kept.iter().filter(|(_, passages)| share(passages) > REPEATED).count();
            return Split { held, near_duplicates, kept_duplicates };
        }
        for (document, passages) in moved {
            held[document] = Held::In;
            near_duplicates += 1;
            repeated.extend(passages);
        }
        candidates = kept;
    }
}

/// Hashes of every 13 words in a row, or of all the words where there are fewer.
fn passages(text: &str, words: Words) -> impl Iterator<Item = u64> {
    let words: Vec<u64> = words.hashes(text).collect();
    let length = words.len().min(PASSAGE);
    // A polynomial in the words' hashes, rolled on by one word at a time.
    let top = BASE.wrapping_pow(length as u32);
    let first = words[..length].iter().fold(0, |sum: u64, word| sum.wrapping_mul(BASE).wrapping_add(*word));
    let mut sum = first;
    let rolled: Vec<u64> = (length..words.len())
        .map(|i| {
            sum = sum.wrapping_mul(BASE).wrapping_add(words[i]).wrapping_sub(words[i - length].wrapping_mul(top));
            sum
        })
        .collect();
    std::iter::once(first).chain(rolled)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `n` words of a document of its own.
    fn prose(document: u64, n: u64) -> String {
        let words: Vec<String> = (0..n).map(|i| format!("w{} ", hash::key(&[document, i]) % 1000)).collect();
        words.concat()
    }

    fn out(documents: &[String], fraction: f64, seed: u64) -> (Vec<String>, usize) {
        let texts: Vec<Document<'_>> = documents.iter().map(|text| Document::new(text)).collect();
        let split = split(&texts, &vec![None; texts.len()], Words::BetweenBlanks, fraction, seed);
        let mut out: Vec<String> = documents
            .iter()
            .zip(&split.held)
            .filter(|(_, held)| **held == Held::Out)
            .map(|(text, _)| text.clone())
            .collect();
        out.sort();
        (out, split.near_duplicates)
    }

    #[test]
    fn about_the_fraction_is_held_out_whatever_the_order() {
        let mut documents: Vec<String> = (0..1000).map(|i| prose(i, 50)).collect();
        let (held, moved) = out(&documents, 0.1, 1);
        assert_eq!(moved, 0);
        // The standard deviation is 9.5.
        assert!((60..140).contains(&held.len()), "{}", held.len());
        documents.reverse();
        assert_eq!(out(&documents, 0.1, 1).0, held);
        assert_ne!(out(&documents, 0.1, 2).0, held);
    }

    #[test]
    fn a_document_that_repeats_training_text_is_not_held_out() {
        let originals: Vec<String> = (0..400).map(|i| prose(i, 100)).collect();
        // A second edition of each: 40 of its 100 words are those of the first, so 28 of 88 passages are.
        let editions = (0..400).map(|i| prose(i, 40) + &prose(i + 1000, 60));
        let documents: Vec<String> = originals.iter().cloned().chain(editions).collect();
        let (held, moved) = out(&documents, 0.1, 1);
        assert!(moved > 40, "{moved}");
        for text in &held {
            let start: Vec<&str> = text.split_whitespace().take(40).collect();
            let twins = documents.iter().filter(|other| other.starts_with(&start.join(" "))).count();
            let both = held.iter().filter(|other| other.starts_with(&start.join(" "))).count();
            assert_eq!(twins, both, "one edition is held out and the other trained on");
        }
        // With 20 words of 100 repeated, 8 of 88 passages are: too few to be moved.
        let quoting = (0..400).map(|i| prose(i, 20) + &prose(i + 1000, 80));
        let documents: Vec<String> = originals.iter().cloned().chain(quoting).collect();
        assert_eq!(out(&documents, 0.1, 1).1, 0);
    }

    #[test]
    fn short_documents_are_compared_as_a_whole() {
        fn passages(text: &str) -> impl Iterator<Item = u64> {
            super::passages(text, Words::BetweenBlanks)
        }
        assert_eq!(passages("a b c").count(), 1);
        assert_eq!(passages("a b c").next(), passages(" a  b\nc").next());
        assert_ne!(passages("a b c").next(), passages("a b d").next());
        let words = prose(1, 20);
        let later: String = words.split_inclusive(' ').skip(3).collect();
        assert_eq!(passages(&words).nth(3), passages(&later).next(), "rolled on is the same as begun there");
    }
}
