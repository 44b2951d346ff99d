//! The figures of a coordinate check: sizes of activations over models, and their slopes over steps.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::figure::{Axis, Color, Figure, Mark, Point, Series, Shape, Table, Unit, cell, cells, interval};
use super::{ReportError, write_figures};
use crate::fit::transfer::coordinates::{Coordinate, Measurement, TOLERANCE};

/// The check of one parameterization.
#[derive(Clone, Debug)]
pub struct Check {
    /// Name of the parameterization.
    pub parameterization: String,
    /// What was measured.
    pub measurements: Vec<Measurement>,
    /// What it says.
    pub coordinates: Vec<Coordinate>,
}

/// Writes two figures for each parameterization below `dir`. `axis` is what grows, width or depth; `name` the spec's.
pub fn write(dir: &Path, name: &str, axis: &str, checks: &[Check]) -> Result<Vec<PathBuf>, ReportError> {
    let figures: Vec<Figure> = checks.iter().flat_map(|check| [sizes(check, axis), slopes(check, axis)]).collect();
    write_figures(dir, name, &figures)
}

fn series(index: usize, check: &Check, marks: Vec<Mark>) -> Series {
    let coordinate = &check.coordinates[index];
    let label = format!("{} ({})", coordinate.activation, coordinate.verdict.name());
    Series::new(label, Color::budget(index, check.coordinates.len()), Shape::of(index), marks)
}

/// Mean |x| against width or depth after the last step.
fn sizes(check: &Check, axis: &str) -> Figure {
    let last = check.measurements.iter().map(|m| m.step).max().unwrap_or(0);
    let drawn = |(index, coordinate): (usize, &Coordinate)| {
        let mut logs: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
        for m in check.measurements.iter().filter(|m| m.step == last && m.activation == coordinate.activation) {
            // Positive numbers order as their bits do.
            logs.entry(m.size.to_bits()).or_default().push(m.mean_abs.ln());
        }
        let mean = |logs: &Vec<f64>| (logs.iter().sum::<f64>() / logs.len() as f64).exp();
        let points: Vec<[f64; 2]> = logs.iter().map(|(size, logs)| [f64::from_bits(*size), mean(logs)]).collect();
        let point = |&[x, y]: &[f64; 2]| {
            let title = format!("{}: {y:.4} at {axis} {x}", coordinate.activation);
            Point { x, y, x_interval: None, y_interval: None, title }
        };
        let runs = Mark::Runs(points.iter().map(point).collect());
        series(index, check, vec![Mark::Line { points, dashed: false }, runs])
    };
    let row = |m: &Measurement| {
        vec![cell(m.size), m.seed.to_string(), m.step.to_string(), m.activation.clone(), cell(m.mean_abs)]
    };
    Figure {
        id: format!("coordinates_{}", check.parameterization),
        title: format!("Sizes of activations over {axis}: {}", check.parameterization),
        note: format!(
            "Mean |x| of each activation before step {last}, the geometric mean over seeds. If hyper-parameters \
             transfer, the lines are flat."
        ),
        x: Axis::new(axis, Unit::Count),
        y: Axis::new("mean |x|", Unit::Count),
        series: check.coordinates.iter().enumerate().map(drawn).collect(),
        panels: Vec::new(),
        table: Table {
            header: &["size", "seed", "step", "activation", "mean_abs"],
            rows: check.measurements.iter().map(row).collect(),
        },
    }
}

/// The slope of each activation against the step.
fn slopes(check: &Check, axis: &str) -> Figure {
    let drawn = |(index, coordinate): (usize, &Coordinate)| {
        let known = || coordinate.slopes.iter().filter_map(|at| Some((at.step as f64, at.slope?)));
        let point = |(x, slope): (f64, crate::fit::Estimate)| {
            let title = format!("{}: {:+.3} before step {x}", coordinate.activation, slope.value);
            Point { x, y: slope.value, x_interval: None, y_interval: interval(slope), title }
        };
        let line = Mark::Line { points: known().map(|(x, slope)| [x, slope.value]).collect(), dashed: false };
        series(index, check, vec![line, Mark::Estimates(known().map(point).collect())])
    };
    let limits = Series::new(
        format!("limits of flat, ±{TOLERANCE}"),
        Color::Muted,
        Shape::Circle,
        vec![Mark::Level(-TOLERANCE), Mark::Level(TOLERANCE)],
    );
    let rows = check.coordinates.iter().flat_map(|coordinate| {
        coordinate.slopes.iter().map(|at| {
            let mut row = vec![coordinate.activation.clone(), at.step.to_string()];
            row.extend(cells(at.slope));
            row.extend([coordinate.first.name().to_owned(), coordinate.verdict.name().to_owned()]);
            row
        })
    });
    Figure {
        id: format!("slopes_{}", check.parameterization),
        title: format!("Slopes of activations in log {axis}: {}", check.parameterization),
        note: "A slope of 0 means that the activation keeps its size. Bars: 95% intervals over seeds. Sums of random \
               terms may begin at -0.5."
            .to_owned(),
        x: Axis::new("step that comes next", Unit::Loss),
        y: Axis::new(format!("slope of log mean |x| in log {axis}"), Unit::Loss),
        series: check.coordinates.iter().enumerate().map(drawn).chain([limits]).collect(),
        panels: Vec::new(),
        table: Table {
            header: &["activation", "step", "slope", "low", "high", "drawn", "verdict"],
            rows: rows.collect(),
        },
    }
}
