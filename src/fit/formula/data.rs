//! The rows that a law is fitted to: columns of numbers by name, the loss, and the groups that indices name.

use std::collections::BTreeMap;

/// Rows of a table, by column.
#[derive(Clone, Debug, Default)]
pub struct Data {
    /// Numbers of each column, by the name that formulas use.
    pub columns: BTreeMap<String, Vec<f64>>,
    /// What is predicted.
    pub loss: Vec<f64>,
    /// Groups by the column that tells them.
    pub groups: BTreeMap<String, Grouping>,
    /// What each run cost, where that is known: the most expensive are held out.
    pub cost: Option<Vec<f64>>,
}

/// The group of each row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grouping {
    /// The values of the column, in the order in which they come.
    pub labels: Vec<String>,
    /// Which of them a row has.
    pub of: Vec<u32>,
}

impl Grouping {
    /// From the cells of a column.
    pub fn of<'a>(cells: impl Iterator<Item = &'a str>) -> Self {
        let mut grouping = Self::default();
        for cell in cells {
            let known = grouping.labels.iter().position(|label| label == cell);
            let index = known.unwrap_or_else(|| {
                grouping.labels.push(cell.to_owned());
                grouping.labels.len() - 1
            });
            grouping.of.push(index as u32);
        }
        grouping
    }
}

impl Data {
    /// Number of rows.
    pub fn len(&self) -> usize {
        self.loss.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.loss.is_empty()
    }

    /// These rows with those of another table of the same columns and groups behind them; what these cost is forgotten.
    #[must_use]
    pub fn with(&self, other: &Self) -> Self {
        let both = |own: &[f64], other: Option<&Vec<f64>>| [own, other.map_or(&[][..], Vec::as_slice)].concat();
        let group = |(name, grouping): (&String, &Grouping)| {
            let of = [&grouping.of[..], other.groups.get(name).map_or(&[][..], |other| &other.of)].concat();
            (name.clone(), Grouping { labels: grouping.labels.clone(), of })
        };
        Self {
            columns: self
                .columns
                .iter()
                .map(|(name, own)| (name.clone(), both(own, other.columns.get(name))))
                .collect(),
            loss: both(&self.loss, Some(&other.loss)),
            groups: self.groups.iter().map(group).collect(),
            cost: None,
        }
    }

    /// The rows of these numbers, in that order. Groups keep their labels, so that unknowns keep their places.
    #[must_use]
    pub fn select(&self, rows: &[usize]) -> Self {
        let pick = |values: &[f64]| rows.iter().map(|&row| values[row]).collect::<Vec<_>>();
        let group = |grouping: &Grouping| Grouping {
            labels: grouping.labels.clone(),
            of: rows.iter().map(|&row| grouping.of[row]).collect(),
        };
        Self {
            columns: self.columns.iter().map(|(name, values)| (name.clone(), pick(values))).collect(),
            loss: pick(&self.loss),
            groups: self.groups.iter().map(|(name, grouping)| (name.clone(), group(grouping))).collect(),
            cost: self.cost.as_deref().map(pick),
        }
    }
}
