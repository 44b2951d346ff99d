//! The figure of residuals: what each fit of losses predicts, less what was measured.

use super::figure::{Axis, Color, Figure, Mark, Point, Series, Shape, Table, Unit, cell};
use super::isoflop::{self, Curve, Variable, value};
use super::{ReportInput, words};
use crate::fit::approaches::approach::Approach;
use crate::fit::approaches::surface::Priced;
use crate::observation::{Counting, Observation};

const HEADER: &[&str] = &["approach", "counting", "flop_budget", "params", "tokens", "seed", "predicted", "measured"];

/// What predicts a loss.
enum Model {
    /// The parabola of the budget.
    Parabolas,
    /// A surface.
    Surface(Priced),
}

impl Model {
    fn predict(&self, run: &Observation, curve: &Curve<'_>, counting: Counting) -> Option<f64> {
        let params = run.params_by(counting)?;
        match self {
            Self::Parabolas => {
                let coefficients = Variable::Params.curve(curve.optimum?)?;
                Some(value(coefficients, params.log10()))
            }
            Self::Surface(priced) => Some(priced.surface.loss(params, run.tokens)),
        }
    }
}

/// One panel for the parabolas and for each surface that may be shown.
pub fn residuals(input: &ReportInput<'_>) -> Figure {
    let counting = input.counting();
    let fitted = input.drawn().is_some_and(|fit| fit.optima.iter().any(|o| o.parabola_params.is_some()));
    let parabolas = fitted.then_some((Approach::Parabolas, Model::Parabolas));
    let surfaces = input.shown_surfaces().map(|(fit, priced)| (fit.approach, Model::Surface(priced)));
    let panels: Vec<Figure> =
        parabolas.into_iter().chain(surfaces).map(|(name, model)| panel(input, name, &model)).collect();
    Figure {
        id: "residuals".to_owned(),
        title: "Residuals".to_owned(),
        note: format!(
            "Predicted minus measured loss of each run that was fitted, parameters counted as {}. In a good fit \
             residuals scatter around zero without a pattern in size or budget.",
            words::counting(counting)
        ),
        x: x(counting),
        y: y(),
        series: Vec::new(),
        table: Table { header: HEADER, rows: panels.iter().flat_map(|panel| panel.table.rows.clone()).collect() },
        panels,
    }
}

fn x(counting: Counting) -> Axis {
    Axis::new(format!("parameters ({})", words::counting(counting)), Unit::Count)
}

fn y() -> Axis {
    Axis::new("predicted − measured (nats per token)", Unit::Difference)
}

fn panel(input: &ReportInput<'_>, approach: Approach, model: &Model) -> Figure {
    let counting = input.counting();
    let curves = isoflop::curves(input, input.drawn());
    let count = curves.iter().filter(|curve| curve.budget.is_some()).count();
    let mut rows = Vec::new();
    let mut series = Vec::new();
    for (i, curve) in curves.iter().enumerate() {
        let mut points = Vec::new();
        for run in &curve.runs {
            let Some((predicted, params)) = model.predict(run, curve, counting).zip(run.params_by(counting)) else {
                continue;
            };
            let off = predicted - run.loss;
            let title = format!("{}: {off:+.4}", isoflop::describe(run, counting));
            points.push(Point { x: params, y: off, x_interval: None, y_interval: None, title });
            let seed = run.seed.map_or_else(String::new, |seed| seed.to_string());
            let mut row = vec![approach.key().to_owned(), counting.name().to_owned()];
            row.extend([curve.budget, Some(params), Some(run.tokens)].map(cell));
            row.extend([seed, cell(predicted), cell(run.loss)]);
            rows.push(row);
        }
        let label = curve.budget.map_or_else(|| "runs of no budget".to_owned(), words::budget);
        let color = if curve.budget.is_some() { Color::budget(i, count) } else { Color::Muted };
        let one = Series::new(label, color, Shape::of(i), vec![Mark::Runs(points)]);
        series.push(Series { group: curve.budget.map(words::budget), ..one });
    }
    series.push(Series::new("zero", Color::Muted, Shape::Circle, vec![Mark::Level(0.0)]));
    Figure {
        id: format!("residuals_{}", approach.key()),
        title: approach.name().to_owned(),
        note: String::new(),
        x: x(counting),
        y: y(),
        series,
        panels: Vec::new(),
        table: Table { header: HEADER, rows },
    }
}
