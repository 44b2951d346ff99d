//! Token files made elsewhere: nanoGPT's raw 16-bit ids, and llm.c's, which have a header.

use std::path::{Path, PathBuf};

use memmap2::Mmap;

use super::DataError;
use super::cache::{self, Manifest, TokenFacts, TokenWriter};
use super::recipe::fingerprint;
use crate::spec::{Data, Source};

/// The header of llm.c: 256 integers of 32 bits, of which these are the first two; the third is the number of tokens.
const MAGIC: u32 = 20_240_520;
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 256 * 4;
/// Tokens that are checked and copied at once.
const PIECE: usize = 1 << 20;

/// Token files and how they are split.
pub struct BinRecipe {
    train: BinFile,
    validation: Option<BinFile>,
    validation_fraction: Option<f64>,
    vocab: usize,
}

impl BinRecipe {
    /// Maps the files of `[data]`, which was checked.
    pub fn new(data: &Data) -> Result<Self, DataError> {
        let train = BinFile::open(data.path.as_ref().expect("checked: a token file has a path"))?;
        let validation = data.validation_path.as_deref().map(BinFile::open).transpose()?;
        let vocab = data.vocab.expect("checked: a token file has a vocabulary") as usize;
        Ok(Self { train, validation, validation_fraction: data.validation_fraction, vocab })
    }

    /// Hash of the tokens, the vocabulary and the split.
    pub fn fingerprint(&self) -> String {
        let hash = |file: &BinFile| blake3::hash(file.bytes()).to_hex().to_string();
        let files = (hash(&self.train), self.validation.as_ref().map(hash));
        fingerprint(Source::Bin, &(files, self.vocab, self.validation_fraction))
    }

    /// Checks every id and copies the tokens.
    pub fn prepare(&self, folder: &Path, say: &mut dyn FnMut(&str)) -> Result<Manifest, DataError> {
        say(&format!("checking the tokens of {}", self.train.path.display()));
        let tokens = self.train.tokens();
        let held_out = self.validation_fraction.map_or(0, |share| (tokens as f64 * share).round() as usize);
        let train = self.train.copy(0..tokens - held_out, self.vocab, folder, "train.u16")?;
        let validation = match &self.validation {
            Some(file) => file.copy(0..file.tokens(), self.vocab, folder, "validation.u16")?,
            None => self.train.copy(tokens - held_out..tokens, self.vocab, folder, "validation.u16")?,
        };
        Ok(Manifest {
            format: cache::FORMAT,
            source: Source::Bin,
            fingerprint: self.fingerprint(),
            vocab: self.vocab,
            train: Some(train),
            validation: Some(validation),
            text: None,
            entropy: None,
            parts: Vec::new(),
        })
    }
}

/// One file, its layout found out.
struct BinFile {
    path: PathBuf,
    map: Mmap,
    header: usize,
}

impl BinFile {
    fn open(path: &Path) -> Result<Self, DataError> {
        let map = cache::map(path)?;
        let wrong = |what: String| Err(DataError::content(path, what));
        if map.is_empty() {
            return wrong("is empty; give a file with tokens in it".to_owned());
        }
        let integer = |index: usize| map.as_chunks().0.get(index).copied().map(u32::from_le_bytes);
        let header = if integer(0) == Some(MAGIC) { HEADER_BYTES } else { 0 };
        if header > 0 {
            let version = integer(1);
            if version != Some(VERSION) {
                let version = version.map_or("no number".to_owned(), |n| n.to_string());
                return wrong(format!(
                    "llm.c's layout of version {version}; only version {VERSION}, 16-bit ids, is read"
                ));
            }
            let stated = integer(2);
            let there = map.len().checked_sub(header).filter(|bytes| bytes % 2 == 0).map(|bytes| bytes / 2);
            if there.is_none() || stated.map(|n| n as usize) != there {
                let stated = stated.map_or("no number of".to_owned(), |n| n.to_string());
                let bytes = map.len().saturating_sub(header);
                return wrong(format!(
                    "its header states {stated} tokens of 2 bytes, and {bytes} bytes follow; it was cut short, get it again"
                ));
            }
        } else if map.len() % 2 == 1 {
            return wrong(format!(
                "{} bytes are no whole number of 16-bit tokens; it was cut short, or is no token file",
                map.len()
            ));
        }
        Ok(Self { path: path.to_owned(), map, header })
    }

    fn bytes(&self) -> &[u8] {
        &self.map[self.header..]
    }

    fn tokens(&self) -> usize {
        self.bytes().len() / 2
    }

    fn copy(
        &self,
        range: std::ops::Range<usize>,
        vocab: usize,
        folder: &Path,
        name: &str,
    ) -> Result<TokenFacts, DataError> {
        let mut out = TokenWriter::create(folder, name)?;
        let mut at = range.start;
        for piece in self.bytes()[2 * range.start..2 * range.end].chunks(2 * PIECE) {
            let ids: Vec<u16> = piece.as_chunks().0.iter().copied().map(u16::from_le_bytes).collect();
            if let Some(position) = ids.iter().position(|&id| usize::from(id) >= vocab) {
                let (id, position) = (ids[position], at + position);
                let what = format!(
                    "token id {id} at position {position} is outside the vocabulary of {vocab}; correct data.vocab, or the file"
                );
                return Err(DataError::content(&self.path, what));
            }
            at += ids.len();
            out.write(&ids)?;
        }
        out.finish()
    }
}
