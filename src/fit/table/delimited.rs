//! CSV, with commas, semicolons or tabs between the cells.

use std::path::{Path, PathBuf};

use csv::{ReaderBuilder, StringRecord};

use super::error::{At, TableError};
use super::rows::{Opened, Rows};

/// What may stand between cells; the first one where nothing tells.
const DELIMITERS: [u8; 3] = [b',', b';', b'\t'];
/// Rows that are looked at to tell which one it is.
const LOOK: usize = 20;

struct Csv<'a> {
    path: PathBuf,
    reader: csv::Reader<&'a [u8]>,
    /// Lines before the header.
    before: u64,
}

/// Opens a CSV whose lines end as on Unix.
pub(super) fn open<'a>(path: &Path, bytes: &'a [u8]) -> Result<Opened<'a>, TableError> {
    let (told, table) = told(bytes);
    let delimiter = told.unwrap_or_else(|| recognised(table));
    let reader = ReaderBuilder::new().delimiter(delimiter).from_reader(table);
    let mut csv = Csv { path: path.to_owned(), reader, before: u64::from(told.is_some()) };
    let headers = csv.reader.headers().cloned().map_err(|error| csv.error(&error))?;
    if headers.iter().all(|header| header.trim().is_empty()) {
        let what = "is empty; it needs a header and one row a run".to_owned();
        return Err(TableError::Empty { path: path.to_owned(), what });
    }
    Ok(Opened { headers, rows: Box::new(csv), note: None })
}

/// The delimiter of a first line `sep=;`, as Excel reads and some programs write it, and what follows.
fn told(bytes: &[u8]) -> (Option<u8>, &[u8]) {
    match bytes.strip_prefix(b"sep=") {
        Some([delimiter, b'\n', rest @ ..]) => (Some(*delimiter), rest),
        _ => (None, bytes),
    }
}

/// The delimiter that gives the most columns, of those that give every row as many as the header.
fn recognised(table: &[u8]) -> u8 {
    let judge = |delimiter: u8| {
        let mut reader = ReaderBuilder::new().delimiter(delimiter).from_reader(table);
        let columns = reader.headers().map_or(0, StringRecord::len);
        let even = reader.records().take(LOOK).all(|row| row.is_ok());
        (even && columns > 1, columns)
    };
    // Of equals the last is taken, which is the first of the list.
    DELIMITERS.into_iter().rev().max_by_key(|delimiter| judge(*delimiter)).unwrap_or(b',')
}

impl Rows for Csv<'_> {
    fn next(&mut self, row: &mut StringRecord) -> Result<bool, TableError> {
        loop {
            if !self.reader.read_record(row).map_err(|error| self.error(&error))? {
                return Ok(false);
            }
            // Spreadsheets write rows of nothing but delimiters below a table.
            if row.iter().any(|cell| !cell.trim().is_empty()) {
                break;
            }
        }
        if let (Some(position), 1..) = (row.position(), self.before) {
            let mut position = position.clone();
            position.set_line(position.line() + self.before);
            row.set_position(Some(position));
        }
        Ok(true)
    }
}

impl Csv<'_> {
    fn error(&self, error: &csv::Error) -> TableError {
        let line = error.position().map_or(1, csv::Position::line) + self.before;
        let what = match error.kind() {
            csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
                format!("{len} cells, where the header has {expected_len} columns")
            }
            csv::ErrorKind::Utf8 { .. } => "is not UTF-8 text; save the table as a UTF-8 CSV".to_owned(),
            _ => error.to_string(),
        };
        TableError::Row { path: self.path.clone(), at: At::Line(line), what }
    }
}

#[cfg(test)]
mod tests {
    use super::super::rows::{Cells, cells};
    use super::*;

    fn rows(text: &str) -> Result<Cells, String> {
        cells(open(Path::new("t.csv"), text.as_bytes()))
    }

    #[test]
    fn cells_stand_between_commas_semicolons_or_tabs() {
        for delimiter in [",", ";", "\t"] {
            let text = ["N,D,L", "1,2,3", "4,5,6"].join("\n").replace(',', delimiter);
            assert_eq!(rows(&text).unwrap()[1], ["1", "2", "3"], "{delimiter:?}");
        }
        assert_eq!(rows("N;D;L\n1,5;2,5;3,1\n").unwrap()[1], ["1,5", "2,5", "3,1"]);
        assert_eq!(rows("\"N;all\",L\n1,2\n").unwrap()[0], ["N;all", "L"]);
        assert_eq!(rows("sep=|\nN|L\n1|2\n").unwrap()[1], ["1", "2"]);
    }

    #[test]
    fn rows_of_nothing_are_none_and_rows_of_too_little_are_errors() {
        assert_eq!(rows("N,L\n1,2\n,\n\n , \n3,4\n").unwrap().len(), 3);
        assert!(rows("N,D,L\n1,2,3\n1,2\n").unwrap_err().contains("t.csv:3: 2 cells"));
        assert!(rows("sep=;\nN;L\n1\n").unwrap_err().contains("t.csv:3: 1 cells"));
        assert!(rows("").unwrap_err().contains("is empty"));
        assert!(rows(",,\n").unwrap_err().contains("is empty"));
    }
}
