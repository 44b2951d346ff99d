//! The log of one run, line by line: JSON Lines, or CSV as Lightning's `CSVLogger` and many scripts write it, a row a measurement.

use std::fs;
use std::path::Path;

use serde_json::{Map, Value};

use super::ImportError;
use crate::fit::table::{self, Field};
use crate::lines::plain_json;

/// Names of steps.
pub const STEPS: [&str; 4] = ["step", "_step", "global_step", "iter"];

/// Where Lightning writes the settings of a run, beside its log.
const SETTINGS: &str = "hparams.yaml";

/// What is told at once, by name.
pub type Told = Map<String, Value>;

/// Whether a file is a log.
pub fn is_log(path: &Path) -> bool {
    let ending = path.extension().unwrap_or_default();
    path.is_file() && (ending == "jsonl" || ending == "ndjson" || ending == "csv" && has_columns_of_a_log(path))
}

/// Losses along steps, and not a run a row.
fn has_columns_of_a_log(path: &Path) -> bool {
    let Ok(mut reader) = csv::Reader::from_path(path) else { return false };
    let Ok(header) = reader.headers() else { return false };
    let has = |is: &dyn Fn(&str) -> bool| header.iter().any(|name| is(name.trim()));
    has(&|name| STEPS.contains(&name))
        && has(&|name| name.contains("loss"))
        && !has(&|name| table::calls(Field::Params, name))
}

/// A file as text, whatever bytes it has.
pub fn read(path: &Path) -> Result<String, ImportError> {
    let bytes = fs::read(path).map_err(|cause| ImportError::Read { path: path.to_owned(), cause })?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// What each line tells; nothing where it is not understood.
pub fn lines(path: &Path) -> Result<Vec<Option<Told>>, ImportError> {
    let text = read(path)?;
    if path.extension().is_some_and(|ending| ending == "csv") {
        return Ok(rows(&text));
    }
    Ok(text.lines().filter(|line| !line.trim().is_empty()).map(object).collect())
}

/// A line as an object. What is no number, for which JSON has no word, is a text as W&B writes it.
fn object(line: &str) -> Option<Told> {
    let plain = || serde_json::from_slice(&plain_json(line.as_bytes())).ok();
    serde_json::from_str(line).ok().or_else(plain)
}

/// Rows of a CSV, each without its empty cells: a row of a training loss has none of validation.
fn rows(text: &str) -> Vec<Option<Told>> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_reader(text.as_bytes());
    let Ok(header) = reader.headers().cloned() else { return Vec::new() };
    let told = |row: csv::StringRecord| {
        let cells = header.iter().zip(row.iter()).filter(|(name, cell)| !name.is_empty() && !cell.is_empty());
        cells.map(|(name, cell)| (name.to_owned(), value(cell))).collect()
    };
    reader.records().map(|row| row.ok().map(told)).collect()
}

/// A number where it is one.
fn value(text: &str) -> Value {
    let number = text.parse::<f64>().ok().and_then(serde_json::Number::from_f64);
    number.map_or_else(|| text.into(), Value::Number)
}

/// Settings that stand beside a log: the lines of `hparams.yaml` with a name and a value, those of nested tables left out.
pub fn settings(log: &Path) -> Told {
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
