//! How the rows of laws are drawn: their losses along an axis, those of one series joined.

use std::collections::BTreeMap;

use crate::commands::fit::fit_of_rows::FitOfRows;
use crate::fit::named::Dot;
use crate::report::figure::{Axis, Color, Figure, Mark, Point, Series, Shape, Table, Unit, cell};
use crate::report::words;

/// Along the tokens of runs.
pub(super) fn tokens() -> Axis {
    Axis::new("training tokens", Unit::Count)
}

/// Losses of runs.
pub(super) fn loss() -> Axis {
    Axis::new("validation loss (nats per token)", Unit::Loss)
}

/// The rows of each group, joined where they are of one series, which is named; a panel for each group.
pub(super) fn runs(x: &Axis, series: &str, told: &[&FitOfRows]) -> Figure {
    let title = format!("Loss against {}", x.label);
    let figure = |one: &FitOfRows| Figure {
        title: one.name().unwrap_or_else(|| title.clone()),
        note: one.finding.conclusion().to_owned(),
        series: joined(series, &one.points),
        ..empty(x.clone(), loss().switchable())
    };
    let note = format!("Points: single runs. Lines join runs of equal {series}.");
    Figure { note, title: title.clone(), ..panels(&title, told, figure) }
}

/// The figure of the only group, or one of a panel for each.
pub(super) fn panels(title: &str, told: &[&FitOfRows], figure: impl Fn(&FitOfRows) -> Figure) -> Figure {
    let whole = Figure { table: table(told), ..figure(told[0]) };
    match told {
        [_] => whole,
        _ => Figure {
            title: title.to_owned(),
            series: Vec::new(),
            panels: told.iter().map(|one| figure(one)).collect(),
            ..whole
        },
    }
}

/// The figure of the rows of a law, with nothing in it.
pub(super) fn empty(x: Axis, y: Axis) -> Figure {
    Figure {
        id: "law".to_owned(),
        title: String::new(),
        note: String::new(),
        x,
        y,
        series: Vec::new(),
        panels: Vec::new(),
        table: Table::default(),
    }
}

const HEADER: &[&str] = &["group", "series", "x", "loss"];

/// The rows behind a figure.
pub(super) fn table(told: &[&FitOfRows]) -> Table {
    let rows = told.iter().flat_map(|one| {
        let name = one.name().unwrap_or_default();
        one.points.iter().map(move |dot| vec![name.clone(), cell(dot.series), cell(dot.x), cell(dot.loss)])
    });
    Table { header: HEADER, rows: rows.collect() }
}

/// Rows as dots.
pub(super) fn dots(points: &[Dot], name: &str) -> Mark {
    let dot = |dot: &Dot| {
        let title = format!("{name} at {}: {:.4}", words::amount(dot.x), dot.loss);
        Point { x: dot.x, y: dot.loss, x_interval: None, y_interval: None, title }
    };
    Mark::Runs(points.iter().map(dot).collect())
}

fn joined(what: &str, points: &[Dot]) -> Vec<Series> {
    let mut series: BTreeMap<u64, Vec<Dot>> = BTreeMap::new();
    for dot in points {
        // Positive numbers order as their bits do.
        series.entry(dot.series.map_or(0, f64::to_bits)).or_default().push(*dot);
    }
    let count = series.len();
    let one = |(at, (key, mut dots_of)): (usize, (u64, Vec<Dot>))| {
        dots_of.sort_by(|a, b| a.x.total_cmp(&b.x).then(a.loss.total_cmp(&b.loss)));
        let name = match key {
            0 => "runs".to_owned(),
            key => format!("{} {what}", words::amount(f64::from_bits(key))),
        };
        let mut points: Vec<[f64; 2]> = dots_of.iter().map(|dot| [dot.x, dot.loss]).collect();
        points.dedup_by(|next, kept| (next[0] - kept[0]).abs() <= 1e-9 * kept[0]);
        let marks = vec![Mark::Line { points, dashed: false }, dots(&dots_of, &name)];
        Series::new(name, Color::budget(at, count), Shape::of(at), marks)
    };
    series.into_iter().enumerate().map(one).collect()
}
