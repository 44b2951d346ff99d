//! Drawing a figure as SVG: for a file of its own, or inline in the page.
//!
//! Colours come from `templates/chart.css` by class, so that light and dark are the reader's choice and nothing needs
//! a style attribute, which the page's Content-Security-Policy forbids.

mod frame;
mod marks;
mod scale;
mod text;

use super::figure::{Figure, Mark};
use frame::Canvas;

/// The style sheet of every chart.
pub const STYLE: &str = include_str!("../../../templates/chart.css");

/// A whole SVG file, with its title, legend, note and style sheet. `name` is the sweep's.
pub fn standalone(figure: &Figure, name: &str) -> String {
    let canvas = Canvas { width: 720.0, plot_height: 380.0, heading: Some(name) };
    format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{}\n", frame::draw(figure, &canvas, STYLE))
}

/// For a page that brings [`STYLE`] and tells title and note itself.
pub fn inline(figure: &Figure) -> String {
    frame::draw(figure, &Canvas { width: 860.0, plot_height: 420.0, heading: None }, "")
}

/// The same for a phone: text of the same size on less room.
pub fn inline_narrow(figure: &Figure) -> String {
    frame::draw(figure, &Canvas { width: 360.0, plot_height: 280.0, heading: None }, "")
}

/// Values that each axis must show, and ends of intervals that it should.
#[derive(Default)]
struct Extents {
    x: Vec<f64>,
    y: Vec<f64>,
    x_intervals: Vec<f64>,
    y_intervals: Vec<f64>,
}

impl Extents {
    /// Of a figure with its panels, which share their axes.
    fn of(figure: &Figure) -> Self {
        let mut extents = Self::default();
        let series = figure.panels.iter().flat_map(|panel| &panel.series).chain(&figure.series);
        for mark in series.flat_map(|s| &s.marks) {
            match mark {
                Mark::Runs(points) | Mark::Estimates(points) => {
                    // A point without a place on one axis must not stretch the other.
                    let shown = |v: f64, log: bool| v.is_finite() && (!log || v > 0.0);
                    for p in points.iter().filter(|p| shown(p.x, figure.x.log) && shown(p.y, figure.y.log)) {
                        extents.x.push(p.x);
                        extents.y.push(p.y);
                        extents.x_intervals.extend(p.x_interval.into_iter().flatten());
                        extents.y_intervals.extend(p.y_interval.into_iter().flatten());
                    }
                }
                Mark::Line { points, .. } => {
                    extents.x.extend(points.iter().map(|p| p[0]));
                    extents.y.extend(points.iter().map(|p| p[1]));
                }
                Mark::Band(points) => {
                    extents.x.extend(points.iter().map(|p| p[0]));
                    extents.y_intervals.extend(points.iter().flat_map(|p| [p[1], p[2]]));
                }
                Mark::Level(level) => extents.y.push(*level),
                Mark::Text { .. } => {}
            }
        }
        extents
    }
}
