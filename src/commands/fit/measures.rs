//! `--law rank` and `--law emergence`: what was measured of models beside their loss.

use std::collections::BTreeMap;

use anyhow::bail;

use super::request::Request;
use super::rows::{Group, groups};
use super::told::Told;
use crate::fit::laws::emergence;
use crate::fit::laws::rank::{self, Recipe};
use crate::fit::named::{Dot, Fitted, Law};
use crate::fit::table;
use crate::fit::table::named::{self, Wanted};
use crate::units::Params;

/// The columns that a law of measures reads: the measure itself, or size, tokens and the measures of the task.
fn measures(request: &Request, law: Law) -> anyhow::Result<Vec<String>> {
    match (&request.args.by, law) {
        (Some(measure), Law::Rank) => Ok(vec![measure.clone()]),
        (Some(task), _) => {
            let measures = emergence::MEASURES.map(|measure| format!("{task}.{measure}"));
            Ok([&["N".to_owned(), "D".to_owned()][..], &measures].concat())
        }
        (None, Law::Rank) => {
            bail!("--law rank compares the loss with a column: name it with --by, such as --by cloze.16.accuracy")
        }
        (None, _) => bail!("--law emergence looks at one task: name it with --by, such as --by addition.3"),
    }
}

/// The table as a law of measures reads it, with the places of its columns. A measure has in `runs.csv` a column for its value
/// beside that for its error.
pub(super) fn measures_table(request: &Request, law: Law) -> anyhow::Result<(named::Read, Vec<usize>)> {
    let args = request.args;
    let headers = named::headers(&args.runs)?;
    let column = |name: &String| {
        Some(format!("eval.{name}.value")).filter(|value| headers.contains(value)).unwrap_or_else(|| name.clone())
    };
    let names: Vec<String> = measures(request, law)?.iter().map(column).collect();
    let wanted = Wanted { target: "L".to_owned(), names: names.clone(), whole: true, ..Wanted::default() };
    // What the law is about is a number, not a name of groups.
    let options = table::Options { by: None, ..request.table.clone() };
    let read = |wanted: &Wanted| named::read(&args.runs, &request.columns, wanted, &options);
    let recipes: Vec<String> = headers.iter().filter(|header| law == Law::Rank && is_recipe(header)).cloned().collect();
    let read = if recipes.is_empty() {
        read(&wanted)?
    } else {
        // A row that lacks the value of an axis has no recipe, but a loss and a measure.
        let with = Wanted { indices: recipes, beside: vec!["N".to_owned()], ..wanted.clone() };
        read(&with).or_else(|_| read(&wanted))?
    };
    let place = |name: &String| read.found.iter().position(|found| found == name);
    let Some(places) = names.iter().map(place).collect::<Option<Vec<_>>>() else {
        let lacking = names.iter().filter(|name| place(name).is_none()).cloned().collect::<Vec<_>>().join(", ");
        let (path, columns) = (args.runs.display(), read.headers.join(", "));
        bail!("{path} has no column {lacking}, which --law {} needs; it has {columns}", law.name());
    };
    Ok((read, places))
}

/// Whether a column tells recipes apart: an axis that sets neither the size of a model nor its length or seed.
fn is_recipe(header: &str) -> bool {
    let others = ["model.width", "model.depth", "model.head_dim", "data.seed"];
    let axis = header.trim().strip_prefix("axis.");
    axis.is_some_and(|axis| !others.contains(&axis) && !axis.starts_with("schedule."))
}

/// Numbers of columns, group by group, after the loss.
fn columns(request: &Request) -> anyhow::Result<Vec<Group<Vec<f64>>>> {
    let args = request.args;
    let (read, places) = measures_table(request, Law::Emergence)?;
    let numbers = |row: named::Named| [vec![row.target], places.iter().map(|at| row.numbers[*at]).collect()].concat();
    let plain = |Group { name, rows, made, counted }: Group<named::Named>| {
        let rows = rows.into_iter().map(numbers).collect();
        Group { name, rows, made, counted }
    };
    Ok(groups(read.table, &args.runs, args.drop_highest, |row| row.target)?.into_iter().map(plain).collect())
}

/// Whether a measure orders runs as their loss does.
pub(super) fn rank_law(request: &Request, told: &mut Vec<Told>) -> anyhow::Result<()> {
    let args = request.args;
    let (read, places) = measures_table(request, Law::Rank)?;
    let size = read.found.iter().position(|found| found == "N");
    let measure = args.by.clone().unwrap_or_default();
    // Of losses and distances less is better.
    let better = !(measure.starts_with("loss.") || measure.ends_with(".edit_distance"));
    for Group { name, rows, made, .. } in groups(read.table, &args.runs, args.drop_highest, |row| row.target)? {
        let pairs: Vec<rank::Row> = rows.iter().map(|row| [row.target, row.numbers[places[0]]]).collect();
        let recipe = |row: &named::Named, at: usize| {
            (!row.labels.is_empty()).then(|| Recipe { name: row.labels.join(", "), params: row.numbers[at] })
        };
        let recipes: Vec<Recipe> = size.iter().flat_map(|at| rows.iter().filter_map(|row| recipe(row, *at))).collect();
        let points = pairs.iter().map(|[x, y]| Dot { x: *x, loss: *y, series: None }).collect();
        let fit = Fitted::Law(rank::fit(&measure, better, &pairs, &recipes, &request.bootstrap));
        told.push(Told::new(name, fit, &made, points));
    }
    Ok(())
}

/// How fast a skill comes, size by size where there are several.
pub(super) fn emergence_law(request: &Request, told: &mut Vec<Told>) -> anyhow::Result<()> {
    let groups = columns(request)?;
    let task = request.args.by.clone().unwrap_or_default();
    for Group { rows, made, .. } in groups {
        let mut sizes: BTreeMap<u64, Vec<emergence::Row>> = BTreeMap::new();
        for row in rows {
            // Positive numbers are in the order of their bits.
            sizes.entry(row[1].to_bits()).or_default().push(std::array::from_fn(|k| row[k + 2]));
        }
        let several = sizes.len() > 1;
        for (size, runs) in sizes {
            let name = several.then(|| format!("{} parameters", Params(f64::from_bits(size))));
            let fit = Fitted::Law(emergence::fit(&task, &runs, &request.bootstrap));
            told.push(Told::new(name, fit, &made, runs.iter().flat_map(shares).collect()));
        }
    }
    Ok(())
}

/// The measures of a run as shares: a series for each.
fn shares(run: &emergence::Row) -> [Dot; 3] {
    let [tokens, exact, accuracy, likelihood] = *run;
    [(1.0, exact), (2.0, accuracy), (3.0, likelihood.exp())].map(|(series, share)| Dot {
        x: tokens,
        loss: share,
        series: Some(series),
    })
}
