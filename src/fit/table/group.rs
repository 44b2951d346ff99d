//! Rows that belong together, and a warning where rows are mixed that do not.

use std::collections::{BTreeMap, HashMap};

use csv::StringRecord;

use super::field::Field;
use super::options::Options;
use crate::columns::{self, SHARE};

/// Groups above which a column is not one to group by.
const MOST: usize = 100;

/// The name of the group of rows whose cell is empty, as it is where an axis was added later.
const EMPTY: &str = "(empty)";

/// The group of each row, by the values of one column in the order in which they come.
#[derive(Clone, Debug, Default)]
pub struct Groups {
    names: Vec<String>,
    index: HashMap<String, u32>,
    of: Vec<u32>,
}

impl Groups {
    /// Notes the value of the next row; the most groups there may be where it is one too many.
    pub(super) fn see(&mut self, value: &str) -> Result<(), usize> {
        let group = if let Some(known) = self.index.get(value) {
            *known
        } else if self.names.len() == MOST {
            return Err(MOST);
        } else {
            self.names.push(if value.is_empty() { EMPTY } else { value }.to_owned());
            self.index.insert(value.to_owned(), self.names.len() as u32 - 1);
            self.names.len() as u32 - 1
        };
        self.of.push(group);
        Ok(())
    }

    /// Forgets the rows that are not kept.
    pub(super) fn keep(&mut self, kept: &[bool]) {
        keep(&mut self.of, kept);
    }

    /// A number for the group of each row.
    pub fn of_rows(&self) -> &[u32] {
        &self.of
    }

    /// `rows` group by group with the group's name; all of them under no name where nothing was grouped.
    pub fn split<T>(&self, rows: Vec<T>) -> Vec<(Option<String>, Vec<T>)> {
        if self.names.is_empty() {
            return vec![(None, rows)];
        }
        let mut groups: Vec<_> = self.names.iter().map(|name| (Some(name.clone()), Vec::new())).collect();
        for (row, group) in rows.into_iter().zip(&self.of) {
            groups[*group as usize].1.push(row);
        }
        groups
    }
}

/// Forgets the elements that are not kept.
pub(super) fn keep<T>(list: &mut Vec<T>, kept: &[bool]) {
    let mut kept = kept.iter();
    list.retain(|_| kept.next().is_some_and(|kept| *kept));
}

/// The axis of the splits and draws of the data.
const DATA_SEED: &str = "data.seed";

/// Begins the axes of the weights of a mixture, which its shares say all about.
const WEIGHTS: &str = "data.weights";

/// The axes of a sweep that a field says all about, or their beginnings up to a dot.
fn set_by(field: Field) -> &'static [&'static str] {
    match field {
        Field::Params | Field::ParamsNonEmbedding | Field::ParamsBlocksAndUnembedding => {
            &["model.width", "model.depth"]
        }
        Field::Tokens | Field::Steps => &["schedule.tokens", "schedule.tokens_per_param", "schedule.flops"],
        Field::Keep => &["data.keep"],
        Field::UniqueTokens | Field::Epochs => &["data.train_tokens"],
        Field::LearningRate | Field::Batch => &["optimizer."],
        _ => &[],
    }
}

/// Whether a header is that of an axis, with spaces around it or not.
fn is_axis_of(header: &str, field: &str) -> bool {
    columns::varied(header.trim()) == Some(field)
}

/// Whether the rows of a sweep's table differ in more than size, tokens and seed: then one curve through them mixes
/// what the sweep set out to tell apart. An axis of data seeds is a seed as well, and what goes with it is told by it.
pub(super) struct Mixture {
    columns: Vec<Watched>,
    data_seed: Option<usize>,
}

/// A column in which rows should agree.
struct Watched {
    index: usize,
    name: String,
    /// The first value seen of each data seed, or of all rows.
    first: BTreeMap<String, String>,
    varies: bool,
}

impl Mixture {
    /// The columns in which rows should agree, but for the one by which they are grouped, those that were tuned, and axes
    /// that only set what the fit reads.
    pub(super) fn of(headers: &StringRecord, options: &Options, read: &[Field]) -> Self {
        let is = |axis: &str, set: &str| axis == set || set.ends_with('.') && axis.starts_with(set);
        let set = |axis: &str| read.iter().any(|field| set_by(*field).iter().any(|set| is(axis, set)));
        // The axis of a sweep says what this column says.
        let has_axis = headers.iter().any(|header| is_axis_of(header, "model.parameterization"));
        let told = |header: &str| {
            Some(header) != options.by.as_deref()
                && !options.tuned.iter().any(|column| column == header)
                && match columns::varied(header) {
                    Some(axis) => axis != DATA_SEED && !set(axis),
                    None => header == "parameterization" && !has_axis,
                }
        };
        let columns = headers.iter().enumerate().filter(|(_, header)| told(header.trim()));
        let watched = |(index, name): (usize, &str)| Watched {
            index,
            name: name.to_owned(),
            first: BTreeMap::new(),
            varies: false,
        };
        Self {
            columns: columns.map(watched).collect(),
            data_seed: headers.iter().position(|header| is_axis_of(header, DATA_SEED)),
        }
    }

    /// Without the columns that the fit knows of, and the weights whose shares it knows of.
    pub(super) fn without(mut self, known: &[String]) -> Self {
        let shares = known.iter().any(|name| name.starts_with(SHARE));
        // `width` is what `axis.model.width` says.
        let last =
            |column: &String| column.rsplit('.').next().is_some_and(|last| known.iter().any(|name| name == last));
        let weights = |column: &str| columns::varied(column).is_some_and(|axis| axis.starts_with(WEIGHTS));
        let told = |column: &String| known.contains(column) || last(column) || shares && weights(column);
        self.columns.retain(|column| !told(&column.name));
        self
    }

    /// No columns: rows may differ in anything.
    pub(super) fn allowed() -> Self {
        Self { columns: Vec::new(), data_seed: None }
    }

    pub(super) fn see(&mut self, row: &StringRecord) {
        let seed = self.data_seed.map_or("", |index| &row[index]);
        for column in &mut self.columns {
            let value = &row[column.index];
            match column.first.get(seed) {
                Some(first) => column.varies |= first != value,
                None => _ = column.first.insert(seed.to_owned(), value.to_owned()),
            }
        }
    }

    pub(super) fn note(&self) -> Option<String> {
        let varying: Vec<&str> =
            self.columns.iter().filter(|column| column.varies).map(|column| column.name.as_str()).collect();
        let warning = "rows differ in it and are fitted as one curve; --by COLUMN fits each of its values by itself";
        (!varying.is_empty()).then(|| format!("{}: {warning}", varying.join(", ")))
    }
}
