//! What approach 2 may conclude, in plain sentences.

use std::fmt::Write as _;

use crate::fit::approaches::approach2::{Approach2, Optimum};
use crate::fit::approaches::optimal::{PowerLaw, TokensPerParam};
use crate::fit::estimate::words;
use crate::fit::{Estimate, Status};
use crate::units::{Flops, Ratio};

/// Budgets that a sentence names before it counts the rest.
const MOST_NAMED: usize = 8;

/// The conclusion of a fit whose numbers are all in place.
///
/// `told` runs tell parameters by its convention.
pub(super) fn of(fit: &Approach2, told: usize) -> String {
    let mut sentences = Vec::new();
    match (&fit.n_opt, &fit.d_opt) {
        (Some(n_opt), Some(d_opt)) => sentences.push(laws(fit, n_opt, d_opt)),
        _ => sentences.push(nothing(fit, told)),
    }
    sentences.extend(left_out(fit));
    sentences.extend(steep(fit));
    sentences.join(" ")
}

fn laws(fit: &Approach2, n_opt: &PowerLaw, d_opt: &PowerLaw) -> String {
    let identified: Vec<f64> =
        fit.optima.iter().filter(|optimum| optimum.status == Status::Converged).map(|optimum| optimum.budget).collect();
    let [low, high] = [identified[0], identified[identified.len() - 1]];
    let at = |flops: f64| fit.tokens_per_param.iter().find(|row| row.flops.total_cmp(&flops).is_eq());
    let mut text = format!(
        "From {} to {} FLOPs N_opt grows as C^{} and D_opt as C^{}",
        Flops(low),
        Flops(high),
        words(n_opt.exponent),
        words(d_opt.exponent)
    );
    if let (Some(first), Some(last)) = (at(low), at(high)) {
        let (from, to) = (ratio(&first.ratio), ratio(&last.ratio));
        let _ = write!(text, ", so tokens per parameter go from {from} to {to}; {}.", trend(first, last));
    }
    text
}

/// Whether the ratio changes over the budgets, judged by intervals that do not touch.
fn trend(first: &TokensPerParam, last: &TokensPerParam) -> &'static str {
    if last.ratio.high < first.ratio.low {
        "the ratio falls with compute"
    } else if last.ratio.low > first.ratio.high {
        "the ratio grows with compute"
    } else {
        "the intervals do not show whether the ratio changes with compute"
    }
}

fn nothing(fit: &Approach2, told: usize) -> String {
    let identified = fit.optima.iter().filter(|optimum| optimum.status == Status::Converged).count();
    match (fit.optima.len(), identified) {
        (0, _) if told == 0 => format!("No run has parameters counted as {}.", fit.counting.name()),
        (0, _) => format!(
            "No two of the {told} runs share a budget: their FLOPs differ by more than 1%. An IsoFLOP curve needs several \
             sizes at one budget, in a column flop_budget, or by --budget-tolerance."
        ),
        (1, 1) => {
            "One budget gives one optimum, and a power law needs three: train at least two more budgets.".to_owned()
        }
        (_, 1) => "Only one budget has an optimum, and a power law needs three.".to_owned(),
        (_, 2) => "Two optima always lie on a line, so they cannot show a power law: train a third budget.".to_owned(),
        _ => "Not identified: no budget has a usable minimum, so there is no conclusion.".to_owned(),
    }
}

/// One sentence for each reason for which budgets were left out.
fn left_out(fit: &Approach2) -> impl Iterator<Item = String> {
    let reasons = [
        (Status::TooFewPoints, "fewer than 4 different sizes; train more sizes"),
        (
            Status::EdgeMinimum,
            "the minimum is outside the range of sizes; train sizes on the side where the loss falls",
        ),
        (
            Status::NotIdentified,
            "no minimum, or too many resamples without one; train sizes farther apart or more seeds",
        ),
    ];
    reasons.into_iter().filter_map(|(status, reason)| {
        let budgets = named(fit.optima.iter().filter(|optimum| optimum.status == status).map(|optimum| optimum.budget));
        (!budgets.is_empty()).then(|| format!("Left out {budgets}: {reason}."))
    })
}

/// Which budgets have a steep end, and what was done about it.
fn steep(fit: &Approach2) -> Option<String> {
    let of = |optimum: &Optimum| optimum.steep.map(|steep| (optimum.budget, steep.left_out));
    let found: Vec<(f64, usize)> = fit.optima.iter().filter_map(of).collect();
    let left_out: usize = found.iter().map(|(_, left_out)| left_out).sum();
    let budgets = named(found.iter().map(|(budget, _)| *budget));
    (!found.is_empty()).then(|| {
        format!(
            "A steep end at {budgets}: there the curve is a cubic around the minimum, in which near losses count most \
             ({left_out} runs are too high to count)."
        )
    })
}

/// Budgets in words, the first few by name.
fn named(budgets: impl Iterator<Item = f64>) -> String {
    let budgets: Vec<String> = budgets.map(|budget| Flops(budget).to_string()).collect();
    let more = budgets.len().saturating_sub(MOST_NAMED);
    let rest = if more > 0 { format!(" and {more} more budgets") } else { String::new() };
    budgets[..budgets.len().min(MOST_NAMED)].join(", ") + &rest
}

fn ratio(estimate: &Estimate) -> String {
    format!("{} ({} to {})", Ratio(estimate.value), Ratio(estimate.low), Ratio(estimate.high))
}
