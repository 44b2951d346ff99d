//! What may and may not be concluded: the sentences of the fits, and warnings that the data call for.

use super::{IsoflopGroup, ReportInput, optima, words};
use crate::fit::approaches::approach::Approach;
use crate::fit::approaches::approach2::Approach2;
use crate::fit::approaches::headline;
use crate::fit::approaches::least::LAW_BUDGETS;
use crate::fit::transfer::frontier::{BudgetSaving, Comparison};
use crate::fit::transfer::rates::Group;
use crate::fit::{Estimate, Status};
use crate::units::{self, Flops};

/// A forecast further beyond the largest budget than this factor is called far.
const FAR: f64 = 10.0;

/// What each fit concludes, with the convention that it counts by.
pub fn of_fits(input: &ReportInput<'_>) -> Vec<(String, String)> {
    if let Some(question) = input.question {
        return question.conclusions();
    }
    let named = |fit: &Approach2| (format!("approach 2, {}", words::counting(fit.counting)), fit.conclusion.clone());
    let transfers = input.transfer.iter().map(|g| (g.parameterization.clone(), g.transfer.conclusion.clone()));
    let savings = input.savings.iter().map(|c| (c.other.clone(), c.conclusion.clone()));
    let drawn = words::counting(input.counting());
    let surfaces = input.approaches_by(input.counting()).filter(|fit| fit.approach != Approach::Parabolas);
    let surfaces = surfaces.map(|fit| (format!("{}, {drawn}", fit.approach.name()), fit.conclusion.clone()));
    let groups = input.isoflop_groups.iter().filter_map(|group| {
        let fit = group.fit_by(input.counting())?;
        Some((format!("{}, {drawn}", group.name), fit.conclusion.clone()))
    });
    input.approach2.iter().map(named).chain(surfaces).chain(transfers).chain(savings).chain(groups).collect()
}

/// What a reader must know before believing the numbers.
pub fn warnings(input: &ReportInput<'_>) -> Vec<String> {
    let mut warnings = Vec::new();
    if let Some(question) = input.question {
        warnings.extend(question.warnings());
    } else if let Some(fit) = input.drawn() {
        warnings.extend(too_few_budgets(fit));
        warnings.extend(without_minimum(fit));
        warnings.extend(far(fit));
    } else if !input.transfer.is_empty() {
        warnings.extend(without_optimum(input));
    } else if !input.savings.is_empty() {
        warnings.extend(without_both(input));
    } else if !input.isoflop_groups.is_empty() {
        warnings.extend(by_group(input));
    } else {
        let missing = if input.observations.is_empty() { "No run has finished" } else { "No fit was made" };
        warnings.push(format!("{missing}, so there is no result."));
    }
    warnings.extend(one_seed(input));
    if !input.failed.is_empty() {
        let n = units::count(input.failed.len(), "run");
        warnings.push(format!("{n} ended without a final loss and {} not used in any fit.", verb(input.failed.len())));
    }
    warnings.extend(below_entropy(input));
    warnings.extend(truth(input));
    warnings
}

/// Least loss of all runs with its standard error.
pub fn lowest_loss(input: &ReportInput<'_>) -> Option<(f64, Option<f64>)> {
    let finite = input.observations.iter().filter(|o| o.loss.is_finite());
    finite.min_by(|a, b| a.loss.total_cmp(&b.loss)).map(|o| (o.loss, o.loss_se))
}

fn verb(n: usize) -> &'static str {
    if n == 1 { "is" } else { "are" }
}

fn too_few_budgets(fit: &Approach2) -> Option<String> {
    let found = fit.optima.iter().filter(|o| o.status == Status::Converged).count();
    let has = if found == 1 { "has" } else { "have" };
    (found < LAW_BUDGETS).then(|| {
        format!(
            "{} {has} a minimum inside the range of sizes. With fewer than {LAW_BUDGETS} the data cannot show \
             whether the optimum follows a power law: add budgets.",
            units::count(found, "budget")
        )
    })
}

fn without_minimum(fit: &Approach2) -> impl Iterator<Item = String> {
    fit.optima.iter().filter(|o| o.status != Status::Converged).map(|o| {
        let advice = match o.status {
            Status::EdgeMinimum => ", so the optimum is outside. Use a wider range of sizes at this budget",
            Status::TooFewPoints => ". Train more sizes",
            _ => "",
        };
        format!("Budget {}: {}{advice}. The power laws do not use it.", Flops(o.budget), o.status.words())
    })
}

/// What holds of one group, with its name before it.
fn by_group(input: &ReportInput<'_>) -> Vec<String> {
    let of = |group: &IsoflopGroup| {
        let told = group
            .fit_by(input.counting())
            .into_iter()
            .flat_map(|fit| too_few_budgets(fit).into_iter().chain(without_minimum(fit)));
        told.map(|warning| format!("{}: {warning}", group.name)).collect::<Vec<_>>()
    };
    input.isoflop_groups.iter().flat_map(of).collect()
}

fn without_optimum(input: &ReportInput<'_>) -> impl Iterator<Item = String> {
    let of = |group: &Group| {
        let name = group.parameterization.clone();
        let open = group.transfer.widths.iter().filter(|width| width.status != Status::Converged);
        open.map(move |width| {
            let why = width.open.map_or_else(|| width.status.words().to_owned(), |open| open.words("rate"));
            let used = if width.loss.is_some() { "uses it all the same" } else { "does not use it" };
            format!("{name}, width {}: {why}. The drift {used}.", width.width)
        })
        .collect::<Vec<_>>()
    };
    input.transfer.iter().flat_map(of)
}

fn without_both(input: &ReportInput<'_>) -> impl Iterator<Item = String> {
    let open = |comparison: &Comparison| {
        let budgets = comparison.budgets.iter().filter(|budget| budget.status != Status::Converged);
        let told = |budget: &BudgetSaving| {
            let (flops, other) = (Flops(budget.budget), &comparison.other);
            format!("Budget {flops}, {other}: {}. There is no comparison at this budget.", budget.status.words())
        };
        budgets.map(told).collect::<Vec<_>>()
    };
    input.savings.iter().flat_map(open)
}

fn far(fit: &Approach2) -> Option<String> {
    let largest = fit.optima.iter().map(|o| o.budget).fold(0.0, f64::max);
    let furthest = optima::ratios(fit).last()?.flops;
    let factor = furthest / largest;
    (factor.is_finite() && factor > FAR).then(|| {
        format!(
            "Numbers for {} FLOPs extrapolate {factor:.0} times beyond the largest budget trained ({}). They assume \
             that the power laws continue; their intervals do not include the chance that they do not.",
            Flops(furthest),
            Flops(largest)
        )
    })
}

/// Nothing was repeated.
fn one_seed(input: &ReportInput<'_>) -> Option<String> {
    headline::one_seed(input.observations)
        .then(|| "Every point was trained with one seed only: the scatter between seeds was not measured.".to_owned())
}

/// No model can be better than the language's entropy, so a loss below it is a mistake somewhere.
fn below_entropy(input: &ReportInput<'_>) -> Option<String> {
    let (entropy, error) = input.entropy?;
    let (loss, loss_error) = lowest_loss(input)?;
    let margin = 3.0 * error.hypot(loss_error.unwrap_or(0.0));
    (loss + margin < entropy).then(|| {
        "The lowest loss is below the true entropy by more than three standard errors, which is impossible: validation \
         data leaked into training, or the loss or the entropy is measured wrongly."
            .to_owned()
    })
}

/// Where the entropy of the language is known: whether the fitted irreducible losses find it, and if not, how far the runs are from it.
fn truth(input: &ReportInput<'_>) -> Option<String> {
    let (entropy, _) = input.entropy.filter(|(entropy, _)| entropy.is_finite())?;
    let fitted = input.approaches_by(headline::COUNTED).filter_map(|fit| {
        let e = words::shown(fit.status, fit.estimate("E", fit.e))?;
        Some((fit.approach.name().to_owned(), e))
    });
    let fitted: Vec<(String, Estimate)> = fitted.collect();
    let missed = |e: &Estimate| e.low > entropy || e.high < entropy;
    let told = fitted.iter().map(|(name, e)| {
        let (by, verdict) = (e.value - entropy, if missed(e) { "missed" } else { "inside the interval" });
        format!("{name} gives {}, {by:+.3} nats off: {verdict}", words::estimate(*e, words::decimal))
    });
    let told: Vec<String> = told.collect();
    if told.is_empty() {
        return None;
    }
    let found = format!(
        "The true entropy of the language is {entropy:.4} nats per token, so the fitted irreducible loss can be \
         checked. All parameters counted, {}.",
        told.join("; ")
    );
    if !fitted.iter().any(|(_, e)| missed(e)) {
        return Some(found);
    }
    let above = lowest_loss(input)?.0 - entropy;
    Some(format!(
        "{found} The lowest loss lies {above:.2} nats above the entropy of the same window. How loss falls between the two \
         was not measured, and it need not follow the power law of these runs: docs/reproduction.md looks into one such \
         miss. Until then the fitted irreducible loss describes this grid, not the language."
    ))
}
