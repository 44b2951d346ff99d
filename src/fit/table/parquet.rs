//! Parquet: the columns of its schema, those inside of others as `outer.inner`; a null is an empty cell.

use std::borrow::Cow;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use csv::StringRecord;
use parquet::basic::{ConvertedType, Repetition};
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::reader::RowIter;
use parquet::record::{Field, Row};
use parquet::schema::types::{Type, TypePtr};

use super::error::{At, TableError};
use super::rows::{Opened, Rows, fill};

/// What a list is in a cell: no number, and named by the error that says so.
const LIST: &str = "(a list)";

struct Table {
    path: PathBuf,
    schema: TypePtr,
    rows: RowIter<'static>,
    /// How many rows were read.
    read: u64,
}

/// Opens a Parquet file.
pub(super) fn open<'a>(path: &Path) -> Result<Opened<'a>, TableError> {
    let io = |cause| TableError::Open { path: path.to_owned(), cause };
    let file = File::open(path).map_err(io)?;
    let opened = guarded(|| {
        let reader = SerializedFileReader::new(file)?;
        let schema = reader.metadata().file_metadata().schema_descr().root_schema_ptr();
        Ok((schema, RowIter::from_file_into(Box::new(reader))))
    });
    let (schema, rows) = opened.map_err(|what| TableError::Row { path: path.to_owned(), at: At::Names, what })?;
    let mut names = Vec::new();
    columns(&schema, "", &mut names);
    let headers = StringRecord::from(names);
    Ok(Opened { headers, rows: Box::new(Table { path: path.to_owned(), schema, rows, read: 0 }), note: None })
}

/// The crate checks much, but files that lie have made it panic before.
fn guarded<T>(read: impl FnOnce() -> Result<T, ParquetError>) -> Result<T, String> {
    let remedy = "rewrite it with Snappy, Zstandard or without compression, or get it again";
    catch_unwind(AssertUnwindSafe(read))
        .unwrap_or_else(|_| Err(ParquetError::General("it makes the reader of Parquet panic".to_owned())))
        .map_err(|error| format!("cannot be read as Parquet ({error}); {remedy}"))
}

/// Whether a field is an object with columns inside. A list or a map is one column, and so is what is repeated.
fn has_columns(field: &Type) -> bool {
    let info = field.get_basic_info();
    let repeated = info.has_repetition() && info.repetition() == Repetition::REPEATED;
    field.is_group() && !repeated && info.converted_type() == ConvertedType::NONE && info.logical_type_ref().is_none()
}

/// The names of the columns of a group, in order.
fn columns(group: &Type, outer: &str, names: &mut Vec<String>) {
    for field in group.get_fields() {
        let name = if outer.is_empty() { field.name().to_owned() } else { format!("{outer}.{}", field.name()) };
        if has_columns(field) {
            columns(field, &name, names);
        } else {
            names.push(name);
        }
    }
}

/// The cells of a row or of an object in it, in the order of the columns; empty ones for an object that is null.
fn cells(group: &Type, row: Option<&Row>, out: &mut Vec<String>) {
    let mut values = row.into_iter().flat_map(Row::get_column_iter);
    for field in group.get_fields() {
        let value = values.next().map(|(_, value)| value);
        match value {
            _ if has_columns(field) => {
                let inner = value.and_then(|value| if let Field::Group(row) = value { Some(row) } else { None });
                cells(field, inner, out);
            }
            None | Some(Field::Null) => out.push(String::new()),
            Some(Field::ListInternal(_) | Field::MapInternal(_) | Field::Group(_)) => out.push(LIST.to_owned()),
            // As Display writes them: f32 by its decimal digits, 3.2 and not 3.200000047683716, as it was meant.
            Some(Field::Float(value)) => out.push(value.to_string()),
            Some(Field::Double(value)) => out.push(value.to_string()),
            Some(Field::Str(text)) => out.push(text.clone()),
            Some(other) => out.push(other.to_string()),
        }
    }
}

impl Rows for Table {
    fn next(&mut self, row: &mut StringRecord) -> Result<bool, TableError> {
        let next = guarded(|| self.rows.next().transpose());
        self.read += 1;
        let wrong = |what| TableError::Row { path: self.path.clone(), at: At::Row(self.read), what };
        let Some(found) = next.map_err(wrong)? else { return Ok(false) };
        let mut texts = Vec::new();
        cells(&self.schema, Some(&found), &mut texts);
        fill(row, texts.into_iter().map(Cow::Owned), self.read);
        Ok(true)
    }
}
