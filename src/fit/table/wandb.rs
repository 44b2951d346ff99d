//! Charts of Weights & Biases as it exports them: one column a run, `run - metric`, with `__MIN` and `__MAX` beside it, and
//! a row a step. They become a table with one row a run, which has the last value of each metric.

use std::borrow::Cow;

use csv::StringRecord;

use super::error::TableError;
use super::rows::{Listed, Opened, fill};

/// What stands between the name of a run and that of a metric.
const BETWEEN: &str = " - ";
/// Columns of the least and the greatest value beside the value itself.
const BESIDE: [&str; 2] = ["__MIN", "__MAX"];
/// The column of the names of runs.
const RUN: &str = "run";

/// Whether every column but the first is that of a run, and runs and metrics of such a table.
fn chart(headers: &StringRecord) -> Option<Vec<(&str, &str)>> {
    let mut columns = headers.iter().map(str::trim);
    columns.next().filter(|axis| !axis.contains(BETWEEN))?;
    let columns: Vec<(&str, &str)> = columns.map(|column| column.rsplit_once(BETWEEN)).collect::<Option<_>>()?;
    (!columns.is_empty()).then_some(columns)
}

/// The names in the order in which they come.
fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut found: Vec<&str> = Vec::new();
    names.for_each(|name| {
        if !found.contains(&name) {
            found.push(name);
        }
    });
    found
}

/// The table with one row a run, where it is such a chart, and otherwise the table as it is.
pub(super) fn reshaped(opened: Opened<'_>) -> Result<Opened<'_>, TableError> {
    let Opened { headers, mut rows, .. } = opened;
    let Some(columns) = chart(&headers) else { return Ok(Opened { headers, rows, note: None }) };
    let is_value = |metric: &str| !BESIDE.iter().any(|end| metric.ends_with(end));
    let values = || columns.iter().filter(|(_, metric)| is_value(metric));
    let (runs, metrics) = (distinct(values().map(|(run, _)| *run)), distinct(values().map(|(_, metric)| *metric)));
    // The axis and every metric of each run, and the line of the last value.
    let place = |(run, metric): &(&str, &str)| {
        let run = runs.iter().position(|other| other == run)?;
        metrics.iter().position(|other| other == metric).map(|metric| (run, metric + 1))
    };
    let places: Vec<Option<(usize, usize)>> = columns.iter().map(place).collect();
    let mut last: Vec<(Vec<String>, u64)> = vec![(vec![String::new(); metrics.len() + 1], 0); runs.len()];
    let mut row = StringRecord::new();
    while rows.next(&mut row)? {
        for (cell, place) in row.iter().skip(1).zip(&places) {
            let finite = cell.trim().parse().is_ok_and(f64::is_finite);
            if let (Some((run, metric)), true) = (place, finite) {
                let (cells, line) = &mut last[*run];
                row[0].clone_into(&mut cells[0]);
                cell.clone_into(&mut cells[*metric]);
                *line = row.position().map_or(0, csv::Position::line);
            }
        }
    }
    let mut names = vec![RUN, headers[0].trim()];
    names.extend(&metrics);
    let of = |(run, (cells, line)): (&&str, &(Vec<String>, u64))| {
        let mut row = StringRecord::new();
        let cells = cells.iter().map(|cell| Cow::Borrowed(cell.as_str()));
        fill(&mut row, std::iter::once(Cow::Borrowed(*run)).chain(cells), *line);
        row
    };
    let listed: Vec<StringRecord> = runs.iter().zip(&last).map(of).collect();
    let note = format!("a chart of W&B: each of its {} runs counts once, with its last values", runs.len());
    Ok(Opened { headers: StringRecord::from(names), rows: Box::new(Listed(listed.into_iter())), note: Some(note) })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::fit::table::delimited;

    #[test]
    fn a_chart_becomes_one_row_a_run_with_the_last_finite_values() {
        let csv = "\"tokens\",\"a - loss\",\"a - loss__MIN\",\"a - loss__MAX\",\"b - lr 1 - loss\",\"a - n_params\"\n\
                   10,5.0,4.9,5.1,6.0,1000\n20,4.0,3.9,4.1,NaN,1000\n30,,,,5.5,\n";
        let mut opened = reshaped(delimited::open(Path::new("t"), csv.as_bytes()).unwrap()).unwrap();
        assert_eq!(opened.headers, vec!["run", "tokens", "loss", "n_params"]);
        let mut row = StringRecord::new();
        assert!(opened.rows.next(&mut row).unwrap());
        assert_eq!((&row, row.position().unwrap().line()), (&StringRecord::from(vec!["a", "20", "4.0", "1000"]), 3));
        assert!(opened.rows.next(&mut row).unwrap());
        assert_eq!(row, vec!["b - lr 1", "30", "5.5", ""]);
        assert!(!opened.rows.next(&mut row).unwrap());
    }

    #[test]
    fn other_tables_stay_as_they_are() {
        for csv in ["N,D,L\n1,2,3\n", "a - b,c - d\n1,2\n", "Step\n1\n"] {
            let opened = reshaped(delimited::open(Path::new("t"), csv.as_bytes()).unwrap()).unwrap();
            assert_eq!(opened.headers, csv.lines().next().unwrap().split(',').collect::<Vec<_>>());
        }
    }
}
