//! What can be wrong with a table. Every text names the file, and the line and the column where there is one.

use std::path::PathBuf;

use thiserror::Error;

/// A table that cannot be read. Every text names the file, and the line and the column where there is one.
#[derive(Debug, Error)]
pub enum TableError {
    /// The file cannot be opened.
    #[error("{}: cannot be read: {cause}", path.display())]
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
    /// The header lacks a column.
    #[error("{}:1: there is no column '{column}'; the columns are {found}. Say which one it is with --columns {field}=NAME{hint}", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// The column looked for.
        column: String,
        /// Its name for `--columns`.
        field: &'static str,
        /// The columns that are there.
        found: String,
        /// Another way out, where there is one.
        hint: &'static str,
    },
    /// The header has a column twice.
    #[error("{}:1: column '{column}' is there twice: rename one of the two", path.display())]
    Duplicate {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
    },
    /// A cell that is not the number it should be.
    #[error("{}:{line}: column '{column}': {what}", path.display())]
    Cell {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: u64,
        /// The column.
        column: String,
        /// What is wrong and what to write.
        what: String,
    },
    /// A row that is no row.
    #[error("{}:{line}: {what}", path.display())]
    Row {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: u64,
        /// What is wrong.
        what: String,
    },
    /// The column of `--by` is not there.
    #[error("{}:1: there is no column '{column}' for --by; the columns are {found}", path.display())]
    By {
        /// The file.
        path: PathBuf,
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
