//! Token files made elsewhere: raw ids of any width, llm.c's, NumPy's and Megatron's, in one file or in shards.

mod documents;
mod file;
mod layout;

use std::ops::Range;
use std::path::{Path, PathBuf};

use self::file::BinFile;
use self::layout::{By, Layout};
use super::cache::{BinFacts, Manifest, TokenDocuments, TokenFacts, TokenWriter, fingerprint};
use super::ids::{MOST_IDS, Numbering, Occurring};
use super::{DataError, find, kind};
use crate::spec::{Data, Source, TokenType};

/// Token files and how they are split.
pub struct BinRecipe {
    train: Vec<BinFile>,
    validation: Option<Vec<BinFile>>,
    validation_fraction: Option<f64>,
    vocab: u64,
}

impl BinRecipe {
    /// Maps the files of `[data]`, which was checked.
    pub fn new(data: &Data) -> Result<Self, DataError> {
        let vocab = u64::from(data.vocab.expect("checked: a token file has a vocabulary"));
        let open = |path: &PathBuf| -> Result<Vec<BinFile>, DataError> {
            let mut files = kind::files(path, Source::Bin)?;
            // An empty shard has no tokens; only if all are empty the first is told of.
            let is_empty = |path: &PathBuf| path.metadata().is_ok_and(|about| about.is_file() && about.len() == 0);
            if files.iter().any(|path| !is_empty(path)) {
                files.retain(|path| !is_empty(path));
            }
            let files: Vec<BinFile> =
                files.iter().map(|path| BinFile::open(path, data.dtype, vocab)).collect::<Result<_, _>>()?;
            of_one_type(&files)?;
            Ok(files)
        };
        let train = open(data.path.as_ref().expect("checked: a token file has a path"))?;
        let validation = data.validation_path.as_ref().map(open).transpose()?;
        find::no_file_twice(train.iter().chain(validation.iter().flatten()).map(|file| file.path.as_path()))?;
        Ok(Self { train, validation, validation_fraction: data.validation_fraction, vocab })
    }

    /// Hash of the tokens, the vocabulary and the split.
    pub fn fingerprint(&self) -> String {
        let hash = |file: &BinFile| blake3::hash(file.bytes()).to_hex().to_string();
        let all = || self.train.iter().chain(self.validation.iter().flatten());
        // One file of 16 bits for each half: as before there were others.
        let plain = all().all(|file| file.layout.dtype == TokenType::Uint16)
            && self.train.len() == 1
            && self.validation.as_ref().is_none_or(|files| files.len() == 1)
            && self.vocab <= MOST_IDS;
        if plain {
            let files = (hash(&self.train[0]), self.validation.as_ref().map(|files| hash(&files[0])));
            return fingerprint(Source::Bin, &(files, self.vocab, self.validation_fraction));
        }
        let about = |files: &[BinFile]| files.iter().map(|file| (hash(file), file.layout.dtype)).collect::<Vec<_>>();
        let files = (about(&self.train), self.validation.as_deref().map(about));
        fingerprint(Source::Bin, &(files, self.vocab, self.validation_fraction))
    }

    /// Tokens of the files for training, before any are held out.
    pub fn tokens(&self) -> usize {
        self.train.iter().map(BinFile::tokens).sum()
    }

    /// Checks every id and copies the tokens.
    pub fn prepare(&self, folder: &Path, say: &mut dyn FnMut(&str)) -> Result<Manifest, DataError> {
        let Layout { dtype, by, .. } = self.train[0].layout;
        let (name, more) = (self.train[0].path.display(), self.train.len() - 1);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        say(&format!("checking the tokens of {name}{more}: {dtype} ({by})"));
        let numbering = self.numbering(say)?;
        numbering.keep(folder)?;
        let documents = self.documents(&numbering, say)?;
        let tokens = self.tokens();
        let held_out = self.validation_fraction.map_or(0, |share| (tokens as f64 * share).round() as usize);
        let copy = |files: &[BinFile], range: Range<usize>, name: &str| {
            let mut out = TokenWriter::create(&folder.join(name))?;
            let mut before = 0;
            for file in files {
                let end = before + file.tokens();
                let within = range.start.clamp(before, end) - before..range.end.clamp(before, end) - before;
                file.copy(within, &numbering, &mut out)?;
                before = end;
            }
            out.finish()
        };
        let train: TokenFacts = copy(&self.train, 0..tokens - held_out, "train.u16")?;
        let validation = match &self.validation {
            Some(files) => copy(files, 0..usize::MAX, "validation.u16")?,
            None => copy(&self.train, tokens - held_out..tokens, "validation.u16")?,
        };
        Ok(Manifest {
            train: Some(train),
            validation: Some(validation),
            bin: Some(self.facts(&numbering, documents)),
            ..Manifest::of(Source::Bin, self.fingerprint(), numbering.vocab() as usize)
        })
    }

    /// Finds documents that repeat others, in all files, and tells.
    fn documents(&self, numbering: &Numbering, say: &mut dyn FnMut(&str)) -> Result<Option<TokenDocuments>, DataError> {
        let files: Vec<&BinFile> = self.train.iter().chain(self.validation.iter().flatten()).collect();
        let found = documents::find(&files, numbering.checked_against())?;
        if let Some(TokenDocuments { separator, documents, repeated, near_duplicates }) = &found {
            say(&format!(
                "{documents} documents between tokens {separator}: {repeated} are exact duplicates, {near_duplicates}"
            ));
        }
        Ok(found)
    }

    fn facts(&self, numbering: &Numbering, documents: Option<TokenDocuments>) -> BinFacts {
        let Layout { dtype, by, .. } = self.train[0].layout;
        BinFacts {
            dtype,
            known: by.to_string(),
            files: self.train.len() + self.validation.iter().flatten().count(),
            numbered_from: matches!(numbering, Numbering::Anew(_)).then_some(self.vocab),
            documents,
        }
    }

    /// As they are where the vocabulary fits 16 bits, and otherwise those that occur, in their order.
    fn numbering(&self, say: &mut dyn FnMut(&str)) -> Result<Numbering, DataError> {
        if self.vocab <= MOST_IDS {
            return Ok(Numbering::AsTheyAre(self.vocab));
        }
        let mut occurring = Occurring::new(self.vocab);
        for file in self.train.iter().chain(self.validation.iter().flatten()) {
            file.pieces(0..file.tokens(), self.vocab, &mut |ids| {
                occurring.add(ids);
                Ok(())
            })?;
        }
        occurring.numbering("vocab", say)
    }
}

/// Shards whose ids tell how wide they are have one width: where one differs, it is damaged or was mistaken.
fn of_one_type(files: &[BinFile]) -> Result<(), DataError> {
    let mut recognised = files.iter().filter(|file| file.layout.by == By::Ids);
    let Some(first) = recognised.next() else { return Ok(()) };
    let Some(other) = recognised.find(|file| file.layout.dtype != first.layout.dtype) else { return Ok(()) };
    let (here, there, before) = (other.layout.dtype, first.layout.dtype, first.path.display());
    let what = format!(
        "its ids look like {here}, and those of {before} like {there}; save all shards with one type, or write data.dtype"
    );
    Err(DataError::content(&other.path, what))
}
