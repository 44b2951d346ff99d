//! Prepared corpora on disk: `<cache>/<fingerprint>/{train.u16,validation.u16,tokenizer.json,manifest.json}`.
//!
//! A folder is made under a temporary name, synced and renamed, so that neither a crash nor two processes at once leave
//! a half-made one. Token files are little-endian 16-bit ids, read through a memory map.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use serde::{Deserialize, Serialize};

use super::kept::KeptFacts;
use super::mixture::PartFacts;
use super::near::NearFacts;
use super::scratch::Scratch;
use super::{DataError, Entropy};
use crate::spec::{Source, TokenType};
use crate::{memory, whole};

/// Raised when anything changes that decides the tokens: part of every fingerprint.
pub const FORMAT: u32 = 1;

/// What a prepared corpus is: `manifest.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of tokens and layout.
    pub format: u32,
    /// Where the tokens come from.
    pub source: Source,
    /// Hash of the content and of every setting that decides the tokens; the name of the folder.
    pub fingerprint: String,
    /// Size of the vocabulary.
    pub vocab: usize,
    /// The training tokens; nothing where the source is unlimited.
    pub train: Option<TokenFacts>,
    /// The validation tokens; nothing where the source is unlimited.
    pub validation: Option<TokenFacts>,
    /// What was found in the text, for text.
    pub text: Option<TextFacts>,
    /// What was found in token files, for token files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bin: Option<BinFacts>,
    /// The entropy rate, for the built-in language.
    pub entropy: Option<Entropy>,
    /// The parts of a mixture with weights, which lie one after another in the token files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<PartFacts>,
    /// What was kept of a whole corpus, where this is a part of one; `text` and `bin` speak of the whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<KeptFacts>,
}

impl Manifest {
    /// One of a corpus of which nothing else is known yet.
    pub fn of(source: Source, fingerprint: String, vocab: usize) -> Self {
        Self {
            format: FORMAT,
            source,
            fingerprint,
            vocab,
            train: None,
            validation: None,
            text: None,
            bin: None,
            entropy: None,
            parts: Vec::new(),
            kept: None,
        }
    }
}

/// One token file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenFacts {
    /// Number of tokens.
    pub tokens: u64,
    /// BLAKE3 of the file.
    pub blake3: String,
}

/// What was found in a text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextFacts {
    /// Bytes of UTF-8, without the blank lines between documents.
    pub bytes: u64,
    /// Bytes of one token in the mean, over training and validation.
    pub bytes_per_token: f64,
    /// Bytes of one token in the mean, over validation alone: turns its loss into nats per byte.
    pub validation_bytes_per_token: f64,
    /// Number of documents.
    pub documents: u64,
    /// Documents held out for validation.
    pub validation_documents: u64,
    /// Documents that were drawn for validation but repeat training documents, and so were trained on.
    pub near_duplicates_moved: u64,
    /// What separates documents, in words; nothing where each row is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub separator: Option<String>,
    /// Documents that are the same as one before; nothing where that was not counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeated_documents: Option<u64>,
    /// Documents that are nearly the same as another; nothing where that was not counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub near_duplicates: Option<NearFacts>,
    /// Whether those were left out.
    #[serde(default)]
    pub deduplicated: bool,
    /// Rows that could not be read and were skipped.
    #[serde(default)]
    pub bad_rows: u64,
    /// Documents of a published validation set that repeat training documents.
    #[serde(default)]
    pub repeated_validation_documents: u64,
    /// Tokens that stand for what the tokenizer does not know.
    #[serde(default)]
    pub unknown_tokens: u64,
    /// Bytes of text that the tokenizer skipped, for want of a token.
    #[serde(default)]
    pub dropped_bytes: u64,
    /// The tokenizer's vocabulary where ids were renumbered; the corpus's own is then those that occur.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub numbered_from: Option<u64>,
}

/// 16 hexadecimal digits of BLAKE3 over the settings.
pub fn fingerprint(source: Source, settings: &impl serde::Serialize) -> String {
    let json = serde_json::to_vec(&(FORMAT, source, settings)).expect("settings have only string keys");
    blake3::hash(&json).to_hex()[..16].to_owned()
}

/// What was found in token files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BinFacts {
    /// Numbers of the first file.
    pub dtype: TokenType,
    /// Where that is known from.
    pub known: String,
    /// Files.
    pub files: usize,
    /// The vocabulary of the files where ids were renumbered; the corpus's own is then those that occur.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub numbered_from: Option<u64>,
    /// Their documents; nothing where they cannot be told apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub documents: Option<TokenDocuments>,
}

/// What was found of documents in token files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenDocuments {
    /// The id that stands between two of them.
    pub separator: u32,
    /// How many there are.
    pub documents: u64,
    /// Those that are the same as one before.
    pub repeated: u64,
    /// Those that are nearly the same as another, by passages of five tokens.
    pub near_duplicates: NearFacts,
}

/// The folder of a corpus.
pub fn folder(cache: &Path, fingerprint: &str) -> PathBuf {
    cache.join(fingerprint)
}

/// Makes a corpus's folder by `fill`, which writes into the path it is given and returns the manifest. Where another
/// process was faster, its folder stays.
pub fn publish(
    cache: &Path,
    fingerprint: &str,
    fill: impl FnOnce(&Path) -> Result<Manifest, DataError>,
) -> Result<(), DataError> {
    let scratch = Scratch::new(cache)?;
    let manifest = fill(scratch.path())?;
    let path = scratch.path().join("manifest.json");
    let mut json = serde_json::to_vec_pretty(&manifest).expect("a manifest has only string keys");
    json.push(b'\n');
    write_synced(&path, &json)?;
    sync_folder(scratch.path())?;

    let target = folder(cache, fingerprint);
    let (scratch, _lock) = scratch.keep();
    match fs::rename(&scratch, &target) {
        Ok(()) => sync_folder(cache),
        Err(error) => {
            let _ = fs::remove_dir_all(&scratch);
            if target.join("manifest.json").exists() {
                return Ok(());
            }
            Err(DataError::io("create", &target)(error))
        }
    }
}

/// Writes a file and waits until it is on the disk.
pub fn write_synced(path: &Path, content: &[u8]) -> Result<(), DataError> {
    let write = || {
        let mut file = File::create(path)?;
        file.write_all(content)?;
        file.sync_all()
    };
    write().map_err(DataError::io("write", path))
}

fn sync_folder(path: &Path) -> Result<(), DataError> {
    whole::sync_dir(path).map_err(DataError::io("sync", path))
}

/// Reads the manifest of a corpus that must have been prepared.
pub fn require(cache: &Path, fingerprint: &str) -> Result<Manifest, DataError> {
    manifest(cache, fingerprint)?.ok_or_else(|| DataError::Cache {
        folder: folder(cache, fingerprint),
        what: "this corpus is not in the cache; make it with `runner data prepare`".to_owned(),
    })
}

/// Reads the manifest of a prepared corpus, or nothing where there is none.
pub fn manifest(cache: &Path, fingerprint: &str) -> Result<Option<Manifest>, DataError> {
    let folder = folder(cache, fingerprint);
    let path = folder.join("manifest.json");
    let json = match fs::read(&path) {
        Ok(json) => json,
        Err(error) if error.kind() == io::ErrorKind::NotFound && !folder.exists() => return Ok(None),
        Err(error) if is_missing(&error) => return Err(damaged(&folder, "it has no manifest.json")),
        Err(error) => return Err(DataError::io("read", &path)(error)),
    };
    let manifest: Manifest =
        serde_json::from_slice(&json).map_err(|error| damaged(&folder, &format!("manifest.json: {error}")))?;
    if manifest.fingerprint != fingerprint || manifest.format != FORMAT {
        return Err(damaged(&folder, "manifest.json is of another corpus"));
    }
    Ok(Some(manifest))
}

/// Whether a file of a corpus is not there, or something else is in the place of its folder.
fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Maps a file of a corpus, which has it unless it is damaged.
pub fn file(folder: &Path, name: &str) -> Result<Mmap, DataError> {
    map(&folder.join(name)).map_err(|error| match error {
        DataError::Io { cause, .. } if is_missing(&cause) => damaged(folder, &format!("{name} is missing")),
        other => other,
    })
}

fn damaged(folder: &Path, what: &str) -> DataError {
    let what = format!("the cached corpus is damaged ({what}); delete it and run `runner data prepare` again");
    DataError::Cache { folder: folder.to_owned(), what }
}

/// Token ids in memory that the system pages in from the file.
pub struct TokenFile(Mmap);

impl TokenFile {
    /// Maps a token file of a corpus and compares it with its checksum.
    pub fn open(folder: &Path, name: &str, facts: &TokenFacts) -> Result<Self, DataError> {
        let map = file(folder, name)?;
        if map.len() as u64 != 2 * facts.tokens {
            return Err(damaged(folder, &format!("{name} has {} bytes instead of {}", map.len(), 2 * facts.tokens)));
        }
        if blake3::hash(&map).to_hex().as_str() != facts.blake3 {
            return Err(damaged(folder, &format!("{name} does not have its checksum")));
        }
        Ok(Self(map))
    }

    /// Number of tokens.
    pub fn len(&self) -> u64 {
        self.0.len() as u64 / 2
    }

    /// All tokens, where they fit into memory; `key` of `[data]` asks for them.
    pub fn all(&self, key: &'static str) -> Result<Vec<u16>, DataError> {
        if let Some(lacks) = memory::lacks(2 * self.len()) {
            let what = format!("its {} training tokens take {lacks}; take a part of the text", self.len());
            return Err(DataError::configuration(key, what));
        }
        let mut tokens = Vec::new();
        self.read(0, self.len() as usize, &mut tokens);
        Ok(tokens)
    }

    /// Appends `length` tokens from `start` on.
    pub fn read(&self, start: u64, length: usize, out: &mut Vec<u16>) {
        let start = 2 * start as usize;
        let bytes = &self.0[start..start + 2 * length];
        out.extend(bytes.as_chunks().0.iter().copied().map(u16::from_le_bytes));
    }
}

/// Maps a whole file for reading.
pub fn map(path: &Path) -> Result<Mmap, DataError> {
    let file = File::open(path).map_err(DataError::io("read", path))?;
    if file.metadata().is_ok_and(|about| about.is_dir()) {
        // The system would only say that there is no such device.
        return Err(DataError::io("read", path)(std::io::ErrorKind::IsADirectory.into()));
    }
    map_file(&file, path)
}

/// Maps an open file for reading; `path` only names it in errors.
#[allow(unsafe_code)] // the one place outside of the kernels: memmap2 cannot promise what the system may do
pub fn map_file(file: &File, path: &Path) -> Result<Mmap, DataError> {
    // SAFETY: the map is only read. Nobody changes a file of the cache once it is renamed into place, and a corpus that
    // somebody cuts short while it is being read ends the process, as it would end any reader's work.
    unsafe { Mmap::map(file) }.map_err(DataError::io("read", path))
}

/// Writes a token file piece by piece.
pub struct TokenWriter {
    path: PathBuf,
    file: BufWriter<File>,
    hasher: blake3::Hasher,
    tokens: u64,
}

impl TokenWriter {
    /// Creates the file.
    pub fn create(path: &Path) -> Result<Self, DataError> {
        let file = File::create(path).map_err(DataError::io("create", path))?;
        Ok(Self { path: path.to_owned(), file: BufWriter::new(file), hasher: blake3::Hasher::new(), tokens: 0 })
    }

    /// Appends tokens.
    pub fn write(&mut self, tokens: &[u16]) -> Result<(), DataError> {
        let bytes: Vec<u8> = tokens.iter().flat_map(|token| token.to_le_bytes()).collect();
        self.hasher.update(&bytes);
        self.tokens += tokens.len() as u64;
        self.file.write_all(&bytes).map_err(DataError::io("write", &self.path))
    }

    /// Tokens so far.
    pub fn tokens(&self) -> u64 {
        self.tokens
    }

    /// Waits until everything is on the disk.
    pub fn finish(mut self) -> Result<TokenFacts, DataError> {
        self.file.flush().and_then(|()| self.file.get_ref().sync_all()).map_err(DataError::io("write", &self.path))?;
        Ok(TokenFacts { tokens: self.tokens, blake3: self.hasher.finalize().to_hex().to_string() })
    }
}
