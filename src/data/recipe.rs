//! From `[data]` to what has to be prepared: the settings that a source needs, and their fingerprint.

use std::path::Path;

use super::DataError;
use super::bin::BinRecipe;
use super::cache::{self, Manifest, fingerprint};
use super::kept::Keep;
use super::synthetic::Language;
use super::text::TextRecipe;
use crate::spec::{Data, LONGEST_HISTORY, Source};

/// Everything that decides the tokens of a corpus.
pub enum Recipe {
    /// The built-in language.
    Synthetic(SyntheticRecipe),
    /// Texts: files of text, JSON Lines or Parquet, or a mixture of them.
    Text(Box<TextRecipe>),
    /// Token files.
    Bin(BinRecipe),
    /// What somebody else's program reads by itself.
    Program(ProgramRecipe),
    /// Some documents of a text.
    Pruned(Box<Self>, Keep),
}

impl Recipe {
    /// Checks `[data]`, by the rules of a spec, and opens what it names.
    pub fn new(data: &Data, context: usize) -> Result<Self, DataError> {
        data.check()?;
        let whole = match data.source {
            Source::Synthetic => Self::Synthetic(SyntheticRecipe::new(data, context)),
            Source::Text | Source::Jsonl | Source::Parquet | Source::Mixture => {
                Self::Text(Box::new(TextRecipe::new(data)?))
            }
            Source::Bin => Self::Bin(BinRecipe::new(data)?),
            Source::Program => Self::Program(ProgramRecipe { vocab: data.vocab.unwrap_or_default() as usize }),
        };
        Ok(match Keep::of(data)? {
            Some(keep) => Self::Pruned(Box::new(whole), keep),
            None => whole,
        })
    }

    /// Finds the corpus in the cache, or makes it there, and what it is made from.
    pub fn ensure(&self, cache: &Path, say: &mut dyn FnMut(&str)) -> Result<Manifest, DataError> {
        let fingerprint = self.fingerprint();
        if let Some(manifest) = cache::manifest(cache, &fingerprint)? {
            return Ok(manifest);
        }
        let whole = if let Self::Pruned(whole, _) = self { Some(whole.ensure(cache, say)?) } else { None };
        cache::publish(cache, &fingerprint, |folder| self.prepare((cache, whole.as_ref()), folder, say))?;
        cache::require(cache, &fingerprint)
    }

    /// Hash of the content and of every setting that decides the tokens.
    pub fn fingerprint(&self) -> String {
        match self {
            Self::Synthetic(recipe) => recipe.fingerprint(),
            Self::Text(recipe) => recipe.fingerprint(),
            Self::Bin(recipe) => recipe.fingerprint(),
            Self::Program(recipe) => recipe.fingerprint(),
            Self::Pruned(whole, keep) => fingerprint(Source::Text, &(whole.fingerprint(), "keep", keep)),
        }
    }

    /// Writes the corpus into a folder, from the whole one in the cache where it is a part of one.
    fn prepare(
        &self,
        (cache, whole): (&Path, Option<&Manifest>),
        folder: &Path,
        say: &mut dyn FnMut(&str),
    ) -> Result<Manifest, DataError> {
        match self {
            Self::Synthetic(recipe) => Ok(recipe.prepare(say)),
            Self::Text(recipe) => recipe.prepare(folder, say),
            Self::Bin(recipe) => recipe.prepare(folder, say),
            Self::Program(recipe) => Ok(recipe.manifest()),
            Self::Pruned(_, keep) => {
                let whole = whole.expect("a part is made after its whole");
                keep.prepare((cache, whole), self.fingerprint(), folder, say)
            }
        }
    }
}

/// Nothing is known of it but a vocabulary; `train.inputs` of a spec tell one from another.
pub struct ProgramRecipe {
    vocab: usize,
}

impl ProgramRecipe {
    fn fingerprint(&self) -> String {
        fingerprint(Source::Program, &self.vocab)
    }

    fn manifest(&self) -> Manifest {
        Manifest::of(Source::Program, self.fingerprint(), self.vocab)
    }
}

/// A language has no files, only its entropy, which depends on the length of a sequence.
pub struct SyntheticRecipe {
    vocab: usize,
    seed: u64,
    history: u8,
    context: usize,
}

impl SyntheticRecipe {
    pub fn new(data: &Data, context: usize) -> Self {
        let vocab = data.vocab.expect("checked: a language has a vocabulary") as usize;
        Self { vocab, seed: data.seed, history: data.history.unwrap_or(LONGEST_HISTORY), context }
    }

    fn fingerprint(&self) -> String {
        let settings = (self.vocab, self.seed, self.context, super::synthetic::VERSION);
        match self.history {
            LONGEST_HISTORY => fingerprint(Source::Synthetic, &settings),
            history => fingerprint(Source::Synthetic, &(settings, "history", history)),
        }
    }

    /// The language itself.
    pub fn language(&self) -> Language {
        Language::new(self.vocab, self.seed, self.history)
    }

    fn prepare(&self, say: &mut dyn FnMut(&str)) -> Manifest {
        say("sampling the entropy of the built-in language");
        Manifest {
            entropy: Some(self.language().entropy(self.context)),
            ..Manifest::of(Source::Synthetic, self.fingerprint(), self.vocab)
        }
    }
}
