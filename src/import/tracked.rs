//! What the files of one run tell, wherever they are from.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::ImportError;

/// What is told at once, by name.
pub type Fields = Map<String, Value>;

/// What the files of one run tell.
#[derive(Debug, Default)]
pub struct Tracked {
    /// What it is called.
    pub name: String,
    /// Where that is told, for people.
    pub path: PathBuf,
    /// What is told one after the other; nothing for a line that is not understood.
    pub lines: Vec<Option<Fields>>,
    /// What holds for the whole run, where no line tells it.
    pub settings: Fields,
    /// How it ended, where a tracker says so.
    pub status: Option<String>,
    /// What is wrong with its files, for people.
    pub notes: Vec<String>,
}

/// The status of a run that ended well.
pub const FINISHED: &str = "finished";
/// Those of runs that may have come to their last step and not told that they ended.
pub const UNENDED: [&str; 3] = ["without an end", "running", "killed"];

/// What is in a folder, sorted.
pub fn inside(path: &Path) -> Result<Vec<PathBuf>, ImportError> {
    let cannot = |cause| ImportError::Read { path: path.to_owned(), cause };
    let entries = fs::read_dir(path).map_err(cannot)?.collect::<Result<Vec<_>, _>>().map_err(cannot)?;
    let mut paths: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).collect();
    paths.sort();
    Ok(paths)
}

/// Folders below a folder, sorted, itself first, each once: W&B has a link to its latest run.
pub fn folders(path: &Path) -> Result<Vec<PathBuf>, ImportError> {
    let (mut found, mut seen) = (Vec::new(), BTreeSet::new());
    add_folders(path, &mut found, &mut seen)?;
    Ok(found)
}

fn add_folders(path: &Path, found: &mut Vec<PathBuf>, seen: &mut BTreeSet<PathBuf>) -> Result<(), ImportError> {
    let real = path.canonicalize().map_err(|cause| ImportError::Read { path: path.to_owned(), cause })?;
    if !seen.insert(real) {
        return Ok(());
    }
    found.push(path.to_owned());
    let folders: Vec<PathBuf> = inside(path)?.into_iter().filter(|inner| inner.is_dir()).collect();
    let (links, own): (Vec<_>, Vec<_>) = folders.into_iter().partition(|inner| inner.is_symlink());
    own.iter().chain(&links).try_for_each(|inner| add_folders(inner, found, seen))
}

/// A file as bytes.
pub fn bytes(path: &Path) -> Result<Vec<u8>, ImportError> {
    fs::read(path).map_err(|cause| ImportError::Read { path: path.to_owned(), cause })
}

/// A file as text, whatever bytes it has.
pub fn text(path: &Path) -> Result<String, ImportError> {
    Ok(String::from_utf8_lossy(&bytes(path)?).into_owned())
}

/// A number as a value. What is no number, for which JSON has no word, is a text as W&B writes it.
pub fn number(value: f64) -> Value {
    serde_json::Number::from_f64(value).map_or_else(|| value.to_string().into(), Value::Number)
}

/// A number where the text is one.
pub fn value(text: &str) -> Value {
    let number = text.parse::<f64>().ok().and_then(serde_json::Number::from_f64);
    number.map_or_else(|| text.into(), Value::Number)
}

/// Measurements of one run, with when each was told.
#[derive(Debug, Default)]
pub struct Steps(Vec<Measured>);

#[derive(Debug)]
struct Measured {
    time: f64,
    step: i64,
    name: String,
    value: f64,
}

impl Steps {
    /// Adds a measurement; `time` in any unit.
    pub fn add(&mut self, time: f64, step: i64, name: &str, value: f64) {
        self.0.push(Measured { time, step, name: name.to_owned(), value });
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// In the order in which they were told, those of one step that follow each other on one line.
    pub fn lines(mut self) -> Vec<Option<Fields>> {
        self.0.sort_by(|a, b| a.time.total_cmp(&b.time).then(a.step.cmp(&b.step)));
        let mut lines: Vec<(i64, Fields)> = Vec::new();
        for Measured { step, name, value, .. } in self.0 {
            match lines.last_mut().filter(|(last, _)| *last == step) {
                Some((_, told)) => drop(told.insert(name, number(value))),
                None => lines.push((step, Fields::from_iter([(name, number(value))]))),
            }
        }
        let line = |(step, mut told): (i64, Fields)| {
            told.entry("step").or_insert_with(|| step.into());
            Some(told)
        };
        lines.into_iter().map(line).collect()
    }
}
