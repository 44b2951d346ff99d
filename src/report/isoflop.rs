//! The curves of equal compute: loss against parameters or tokens, one curve for each budget.

use super::figure::{Axis, Color, Figure, Mark, Point, Series, Shape, Table, Unit, cell, cells, interval};
use super::input::{IsoflopGroup, ReportInput};
use super::words;
use crate::fit::Estimate;
use crate::fit::approaches::approach2::{Approach2, Optimum};
use crate::fit::table::budgets::same_budget;
use crate::observation::{Counting, Observation};
use crate::units::{Flops, Params, Tokens};

/// What lies along the horizontal axis.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Variable {
    /// Parameters, by the counting convention.
    Params,
    /// Training tokens.
    Tokens,
}

impl Variable {
    fn of(self, run: &Observation, counting: Counting) -> Option<f64> {
        match self {
            Self::Params => run.params_by(counting),
            Self::Tokens => Some(run.tokens),
        }
    }

    fn optimum(self, optimum: &Optimum) -> Option<Estimate> {
        words::shown(optimum.status, if self == Self::Params { optimum.params } else { optimum.tokens })
    }

    fn parabola(self, optimum: &Optimum) -> Option<[f64; 3]> {
        let found = if self == Self::Params { optimum.parabola_params } else { optimum.parabola_tokens };
        found.filter(|c| c.iter().all(|x| x.is_finite()))
    }

    /// Coefficients from the third power down: with a steep end the curve is no parabola.
    pub fn curve(self, optimum: &Optimum) -> Option<[f64; 4]> {
        let [p, q, r] = self.parabola(optimum)?;
        let cubic = optimum.steep.map_or([0.0; 2], |steep| steep.cubic);
        Some([cubic[usize::from(self == Self::Tokens)], p, q, r])
    }

    /// What the curve was fitted to, where that is less than what was trained.
    fn window(self, optimum: &Optimum) -> Option<[f64; 2]> {
        optimum.steep.map(|steep| if self == Self::Params { steep.params } else { steep.tokens })
    }
}

/// Runs of one budget, or of none, with what was fitted to them.
pub struct Curve<'a> {
    pub budget: Option<f64>,
    pub runs: Vec<&'a Observation>,
    pub optimum: Option<&'a Optimum>,
}

/// Columns of the tables; `value` is the quantity of the horizontal axis.
const HEADER: &[&str] = &[
    "counting",
    "flop_budget",
    "kind",
    "status",
    "value",
    "low",
    "high",
    "loss",
    "loss_low",
    "loss_high",
    "loss_se",
    "seed",
    "p",
    "q",
    "r",
    "group",
];

/// A panel for each group, all with the same axes.
pub fn by_group(input: &ReportInput<'_>, variable: Variable) -> Figure {
    let panel = |group: &IsoflopGroup| {
        let of_group = ReportInput { observations: &group.observations, approach2: &group.fits, ..*input };
        let mut figure = against(&of_group, variable);
        for row in &mut figure.table.rows {
            row.last_mut().expect("a row has cells").clone_from(&group.name);
        }
        figure.title.clone_from(&group.name);
        figure
    };
    let mut panels: Vec<Figure> = input.isoflop_groups.iter().map(panel).collect();
    let rows = panels.iter_mut().flat_map(|panel| std::mem::take(&mut panel.table.rows)).collect();
    let whole = against(&ReportInput { observations: &[], approach2: &[], ..*input }, variable);
    let note = format!(
        "{} There is a panel for each group of runs. If something was tuned at each size, the best value is shown.",
        whole.note
    );
    Figure { note, panels, series: Vec::new(), table: Table { header: HEADER, rows }, ..whole }
}

/// Loss against `variable`, with parabolas and minima.
pub fn against(input: &ReportInput<'_>, variable: Variable) -> Figure {
    let counting = input.counting();
    let curves = curves(input, input.drawn());
    let count = curves.iter().filter(|c| c.budget.is_some()).count();
    let series = curves.iter().enumerate().map(|(i, curve)| series(curve, variable, counting, i, count));
    let (id, title, axis) = match variable {
        Variable::Params => {
            ("isoflop", "IsoFLOP curves over parameters", format!("parameters ({})", words::counting(counting)))
        }
        Variable::Tokens => ("isoflop_tokens", "IsoFLOP curves over tokens", "training tokens".to_owned()),
    };
    Figure {
        id: id.to_owned(),
        title: title.to_owned(),
        note:
            "One colour and shape for each budget in FLOPs. Filled: single runs. Line: the fitted parabola, over the \
               sizes that were trained. Hollow: its minimum, with the 95% interval."
                .to_owned(),
        x: Axis::new(axis, Unit::Count).switchable(),
        y: Axis::new("validation loss (nats per token)", Unit::Loss),
        series: series.collect(),
        panels: Vec::new(),
        table: table(input, variable),
    }
}

/// Splits runs by budget, ascending; runs of no budget come last. Runs within a curve are sorted, so that the figure
/// does not depend on the order in which they finished.
pub fn curves<'a>(input: &ReportInput<'a>, fit: Option<&'a Approach2>) -> Vec<Curve<'a>> {
    let optima = fit.map_or(&[][..], |fit| &fit.optima);
    let mut budgets: Vec<f64> =
        input.observations.iter().filter_map(|o| o.flop_budget).chain(optima.iter().map(|o| o.budget)).collect();
    budgets.sort_by(f64::total_cmp);
    budgets.dedup_by(|b, a| same(*a, *b));
    let mut curves: Vec<Curve<'a>> = budgets.into_iter().map(|b| curve(input, optima, Some(b))).collect();
    let others = curve(input, optima, None);
    if !others.runs.is_empty() {
        curves.push(others);
    }
    curves
}

fn curve<'a>(input: &ReportInput<'a>, optima: &'a [Optimum], budget: Option<f64>) -> Curve<'a> {
    let belongs = |run: &&Observation| match (budget, run.flop_budget) {
        (Some(a), Some(b)) => same(a, b),
        (a, b) => a.is_none() && b.is_none(),
    };
    let mut runs: Vec<&Observation> = input.observations.iter().filter(belongs).collect();
    runs.sort_by(|a, b| a.params.total_cmp(&b.params).then(a.loss.total_cmp(&b.loss)).then(a.seed.cmp(&b.seed)));
    Curve { budget, runs, optimum: budget.and_then(|b| optima.iter().find(|o| same(o.budget, b))) }
}

fn same(a: f64, b: f64) -> bool {
    same_budget(a.min(b), a.max(b))
}

fn series(curve: &Curve<'_>, variable: Variable, counting: Counting, index: usize, count: usize) -> Series {
    let places = || curve.runs.iter().filter_map(|run| variable.of(run, counting));
    let low = places().fold(f64::INFINITY, f64::min);
    let high = places().fold(0.0, f64::max);
    let mut marks = Vec::new();
    if let Some((optimum, coefficients)) = curve.optimum.and_then(|o| Some((o, variable.curve(o)?))) {
        let [low, high] = variable.window(optimum).unwrap_or([low, high]);
        marks.push(Mark::Line { points: drawn(coefficients, low, high), dashed: false });
    }
    let runs = curve.runs.iter().filter_map(|run| {
        Some(Point {
            x: variable.of(run, counting)?,
            y: run.loss,
            x_interval: None,
            y_interval: None,
            title: describe(run, counting),
        })
    });
    marks.push(Mark::Runs(runs.collect()));
    let minimum = curve.optimum.and_then(|o| minimum(o, variable));
    let found = minimum.as_ref().map(|(_, text)| text.clone());
    if let Some((point, _)) = minimum {
        marks.push(Mark::Estimates(vec![point]));
    }
    let label = match (curve.budget, found, curve.optimum) {
        (None, ..) => "runs of no budget".to_owned(),
        (Some(b), Some(text), _) => format!("{}: minimum at {text}", Flops(b)),
        (Some(b), None, Some(o)) => format!("{}: {}", Flops(b), without(o)),
        (Some(b), None, None) => format!("{}: not fitted", Flops(b)),
    };
    let color = if curve.budget.is_some() { Color::budget(index, count) } else { Color::Muted };
    let group = curve.budget.map(words::budget);
    Series { label, color, shape: Shape::of(index), group, marks }
}

/// Why a budget has no minimum to show.
fn without(optimum: &Optimum) -> &'static str {
    match optimum.status {
        crate::fit::Status::Converged => "no minimum",
        status => status.words(),
    }
}

/// The minimum as a point, and as text.
fn minimum(optimum: &Optimum, variable: Variable) -> Option<(Point, String)> {
    let place = variable.optimum(optimum)?;
    let on_curve = variable.curve(optimum).map(|c| value(c, place.value.log10()));
    let y = on_curve.or_else(|| words::shown(optimum.status, optimum.loss).map(|l| l.value))?;
    let text = words::estimate(place, words::amount);
    let title = format!("{} FLOPs: minimum at {text}, loss {y:.3}", Flops(optimum.budget));
    Some((Point { x: place.value, y, x_interval: interval(place), y_interval: None, title }, text))
}

pub fn describe(run: &Observation, counting: Counting) -> String {
    let params = run.params_by(counting).map_or_else(String::new, |n| format!("{} parameters, ", Params(n)));
    let error = run.loss_se.filter(|se| *se > 0.0).map_or_else(String::new, |se| format!(" ± {se:.4}"));
    let seed = run.seed.map_or_else(String::new, |seed| format!(", seed {seed}"));
    format!("{params}{} tokens: loss {:.4}{error}{seed}", Tokens(run.tokens), run.loss)
}

/// The curve at a logarithm.
pub fn value([k, p, q, r]: [f64; 4], x: f64) -> f64 {
    ((k * x + p) * x + q) * x + r
}

/// The curve between two places, evenly spaced in the logarithm.
fn drawn(coefficients: [f64; 4], low: f64, high: f64) -> Vec<[f64; 2]> {
    const PIECES: u32 = 32;
    if !(low > 0.0 && low < high) {
        return Vec::new();
    }
    let (start, end) = (low.log10(), high.log10());
    let step = |i| start + (end - start) * f64::from(i) / f64::from(PIECES);
    (0..=PIECES).map(|i| [10f64.powf(step(i)), value(coefficients, step(i))]).collect()
}

/// Runs and minima under every convention.
fn table(input: &ReportInput<'_>, variable: Variable) -> Table {
    let mut rows = Vec::new();
    for counting in Counting::ALL {
        let fit = input.approach2.iter().find(|fit| fit.counting == counting);
        for curve in curves(input, fit) {
            for run in &curve.runs {
                let Some(x) = variable.of(run, counting) else { continue };
                let seed = run.seed.map_or_else(String::new, |s| s.to_string());
                let [name, budget] = [counting.name().to_owned(), cell(curve.budget)];
                let mut row = vec![name, budget, "run".to_owned(), String::new(), cell(x)];
                row.extend([String::new(), String::new(), cell(run.loss), String::new(), String::new()]);
                row.extend([cell(run.loss_se), seed]);
                row.extend([const { String::new() }; 4]);
                rows.push(row);
            }
            let Some(optimum) = curve.optimum else { continue };
            let status = optimum.status.key().to_owned();
            let mut row = vec![counting.name().to_owned(), cell(curve.budget), "minimum".to_owned(), status];
            row.extend(cells(variable.optimum(optimum)));
            row.extend(cells(words::shown(optimum.status, optimum.loss)));
            row.extend([String::new(), String::new()]);
            let coefficients = variable.parabola(optimum).filter(|_| optimum.steep.is_none());
            row.extend((0..3).map(|i| cell(coefficients.map(|c| c[i]))));
            row.push(String::new());
            rows.push(row);
        }
    }
    Table { header: HEADER, rows }
}
