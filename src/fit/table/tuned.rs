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

/// Collects rows by what they have in common.
pub(super) struct Tuning {
    /// The columns in which rows of one point agree.
    common: Vec<usize>,
    loss: Place,
    /// The point of each row, and its loss.
    rows: Vec<(usize, f64)>,
    points: HashMap<Vec<String>, usize>,
}

impl Tuning {
    /// Nothing where nothing was tuned.
    pub(super) fn of(reader: &Reader<'_>, options: &Options) -> Result<Option<Self>, TableError> {
        if options.tuned.is_empty() {
            return Ok(None);
        }
        let tuned = options.tuned.iter().map(|column| reader.by(column)).collect::<Result<Vec<_>, _>>()?;
        let headers = || reader.headers.iter().map(str::trim).enumerate();
        let axis = |header: &str| header.starts_with("axis.");
        let mut common: Vec<usize> =
            headers().filter(|(_, header)| axis(header) || PLACES.contains(header)).map(|(at, _)| at).collect();
        // Rows of a sweep differ in size only by its axes or its budgets; elsewhere settings have columns of their own.
        let settings = if headers().any(|(_, header)| axis(header)) { &SETTINGS[..1] } else { &SETTINGS[..] };
        for field in settings {
            common.extend(reader.find(*field)?.map(|place| place.index));
        }
        common.extend(options.by.as_deref().map(|by| reader.by(by)).transpose()?);
        common.retain(|at| !tuned.contains(at));
        let loss = reader.require(Field::Loss, "")?;
        Ok(Some(Self { common, loss, rows: Vec::new(), points: HashMap::new() }))
    }

    pub(super) fn see(&mut self, reader: &Reader<'_>, row: &StringRecord) -> Result<(), TableError> {
        let point: Vec<String> = self.common.iter().map(|at| row[*at].trim().to_owned()).collect();
        let next = self.points.len();
        let point = *self.points.entry(point).or_insert(next);
        self.rows.push((point, reader.required(row, &self.loss)?));
        Ok(())
    }

    /// For each row whether it is the best of its point; of equal ones the first.
    pub(super) fn best(&self) -> Vec<bool> {
        let mut best: Vec<Option<usize>> = vec![None; self.points.len()];
        for (row, (point, loss)) in self.rows.iter().enumerate() {
            if best[*point].is_none_or(|other| *loss < self.rows[other].1) {
                best[*point] = Some(row);
            }
        }
        (0..self.rows.len()).map(|row| best[self.rows[row].0] == Some(row)).collect()
    }
}
