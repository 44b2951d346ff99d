//! What can be wrong with a table. Every text names the file, and the line and the column where there is one.

use std::path::{Path, PathBuf};
use std::{fmt, io};

use thiserror::Error;

use crate::paths;

/// Where something stands in the file of a table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum At {
    /// A line, counted from 1.
    Line(u64),
    /// A row, counted from 1, where a file has no lines.
    Row(u64),
    /// The names of its columns.
    Names,
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(line) => write!(f, ":{line}"),
            Self::Row(row) => write!(f, ", row {row}"),
            Self::Names => Ok(()),
        }
    }
}

impl At {
    /// As a sentence says it.
    pub(super) fn told(self) -> String {
        match self {
            Self::Line(line) => format!(" (line {line})"),
            Self::Row(row) => format!(" (row {row})"),
            Self::Names => String::new(),
        }
    }
}

fn not_read(path: &Path, cause: &io::Error) -> String {
    let missing = (cause.kind() == io::ErrorKind::NotFound).then(|| paths::meant(path)).flatten();
    missing.unwrap_or_else(|| cause.to_string())
}

/// A table that cannot be read. Every text names the file, and the line and the column where there is one.
#[derive(Debug, Error)]
pub enum TableError {
    /// The file cannot be opened.
    #[error("{}: cannot be read: {}", path.display(), not_read(path, cause))]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// A pair of `--columns` that means nothing.
    #[error("--columns {pair}: write field=column, with a field out of {known}")]
    Columns {
        /// The pair as it was written.
        pair: String,
        /// The fields there are.
        known: String,
    },
    /// A field that `--columns` names twice.
    #[error("--columns names {name} twice: leave one of them out")]
    NamedTwice {
        /// The field.
        name: String,
    },
    /// A unit of `--columns` that is none.
    #[error("--columns {asked}: [{unit}] is not a unit: write k, M, B, T or a number such as [1e18]")]
    Unit {
        /// The column with its unit as it was written.
        asked: String,
        /// The unit.
        unit: String,
    },
    /// A loss of `--columns` that is a perplexity.
    #[error(
        "--columns {asked}: by its name it is a perplexity; take its logarithm, which is nats per token, and give it another name"
    )]
    Perplexity {
        /// The column as it was written.
        asked: String,
    },
    /// The header lacks a column.
    #[error("{}{at}: there is no column '{column}'{sought}; the columns are {found}{close}. Say which one it is with {remedy}", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// Where its names are.
        at: At,
        /// The column looked for.
        column: Box<str>,
        /// What it would hold, where `--columns` asked for it by another name.
        sought: Box<str>,
        /// The columns that are there.
        found: Box<str>,
        /// Those that are nearly called so.
        close: Box<str>,
        /// The `--columns` that says it, and other ways out.
        remedy: Box<str>,
    },
    /// Several columns may be one field.
    #[error("{}{at}: {choices} may each be '{field}': say which one is, with {ways}", path.display())]
    Ambiguous {
        /// The file.
        path: PathBuf,
        /// Where its names are.
        at: At,
        /// The columns.
        choices: String,
        /// The name of the field for `--columns`.
        field: &'static str,
        /// What to write.
        ways: String,
    },
    /// The header has a column twice.
    #[error("{}{at}: column '{column}' appears twice: rename one of the two", path.display())]
    Duplicate {
        /// The file.
        path: PathBuf,
        /// Where its names are.
        at: At,
        /// The column.
        column: String,
    },
    /// A cell that is not the number it should be.
    #[error("{}{at}: column '{column}': {what}", path.display())]
    Cell {
        /// The file.
        path: PathBuf,
        /// The line or row.
        at: At,
        /// The column.
        column: String,
        /// What is wrong and what to write.
        what: String,
    },
    /// A cell that is no number, of a column that a formula names.
    #[error("{cell}")]
    Named {
        /// The name in the formula.
        name: String,
        /// What is wrong with the cell.
        cell: Box<TableError>,
    },
    /// A column of a formula that is the one which it predicts.
    #[error("'{name}' and '{target}' are one column: a law predicts it from others")]
    Predicted {
        /// The name in the formula.
        name: String,
        /// What it predicts.
        target: String,
    },
    /// The column that a formula predicts is not there.
    #[error("{}{at}: there is no column '{column}' to predict; the columns are {found}", path.display())]
    Target {
        /// The file.
        path: PathBuf,
        /// Where its names are.
        at: At,
        /// The column.
        column: String,
        /// The columns that are there.
        found: String,
    },
    /// Rows without a number or a group that a fit needs.
    #[error(
        "{first}{}: write what is missing, or leave such rows out with --skip-incomplete, which counts them",
        others(also)
    )]
    Incomplete {
        /// The first of them.
        first: Box<TableError>,
        /// Where the others are.
        also: Vec<At>,
    },
    /// A row that is no row.
    #[error("{}{at}: {what}", path.display())]
    Row {
        /// The file.
        path: PathBuf,
        /// The line or row.
        at: At,
        /// What is wrong.
        what: String,
    },
    /// The column of `--by` is not there.
    #[error("{}{at}: there is no column '{column}' for --by; the columns are {found}", path.display())]
    By {
        /// The file.
        path: PathBuf,
        /// Where its names are.
        at: At,
        /// The column looked for.
        column: String,
        /// The columns that are there.
        found: String,
    },
    /// The column of `--by` has a value for nearly every row.
    #[error("{}: --by {column}: more than {most} different values; a group needs rows to fit", path.display())]
    Groups {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
        /// Most groups that are fitted.
        most: usize,
    },
    /// No rows to fit.
    #[error("{}: {what}", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
        /// What is missing.
        what: String,
    },
}

/// Rows that are named one by one.
const NAMED: usize = 5;

/// Where else something is missing: ` (lines 7, 9 too)`.
fn others(also: &[At]) -> String {
    let number = |at: &At| match at {
        At::Line(number) | At::Row(number) => number.to_string(),
        At::Names => String::new(),
    };
    let noun = if matches!(also.first(), Some(At::Row(_))) { "row" } else { "line" };
    let numbers = also.iter().take(NAMED).map(number).collect::<Vec<_>>().join(", ");
    match also.len() {
        0 => String::new(),
        1 => format!(" ({noun} {numbers} too)"),
        2..=NAMED => format!(" ({noun}s {numbers} too)"),
        count => format!(" ({noun}s {numbers} and {} more too)", count - NAMED),
    }
}
