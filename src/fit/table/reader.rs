//! Cells of a CSV as numbers, with errors that say where.

use std::fmt;
use std::io::Cursor;
use std::path::Path;
use std::str::FromStr;

use csv::StringRecord;

use crate::fit::table::{Columns, Field, TableError};

/// Where one field is.
pub(super) struct Place {
    pub(super) index: usize,
    pub(super) column: String,
}

/// Finds columns and reads their cells.
pub(super) struct Reader<'a> {
    path: &'a Path,
    pub(super) headers: StringRecord,
    columns: &'a Columns,
}

/// An open table whose header was read.
pub(super) struct Source<'a> {
    pub(super) csv: csv::Reader<Cursor<Vec<u8>>>,
    pub(super) reader: Reader<'a>,
}

impl<'a> Source<'a> {
    pub(super) fn open(path: &'a Path, columns: &'a Columns) -> Result<Self, TableError> {
        let text = std::fs::read(path).map_err(|cause| TableError::Open { path: path.to_owned(), cause })?;
        let mut csv = csv::Reader::from_reader(Cursor::new(unix_lines(text)));
        let mut reader = Reader { path, headers: StringRecord::new(), columns };
        reader.headers = csv.headers().map_err(|error| reader.row_error(&error))?.clone();
        if reader.headers.iter().all(|header| header.trim().is_empty()) {
            return Err(reader.empty("is empty; it needs a header and one row a run".to_owned()));
        }
        Ok(Self { csv, reader })
    }
}

/// Lines that end as on Unix: after `\r\n` the csv crate counts a line too few.
fn unix_lines(mut text: Vec<u8>) -> Vec<u8> {
    let mut before = 0;
    // Looks one ahead: what was kept so far is no longer than what was read.
    for at in 0..text.len() {
        if !(text[at] == b'\r' && text.get(at + 1) == Some(&b'\n')) {
            text[before] = text[at];
            before += 1;
        }
    }
    text.truncate(before);
    text
}

impl Reader<'_> {
    /// The column of a field, or nothing where it has none.
    pub(super) fn find(&self, field: Field) -> Result<Option<Place>, TableError> {
        if let Some(column) = self.columns.named(field) {
            return self.named(column)?.map(Some).ok_or_else(|| self.missing(field, ""));
        }
        let found = field.names().iter().map(|column| self.named(column));
        found.reduce(|first, next| if matches!(first, Ok(None)) { next } else { first }).unwrap_or(Ok(None))
    }

    /// The column of the first of some fields that has one.
    pub(super) fn first(&self, fields: &[Field]) -> Result<Place, TableError> {
        for field in fields {
            if let Some(place) = self.find(*field)? {
                return Ok(place);
            }
        }
        Err(self.missing(fields[0], ""))
    }

    /// The one column of this name.
    fn named(&self, column: &str) -> Result<Option<Place>, TableError> {
        let mut found = self.headers.iter().enumerate().filter(|(_, header)| header.trim() == column);
        let Some((index, _)) = found.next() else { return Ok(None) };
        if found.next().is_some() {
            return Err(TableError::Duplicate { path: self.path.to_owned(), column: column.to_owned() });
        }
        Ok(Some(Place { index, column: column.to_owned() }))
    }

    pub(super) fn require(&self, field: Field, hint: &'static str) -> Result<Place, TableError> {
        self.find(field)?.ok_or_else(|| self.missing(field, hint))
    }

    pub(super) fn missing(&self, field: Field, hint: &'static str) -> TableError {
        TableError::Missing {
            path: self.path.to_owned(),
            column: self.columns.named(field).unwrap_or(field.names()[0]).to_owned(),
            field: field.names()[0],
            found: self.known(),
            hint,
        }
    }

    fn known(&self) -> String {
        self.headers.iter().map(|header| format!("'{}'", header.trim())).collect::<Vec<_>>().join(", ")
    }

    /// The column by which rows are grouped, which may be any one.
    pub(super) fn by(&self, column: &str) -> Result<Place, TableError> {
        self.named(column)?.ok_or_else(|| TableError::By {
            path: self.path.to_owned(),
            column: column.to_owned(),
            found: self.known(),
        })
    }

    pub(super) fn too_many_groups(&self, column: &str, most: usize) -> TableError {
        TableError::Groups { path: self.path.to_owned(), column: column.to_owned(), most }
    }

    pub(super) fn empty(&self, what: String) -> TableError {
        TableError::Empty { path: self.path.to_owned(), what }
    }

    pub(super) fn cell_error(&self, row: &StringRecord, place: &Place, what: impl fmt::Display) -> TableError {
        TableError::Cell {
            path: self.path.to_owned(),
            line: row.position().map_or(0, csv::Position::line),
            column: place.column.clone(),
            what: what.to_string(),
        }
    }

    /// A cell, or nothing where it is empty.
    pub(super) fn optional<T: FromStr>(
        &self,
        row: &StringRecord,
        place: &Place,
        kind: &str,
    ) -> Result<Option<T>, TableError> {
        let text = row[place.index].trim();
        if text.is_empty() {
            return Ok(None);
        }
        text.parse().map(Some).map_err(|_| {
            // As pandas and others write what is missing.
            let missing = ["None", "NA", "null", "nan", "NaN"].contains(&text);
            let remedy = if missing { "; where there is none, leave the cell empty" } else { "" };
            self.cell_error(row, place, format_args!("'{text}' is not {kind}{remedy}"))
        })
    }

    /// A positive finite number, or nothing where the cell is empty.
    fn positive(&self, row: &StringRecord, place: &Place) -> Result<Option<f64>, TableError> {
        let Some(value) = self.optional::<f64>(row, place, "a number")? else { return Ok(None) };
        if value.is_finite() && value > 0.0 {
            return Ok(Some(value));
        }
        Err(self.cell_error(row, place, format_args!("{value} is not above zero and finite; leave such a run out")))
    }

    pub(super) fn required(&self, row: &StringRecord, place: &Place) -> Result<f64, TableError> {
        self.positive(row, place)?
            .ok_or_else(|| self.cell_error(row, place, "is empty; write the number or leave the run out"))
    }

    pub(super) fn maybe(&self, row: &StringRecord, place: Option<&Place>) -> Result<Option<f64>, TableError> {
        place.map_or(Ok(None), |place| self.positive(row, place))
    }

    /// A standard error: zero or more, or nothing where the cell is empty.
    pub(super) fn standard_error(&self, row: &StringRecord, place: &Place) -> Result<Option<f64>, TableError> {
        let value = self.optional::<f64>(row, place, "a number")?;
        match value {
            Some(x) if !x.is_finite() || x < 0.0 => {
                Err(self.cell_error(row, place, format_args!("{x} is not a standard error; leave it empty")))
            }
            _ => Ok(value),
        }
    }

    pub(super) fn row_error(&self, error: &csv::Error) -> TableError {
        let line = error.position().map_or(1, csv::Position::line);
        let what = match error.kind() {
            csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
                format!("{len} cells, where the header has {expected_len} columns")
            }
            csv::ErrorKind::Utf8 { .. } => "is not UTF-8 text; save the table as a UTF-8 CSV".to_owned(),
            _ => error.to_string(),
        };
        TableError::Row { path: self.path.to_owned(), line, what }
    }
}
