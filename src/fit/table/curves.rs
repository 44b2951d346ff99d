//! Rows that are points of learning curves, as loggers write them: of each run the last one counts, since a run that was to go
//! on has not had the loss that it would have ended with.

use std::collections::{BTreeMap, BTreeSet};

use csv::StringRecord;

use super::error::TableError;
use super::field::Field;
use super::habits::{Place, is_finished, is_missing};
use super::headers::{STEPS, plain};
use super::number::{Commas, written};
use super::options::{Kind, Options};
use super::reader::Reader;

/// How the column that names runs is called; what the second ones name may be a size.
const RUNS: [&[&str]; 2] = [
    &["run", "runid", "runname", "runuuid"],
    &["name", "id", "experiment", "experimentname", "experimentid", "exp", "expname", "trial", "trialid", "jobid"],
];

/// Rows of a run, on average, from which on they are points of a curve: finished runs of one name are fewer.
const POINTS: usize = 10;

/// What the rows of a table are to each other.
#[derive(Default)]
pub(super) struct Curves {
    /// The lines of the rows that count, where only the last one of each run does.
    last: Option<BTreeSet<u64>>,
    pub(super) note: Option<String>,
    pub(super) warning: Option<String>,
}

/// A point of a run: where it stands in the file, and how far the run had come.
struct Point {
    line: u64,
    step: f64,
    /// Whether it has a loss.
    known: bool,
    params: String,
    tokens: String,
}

/// The columns that tell whether rows are points of curves.
struct Columns {
    /// Rows of the table, those without a loss among them.
    rows: usize,
    run: (usize, String),
    step: Option<(usize, String)>,
    loss: usize,
    params: Option<usize>,
    tokens: Option<usize>,
    status: Option<usize>,
}

impl Curves {
    /// Looks through the whole table, once it is known what is read of it. What a law reads as steps of its own is no such table,
    /// and columns that the user named for something else are not looked at.
    pub(super) fn of(reader: &Reader<'_>, options: &Options, status: Option<&Place>) -> Result<Self, TableError> {
        let own: Vec<&str> = options.by.iter().chain(&options.tuned).map(String::as_str).collect();
        let columns = match options.rows {
            Kind::Results | Kind::Outcomes => Columns::of(reader, &own, status)?,
            Kind::Points | Kind::Offers => None,
        };
        let Some(columns) = columns else { return Ok(Self::default()) };
        let runs = columns.runs(reader)?;
        let all: usize = runs.values().map(Vec::len).sum();
        if runs.len() == all || !runs.values().all(|points| is_one(points)) {
            return Ok(Self::default());
        }
        // What is called a name may be that of a size, of which there are several runs, and so may a few rows of what is called
        // a run. Several that are said to be finished are several runs.
        let is_run = RUNS[0].contains(&plain(&columns.run.1).as_str());
        let many = columns.status.is_none() && columns.rows >= POINTS * runs.len();
        Ok(match &columns.step {
            Some((_, step)) if is_run && many && runs.values().all(|points| grows(points)) => {
                Self::last_of(&runs, &columns.run.1, step)
            }
            step if (is_run || step.is_some()) && runs.values().all(|points| lengthens(points)) => Self {
                warning: Some(format!(
                    "the {} values of '{}' have {all} rows, each with other tokens: if these are points of learning curves, only the \
                     last one of each run is a finished run; leave the others out",
                    runs.len(),
                    columns.run.1
                )),
                ..Self::default()
            },
            _ => Self::default(),
        })
    }

    fn last_of(runs: &BTreeMap<String, Vec<Point>>, run: &str, step: &str) -> Self {
        let last: BTreeSet<u64> = runs.values().filter_map(|points| last(points)).collect();
        let all: usize = runs.values().map(Vec::len).sum();
        let note = format!(
            "rows are points of learning curves, by '{run}' and '{step}': of {all} the last one of each of {} runs counts; rename \
             '{step}' where all are to count",
            runs.len()
        );
        Self { last: Some(last), note: Some(note), warning: None }
    }

    /// Whether a row counts.
    pub(super) fn counts(&self, line: u64) -> bool {
        self.last.as_ref().is_none_or(|last| last.contains(&line))
    }
}

impl Columns {
    /// Nothing where there are none, and where each row names a run of its own.
    fn of(reader: &Reader<'_>, own: &[&str], status: Option<&Place>) -> Result<Option<Self>, TableError> {
        let Some(loss) = reader.place(Field::Loss) else { return Ok(None) };
        let step = reader.called(&STEPS, own).into_iter().next();
        if step.as_ref().is_some_and(|step| reader.is_read(step.0)) {
            return Ok(None);
        }
        let named = RUNS.iter().map(|names| reader.called(names, own)).find(|found| !found.is_empty());
        let Some(named) = named else { return Ok(None) };
        let mut values: Vec<BTreeSet<String>> = vec![BTreeSet::new(); named.len()];
        let mut rows = 0;
        reader.each(|row, _| {
            rows += 1;
            for (values, (at, _)) in values.iter_mut().zip(&named) {
                values.insert(row[*at].trim().to_owned());
            }
        })?;
        // The column that names most runs.
        let most = values.iter().map(BTreeSet::len).zip(named).max_by_key(|(count, _)| *count);
        let Some((_, run)) = most.filter(|(count, _)| *count < rows) else { return Ok(None) };
        let [params, tokens] = [Field::Params, Field::Tokens].map(|field| reader.likely(field));
        Ok(Some(Self { rows, run, step, loss, params, tokens, status: status.map(|place| place.index) }))
    }

    /// The points of each run. A logger leaves the loss of validation empty where it did not validate.
    fn runs(&self, reader: &Reader<'_>) -> Result<BTreeMap<String, Vec<Point>>, TableError> {
        let cell = |row: &StringRecord, at: Option<usize>| at.map_or(String::new(), |at| row[at].trim().to_owned());
        let mut runs: BTreeMap<String, Vec<Point>> = BTreeMap::new();
        reader.each(|row, line| {
            let (name, loss) = (row[self.run.0].trim(), row[self.loss].trim());
            let finished = self.status.is_none_or(|at| is_finished(row[at].trim()));
            if is_missing(name) || loss.is_empty() || !finished {
                return;
            }
            let step = self.step.as_ref().and_then(|(at, _)| written(&row[*at])?.value(Commas::Thousands));
            runs.entry(name.to_owned()).or_default().push(Point {
                line,
                step: step.unwrap_or(f64::NAN),
                known: !is_missing(loss),
                params: cell(row, self.params),
                tokens: cell(row, self.tokens),
            });
        })?;
        Ok(runs)
    }
}

/// The line of the point that a run has come to. Without a loss it is one that diverged, but where points without one stand before
/// others they were not validated.
fn last(points: &[Point]) -> Option<u64> {
    let mut order: Vec<&Point> = points.iter().collect();
    order.sort_by(|a, b| a.step.total_cmp(&b.step));
    let gaps = order.windows(2).any(|pair| !pair[0].known && pair[1].known);
    order.iter().rfind(|point| point.known || !gaps).map(|point| point.line)
}

/// Whether the points may be of one run, whose size stays.
fn is_one(points: &[Point]) -> bool {
    points.iter().all(|point| point.params == points[0].params)
}

/// Whether it went from step to step; a logger repeats some after a run was resumed.
fn grows(points: &[Point]) -> bool {
    let steps: BTreeSet<u64> = points.iter().map(|point| point.step.to_bits()).collect();
    2 * steps.len() > points.len() && points.iter().all(|point| point.step.is_finite())
}

/// Whether most have tokens of their own.
fn lengthens(points: &[Point]) -> bool {
    2 * points.iter().map(|point| &point.tokens).collect::<BTreeSet<_>>().len() > points.len()
}
