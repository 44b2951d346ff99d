//! The table of runs: what differs between them, numbers short, the rest said once.

use std::collections::BTreeSet;

use crate::columns::AXIS;
use crate::report::{RunTable, words};
use crate::units::Flops;

/// Columns that are shown at once, in this order; the others on demand.
const FIRST: [&str; 14] = [
    "id",
    "run",
    "status",
    "parameterization",
    "width",
    "depth",
    "flop_budget",
    "params",
    "params_blocks_and_unembedding",
    "tokens",
    "learning_rate",
    "seed",
    "val_loss",
    "val_loss_se",
];

/// Those of them that a phone has room for.
const FIRST_ON_A_PHONE: [&str; 5] = ["flop_budget", "width", "params", "learning_rate", "val_loss"];

/// The table of runs as the page shows it.
pub struct Runs<'a> {
    /// Columns that differ from run to run.
    pub header: Vec<Column<'a>>,
    /// One for each run.
    pub rows: Vec<Vec<Cell<'a>>>,
    /// Columns that are the same for all runs, with their value.
    pub same: Vec<(&'a str, &'a str)>,
}

/// The head of a column.
pub struct Column<'a> {
    pub name: &'a str,
    /// Whether it is shown only on demand.
    pub more: bool,
    /// Whether a phone shows it too.
    pub first: bool,
}

/// One cell.
pub struct Cell<'a> {
    /// What is written in the table of the ledger.
    pub raw: &'a str,
    /// The same for people.
    pub text: String,
    pub more: bool,
    pub first: bool,
}

impl<'a> Runs<'a> {
    /// Sorts the columns of a table.
    pub fn of(table: &'a RunTable) -> Self {
        let cell = |row: &'a Vec<String>, k: usize| row.get(k).map_or("", String::as_str);
        let differs = |k: &usize| {
            let values: BTreeSet<&str> = table.rows.iter().map(|row| cell(row, *k)).collect();
            values.len() > 1 || table.rows.len() < 2 || ["id", "run", "status"].contains(&table.header[*k].as_str())
        };
        let rank = |k: &usize| FIRST.iter().position(|name| *name == table.header[*k]);
        let axis = |k: &usize| table.header[*k].starts_with(AXIS);
        let (mut shown, same): (Vec<usize>, Vec<usize>) = (0..table.header.len()).partition(differs);
        // A table that names none of the columns known here is shown whole.
        let known = shown.iter().any(|k| rank(k).is_some());
        let more = |k: usize| known && rank(&k).is_none();
        let on_a_phone = |k: usize| FIRST_ON_A_PHONE.contains(&table.header[k].as_str());
        let some = shown.iter().any(|k| on_a_phone(*k));
        let first = |k: usize| !some || on_a_phone(k);
        // Axes tell at length what the columns of the run say too.
        shown.sort_by_key(|k| (rank(k).unwrap_or(FIRST.len()), axis(k), *k));
        let row = |row: &'a Vec<String>| {
            let of = |k: &usize| {
                let raw = cell(row, *k);
                Cell { raw, text: short(&table.header[*k], raw), more: more(*k), first: first(*k) }
            };
            shown.iter().map(of).collect()
        };
        Self {
            header: shown
                .iter()
                .map(|k| Column { name: table.header[*k].as_str(), more: more(*k), first: first(*k) })
                .collect(),
            rows: table.rows.iter().map(row).collect(),
            same: match table.rows.first() {
                Some(first) => {
                    let value = |k: &usize| (table.header[*k].as_str(), cell(first, *k));
                    same.iter().map(value).filter(|(_, value)| !value.is_empty()).collect()
                }
                None => Vec::new(),
            },
        }
    }
}

/// A number as people read it; anything else as it is.
fn short(column: &str, raw: &str) -> String {
    match raw.parse::<f64>() {
        // Identities may look like numbers.
        _ if column == "id" || column == "run" => raw.to_owned(),
        Ok(x) if !x.is_finite() => raw.to_owned(),
        Ok(x) if column.starts_with("flop") => Flops(x).to_string(),
        Ok(x) if column.contains("loss") => format!("{x:.4}"),
        Ok(x) if column == "tokens" || column.starts_with("params") || raw.len() > 7 => words::amount(x),
        _ => raw.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rows: &[[&str; 5]]) -> RunTable {
        let texts = |row: &[&str; 5]| row.map(str::to_owned).to_vec();
        RunTable {
            header: texts(&["val_loss", "id", "seconds", "context", "tokens"]),
            rows: rows.iter().map(texts).collect(),
        }
    }

    #[test]
    fn what_differs_comes_first_and_what_does_not_is_said_once() {
        let table = table(&[
            ["3.9483035405923146", "12345678e1234567", "60.1", "128", "6253440"],
            ["3.7757462578752894", "cde76b021024c740", "61.1", "128", ""],
        ]);
        let runs = Runs::of(&table);
        let header: Vec<(&str, bool)> = runs.header.iter().map(|c| (c.name, c.more)).collect();
        assert_eq!(header, [("id", false), ("tokens", false), ("val_loss", false), ("seconds", true)]);
        assert_eq!(runs.same, [("context", "128")]);
        let cells: Vec<&str> = runs.rows[0].iter().map(|c| c.text.as_str()).collect();
        assert_eq!(cells, ["12345678e1234567", "6.25M", "3.9483", "60.1"]);
        assert_eq!(runs.rows[0][2].raw, "3.9483035405923146");
        assert_eq!(runs.rows[1][1].text, "");
    }

    #[test]
    fn a_single_run_and_none_have_all_their_columns() {
        assert_eq!(Runs::of(&table(&[["3", "a", "1", "128", "5"]])).header.len(), 5);
        let empty = RunTable::default();
        let none = Runs::of(&empty);
        assert!(none.header.is_empty() && none.rows.is_empty() && none.same.is_empty());
        let short = RunTable { header: vec!["id".to_owned()], rows: vec![vec![], vec![]] };
        assert_eq!(Runs::of(&short).rows[0][0].raw, "");
    }
}
