//! Columns of text, whole numbers and numbers, from CSV.
//!
//! The columns of `runs.csv` and `curves.csv` always have the same type, whatever is in them; those of other tables are
//! whole numbers if every value is one, numbers if every value is one, and text otherwise. An empty cell is no value.

use std::collections::BTreeSet;
use std::path::Path;

use super::ExportError;
use crate::columns::{DEVICE, DEVICE_NAME};
use crate::ledger::{Ledger, has_tables_only};

/// A table.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// Its columns, all of one length.
    pub columns: Vec<Column>,
    /// Number of rows.
    pub rows: usize,
}

/// A column.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// Its name, unlike all others.
    pub name: String,
    /// Its values.
    pub values: Values,
}

/// The values of a column, nothing for an empty cell.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// Text.
    Text(Vec<Option<String>>),
    /// Whole numbers.
    Integer(Vec<Option<i64>>),
    /// Numbers.
    Number(Vec<Option<f64>>),
}

/// Columns of text in the tables of a ledger; an identity such as 6e1 followed by digits would pass for a number.
const TEXT: [&str; 14] = [
    "id",
    "status",
    "parameterization",
    DEVICE,
    DEVICE_NAME,
    "driver",
    "precision",
    "version",
    "build",
    "stopped_against",
    "trunk",
    "model",
    "keep_by",
    "keep_scores",
];
/// Columns of whole numbers in the tables of a ledger.
const INTEGER: [&str; 27] = [
    "width",
    "depth",
    "heads",
    "head_dim",
    "context",
    "vocab",
    "seed",
    "params",
    "params_embedding",
    "params_position",
    "params_blocks",
    "params_unembedding",
    "params_non_embedding",
    "params_blocks_and_unembedding",
    "batch_sequences",
    "batch_tokens",
    "steps",
    "warmup_steps",
    "tokens",
    "diverged_at_step",
    "stopped_at_step",
    "stopped_at_tokens",
    "threads",
    "micro_batches",
    "step",
    "params_active",
    "shared_steps",
];
/// Columns of numbers in the tables of a ledger, those of [`FLOPS`] apart.
const NUMBER: [&str; 15] = [
    "flop_budget",
    "learning_rate",
    "epochs",
    "flops",
    "val_loss",
    "val_loss_se",
    "train_loss",
    "tokens_per_second",
    "seconds",
    "stopped_behind",
    "stopped_allowed",
    "stopped_margin",
    "stopped_after",
    "flops_spent",
    "keep",
];

/// How the columns of FLOPs per token begin, one for each convention.
const FLOPS: &str = "flops_per_token_";

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Text,
    Integer,
    Number,
}

/// The runs of a sweep, and the points of their curves where they are known.
#[derive(Clone, Debug)]
pub struct Tables {
    /// A row for each run.
    pub runs: Table,
    /// A row for each point.
    pub curves: Option<Table>,
}

impl Tables {
    /// Of a results folder, by its results as they are now, or by its tables where they are all that was kept; or of a CSV
    /// with a row for each run, beside which a `curves.csv` may lie.
    pub fn read(path: &Path) -> Result<Self, ExportError> {
        if path.is_dir() && !has_tables_only(path) {
            let [runs, curves] = Ledger::open(path)?.tables()?;
            let parse = |name: &str, csv: &[u8]| Table::parse(csv, &path.join(name));
            return Ok(Self { runs: parse("runs.csv", &runs)?, curves: Some(parse("curves.csv", &curves)?) });
        }
        let read = |path: &Path| -> Result<Table, ExportError> {
            Table::parse(&std::fs::read(path).map_err(ExportError::io("read", path))?, path)
        };
        let path = &if path.is_dir() { path.join("runs.csv") } else { path.to_owned() };
        let curves = path.with_file_name("curves.csv");
        let curves = if curves.exists() && curves != *path { Some(read(&curves)?) } else { None };
        Ok(Self { runs: read(path)?, curves })
    }
}

impl Table {
    /// Reads a CSV with a header; `path` only names it in errors.
    pub fn parse(csv: &[u8], path: &Path) -> Result<Self, ExportError> {
        let wrong = |line: Option<u64>, what: String| ExportError::Table { path: path.to_owned(), line, what };
        let fault = |error: &csv::Error| wrong(error.position().map(csv::Position::line), explain(error));
        let csv = crate::lines::unix(csv.to_vec());
        let mut reader = csv::Reader::from_reader(csv.as_slice());
        let names: Vec<String> = reader.headers().map_err(|error| fault(&error))?.iter().map(str::to_owned).collect();
        if names.iter().all(String::is_empty) {
            return Err(wrong(
                Some(1),
                "no header; give a results folder or a CSV whose first line names columns".into(),
            ));
        }
        let mut seen = BTreeSet::new();
        if let Some(name) = names.iter().find(|name| !seen.insert(name.as_str())) {
            return Err(wrong(Some(1), format!("two columns are called {name:?}; rename one of them")));
        }
        let mut cells: Vec<Vec<Option<String>>> = vec![Vec::new(); names.len()];
        let mut lines = Vec::new();
        for record in reader.records() {
            let record = record.map_err(|error| fault(&error))?;
            lines.push(record.position().map(csv::Position::line));
            for (column, cell) in cells.iter_mut().zip(&record) {
                column.push(Some(cell).filter(|cell| !cell.is_empty()).map(str::to_owned));
            }
        }
        let rows = lines.len();
        let typed = |(name, cells): (String, Vec<Option<String>>)| {
            let kind = known(&name).unwrap_or_else(|| inferred(&cells));
            match Values::of(&cells, kind) {
                Ok(values) => Ok(Column { name, values }),
                Err(row) => {
                    let (cell, noun) = (cells[row].as_deref().unwrap_or_default(), noun(kind));
                    Err(wrong(
                        lines[row],
                        format!("column {name}: {cell:?} is not a {noun}; correct it, or rename the column"),
                    ))
                }
            }
        };
        let columns = names.into_iter().zip(cells).map(typed).collect::<Result<_, _>>()?;
        Ok(Self { columns, rows })
    }

    /// The values of a column.
    pub fn column(&self, name: &str) -> Option<&Values> {
        self.columns.iter().find(|column| column.name == name).map(|column| &column.values)
    }
}

impl Values {
    /// Whether every cell is empty.
    pub fn are_empty(&self) -> bool {
        match self {
            Self::Text(cells) => cells.iter().all(Option::is_none),
            Self::Integer(cells) => cells.iter().all(Option::is_none),
            Self::Number(cells) => cells.iter().all(Option::is_none),
        }
    }

    /// The values of a kind, or the first row that is of another.
    fn of(cells: &[Option<String>], kind: Kind) -> Result<Self, usize> {
        fn parsed<T: std::str::FromStr>(cells: &[Option<String>]) -> Result<Vec<Option<T>>, usize> {
            let parse = |(row, cell): (usize, &Option<String>)| {
                cell.as_ref().map(|cell| cell.parse().map_err(|_| row)).transpose()
            };
            cells.iter().enumerate().map(parse).collect()
        }
        Ok(match kind {
            Kind::Text => Self::Text(cells.to_vec()),
            Kind::Integer => Self::Integer(parsed(cells)?),
            Kind::Number => Self::Number(parsed(cells)?),
        })
    }

    /// The text of a row.
    pub fn text(&self, row: usize) -> Option<String> {
        match self {
            Self::Text(values) => values[row].clone(),
            Self::Integer(values) => values[row].map(|value| value.to_string()),
            Self::Number(values) => values[row].map(|value| value.to_string()),
        }
    }

    /// The number of a row; text is none.
    pub fn number(&self, row: usize) -> Option<f64> {
        match self {
            Self::Text(_) => None,
            Self::Integer(values) => values[row].map(|value| value as f64),
            Self::Number(values) => values[row],
        }
    }
}

fn known(name: &str) -> Option<Kind> {
    let list = [(&TEXT[..], Kind::Text), (&INTEGER, Kind::Integer), (&NUMBER, Kind::Number)];
    let listed = list.into_iter().find(|(names, _)| names.contains(&name)).map(|(_, kind)| kind);
    listed.or(name.starts_with(FLOPS).then_some(Kind::Number))
}

/// The narrowest kind that takes every value; text where there is none.
fn inferred(cells: &[Option<String>]) -> Kind {
    let all = |kind| Values::of(cells, kind).is_ok();
    match cells.iter().any(Option::is_some) {
        true if all(Kind::Integer) => Kind::Integer,
        true if all(Kind::Number) => Kind::Number,
        _ => Kind::Text,
    }
}

fn noun(kind: Kind) -> &'static str {
    match kind {
        Kind::Text => "text",
        Kind::Integer => "whole number",
        Kind::Number => "number",
    }
}

fn explain(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("{len} cells, and the header has {expected_len}; every row needs as many")
        }
        csv::ErrorKind::Utf8 { .. } => "not UTF-8; convert it, for instance with `iconv -f LATIN1 -t UTF-8`".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::testing::{ledger, stop};
    use crate::plan::{FurtherColumns, Trunk};
    use crate::spec::{KeepBy, KeepScores};

    fn parse(csv: &str) -> Result<Table, String> {
        Table::parse(csv.as_bytes(), Path::new("t.csv")).map_err(|error| error.to_string())
    }

    #[test]
    fn columns_of_a_ledger_keep_their_type_whatever_is_in_them() {
        let table =
            parse("id,flops,seed,val_loss,axis.model.width\n1234567890123456,5,1,,64\n12e4567890123456,6,2,,\n");
        let table = table.unwrap();
        let text = |values: [&str; 2]| Values::Text(values.map(|value| Some(value.to_owned())).to_vec());
        assert_eq!(table.column("id"), Some(&text(["1234567890123456", "12e4567890123456"])));
        assert_eq!(table.column("flops"), Some(&Values::Number(vec![Some(5.0), Some(6.0)])));
        assert_eq!(table.column("seed"), Some(&Values::Integer(vec![Some(1), Some(2)])));
        assert_eq!(table.column("val_loss"), Some(&Values::Number(vec![None, None])));
        assert_eq!(table.column("axis.model.width"), Some(&Values::Integer(vec![Some(64), None])));
    }

    #[test]
    fn the_columns_of_known_type_are_those_that_a_ledger_writes() {
        let (_dir, ledger) = ledger(1);
        // So that it has the columns of that, too.
        stop(&ledger, 0, 1.5);
        let [runs, curves] = ledger.tables().unwrap();
        let headers = [runs, curves].map(|csv| csv::Reader::from_reader(&csv[..]).headers().unwrap().clone());
        // Those that only some plans have. The name of a program's model is the one that this plan cannot make.
        let mut plan = ledger.plan().clone();
        let run = &mut plan.runs[0];
        run.trunk = Some(Trunk { id: run.id.clone(), from: 5 });
        run.params.idle = 1;
        run.run.data.keep = Some(0.5);
        run.run.data.keep_by = Some(KeepBy::Random);
        run.run.data.keep_scores = Some(KeepScores::Low);
        let further = FurtherColumns::of(&plan).of_run(&plan.runs[0]);
        let spent = plan.runs[0].spent_columns(None);
        let some: Vec<&str> = further.iter().chain(&spent).map(|(name, _)| name.as_str()).chain(["model"]).collect();
        let names = headers.iter().flatten().chain(some);
        let written: BTreeSet<&str> =
            names.filter(|name| !name.starts_with("axis.") && !name.starts_with(FLOPS)).collect();
        let known: BTreeSet<&str> = TEXT.iter().chain(&INTEGER).chain(&NUMBER).copied().collect();
        assert_eq!(written, known);
    }

    #[test]
    fn broken_tables_are_errors_with_line_and_column() {
        let cases = [
            ("", "t.csv:1: no header"),
            ("a,a\n1,2\n", "two columns are called \"a\""),
            ("a,b\n1\n", "t.csv:2: 1 cells, and the header has 2"),
            ("id,val_loss\nx,1\ny,good\n", "t.csv:3: column val_loss: \"good\" is not a number"),
            ("id,seed\nx,1.5\n", "column seed: \"1.5\" is not a whole number"),
        ];
        for (csv, expected) in cases {
            let error = parse(csv).unwrap_err();
            assert!(error.contains(expected), "{csv:?}: {error}");
        }
        let error = Table::parse(b"a\n\xff\n", Path::new("t.csv")).unwrap_err().to_string();
        assert!(error.contains("UTF-8"), "{error}");
    }
}
