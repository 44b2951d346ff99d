//! The files of a source of text: found by name or pattern, and the documents in them.
//!
//! Text is cut where it lies, or where it was unpacked. What JSON Lines and Parquet hold is written out first, one
//! document after another, into a file without a name, so that a corpus never lies in memory as a whole.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use rayon::prelude::*;

use super::{DataError, cache, compressed, jsonl, parquet, text};
use crate::spec::{Part, Source};

/// A file of a part.
pub struct InputFile {
    path: PathBuf,
    bytes: Mmap,
    /// BLAKE3 of its bytes.
    pub hash: blake3::Hash,
}

/// The files of a part, in the order of their names, hashed.
pub fn open(part: &Part) -> Result<Vec<InputFile>, DataError> {
    let open = |path: PathBuf| {
        let bytes = cache::map(&path)?;
        let hash = blake3::hash(&bytes);
        Ok(InputFile { path, bytes, hash })
    };
    find(&part.path)?.into_par_iter().map(open).collect()
}

/// The files that a path names: the one of that name, or those that match it as a pattern.
fn find(path: &Path) -> Result<Vec<PathBuf>, DataError> {
    let Some(pattern) = path.to_str().filter(|text| text.contains(['*', '?', '[']) && !path.exists()) else {
        return Ok(vec![path.to_owned()]);
    };
    let options = glob::MatchOptions {
        require_literal_separator: true,
        require_literal_leading_dot: true,
        ..glob::MatchOptions::new()
    };
    let found = glob::glob_with(pattern, options).map_err(|error| {
        let what = format!(
            "no pattern of file names: {error}; * and ? stand for characters, ** for folders, [ab] for one of them"
        );
        DataError::content(path, what)
    })?;
    let mut files = Vec::new();
    for entry in found {
        let entry = entry.map_err(|error| {
            let path = error.path().to_owned();
            DataError::io("read", &path)(error.into())
        })?;
        if entry.is_file() {
            files.push(entry);
        }
    }
    files.sort();
    if files.is_empty() {
        let what = "no file matches this pattern; it is relative to the current directory, ** reaches into folders";
        return Err(DataError::content(path, what));
    }
    Ok(files)
}

/// The documents of a file: slices of itself, or of what was written out.
pub enum Documents<'a> {
    /// Of the file itself.
    Here(Vec<&'a str>),
    /// Of what was written out or unpacked.
    Out(Spilled),
}

impl Documents<'_> {
    /// The documents in their order.
    pub fn texts(&self) -> Vec<&str> {
        match self {
            Self::Here(texts) => texts.clone(),
            Self::Out(Spilled { bytes, ranges }) => {
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
    /// Reads the documents; `folder` takes what has to be written out.
    pub fn documents(&self, part: &Part, folder: &Path) -> Result<Documents<'_>, DataError> {
        let column = part.column.as_deref().unwrap_or_default();
        let spill = || Spill::new(folder, &self.path);
        match part.source {
            Source::Jsonl => {
                let unpacked = compressed::unpack(&self.bytes, &self.path, folder)?;
                let bytes = unpacked.as_deref().unwrap_or(&self.bytes);
                let mut spill = spill()?;
                jsonl::read(bytes, column, &self.path, &mut |document| spill.add(document))?;
                spill.finish().map(Documents::Out)
            }
            Source::Parquet => {
                let mut spill = spill()?;
                parquet::read(&self.path, column, &mut |document| spill.add(document))?;
                spill.finish().map(Documents::Out)
            }
            _ => match compressed::unpack(&self.bytes, &self.path, folder)? {
                None => text::checked(&self.bytes, &self.path).map(|text| Documents::Here(text::documents(text))),
                Some(bytes) => {
                    let text = text::checked(&bytes, &self.path)?;
                    // The documents are slices of the text.
                    let place = |document: &str| document.as_ptr().addr() - text.as_ptr().addr();
                    let range = |document: &str| place(document)..place(document) + document.len();
                    let ranges = text::documents(text).into_iter().map(range).collect();
                    Ok(Documents::Out(Spilled { bytes, ranges }))
                }
            },
        }
    }
}

/// Documents that were written out or unpacked.
pub struct Spilled {
    bytes: Mmap,
    ranges: Vec<Range<usize>>,
}

/// Documents being written out.
struct Spill {
    file: BufWriter<File>,
    folder: PathBuf,
    from: PathBuf,
    ranges: Vec<Range<usize>>,
    end: usize,
}

impl Spill {
    fn new(folder: &Path, from: &Path) -> Result<Self, DataError> {
        let file = tempfile::tempfile_in(folder).map_err(DataError::io("write into", folder))?;
        let (folder, from) = (folder.to_owned(), from.to_owned());
        Ok(Self { file: BufWriter::new(file), folder, from, ranges: Vec::new(), end: 0 })
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
        let wrote = self.file.write_all(document.as_bytes());
        wrote.map_err(|error| format!("cannot copy it into {}: {error}", self.folder.display()))?;
        self.ranges.push(self.end..self.end + document.len());
        self.end += document.len();
        Ok(())
    }

    fn finish(self) -> Result<Spilled, DataError> {
        let Self { file, folder, from, ranges, .. } = self;
        if ranges.is_empty() {
            return Err(DataError::content(&from, "holds no text; give a file with text in it"));
        }
        let file = file.into_inner().map_err(|error| DataError::io("write into", &folder)(error.into_error()))?;
        Ok(Spilled { bytes: cache::map_file(&file, &folder)?, ranges })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_finds_files_in_the_order_of_their_names_and_no_folders() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b-2.txt", "b-1.txt", "c.txt", ".b-0.txt", "odd[1].txt"] {
            std::fs::write(dir.path().join(name), "x").unwrap();
        }
        std::fs::create_dir(dir.path().join("b-3.txt")).unwrap();
        let names = |pattern: &str| {
            find(&dir.path().join(pattern)).map(|files| {
                files.iter().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect::<Vec<_>>()
            })
        };
        assert_eq!(names("b-*.txt").unwrap(), ["b-1.txt", "b-2.txt"]);
        assert_eq!(names("?.txt").unwrap(), ["c.txt"]);
        assert_eq!(names("odd[1].txt").unwrap(), ["odd[1].txt"], "a file of that very name comes first");
        assert_eq!(names("missing.txt").unwrap(), ["missing.txt"], "no pattern, for others to miss");
        assert!(names("z*.txt").unwrap_err().to_string().contains("no file matches"));
        assert!(names("[.txt").unwrap_err().to_string().contains("pattern"));
    }
}
