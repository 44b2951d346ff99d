//! Rows of text cells, whatever file they come from.

use std::borrow::Cow;

use csv::StringRecord;

use super::error::TableError;

/// Rows of text cells, in the order of the file.
pub(super) trait Rows {
    /// Reads the next row, with the number of its line or row as its position; whether there was one.
    fn next(&mut self, row: &mut StringRecord) -> Result<bool, TableError>;
}

/// A table whose header was read.
pub(super) struct Opened<'a> {
    pub(super) headers: StringRecord,
    pub(super) rows: Box<dyn Rows + 'a>,
    /// What was made of the file, for the user.
    pub(super) note: Option<String>,
}

/// Rows that are in memory.
pub(super) struct Listed(pub(super) std::vec::IntoIter<StringRecord>);

impl Rows for Listed {
    fn next(&mut self, row: &mut StringRecord) -> Result<bool, TableError> {
        let Some(next) = self.0.next() else { return Ok(false) };
        *row = next;
        Ok(true)
    }
}

/// Fills a row with cells, and says where it is.
pub(super) fn fill<'a>(row: &mut StringRecord, cells: impl Iterator<Item = Cow<'a, str>>, number: u64) {
    row.clear();
    cells.for_each(|cell| row.push_field(&cell));
    let mut position = csv::Position::new();
    position.set_line(number);
    row.set_position(Some(position));
}

/// The header and all rows.
#[cfg(test)]
pub(super) type Cells = Vec<Vec<String>>;

/// What tests look at.
#[cfg(test)]
pub(super) fn cells(opened: Result<Opened<'_>, TableError>) -> Result<Cells, String> {
    let mut opened = opened.map_err(|error| error.to_string())?;
    let cells = |row: &StringRecord| row.iter().map(str::to_owned).collect::<Vec<_>>();
    let (mut found, mut row) = (vec![cells(&opened.headers)], StringRecord::new());
    while opened.rows.next(&mut row).map_err(|error| error.to_string())? {
        found.push(cells(&row));
    }
    Ok(found)
}
