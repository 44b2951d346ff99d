//! The columns that the names of a formula mean: those of the header as they are written, the names of this program, and
//! N, D, C and L by what they stand for in papers.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::Path;

use csv::StringRecord;

use super::error::TableError;
use super::field::{Columns, Field};
use super::group::Mixture;
use super::habits::{Place, lost_by};
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
    /// Whether what is predicted may be missing, which then is no number.
    pub open: bool,
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
    /// What the table tells of the fields of [`Read::others`].
    others: Vec<Option<f64>>,
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
    /// What each name that is a column stands for.
    meant: Vec<(String, Field)>,
    /// Columns by which losses differ, whether a law uses them or not.
    others: Vec<(Field, String)>,
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
    let target = place(&reader, &wanted.target)?;
    if target.is_none() && !wanted.open {
        return Err(reader.lacks(&wanted.target));
    }
    let mut found = Vec::new();
    for name in &wanted.names {
        if let Some(place) = place(&reader, name)? {
            if target.as_ref().is_some_and(|target| place.index == target.index) {
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
    let others: Vec<Place> = if wanted.whole { Vec::new() } else { others(&reader) };
    let cost = Cost::find(&reader);
    let status = reader.find(Field::Status)?;
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
            target: predicted(&reader, row, [target.as_ref(), status.as_ref()], wanted.open)?,
            cost: cost.of(&reader, row),
            others: others.iter().map(|place| reader.maybe(row, Some(place)).ok().flatten()).collect(),
        })
    })?;
    table.notes.splice(0..0, note);
    let (found, meant) = with_beside(&mut table, found, beside);
    let headers = reader.headers.iter().map(|header| header.trim().to_owned()).collect();
    let others = others.into_iter().map(|place| (place.field, place.column)).collect();
    Ok(Read { table, found, headers, meant, others })
}

/// Where the table tells the size, the length and the settings of a run.
fn others(reader: &Reader<'_>) -> Vec<Place> {
    let first = |fields: &[Field]| fields.iter().find_map(|field| reader.beside(*field));
    let sizes = [Field::Params, Field::ParamsBlocksAndUnembedding, Field::ParamsNonEmbedding];
    let (size, length) = (first(&sizes), first(&[Field::Tokens]));
    // Compute says nothing more where these are told.
    let compute = if size.is_none() || length.is_none() { first(&[Field::Flops, Field::FlopBudget]) } else { None };
    let settings = SETTINGS.iter().map(|field| reader.beside(*field));
    [size, length, compute].into_iter().chain(settings).flatten().collect()
}

/// Settings that often follow from size and length.
const SETTINGS: [Field; 5] = [Field::UniqueTokens, Field::Epochs, Field::Batch, Field::LearningRate, Field::Keep];
/// Values within this factor of each other differ by rounding.
const A_LITTLE: f64 = 1.05;

impl Read {
    /// A note where rows differ in size, length or a setting that none of the laws uses: those of one group, and in a setting
    /// those that are alike in all that the laws use. `used` are the columns of the laws, `told` those that were tuned or
    /// that are told apart otherwise.
    pub fn note_of_unused(&self, used: &[String], told: &[String]) -> Option<String> {
        let means = |field: Field| {
            let is =
                |(name, of): &(String, Field)| used.contains(name) && (*of == field || fields(name).contains(&field));
            self.meant.iter().any(is)
        };
        let named = |begins: &[&str]| {
            used.iter().any(|name| {
                let last = name.rsplit('.').next().unwrap_or(name);
                begins.iter().any(|begin| last.starts_with(begin))
            })
        };
        let compute = means(Field::Flops) || means(Field::FlopBudget) || used.iter().any(|name| name == "C");
        let is_used = |field: Field| match field {
            Field::Params | Field::ParamsNonEmbedding | Field::ParamsBlocksAndUnembedding => {
                compute || used.iter().any(|name| name == "N") || named(&["params", "width", "depth", "size"])
            }
            Field::Tokens => {
                let counted = used.iter().any(|name| name == "D") || named(&["token", "characters", "bytes"]);
                compute || counted || means(Field::Tokens) || means(Field::Steps) || means(Field::UniqueTokens)
            }
            Field::Flops | Field::FlopBudget => compute || used.iter().any(|name| name == "N" || name == "D"),
            Field::Epochs | Field::UniqueTokens => means(Field::Epochs) || means(Field::UniqueTokens),
            other => means(other),
        };
        let differs = |at: usize| {
            let (field, column) = &self.others[at];
            if used.contains(column) || told.contains(column) || is_used(*field) {
                return None;
            }
            let alike = SETTINGS.contains(field);
            let mut spans: HashMap<Vec<u64>, [f64; 2]> = HashMap::new();
            let groups = self.table.groups.of_rows();
            for (row, named) in self.table.rows.iter().enumerate() {
                let Some(value) = named.others[at] else { continue };
                let mut key = vec![u64::from(groups.get(row).copied().unwrap_or(0))];
                if alike {
                    let uses = self.found.iter().zip(&named.numbers).filter(|(name, _)| used.contains(name));
                    key.extend(uses.map(|(_, number)| number.to_bits()));
                    key.extend(named.labels.iter().map(|label| {
                        let mut hasher = DefaultHasher::new();
                        label.hash(&mut hasher);
                        hasher.finish()
                    }));
                }
                let span = spans.entry(key).or_insert([value; 2]);
                *span = [span[0].min(value), span[1].max(value)];
            }
            spans.values().any(|[low, high]| *high > A_LITTLE * low).then_some(column.as_str())
        };
        let varying: Vec<&str> = (0..self.others.len()).filter_map(differs).collect();
        (!varying.is_empty()).then(|| {
            format!(
                "{}: rows differ in it and are fitted as one curve, because the law does not use it; --by COLUMN fits each of \
                 its values by itself",
                varying.join(", ")
            )
        })
    }
}

/// The names that are columns, with what they stand for: also those of other laws where every row has a number.
fn with_beside(
    table: &mut Table<Named>,
    found: Vec<(String, Place)>,
    beside: Vec<(String, Place)>,
) -> (Vec<String>, Vec<(String, Field)>) {
    let mut meant: Vec<(String, Field)> = found.iter().map(|(name, place)| (name.clone(), place.field)).collect();
    let mut found: Vec<String> = found.into_iter().map(|(name, _)| name).collect();
    for (at, (name, place)) in beside.into_iter().enumerate() {
        if table.rows.iter().all(|row| row.beside[at].is_some()) {
            meant.push((name.clone(), place.field));
            table.rows.iter_mut().for_each(|row| row.numbers.extend(row.beside[at]));
            found.push(name);
        }
    }
    (found, meant)
}

/// What a law predicts of a row; no number where that is `open` and there is none.
fn predicted(
    reader: &Reader<'_>,
    row: &StringRecord,
    [target, status]: [Option<&Place>; 2],
    open: bool,
) -> Result<f64, TableError> {
    if let Some(loss) = lost_by(status, row) {
        return Ok(loss);
    }
    let Some(target) = target else { return Ok(f64::NAN) };
    match reader.number(row, target) {
        Err(TableError::Incomplete { .. }) if open => Ok(f64::NAN),
        number => number,
    }
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
