//! The columns that the names of a formula mean: those of the header as they are written, the names of this program, and
//! N, D, C and L by what they stand for in papers.

use std::path::Path;

use csv::StringRecord;

use super::error::TableError;
use super::field::{Columns, Field};
use super::group::Mixture;
use super::habits::Place;
use super::reader::Reader;
use super::rows::Opened;
use super::source::Source;
use super::{Options, Table, scan};

/// The names of a formula.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// What is predicted, which must be a column.
    pub target: String,
    /// Names that may be columns.
    pub names: Vec<String>,
    /// Names that other laws would need: columns where every row has a number, and nothing elsewhere.
    pub beside: Vec<String>,
    /// Columns that tell groups apart.
    pub indices: Vec<String>,
    /// Whether rows may differ in any other column.
    pub whole: bool,
}

/// A row as a formula sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Named {
    /// One number for each name that is a column.
    pub numbers: Vec<f64>,
    /// What other laws would need, until it is among the numbers.
    beside: Vec<Option<f64>>,
    /// One text for each index.
    pub labels: Vec<String>,
    /// What is predicted.
    pub target: f64,
    /// FLOPs of the run, or 6ND, where the table tells them.
    pub cost: Option<f64>,
}

/// A table read for a formula.
#[derive(Clone, Debug)]
pub struct Read {
    /// Its rows.
    pub table: Table<Named>,
    /// The names that are columns, in the order of the numbers of a row.
    pub found: Vec<String>,
    /// All columns of the file.
    pub headers: Vec<String>,
}

/// The names of all columns.
pub fn headers(path: &Path) -> Result<Vec<String>, TableError> {
    let source = Source::open(path)?;
    let headers = source.rows()?.headers;
    Ok(headers.iter().map(|header| header.trim().to_owned()).collect())
}

/// Reads what a formula names.
pub fn read(path: &Path, columns: &Columns, wanted: &Wanted, options: &Options) -> Result<Read, TableError> {
    let source = Source::open(path)?;
    let Opened { headers, rows, note } = source.rows()?;
    let reader = Reader::new(&source, headers, columns, note.is_some());
    let target = place(&reader, &wanted.target)?.ok_or_else(|| reader.lacks(&wanted.target))?;
    let mut found = Vec::new();
    for name in &wanted.names {
        if let Some(place) = place(&reader, name)? {
            if place.index == target.index {
                return Err(TableError::Predicted { name: name.clone(), target: wanted.target.clone() });
            }
            found.push((name.clone(), place));
        }
    }
    let mut beside = Vec::new();
    for name in wanted.beside.iter().filter(|name| !wanted.names.contains(name)) {
        if let Ok(Some(place)) = place(&reader, name) {
            beside.push((name.clone(), place));
        }
    }
    let of_index = |name: &String| reader.by(name).map(|index| (name.clone(), index));
    let indices = wanted.indices.iter().map(of_index).collect::<Result<Vec<_>, _>>()?;
    let cost = Cost::find(&reader);
    let mut read: Vec<Field> = wanted.names.iter().flat_map(|name| fields(name)).copied().collect();
    if read.contains(&Field::Flops) {
        // Size and length say no more than compute does.
        read.extend([Field::Params, Field::Tokens]);
    }
    let mixture = if wanted.whole {
        Mixture::allowed()
    } else {
        let mixture = Mixture::of(&reader.headers, options, &[&[Field::LearningRate], &read[..]].concat());
        mixture.without(&wanted.names).without(&wanted.indices)
    };
    let mut table = scan(&reader, rows, options, mixture, |row| {
        let number = |(name, place): &(String, Place)| {
            reader.number(row, place).map_err(|cell| match cell {
                TableError::Cell { .. } => TableError::Named { name: name.clone(), cell: Box::new(cell) },
                other => other,
            })
        };
        Ok(Named {
            beside: beside.iter().map(|(_, place)| reader.number(row, place).ok()).collect(),
            numbers: found.iter().map(number).collect::<Result<_, _>>()?,
            // A row without a group belongs to none of them.
            labels: indices.iter().map(|(name, index)| reader.label(row, name, *index)).collect::<Result<_, _>>()?,
            target: reader.number(row, &target)?,
            cost: cost.of(&reader, row),
        })
    })?;
    table.notes.splice(0..0, note);
    let mut found: Vec<String> = found.into_iter().map(|(name, _)| name).collect();
    for (at, (name, _)) in beside.into_iter().enumerate() {
        if table.rows.iter().all(|row| row.beside[at].is_some()) {
            table.rows.iter_mut().for_each(|row| row.numbers.extend(row.beside[at]));
            found.push(name);
        }
    }
    let headers = reader.headers.iter().map(|header| header.trim().to_owned()).collect();
    Ok(Read { table, found, headers })
}

/// The column that a name means.
fn place(reader: &Reader<'_>, name: &str) -> Result<Option<Place>, TableError> {
    if let Some(place) = reader.renamed(name)? {
        return Ok(Some(place));
    }
    if let Some(place) = reader.exactly(name)? {
        return Ok(Some(place));
    }
    for field in fields(name) {
        if let Some(place) = reader.find(*field)? {
            return Ok(Some(place));
        }
    }
    Ok(None)
}

/// Whether what has this name is a loss, which the laws of the literature predict.
pub fn is_loss(name: &str) -> bool {
    name == "L" || name.to_lowercase().contains("loss")
}

/// What a name that is no header stands for.
fn fields(name: &str) -> &'static [Field] {
    const ALL: &[Field] = &Field::ALL;
    match name {
        "N" => &[Field::Params, Field::ParamsBlocksAndUnembedding, Field::ParamsNonEmbedding],
        "D" => &[Field::Tokens],
        "C" => &[Field::Flops, Field::FlopBudget],
        "L" => &[Field::Loss],
        _ => ALL.iter().position(|field| field.names().contains(&name)).map_or(&[], |at| &ALL[at..=at]),
    }
}

/// Where the cost of a run is told.
struct Cost {
    flops: Option<Place>,
    params: Option<Place>,
    tokens: Option<Place>,
}

impl Cost {
    /// A table that says two things of one of them says nothing here.
    fn find(reader: &Reader<'_>) -> Self {
        let told = |field| reader.find(field).ok().flatten();
        Self {
            flops: told(Field::Flops).or_else(|| told(Field::FlopBudget)),
            params: told(Field::Params),
            tokens: told(Field::Tokens),
        }
    }

    fn of(&self, reader: &Reader<'_>, row: &StringRecord) -> Option<f64> {
        let read = |place: &Option<Place>| reader.maybe(row, place.as_ref()).ok().flatten();
        read(&self.flops).or_else(|| Some(6.0 * read(&self.params)? * read(&self.tokens)?))
    }
}
