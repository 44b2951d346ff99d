//! Texts: documents held out by hash, encoded in parallel.

use std::collections::HashSet;
use std::ops::{Add as _, Range};
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::Serialize;

use super::cache::{self, Manifest, TextFacts, TokenFacts, TokenWriter, fingerprint};
use super::documents::{self, Separator};
use super::encode::Encoder;
use super::files::{Documents, InputFile};
use super::ids::Numbering;
use super::mixture::{self, PartFacts};
use super::near::{self, NearFacts};
use super::part::Texts;
use super::passages::{Unspaced, Words};
use super::split::{self, Document, Held, Split};
use super::tokenizer::{self, Tokenizer};
use super::{DataError, find, hash};
use crate::spec::{Data, Part, Source};
use crate::units;

/// Tokens that bytes alone take; a smaller vocabulary is of characters.
const BYTES: usize = 256;
/// Most bytes of training documents that a tokenizer is trained on. More would hardly change the merges.
const SAMPLE_BYTES: usize = 16_000_000;
/// Largest share of unknown tokens, and of text without any. What a tokenizer does not know is lost to every model, and a
/// loss over such tokens compares with no other.
const MOST_UNKNOWN: f64 = 0.01;

/// How parts go together. As a part of fingerprints it is a list or nothing.
#[derive(Serialize)]
#[serde(untagged)]
enum Mixing {
    /// As one corpus.
    Together,
    /// By these shares, in 65,536ths.
    Shares(Vec<u32>),
    /// By weights that each run has for parts of these names, which are columns of its results.
    Named(Vec<String>),
}

impl Mixing {
    fn of(data: &Data, texts: &[Part]) -> Result<Self, DataError> {
        if !data.weights.is_empty() {
            return Ok(Self::Named(texts.iter().map(Part::name).collect()));
        }
        let weights: Option<Vec<f64>> = texts.iter().map(|part| part.weight).collect();
        weights.map_or(Ok(Self::Together), |weights| mixture::shares(&weights).map(Self::Shares))
    }

    fn share(&self, part: usize) -> Option<u32> {
        if let Self::Shares(shares) = self { Some(shares[part]) } else { None }
    }

    fn name(&self, part: usize) -> Option<String> {
        if let Self::Named(names) = self { Some(names[part].clone()) } else { None }
    }
}

/// Texts and how to make tokens of them.
pub struct TextRecipe {
    source: Source,
    parts: Vec<Texts>,
    /// Files of validation texts, where the corpus comes split.
    validation: Option<Texts>,
    deduplicate: bool,
    mixing: Mixing,
    tokenizer: Option<(PathBuf, blake3::Hash)>,
    vocab: Option<usize>,
    validation_fraction: Option<f64>,
    seed: u64,
    words: Words,
}

impl TextRecipe {
    /// Opens the files of `[data]`, which was checked.
    pub fn new(data: &Data) -> Result<Self, DataError> {
        let tokenizer = match &data.tokenizer {
            Some(path) => {
                let json = std::fs::read(find::place(path)?).map_err(DataError::io("read", path))?;
                Some((path.clone(), blake3::hash(&json)))
            }
            None => None,
        };
        let texts = data.texts();
        let mixing = Mixing::of(data, &texts)?;
        let parts =
            texts.into_iter().map(|part| Texts::open(part, data.skip_bad, None)).collect::<Result<Vec<_>, _>>()?;
        let validation =
            data.validation_texts().map(|part| Texts::open(part, data.skip_bad, parts.first())).transpose()?;
        let all = parts.iter().chain(&validation).flat_map(|texts| &texts.files);
        find::no_file_twice(all.map(|file| file.path.as_path()))?;
        let vocab = data.vocab.map(|vocab| vocab as usize);
        let of_part = |Texts { part, files, .. }: &Texts| {
            files.par_iter().map(|file| file.unspaced(part)).reduce(Unspaced::default, Unspaced::add)
        };
        let words = parts.iter().map(of_part).fold(Unspaced::default(), Unspaced::add).words();
        let Data { source, validation_fraction, deduplicate, seed, .. } = *data;
        Ok(Self { source, parts, validation, deduplicate, mixing, tokenizer, vocab, validation_fraction, seed, words })
    }

    /// Hash of texts, shares, tokenizer and split.
    pub fn fingerprint(&self) -> String {
        let by_blanks = self.by_blanks();
        let whole = self.parts.iter().all(|texts| texts.separator() == Some(&Separator::Nothing));
        if self.words == Words::BetweenBlanks || self.validation.is_some() || whole {
            return by_blanks;
        }
        // Such a text was once drawn otherwise, with its documents for single words.
        fingerprint(self.source, &(by_blanks, "characters"))
    }

    /// The same where words stand between blanks.
    fn by_blanks(&self) -> String {
        let tokenizer = self.tokenizer.as_ref().map(|(_, hash)| hash.to_hex().to_string());
        let Self { vocab, validation_fraction, seed, .. } = *self;
        let hex = |file: &InputFile| file.hash.to_hex().to_string();
        // What was not there from the beginning counts only where it is used, so that no corpus changed its name.
        let plain = self.parts.iter().all(|texts| texts.separator() == Some(&Separator::BlankLine))
            && self.validation.is_none()
            && !self.deduplicate
            && self.parts.iter().all(|texts| !texts.skip_bad);
        if let (true, Source::Text, [Texts { files, .. }]) = (plain, self.source, self.parts.as_slice())
            && let [file] = files.as_slice()
        {
            return fingerprint(Source::Text, &(hex(file), tokenizer, vocab, validation_fraction, seed));
        }
        let content = |Texts { part, files, .. }: &Texts| {
            (part.source, part.column.clone(), files.iter().map(hex).collect::<Vec<_>>())
        };
        let parts: Vec<_> = self.parts.iter().map(content).collect();
        if plain {
            return fingerprint(self.source, &(parts, &self.mixing, tokenizer, vocab, validation_fraction, seed));
        }
        let separators = self.separator_keys();
        let skip_bad = self.parts.iter().any(|texts| texts.skip_bad);
        let more = (separators, self.validation.as_ref().map(content), self.deduplicate, skip_bad);
        fingerprint(self.source, &(parts, &self.mixing, tokenizer, vocab, validation_fraction, seed, more))
    }

    /// The separators of every part, and of validation files that are cut otherwise than the texts that they belong to.
    fn separator_keys(&self) -> Vec<String> {
        let keys: Vec<String> = self.parts.iter().map(Texts::separator_key).collect();
        let validation = self.validation.as_ref().map(Texts::separator_key).filter(|key| *key != keys[0]);
        keys.into_iter().chain(validation).collect()
    }

    /// Reads, splits, trains or loads the tokenizer, encodes.
    pub fn prepare(&self, folder: &Path, say: &mut dyn FnMut(&str)) -> Result<Manifest, DataError> {
        let read = self.read(folder, say)?;
        let validation = self.validation.as_ref().map(|texts| texts.read(folder)).transpose()?;
        let bad = passed_over(read.iter().flatten().chain(validation.iter().flatten()), say);
        let gathered = self.gather(&read, validation.as_deref())?;
        let documents = &gathered.documents;
        let near = self.near(&gathered, say);
        let (parts, split) = self.split(&gathered, say)?;
        let train: Vec<Document<'_>> = parts.iter().flat_map(|part| &part.train).copied().collect();
        let tokenizer = self.tokenizer(&train, say)?;
        cache::write_synced(&folder.join("tokenizer.json"), tokenizer.to_json().as_bytes())?;
        let all_bytes = bytes(documents);
        say(&format!("encoding {:.0} MB", all_bytes as f64 / 1e6));
        let mut encoder = Encoder::new(&tokenizer, &texts(documents), say)?;
        encoder.numbering.keep(folder)?;
        let mut encoded = |half: Half, name: &str| write_half(&parts, half, &mut encoder, &folder.join(name));
        let (validation_tokens, of_validation) = encoded(|part| &part.validation, "validation.u16")?;
        let (train_tokens, of_train) = encoded(|part| &part.train, "train.u16")?;
        let Encoder { numbering, unknown, dropped, .. } = encoder;
        let all_tokens = validation_tokens.tokens + train_tokens.tokens;
        if self.tokenizer.is_none() {
            self.check_characters((unknown, all_tokens), &texts(&train), &texts(documents))?;
        }
        self.check_known((unknown, all_tokens), "tokens", "are unknown to the tokenizer", say)?;
        self.check_known((dropped, all_bytes), "bytes of text", "have no token in the tokenizer", say)?;
        let validation_bytes = parts.iter().map(|part| bytes(&part.validation)).sum::<u64>();
        Ok(Manifest {
            format: cache::FORMAT,
            source: self.source,
            fingerprint: self.fingerprint(),
            vocab: numbering.vocab() as usize,
            text: Some(TextFacts {
                bytes: all_bytes,
                bytes_per_token: all_bytes as f64 / all_tokens as f64,
                validation_bytes_per_token: validation_bytes as f64 / validation_tokens.tokens as f64,
                documents: documents.len() as u64,
                validation_documents: parts.iter().map(|part| part.validation.len() as u64).sum(),
                near_duplicates_moved: split.near_duplicates as u64,
                separator: self.separators(),
                repeated_documents: Some(gathered.repeats as u64),
                near_duplicates: Some(near),
                deduplicated: self.deduplicate,
                repeated_validation_documents: split.kept_duplicates as u64,
                bad_rows: bad,
                unknown_tokens: unknown,
                dropped_bytes: dropped,
                numbered_from: matches!(numbering, Numbering::Anew(_)).then_some(tokenizer.vocab as u64),
            }),
            bin: None,
            train: Some(train_tokens),
            validation: Some(validation_tokens),
            entropy: None,
            parts: self.part_facts(&parts, &of_train, &of_validation),
            kept: None,
        })
    }

    /// Whether parts lie one after another, to be mixed.
    fn kept_apart(&self) -> bool {
        !matches!(self.mixing, Mixing::Together)
    }

    /// Facts of the parts of a mixture with weights, whose tokens are given.
    fn part_facts(&self, parts: &[Halves<'_>], train: &[u64], validation: &[u64]) -> Vec<PartFacts> {
        let facts = |at: usize| PartFacts {
            name: self.mixing.name(at),
            share: self.mixing.share(at),
            train_tokens: train[at],
            validation_tokens: validation[at],
            documents: (parts[at].train.len() + parts[at].validation.len()) as u64,
            validation_documents: parts[at].validation.len() as u64,
        };
        let apart = if self.kept_apart() { parts.len() } else { 0 };
        (0..apart).map(facts).collect()
    }

    /// Counts the documents that repeat others, and tells.
    fn near(&self, Gathered { documents, repeats, .. }: &Gathered<'_>, say: &mut dyn FnMut(&str)) -> NearFacts {
        if *repeats > 0 {
            let remedy = if self.deduplicate { "left out" } else { "kept; data.deduplicate = true leaves them out" };
            say(&format!("{}, exact duplicates of others: {remedy}", units::count(*repeats, "document")));
        }
        let contents: Vec<u64> = documents.iter().map(|document| document.content).collect();
        if self.words == Words::Characters {
            say("scripts without blanks between words: each character is a word where documents are compared");
        }
        let near = near::count(&contents, |at| near::signature(self.words.hashes(documents[at].text)));
        if near.found > 0 {
            say(&near.to_string());
        }
        let distinct = documents.len() as u64 - near::repeated(&contents);
        let short = distinct.saturating_sub(near.asked);
        if !near.sampled && 2 * short > distinct {
            say(&format!("{short} of {distinct} documents have fewer than five words: only equal ones are found"));
        }
        near
    }

    /// The two halves of every part, or of all together where they have no weights.
    fn split<'a>(
        &self,
        Gathered { documents, given, ends, .. }: &Gathered<'a>,
        say: &mut dyn FnMut(&str),
    ) -> Result<(Vec<Halves<'a>>, Split), DataError> {
        say(&format!("splitting {} of {}", units::count(documents.len(), "document"), self.name()));
        // All parts at once, so that no part trains on what another is validated on.
        let split = split::split(documents, given, self.words, self.validation_fraction.unwrap_or(0.0), self.seed);
        if split.kept_duplicates > 0 {
            let kept = split.kept_duplicates;
            say(&format!("{kept} of the documents given for validation repeat training documents"));
        }
        let starts = std::iter::once(0).chain(ends.iter().copied());
        let half = |range: Range<usize>, wanted: Held| -> Vec<Document<'a>> {
            range.filter(|&at| split.held[at] == wanted).map(|at| documents[at]).collect()
        };
        let halves =
            |(start, &end)| Halves { train: half(start..end, Held::In), validation: half(start..end, Held::Out) };
        let parts: Vec<Halves<'a>> = starts.zip(ends).map(halves).collect();
        // With weights each part is measured by itself.
        let parts = if self.kept_apart() { parts } else { vec![Halves::all(parts)] };
        let (held_out, moved) = (parts.iter().map(|part| part.validation.len()).sum::<usize>(), split.near_duplicates);
        let [told, near] = [units::count(held_out, "document"), units::count(moved, "near-duplicate")];
        say(&format!("{told} for validation; {near} moved to training"));
        for (at, part) in parts.iter().enumerate() {
            part.check(&self.parts[at].part.path, moved)?;
        }
        Ok((parts, split))
    }

    /// Tells of what the tokenizer does not know, and refuses too much of it.
    fn check_known(
        &self,
        (unknown, all): (u64, u64),
        unit: &str,
        what: &str,
        say: &mut dyn FnMut(&str),
    ) -> Result<(), DataError> {
        let share = unknown as f64 / all.max(1) as f64;
        let counted = format!("{unknown} of {all} {unit} ({:.2}%) {what}", 100.0 * share);
        if share > MOST_UNKNOWN {
            let path = self.tokenizer.as_ref().map_or(Path::new("the tokenizer"), |(path, _)| path.as_path());
            let what = format!(
                "{counted}, and at most {:.0}% may be: it was made for other text. Take a byte-level BPE, which knows all \
                 text, or write data.vocab instead of data.tokenizer to train one",
                100.0 * MOST_UNKNOWN
            );
            return Err(DataError::content(path, what));
        }
        if unknown > 0 {
            say(&counted);
        }
        Ok(())
    }

    /// Refuses a vocabulary of characters that leaves out too many of these texts, with one that does not.
    fn check_characters(&self, (unknown, all): (u64, u64), train: &[&str], texts: &[&str]) -> Result<(), DataError> {
        let share = unknown as f64 / all.max(1) as f64;
        if share <= MOST_UNKNOWN {
            return Ok(());
        }
        let counts = tokenizer::characters_of(texts);
        let (vocab, characters) = (self.vocab.unwrap_or_default(), counts.len());
        let least = tokenizer::least_vocabulary(train, &counts, (MOST_UNKNOWN * all as f64) as u64);
        let write = if least < BYTES {
            format!(
                "write {least} or more, up to {characters} for all of them, or {BYTES} and more for tokens of bytes"
            )
        } else {
            format!("write {BYTES} or more, for tokens of bytes")
        };
        let what = format!(
            "{vocab} is too few for the {characters} different characters of {}: {:.2}% of the text would have no token of \
             its own, and at most {:.0}% may; {write}",
            self.name(),
            100.0 * share,
            100.0 * MOST_UNKNOWN
        );
        Err(DataError::configuration("vocab", what))
    }

    /// The documents of every file of every part.
    fn read<'a>(&'a self, folder: &Path, say: &mut dyn FnMut(&str)) -> Result<Vec<Vec<Documents<'a>>>, DataError> {
        match self.parts.as_slice() {
            [texts] if self.source == Source::Text => say(&format!("{}: {}", self.name(), texts.told())),
            parts => {
                let files: usize = parts.iter().map(|texts| texts.files.len()).sum();
                say(&format!("reading {} of {}", units::count(files, "file"), self.name()));
                if let Some(separators) = self.separators() {
                    say(&separators);
                }
            }
        }
        let read: Vec<Vec<Documents<'a>>> =
            self.parts.iter().map(|texts| texts.read(folder)).collect::<Result<_, _>>()?;
        let empty = read.iter().flatten().filter(|file| file.is_empty()).count();
        if empty > 0 {
            say(&format!("{empty} of {} files hold no text", read.iter().map(Vec::len).sum::<usize>()));
        }
        Ok(read)
    }

    /// The documents of all parts, in their order, and of the validation files behind those of the only part they belong
    /// to.
    fn gather<'a>(
        &self,
        read: &'a [Vec<Documents<'a>>],
        validation: Option<&'a [Documents<'a>]>,
    ) -> Result<Gathered<'a>, DataError> {
        let mut gathered = Gathered { documents: Vec::new(), given: Vec::new(), ends: Vec::new(), repeats: 0 };
        let mut seen = HashSet::new();
        // First, so that of a document that is in both halves the one for validation stays.
        let held_out = hashed(validation.into_iter().flatten());
        if self.deduplicate {
            seen.extend(held_out.iter().map(|document| document.content));
        }
        for (files, texts) in read.iter().zip(&self.parts) {
            let found = hashed(files.iter());
            if found.is_empty() {
                return Err(DataError::content(&texts.part.path, "holds no text; give a file with text in it"));
            }
            texts.check_separator(&found)?;
            for document in found {
                let repeated = !seen.insert(document.content);
                gathered.repeats += usize::from(repeated);
                if repeated && self.deduplicate {
                    continue;
                }
                match (texts.separator(), self.validation_fraction) {
                    (Some(Separator::Nothing), Some(share)) => {
                        let [first, last] = documents::cut_once(document.text, share).map(Document::new);
                        gathered.add(first, Some(Held::In));
                        gathered.add(last, Some(Held::Out));
                    }
                    _ => gathered.add(document, validation.map(|_| Held::In)),
                }
            }
            for document in &held_out {
                gathered.add(*document, Some(Held::Out));
            }
            gathered.ends.push(gathered.documents.len());
        }
        Ok(gathered)
    }

    /// The tokenizer that was asked for, or one learned from a sample of the training documents.
    fn tokenizer(&self, train: &[Document<'_>], say: &mut dyn FnMut(&str)) -> Result<Tokenizer, DataError> {
        if let Some((path, _)) = &self.tokenizer {
            return Tokenizer::load(&find::place(path)?);
        }
        let vocab = self.vocab.unwrap_or(BYTES);
        if vocab < BYTES {
            say(&format!("a token for each of {vocab} characters"));
            return Tokenizer::characters(&texts(train), vocab, Path::new(&self.name()));
        }
        say(&format!("training a tokenizer of {vocab} tokens"));
        Tokenizer::train(&sample(train, SAMPLE_BYTES), vocab, Path::new(&self.name()))
    }

    /// What separates documents of text, by part where there are several; nothing where each row is one.
    fn separators(&self) -> Option<String> {
        let texts = self.parts.iter().enumerate().filter(|(_, texts)| texts.part.source == Source::Text);
        let each = texts.map(|(at, texts)| match self.parts.len() {
            1 => texts.told(),
            _ => format!("part {}: {}", at + 1, texts.told()),
        });
        Some(each.collect::<Vec<_>>().join("; ")).filter(|all| !all.is_empty())
    }

    /// Where the texts come from, for people.
    fn name(&self) -> String {
        match self.parts.as_slice() {
            [Texts { part, .. }] => part.path.display().to_string(),
            parts => format!("the {} parts of data.parts", parts.len()),
        }
    }
}

/// Rows that were skipped in all of these, told with what was wrong with the first.
fn passed_over<'a>(read: impl Iterator<Item = &'a Documents<'a>>, say: &mut dyn FnMut(&str)) -> u64 {
    let bad: Vec<(u64, Option<&str>)> = read.map(Documents::bad).collect();
    let count = bad.iter().map(|(count, _)| count).sum();
    if let Some(first) = bad.iter().find_map(|(_, first)| *first) {
        say(&format!("skipped {} that cannot be read; the first: {first}", units::count(count, "row")));
    }
    count
}

/// The documents of files, hashed.
fn hashed<'a>(files: impl Iterator<Item = &'a Documents<'a>>) -> Vec<Document<'a>> {
    let texts: Vec<&str> = files.flat_map(Documents::texts).collect();
    texts.into_par_iter().map(Document::new).collect()
}

fn texts<'a>(documents: &[Document<'a>]) -> Vec<&'a str> {
    documents.iter().map(|document| document.text).collect()
}

fn bytes(documents: &[Document<'_>]) -> u64 {
    documents.iter().map(|document| document.text.len() as u64).sum()
}

/// All documents before they are split.
struct Gathered<'a> {
    documents: Vec<Document<'a>>,
    /// The half of those that do not wait for the draw.
    given: Vec<Option<Held>>,
    /// Number of documents up to the end of each part.
    ends: Vec<usize>,
    /// Documents that are the same as one before.
    repeats: usize,
}

impl<'a> Gathered<'a> {
    fn add(&mut self, document: Document<'a>, given: Option<Held>) {
        self.documents.push(document);
        self.given.push(given);
    }
}

/// One half of a part.
type Half = for<'a, 'b> fn(&'b Halves<'a>) -> &'b [Document<'a>];

/// The documents of a part, by what they are for.
struct Halves<'a> {
    train: Vec<Document<'a>>,
    validation: Vec<Document<'a>>,
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
        let old_mac = |document: &Document<'_>| document.text.contains('\r') && !document.text.contains('\n');
        let ends = if self.train.iter().chain(&self.validation).any(old_mac) {
            "; its lines end with \\r alone, which ends none here: convert it with `tr '\\r' '\\n'`"
        } else {
            ""
        };
        let what = format!(
            "of {} documents {validation} are for validation and {train} for training ({near_duplicates} near-duplicates \
             moved to training); both need some. Documents are separated by blank lines unless data.separator says \
             otherwise (in text; elsewhere each row is one); take a text with more of them, or change \
             data.validation_fraction or data.seed{ends}",
            train + validation,
        );
        Err(DataError::content(path, what))
    }
}

/// Writes the tokens of one half of every part, and counts those of each.
fn write_half(
    parts: &[Halves<'_>],
    half: Half,
    encoder: &mut Encoder<'_>,
    path: &Path,
) -> Result<(TokenFacts, Vec<u64>), DataError> {
    let mut out = TokenWriter::create(path)?;
    let mut counts = Vec::new();
    for part in parts {
        let before = out.tokens();
        encoder.write(&texts(half(part)), &mut out)?;
        counts.push(out.tokens() - before);
    }
    Ok((out.finish()?, counts))
}

/// Whole documents in the order of their hash, and so in no order of the file, up to `most` bytes (the last one is cut).
fn sample<'a>(documents: &[Document<'a>], most: usize) -> Vec<&'a str> {
    let key = |document: &Document<'a>| (hash::chain(document.content, 0x7ab1e), document.text);
    let mut order: Vec<(u64, &str)> = documents.iter().map(key).collect();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_of_whole_documents_until_it_is_full_and_of_no_order() {
        let (a, b, c) = ("a".repeat(10), "b".repeat(10), "c".repeat(10));
        let [a, b, c] = [&a, &b, &c].map(|text| Document::new(text));
        let chosen = sample(&[a, b, c], 15);
        assert_eq!(chosen.iter().map(|text| text.len()).collect::<Vec<_>>(), [10, 5]);
        assert_eq!(chosen, sample(&[c, a, b], 15));
    }
}
