//! The rows of a table as a fit gets them: in groups, and with those counted that are left out.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::ensure;
use serde::Serialize;

use super::request::Request;
use crate::commands::shared::rehearsed;
use crate::fit::table::Table;
use crate::fit::table::budgets::{self, Sharing};
use crate::ledger::Losses;
use crate::observation::{Counting, Observation};

/// Rows that belong together.
pub(super) struct Group<T> {
    /// The group's name, where the table was split.
    pub(super) name: Option<String>,
    pub(super) rows: Vec<T>,
    /// What `--json` says of how they came about.
    pub(super) made: Made,
    /// What parameters count where the table does not tell all of them.
    pub(super) counted: Option<Counting>,
}

/// What a fit was made of.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Made {
    /// Rows of the whole table.
    rows: Counted,
    /// How its runs were put together into budgets, where their FLOPs differ within these.
    #[serde(skip_serializing_if = "Option::is_none")]
    budgets: Option<Sharing>,
    /// Whether losses among them are made up, which no training produced.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    rehearsed: bool,
}

/// Rows of a table, and those of them that are left out.
#[derive(Clone, Debug, Serialize)]
struct Counted {
    read: usize,
    used: usize,
    /// By their status.
    not_finished: BTreeMap<String, usize>,
    /// Left out by `--skip-incomplete`.
    incomplete: usize,
}

impl Counted {
    fn of<T>(table: &Table<T>) -> Self {
        let (used, incomplete) = (table.rows.len(), table.incomplete);
        let read = used + incomplete + table.skipped.values().sum::<usize>();
        Self { read, used, not_finished: table.skipped.clone(), incomplete }
    }

    fn tell(&self) {
        let Self { read, not_finished, incomplete, .. } = self;
        if !not_finished.is_empty() {
            let skipped: usize = not_finished.values().sum();
            let named = |(status, count): (&String, &usize)| match status.as_str() {
                "" => format!("{count} without a status"),
                status => format!("{count} {status}"),
            };
            let each: Vec<String> = not_finished.iter().map(named).collect();
            tell!("note: {skipped} of {read} rows are not finished and are left out: {}", each.join(", "));
        }
        if *incomplete > 0 {
            tell!("note: {incomplete} of {read} rows lack a number and are left out, as asked");
        }
    }
}

/// Tells what was skipped and assumed, leaves out the highest losses and splits the rows into groups.
pub(super) fn groups<T>(
    table: Table<T>,
    path: &Path,
    drop: usize,
    loss: impl Fn(&T) -> f64,
) -> anyhow::Result<Vec<Group<T>>> {
    let counted = Counted::of(&table);
    counted.tell();
    table.notes.iter().for_each(|note| tell!("note: {note}"));
    table.warnings.iter().for_each(|warning| tell!("warning: {warning}"));
    // A table of curves tells no device; the folder that it lies in does.
    let rehearsed = table.rehearsed > 0 || Losses::at(path) == Losses::Rehearsed;
    if rehearsed {
        rehearsed::say();
    }
    let mut groups = Vec::new();
    for (name, mut rows) in table.groups.split(table.rows) {
        let of = name.as_ref().map_or_else(String::new, |name| format!(" in the group '{name}'"));
        ensure!(
            drop < rows.len(),
            "--drop-highest {drop} leaves none of the {} runs of {}{of}",
            rows.len(),
            path.display()
        );
        if drop > 0 {
            rows.sort_by(|a, b| loss(a).total_cmp(&loss(b)));
            rows.truncate(rows.len() - drop);
        }
        let made = Made { rows: counted.clone(), budgets: None, rehearsed };
        groups.push(Group { name, rows, made, counted: table.counted });
    }
    Ok(groups)
}

impl Group<Observation> {
    /// Puts runs together whose FLOPs are those of one budget, and says so.
    pub(super) fn share_budgets(&mut self, request: &Request) {
        let asked = request.args.budget_tolerance;
        self.made.budgets = budgets::share(&mut self.rows, asked);
        if let Some(Sharing { tolerance, groups }) = self.made.budgets {
            let why = if asked.is_some() {
                "as asked"
            } else {
                "by the gaps between FLOPs; --budget-tolerance says otherwise"
            };
            let of = self.name.as_ref().map_or_else(String::new, |name| format!(" of '{name}'"));
            let percent = (tolerance * 1e3).round() / 10.0;
            tell!("note: budgets{of} within {percent}%: {groups} groups, {why}");
        }
    }

    /// The conventions of counting that some run tells.
    pub(super) fn countings(&self) -> impl Iterator<Item = Counting> {
        let told = |counting: &Counting| self.rows.iter().any(|run| run.params_by(*counting).is_some());
        let all_told = self.counted.is_none();
        Counting::ALL.into_iter().filter(move |counting| all_told || *counting != Counting::All).filter(told)
    }
}
