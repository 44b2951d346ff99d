//! Any CSV of runs as observations: columns by name, renamed where they differ, errors with file, line and column.

use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use csv::StringRecord;
use thiserror::Error;

use crate::observation::Observation;

/// What a column holds; the names that it may have without `--columns`, the preferred one first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Params,
    ParamsNonEmbedding,
    ParamsBlocksAndUnembedding,
    Tokens,
    Flops,
    FlopBudget,
    Loss,
    LossSe,
    Seed,
    Status,
}

impl Field {
    const ALL: [Self; 10] = [
        Self::Params,
        Self::ParamsNonEmbedding,
        Self::ParamsBlocksAndUnembedding,
        Self::Tokens,
        Self::Flops,
        Self::FlopBudget,
        Self::Loss,
        Self::LossSe,
        Self::Seed,
        Self::Status,
    ];

    fn names(self) -> &'static [&'static str] {
        match self {
            Self::Params => &["params"],
            Self::ParamsNonEmbedding => &["params_non_embedding"],
            Self::ParamsBlocksAndUnembedding => &["params_blocks_and_unembedding"],
            Self::Tokens => &["tokens"],
            Self::Flops => &["flops"],
            Self::FlopBudget => &["flop_budget", "budget"],
            Self::Loss => &["val_loss", "loss"],
            Self::LossSe => &["val_loss_se", "loss_se"],
            Self::Seed => &["seed"],
            Self::Status => &["status"],
        }
    }
}

/// The renamed columns of `--columns params=N,tokens=D`.
#[derive(Clone, Debug, Default)]
pub struct Columns(Vec<(Field, String)>);

impl Columns {
    /// Reads `field=column` pairs.
    pub fn parse(pairs: &[String]) -> Result<Self, TableError> {
        let mut renamed: Vec<(Field, String)> = Vec::new();
        for pair in pairs {
            let wrong = || TableError::Columns { pair: pair.clone(), known: known_fields() };
            let (name, column) = pair.split_once('=').ok_or_else(wrong)?;
            let (name, column) = (name.trim(), column.trim());
            let field = Field::ALL.into_iter().find(|field| field.names().contains(&name)).ok_or_else(wrong)?;
            if column.is_empty() {
                return Err(wrong());
            }
            if renamed.iter().any(|(other, _)| *other == field) {
                return Err(TableError::NamedTwice { name: name.to_owned() });
            }
            renamed.push((field, column.to_owned()));
        }
        Ok(Self(renamed))
    }

    fn named(&self, field: Field) -> Option<&str> {
        self.0.iter().find(|(renamed, _)| *renamed == field).map(|(_, column)| column.as_str())
    }
}

fn known_fields() -> String {
    Field::ALL.map(|field| field.names()[0]).join(", ")
}

/// What to do about columns that are not there.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Take missing tokens as C/(6N).
    pub tokens_from_flops: bool,
}

/// A table that was read.
#[derive(Clone, Debug)]
pub struct Table {
    /// One for each row that counts, in the order of the file.
    pub observations: Vec<Observation>,
    /// Rows whose status is not `finished`.
    pub skipped: usize,
    /// What was assumed, in sentences for the user.
    pub notes: Vec<String>,
}

/// A table that cannot be read. Every text names the file, and the line and the column where there is one.
#[derive(Debug, Error)]
pub enum TableError {
    /// The file cannot be opened.
    #[error("{}: cannot be read: {cause}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// A pair of `--columns` that means nothing.
    #[error("--columns {pair}: write field=column, with a field out of {known}")]
    Columns {
        /// The pair as it was written.
        pair: String,
        /// The fields there are.
        known: String,
    },
    /// A field that `--columns` names twice.
    #[error("--columns names {name} twice: leave one of them out")]
    NamedTwice {
        /// The field.
        name: String,
    },
    /// The header lacks a column.
    #[error("{}:1: there is no column '{column}'; the columns are {found}. Say which one it is with --columns {field}=NAME{hint}", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// The column looked for.
        column: String,
        /// Its name for `--columns`.
        field: &'static str,
        /// The columns that are there.
        found: String,
        /// Another way out, where there is one.
        hint: &'static str,
    },
    /// The header has a column twice.
    #[error("{}:1: column '{column}' is there twice: rename one of the two", path.display())]
    Duplicate {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
    },
    /// A cell that is not the number it should be.
    #[error("{}:{line}: column '{column}': {what}", path.display())]
    Cell {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: u64,
        /// The column.
        column: String,
        /// What is wrong and what to write.
        what: String,
    },
    /// A row that is no row.
    #[error("{}:{line}: {what}", path.display())]
    Row {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: u64,
        /// What is wrong.
        what: String,
    },
    /// No rows to fit.
    #[error("{}: {what}", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
        /// What is missing.
        what: String,
    },
}

/// Where one field is.
#[derive(Clone)]
struct Place {
    index: usize,
    column: String,
}

struct Reader<'a> {
    path: &'a Path,
    headers: StringRecord,
    columns: &'a Columns,
}

impl Reader<'_> {
    /// The column of a field, or nothing where it has none.
    fn find(&self, field: Field) -> Result<Option<Place>, TableError> {
        let renamed = self.columns.named(field);
        let candidates = renamed.map_or_else(|| field.names().to_vec(), |column| vec![column]);
        for column in candidates {
            let mut found = self.headers.iter().enumerate().filter(|(_, header)| header.trim() == column);
            if let Some((index, _)) = found.next() {
                if found.next().is_some() {
                    return Err(TableError::Duplicate { path: self.path.to_owned(), column: column.to_owned() });
                }
                return Ok(Some(Place { index, column: column.to_owned() }));
            }
        }
        if renamed.is_some() { Err(self.missing(field, "")) } else { Ok(None) }
    }

    fn require(&self, field: Field, hint: &'static str) -> Result<Place, TableError> {
        self.find(field)?.ok_or_else(|| self.missing(field, hint))
    }

    fn missing(&self, field: Field, hint: &'static str) -> TableError {
        TableError::Missing {
            path: self.path.to_owned(),
            column: self.columns.named(field).unwrap_or(field.names()[0]).to_owned(),
            field: field.names()[0],
            found: self.headers.iter().map(|header| format!("'{}'", header.trim())).collect::<Vec<_>>().join(", "),
            hint,
        }
    }

    fn cell_error(&self, row: &StringRecord, place: &Place, what: impl fmt::Display) -> TableError {
        TableError::Cell {
            path: self.path.to_owned(),
            line: row.position().map_or(0, csv::Position::line),
            column: place.column.clone(),
            what: what.to_string(),
        }
    }

    /// A cell, or nothing where it is empty.
    fn optional<T: FromStr>(&self, row: &StringRecord, place: &Place, kind: &str) -> Result<Option<T>, TableError> {
        let text = row[place.index].trim();
        if text.is_empty() {
            return Ok(None);
        }
        text.parse().map(Some).map_err(|_| self.cell_error(row, place, format_args!("'{text}' is not {kind}")))
    }

    /// A positive finite number, or nothing where the cell is empty.
    fn positive(&self, row: &StringRecord, place: &Place) -> Result<Option<f64>, TableError> {
        let Some(value) = self.optional::<f64>(row, place, "a number")? else { return Ok(None) };
        if value.is_finite() && value > 0.0 {
            return Ok(Some(value));
        }
        Err(self.cell_error(row, place, format_args!("{value} is not above zero and finite; leave such a run out")))
    }

    fn required(&self, row: &StringRecord, place: &Place) -> Result<f64, TableError> {
        self.positive(row, place)?
            .ok_or_else(|| self.cell_error(row, place, "is empty; write the number or leave the run out"))
    }

    fn maybe(&self, row: &StringRecord, place: Option<&Place>) -> Result<Option<f64>, TableError> {
        place.map_or(Ok(None), |place| self.positive(row, place))
    }

    fn row_error(&self, error: &csv::Error) -> TableError {
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

/// Reads the CSV at `path`.
///
/// It needs parameters and loss, and tokens unless `options` allow C/(6N). FLOPs that are absent are the budget, or
/// 6ND where that is absent too, which is noted. Rows whose `status` is not `finished` are skipped and counted.
pub fn read(path: &Path, columns: &Columns, options: Options) -> Result<Table, TableError> {
    let empty = |what: &str| TableError::Empty { path: path.to_owned(), what: what.to_owned() };
    let file = File::open(path).map_err(|cause| TableError::Open { path: path.to_owned(), cause })?;
    let mut csv = csv::Reader::from_reader(file);
    let mut reader = Reader { path, headers: StringRecord::new(), columns };
    reader.headers = csv.headers().map_err(|error| reader.row_error(&error))?.clone();
    if reader.headers.iter().all(|header| header.trim().is_empty()) {
        return Err(empty("is empty; it needs a header and one row a run"));
    }

    let params = reader.require(Field::Params, "")?;
    let loss = reader.require(Field::Loss, "")?;
    let (flops, budget) = (reader.find(Field::Flops)?, reader.find(Field::FlopBudget)?);
    let compute = flops.as_ref().or(budget.as_ref());
    let tokens = match (reader.find(Field::Tokens)?, compute) {
        (None, Some(_)) if options.tokens_from_flops => None,
        (None, Some(_)) => {
            return Err(reader.missing(Field::Tokens, ", or have them taken as C/(6N) with --tokens-from-flops"));
        }
        (None, None) => return Err(reader.missing(Field::Tokens, "")),
        (tokens, _) => tokens,
    };
    let non_embedding = reader.find(Field::ParamsNonEmbedding)?;
    let blocks = reader.find(Field::ParamsBlocksAndUnembedding)?;
    let (loss_se, seed, status) = (reader.find(Field::LossSe)?, reader.find(Field::Seed)?, reader.find(Field::Status)?);

    let mut mixture = Mixture::of(&reader.headers);
    let mut table = Table { observations: Vec::new(), skipped: 0, notes: Vec::new() };
    let mut row = StringRecord::new();
    while csv.read_record(&mut row).map_err(|error| reader.row_error(&error))? {
        if status.as_ref().is_some_and(|place| row[place.index].trim() != "finished") {
            table.skipped += 1;
            continue;
        }
        mixture.see(&row);
        let params = reader.required(&row, &params)?;
        let flop_budget = reader.maybe(&row, budget.as_ref())?;
        let known_flops = reader.maybe(&row, flops.as_ref())?.or(flop_budget);
        let tokens = match (&tokens, known_flops) {
            (None, Some(flops)) => flops / (6.0 * params),
            // Tokens are a column of their own, or their FLOPs are empty, which the error then names.
            (place, _) => match place.as_ref().or(compute) {
                Some(place) => reader.required(&row, place)?,
                None => return Err(reader.missing(Field::Tokens, "")),
            },
        };
        let error = loss_se.as_ref().map_or(Ok(None), |place| {
            let value = reader.optional::<f64>(&row, place, "a number")?;
            match value {
                Some(x) if !x.is_finite() || x < 0.0 => {
                    Err(reader.cell_error(&row, place, format_args!("{x} is not a standard error; leave it empty")))
                }
                _ => Ok(value),
            }
        })?;
        table.observations.push(Observation {
            params,
            params_non_embedding: reader.maybe(&row, non_embedding.as_ref())?,
            params_blocks_and_unembedding: reader.maybe(&row, blocks.as_ref())?,
            tokens,
            flops: known_flops.unwrap_or(6.0 * params * tokens),
            flop_budget,
            loss: reader.required(&row, &loss)?,
            loss_se: error,
            seed: seed.as_ref().map_or(Ok(None), |place| reader.optional(&row, place, "a whole number"))?,
        });
    }
    if table.observations.is_empty() && table.skipped > 0 {
        return Err(empty(&format!("none of its {} rows has the status 'finished'", table.skipped)));
    }
    if table.observations.is_empty() {
        return Err(empty("has a header and no rows"));
    }
    if compute.is_none() {
        table.notes.push("no column of FLOPs or budgets: FLOPs are taken as 6 x params x tokens".to_owned());
    }
    if tokens.is_none() {
        table.notes.push("tokens are taken as FLOPs / (6 x params), as asked".to_owned());
    }
    table.notes.extend(mixture.note());
    Ok(table)
}

/// Whether the rows of a sweep's table differ in more than size, tokens and seed: then one curve through them mixes
/// what the sweep set out to tell apart.
struct Mixture {
    /// Column, its name, the first value seen, whether another one was.
    columns: Vec<(usize, String, Option<String>, bool)>,
}

impl Mixture {
    fn of(headers: &StringRecord) -> Self {
        let told = |header: &str| header.starts_with("axis.") || header == "parameterization";
        let columns = headers.iter().enumerate().filter(|(_, header)| told(header.trim()));
        Self { columns: columns.map(|(index, header)| (index, header.to_owned(), None, false)).collect() }
    }

    fn see(&mut self, row: &StringRecord) {
        for (index, _, first, varies) in &mut self.columns {
            let value = &row[*index];
            *varies |= first.get_or_insert_with(|| value.to_owned()) != value;
        }
    }

    fn note(&self) -> Option<String> {
        let varying: Vec<&str> =
            self.columns.iter().filter(|column| column.3).map(|column| column.1.as_str()).collect();
        let warning = "rows differ in it and are fitted as one curve; fit the rows that belong together";
        (!varying.is_empty()).then(|| format!("{}: {warning}", varying.join(", ")))
    }
}
