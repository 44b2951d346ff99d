//! The best of rows that differ in what was tuned alone.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use csv::StringRecord;

use super::error::TableError;
use super::field::Field;
use super::habits::{Place, lost};
use super::options::{Best, Options, PLACES};
use super::reader::Reader;
use crate::columns::AXIS;
use crate::fit::table::tried::{Tried, alike};

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

/// Whether a column tells the seed of a run, of its weights or of its data.
pub(super) fn is_seed(header: &str) -> bool {
    header.rsplit('.').next() == Some("seed")
}

fn is_axis(header: &str) -> bool {
    header.starts_with(AXIS)
}

fn is_sweep(reader: &Reader<'_>) -> bool {
    reader.headers.iter().any(|header| is_axis(header.trim()))
}

/// Notes a row that is left out, but was tried at its values all the same if it diverged.
pub(super) fn left_out(tuning: &mut Option<Tuning>, status: &str, row: &StringRecord) {
    if let Some(tuning) = tuning.as_mut().filter(|_| lost(status).is_some_and(f64::is_infinite)) {
        tuning.tried(row);
    }
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
    /// The column of the groups, and the values that each of them was tuned over at each point.
    by: Option<usize>,
    values: HashMap<Vec<String>, BTreeMap<String, Tried>>,
}

impl Tuning {
    /// Nothing where nothing was tuned.
    pub(super) fn of(reader: &Reader<'_>, options: &Options) -> Result<Option<Self>, TableError> {
        if options.tuned.is_empty() {
            return if options.best == Best::Frontier { Self::frontier(reader, options) } else { Ok(None) };
        }
        let tuned = options.tuned.iter().map(|column| reader.by(column)).collect::<Result<Vec<_>, _>>()?;
        let mut common = places(reader, &tuned)?;
        if is_sweep(reader) {
            common.extend(reader.find(Field::Params)?.map(|place| place.index));
        }
        common.retain(|at| !tuned.contains(at));
        let by = options.by.as_deref().map(|by| reader.by(by)).transpose()?;
        common.retain(|at| Some(*at) != by);
        let loss = reader.require(Field::Loss, "")?;
        let tuned = tuned.into_iter().zip(options.tuned.iter().cloned()).collect();
        let among = "those that differ in what was tuned";
        Ok(Some(Self { by, ..Self::new(common, loss, tuned, among) }))
    }

    /// Sizes are what is tuned within a budget.
    fn frontier(reader: &Reader<'_>, options: &Options) -> Result<Option<Self>, TableError> {
        let Some(budget) = reader.find(Field::FlopBudget)? else { return Ok(None) };
        let mut common = vec![budget.index];
        common.extend(reader.find(Field::Seed)?.map(|place| place.index));
        common.extend(options.by.as_deref().map(|by| reader.by(by)).transpose()?);
        let tuned = reader.find(Field::Params)?.map(|place| (place.index, place.column)).into_iter().collect();
        let loss = reader.require(Field::Loss, "")?;
        Ok(Some(Self::new(common, loss, tuned, "their budget")))
    }

    fn new(common: Vec<usize>, loss: Place, tuned: Vec<(usize, String)>, among: &'static str) -> Self {
        let (rows, points, values) = (Vec::new(), HashMap::new(), HashMap::new());
        Self { common, loss, tuned, among, rows, points, by: None, values }
    }

    /// Notes the values of a row, which may have diverged.
    pub(super) fn tried(&mut self, row: &StringRecord) {
        let Some(by) = self.by else { return };
        let cells = |columns: &mut dyn Iterator<Item = usize>| columns.map(|at| row[at].trim().to_owned()).collect();
        let point: Vec<String> = cells(&mut self.common.iter().copied());
        let values: Vec<String> = cells(&mut self.tuned.iter().map(|(at, _)| *at));
        let groups = self.values.entry(point).or_default();
        groups.entry(row[by].trim().to_owned()).or_default().insert(values);
    }

    /// `lost` is the loss of a run that has none.
    pub(super) fn see(&mut self, reader: &Reader<'_>, row: &StringRecord, lost: Option<f64>) -> Result<(), TableError> {
        if !lost.is_some_and(f64::is_nan) {
            self.tried(row);
        }
        let point: Vec<String> =
            self.common.iter().copied().chain(self.by).map(|at| row[at].trim().to_owned()).collect();
        let next = self.points.len();
        let point = *self.points.entry(point).or_insert(next);
        let values = self.tuned.iter().map(|(at, _)| row[*at].trim().parse().ok()).collect();
        let loss = lost.map_or_else(|| reader.required(row, &self.loss), Ok)?;
        self.rows.push((point, if loss.is_nan() { f64::INFINITY } else { loss }, values));
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
                low < high
                    && self.rows[*row].1.is_finite()
                    && values[column].is_some_and(|value| value <= low || value >= high)
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

    /// A warning where groups were tuned over values that differ in number or in spacing: the best of more values, or of such
    /// that lie closer, is lower by chance alone.
    pub(super) fn uneven(&self) -> Option<String> {
        let uneven = |groups: &&BTreeMap<String, Tried>| {
            groups.values().next().is_some_and(|first| groups.values().any(|other| !alike(first, other)))
        };
        // Of several points that with the most different numbers.
        let spread = |groups: &&BTreeMap<String, Tried>| {
            let counts = || groups.values().map(BTreeSet::len);
            (
                counts().max().unwrap_or(0) - counts().min().unwrap_or(0),
                std::cmp::Reverse(groups.keys().cloned().collect::<Vec<_>>()),
            )
        };
        let groups = self.values.values().filter(uneven).max_by_key(spread)?;
        let names: Vec<&str> = self.tuned.iter().map(|(_, name)| name.as_str()).collect();
        let told: Vec<String> = groups.iter().map(|(name, values)| format!("{} for {name}", values.len())).collect();
        Some(format!(
            "the values of {} that were trained differ in number or in spacing between groups ({}): the best of more values, or of \
             closer ones, is lower by chance alone; train the same ones",
            names.join(" and "),
            told.join(", ")
        ))
    }
}
