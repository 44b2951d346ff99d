//! What a law is to the command, and how one over plain columns is read and fitted.

use crate::commands::fit::finding::Finding;
use crate::commands::fit::fit_of_rows::FitOfRows;
use crate::commands::fit::request::Request;
use crate::commands::fit::rows::{Group, groups};
use crate::fit::named::Dot;
use crate::fit::table::{self, Field};
use crate::report::Figure;

/// What is asked by the name of a law.
#[derive(Clone, Copy)]
pub(super) struct Asked {
    /// The flags that it takes beside those of every law.
    pub(super) takes: &'static [&'static str],
    /// Reads the table; what comes back fits it.
    pub(super) read: for<'a> fn(&'a Request<'a>) -> anyhow::Result<Reading<'a>>,
    /// Draws its fits, all of which have rows that are drawn.
    pub(super) draw: fn(&[&FitOfRows]) -> Vec<Figure>,
}

/// A table that was read, and how it is fitted.
pub(super) type Reading<'a> = Box<dyn FnOnce() -> anyhow::Result<Vec<FitOfRows>> + 'a>;

/// Columns of plain numbers that laws share, in the order in which fits take them.
pub(super) const SIZE: &[Field] = &[Field::Params];
pub(super) const LENGTH: &[Field] = &[Field::Tokens];
pub(super) const STEPS: &[Field] = &[Field::Steps];
pub(super) const BATCH: &[Field] = &[Field::Batch];
pub(super) const LOSS: &[Field] = &[Field::Loss];

/// A law over plain columns, the last of which is the loss.
pub(super) struct Plain<const K: usize> {
    pub(super) fields: [&'static [Field]; K],
    /// What is wrong with a row, and in which of its columns.
    pub(super) check: fn(&[f64; K]) -> Option<(usize, String)>,
    pub(super) fit: fn(Vec<[f64; K]>, &Request) -> Box<dyn Finding>,
    /// What is drawn of a row.
    pub(super) dot: fn(&[f64; K]) -> Dot,
}

impl<const K: usize> Plain<K> {
    /// Reads the columns; each group of rows is fitted by itself.
    pub(super) fn read<'a>(self, request: &'a Request<'a>) -> anyhow::Result<Reading<'a>> {
        let args = request.args;
        let table = table::numbers(&args.runs, &request.columns, self.fields, &request.table, self.check)?;
        Ok(Box::new(move || {
            let groups = groups(table, &args.runs, args.drop_highest, |row| row[K - 1])?;
            let one = |Group { name, rows, made, .. }: Group<[f64; K]>| {
                let points = rows.iter().map(self.dot).collect();
                FitOfRows::new(name, (self.fit)(rows, request), &made, points)
            };
            Ok(groups.into_iter().map(one).collect())
        }))
    }
}

/// Every row is as it should be.
pub(super) fn any<const K: usize>(_: &[f64; K]) -> Option<(usize, String)> {
    None
}
