//! The figures of the optima: `N_opt` and `D_opt` against compute, and their ratio.

use super::ReportInput;
use super::figure::{Axis, Color, Figure, Mark, Point, Series, Shape, Table, Unit, cell, cells, interval};
use super::words;
use crate::fit::approaches::approach2::{Approach2, Optimum};
use crate::fit::approaches::optimal::{PowerLaw, TokensPerParam};
use crate::fit::{Estimate, Status};
use crate::units::Flops;

/// The ratio at which Hoffmann et al. (2022, arXiv 2203.15556) trained Chinchilla: 1.4T tokens for 70B parameters.
const HOFFMANN: f64 = 20.0;

const OPTIMAL: &[&str] = &[
    "counting",
    "kind",
    "quantity",
    "flop_budget",
    "status",
    "value",
    "low",
    "high",
    "coefficient",
    "exponent",
    "exponent_low",
    "exponent_high",
];

const RATIO: &[&str] = &["counting", "kind", "flops", "status", "value", "low", "high"];

/// One of the two quantities whose optimum is sought.
struct Quantity {
    name: &'static str,
    label: &'static str,
    color: Color,
    shape: Shape,
    optimum: fn(&Optimum) -> Option<Estimate>,
    law: fn(&Approach2) -> Option<PowerLaw>,
}

const QUANTITIES: [Quantity; 2] = [
    Quantity {
        name: "tokens",
        label: "D_opt, tokens",
        color: Color::Tokens,
        shape: Shape::Square,
        optimum: |o| o.tokens,
        law: |fit| fit.d_opt,
    },
    Quantity {
        name: "params",
        label: "N_opt, parameters",
        color: Color::Params,
        shape: Shape::Circle,
        optimum: |o| o.params,
        law: |fit| fit.n_opt,
    },
];

/// The laws of a fit that may be shown.
pub fn law(status: Status, law: Option<PowerLaw>) -> Option<PowerLaw> {
    law.filter(|l| status == Status::Converged && l.coefficient > 0.0 && l.exponent.value.is_finite())
}

/// Tokens per parameter by the two laws, where they may be shown, ascending in compute.
pub fn ratios(fit: &Approach2) -> Vec<TokensPerParam> {
    let mut ratios: Vec<_> =
        fit.tokens_per_param.iter().filter(|t| words::shown(fit.status, Some(t.ratio)).is_some()).copied().collect();
    ratios.sort_by(|a, b| a.flops.total_cmp(&b.flops));
    ratios
}

/// `N_opt` and `D_opt` against compute, with their power laws.
pub fn optimal(input: &ReportInput<'_>) -> Figure {
    let counting = input.counting();
    let mut rows = Vec::new();
    for fit in input.approach2 {
        for quantity in &QUANTITIES {
            let start = |kind: &str| [fit.counting.name(), kind, quantity.name].map(str::to_owned).to_vec();
            for optimum in &fit.optima {
                let mut row = start("optimum");
                row.extend([cell(optimum.budget), optimum.status.key().to_owned()]);
                row.extend(cells(words::shown(optimum.status, (quantity.optimum)(optimum))));
                row.extend(vec![String::new(); 4]);
                rows.push(row);
            }
            let law = law(fit.status, (quantity.law)(fit));
            let mut row = start("law");
            row.extend([String::new(), fit.status.key().to_owned()]);
            row.extend(vec![String::new(); 3]);
            row.push(cell(law.map(|l| l.coefficient)));
            row.extend(cells(law.map(|l| l.exponent)));
            rows.push(row);
        }
    }
    Figure {
        id: "optimal".to_owned(),
        title: "Compute-optimal parameters and tokens".to_owned(),
        note: format!(
            "Points: the minima of the IsoFLOP curves, with 95% intervals; parameters counted as {}. Lines: the fitted \
             power laws of compute C, over the budgets that were trained.",
            words::counting(counting)
        ),
        x: Axis::new("training compute (FLOPs)", Unit::Flops),
        y: Axis::new("optimal parameters, tokens", Unit::Count),
        series: input.drawn().map_or_else(Vec::new, |fit| QUANTITIES.iter().map(|q| quantity(fit, q)).collect()),
        panels: Vec::new(),
        table: Table { header: OPTIMAL, rows },
    }
}

fn quantity(fit: &Approach2, quantity: &Quantity) -> Series {
    let points = optima(fit, quantity.label, quantity.optimum);
    let mut marks = Vec::new();
    let label = match law(fit.status, (quantity.law)(fit)) {
        Some(law) => {
            // One budget would leave a line without length.
            let (low, high) = range(&points);
            if low < high {
                let at = |c: f64| [c, law.coefficient * c.powf(law.exponent.value)];
                marks.push(Mark::Line { points: vec![at(low), at(high)], dashed: false });
            }
            format!("{}, grow as C^{}", quantity.label, words::estimate(law.exponent, words::decimal))
        }
        None if fit.status == Status::Converged => format!("{}: no power law", quantity.label),
        None => format!("{}: no power law, {}", quantity.label, fit.status.words()),
    };
    marks.push(Mark::Estimates(points));
    Series { label, color: quantity.color, shape: quantity.shape, group: None, marks }
}

/// The optima that may be shown, against their budgets.
fn optima(fit: &Approach2, label: &str, of: impl Fn(&Optimum) -> Option<Estimate>) -> Vec<Point> {
    let point = |optimum: &Optimum| {
        let e = words::shown(optimum.status, of(optimum))?;
        let title = format!("{label} at {} FLOPs: {}", Flops(optimum.budget), words::estimate(e, words::amount));
        Some(Point { x: optimum.budget, y: e.value, x_interval: None, y_interval: interval(e), title })
    };
    fit.optima.iter().filter_map(point).collect()
}

fn range(points: &[Point]) -> (f64, f64) {
    points.iter().fold((f64::INFINITY, 0.0), |(low, high), p| (p.x.min(low), p.x.max(high)))
}

/// Tokens per parameter against compute, beside Hoffmann et al.'s 20.
pub fn tokens_per_param(input: &ReportInput<'_>) -> Figure {
    let mut rows = Vec::new();
    for fit in input.approach2 {
        let mut add = |kind: &str, flops: f64, status: Status, e: Option<Estimate>| {
            let mut row = vec![fit.counting.name().to_owned(), kind.to_owned(), cell(flops)];
            row.push(status.key().to_owned());
            row.extend(cells(words::shown(status, e)));
            rows.push(row);
        };
        for optimum in &fit.optima {
            add("optimum", optimum.budget, optimum.status, optimum.tokens_per_param);
        }
        for t in &fit.tokens_per_param {
            add("laws", t.flops, fit.status, Some(t.ratio));
        }
    }
    let mut series = input.drawn().map_or_else(Vec::new, ratio_series);
    let chinchilla = "20, Hoffmann et al. (2022), all parameters counted";
    series.push(Series::new(chinchilla, Color::Muted, Shape::Circle, vec![Mark::Level(HOFFMANN)]));
    Figure {
        id: "tokens_per_param".to_owned(),
        title: "Compute-optimal tokens per parameter".to_owned(),
        note: format!(
            "Points: the minima of the IsoFLOP curves; line and band: the ratio of the two power laws; both with 95% \
             intervals. Parameters counted as {}. Dashed: extrapolated beyond the budgets that were trained.",
            words::counting(input.counting())
        ),
        x: Axis::new("training compute (FLOPs)", Unit::Flops),
        y: Axis::new("tokens per parameter", Unit::Count).switchable(),
        series,
        panels: Vec::new(),
        table: Table { header: RATIO, rows },
    }
}

fn ratio_series(fit: &Approach2) -> Vec<Series> {
    let points = optima(fit, "tokens per parameter", |o| o.tokens_per_param);
    let end = fit.optima.iter().map(|o| o.budget).fold(0.0, f64::max) * (1.0 + 1e-6);
    let ratios = ratios(fit);
    let line: Vec<[f64; 2]> = ratios.iter().map(|t| [t.flops, t.ratio.value]).collect();
    let inside = line.iter().filter(|p| p[0] <= end).count();
    let band = ratios.iter().filter_map(|t| interval(t.ratio).map(|[low, high]| [t.flops, low, high]));
    let mut marks = vec![
        Mark::Band(band.collect()),
        Mark::Line { points: line[..inside].to_vec(), dashed: false },
        // It starts where the solid one ends.
        Mark::Line { points: line[inside.saturating_sub(1)..].to_vec(), dashed: true },
    ];
    marks.retain(|mark| match mark {
        Mark::Line { points, .. } => points.len() > 1,
        Mark::Band(points) => points.len() > 1,
        _ => true,
    });
    let law = |found: bool| match (found, fit.status) {
        (true, _) => "ratio of the two power laws".to_owned(),
        (false, Status::Converged) => "ratio of the two power laws: none".to_owned(),
        (false, status) => format!("ratio of the two power laws: {}", status.words()),
    };
    let found = if points.is_empty() { "no budget has a minimum" } else { "minimum of each budget" };
    vec![
        Series::new(law(!ratios.is_empty()), Color::Tokens, Shape::Square, marks),
        Series::new(found, Color::Params, Shape::Circle, vec![Mark::Estimates(points)]),
    ]
}
