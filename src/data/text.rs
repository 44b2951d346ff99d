//! Texts: documents held out by hash, encoded in parallel.

use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::cache::{self, Manifest, TextFacts, TokenFacts, TokenWriter, fingerprint};
use super::files::{self, Documents, InputFile};
use super::mixture::{self, PartFacts};
use super::split::{self, Held};
use super::tokenizer::{self, Tokenizer};
use super::{DataError, hash};
use crate::spec::{Data, Part, Source};

/// Most bytes of training documents that a tokenizer is trained on. More would hardly change the merges.
const SAMPLE_BYTES: usize = 16_000_000;
/// Pieces of documents that are encoded at once, so that the tokens of a large corpus never lie in memory all together.
const PIECES_AT_ONCE: usize = 1024;

/// Texts and how to make tokens of them.
pub struct TextRecipe {
    source: Source,
    parts: Vec<(Part, Vec<InputFile>)>,
    /// Shares of the parts of a mixture with weights.
    shares: Option<Vec<u32>>,
    tokenizer: Option<(PathBuf, blake3::Hash)>,
    vocab: Option<usize>,
    validation_fraction: f64,
    seed: u64,
}

impl TextRecipe {
    /// Opens the files of `[data]`, which was checked.
    pub fn new(data: &Data) -> Result<Self, DataError> {
        let validation_fraction = data.validation_fraction.expect("checked: text is split");
        let tokenizer = match &data.tokenizer {
            Some(path) => {
                let json = std::fs::read(path).map_err(DataError::io("read", path))?;
                Some((path.clone(), blake3::hash(&json)))
            }
            None => None,
        };
        let texts = data.texts();
        let weights: Option<Vec<f64>> = texts.iter().map(|part| part.weight).collect();
        let shares = weights.map(|weights| mixture::shares(&weights)).transpose().map_err(|part| {
            let what = format!(
                "the weight of part {} is less than a 65536th of their sum, so nothing of it would be seen; give it more, or \
                 leave it out",
                part + 1
            );
            DataError::configuration("parts", what)
        })?;
        let open = |part: Part| files::open(&part).map(|files| (part, files));
        let parts = texts.into_iter().map(open).collect::<Result<_, _>>()?;
        let vocab = data.vocab.map(|vocab| vocab as usize);
        Ok(Self { source: data.source, parts, shares, tokenizer, vocab, validation_fraction, seed: data.seed })
    }

    /// Hash of texts, shares, tokenizer and split.
    pub fn fingerprint(&self) -> String {
        let tokenizer = self.tokenizer.as_ref().map(|(_, hash)| hash.to_hex().to_string());
        let Self { vocab, validation_fraction, seed, .. } = *self;
        let hex = |file: &InputFile| file.hash.to_hex().to_string();
        if let (Source::Text, [(_, files)]) = (self.source, self.parts.as_slice())
            && let [file] = files.as_slice()
        {
            return fingerprint(Source::Text, &(hex(file), tokenizer, vocab, validation_fraction, seed));
        }
        let content = |(part, files): &(Part, Vec<InputFile>)| {
            (part.source, part.column.clone(), files.iter().map(hex).collect::<Vec<_>>())
        };
        let content: Vec<_> = self.parts.iter().map(content).collect();
        fingerprint(self.source, &(content, &self.shares, tokenizer, vocab, validation_fraction, seed))
    }

    /// Reads, splits, trains or loads the tokenizer, encodes.
    pub fn prepare(&self, folder: &Path, say: &mut dyn FnMut(&str)) -> Result<Manifest, DataError> {
        let read = self.read(folder, say)?;
        let mut documents: Vec<&str> = Vec::new();
        // Number of documents up to the end of each part.
        let mut ends = Vec::new();
        for (files, (part, _)) in read.iter().zip(&self.parts) {
            let before = documents.len();
            documents.extend(files.iter().flat_map(Documents::texts));
            if documents.len() == before {
                return Err(DataError::content(&part.path, "holds no text; give a file with text in it"));
            }
            ends.push(documents.len());
        }
        say(&format!("splitting {} documents of {}", documents.len(), self.name()));
        // All parts at once, so that no part trains on what another is validated on.
        let split::Split { held, near_duplicates } = split::split(&documents, self.validation_fraction, self.seed);
        let starts = std::iter::once(0).chain(ends.iter().copied());
        let parts: Vec<Halves> = starts
            .zip(&ends)
            .map(|(start, &end)| {
                let of = |wanted: Held| -> Vec<&str> {
                    (start..end).filter(|&at| held[at] == wanted).map(|at| documents[at]).collect()
                };
                Halves { train: of(Held::In), validation: of(Held::Out) }
            })
            .collect();
        // With weights each part is measured by itself.
        let parts = if self.shares.is_some() { parts } else { vec![Halves::all(parts)] };
        let held_out = parts.iter().map(|part| part.validation.len()).sum::<usize>();
        say(&format!("{held_out} documents for validation; {near_duplicates} near-duplicates moved to training"));
        for (at, part) in parts.iter().enumerate() {
            part.check(&self.parts[at].0.path, near_duplicates)?;
        }
        let train: Vec<&str> = parts.iter().flat_map(|part| &part.train).copied().collect();
        let tokenizer = self.tokenizer(&train, say)?;
        cache::write_synced(&folder.join("tokenizer.json"), tokenizer.to_json().as_bytes())?;
        let bytes = |documents: &[&str]| documents.iter().map(|text| text.len() as u64).sum::<u64>();
        let all_bytes = bytes(&documents);
        say(&format!("encoding {:.0} MB", all_bytes as f64 / 1e6));
        let encoded = |name: &str, half: Half| -> Result<(TokenFacts, Vec<u64>), DataError> {
            let mut out = TokenWriter::create(folder, name)?;
            let mut counts = Vec::new();
            for part in &parts {
                let before = out.tokens();
                encode(half(part), &tokenizer, &mut out)?;
                counts.push(out.tokens() - before);
            }
            Ok((out.finish()?, counts))
        };
        let (validation_tokens, of_validation) = encoded("validation.u16", |part| &part.validation)?;
        let (train_tokens, of_train) = encoded("train.u16", |part| &part.train)?;
        let facts = |(at, share): (usize, &u32)| PartFacts {
            share: *share,
            train_tokens: of_train[at],
            validation_tokens: of_validation[at],
            documents: (parts[at].train.len() + parts[at].validation.len()) as u64,
            validation_documents: parts[at].validation.len() as u64,
        };
        let validation_bytes = parts.iter().map(|part| bytes(&part.validation)).sum::<u64>();
        Ok(Manifest {
            format: cache::FORMAT,
            source: self.source,
            fingerprint: self.fingerprint(),
            vocab: tokenizer.vocab,
            text: Some(TextFacts {
                bytes: all_bytes,
                bytes_per_token: all_bytes as f64 / (train_tokens.tokens + validation_tokens.tokens) as f64,
                validation_bytes_per_token: validation_bytes as f64 / validation_tokens.tokens as f64,
                documents: documents.len() as u64,
                validation_documents: held_out as u64,
                near_duplicates_moved: near_duplicates as u64,
            }),
            bin: None,
            train: Some(train_tokens),
            validation: Some(validation_tokens),
            entropy: None,
            parts: self.shares.iter().flatten().enumerate().map(facts).collect(),
        })
    }

    /// The documents of every file of every part.
    fn read<'a>(&'a self, folder: &Path, say: &mut dyn FnMut(&str)) -> Result<Vec<Vec<Documents<'a>>>, DataError> {
        if self.source != Source::Text {
            let files: usize = self.parts.iter().map(|(_, files)| files.len()).sum();
            say(&format!("reading {files} files of {}", self.name()));
        }
        let documents = |(part, files): &'a (Part, Vec<InputFile>)| {
            files.par_iter().map(|file| file.documents(part, folder)).collect()
        };
        self.parts.iter().map(documents).collect()
    }

    /// The tokenizer that was asked for, or one learned from a sample of the training documents.
    fn tokenizer(&self, train: &[&str], say: &mut dyn FnMut(&str)) -> Result<Tokenizer, DataError> {
        if let Some((path, _)) = &self.tokenizer {
            return Tokenizer::load(path);
        }
        let vocab = self.vocab.unwrap_or(256);
        say(&format!("training a tokenizer of {vocab} tokens"));
        Tokenizer::train(&sample(train, SAMPLE_BYTES), vocab, Path::new(&self.name()))
    }

    /// Where the texts come from, for people.
    fn name(&self) -> String {
        match self.parts.as_slice() {
            [(part, _)] => part.path.display().to_string(),
            parts => format!("the {} parts of data.parts", parts.len()),
        }
    }
}

/// One half of a part.
type Half = for<'a, 'b> fn(&'b Halves<'a>) -> &'b [&'a str];

/// The documents of a part, by what they are for.
struct Halves<'a> {
    train: Vec<&'a str>,
    validation: Vec<&'a str>,
}

impl Halves<'_> {
    /// All parts as one.
    fn all(parts: Vec<Self>) -> Self {
        let mut all = Self { train: Vec::new(), validation: Vec::new() };
        for part in parts {
            all.train.extend(part.train);
            all.validation.extend(part.validation);
        }
        all
    }

    /// Neither half may be empty.
    fn check(&self, path: &Path, near_duplicates: usize) -> Result<(), DataError> {
        let (train, validation) = (self.train.len(), self.validation.len());
        if train > 0 && validation > 0 {
            return Ok(());
        }
        let what = format!(
            "of {} documents {validation} are for validation and {train} for training ({near_duplicates} near-duplicates \
             moved to training); both need some. Documents are separated by blank lines (in text; elsewhere each row is \
             one); take a text with more of them, or change data.validation_fraction or data.seed",
            train + validation,
        );
        Err(DataError::content(path, what))
    }
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
fn encode(documents: &[&str], tokenizer: &Tokenizer, out: &mut TokenWriter) -> Result<(), DataError> {
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
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_of_whole_documents_until_it_is_full_and_of_no_order() {
        let (a, b, c) = ("a".repeat(10), "b".repeat(10), "c".repeat(10));
        let chosen = sample(&[&a, &b, &c], 15);
        assert_eq!(chosen.iter().map(|text| text.len()).collect::<Vec<_>>(), [10, 5]);
        assert_eq!(chosen, sample(&[&c, &a, &b], 15));
    }
}
