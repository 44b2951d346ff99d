//! Tables as Parquet (the format's description: <https://parquet.apache.org/docs/file-format/>).
//!
//! One row group, compressed with Snappy. Text is UTF-8, whole numbers are INT64, numbers DOUBLE; all may be null.

use std::io::Write;
use std::sync::Arc;

use parquet::basic::{Compression, LogicalType, Repetition, Type as Physical};
use parquet::data_type::{ByteArray, ByteArrayType, DataType, DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::types::Type;

use super::table::{Column, Table, Values};

/// Writes a table; `headline` is what its sweep found, and is kept with the metadata of the file.
pub fn write(table: &Table, headline: Option<&str>, out: &mut (dyn Write + Send)) -> Result<(), ParquetError> {
    let fields = table.columns.iter().map(|column| field(column).map(Arc::new)).collect::<Result<_, _>>()?;
    let schema = Arc::new(Type::group_type_builder("runner").with_fields(fields).build()?);
    let found = headline.map(|headline| vec![KeyValue::new("runner.headline".to_owned(), headline.to_owned())]);
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY);
    let properties = properties.set_key_value_metadata(found).build();
    let mut file = SerializedFileWriter::new(out, schema, Arc::new(properties))?;
    let mut group = file.next_row_group()?;
    for column in &table.columns {
        let mut writer = group.next_column()?.expect("a writer for each field of the schema");
        match &column.values {
            Values::Text(values) => {
                let values = values.iter().map(|value| value.as_deref().map(ByteArray::from));
                fill::<ByteArrayType>(&mut writer, values)?;
            }
            Values::Integer(values) => fill::<Int64Type>(&mut writer, values.iter().copied())?,
            Values::Number(values) => fill::<DoubleType>(&mut writer, values.iter().copied())?,
        }
        writer.close()?;
    }
    group.close()?;
    file.close().map(|_| ())
}

fn field(column: &Column) -> Result<Type, ParquetError> {
    let (physical, logical) = match column.values {
        Values::Text(_) => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
        Values::Integer(_) => (Physical::INT64, None),
        Values::Number(_) => (Physical::DOUBLE, None),
    };
    Type::primitive_type_builder(&column.name, physical)
        .with_repetition(Repetition::OPTIONAL)
        .with_logical_type(logical)
        .build()
}

/// Writes the values that are there, and for each row whether there is one.
fn fill<T: DataType>(
    writer: &mut SerializedColumnWriter<'_>,
    rows: impl Iterator<Item = Option<T::T>>,
) -> Result<(), ParquetError> {
    let (mut values, mut present) = (Vec::new(), Vec::new());
    for value in rows {
        present.push(i16::from(value.is_some()));
        values.extend(value);
    }
    writer.typed::<T>().write_batch(&values, Some(&present), None).map(|_| ())
}
