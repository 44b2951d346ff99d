//! One run with settings, results and curve, out of the tables: what experiment trackers call a run.

use std::collections::{BTreeMap, BTreeSet};

use super::ExportError;
use super::table::{Table, Tables, Values};
use crate::ledger::STOPPED;

/// What runs have in common.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Experiment {
    /// Its name.
    pub name: String,
    /// What it found, in words, where it found one number.
    pub headline: Option<String>,
}

/// A run.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// Unlike all others; letters, digits and `._-` only, so that it can name a folder.
    pub name: String,
    /// `finished`, `diverged`, `failed`, `pending`, or what another table says.
    pub status: Option<String>,
    /// What was asked for, in the order of the columns.
    pub settings: Vec<(String, Setting)>,
    /// What came out, in the order of the columns.
    pub results: Vec<(String, f64)>,
    /// The curve, in the order of its rows.
    pub curve: Vec<Point>,
}

/// The value of a setting.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[serde(untagged)]
pub enum Setting {
    /// Text.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// A number.
    Number(f64),
}

/// A point of a curve.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// Steps done.
    pub step: i64,
    /// What was measured there.
    pub values: Vec<(String, f64)>,
}

/// Columns that are results wherever they stand.
const RESULTS: [&str; 7] =
    ["val_loss", "val_loss_se", "train_loss", "loss", "diverged_at_step", "tokens_per_second", "seconds"];
/// Columns of curves that follow from the step.
const FOLLOWS: [&str; 4] = ["id", "step", "tokens", "flops"];

/// The runs of tables, in their order.
pub fn runs(tables: &Tables) -> Result<Vec<Run>, ExportError> {
    let table = &tables.runs;
    let mut curves = tables.curves.as_ref().map(curves).transpose()?.unwrap_or_default();
    let ids = table.column("id");
    let mut taken = BTreeSet::new();
    let mut runs = Vec::with_capacity(table.rows);
    for row in 0..table.rows {
        let id = ids.and_then(|ids| ids.text(row));
        let name = id.as_deref().filter(|id| is_name(id) && !taken.contains(*id));
        let name = name.map_or_else(|| format!("row-{}", row + 1), str::to_owned);
        if !taken.insert(name.clone()) {
            let what = format!("two runs have the id {name:?}; give them different ids in the column id");
            return Err(ExportError::Impossible(what));
        }
        let mut run = Run { name, status: None, settings: Vec::new(), results: Vec::new(), curve: Vec::new() };
        for column in &table.columns {
            match (column.name.as_str(), &column.values) {
                ("status", values) => run.status = values.text(row),
                (name, values) if RESULTS.contains(&name) || STOPPED.contains(&name) => {
                    run.results.extend(values.number(row).map(|value| (name.to_owned(), value)));
                }
                (name, values) => run.settings.extend(setting(values, row).map(|value| (name.to_owned(), value))),
            }
        }
        run.curve = id.and_then(|id| curves.remove(&id)).unwrap_or_default();
        runs.push(run);
    }
    Ok(runs)
}

fn setting(values: &Values, row: usize) -> Option<Setting> {
    match values {
        Values::Text(values) => values[row].clone().map(Setting::Text),
        Values::Integer(values) => values[row].map(Setting::Integer),
        Values::Number(values) => values[row].map(Setting::Number),
    }
}

/// The points of each run, by its id.
fn curves(table: &Table) -> Result<BTreeMap<String, Vec<Point>>, ExportError> {
    let column = |name: &str| {
        let what =
            || format!("curves.csv has no column {name}; remove it, or write it again with `runner ledger rebuild`");
        table.column(name).ok_or_else(|| ExportError::Impossible(what()))
    };
    let (ids, steps) = (column("id")?, column("step")?);
    let mut curves: BTreeMap<String, Vec<Point>> = BTreeMap::new();
    for row in 0..table.rows {
        let (Some(id), Some(step)) = (ids.text(row), steps.number(row)) else { continue };
        let measured = table.columns.iter().filter(|column| !FOLLOWS.contains(&column.name.as_str()));
        let values = measured.filter_map(|column| Some((column.name.clone(), column.values.number(row)?))).collect();
        curves.entry(id).or_default().push(Point { step: step as i64, values });
    }
    Ok(curves)
}

/// Whether a text can name a folder on every system, and no other folder than its own.
fn is_name(text: &str) -> bool {
    let first = text.starts_with(|c: char| c.is_ascii_alphanumeric());
    first && text.len() <= 100 && text.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn tables(runs: &str, curves: Option<&str>) -> Tables {
        let parse = |csv: &str| Table::parse(csv.as_bytes(), Path::new("t.csv")).unwrap();
        Tables { runs: parse(runs), curves: curves.map(parse) }
    }

    #[test]
    fn settings_results_and_curve_are_told_apart() {
        let curves = "id,step,tokens,train_loss\na,10,100,5.5\nb,10,100,\na,20,200,5.0\n";
        let runs = runs(&tables("id,status,width,note,val_loss\na,finished,64,x,3.5\nb,failed,32,,\n", Some(curves)));
        let runs = runs.unwrap();
        let named = |name: &str, value| (name.to_owned(), value);
        assert_eq!(runs[0].status.as_deref(), Some("finished"));
        let settings =
            [("id", Setting::Text("a".into())), ("width", Setting::Integer(64)), ("note", Setting::Text("x".into()))];
        assert_eq!(runs[0].settings, settings.map(|(name, value)| named_setting(name, value)));
        assert_eq!(runs[0].results, [named("val_loss", 3.5)]);
        let steps: Vec<_> = runs[0].curve.iter().map(|point| (point.step, point.values.clone())).collect();
        assert_eq!(steps, [(10, vec![named("train_loss", 5.5)]), (20, vec![named("train_loss", 5.0)])]);
        assert!(runs[1].results.is_empty() && runs[1].curve[0].values.is_empty());
    }

    fn named_setting(name: &str, value: Setting) -> (String, Setting) {
        (name.to_owned(), value)
    }

    #[test]
    fn names_that_would_leave_the_folder_are_replaced() {
        let names =
            |csv: &str| runs(&tables(csv, None)).map(|runs| runs.into_iter().map(|run| run.name).collect::<Vec<_>>());
        assert_eq!(names("id,x\n../../etc,1\n,2\nok,3\nok,4\n").unwrap(), ["row-1", "row-2", "ok", "row-4"]);
        assert_eq!(names("x\n1\n").unwrap(), ["row-1"]);
        let error = names("id\nrow-2\n../x\n").unwrap_err().to_string();
        assert!(error.contains("row-2"), "{error}");
        let error = runs(&tables("id\na\n", Some("id,loss\na,1\n"))).unwrap_err().to_string();
        assert!(error.contains("no column step"), "{error}");
    }
}
