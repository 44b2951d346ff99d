//! Figures of a law that is a formula.

use super::chart;
use super::figure::{Axis, Color, Figure, Mark, Point, Series, Shape, Table, Unit, cell};
use crate::fit::Estimate;
use crate::fit::formula::Grouping;

const HEADER: &[&str] = &["row", "predicted", "measured"];

/// Residuals against predictions, one series a group, as SVG and CSV.
pub fn residuals(
    name: &str,
    formula: &str,
    predicted: &[f64],
    measured: &[f64],
    grouping: Option<&Grouping>,
) -> csv::Result<[String; 2]> {
    let labels = grouping.map_or_else(|| vec!["runs".to_owned()], |grouping| grouping.labels.clone());
    let off = |row: usize| predicted[row] - measured[row];
    let point = |row: usize| Point {
        x: predicted[row],
        y: off(row),
        x_interval: None,
        y_interval: None,
        title: format!("row {}: {:+.4}", row + 1, off(row)),
    };
    let of = |group: usize| -> Vec<Point> {
        let is = |row: &usize| grouping.is_none_or(|grouping| grouping.of[*row] as usize == group);
        (0..predicted.len()).filter(is).map(point).collect()
    };
    let one = |(group, label): (usize, &String)| {
        Series::new(label.clone(), Color::budget(group, labels.len()), Shape::of(group), vec![Mark::Runs(of(group))])
    };
    let mut series: Vec<Series> = labels.iter().enumerate().map(one).collect();
    series.push(Series::new("zero", Color::Muted, Shape::Circle, vec![Mark::Level(0.0)]));
    let row = |row: usize| vec![(row + 1).to_string(), cell(predicted[row]), cell(measured[row])];
    let figure = Figure {
        id: "residuals".to_owned(),
        title: format!("Residuals of {formula}"),
        note: "Predicted minus measured. In a good fit residuals scatter around zero without a pattern.".to_owned(),
        x: Axis::new("predicted", Unit::Loss),
        y: Axis::new("predicted \u{2212} measured", Unit::Difference),
        series,
        panels: Vec::new(),
        table: Table { header: HEADER, rows: (0..predicted.len()).map(row).collect() },
    };
    Ok([chart::standalone(&figure, name), figure.csv()?])
}

/// A law along a line of places, by their cost.
pub struct Along {
    /// What each place costs.
    pub cost: Vec<f64>,
    /// What the law says, with its interval.
    pub law: Vec<Estimate>,
    /// The least and the greatest of what it and the laws that fit as well say.
    pub spread: Vec<[f64; 2]>,
    /// What the most expensive row cost.
    pub last: f64,
}

const BEYOND: &[&str] = &["cost", "loss", "low", "high", "laws_low", "laws_high"];

/// A law from the cheapest row to beyond the most expensive, with the band of its resamples and that of the laws which fit
/// as well, and the rows, as SVG and CSV.
pub fn beyond(name: &str, formula: &str, along: &Along, rows: &[[f64; 2]]) -> csv::Result<[String; 2]> {
    let Along { cost, law, spread, last } = along;
    let split = cost.iter().position(|cost| cost >= last).unwrap_or(cost.len() - 1);
    let line = |part: std::ops::RangeInclusive<usize>, dashed: bool| Mark::Line {
        points: part.map(|at| [cost[at], law[at].value]).collect(),
        dashed,
    };
    let places = || 0..cost.len();
    let interval = Mark::Band(places().map(|at| [cost[at], law[at].low, law[at].high]).collect());
    let laws = Mark::Band(places().map(|at| [cost[at], spread[at][0], spread[at][1]]).collect());
    let points =
        rows.iter().map(|[x, y]| Point { x: *x, y: *y, x_interval: None, y_interval: None, title: format!("{y:.4}") });
    let series = vec![
        Series::new("spread of laws that fit as well", Color::Muted, Shape::Square, vec![laws]),
        Series::new("95% of resamples", Color::Params, Shape::Circle, vec![interval]),
        Series::new(
            "the law",
            Color::Params,
            Shape::Circle,
            vec![line(0..=split, false), line(split..=cost.len() - 1, true)],
        ),
        Series::new("runs", Color::Tokens, Shape::Triangle, vec![Mark::Runs(points.collect())]),
    ];
    let row = |at: usize| {
        let Estimate { value, low, high } = law[at];
        [cost[at], value, low, high, spread[at][0], spread[at][1]].map(cell).to_vec()
    };
    let figure = Figure {
        id: "beyond".to_owned(),
        title: format!("Beyond the rows: {formula}"),
        note: "Along the line from the cheapest row through the most expensive one; dashed beyond it. Where the bands part, the \
               interval knows less than the choice of the law."
            .to_owned(),
        x: Axis::new("cost of a run (FLOPs)", Unit::Flops),
        y: Axis::new("loss", Unit::Loss),
        series,
        panels: Vec::new(),
        table: Table { header: BEYOND, rows: places().map(row).collect() },
    };
    Ok([chart::standalone(&figure, name), figure.csv()?])
}
