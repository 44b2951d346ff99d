//! What `runner fit` was asked for, and the rows that it takes.

use std::path::Path;

use anyhow::ensure;

use crate::cli::FitArgs;
use crate::commands::shared::sheet::Room;
use crate::fit::Bootstrap;
use crate::fit::approaches::approach3::StartGrid;
use crate::fit::table::budgets::{Resample, Units};
use crate::fit::table::{self, Columns, Table};
use crate::observation::{Counting, Observation};

/// What was asked for, checked.
pub(super) struct Request<'a> {
    pub(super) args: &'a FitArgs,
    pub(super) columns: Columns,
    pub(super) table: table::Options,
    pub(super) bootstrap: Bootstrap,
    pub(super) resample: Resample,
    pub(super) starts: StartGrid,
    /// Where tables are printed.
    pub(super) room: Room,
}

/// Rows that belong together, with the name of their group where there is one.
pub(super) type Groups<T> = Vec<(Option<String>, Vec<T>)>;

/// Tells what was skipped and assumed, leaves out the highest losses and splits the rows into groups.
pub(super) fn groups<T>(
    table: Table<T>,
    path: &Path,
    drop: usize,
    loss: impl Fn(&T) -> f64,
) -> anyhow::Result<Groups<T>> {
    if !table.skipped.is_empty() {
        let skipped: usize = table.skipped.values().sum();
        let named = |(status, count): (&String, &usize)| match status.as_str() {
            "" => format!("{count} without a status"),
            status => format!("{count} {status}"),
        };
        let each: Vec<String> = table.skipped.iter().map(named).collect();
        let all = skipped + table.rows.len();
        eprintln!("note: {skipped} of {all} rows are not finished and take no part: {}", each.join(", "));
    }
    for note in &table.notes {
        eprintln!("note: {note}");
    }
    let mut groups = table.groups.split(table.rows);
    for (name, rows) in &mut groups {
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
    }
    Ok(groups)
}

/// Whole budgets drawn from one or two are nearly always the same, which would look like certainty.
pub(super) fn require_budgets(request: &Request, budgets: impl Iterator<Item = f64>) -> anyhow::Result<()> {
    if request.resample == Resample::Budgets {
        let count = Units::new(Resample::Budgets, &budgets.collect::<Vec<_>>()).count();
        let path = request.args.runs.display();
        ensure!(count >= 3, "--resample budgets needs at least 3 budgets to draw from; {path} has {count}");
    }
    Ok(())
}

/// The conventions of counting that some run tells.
pub(super) fn countings(runs: &[Observation]) -> impl Iterator<Item = Counting> {
    Counting::ALL.into_iter().filter(|counting| runs.iter().any(|run| run.params_by(*counting).is_some()))
}
