//! Parquet: one column has the texts of documents. A null is no document.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use parquet::basic::{Compression, Type as Physical};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::schema::types::{ColumnDescPtr, SchemaDescriptor};

use super::DataError;
use super::bad::{Bad, NOT_UTF8};

/// Rows that are read at once.
const ROWS: usize = 1024;

/// Takes a document, or says what is wrong with it.
type Take<'a> = &'a mut dyn FnMut(&str) -> Result<(), String>;

/// Takes the bytes of a row by its number, or says what ends it all.
type TakeRow<'a> = &'a mut dyn FnMut(usize, &[u8]) -> Result<(), String>;

/// Reads the column and hands each text to `document`, which says what is wrong with it. Errors name the row, from 1; what is
/// wrong with a row and not with the file goes to `bad`.
pub fn read(path: &Path, column: &str, document: Take<'_>, bad: &mut Bad) -> Result<(), DataError> {
    guarded(path, |file| texts(file, column, document, bad))
}

/// What is read of a file. The crate checks much, but files that lie have made it panic before.
fn guarded<T>(path: &Path, work: impl FnOnce(File) -> Result<T, String>) -> Result<T, DataError> {
    let file = File::open(path).map_err(DataError::io("read", path))?;
    catch_unwind(AssertUnwindSafe(|| work(file)))
        .unwrap_or_else(|_| Err("it makes the reader of Parquet panic; it is damaged, get it again".to_owned()))
        .map_err(|what| DataError::content(path, what))
}

/// Bytes that the texts of the column take: less than there are where texts repeat, which a dictionary holds once.
pub fn length(path: &Path, column: &str) -> Result<u64, DataError> {
    guarded(path, |file| {
        let reader = SerializedFileReader::new(file).map_err(|error| damaged(&error))?;
        let index = find(reader.metadata().file_metadata().schema_descr(), column)?;
        let bytes = reader.metadata().row_groups().iter().map(|group| group.column(index).uncompressed_size());
        Ok(bytes.filter_map(|bytes| u64::try_from(bytes).ok()).sum())
    })
}

fn damaged(error: &ParquetError) -> String {
    format!("{error}; it is no Parquet, or damaged; get it again")
}

fn texts(file: File, column: &str, document: Take<'_>, bad: &mut Bad) -> Result<(), String> {
    let reader = SerializedFileReader::new(file).map_err(|error| damaged(&error))?;
    let index = find(reader.metadata().file_metadata().schema_descr(), column)?;
    let mut row = 0;
    for at in 0..reader.num_row_groups() {
        let group = reader.get_row_group(at).map_err(|error| damaged(&error))?;
        let stated = group.metadata().num_rows();
        let compression = group.metadata().column(index).compression();
        if !matches!(compression, Compression::UNCOMPRESSED | Compression::SNAPPY | Compression::ZSTD(_)) {
            return Err(format!(
                "compressed by {compression}; rewrite it with Snappy, Zstandard or without compression"
            ));
        }
        let ColumnReader::ByteArrayColumnReader(values) =
            group.get_column_reader(index).map_err(|error| damaged(&error))?
        else {
            return Err(format!("column {column:?} holds no text in row group {at}; get the file again"));
        };
        let before = row;
        let mut take = |row: usize, value: &[u8]| {
            let remedy = bad.remedy();
            let wrong = |what: String| format!("row {row}: {column}: {what}{remedy}");
            let text = std::str::from_utf8(value).map_err(|error| {
                let after = error.valid_up_to();
                format!("not UTF-8 after {after} bytes; save the column as text, in Python with .decode(\"latin-1\"), or {NOT_UTF8} before")
            });
            text.and_then(&mut *document).map_err(wrong).or_else(|error| bad.take(error))
        };
        rows(values, &mut row, &mut take)?;
        if i64::try_from(row - before) != Ok(stated) {
            let there = row - before;
            return Err(format!("row group {at} states {stated} rows and has {there}; it is damaged, get it again"));
        }
    }
    Ok(())
}

/// The rows of one column of one row group.
fn rows(mut reader: ColumnReaderImpl<ByteArrayType>, row: &mut usize, take: TakeRow<'_>) -> Result<(), String> {
    let (mut values, mut present): (Vec<ByteArray>, Vec<i16>) = (Vec::new(), Vec::new());
    loop {
        values.clear();
        present.clear();
        let (records, _, levels) =
            reader.read_records(ROWS, Some(&mut present), None, &mut values).map_err(|error| damaged(&error))?;
        if records == 0 {
            return Ok(());
        }
        let mut texts = values.iter();
        // Without levels every row has a value; with them those at the highest.
        let highest = present.iter().copied().max().unwrap_or_default();
        let all = levels == 0 || texts.len() == records;
        for at in 0..records {
            *row += 1;
            if !all && present.get(at) != Some(&highest) {
                continue;
            }
            let Some(value) = texts.next() else { continue };
            take(*row, value.data())?;
        }
    }
}

/// The place of the column, which has to hold one text a row.
fn find(schema: &SchemaDescriptor, column: &str) -> Result<usize, String> {
    let named = |about: &&ColumnDescPtr| about.path().string() == column;
    let is_text = |about: &ColumnDescPtr| about.physical_type() == Physical::BYTE_ARRAY && about.max_rep_level() == 0;
    let names: Vec<String> =
        schema.columns().iter().filter(|about| is_text(about)).map(|about| about.path().string()).collect();
    let there = if names.is_empty() { "no columns of text".to_owned() } else { names.join(", ") };
    let advice = format!("its columns of text: {there}; correct data.column");
    let index = schema.columns().iter().position(|about| named(&about));
    let inside: Vec<&ColumnDescPtr> =
        schema.columns().iter().filter(|about| about.path().string().starts_with(&format!("{column}."))).collect();
    let is_list = |about: &ColumnDescPtr| about.max_rep_level() > 0;
    if index.is_none() && inside.iter().any(|about| is_list(about)) {
        return Err(several(column, inside.len() > 1));
    }
    let index = index.ok_or_else(|| {
        let what = if inside.is_empty() { "there is no column" } else { "further columns and no text are in" };
        format!("{what} {column:?}; {advice}")
    })?;
    let about = schema.column(index);
    if is_list(&about) {
        return Err(several(column, false));
    }
    if !is_text(&about) {
        return Err(format!("column {column:?} holds {} and no text; {advice}", about.physical_type()));
    }
    Ok(index)
}

/// What to do with a column of lists: of texts, or of `messages` with a text each.
fn several(column: &str, messages: bool) -> String {
    let each = if messages { "\"\\n\".join(item[\"content\"] for item in items)" } else { "\"\\n\".join(items)" };
    format!(
        "column {column:?} is a list, and a document is one text: join it in pandas with df[{column:?}] = df[{column:?}].map(lambda \
         items: {each}), and save it again"
    )
}
