//! The file of a table: what it is by its first bytes, and who opens it.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use csv::StringRecord;

use super::error::{At, TableError};
use super::rows::Opened;
use super::{delimited, jsonl, parquet, wandb};
use crate::foreign::{self, Foreign};
use crate::paths;
use crate::unpacked::Lies;

/// The file of a table, which may be read more than once.
pub struct Source {
    pub(super) path: PathBuf,
    /// All of it; nothing of a Parquet file, whose reader goes from place to place.
    bytes: Vec<u8>,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Csv,
    JsonLines,
    /// Objects in one list.
    JsonList,
    Parquet,
}

impl Source {
    /// The file that is read where somebody names this one: of a folder of results its `runs.csv`.
    pub fn file(path: &Path) -> PathBuf {
        let inside = path.join("runs.csv");
        if path.is_dir() && inside.is_file() { inside } else { path.to_owned() }
    }

    /// Reads a file, or `runs.csv` in a folder of results, or for `-` standard input; compressed ones are unpacked.
    pub fn open(path: &Path) -> Result<Self, TableError> {
        let path = &Self::file(path);
        if path.is_dir() {
            let rebuild =
                || format!("`runner ledger rebuild {}` writes that of a sweep; or name a table", paths::shown(path));
            let what = format!("is a folder without runs.csv: {}", paths::meant(path).unwrap_or_else(rebuild));
            return Err(TableError::Empty { path: path.to_owned(), what });
        }
        let io = |cause| TableError::Open { path: path.to_owned(), cause };
        let bytes = if path == Path::new("-") { standard_input() } else { read(path) }.map_err(io)?;
        if bytes.starts_with(PARQUET) {
            if path == Path::new("-") {
                let what = "is Parquet, which is read from a file: name it".to_owned();
                return Err(TableError::Empty { path: path.to_owned(), what });
            }
            return Ok(Self { path: path.to_owned(), bytes: Vec::new(), kind: Kind::Parquet });
        }
        let bytes = text(bytes).map_err(io)?;
        if let Some(Foreign { name, table, .. }) = foreign::named(&bytes).filter(|kind| !kind.table.is_empty()) {
            return Err(TableError::Empty { path: path.to_owned(), what: format!("is {name}; {table}") });
        }
        let kind = match bytes.trim_ascii_start() {
            [b'{', ..] => Kind::JsonLines,
            [b'[', rest @ ..] if [Some(&b'{'), Some(&b']')].contains(&rest.trim_ascii_start().first()) => {
                Kind::JsonList
            }
            _ => Kind::Csv,
        };
        Ok(Self {
            path: path.to_owned(),
            bytes: if kind == Kind::Csv { crate::lines::unix(bytes) } else { bytes },
            kind,
        })
    }

    /// Rows that were gathered from the files of a folder: a JSON object a line.
    pub fn gathered(path: &Path, lines: Vec<u8>) -> Self {
        Self { path: path.to_owned(), bytes: lines, kind: Kind::JsonLines }
    }

    /// Its header, and its rows from the first one on. A chart of W&B becomes a row a run.
    pub(super) fn rows(&self) -> Result<Opened<'_>, TableError> {
        match self.kind {
            Kind::Csv => wandb::reshaped(delimited::open(&self.path, &self.bytes)?),
            Kind::JsonLines => jsonl::lines(&self.path, &self.bytes),
            Kind::JsonList => jsonl::list(&self.path, &self.bytes),
            Kind::Parquet => parquet::open(&self.path),
        }
    }

    /// Where a row is.
    pub(super) fn at(&self, row: &StringRecord) -> At {
        let number = row.position().map_or(0, csv::Position::line);
        match self.kind {
            Kind::Csv | Kind::JsonLines => At::Line(number),
            Kind::JsonList | Kind::Parquet => At::Row(number),
        }
    }

    /// Where the names of its columns are.
    pub(super) fn names_at(&self) -> At {
        if self.kind == Kind::Csv { At::Line(1) } else { At::Names }
    }
}

/// What Parquet files begin with.
const PARQUET: &[u8] = b"PAR1";

/// All of a file; of a Parquet file its first bytes.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let mut bytes = Vec::new();
    file.by_ref().take(PARQUET.len() as u64).read_to_end(&mut bytes)?;
    if bytes != PARQUET {
        file.read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

/// All of standard input, which is kept: it ends once, and a table may be opened again.
fn standard_input() -> io::Result<Vec<u8>> {
    static READ: Mutex<Option<Vec<u8>>> = Mutex::new(None);
    let mut read = READ.lock().unwrap_or_else(PoisonError::into_inner);
    if read.is_none() {
        let mut bytes = Vec::new();
        io::stdin().lock().read_to_end(&mut bytes)?;
        *read = Some(bytes);
    }
    Ok(read.clone().unwrap_or_default())
}

/// The text of a file, without a byte order mark; Excel saves "Unicode text" as UTF-16.
fn text(bytes: Vec<u8>) -> io::Result<Vec<u8>> {
    let mut unpacked = Vec::new();
    let mut lies = Lies::of(&bytes)?;
    let is_plain = lies.is_plain();
    if !is_plain {
        lies.reader.read_to_end(&mut unpacked)?;
    }
    drop(lies);
    let mut text = if is_plain { bytes } else { unpacked };
    Ok(if text.starts_with(b"\xef\xbb\xbf") { text.split_off(3) } else { text })
}
