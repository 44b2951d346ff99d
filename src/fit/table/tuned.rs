//! The best of rows that differ in what was tuned alone.

use std::collections::HashMap;

use csv::StringRecord;

use super::error::TableError;
use super::field::Field;
use super::habits::Place;
use super::options::{Options, PLACES};
use super::reader::Reader;

/// Columns that say where a run stands, where the table has no axes that say so.
const SETTINGS: [Field; 4] = [Field::Params, Field::Tokens, Field::LearningRate, Field::Batch];

/// The columns that say where a run stands, but for some that do not count. Rows of a sweep differ by its axes, its budgets or the
/// models of a program; elsewhere settings have columns of their own.
pub(super) fn places(reader: &Reader<'_>, but: &[usize]) -> Result<Vec<usize>, TableError> {
    let headers = || reader.headers.iter().map(str::trim).enumerate();
    let sweep = is_sweep(reader);
    let place = |header: &str| is_axis(header) || PLACES.contains(&header) || (sweep && header == "model");
    let mut places: Vec<usize> = headers().filter(|(_, header)| place(header)).map(|(at, _)| at).collect();
    if !sweep {
        for field in SETTINGS {
            places.extend(reader.find(field)?.map(|place| place.index));
        }
    }
    places.retain(|at| !but.contains(at));
    Ok(places)
}

fn is_axis(header: &str) -> bool {
    header.starts_with("axis.")
}

fn is_sweep(reader: &Reader<'_>) -> bool {
    reader.headers.iter().any(|header| is_axis(header.trim()))
}

/// Collects rows by what they have in common.
pub(super) struct Tuning {
    /// The columns in which rows of one point agree.
    common: Vec<usize>,
    loss: Place,
    /// The columns that were tuned, with their names.
    tuned: Vec<(usize, String)>,
    /// What the best rows are the best of.
    among: &'static str,
    /// The point of each row, its loss, and its tuned values where these are numbers.
    rows: Vec<(usize, f64, Vec<Option<f64>>)>,
    points: HashMap<Vec<String>, usize>,
}

impl Tuning {
    /// Nothing where nothing was tuned.
    pub(super) fn of(reader: &Reader<'_>, options: &Options) -> Result<Option<Self>, TableError> {
        if options.tuned.is_empty() {
            return if options.frontier { Self::frontier(reader, options) } else { Ok(None) };
        }
        let tuned = options.tuned.iter().map(|column| reader.by(column)).collect::<Result<Vec<_>, _>>()?;
        let mut common = places(reader, &tuned)?;
        if is_sweep(reader) {
            common.extend(reader.find(Field::Params)?.map(|place| place.index));
        }
        common.extend(options.by.as_deref().map(|by| reader.by(by)).transpose()?);
        common.retain(|at| !tuned.contains(at));
        let loss = reader.require(Field::Loss, "")?;
        let tuned = tuned.into_iter().zip(options.tuned.iter().cloned()).collect();
        let among = "those that differ in what was tuned";
        Ok(Some(Self { common, loss, tuned, among, rows: Vec::new(), points: HashMap::new() }))
    }

    /// Sizes are what is tuned within a budget.
    fn frontier(reader: &Reader<'_>, options: &Options) -> Result<Option<Self>, TableError> {
        let Some(budget) = reader.find(Field::FlopBudget)? else { return Ok(None) };
        let mut common = vec![budget.index];
        common.extend(reader.find(Field::Seed)?.map(|place| place.index));
        common.extend(options.by.as_deref().map(|by| reader.by(by)).transpose()?);
        let tuned = reader.find(Field::Params)?.map(|place| (place.index, place.column)).into_iter().collect();
        let loss = reader.require(Field::Loss, "")?;
        Ok(Some(Self { common, loss, tuned, among: "their budget", rows: Vec::new(), points: HashMap::new() }))
    }

    pub(super) fn see(&mut self, reader: &Reader<'_>, row: &StringRecord) -> Result<(), TableError> {
        let point: Vec<String> = self.common.iter().map(|at| row[*at].trim().to_owned()).collect();
        let next = self.points.len();
        let point = *self.points.entry(point).or_insert(next);
        let values = self.tuned.iter().map(|(at, _)| row[*at].trim().parse().ok()).collect();
        self.rows.push((point, reader.required(row, &self.loss)?, values));
        Ok(())
    }

    /// For each row whether it is the best of its point; of equal ones the first.
    pub(super) fn best(&self) -> Vec<bool> {
        let mut best: Vec<Option<usize>> = vec![None; self.points.len()];
        for (row, (point, loss, _)) in self.rows.iter().enumerate() {
            if best[*point].is_none_or(|other| *loss < self.rows[other].1) {
                best[*point] = Some(row);
            }
        }
        (0..self.rows.len()).map(|row| best[self.rows[row].0] == Some(row)).collect()
    }

    /// How many of the rows count, where not all do.
    pub(super) fn told(&self, best: &[bool]) -> Option<String> {
        let (left, all) = (best.iter().filter(|best| **best).count(), best.len());
        (left < all).then(|| format!("{left} of {all} rows count: the best of {}", self.among))
    }

    /// A warning where the best value of what was tuned is the smallest or the largest of its point, so that a better one
    /// may lie beyond.
    pub(super) fn edges(&self, best: &[bool]) -> Option<String> {
        let edges = |column: usize| {
            let mut ends = vec![[f64::INFINITY, f64::NEG_INFINITY]; self.points.len()];
            for (point, _, values) in &self.rows {
                let value = values[column]?;
                ends[*point] = [ends[*point][0].min(value), ends[*point][1].max(value)];
            }
            let at_an_end = |(row, _): &(usize, &bool)| {
                let (point, _, values) = &self.rows[*row];
                let [low, high] = ends[*point];
                low < high && values[column].is_some_and(|value| value <= low || value >= high)
            };
            Some(best.iter().enumerate().filter(|(_, best)| **best).filter(at_an_end).count())
        };
        let told = |(column, (_, name)): (usize, &(usize, String))| {
            let count = edges(column).filter(|count| *count > 0)?;
            Some(format!("{name} in {count} of {} points", self.points.len()))
        };
        let told: Vec<String> = self.tuned.iter().enumerate().filter_map(told).collect();
        (!told.is_empty()).then(|| {
            format!(
                "the best value is the smallest or the largest that was trained for {}: a better one may lie beyond; train \
                 values further out",
                told.join(", ")
            )
        })
    }
}
