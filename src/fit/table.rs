//! Any table of runs as observations, or as the columns that a law needs: CSV, JSON Lines or Parquet, columns by the names
//! that people use, renamed where they differ, errors with file, line and column. The file is read row by row.
//!
//! | module | owns |
//! |---|---|
//! | `source`, `rows` | what a file is, and its rows of text cells; `delimited`, `jsonl` and `parquet` open it, `wandb` turns charts round |
//! | `field`, `headers` | what columns may hold, and how other people call them |
//! | `options` | how a table is to be read |
//! | `number`, `habits` | numbers as people write them, one by one and in a table |
//! | `reader` | the columns of a table by name, and their cells as numbers |
//! | `sense` | a warning where units must be wrong |
//! | `curves` | rows that are points of learning curves, of which the last ones count |
//! | `group`, `tuned`, `tried` | rows that belong together, the best of those that were tuned, and whether all were tuned alike |
//! | [`named`] | the columns that the names of a formula mean |
//! | [`budgets`], [`recount`] | the budgets that observations share, and compute recounted |
//! | [`resample`] | which rows a resample draws together |

pub mod budgets;
mod curves;
mod delimited;
mod error;
mod field;
mod group;
mod habits;
mod headers;
mod jsonl;
pub mod named;
mod number;
mod options;
mod parquet;
mod reader;
pub mod recount;
pub mod resample;
mod rows;
mod sense;
mod source;
mod trainers;
pub mod tried;
mod tuned;
mod wandb;

pub use error::{At, TableError};
pub use field::{Columns, Field};
pub use group::Groups;
pub use headers::{calls, is_of_training, is_of_validation, is_plain_loss, is_step, training_loss};
pub use options::{Best, Kind, Options};
pub use source::Source as TableFile;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use csv::StringRecord;

use crate::observation::{Counting, Observation};
use curves::Curves;
use group::Mixture;
use habits::{Place, is_finished, lost, lost_by};
use reader::Reader;
use rows::{Opened, Rows};
use source::Source;
use trainers::Trainers;
use tuned::Tuning;

/// A table that was read.
#[derive(Clone, Debug)]
pub struct Table<T> {
    /// One for each row that counts, in the order of the file.
    pub rows: Vec<T>,
    /// The group of each row.
    pub groups: Groups,
    /// The line or row of the file in which each stands.
    pub lines: Vec<u64>,
    /// Rows whose status is not `finished`, by that status.
    pub skipped: BTreeMap<String, usize>,
    /// Rows that were left out because a number is missing.
    pub incomplete: usize,
    /// The lines or rows of both, with their status; no status where a number is missing.
    pub left_out: Vec<(u64, Option<String>)>,
    /// The convention by which parameters are counted where the table does not tell all of them.
    pub counted: Option<Counting>,
    /// Rows that count whose losses no training produced, as their device tells.
    pub rehearsed: usize,
    /// What was assumed, in sentences for the user.
    pub notes: Vec<String>,
    /// What must be wrong, likewise.
    pub warnings: Vec<String>,
}

/// Reads the table at `path`.
///
/// It needs parameters and loss, and tokens unless `options` allow C/(6N). FLOPs that are absent are the budget, or
/// 6ND where that is absent too, which is noted. Rows whose `status` is not `finished` are skipped and counted.
pub fn read(path: &Path, columns: &Columns, options: &Options) -> Result<Table<Observation>, TableError> {
    read_from(&Source::open(path)?, columns, options)
}

/// As [`read`], from a file that is open.
pub fn read_from(source: &Source, columns: &Columns, options: &Options) -> Result<Table<Observation>, TableError> {
    let opened = source.rows()?;
    let reader = Reader::new(source, opened.headers, columns, opened.note.is_some());
    let places = Places::find(&reader, options)?;
    let mixture = Mixture::of(&reader.headers, options, &[Field::Params, Field::Tokens]);
    let mut table = scan(&reader, opened.rows, options, mixture, |row| places.observation(&reader, row))?;
    table.notes.splice(0..0, opened.note.into_iter().chain(places.notes()));
    table.counted = places.counted;
    // Runs without a seed are no retries of each other, so that long tables of curves are not read once more.
    if options.by.is_none() && table.rows.iter().any(|run| run.seed.is_some()) {
        let settings = reader.settings()?;
        let of_row: Vec<&[String]> =
            table.lines.iter().map(|line| settings.get(line).map_or(&[][..], Vec::as_slice)).collect();
        let pairs: Vec<[u64; 2]> =
            sense::retries(&table.rows, &of_row).into_iter().map(|pair| pair.map(|row| table.lines[row])).collect();
        if !pairs.is_empty() {
            table.warnings.push(sense::told(pairs.len(), &reader.tells_apart(&pairs)?));
        }
    }
    table.warnings.extend(places.warning(&table.rows).into_iter().chain(sense::losses(&table.rows)));
    Ok(table)
}

/// Every cell of a table, by the line or row in which it stands.
#[derive(Clone, Debug, Default)]
pub struct Records {
    /// The names of the columns.
    pub headers: Vec<String>,
    /// The cells of each row.
    pub rows: BTreeMap<u64, Vec<String>>,
}

/// Reads all cells as they are.
pub fn records(source: &Source) -> Result<Records, TableError> {
    let Opened { headers, mut rows, .. } = source.rows()?;
    let mut records =
        Records { headers: headers.iter().map(|name| name.trim().to_owned()).collect(), ..Records::default() };
    let mut row = StringRecord::new();
    while rows.next(&mut row)? {
        let line = row.position().map_or(0, csv::Position::line);
        records.rows.insert(line, row.iter().map(str::to_owned).collect());
    }
    Ok(records)
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
    let source = Source::open(path)?;
    let Opened { headers, rows, note } = source.rows()?;
    let reader = Reader::new(&source, headers, columns, note.is_some());
    let places = fields.iter().map(|fields| reader.first(fields)).collect::<Result<Vec<_>, _>>()?;
    let mixture = Mixture::of(&reader.headers, options, &fields.concat());
    let mut table = scan(&reader, rows, options, mixture, |row| {
        let mut values = [0.0; K];
        for (value, place) in values.iter_mut().zip(&places) {
            *value = reader.required(row, place)?;
        }
        if let Some((at, what)) = check(&values) {
            return Err(reader.cell_error(row, &places[at], what));
        }
        Ok(values)
    })?;
    table.notes.splice(0..0, note);
    Ok(table)
}

/// Whether a table tells a field.
pub fn tells(path: &Path, columns: &Columns, field: Field) -> Result<bool, TableError> {
    column(path, columns, field).map(|column| column.is_some())
}

/// The column that tells a field.
pub fn column(path: &Path, columns: &Columns, field: Field) -> Result<Option<String>, TableError> {
    let source = Source::open(path)?;
    let Opened { headers, note, .. } = source.rows()?;
    Ok(Reader::new(&source, headers, columns, note.is_some()).find(field)?.map(|place| place.column))
}

/// One run of a setting, with where it stands beside it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Placed {
    /// Its loss, in nats per token; infinite where it diverged, and not a number where it failed.
    pub loss: f64,
    /// The values of the columns that say where it stands beside the setting, but for its seed.
    pub place: Vec<String>,
    /// Its seed, of all columns that tell one.
    pub seed: Vec<String>,
    /// Its values of what was tuned.
    pub tuned: Vec<String>,
}

/// The columns of [`Placed`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PlacedBy {
    /// Those that say where a run stands.
    pub place: Vec<String>,
    /// Those that were tuned.
    pub tuned: Vec<String>,
}

/// Reads losses, each with the cells that say where the run stands: the axes of the sweep, or in other tables what it was trained
/// with, its seed and its budget; without the column by which rows are grouped and those that were tuned. All values that were
/// tuned are there, and runs that diverged at one of them as well.
pub fn placed(path: &Path, columns: &Columns, options: &Options) -> Result<(Table<Placed>, PlacedBy), TableError> {
    let source = Source::open(path)?;
    let Opened { headers, rows, note } = source.rows()?;
    let reader = Reader::new(&source, headers, columns, note.is_some());
    let loss = reader.require(Field::Loss, "")?;
    let by = options.by.as_deref().map(|column| reader.by(column)).transpose()?;
    let tuned = options.tuned.iter().map(|column| reader.by(column)).collect::<Result<Vec<_>, _>>()?;
    let own: Vec<usize> = by.into_iter().chain(tuned.iter().copied()).collect();
    let name = |index: &usize| reader.headers[*index].trim().to_owned();
    let (seeds, telling): (Vec<usize>, Vec<usize>) =
        tuned::places(&reader, &own)?.into_iter().partition(|index| tuned::is_seed(&name(index)));
    // A value at which runs diverged was tried all the same.
    let kind = if tuned.is_empty() { options.rows } else { Kind::Outcomes };
    let options = Options { best: Best::ByLaw, rows: kind, ..options.clone() };
    let status = reader.find(Field::Status)?.filter(|_| kind == Kind::Outcomes);
    let mut table = scan(&reader, rows, &options, Mixture::allowed(), |row| {
        let cells = |columns: &[usize]| columns.iter().map(|index| row[*index].trim().to_owned()).collect();
        let loss = lost_by(status.as_ref(), row).map_or_else(|| reader.required(row, &loss), Ok)?;
        Ok(Placed { loss, place: cells(&telling), seed: cells(&seeds), tuned: cells(&tuned) })
    })?;
    table.notes.splice(0..0, note);
    let names = PlacedBy { place: telling.iter().map(name).collect(), tuned: tuned.iter().map(name).collect() };
    Ok((table, names))
}

/// The same where the table tells seeds; nothing where it does not, or where its columns do not tell where runs stand.
pub fn seeded(path: &Path, columns: &Columns, options: &Options) -> Table<Placed> {
    match tells(path, columns, Field::Seed) {
        Ok(true) => placed(path, columns, options).map(|(placed, _)| placed).unwrap_or_default(),
        _ => Table::default(),
    }
}

/// The rows that were read. A file that was put together from others may hold a run twice, which as a repeat would make the noise
/// zero.
#[derive(Default)]
struct Seen {
    rows: HashSet<Vec<String>>,
    copies: usize,
}

impl Seen {
    /// Whether a row with the same cells was there before.
    fn before(&mut self, row: &StringRecord) -> bool {
        let is_new = self.rows.insert(row.iter().map(str::to_owned).collect());
        self.copies += usize::from(!is_new);
        !is_new
    }

    fn warning(&self) -> Option<String> {
        let rows = if self.copies == 1 { "row is an exact copy" } else { "rows are exact copies" };
        (self.copies > 0).then(|| format!("{} {rows} of another, in all columns: a run counts once", self.copies))
    }
}

/// Every row that is finished, with its group.
fn scan<T>(
    reader: &Reader<'_>,
    mut rows: Box<dyn Rows + '_>,
    options: &Options,
    mut mixture: Mixture,
    of: impl Fn(&StringRecord) -> Result<T, TableError>,
) -> Result<Table<T>, TableError> {
    let status = reader.find(Field::Status)?;
    let by = options.by.as_deref().map(|column| Ok((column, reader.by(column)?))).transpose()?;
    let mut tuning = Tuning::of(reader, options)?;
    let curves = Curves::of(reader, options, status.as_ref())?;
    let mut trainers = Trainers::of(&reader.headers);
    let mut table = Table::default();
    let mut incomplete: Option<(TableError, Vec<At>)> = None;
    let (mut row, mut seen) = (StringRecord::new(), Seen::default());
    while rows.next(&mut row)? {
        let line = row.position().map_or(0, csv::Position::line);
        if !curves.counts(line) {
            continue;
        }
        let status = status.as_ref().map(|place| row[place.index].trim());
        let counts = |status: &str| is_finished(status) || options.rows == Kind::Outcomes && lost(status).is_some();
        if let Some(status) = status.filter(|status| !counts(status)) {
            tuned::left_out(&mut tuning, status, &row);
            table.leave_out(line, Some(status));
            continue;
        }
        if options.rows != Kind::Offers && seen.before(&row) {
            continue;
        }
        match (of(&row), &mut incomplete) {
            (Ok(one), _) => {
                if let Some(tuning) = &mut tuning {
                    tuning.see(reader, &row, status.and_then(lost))?;
                }
                table.push(one, line);
            }
            (Err(TableError::Incomplete { .. }), _) if options.skip_incomplete => {
                table.leave_out(line, None);
                continue;
            }
            (Err(TableError::Incomplete { first, .. }), before) => {
                match before {
                    Some((_, also)) => also.push(reader.at(&row)),
                    none => *none = Some((*first, Vec::new())),
                }
                continue;
            }
            (Err(error), _) => return Err(error),
        }
        trainers.see(&row, by.map_or("", |(_, index)| row[index].trim()));
        mixture.see(&row);
        if let Some((column, index)) = by {
            table.groups.see(row[index].trim()).map_err(|most| reader.too_many_groups(column, most))?;
        }
    }
    incomplete.map_or(Ok(()), |(first, also)| Err(TableError::Incomplete { first: Box::new(first), also }))?;
    table.refuse_nothing(reader)?;
    table.notes.extend(reader.notes().into_iter().chain(curves.note));
    let warnings = curves.warning.into_iter().chain(seen.warning());
    table.warnings.extend(warnings.chain(reader.of_training()).chain(reader.of_text()));
    if let Some(tuning) = tuning {
        table.keep_best(&tuning, options.best == Best::ByLaw);
    }
    table.rehearsed = trainers.rehearsed;
    table.notes.extend(mixture.note().into_iter().chain(trainers.note()));
    Ok(table)
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self {
            rows: Vec::new(),
            groups: Groups::default(),
            lines: Vec::new(),
            skipped: BTreeMap::new(),
            incomplete: 0,
            left_out: Vec::new(),
            counted: None,
            rehearsed: 0,
            notes: Vec::new(),
            warnings: Vec::new(),
        }
    }
}

impl<T> Table<T> {
    /// Counts a row that is left out for its status, or because a number is missing.
    fn leave_out(&mut self, line: u64, status: Option<&str>) {
        match status {
            Some(status) => *self.skipped.entry(status.to_owned()).or_default() += 1,
            None => self.incomplete += 1,
        }
        self.left_out.push((line, status.map(str::to_owned)));
    }

    /// Each row with what another reading of the same table has at its line.
    pub fn beside<U>(self, other: Table<U>) -> Table<(T, Option<U>)> {
        let mut others: HashMap<u64, U> = other.lines.into_iter().zip(other.rows).collect();
        let rows = self.rows.into_iter().zip(&self.lines).map(|(row, line)| (row, others.remove(line))).collect();
        Table {
            rows,
            groups: self.groups,
            lines: self.lines,
            skipped: self.skipped,
            incomplete: self.incomplete,
            left_out: self.left_out,
            counted: self.counted,
            rehearsed: self.rehearsed,
            notes: self.notes,
            warnings: self.warnings,
        }
    }

    fn push(&mut self, one: T, line: u64) {
        self.rows.push(one);
        self.lines.push(line);
    }

    /// Of rows that differ in what was tuned alone, the best; or all of them, with what is to be told.
    fn keep_best(&mut self, tuning: &Tuning, keep_all: bool) {
        let best = tuning.best();
        self.warnings.extend(tuning.edges(&best).into_iter().chain(tuning.uneven()));
        self.notes.extend(tuning.told(&best));
        if keep_all {
            return;
        }
        group::keep(&mut self.rows, &best);
        group::keep(&mut self.lines, &best);
        self.groups.keep(&best);
    }

    /// An error where no row is left.
    fn refuse_nothing(&self, reader: &Reader<'_>) -> Result<(), TableError> {
        let skipped: usize = self.skipped.values().sum();
        let what = match (skipped, self.incomplete) {
            _ if !self.rows.is_empty() => return Ok(()),
            (0, 0) => "has a header and no rows".to_owned(),
            (0, incomplete) => format!("each of its {incomplete} rows lacks a number that the fit needs"),
            (skipped, 0) => format!("none of its {skipped} rows has the status 'finished'"),
            (skipped, incomplete) => {
                format!("of its rows {skipped} have another status than 'finished', and {incomplete} lack a number")
            }
        };
        Err(reader.empty(what))
    }
}

/// Where the fields of an observation are.
struct Places {
    params: Place,
    /// What `params` counts where the table does not tell all parameters.
    counted: Option<Counting>,
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
    fn find(reader: &Reader<'_>, options: &Options) -> Result<Self, TableError> {
        let (all, non_embedding) = (reader.find(Field::Params)?, reader.find(Field::ParamsNonEmbedding)?);
        let blocks = reader.find(Field::ParamsBlocksAndUnembedding)?;
        let (params, counted) = match (all, &non_embedding, &blocks) {
            (Some(all), ..) => (all, None),
            (None, Some(some), _) => (some.clone(), Some(Counting::NonEmbedding)),
            (None, None, Some(some)) => (some.clone(), Some(Counting::BlocksAndUnembedding)),
            (None, None, None) => return Err(reader.missing(Field::Params, "")),
        };
        let loss = reader.require(Field::Loss, "")?;
        let (flops, budget) = (reader.find(Field::Flops)?, reader.find(Field::FlopBudget)?);
        let compute = flops.is_some() || budget.is_some();
        let tokens = reader.find(Field::Tokens)?;
        if tokens.is_none() && !(compute && options.tokens_from_flops) {
            let hint = if compute { ", or have them taken as C/(6N) with --tokens-from-flops" } else { "" };
            return Err(reader.missing(Field::Tokens, hint));
        }
        let (loss_se, seed) = (reader.find(Field::LossSe)?, reader.find(Field::Seed)?);
        Ok(Self { params, counted, non_embedding, blocks, tokens, flops, budget, loss, loss_se, seed })
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if let Some(counting) = self.counted {
            let column = &self.params.column;
            notes.push(format!("parameters are told by '{column}' alone and count as {}", counting.name()));
        }
        if self.flops.is_none() && self.budget.is_none() {
            notes.push("no column of FLOPs or budgets: FLOPs are taken as 6 x params x tokens".to_owned());
        }
        if self.tokens.is_none() {
            notes.push("tokens are taken as FLOPs / (6 x params), as asked".to_owned());
        }
        notes
    }

    /// A warning where the numbers cannot be what they are read as.
    fn warning(&self, runs: &[Observation]) -> Option<String> {
        let compute = self.flops.as_ref().or(self.budget.as_ref()).map(Place::named);
        sense::units(runs, self.params.named(), self.tokens.as_ref()?.named(), compute)
    }

    fn observation(&self, reader: &Reader<'_>, row: &StringRecord) -> Result<Observation, TableError> {
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
            shared_budget: None,
            loss: reader.required(row, &self.loss)?,
            loss_se: self.loss_se.as_ref().map_or(Ok(None), |place| reader.standard_error(row, place))?,
            seed: self.seed.as_ref().map_or(Ok(None), |place| reader.whole(row, place))?,
        })
    }
}
