//! Which documents of a corpus are kept: a share of its training tokens, by a score of documents or at random.
//!
//! A pruned corpus is made from the tokens of the whole one, which lie in the cache once for all shares. Its validation and its
//! tokenizer are those of the whole.

use std::fs::{self, File};
use std::ops::Range;
use std::path::Path;

use rayon::prelude::*;

use super::cache::{self, Manifest, TokenFile, TokenWriter};
use super::kept::{Keep, KeptFacts};
use super::{DataError, ORIGINAL_IDS, hash, ngram};
use crate::spec::{KeepBy, KeepScores};

/// Stands in the key of the draw, so that it is no other one.
const KEY: u64 = 0x6b65_6570;

impl Keep {
    /// Writes the pruned corpus into a folder, from the whole one in the cache.
    pub fn prepare(
        &self,
        (cache, whole): (&Path, &Manifest),
        fingerprint: String,
        folder: &Path,
        say: &mut dyn FnMut(&str),
    ) -> Result<Manifest, DataError> {
        let from = cache::folder(cache, &whole.fingerprint);
        let facts =
            whole.train.as_ref().ok_or_else(|| DataError::configuration("keep", "this source has no documents"))?;
        let tokens = TokenFile::open(&from, "train.u16", facts)?.all("keep")?;
        let documents = documents(&tokens);
        let scores = self.scores(&tokens, &documents, say)?;
        let kept = self.chosen(&documents, &scores);
        if kept.is_empty() {
            let what = format!("{} of {} documents keeps none; write a larger share", self.share, documents.len());
            return Err(DataError::configuration("keep", what));
        }
        let mut out = TokenWriter::create(&folder.join("train.u16"))?;
        for at in &kept {
            out.write(&tokens[documents[*at].clone()])?;
        }
        let train = out.finish()?;
        for name in ["validation.u16", "tokenizer.json", ORIGINAL_IDS] {
            copy(&from.join(name), &folder.join(name))?;
        }
        say(&format!(
            "kept {} of {} training documents, {} of {} tokens",
            kept.len(),
            documents.len(),
            train.tokens,
            facts.tokens
        ));
        let range = |of: &[usize]| (self.by != KeepBy::Random).then(|| range(of.iter().map(|at| scores[*at])));
        let all: Vec<usize> = (0..documents.len()).collect();
        Ok(Manifest {
            kept: Some(KeptFacts {
                keep: self.clone(),
                whole: whole.fingerprint.clone(),
                documents: kept.len() as u64,
                of_documents: documents.len() as u64,
                of_tokens: facts.tokens,
                scores: range(&kept),
                of_scores: range(&all),
            }),
            train: Some(train),
            fingerprint,
            ..whole.clone()
        })
    }

    /// A number for each document: what it is ordered by.
    fn scores(
        &self,
        tokens: &[u16],
        documents: &[Range<usize>],
        say: &mut dyn FnMut(&str),
    ) -> Result<Vec<f64>, DataError> {
        say(&format!("scoring {} training documents: {}", documents.len(), self.by.name()));
        Ok(match self.by {
            KeepBy::File => {
                let path = self.path.as_deref().expect("checked: such a score has a file");
                from_file(path, documents.len())?
            }
            KeepBy::Ngram => ngram::losses(tokens, documents),
            KeepBy::Random => {
                let content = |document: &Range<usize>| {
                    let words: Vec<u64> = tokens[document.clone()].iter().map(|id| u64::from(*id)).collect();
                    hash::unit(hash::key(&[KEY, self.seed, hash::key(&words)]))
                };
                documents.par_iter().map(content).collect()
            }
        })
    }

    /// The documents that are kept, in their order: those whose tokens come nearest to the share.
    fn chosen(&self, documents: &[Range<usize>], scores: &[f64]) -> Vec<usize> {
        let mut order: Vec<usize> = (0..documents.len()).collect();
        order.sort_by(|&a, &b| scores[a].total_cmp(&scores[b]).then(a.cmp(&b)));
        let all: usize = documents.iter().map(Range::len).sum();
        let wanted = self.share * all as f64;
        let before = match self.scores {
            Some(KeepScores::High) => all as f64 - wanted,
            Some(KeepScores::Middle) => (all as f64 - wanted) / 2.0,
            Some(KeepScores::Low) | None => 0.0,
        };
        // A document is inside where its middle is.
        let (mut passed, mut kept) = (0.0, Vec::new());
        for &at in &order {
            let middle = passed + documents[at].len() as f64 / 2.0;
            if middle >= before && middle < before + wanted {
                kept.push(at);
            }
            passed += documents[at].len() as f64;
        }
        kept.sort_unstable();
        kept
    }
}

/// A number a line, one for each document.
fn from_file(path: &Path, documents: usize) -> Result<Vec<f64>, DataError> {
    let text = fs::read_to_string(path).map_err(DataError::io("read", path))?;
    let number = |(at, line): (usize, &str)| {
        let read = line.trim().parse::<f64>().ok().filter(|score| score.is_finite());
        read.ok_or_else(|| {
            let shown: String = line.chars().take(40).collect();
            DataError::content(path, format!("line {}: {shown:?} is no number; write one score a line", at + 1))
        })
    };
    let scores = text.lines().enumerate().map(number).collect::<Result<Vec<f64>, _>>()?;
    if scores.len() == documents {
        return Ok(scores);
    }
    let what = format!(
        "it has {} scores and the text {documents} training documents; `runner data score` writes one for each, by a model \
         that was trained on the whole text",
        scores.len()
    );
    Err(DataError::content(path, what))
}

/// The mean loss of each document's tokens, from the losses of all tokens but the first, which nothing comes before.
pub fn means(tokens: &[u16], losses: &[f32]) -> Vec<f64> {
    let mean = |losses: &[f32]| losses.iter().map(|loss| f64::from(*loss)).sum::<f64>() / losses.len() as f64;
    let of = |document: Range<usize>| {
        let own = &losses[document.start.saturating_sub(1)..document.end - 1];
        mean(if own.is_empty() { losses } else { own })
    };
    documents(tokens).into_iter().map(of).collect()
}

/// Every document with the token behind it that ends it, as the last one does.
fn documents(tokens: &[u16]) -> Vec<Range<usize>> {
    let Some(end) = tokens.last() else { return Vec::new() };
    let ends = tokens.iter().enumerate().filter(|(_, token)| *token == end).map(|(at, _)| at + 1);
    let mut from = 0;
    let document = |to: usize| {
        let document = from..to;
        from = to;
        document
    };
    ends.map(document).collect()
}

/// Least, mean and greatest.
fn range(scores: impl Iterator<Item = f64> + Clone) -> [f64; 3] {
    let (sum, count) = scores.clone().fold((0.0, 0.0), |(sum, count), score| (sum + score, count + 1.0));
    [scores.clone().fold(f64::INFINITY, f64::min), sum / count, scores.fold(0.0, f64::max)]
}

/// A file of the whole corpus, where it has it, safe on the disk.
fn copy(from: &Path, to: &Path) -> Result<(), DataError> {
    if !from.exists() {
        return Ok(());
    }
    fs::copy(from, to).map_err(DataError::io("copy", from))?;
    File::open(to).and_then(|file| file.sync_all()).map_err(DataError::io("write", to))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keep(share: f64, scores: Option<KeepScores>) -> Keep {
        Keep { share, by: KeepBy::Ngram, scores, seed: 1, file: None, path: None }
    }

    #[test]
    fn documents_end_with_the_token_that_ends_the_last() {
        assert_eq!(documents(&[5, 0, 6, 7, 0, 0]), [0..2, 2..5, 5..6]);
        assert!(documents(&[]).is_empty());
    }

    #[test]
    fn losses_are_those_of_a_documents_own_tokens() {
        // Nothing comes before the first token; each document ends with its 0.
        let means = means(&[5, 0, 6, 7, 0, 0], &[1.0, 2.0, 4.0, 6.0, 9.0]);
        assert_eq!(means, [1.0, 4.0, 9.0]);
    }

    #[test]
    fn the_share_is_of_tokens_and_lies_where_it_is_asked_for() {
        // Lengths 10, 20, 30, 40, by falling score.
        let documents = [0..10, 10..30, 30..60, 60..100];
        let chosen = |share, scores| keep(share, Some(scores)).chosen(&documents, &[4.0, 3.0, 2.0, 1.0]);
        assert_eq!(chosen(0.4, KeepScores::Low), [3]);
        assert_eq!(chosen(0.3, KeepScores::High), [0, 1]);
        assert_eq!(chosen(0.4, KeepScores::Middle), [2]);
        assert_eq!(chosen(0.7, KeepScores::Low), [2, 3]);
        assert!(chosen(0.01, KeepScores::Low).is_empty());
    }
}
