//! The held-out forecast: the largest budget, predicted by what was fitted to the smaller ones.

use super::figure::{Axis, Color, Figure, Mark, Point, Series, Shape, Table, Unit, cell};
use super::{ReportInput, isoflop, words};
use crate::fit::approaches::complete::HeldOut;
use crate::fit::approaches::surface::Surface;
use crate::fit::{Estimate, Status};
use crate::observation::{Counting, Observation};
use crate::units::Flops;

/// Losses of the budget held out against parameters, as measured and as predicted; nothing where no budget can be held
/// out.
pub fn forecast(input: &ReportInput<'_>) -> Option<Figure> {
    let counting = input.counting();
    let held: Vec<&HeldOut> = input.held_out.iter().filter(|held| held.fit.counting == counting).collect();
    let runs = by_size(&held.first()?.runs, counting);
    let budget = runs.iter().map(|(run, _)| run.budget()).fold(0.0, f64::max);
    let point = |(run, params): &(&Observation, f64)| {
        let title = isoflop::describe(run, counting);
        Point { x: *params, y: run.loss, x_interval: None, y_interval: None, title }
    };
    let measured = Mark::Runs(runs.iter().map(point).collect());
    let measured =
        Series::new(format!("measured, budget {}", Flops(budget)), Color::budget(9, 10), Shape::Circle, vec![measured]);
    let colors = [Color::Params, Color::Tokens];
    let mut series: Vec<Series> =
        held.iter().zip(colors.into_iter().cycle()).map(|(held, color)| predicted(held, color)).collect();
    series.push(measured.of_group(words::budget(budget)));
    let rows = input.held_out.iter().flat_map(rows).collect();
    Some(Figure {
        id: "forecast".to_owned(),
        title: "Held-out forecast".to_owned(),
        note: format!(
            "The losses at the largest budget, predicted by surfaces fitted to the smaller budgets only. Bars: 95% \
             intervals of the prediction, if the fit has resamples. Parameters counted as {}.",
            words::counting(counting)
        ),
        x: Axis::new(format!("parameters ({})", words::counting(counting)), Unit::Count).switchable(),
        y: Axis::new("validation loss (nats per token)", Unit::Loss),
        series,
        panels: Vec::new(),
        table: Table {
            header: &["approach", "counting", "status", "params", "tokens", "measured", "predicted", "low", "high"],
            rows,
        },
    })
}

/// Runs with their parameters, ascending.
fn by_size(runs: &[Observation], counting: Counting) -> Vec<(&Observation, f64)> {
    let mut runs: Vec<_> = runs.iter().filter_map(|run| Some((run, run.params_by(counting)?))).collect();
    runs.sort_by(|a, b| a.1.total_cmp(&b.1).then(a.0.loss.total_cmp(&b.0.loss)));
    runs
}

/// The surface of the smaller budgets, where it may be shown.
fn surface(held: &HeldOut) -> Option<Surface> {
    held.fit.surface().filter(|surface| held.fit.status == Status::Converged && surface.is_proper())
}

fn predict(held: &HeldOut, surface: &Surface, run: &Observation, params: f64) -> Estimate {
    let drawn = held.fit.draws.iter().map(|drawn| drawn.loss(params, run.tokens));
    Estimate::from_draws(surface.loss(params, run.tokens), drawn)
}

fn predicted(held: &HeldOut, color: Color) -> Series {
    let name = held.fit.approach.name();
    let Some(surface) = surface(held) else {
        let label = format!("{name}, smaller budgets only: {}", held.fit.status.words());
        return Series::new(label, color, Shape::Circle, Vec::new());
    };
    let mut runs = by_size(&held.runs, held.fit.counting);
    runs.dedup_by(|a, b| a.1.total_cmp(&b.1).is_eq());
    let told: Vec<(f64, Estimate)> =
        runs.iter().map(|(run, params)| (*params, predict(held, &surface, run, *params))).collect();
    let band: Vec<[f64; 3]> = told
        .iter()
        .filter(|(_, e)| e.low.is_finite() && e.high.is_finite())
        .map(|(n, e)| [*n, e.low, e.high])
        .collect();
    let mut marks = vec![Mark::Line { points: told.iter().map(|(n, e)| [*n, e.value]).collect(), dashed: false }];
    if band.len() > 1 {
        marks.insert(0, Mark::Band(band));
    }
    Series::new(format!("predicted by {name}"), color, Shape::Circle, marks)
}

fn rows(held: &HeldOut) -> Vec<Vec<String>> {
    let (counting, surface) = (held.fit.counting, surface(held));
    let row = |(run, params): (&Observation, f64)| {
        let mut row = vec![held.fit.approach.key().to_owned(), counting.name().to_owned()];
        row.push(held.fit.status.key().to_owned());
        row.extend([params, run.tokens, run.loss].map(cell));
        row.extend(super::figure::cells(surface.map(|surface| predict(held, &surface, run, params))));
        row
    };
    by_size(&held.runs, counting).into_iter().map(row).collect()
}
