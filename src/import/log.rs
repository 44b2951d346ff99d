//! The log of one run, line by line: JSON Lines, or CSV as Lightning's `CSVLogger` and many scripts write it, a row a measurement.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::ImportError;
use super::tracked::{Fields, Tracked, folders, inside, text, value};
use crate::fit::table::{self, Field};
use crate::lines::plain_json;

/// Names of steps that come before others on a line that has several.
pub const STEPS: [&str; 4] = ["step", "_step", "global_step", "iter"];

/// Where Lightning writes the settings of a run, beside its log.
const SETTINGS: &str = "hparams.yaml";

/// The logs of a folder, a run each.
pub fn runs(folder: &Path) -> Result<Vec<Tracked>, ImportError> {
    logs(folder, "")
}

/// The logs of the folders in a folder; where some have none, of those further below.
pub fn runs_inside(folder: &Path) -> Result<Vec<Tracked>, ImportError> {
    for inner in inside(folder)?.into_iter().filter(|inner| inner.is_dir()) {
        if inside(&inner)?.iter().any(|path| is_log(path)) {
            return runs_below(folder);
        }
    }
    Ok(Vec::new())
}

/// The logs of the folders below a folder, at any depth: those further below a log are not of a run of their own.
pub fn runs_below(folder: &Path) -> Result<Vec<Tracked>, ImportError> {
    let mut with_logs: Vec<PathBuf> = Vec::new();
    let mut found = Vec::new();
    for inner in folders(folder)?.into_iter().skip(1) {
        if with_logs.iter().any(|log| inner.starts_with(log)) {
            continue;
        }
        let runs = logs(&inner, &called(&inner, folder))?;
        if !runs.is_empty() {
            with_logs.push(inner);
            found.extend(runs);
        }
    }
    Ok(found)
}

/// What the logs of a folder are called by.
fn called(inner: &Path, folder: &Path) -> String {
    inner.strip_prefix(folder).unwrap_or(inner).to_string_lossy().into_owned()
}

/// The logs in a folder, sorted. Those of a folder inside are called by both; one that is alone there, which may be called
/// alike in each, by its folder.
fn logs(folder: &Path, called: &str) -> Result<Vec<Tracked>, ImportError> {
    let logs: Vec<PathBuf> = inside(folder)?.into_iter().filter(|path| is_log(path)).collect();
    let alone = logs.len() == 1;
    let name = |log: &PathBuf| match log.file_stem().unwrap_or_default().to_string_lossy() {
        stem if called.is_empty() => stem.into_owned(),
        _ if alone => called.to_owned(),
        stem => format!("{called}/{stem}"),
    };
    let read = |path: PathBuf| {
        let (lines, settings) = (lines(&path)?, settings(&path));
        Ok(Tracked { name: name(&path), path, lines, settings, ..Tracked::default() })
    };
    logs.into_iter().map(read).collect()
}

/// Whether a file is a log.
fn is_log(path: &Path) -> bool {
    let ending = path.extension().unwrap_or_default();
    path.is_file() && (ending == "jsonl" || ending == "ndjson" || ending == "csv" && has_columns_of_a_log(path))
}

/// Losses along steps, and not a run a row: parameters are those of one run.
fn has_columns_of_a_log(path: &Path) -> bool {
    let Ok(mut reader) = csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_path(path) else {
        return false;
    };
    let Ok(header) = reader.headers().cloned() else { return false };
    let has = |is: &dyn Fn(&str) -> bool| header.iter().any(is);
    if !has(&table::is_step) || !has(&|name| name.to_lowercase().contains("loss")) {
        return false;
    }
    let Some(params) = header.iter().position(|name| table::calls(Field::Params, name)) else { return true };
    let (mut rows, mut sizes) = (0, BTreeSet::new());
    for row in reader.records().map_while(Result::ok) {
        rows += 1;
        sizes.extend(row.get(params).filter(|cell| !cell.is_empty()).map(str::to_owned));
    }
    rows > 1 && sizes.len() < 2
}

/// What each line tells; nothing where it is not understood.
fn lines(path: &Path) -> Result<Vec<Option<Fields>>, ImportError> {
    let text = text(path)?;
    if path.extension().is_some_and(|ending| ending == "csv") {
        return Ok(rows(&text));
    }
    Ok(text.lines().filter(|line| !line.trim().is_empty()).map(json).collect())
}

/// JSON as people write it: what is no number, for which it has no word, is a text as W&B writes it.
pub fn json<T: serde::de::DeserializeOwned>(text: &str) -> Option<T> {
    let plain = || serde_json::from_slice(&plain_json(text.as_bytes())).ok();
    serde_json::from_str(text).ok().or_else(plain)
}

/// Rows of a CSV, each without its empty cells: a row of a training loss has none of validation.
fn rows(text: &str) -> Vec<Option<Fields>> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_reader(text.as_bytes());
    let Ok(header) = reader.headers().cloned() else { return Vec::new() };
    let told = |row: csv::StringRecord| {
        let cells = header.iter().zip(row.iter()).filter(|(name, cell)| !name.is_empty() && !cell.is_empty());
        cells.map(|(name, cell)| (name.to_owned(), value(cell))).collect()
    };
    reader.records().map(|row| row.ok().map(told)).collect()
}

/// Settings that stand beside a log: the lines of `hparams.yaml` with a name and a value, those of nested tables left out.
pub fn settings(log: &Path) -> Fields {
    let text = fs::read_to_string(log.with_file_name(SETTINGS)).unwrap_or_default();
    let setting = |line: &str| {
        let (name, told) = line.split_once(": ")?;
        let told = told.trim().trim_matches(['\'', '"']);
        let is_plain =
            !name.starts_with([' ', '#', '-']) && !told.starts_with(['!', '&', '*']) && !["", "null"].contains(&told);
        is_plain.then(|| (name.to_owned(), value(told)))
    };
    text.lines().filter_map(setting).collect()
}
