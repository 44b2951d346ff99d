//! How far the axes of a chart reach.

use crate::report::figure::{Figure, Mark};

/// Values that each axis must show, and ends of intervals that it should.
#[derive(Default)]
pub struct Extents {
    pub x: Vec<f64>,
    pub y: Vec<f64>,
    pub x_intervals: Vec<f64>,
    pub y_intervals: Vec<f64>,
}

impl Extents {
    /// Of a figure with its panels, which share their axes.
    pub fn of(figure: &Figure) -> Self {
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
