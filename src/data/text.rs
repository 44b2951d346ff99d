//! Text files: documents between blank lines, held out by hash, encoded in parallel.

use std::path::{Path, PathBuf};

use memmap2::Mmap;
use rayon::prelude::*;

use super::cache::{self, Manifest, TextFacts, TokenFacts, TokenWriter};
use super::recipe::fingerprint;
use super::split::{self, Held};
use super::tokenizer::{self, Tokenizer};
use super::{DataError, hash};
use crate::spec::{Data, Source};

/// Most bytes of training documents that a tokenizer is trained on. More would hardly change the merges.
const SAMPLE_BYTES: usize = 16_000_000;
/// Pieces of documents that are encoded at once, so that the tokens of a large corpus never lie in memory all together.
const PIECES_AT_ONCE: usize = 1024;

/// A text file and how to make tokens of it.
pub struct TextRecipe {
    path: PathBuf,
    text: Mmap,
    tokenizer: Option<(PathBuf, blake3::Hash)>,
    vocab: Option<usize>,
    validation_fraction: f64,
    seed: u64,
    content: blake3::Hash,
}

impl TextRecipe {
    /// Maps the file of `[data]`, which was checked.
    pub fn new(data: &Data) -> Result<Self, DataError> {
        let path = data.path.clone().expect("checked: text has a path");
        let validation_fraction = data.validation_fraction.expect("checked: text is split");
        let tokenizer = match &data.tokenizer {
            Some(path) => {
                let json = std::fs::read(path).map_err(DataError::io("read", path))?;
                Some((path.clone(), blake3::hash(&json)))
            }
            None => None,
        };
        let vocab = data.vocab.map(|vocab| vocab as usize);
        let text = cache::map(&path)?;
        let content = blake3::hash(&text);
        Ok(Self { path, text, tokenizer, vocab, validation_fraction, seed: data.seed, content })
    }

    /// Hash of text, tokenizer and split.
    pub fn fingerprint(&self) -> String {
        let tokenizer = self.tokenizer.as_ref().map(|(_, hash)| hash.to_hex().to_string());
        let content = self.content.to_hex().to_string();
        fingerprint(Source::Text, &(content, tokenizer, self.vocab, self.validation_fraction, self.seed))
    }

    /// Splits, trains or loads the tokenizer, encodes.
    pub fn prepare(&self, folder: &Path, say: &mut dyn FnMut(&str)) -> Result<Manifest, DataError> {
        let documents = documents(checked(&self.text, &self.path)?);
        if documents.is_empty() {
            return Err(DataError::content(&self.path, "holds no text; give a file with text in it"));
        }
        say(&format!("splitting {} documents of {}", documents.len(), self.path.display()));
        let split::Split { held, near_duplicates } = split::split(&documents, self.validation_fraction, self.seed);
        let of = |wanted: Held| -> Vec<&str> {
            documents.iter().zip(&held).filter(|(_, held)| **held == wanted).map(|(text, _)| *text).collect()
        };
        let (train, validation) = (of(Held::In), of(Held::Out));
        say(&format!(
            "{} documents for validation; {near_duplicates} near-duplicates moved to training",
            validation.len()
        ));
        if train.is_empty() || validation.is_empty() {
            return Err(DataError::content(
                &self.path,
                format!(
                    "of {} documents {} are for validation and {} for training ({near_duplicates} near-duplicates moved \
                     to training); both need some. Documents are separated by blank lines; take a text with more of \
                     them, or change data.validation_fraction or data.seed",
                    documents.len(),
                    validation.len(),
                    train.len(),
                ),
            ));
        }
        let tokenizer = match (&self.tokenizer, self.vocab) {
            (Some((path, _)), _) => Tokenizer::load(path)?,
            (None, vocab) => {
                let vocab = vocab.unwrap_or(256);
                say(&format!("training a tokenizer of {vocab} tokens"));
                Tokenizer::train(&sample(&train, SAMPLE_BYTES), vocab, &self.path)?
            }
        };
        cache::write_synced(&folder.join("tokenizer.json"), tokenizer.to_json().as_bytes())?;
        say(&format!("encoding {:.0} MB", self.text.len() as f64 / 1e6));
        let validation_tokens = encode(&validation, &tokenizer, TokenWriter::create(folder, "validation.u16")?)?;
        let train_tokens = encode(&train, &tokenizer, TokenWriter::create(folder, "train.u16")?)?;
        let bytes = |documents: &[&str]| documents.iter().map(|text| text.len() as u64).sum::<u64>();
        let (validation_bytes, all_bytes) = (bytes(&validation), bytes(&documents));
        Ok(Manifest {
            format: cache::FORMAT,
            source: Source::Text,
            fingerprint: self.fingerprint(),
            vocab: tokenizer.vocab,
            text: Some(TextFacts {
                bytes: all_bytes,
                bytes_per_token: all_bytes as f64 / (train_tokens.tokens + validation_tokens.tokens) as f64,
                validation_bytes_per_token: validation_bytes as f64 / validation_tokens.tokens as f64,
                documents: documents.len() as u64,
                validation_documents: validation.len() as u64,
                near_duplicates_moved: near_duplicates as u64,
            }),
            train: Some(train_tokens),
            validation: Some(validation_tokens),
            entropy: None,
        })
    }
}

/// The text as UTF-8 without the byte 0, which is what separates documents in the token files.
fn checked<'a>(bytes: &'a [u8], path: &Path) -> Result<&'a str, DataError> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let offset = error.valid_up_to();
        let what =
            format!("not UTF-8 at byte offset {offset}; convert it, for instance with `iconv -f LATIN1 -t UTF-8`");
        DataError::content(path, what)
    })?;
    match bytes.iter().position(|&byte| byte == 0) {
        Some(offset) => {
            let what = format!("a NUL character at byte offset {offset}; remove it, for instance with `tr -d '\\000'`");
            Err(DataError::content(path, what))
        }
        None => Ok(text),
    }
}

/// Documents: what stands between lines that are empty or have only white space, without the last line's end.
fn documents(text: &str) -> Vec<&str> {
    let mut documents = Vec::new();
    let mut open: Option<(usize, usize)> = None;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let content = line.trim_end_matches(['\n', '\r']);
        if content.trim().is_empty() {
            documents.extend(open.take().map(|(start, end)| &text[start..end]));
        } else {
            open = Some((open.map_or(at, |(start, _)| start), at + content.len()));
        }
        at += line.len();
    }
    documents.extend(open.map(|(start, end)| &text[start..end]));
    documents
}

/// Whole documents in the order of their hash, and so in no order of the file, up to `most` bytes (the last one is cut).
fn sample<'a>(documents: &[&'a str], most: usize) -> Vec<&'a str> {
    let mut order: Vec<(u64, &str)> =
        documents.par_iter().map(|text| (hash::chain(split::content(text), 0x7ab1e), *text)).collect();
    order.par_sort_unstable();
    let mut left = most;
    let mut chosen = Vec::new();
    for (_, text) in order {
        let cut = text.floor_char_boundary(left.min(text.len()));
        chosen.push(&text[..cut]);
        left -= cut;
        if cut < text.len() || left == 0 {
            break;
        }
    }
    chosen
}

/// Tokens of all documents, a separator after each, in the order of the file whatever the number of threads.
fn encode(documents: &[&str], tokenizer: &Tokenizer, mut out: TokenWriter) -> Result<TokenFacts, DataError> {
    let pieces: Vec<(&str, bool)> = documents.iter().flat_map(|text| tokenizer::pieces(text)).collect();
    for group in pieces.chunks(PIECES_AT_ONCE) {
        let encoded: Vec<Vec<u16>> = group
            .par_iter()
            .map(|&(piece, ends_document)| {
                let mut ids = tokenizer.encode(piece)?;
                ids.extend(ends_document.then_some(tokenizer.separator));
                Ok(ids)
            })
            .collect::<Result<_, DataError>>()?;
        encoded.iter().try_for_each(|ids| out.write(ids))?;
    }
    out.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_stand_between_blank_lines() {
        assert_eq!(documents("\n\na\nb\n\n \t\nc\r\n\r\nd"), ["a\nb", "c", "d"]);
        assert_eq!(documents("one"), ["one"]);
        assert!(documents(" \n\n").is_empty());
    }

    #[test]
    fn a_sample_is_of_whole_documents_until_it_is_full_and_of_no_order() {
        let (a, b, c) = ("a".repeat(10), "b".repeat(10), "c".repeat(10));
        let chosen = sample(&[&a, &b, &c], 15);
        assert_eq!(chosen.iter().map(|text| text.len()).collect::<Vec<_>>(), [10, 5]);
        assert_eq!(chosen, sample(&[&c, &a, &b], 15));
    }

    #[test]
    fn bytes_that_are_no_text_are_named_by_their_offset() {
        let path = Path::new("x.txt");
        let error = checked(b"abc\xff", path).unwrap_err().to_string();
        assert!(error.contains("x.txt") && error.contains("byte offset 3") && error.contains("UTF-8"), "{error}");
        let error = checked(b"ab\0c", path).unwrap_err().to_string();
        assert!(error.contains("NUL") && error.contains("byte offset 2"), "{error}");
    }
}
