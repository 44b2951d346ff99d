//! `--law optimum`: the best value of what was tuned, and how it moves with another column.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{bail, ensure};

use super::asked::{Asked, Reading};
use super::draw;
use crate::columns;
use crate::commands::fit::finding::{finding, foot, number};
use crate::commands::fit::fit_of_rows::FitOfRows;
use crate::commands::fit::print::cell;
use crate::commands::fit::request::Request;
use crate::commands::fit::rows::{Group, groups};
use crate::commands::shared::sheet::{Room, Sheet, Worth};
use crate::fit::Estimate;
use crate::fit::named::Dot;
use crate::fit::table::named::{self, Wanted};
use crate::fit::table::{self, TableError};
use crate::fit::transfer::optimum::{self, Optimum};
use crate::report::figure::{
    Axis, Color, Figure, Mark, Point, Series, Shape, Table, Unit, cell as csv, cells, interval,
};
use crate::report::words;

pub(super) const LAW: Asked = Asked {
    takes: &[],
    read,
    draw: |told| {
        let fits: Vec<&Optimum> = told.iter().filter_map(|one| one.finding.is()).collect();
        let [of, by] = fits.first().map(|fit| [&fit.of, &fit.by].map(String::as_str)).unwrap_or_default();
        let mut figures = vec![draw::runs(&Axis::new(of, Unit::Count), by, told)];
        figures.extend(fits.into_iter().map(figure));
        figures
    },
};

/// The column with which the best value moves, and that of the setting.
fn columns<'a>(request: &Request<'a>) -> anyhow::Result<[&'a String; 2]> {
    let (Some(by), [of]) = (&request.args.by, &request.args.tuned[..]) else {
        bail!(
            "--law optimum needs the column of the setting and the column that it moves with: --tuned \
             axis.optimizer.weight_decay --by axis.schedule.tokens"
        );
    };
    Ok([by, of])
}

fn read<'a>(request: &'a Request<'a>) -> anyhow::Result<Reading<'a>> {
    let args = request.args;
    let names = columns(request)?;
    let wanted = Wanted { target: "L".to_owned(), names: names.map(String::clone).to_vec(), ..Wanted::default() };
    // All values of the setting count, not the best alone, and the other column is a number, not a name of groups: these are
    // the values of another axis, where there is one.
    let read = |by: Option<String>| {
        let options = table::Options { by, tuned: Vec::new(), rows: table::Kind::Outcomes, ..request.table.clone() };
        named::read(&args.runs, &request.columns, &wanted, &options)
    };
    let read = read(another_axis(&args.runs, &wanted.names, &read)?)?;
    let place = |name: &String| read.found.iter().position(|found| found == name);
    let [Some(by_at), Some(of_at)] = names.map(place) else {
        let missing = names.iter().find(|name| place(name).is_none()).map_or("", |name| name.as_str());
        bail!("{} has no column {missing:?}; it has {}", args.runs.display(), read.headers.join(", "));
    };
    Ok(Box::new(move || {
        let groups = groups(read.table, &args.runs, args.drop_highest, |row| row.target)?;
        let one = |Group { name, rows, made, .. }: Group<named::Named>| {
            let rows = rows.iter().map(|row| [row.numbers[by_at], row.numbers[of_at], row.target]).collect();
            let rows = above_zero(rows, names);
            let plain = names.map(|column| columns::varied(column).unwrap_or(column));
            let trained = rows.iter().filter(|[_, _, loss]| loss.is_finite());
            let points = trained.map(|&[by, x, loss]| Dot { x, loss, series: Some(by) }).collect();
            FitOfRows::new(name, Box::new(optimum::fit(plain[1], plain[0], &rows, &request.bootstrap)), &made, points)
        };
        Ok(groups.into_iter().map(one).collect())
    }))
}

/// Rows that have logarithms; says how many have none.
fn above_zero(all: Vec<[f64; 3]>, [by, of]: [&String; 2]) -> Vec<[f64; 3]> {
    let count = all.len();
    let above: Vec<[f64; 3]> = all.into_iter().filter(|[by, of, _]| *by > 0.0 && *of > 0.0).collect();
    if above.len() < count {
        tell!(
            "note: {} of {count} rows have no logarithm of {of} and {by}, as these are not above zero, and are left out",
            count - above.len()
        );
    }
    above
}

/// The axis of a sweep's table beside those that the law is about, the first of which is what the optimum moves with, in which
/// rows differ that have this in common; its values are groups. Axes that vary together, as those of a zip do, are one.
fn another_axis(
    path: &Path,
    known: &[String],
    read: &dyn Fn(Option<String>) -> Result<named::Read, TableError>,
) -> anyhow::Result<Option<String>> {
    let mut differing: Vec<(String, Vec<usize>)> = Vec::new();
    // Runs of several budgets are no repeats of each other.
    let may_vary = |name: &String| columns::varied(name).is_some() || name == columns::FLOP_BUDGET;
    for axis in named::headers(path)?.into_iter().filter(|name| may_vary(name) && !known.contains(name)) {
        let read = read(Some(axis.clone()))?;
        let place = |name: &String| read.found.iter().position(|found| found == name);
        let (Some(by), Some(of)) = (place(&known[0]), place(&known[1])) else { continue };
        let (rows, groups) = (&read.table.rows, read.table.groups.of_rows());
        let groups = pattern(groups.iter().copied());
        // Each value of one that goes along with what the optimum moves with has places of its own, and one that goes along
        // with what was tuned is another name of it.
        let places: BTreeSet<(u64, usize)> =
            rows.iter().zip(&groups).map(|(row, group)| (row.numbers[by].to_bits(), *group)).collect();
        let alone: BTreeSet<u64> = places.iter().map(|(place, _)| *place).collect();
        let is_tuned = groups == pattern(rows.iter().map(|row| row.numbers[of].to_bits()));
        if places.len() > alone.len() && !is_tuned && differing.iter().all(|(_, other)| *other != groups) {
            differing.push((axis, groups));
        }
    }
    let names: Vec<&str> = differing.iter().map(|(name, _)| name.as_str()).collect();
    ensure!(
        differing.len() <= 1,
        "rows of {} differ in {} beside what the law is about, and at most one of these may vary: split the table by the others",
        path.display(),
        names.join(" and ")
    );
    Ok(differing.pop().map(|(name, _)| name))
}

/// Which rows have the same value: a number for each, in the order in which values come.
fn pattern<T: Ord>(values: impl Iterator<Item = T>) -> Vec<usize> {
    let mut seen = BTreeMap::new();
    values
        .map(|value| {
            let next = seen.len();
            *seen.entry(value).or_insert(next)
        })
        .collect()
}

finding!(Optimum, text);

/// The best value of a setting, place by place.
fn text(fit: &Optimum, room: Room) -> String {
    let best = format!("best {} (95% interval)", fit.of);
    let mut table = Sheet::new([
        (fit.by.as_str(), Worth::Must),
        (best.as_str(), Worth::Must),
        ("loss", Worth::More(1)),
        ("lost by the first one's, nats", Worth::More(2)),
        ("status", Worth::Must),
    ]);
    for one in &fit.optima {
        table.add_row([
            number(one.at),
            cell(one.best, number),
            cell(one.loss, |loss| format!("{loss:.4}")),
            cell(one.lost, |lost| format!("{lost:.4}")),
            one.status.name().to_owned(),
        ]);
    }
    let text = table.text(room);
    let resampled = "the scatter of runs and the window of the curve";
    text + &foot(fit.status, fit.points, None, resampled, &fit.conclusion)
}

/// The best value of a setting against what it moves with.
fn figure(fit: &Optimum) -> Figure {
    let known = fit.optima.iter().filter_map(|one| Some((one.at, one.best?)));
    let point = |(at, best): (f64, Estimate)| Point {
        x: at,
        y: best.value,
        x_interval: None,
        y_interval: interval(best),
        title: format!("at {} {}: {}", fit.by, words::amount(at), words::estimate(best, |x| format!("{x:.3e}"))),
    };
    let marks = vec![Mark::Estimates(known.map(point).collect())];
    let rows = fit.optima.iter().map(|one| {
        let mut row = vec![csv(one.at), one.status.key().to_owned()];
        row.extend(cells(one.best));
        row
    });
    Figure {
        id: "optimum".to_owned(),
        title: format!("The best {} against {}", fit.of, fit.by),
        note: "The lowest point of each curve of losses, with its 95% interval. A power law is a straight line."
            .to_owned(),
        x: Axis::new(fit.by.clone(), Unit::Count),
        y: Axis::new(format!("best {}", fit.of), Unit::Count),
        series: vec![Series::new("best values", Color::Params, Shape::Circle, marks)],
        panels: Vec::new(),
        table: Table { header: &["at", "status", "best", "best_low", "best_high"], rows: rows.collect() },
    }
}
