//! What approach 2 may conclude, in plain sentences.

use std::fmt::Write as _;

use crate::fit::approaches::approach2::{Approach2, Optimum};
use crate::fit::approaches::optimal::{PowerLaw, TokensPerParam};
use crate::fit::approaches::outliers::{Outlier, Suspects};
use crate::fit::estimate::words;
use crate::fit::{Estimate, Status};
use crate::units::{Flops, Loss, Params, Ratio, Tokens};

/// Budgets that a sentence names before it counts the rest.
const MOST_NAMED: usize = 8;

/// The conclusion of a fit to these runs, whose numbers are all in place. `open` are the budgets whose tokens per parameter may be
/// anything.
pub(super) fn of(fit: &Approach2, open: &[f64], suspects: &Suspects<'_>) -> String {
    let runs = suspects.runs();
    let told = runs.iter().filter(|run| run.params_by(fit.counting).is_some()).count();
    let bad = bad(fit, suspects);
    let mut sentences = Vec::new();
    match (&fit.n_opt, &fit.d_opt) {
        (Some(n_opt), Some(d_opt)) => sentences.push(laws(fit, n_opt, d_opt)),
        _ => sentences.push(nothing(fit, told, !bad.is_empty())),
    }
    sentences.extend(left_out(fit, open, &bad));
    sentences.extend(bad.iter().map(|(budget, runs)| spoiled(*budget, runs)));
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

/// Budgets without a minimum that have runs far from what the others say. More runs would not mend these.
fn bad(fit: &Approach2, suspects: &Suspects<'_>) -> Vec<(f64, Vec<Outlier>)> {
    let is_lost = |optimum: &Optimum| matches!(optimum.status, Status::EdgeMinimum | Status::NotIdentified);
    if !fit.optima.iter().any(is_lost) {
        return Vec::new();
    }
    let runs = suspects.runs();
    let mut apart = suspects.found().to_vec();
    // Training goes wrong upwards. Where runs lie far below, it is rather the others that lie above, or the law that does not fit.
    apart.retain(|outlier| outlier.expected.is_some_and(|expected| outlier.loss > expected));
    let away = |outlier: &Outlier, optimum: &Optimum| (runs[outlier.index].budget() / optimum.budget).ln().abs();
    let nearest = |outlier: &Outlier| {
        let optima = fit.optima.iter();
        optima.min_by(|a, b| away(outlier, a).total_cmp(&away(outlier, b))).map(|optimum| optimum.budget)
    };
    let of = |optimum: &Optimum| {
        let here =
            |outlier: &&Outlier| nearest(outlier).is_some_and(|budget| budget.total_cmp(&optimum.budget).is_eq());
        (optimum.budget, apart.iter().filter(here).copied().collect::<Vec<_>>())
    };
    fit.optima.iter().filter(|optimum| is_lost(optimum)).map(of).filter(|(_, runs)| !runs.is_empty()).collect()
}

/// What to do about runs that keep a budget from having a minimum.
fn spoiled(budget: f64, runs: &[Outlier]) -> String {
    let one = |run: &Outlier| {
        let expected = run.expected.unwrap_or(f64::NAN);
        let (params, tokens) = (Params(run.params), Tokens(run.tokens));
        let (off, expected) = (Loss(run.loss - expected), Loss(expected));
        format!("{params} parameters on {tokens} tokens is {off:.3} nats above what the others say, {expected:.3}")
    };
    let told: Vec<String> = runs.iter().take(MOST_NAMED).map(one).collect();
    format!(
        "Left out {}: there the run of {}. Run it again; `runner fit --exclude-outliers` shows whether the others do without it.",
        Flops(budget),
        told.join("; that of ")
    )
}

/// `bad`: whether runs are to blame, so that there is no need of more of them.
fn nothing(fit: &Approach2, told: usize, bad: bool) -> String {
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
        (_, 2) if bad => "Two optima always lie on a line, so they cannot show a power law.".to_owned(),
        (_, 1) => "Only one budget has an optimum, and a power law needs three.".to_owned(),
        (_, 2) => "Two optima always lie on a line, so they cannot show a power law: train a third budget.".to_owned(),
        _ => "Not identified: no budget has a usable minimum, so there is no conclusion.".to_owned(),
    }
}

/// One sentence for each reason for which budgets were left out, but those that bad runs spoiled.
fn left_out(fit: &Approach2, open: &[f64], bad: &[(f64, Vec<Outlier>)]) -> impl Iterator<Item = String> {
    let is = |optimum: &Optimum, budget: &f64| budget.total_cmp(&optimum.budget).is_eq();
    let is_open = move |optimum: &Optimum| open.iter().any(|budget| is(optimum, budget));
    let is_bad = move |optimum: &&Optimum| !bad.iter().any(|(budget, _)| is(optimum, budget));
    let reasons = [
        (Status::TooFewPoints, false, "fewer than 4 different sizes; train more sizes"),
        (
            Status::EdgeMinimum,
            false,
            "the minimum is outside the range of sizes; train sizes on the side where the loss falls",
        ),
        (
            Status::NotIdentified,
            false,
            "no minimum, or too many resamples without one; train sizes farther apart or more seeds",
        ),
        (
            Status::NotIdentified,
            true,
            "the minimum may be anywhere, since the interval of tokens per parameter spans more than a factor of 100; train sizes farther \
             apart or more seeds",
        ),
    ];
    reasons.into_iter().filter_map(move |(status, open, reason)| {
        let told = |optimum: &&Optimum| optimum.status == status && is_open(optimum) == open;
        let left_out = fit.optima.iter().filter(is_bad).filter(told);
        let budgets = named(left_out.map(|optimum| optimum.budget));
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
