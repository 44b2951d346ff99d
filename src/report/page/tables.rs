//! The smaller tables of the page. Numbers are text already; a dash stands where none may be shown.

use crate::fit::approaches::approach2::{Approach2, Optimum};
use crate::fit::approaches::summary::Summary;
use crate::fit::transfer::frontier::{BudgetSaving, Comparison};
use crate::fit::transfer::rates::{Group, WidthOptimum};
use crate::fit::{Estimate, Status};
use crate::report::{IsoflopGroup, ReportInput, words};
use crate::units::Flops;

fn estimate(status: Status, estimate: Option<Estimate>, print: impl Fn(f64) -> String) -> String {
    words::shown(status, estimate).map_or_else(|| "–".to_owned(), |e| words::estimate(e, print))
}

/// One budget of a comparison.
pub struct SavingRow {
    pub other: String,
    pub budget: String,
    pub status: &'static str,
    pub good: bool,
    pub cells: [String; 4],
}

/// The budgets of one comparison.
pub fn savings(comparison: &Comparison) -> Vec<SavingRow> {
    let row = |b: &BudgetSaving| SavingRow {
        other: comparison.other.clone(),
        budget: Flops(b.budget).to_string(),
        status: b.status.words(),
        good: b.status == Status::Converged,
        cells: [
            estimate(b.status, b.reference_loss, words::decimal),
            estimate(b.status, b.loss, words::decimal),
            estimate(b.status, b.saving, words::amount),
            estimate(b.status, b.saving_with_tuning, words::amount),
        ],
    };
    comparison.budgets.iter().map(row).collect()
}

/// One width of a sweep of learning rates.
pub struct TransferRow {
    pub parameterization: String,
    pub width: String,
    pub status: &'static str,
    pub good: bool,
    pub cells: [String; 3],
}

/// The widths of one parameterization.
pub fn transfers(group: &Group) -> Vec<TransferRow> {
    let row = |width: &WidthOptimum| TransferRow {
        parameterization: group.parameterization.clone(),
        width: width.width.to_string(),
        status: width.status.words(),
        good: width.status == Status::Converged,
        cells: [
            estimate(width.status, width.learning_rate, words::amount),
            estimate(width.status, width.loss, words::decimal),
            estimate(width.status, group.transfer.lost(width), words::decimal),
        ],
    };
    group.transfer.widths.iter().map(row).collect()
}

/// Whose best rate the others are tried with: the narrowest width, or where that has none of its own the one that stands in.
pub fn base_of_transfers(groups: &[Group]) -> String {
    let other = |group: &Group| {
        let narrowest = group.transfer.widths.first()?.width;
        group.transfer.base().filter(|base| base.total_cmp(&narrowest).is_ne())
    };
    let bases: Vec<Option<f64>> = groups.iter().map(other).collect();
    let named = |(group, base): (&Group, &Option<f64>)| match base {
        Some(base) => format!("width {base} for {}", group.parameterization),
        None => format!("the narrowest width for {}", group.parameterization),
    };
    match bases.as_slice() {
        [Some(base)] => format!("width {base}"),
        bases if bases.iter().all(Option::is_none) => "the narrowest width".to_owned(),
        bases => groups.iter().zip(bases).map(named).collect::<Vec<_>>().join(", "),
    }
}

/// The optima under one convention.
pub struct Optima {
    pub title: String,
    pub rows: Vec<OptimumRow>,
}

/// The optimum of one budget.
pub struct OptimumRow {
    pub budget: String,
    pub points: usize,
    pub status: &'static str,
    pub good: bool,
    pub cells: [String; 4],
}

impl Optima {
    /// Of the parabolas of each group, by the convention that figures draw.
    pub fn of_groups(input: &ReportInput<'_>) -> Vec<Self> {
        let drawn = |group: &IsoflopGroup| {
            let fit = group.fit_by(input.counting())?;
            let optima = Self::of(fit);
            Some(Self { title: format!("{}, {}", group.name, optima.title), ..optima })
        };
        input.isoflop_groups.iter().filter_map(drawn).collect()
    }

    /// Of the parabolas.
    pub fn of(fit: &Approach2) -> Self {
        let row = |o: &Optimum| OptimumRow {
            budget: Flops(o.budget).to_string(),
            points: o.points,
            status: o.status.words(),
            good: o.status == Status::Converged,
            cells: [
                estimate(o.status, o.params, words::amount),
                estimate(o.status, o.tokens, words::amount),
                estimate(o.status, o.tokens_per_param, words::amount),
                estimate(o.status, o.loss, words::decimal),
            ],
        };
        Self { title: words::counting(fit.counting).to_owned(), rows: fit.optima.iter().map(row).collect() }
    }
}

/// Tokens per parameter by the laws of an approach: counting, approach, FLOPs, ratio.
pub fn ratios(fit: &Summary) -> Vec<[String; 4]> {
    let shown = fit.tokens_per_param.iter().filter_map(|t| Some((t.flops, words::shown(fit.status, Some(t.ratio))?)));
    let row = |(flops, ratio)| {
        [
            words::counting(fit.counting).to_owned(),
            fit.approach.name().to_owned(),
            Flops(flops).to_string(),
            words::estimate(ratio, words::amount),
        ]
    };
    shown.map(row).collect()
}

/// What an approach predicts of the largest budget from the smaller ones: counting, approach, budget, runs, errors of
/// losses, errors of optima.
pub fn forecast(fit: &Summary) -> Option<[String; 6]> {
    let told = fit.forecast.filter(|_| fit.status == Status::Converged)?;
    let losses = told.loss_mean.zip(told.loss_rms).map(|(mean, rms)| format!("mean {mean:+.4}, rms {rms:.4}"));
    let optima = told.n_opt_ratio.zip(told.d_opt_ratio).map(|(n, d)| format!("N_opt × {n:.3}, D_opt × {d:.3}"));
    let dash = || "–".to_owned();
    Some([
        words::counting(fit.counting).to_owned(),
        fit.approach.name().to_owned(),
        Flops(told.budget).to_string(),
        told.points.to_string(),
        losses.unwrap_or_else(dash),
        optima.unwrap_or_else(dash),
    ])
}
