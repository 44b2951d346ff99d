//! Corpora, tokenizer, splits, the sampler, and the built-in language.
//!
//! [`Corpus::prepare`] turns `[data]` into cached tokens once; [`Corpus::open`] finds them again by their fingerprint.
//! Batches are a pure function of the seeds and the step.

mod alias;
mod bad;
mod bin;
mod bpe;
mod cache;
mod compressed;
mod documents;
mod encode;
mod error;
mod files;
mod find;
mod foreign;
mod hash;
mod ids;
mod jsonl;
mod kept;
mod kind;
mod length;
mod mixture;
mod near;
mod ngram;
mod parquet;
mod part;
mod passages;
mod prune;
mod questions;
mod recipe;
mod rows;
mod sampler;
mod scratch;
mod split;
mod synthetic;
mod text;
mod tokenizer;
mod words;

use std::ops::Range;
use std::path::{Path, PathBuf};

pub use cache::{BinFacts, Manifest, TextFacts, TokenDocuments, TokenFacts};
pub use error::DataError;
pub use ids::ORIGINAL_IDS;
pub use kept::{KeptFacts, check_file as check_scores};
pub use kind::{Kind, check_text, field_of_text, files as files_of};
pub use length::{of as text_length, of_token_files as token_count};
pub use mixture::PartFacts;
pub use near::NearFacts;
pub use prune::means as document_means;
pub use questions::Question;
pub use synthetic::{Entropy, Language, Split};

use crate::plan::CorpusFacts;
use crate::spec::{Data, Source};
use cache::TokenFile;
use mixture::{Mixture, Validation};
use recipe::{Recipe, SyntheticRecipe};
use sampler::Sampler;

/// Tokens to train and to validate on.
pub struct Corpus {
    manifest: Manifest,
    context: usize,
    seed: u64,
    /// Sequences of the part of the corpus that is used, where it is not all of it.
    used: Option<u64>,
    /// Where it lies in the cache.
    folder: PathBuf,
    tokens: Tokens,
}

/// Stands where the seed of a run does in the stream of which a part of a corpus is the beginning.
const PART_STREAM: u64 = u64::MAX;

/// By how much the share of the tokens that is held out may differ from what is asked for, as a factor.
const UNEVEN: f64 = 2.0;

enum Tokens {
    /// Somebody else's program reads them.
    Unseen,
    Language(Box<Language>),
    Files {
        train: TokenFile,
        validation: TokenFile,
        order: Order,
    },
}

/// Which part of the files a sequence is.
enum Order {
    /// Of one corpus.
    One(Sampler),
    /// Of the parts of a mixture.
    Mixed(Box<Mixture>),
}

impl Corpus {
    /// Finds the prepared corpus in `cache`, or prepares it: tokenizer, tokens, split. `context` is the number of tokens
    /// of a training sequence. Tells through `say` what takes long.
    pub fn prepare(data: &Data, context: usize, cache: &Path, say: &mut dyn FnMut(&str)) -> Result<Self, DataError> {
        let manifest = Recipe::new(data, context)?.ensure(cache, say)?;
        Self::open(data, &manifest.fingerprint, context, cache)
    }

    /// Finds the prepared corpus in `cache` and makes none; nothing where it is not there.
    pub fn cached(data: &Data, context: usize, cache: &Path) -> Result<Option<Self>, DataError> {
        let fingerprint = Recipe::new(data, context)?.fingerprint();
        let manifest = cache::manifest(cache, &fingerprint)?;
        manifest.map(|_| Self::open(data, &fingerprint, context, cache)).transpose()
    }

    /// Opens a corpus that [`Corpus::prepare`] made, by its fingerprint, and compares it with its checksums. The file
    /// that it was made from need not be there any more.
    pub fn open(data: &Data, fingerprint: &str, context: usize, cache: &Path) -> Result<Self, DataError> {
        let folder = cache::folder(cache, fingerprint);
        let manifest = cache::require(cache, fingerprint)?;
        let tokens = match (&manifest.train, &manifest.validation) {
            (Some(train), Some(validation)) => {
                let order = Order::of(data, &manifest, context)?;
                let train = TokenFile::open(&folder, "train.u16", train)?;
                let validation = TokenFile::open(&folder, "validation.u16", validation)?;
                enough(data, "training", train.len(), 2 * context)?;
                // Of one sequence no error is known.
                enough(data, "validation", validation.len(), 2 * context + 1)?;
                Tokens::Files { train, validation, order }
            }
            // A language has no file to check: that these are its settings, the fingerprint tells.
            _ if Recipe::new(data, context)?.fingerprint() != fingerprint => {
                let what = "this language has another vocabulary, seed, history or context; make it with `runner data prepare`";
                return Err(DataError::Cache { folder, what: what.to_owned() });
            }
            _ if data.source == Source::Program => Tokens::Unseen,
            _ => Tokens::Language(Box::new(SyntheticRecipe::new(data, context).language())),
        };
        Self { manifest, context, seed: data.seed, used: None, folder, tokens }.used_of(data)
    }

    /// The same corpus in the order of another `[data]` that it is the corpus of, such as one of other weights: its files are
    /// not read again.
    pub fn reordered(self, data: &Data) -> Result<Self, DataError> {
        let Self { manifest, context, folder, mut tokens, .. } = self;
        if let Tokens::Files { order, .. } = &mut tokens {
            *order = Order::of(data, &manifest, context)?;
        }
        Self { manifest, context, seed: data.seed, used: None, folder, tokens }.used_of(data)
    }

    /// With the part that `data.train_tokens` says.
    fn used_of(mut self, data: &Data) -> Result<Self, DataError> {
        self.used = data.train_tokens.map(|wanted| self.part(wanted)).transpose()?;
        Ok(self)
    }

    /// Sequences of a part of so many training tokens.
    fn part(&self, tokens: f64) -> Result<u64, DataError> {
        let sequences = (tokens / self.context as f64).floor() as u64;
        let wrong = |what| Err(DataError::configuration("train_tokens", what));
        if sequences == 0 {
            let context = self.context;
            return wrong(format!("{tokens:e} tokens are less than a sequence of {context}; write a larger number"));
        }
        match &self.tokens {
            Tokens::Files { order, .. } if sequences > order.windows() => {
                let all = order.windows() * self.context as u64;
                wrong(format!("{tokens:e}, but the corpus has {all} training tokens; write at most that, or delete it"))
            }
            _ => Ok(sequences),
        }
    }

    /// What planning must know. Tokens are those that the sequences of one epoch have.
    pub fn facts(&self) -> CorpusFacts {
        let context = self.context as u64;
        let (all, validation_tokens) = match &self.tokens {
            Tokens::Unseen | Tokens::Language(_) => (None, None),
            Tokens::Files { validation, order, .. } => {
                (Some(order.windows() * context), Some(order.validation_windows(validation, self.context) * context))
            }
        };
        let train_tokens = self.used.map(|sequences| sequences * context).or(all);
        CorpusFacts {
            vocab: self.manifest.vocab,
            train_tokens,
            validation_tokens,
            fingerprint: self.manifest.fingerprint.clone(),
            inputs: None,
        }
    }

    /// Everything that was found out when the corpus was prepared.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// A word on a validation set that has much more or less of the tokens than `data.validation_fraction` says: documents are
    /// drawn, and they differ in length. Or on files that are called so, and are trained on.
    pub fn uneven(&self, data: &Data) -> Option<String> {
        kind::validation_inside(data).or_else(|| self.share_held_out(data))
    }

    fn share_held_out(&self, data: &Data) -> Option<String> {
        let Manifest { train, validation, kept, .. } = &self.manifest;
        let (train, validation) = (train.as_ref()?.tokens, validation.as_ref()?.tokens);
        let asked = data.validation_fraction.filter(|_| kept.is_none())?;
        let share = validation as f64 / (train + validation) as f64;
        let is_even = (asked / UNEVEN..=asked * UNEVEN).contains(&share);
        (!is_even).then(|| {
            format!(
                "{:.3}% of the tokens are held out for validation, and data.validation_fraction is {:.3}%: documents are held \
                 out whole and differ in length, or repeat others; another data.seed, data.separator or \
                 data.validation_fraction gives other ones",
                100.0 * share,
                100.0 * asked
            )
        })
    }

    /// The entropy rate of the built-in language, in nats per token; nothing for other sources.
    pub fn entropy(&self) -> Option<Entropy> {
        self.manifest.entropy
    }

    /// Fills `out` with `batch` sequences of context + 1 token ids (row-major): training batch number `step` of the run
    /// with this seed. The stream of sequences does not depend on how it is cut into batches.
    pub fn train_batch(&self, seed: u64, batch: usize, step: usize, out: &mut Vec<u16>) {
        out.clear();
        let first = step as u64 * batch as u64;
        for index in first..first + batch as u64 {
            let (seed, index) = self.place(seed, index);
            match &self.tokens {
                Tokens::Unseen => {}
                Tokens::Language(language) => language.sequence(Split::Train(seed), index, self.context + 1, out),
                Tokens::Files { train, order, .. } => {
                    let start = match order {
                        Order::One(sampler) => sampler.start(hash::key(&[self.seed, seed]), index),
                        Order::Mixed(mixture) => mixture.start(|part| hash::key(&[self.seed, seed, part]), index),
                    };
                    train.read(start, self.context + 1, out);
                }
            }
        }
    }

    /// All training tokens of a whole text, in their order, of which documents can be told apart.
    pub fn documents(&self) -> Result<Vec<u16>, DataError> {
        let refused = |what: &str| {
            Err(DataError::configuration("source", format!("{what}; documents are scored of a whole text")))
        };
        match &self.tokens {
            _ if self.manifest.kept.is_some() => refused("a part of the documents was kept"),
            _ if self.manifest.vocab < 256 => refused("documents of characters cannot be told apart"),
            Tokens::Files { train, order: Order::One(_), .. } if self.manifest.text.is_some() => train.all("source"),
            _ => refused("this source has no documents"),
        }
    }

    /// Which sequence of which stream is number `index` of a run's. The part of a corpus that is used is the beginning of one
    /// stream, of which each epoch goes through all sequences in an order of its own.
    fn place(&self, seed: u64, index: u64) -> (u64, u64) {
        let Some(used) = self.used else { return (seed, index) };
        let key = hash::key(&[self.seed, seed, index / used]);
        (PART_STREAM, sampler::permute(key, used, index % used))
    }

    /// Number of validation sequences that `tokens` validation tokens make: rounded up, and no more than there are.
    pub fn validation_sequences(&self, tokens: u64) -> usize {
        let wanted = tokens.div_ceil(self.context as u64).max(1);
        match &self.tokens {
            Tokens::Unseen => 0,
            Tokens::Language(_) => wanted as usize,
            Tokens::Files { validation, order, .. } => {
                let all = order.validation_windows(validation, self.context);
                let sequences = match order {
                    Order::One(_) => wanted.min(all),
                    Order::Mixed(mixture) => mixture.validation_sequences(wanted),
                };
                sequences as usize
            }
        }
    }

    /// Which of the validation sequences that `tokens` make are of which part, where the parts of a mixture are measured one
    /// by one.
    pub fn validation_parts(&self, tokens: u64) -> Vec<(&str, Range<usize>)> {
        let Tokens::Files { order: Order::Mixed(mixture), .. } = &self.tokens else { return Vec::new() };
        let Some(each) = mixture.of_each(self.validation_sequences(tokens) as u64) else { return Vec::new() };
        let names = self.manifest.parts.iter().filter_map(|part| part.name.as_deref()).enumerate();
        names.map(|(at, name)| (name, at * each as usize..(at + 1) * each as usize)).collect()
    }

    /// Fills `out` with validation sequences first..first + count of those that [`Corpus::validation_sequences`] counts
    /// (fewer at the end), context + 1 token ids each, row-major. They are the same for all runs, and spread evenly over
    /// the validation tokens where `tokens` is less than all of them.
    pub fn validation_batch(&self, tokens: u64, first: usize, count: usize, out: &mut Vec<u16>) {
        out.clear();
        let sequences = self.validation_sequences(tokens);
        for index in first..(first + count).min(sequences) {
            match &self.tokens {
                Tokens::Unseen => {}
                Tokens::Language(language) => {
                    language.sequence(Split::Validation, index as u64, self.context + 1, out);
                }
                Tokens::Files { validation, order, .. } => {
                    let (index, sequences) = (index as u64, sequences as u64);
                    let start = match order {
                        Order::One(_) => {
                            index * validation_windows(validation, self.context) / sequences * self.context as u64
                        }
                        Order::Mixed(mixture) => mixture.validation_start(index, sequences),
                    };
                    validation.read(start, self.context + 1, out);
                }
            }
        }
    }
}

impl Order {
    /// That of a corpus with files.
    fn of(data: &Data, manifest: &Manifest, context: usize) -> Result<Self, DataError> {
        if manifest.parts.is_empty() {
            let tokens = manifest.train.as_ref().map_or(0, |facts| facts.tokens);
            return Ok(Self::One(Sampler::new(tokens, context)));
        }
        enough_of_each(manifest, context)?;
        Ok(Self::Mixed(Box::new(mixture(data, manifest, context)?)))
    }

    /// Training sequences before anything repeats.
    fn windows(&self) -> u64 {
        match self {
            Self::One(sampler) => sampler.windows(),
            Self::Mixed(mixture) => mixture.windows(),
        }
    }

    /// Validation sequences without a repetition.
    fn validation_windows(&self, validation: &TokenFile, context: usize) -> u64 {
        match self {
            Self::One(_) => validation_windows(validation, context),
            Self::Mixed(mixture) => mixture.validation_windows(),
        }
    }
}

/// The order of a mixture by the weights of `[data]`, or by the shares that the corpus was made with.
fn mixture(data: &Data, manifest: &Manifest, context: usize) -> Result<Mixture, DataError> {
    let parts = &manifest.parts;
    let own: Option<Vec<u32>> = parts.iter().map(|part| part.share).collect();
    if let Some(shares) = own {
        return Ok(Mixture::new(parts, &shares, context, Validation::Shares));
    }
    let weight = |part: &PartFacts| data.weights.get(part.name.as_deref()?).copied();
    let weights: Vec<f64> = parts.iter().map(|part| weight(part).unwrap_or_default()).collect();
    Ok(Mixture::new(parts, &mixture::shares(&weights)?, context, Validation::Even))
}

/// Every part of a mixture needs tokens for a few sequences.
fn enough_of_each(manifest: &Manifest, context: usize) -> Result<(), DataError> {
    for (at, part) in manifest.parts.iter().enumerate() {
        for (split, tokens, needed) in
            [("training", part.train_tokens, 2 * context), ("validation", part.validation_tokens, 2 * context + 1)]
        {
            if tokens < needed as u64 {
                let what = format!(
                    "part {} has only {tokens} {split} tokens, and this context needs at least {needed}; take more text, a \
                     shorter model.context, or another validation_fraction",
                    at + 1
                );
                return Err(DataError::configuration("parts", what));
            }
        }
    }
    Ok(())
}

/// Where the tokenizer of a prepared corpus lies, if it has one.
pub fn tokenizer_path(cache: &Path, fingerprint: &str) -> PathBuf {
    cache::folder(cache, fingerprint).join("tokenizer.json")
}

/// The text of a `tokenizer.json`, and the token that ends a document.
pub fn tokenizer_facts(path: &Path) -> Result<(String, u32), DataError> {
    let tokenizer = tokenizer::Tokenizer::prepared(path)?;
    Ok((tokenizer.to_json(), tokenizer.separator))
}

/// Validation sequences in a file: each has a target after its last token.
fn validation_windows(file: &TokenFile, context: usize) -> u64 {
    file.len().saturating_sub(1) / context as u64
}

fn enough(data: &Data, split: &str, tokens: u64, needed: usize) -> Result<(), DataError> {
    if tokens >= needed as u64 {
        return Ok(());
    }
    let (key, path) = match (data.source, &data.validation_path) {
        (Source::Bin, Some(path)) if split == "validation" => ("validation_path", Some(path)),
        _ => ("path", data.path.as_ref()),
    };
    let path = path.map(|path| format!("{}: ", path.display())).unwrap_or_default();
    Err(DataError::configuration(
        key,
        format!(
            "{path}only {tokens} {split} tokens, and this context needs at least {needed}; take more text, a shorter \
             model.context, or another validation_fraction"
        ),
    ))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::plan::testing::small;

    const CONTEXT: usize = 16;

    fn corpus(train_tokens: Option<f64>, cache: &Path) -> Result<Corpus, DataError> {
        let data = Data { train_tokens, ..small(|spec| spec.data.vocab = Some(256)).run.data };
        Corpus::prepare(&data, CONTEXT, cache, &mut |_| {})
    }

    /// The first sequences of a run, as many as there are in so many batches of four.
    fn sequences(corpus: &Corpus, seed: u64, batches: usize) -> Vec<Vec<u16>> {
        let (mut all, mut batch) = (Vec::new(), Vec::new());
        for step in 0..batches {
            corpus.train_batch(seed, 4, step, &mut batch);
            all.extend(batch.chunks(CONTEXT + 1).map(<[u16]>::to_vec));
        }
        all
    }

    #[test]
    fn a_part_of_a_corpus_is_the_same_for_all_runs_and_a_larger_one_adds_to_it() {
        let cache = tempfile::tempdir().unwrap();
        let of = |sequences: usize| corpus(Some((sequences * CONTEXT) as f64 + 3.0), cache.path()).unwrap();
        let (few, more) = (of(20), of(40));
        assert_eq!(few.facts().train_tokens, Some(20 * CONTEXT as u64), "whole sequences");
        assert_eq!(few.facts().fingerprint, more.facts().fingerprint, "one corpus in the cache");
        let set = |sequences: &[Vec<u16>]| sequences.iter().cloned().collect::<BTreeSet<_>>();
        let run = sequences(&few, 1, 10);
        let (first, second) = run.split_at(20);
        assert_eq!(set(first).len(), 20, "nothing repeats inside an epoch");
        assert_eq!(set(first), set(second));
        assert_ne!(first, second, "each epoch has an order of its own");
        let other = sequences(&few, 2, 5);
        assert_ne!(first, other, "the seed of a run orders its data");
        assert_eq!(set(first), set(&other), "and does not choose them");
        let larger = set(&sequences(&more, 1, 10));
        assert!(larger.len() == 40 && larger.is_superset(&set(first)));
    }

    #[test]
    fn a_part_of_less_than_a_sequence_is_refused_with_its_key() {
        let cache = tempfile::tempdir().unwrap();
        let error = corpus(Some(15.0), cache.path()).err().unwrap().to_string();
        assert!(error.contains("data.train_tokens: 1.5e1 tokens are less than a sequence of 16"), "{error}");
    }
}
