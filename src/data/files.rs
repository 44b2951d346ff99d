//! The files of a source of text: found by name or pattern, and the documents in them.
//!
//! Text is cut where it lies, or where it was unpacked. What JSON Lines and Parquet hold is written out first, one
//! document after another, into a file without a name, so that a corpus never lies in memory as a whole.

use std::fs::File;
use std::io::{self, BufRead as _, BufWriter, Read as _, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use rayon::prelude::*;

use super::bad::Bad;
use super::documents::{Look, Separator};
use super::passages::Unspaced;
use super::{DataError, cache, compressed, documents, foreign, jsonl, kind, parquet};
use crate::spec::{Part, Source};
use crate::unpacked;

/// The beginning of a file that tells its script, in bytes.
const SCRIPT_LOOK: u64 = 1 << 20;

/// How a Parquet file begins.
const PARQUET: &[u8] = b"PAR1";

/// A file of a part.
pub struct InputFile {
    /// Its name.
    pub path: PathBuf,
    bytes: Mmap,
    /// BLAKE3 of its bytes.
    pub hash: blake3::Hash,
    /// Whether the part has others.
    among: bool,
}

/// The files of a part, in the order of their names, hashed.
pub fn open(part: &Part) -> Result<Vec<InputFile>, DataError> {
    let files = kind::files(&part.path, part.source)?;
    let among = files.len() > 1;
    let open = |path: PathBuf| {
        let bytes = cache::map(&path)?;
        let hash = blake3::hash(&bytes);
        Ok(InputFile { path, bytes, hash, among })
    };
    files.into_par_iter().map(open).collect()
}

/// The documents of a file: slices of itself, or of what was written out.
pub enum Documents<'a> {
    /// Of the file itself.
    Here(Vec<&'a str>),
    /// Of what was written out or unpacked.
    Out(Spilled),
}

impl Documents<'_> {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Here(texts) => texts.is_empty(),
            Self::Out(Spilled { ranges, .. }) => ranges.is_empty(),
        }
    }

    /// Rows that were skipped, and what was wrong with the first.
    pub fn bad(&self) -> (u64, Option<&str>) {
        match self {
            Self::Here(_) => (0, None),
            Self::Out(Spilled { bad, .. }) => (bad.count, bad.first.as_deref()),
        }
    }

    /// The documents in their order.
    pub fn texts(&self) -> Vec<&str> {
        match self {
            Self::Here(texts) => texts.clone(),
            Self::Out(Spilled { bytes, ranges, .. }) => {
                let text = |range: &Range<usize>| {
                    // It was written from strings or checked, and no other process knows this file.
                    std::str::from_utf8(&bytes[range.clone()]).expect("known to be text")
                };
                ranges.par_iter().map(text).collect()
            }
        }
    }
}

impl InputFile {
    /// What its beginning shows of what separates its documents; `only_file` where the part has no other.
    pub fn look(&self, only_file: bool) -> Look {
        Look::at(unpacked::reader(&self.bytes), only_file)
    }

    /// How much of its beginning is in scripts without blanks between words. What cannot be read ends the look: it is told when
    /// all is read.
    pub fn unspaced(&self, part: &Part) -> Unspaced {
        let column = part.column.as_deref().unwrap_or_default();
        let mut seen = Unspaced::default();
        let mut text = unpacked::reader(&self.bytes).take(SCRIPT_LOOK);
        match part.source {
            Source::Parquet => {
                let mut left = SCRIPT_LOOK;
                let mut look = |document: &str| {
                    seen = seen + Unspaced::of(document);
                    left = left.saturating_sub(document.len() as u64);
                    if left == 0 { Err(String::new()) } else { Ok(()) }
                };
                let _ = parquet::read(&self.path, column, &mut look, &mut Bad::new(false));
            }
            Source::Jsonl => {
                let mut line = Vec::new();
                while text.read_until(b'\n', &mut line).is_ok_and(|bytes| bytes > 0) {
                    seen = seen + jsonl::text(&line, column).map_or_else(Unspaced::default, |text| Unspaced::of(&text));
                    line.clear();
                }
            }
            _ => {
                let mut beginning = Vec::new();
                let _ = text.read_to_end(&mut beginning);
                seen = Unspaced::of(&String::from_utf8_lossy(&beginning));
            }
        }
        seen
    }

    /// Reads the documents; `folder` takes what has to be written out.
    pub fn documents(
        &self,
        part: &Part,
        separator: &Separator,
        mut bad: Bad,
        folder: &Path,
    ) -> Result<Documents<'_>, DataError> {
        let column = part.column.as_deref().unwrap_or_default();
        let spill = || Spill::new(folder);
        match part.source {
            Source::Jsonl => {
                let unpacked = compressed::unpack(&self.bytes, &self.path, folder)?;
                let bytes = unpacked.as_deref().unwrap_or(&self.bytes);
                let mut spill = spill()?;
                jsonl::read(bytes, column, &self.path, &mut |document| spill.add(document), &mut bad)?;
                spill.finish(bad).map(Documents::Out)
            }
            Source::Parquet => {
                if !self.bytes.starts_with(PARQUET) {
                    foreign::refuse(&self.bytes, &self.path)?;
                }
                let mut spill = spill()?;
                parquet::read(&self.path, column, &mut |document| spill.add(document), &mut bad)?;
                spill.finish(bad).map(Documents::Out)
            }
            _ => match compressed::unpack(&self.bytes, &self.path, folder)? {
                None => {
                    let text = documents::checked(&self.bytes, &self.path, self.among)?;
                    Ok(Documents::Here(separator.cut(text)))
                }
                Some(bytes) => {
                    let text = documents::checked(&bytes, &self.path, self.among)?;
                    // The documents are slices of the text.
                    let place = |document: &str| document.as_ptr().addr() - text.as_ptr().addr();
                    let range = |document: &str| place(document)..place(document) + document.len();
                    let ranges = separator.cut(text).into_iter().map(range).collect();
                    Ok(Documents::Out(Spilled { bytes, ranges, bad }))
                }
            },
        }
    }
}

/// Refuses a text of rows, unless it is said how to cut them.
pub fn refuse_rows(files: &[InputFile], part: &Part) -> Result<(), DataError> {
    if part.source != Source::Text || part.separator.is_some() {
        return Ok(());
    }
    kind::refuse_rows(files.iter().map(|file| (file.path.as_path(), &file.bytes[..])))
}

/// Documents that were written out or unpacked.
pub struct Spilled {
    bytes: Mmap,
    ranges: Vec<Range<usize>>,
    bad: Bad,
}

/// Documents being written out.
struct Spill {
    file: BufWriter<File>,
    folder: PathBuf,
    ranges: Vec<Range<usize>>,
    end: usize,
    /// Why they cannot be written out any more.
    failed: Option<io::Error>,
}

impl Spill {
    fn new(folder: &Path) -> Result<Self, DataError> {
        let file = tempfile::tempfile_in(folder).map_err(DataError::io("write into", folder))?;
        let folder = folder.to_owned();
        Ok(Self { file: BufWriter::new(file), folder, ranges: Vec::new(), end: 0, failed: None })
    }

    /// Adds a document; one of white space is none. Says what is wrong with it.
    fn add(&mut self, document: &str) -> Result<(), String> {
        if document.trim().is_empty() {
            return Ok(());
        }
        // The byte 0 separates documents in the token files.
        if let Some(at) = document.bytes().position(|byte| byte == 0) {
            return Err(format!("a NUL character after {at} bytes of the text; remove it"));
        }
        // A full disk is no fault of the document: told when all is read, so that it passes for none.
        if self.failed.is_none() {
            self.failed = self.file.write_all(document.as_bytes()).err();
        }
        self.ranges.push(self.end..self.end + document.len());
        self.end += document.len();
        Ok(())
    }

    fn finish(self, bad: Bad) -> Result<Spilled, DataError> {
        let Self { file, folder, ranges, failed, .. } = self;
        failed.map_or(Ok(()), Err).map_err(DataError::io("write into", &folder))?;
        let file = file.into_inner().map_err(|error| DataError::io("write into", &folder)(error.into_error()))?;
        Ok(Spilled { bytes: cache::map_file(&file, &folder)?, ranges, bad })
    }
}
