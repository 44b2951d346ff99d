//! The figure of the fitted surfaces: contours of the loss over parameters and tokens, the runs, and the efficient
//! frontier.

use super::figure::{Axis, Color, Figure, Mark, Point, Series, Shape, Table, Unit, cell, interval};
use super::{ReportInput, isoflop, words};
use crate::fit::approaches::summary::Summary;
use crate::fit::approaches::surface::Priced;
use crate::fit::{Estimate, Status};
use crate::observation::{Counting, Observation};
use crate::units::Flops;

/// Contours at most.
const LEVELS: f64 = 9.0;
/// Vertices of a contour.
const PIECES: i32 = 96;
/// Room around the runs, as a factor.
const MARGIN: f64 = 1.35;
/// The frontier goes on dashed to this multiple of the largest budget.
const BEYOND: f64 = 10.0;

const HEADER: &[&str] = &[
    "approach",
    "counting",
    "status",
    "kind",
    "flops",
    "params",
    "params_low",
    "params_high",
    "tokens",
    "tokens_low",
    "tokens_high",
    "loss",
];

/// One panel for each surface that may be shown, with the convention of the figures.
pub fn surfaces(input: &ReportInput<'_>) -> Figure {
    let counting = input.counting();
    let panels: Vec<Figure> = input.shown_surfaces().map(|(fit, priced)| panel(input, fit, &priced)).collect();
    let without = input.approaches_by(counting).filter(|fit| is_surface(fit) && fit.status != Status::Converged);
    let without: Vec<String> =
        without.map(|fit| format!(" Not drawn: {} ({}).", fit.approach.name(), fit.status.words())).collect();
    Figure {
        id: "surface".to_owned(),
        title: "The fitted surface and its efficient frontier".to_owned(),
        note: format!(
            "Grey: contours of equal loss (nats per token) of L = E + A/N^alpha + B/D^beta. Filled: runs. Dashed in \
             their colour: all models of that budget. Solid line: the compute-optimal models; hollow: at the budgets \
             trained, with 95% intervals; dashed: extrapolated. Parameters counted as {}.{}",
            words::counting(counting),
            without.concat()
        ),
        x: Axis::new(format!("parameters ({})", words::counting(counting)), Unit::Count),
        y: Axis::new("training tokens", Unit::Count),
        series: Vec::new(),
        table: Table { header: HEADER, rows: panels.iter().flat_map(|panel| panel.table.rows.clone()).collect() },
        panels,
    }
}

/// Whether an approach fits a whole surface.
pub fn is_surface(fit: &Summary) -> bool {
    fit.approach.is_surface()
}

fn panel(input: &ReportInput<'_>, fit: &Summary, priced: &Priced) -> Figure {
    let points: Vec<(&Observation, f64)> =
        input.observations.iter().filter_map(|run| Some((run, run.params_by(fit.counting)?))).collect();
    let spread = |of: &dyn Fn(&(&Observation, f64)) -> f64| {
        let ends = points.iter().map(of).filter(|x| x.is_finite() && *x > 0.0);
        let (low, high) = ends.fold((f64::INFINITY, 0.0), |(low, high), x| (x.min(low), x.max(high)));
        [low / MARGIN, high * MARGIN]
    };
    let range = [spread(&|(_, params)| *params), spread(&|(run, _)| run.tokens)];
    let measured = |run: &Observation| run.loss.is_finite() && run.tokens > 0.0;
    let losses: Vec<f64> = points.iter().filter(|(run, _)| measured(run)).map(|(run, _)| run.loss).collect();
    let curves = isoflop::curves(input, None);
    let budgets: Vec<f64> = curves.iter().filter_map(|curve| curve.budget).collect();
    let mut series = vec![contours(priced, &losses, range)];
    let count = budgets.len();
    for (i, curve) in curves.iter().enumerate() {
        let point = |run: &&Observation| {
            let x = run.params_by(fit.counting)?;
            let title = isoflop::describe(run, fit.counting);
            Some(Point { x, y: run.tokens, x_interval: None, y_interval: None, title })
        };
        let runs = Mark::Runs(curve.runs.iter().filter_map(point).collect());
        series.push(match curve.budget {
            Some(budget) => {
                let line = clipped(range, |params| budget / priced.cost.per_token(params));
                let marks = vec![Mark::Line { points: line, dashed: true }, runs];
                Series::new(format!("{} FLOPs", Flops(budget)), Color::budget(i, count), Shape::of(i), marks)
                    .of_group(words::budget(budget))
            }
            None => Series::new("runs of no budget", Color::Muted, Shape::of(i), vec![runs]),
        });
    }
    let optimal = optima(fit, priced, &budgets);
    series.push(frontier(priced, &budgets, &optimal));
    let row = |kind: &str, flops: f64, optimum: &Optimum| {
        let mut row = vec![fit.approach.key().to_owned(), fit.counting.name().to_owned()];
        row.extend([fit.status.key().to_owned(), kind.to_owned(), cell(flops)]);
        for e in [optimum.params, optimum.tokens] {
            row.extend([e.value, e.low, e.high].map(cell));
        }
        row.push(cell(priced.surface.loss(optimum.params.value, optimum.tokens.value)));
        row
    };
    Figure {
        id: format!("surface_{}", fit.approach.key()),
        title: fit.approach.name().to_owned(),
        note: fit.conclusion.clone(),
        x: Axis::new(format!("parameters ({})", words::counting(fit.counting)), Unit::Count),
        y: Axis::new("training tokens", Unit::Count),
        series,
        panels: Vec::new(),
        table: Table {
            header: HEADER,
            rows: budgets.iter().zip(&optimal).map(|(c, optimum)| row("frontier", *c, optimum)).collect(),
        },
    }
}

/// Lines of equal loss at round values among the losses measured.
fn contours(priced: &Priced, losses: &[f64], range: [[f64; 2]; 2]) -> Series {
    let (low, high) = losses.iter().fold((f64::INFINITY, 0.0_f64), |(low, high), x| (x.min(low), x.max(high)));
    let step = round_up((high - low) / LEVELS);
    let mut marks = Vec::new();
    let (first, last) = ((low / step).floor() as i64, (high / step).ceil() as i64);
    for level in (first..=last).take(2 * LEVELS as usize).map(|i| i as f64 * step) {
        let surface = &priced.surface;
        // L = E + A/N^alpha + B/D^beta, solved for D; no number of tokens reaches a loss below E + A/N^alpha.
        let tokens = |params: f64| {
            let left = level - surface.e - surface.a * params.powf(-surface.alpha);
            if left > 0.0 { (surface.b / left).powf(1.0 / surface.beta) } else { f64::INFINITY }
        };
        let line = clipped(range, tokens);
        if line.len() > 2 {
            let at = line[line.len() * 3 / 4];
            marks.push(Mark::Text { at, text: words::short(level) });
            marks.push(Mark::Line { points: line, dashed: false });
        }
    }
    Series::new("equal loss", Color::Muted, Shape::Circle, marks)
}

/// The next of 1, 2 and 5 times a power of ten.
fn round_up(x: f64) -> f64 {
    let power = 10f64.powf(x.max(1e-6).log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|m| m * power).find(|step| *step >= x).unwrap_or(power)
}

/// Tokens as a falling function of parameters, within the range of both.
fn clipped([[n_low, n_high], [d_low, d_high]]: [[f64; 2]; 2], tokens: impl Fn(f64) -> f64) -> Vec<[f64; 2]> {
    let at = |i: i32| n_low * (n_high / n_low).powf(f64::from(i) / f64::from(PIECES));
    let inside = |d: &f64| (d_low..=d_high).contains(d);
    (0..=PIECES).map(at).map(|n| [n, tokens(n)]).filter(|[_, d]| inside(d)).collect()
}

/// The optimum of a surface for a budget, with intervals from its resamples.
struct Optimum {
    params: Estimate,
    tokens: Estimate,
}

fn optima(fit: &Summary, priced: &Priced, budgets: &[f64]) -> Vec<Optimum> {
    let estimate = |of: &dyn Fn(&Priced) -> f64| {
        let drawn = fit.draws.iter().map(|surface| of(&Priced { surface: *surface, ..*priced }));
        Estimate::from_draws(of(priced), drawn)
    };
    let at = |&c: &f64| Optimum { params: estimate(&|p| p.n_opt(c)), tokens: estimate(&|p| p.d_opt(c)) };
    budgets.iter().map(at).collect()
}

fn frontier(priced: &Priced, budgets: &[f64], optimal: &[Optimum]) -> Series {
    let line = |low: f64, high: f64, dashed: bool| {
        let at = |i: i32| low * (high / low).powf(f64::from(i) / 16.0);
        let points = (0..=16).map(at).map(|c| [priced.n_opt(c), priced.d_opt(c)]).collect();
        Mark::Line { points, dashed }
    };
    let mut marks = Vec::new();
    if let Some((low, high)) = budgets.first().zip(budgets.last()) {
        marks.push(line(*low, *high, false));
        marks.push(line(*high, high * BEYOND, true));
    }
    let point = |(c, optimum): (&f64, &Optimum)| {
        let Optimum { params, tokens } = *optimum;
        let [n, d] = [params, tokens].map(|e| words::estimate(e, words::amount));
        let title = format!("optimum at {} FLOPs: {n} parameters, {d} tokens", Flops(*c));
        Point { x: params.value, y: tokens.value, x_interval: interval(params), y_interval: interval(tokens), title }
    };
    marks.push(Mark::Estimates(budgets.iter().zip(optimal).map(point).collect()));
    Series::new("efficient frontier", Color::Params, Shape::Diamond, marks)
}

impl<'a> ReportInput<'a> {
    /// The approaches under a convention of counting.
    pub(super) fn approaches_by(&self, counting: Counting) -> impl Iterator<Item = &'a Summary> + use<'a> {
        self.approaches.iter().filter(move |fit| fit.counting == counting)
    }

    /// The surfaces that may be shown, under the convention of the figures.
    pub(super) fn shown_surfaces(&self) -> impl Iterator<Item = (&'a Summary, Priced)> + use<'a> {
        let converged = |fit: &&Summary| is_surface(fit) && fit.status == Status::Converged;
        let proper = |priced: &Priced| priced.surface.is_proper();
        self.approaches_by(self.counting())
            .filter(converged)
            .filter_map(move |fit| Some((fit, fit.priced().filter(proper)?)))
    }
}
