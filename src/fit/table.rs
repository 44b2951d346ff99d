//! Any CSV of runs as observations, or as the columns that a law needs: columns by name, renamed where they differ,
//! errors with file, line and column. The file is read row by row and never held as text.

pub mod budgets;
mod error;
mod field;
mod group;
mod reader;
pub mod recount;

pub use error::TableError;
pub use field::{Columns, Field};
pub use group::Groups;

use std::collections::BTreeMap;
use std::path::Path;

use csv::StringRecord;

use crate::observation::Observation;
use group::Mixture;
use reader::{Place, Reader, Source};

/// How a table is to be read.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Take missing tokens as C/(6N).
    pub tokens_from_flops: bool,
    /// The column by whose values rows are grouped.
    pub by: Option<String>,
}

/// A table that was read.
#[derive(Clone, Debug)]
pub struct Table<T> {
    /// One for each row that counts, in the order of the file.
    pub rows: Vec<T>,
    /// The group of each row.
    pub groups: Groups,
    /// Rows whose status is not `finished`, by that status.
    pub skipped: BTreeMap<String, usize>,
    /// What was assumed, in sentences for the user.
    pub notes: Vec<String>,
}

/// Reads the CSV at `path`.
///
/// It needs parameters and loss, and tokens unless `options` allow C/(6N). FLOPs that are absent are the budget, or
/// 6ND where that is absent too, which is noted. Rows whose `status` is not `finished` are skipped and counted.
pub fn read(path: &Path, columns: &Columns, options: &Options) -> Result<Table<Observation>, TableError> {
    let source = Source::open(path, columns)?;
    let reader = &source.reader;
    let places = Places::find(reader, options)?;
    let mixture = Mixture::of(&reader.headers, options.by.as_deref(), false);
    let notes = places.notes();
    let mut table = scan(source, options, mixture, |reader, row| places.observation(reader, row))?;
    table.notes.splice(0..0, notes);
    Ok(table)
}

/// Reads positive numbers, one array a row: for each element the first of its fields that is there. `check` may refuse a
/// row, by the place of an element and what is wrong with it.
pub fn numbers<const K: usize>(
    path: &Path,
    columns: &Columns,
    fields: [&[Field]; K],
    options: &Options,
    check: impl Fn(&[f64; K]) -> Option<(usize, String)>,
) -> Result<Table<[f64; K]>, TableError> {
    let source = Source::open(path, columns)?;
    let places = fields.iter().map(|fields| source.reader.first(fields)).collect::<Result<Vec<_>, _>>()?;
    let tuned = fields.concat().contains(&Field::LearningRate);
    let mixture = Mixture::of(&source.reader.headers, options.by.as_deref(), tuned);
    scan(source, options, mixture, |reader, row| {
        let mut values = [0.0; K];
        for (value, place) in values.iter_mut().zip(&places) {
            *value = reader.required(row, place)?;
        }
        if let Some((at, what)) = check(&values) {
            return Err(reader.cell_error(row, &places[at], what));
        }
        Ok(values)
    })
}

/// Every row that is finished, with its group.
fn scan<T>(
    source: Source<'_>,
    options: &Options,
    mut mixture: Mixture,
    of: impl Fn(&Reader, &StringRecord) -> Result<T, TableError>,
) -> Result<Table<T>, TableError> {
    let Source { mut csv, reader } = source;
    let status = reader.find(Field::Status)?;
    let by = options.by.as_deref().map(|column| reader.by(column)).transpose()?;
    let mut table = Table { rows: Vec::new(), groups: Groups::default(), skipped: BTreeMap::new(), notes: Vec::new() };
    let mut row = StringRecord::new();
    while csv.read_record(&mut row).map_err(|error| reader.row_error(&error))? {
        let status = status.as_ref().map(|place| row[place.index].trim()).filter(|status| *status != "finished");
        if let Some(status) = status {
            *table.skipped.entry(status.to_owned()).or_default() += 1;
            continue;
        }
        table.rows.push(of(&reader, &row)?);
        mixture.see(&row);
        if let Some(place) = &by {
            table.groups.see(row[place.index].trim()).map_err(|most| reader.too_many_groups(&place.column, most))?;
        }
    }
    let skipped: usize = table.skipped.values().sum();
    if table.rows.is_empty() && skipped > 0 {
        return Err(reader.empty(format!("none of its {skipped} rows has the status 'finished'")));
    }
    if table.rows.is_empty() {
        return Err(reader.empty("has a header and no rows".to_owned()));
    }
    table.notes.extend(mixture.note());
    Ok(table)
}

/// Where the fields of an observation are.
struct Places {
    params: Place,
    non_embedding: Option<Place>,
    blocks: Option<Place>,
    /// Absent where tokens follow from FLOPs.
    tokens: Option<Place>,
    flops: Option<Place>,
    budget: Option<Place>,
    loss: Place,
    loss_se: Option<Place>,
    seed: Option<Place>,
}

impl Places {
    fn find(reader: &Reader, options: &Options) -> Result<Self, TableError> {
        let (params, loss) = (reader.require(Field::Params, "")?, reader.require(Field::Loss, "")?);
        let (flops, budget) = (reader.find(Field::Flops)?, reader.find(Field::FlopBudget)?);
        let compute = flops.is_some() || budget.is_some();
        let tokens = reader.find(Field::Tokens)?;
        if tokens.is_none() && !(compute && options.tokens_from_flops) {
            let hint = if compute { ", or have them taken as C/(6N) with --tokens-from-flops" } else { "" };
            return Err(reader.missing(Field::Tokens, hint));
        }
        Ok(Self {
            params,
            non_embedding: reader.find(Field::ParamsNonEmbedding)?,
            blocks: reader.find(Field::ParamsBlocksAndUnembedding)?,
            tokens,
            flops,
            budget,
            loss,
            loss_se: reader.find(Field::LossSe)?,
            seed: reader.find(Field::Seed)?,
        })
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.flops.is_none() && self.budget.is_none() {
            notes.push("no column of FLOPs or budgets: FLOPs are taken as 6 x params x tokens".to_owned());
        }
        if self.tokens.is_none() {
            notes.push("tokens are taken as FLOPs / (6 x params), as asked".to_owned());
        }
        notes
    }

    fn observation(&self, reader: &Reader, row: &StringRecord) -> Result<Observation, TableError> {
        let params = reader.required(row, &self.params)?;
        let flop_budget = reader.maybe(row, self.budget.as_ref())?;
        let known_flops = reader.maybe(row, self.flops.as_ref())?.or(flop_budget);
        let tokens = match (&self.tokens, known_flops) {
            (Some(place), _) => reader.required(row, place)?,
            (None, Some(flops)) => flops / (6.0 * params),
            // The cell of the FLOPs is empty, which the error then says.
            (None, None) => {
                let compute = self.flops.as_ref().or(self.budget.as_ref());
                reader.required(row, compute.ok_or_else(|| reader.missing(Field::Tokens, ""))?)?
            }
        };
        Ok(Observation {
            params,
            params_non_embedding: reader.maybe(row, self.non_embedding.as_ref())?,
            params_blocks_and_unembedding: reader.maybe(row, self.blocks.as_ref())?,
            tokens,
            flops: known_flops.unwrap_or(6.0 * params * tokens),
            flop_budget,
            loss: reader.required(row, &self.loss)?,
            loss_se: self.loss_se.as_ref().map_or(Ok(None), |place| reader.standard_error(row, place))?,
            seed: self.seed.as_ref().map_or(Ok(None), |place| reader.optional(row, place, "a whole number"))?,
        })
    }
}
