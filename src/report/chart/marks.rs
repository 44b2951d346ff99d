//! Points, intervals, lines and bands.

use std::fmt::Write as _;

use super::scale::Scale;
use super::text::{escape, px};
use crate::report::figure::{Mark, Point, Series, Shape};

/// Half the size of a run's point, in user units.
const RUN: f64 = 4.0;
/// Half the size of an estimate's point.
const ESTIMATE: f64 = 5.5;

/// All marks of a series, in a group of its colour.
pub fn series(out: &mut String, series: &Series, x: &Scale, y: &Scale, width: f64) {
    let class = series.color.class();
    let group = series.group.as_ref().map_or_else(String::new, |g| format!(r#" data-group="{}""#, escape(g)));
    // Many lines of one colour are told apart where they are thin.
    let lines = series.marks.iter().filter(|mark| matches!(mark, Mark::Line { .. })).count();
    let many = if lines > 3 { " many" } else { "" };
    let _ = write!(out, r#"<g class="series {class}{many}" data-series="{}"{group}>"#, escape(&series.label));
    for mark in &series.marks {
        match mark {
            Mark::Runs(points) => points.iter().for_each(|p| run(out, p, series.shape, x, y)),
            Mark::Estimates(points) => points.iter().for_each(|p| estimate(out, p, series.shape, x, y)),
            Mark::Line { points, dashed } => line(out, points, if *dashed { "line dashed" } else { "line" }, x, y),
            Mark::Band(points) => band(out, points, x, y),
            Mark::Text { at: [a, b], text } => {
                if let (Some(a), Some(b)) = (x.place(*a).map(px), y.place(*b).map(|b| px(b + 4.0))) {
                    let _ = write!(out, r#"<text class="label" x="{a}" y="{b}">{}</text>"#, escape(text));
                }
            }
            Mark::Level(level) => {
                if let Some(at) = y.place(*level).map(px) {
                    let _ = write!(out, r#"<path class="line dotted" d="M0 {at}H{}"/>"#, px(width));
                }
            }
        }
    }
    out.push_str("</g>");
}

/// The outline of a shape around a place.
pub fn outline(shape: Shape, [x, y]: [f64; 2], half: f64) -> String {
    let corner = |dx: f64, dy: f64| format!("{} {}", px(x + dx * half), px(y + dy * half));
    match shape {
        Shape::Circle => {
            let (r, d) = (px(half), px(2.0 * half));
            format!("M{}a{r} {r} 0 1 0 {d} 0a{r} {r} 0 1 0 -{d} 0z", corner(-1.0, 0.0))
        }
        Shape::Square => {
            let side = 0.88;
            let corners = [(-side, -side), (side, -side), (side, side), (-side, side)];
            closed(corners.map(|(dx, dy)| corner(dx, dy)).as_slice())
        }
        Shape::Triangle => closed(&[corner(0.0, -1.15), corner(1.1, 0.8), corner(-1.1, 0.8)]),
        Shape::Diamond => closed(&[corner(0.0, -1.25), corner(1.25, 0.0), corner(0.0, 1.25), corner(-1.25, 0.0)]),
    }
}

fn closed(corners: &[String]) -> String {
    format!("M{}z", corners.join("L"))
}

fn run(out: &mut String, point: &Point, shape: Shape, x: &Scale, y: &Scale) {
    let (Some(at_x), Some(at_y)) = (x.place(point.x), y.place(point.y)) else { return };
    let d = outline(shape, [at_x, at_y], RUN);
    dot(out, "run", point, &d);
}

fn estimate(out: &mut String, point: &Point, shape: Shape, x: &Scale, y: &Scale) {
    const CAP: f64 = 4.0;
    let (Some(at_x), Some(at_y)) = (x.place(point.x), y.place(point.y)) else { return };
    if let Some((low, high)) = ends(point.x_interval, x) {
        let [top, bottom, middle] = [at_y - CAP, at_y + CAP, at_y].map(px);
        let [low, high] = [low, high].map(px);
        let d = format!("M{low} {top}V{bottom}M{low} {middle}H{high}M{high} {top}V{bottom}");
        let _ = write!(out, r#"<path class="interval" d="{d}"/>"#);
    }
    if let Some((low, high)) = ends(point.y_interval, y) {
        let [left, right, middle] = [at_x - CAP, at_x + CAP, at_x].map(px);
        let [low, high] = [low, high].map(px);
        let d = format!("M{left} {low}H{right}M{middle} {low}V{high}M{left} {high}H{right}");
        let _ = write!(out, r#"<path class="interval" d="{d}"/>"#);
    }
    let d = outline(shape, [at_x, at_y], ESTIMATE);
    dot(out, "estimate", point, &d);
}

/// A point carries its values, for a reader's pointer and for scripts to come.
fn dot(out: &mut String, class: &str, point: &Point, d: &str) {
    let title = escape(&point.title);
    let (x, y) = (point.x, point.y);
    let _ = write!(out, r#"<path class="{class}" d="{d}" data-x="{x}" data-y="{y}"><title>{title}</title></path>"#);
}

fn ends(interval: Option<[f64; 2]>, scale: &Scale) -> Option<(f64, f64)> {
    let [low, high] = interval?;
    Some((scale.clamped(low)?, scale.clamped(high)?))
}

fn line(out: &mut String, points: &[[f64; 2]], class: &str, x: &Scale, y: &Scale) {
    let places = points.iter().filter_map(|[a, b]| Some([x.place(*a)?, y.place(*b)?]));
    if let Some(d) = path(places) {
        let _ = write!(out, r#"<path class="{class}" d="{d}"/>"#);
    }
}

fn band(out: &mut String, points: &[[f64; 3]], x: &Scale, y: &Scale) {
    let low = points.iter().filter_map(|[a, low, _]| Some([x.place(*a)?, y.clamped(*low)?]));
    let high = points.iter().rev().filter_map(|[a, _, high]| Some([x.place(*a)?, y.clamped(*high)?]));
    if let Some(d) = path(low.chain(high)) {
        let _ = write!(out, r#"<path class="band" d="{d}z"/>"#);
    }
}

/// A path through at least two places.
fn path(places: impl Iterator<Item = [f64; 2]>) -> Option<String> {
    let vertices: Vec<String> = places.map(|[x, y]| format!("{} {}", px(x), px(y))).collect();
    (vertices.len() > 1).then(|| format!("M{}", vertices.join("L")))
}
