//! From `[data]` to what has to be prepared: the settings that a source needs, checked, and their fingerprint.

use std::path::Path;

use super::DataError;
use super::bin::BinRecipe;
use super::cache::{self, Manifest};
use super::synthetic::Language;
use super::text::TextRecipe;
use crate::spec::{Data, Source};

/// Everything that decides the tokens of a corpus.
pub enum Recipe {
    /// The built-in language.
    Synthetic(SyntheticRecipe),
    /// A text file.
    Text(TextRecipe),
    /// Token files.
    Bin(BinRecipe),
}

impl Recipe {
    /// Checks `[data]` and opens what it names.
    pub fn new(data: &Data, context: usize) -> Result<Self, DataError> {
        match data.source {
            Source::Synthetic => SyntheticRecipe::new(data, context).map(Self::Synthetic),
            Source::Text => TextRecipe::new(data).map(Self::Text),
            Source::Bin => BinRecipe::new(data).map(Self::Bin),
        }
    }

    /// Hash of the content and of every setting that decides the tokens.
    pub fn fingerprint(&self) -> String {
        match self {
            Self::Synthetic(recipe) => recipe.fingerprint(),
            Self::Text(recipe) => recipe.fingerprint(),
            Self::Bin(recipe) => recipe.fingerprint(),
        }
    }

    /// Writes the corpus into a folder.
    pub fn prepare(&self, folder: &Path, say: &mut dyn FnMut(&str)) -> Result<Manifest, DataError> {
        match self {
            Self::Synthetic(recipe) => Ok(recipe.prepare(say)),
            Self::Text(recipe) => recipe.prepare(folder, say),
            Self::Bin(recipe) => recipe.prepare(folder, say),
        }
    }
}

/// A language has no files, only its entropy, which depends on the length of a sequence.
pub struct SyntheticRecipe {
    vocab: usize,
    seed: u64,
    context: usize,
}

impl SyntheticRecipe {
    fn new(data: &Data, context: usize) -> Result<Self, DataError> {
        refuse("path", data.path.is_some(), "the built-in language has no file; remove it, or set source = \"text\"")?;
        refuse("validation_path", data.validation_path.is_some(), "the built-in language has no file; remove it")?;
        refuse("tokenizer", data.tokenizer.is_some(), "the built-in language has no tokenizer; remove it")?;
        refuse(
            "validation_fraction",
            data.validation_fraction.is_some(),
            "the built-in language is unlimited and needs no share held out; remove it",
        )?;
        let vocab = vocab(data, 16)?;
        Ok(Self { vocab, seed: data.seed, context })
    }

    fn fingerprint(&self) -> String {
        let settings = (self.vocab, self.seed, self.context, super::synthetic::VERSION);
        fingerprint(Source::Synthetic, &settings)
    }

    fn prepare(&self, say: &mut dyn FnMut(&str)) -> Manifest {
        say("sampling the entropy of the built-in language");
        Manifest {
            format: cache::FORMAT,
            source: Source::Synthetic,
            fingerprint: self.fingerprint(),
            vocab: self.vocab,
            train: None,
            validation: None,
            text: None,
            entropy: Some(Language::new(self.vocab, self.seed).entropy(self.context)),
        }
    }
}

/// 16 hexadecimal digits of BLAKE3 over the settings.
pub fn fingerprint(source: Source, settings: &impl serde::Serialize) -> String {
    let json = serde_json::to_vec(&(cache::FORMAT, source, settings)).expect("settings have only string keys");
    blake3::hash(&json).to_hex()[..16].to_owned()
}

/// `data.vocab`, which must be there and within what 16-bit token ids can hold.
pub fn vocab(data: &Data, least: u32) -> Result<usize, DataError> {
    match data.vocab {
        Some(vocab) if (least..=65_536).contains(&vocab) => Ok(vocab as usize),
        Some(vocab) => Err(DataError::configuration("vocab", format!("{vocab} is not between {least} and 65536"))),
        None => Err(DataError::configuration("vocab", format!("is missing; write a number from {least} to 65536"))),
    }
}

/// An error where a key is there that means nothing for the source.
pub fn refuse(key: &'static str, given: bool, what: &str) -> Result<(), DataError> {
    if given { Err(DataError::configuration(key, what)) } else { Ok(()) }
}
