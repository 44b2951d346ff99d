//! The answer, and the table of all approaches to it.

use crate::fit::approach2::TokensPerParam;
use crate::fit::summary::Summary;
use crate::fit::{Estimate, Status};
use crate::observation::Counting;
use crate::report::{ReportInput, conclusions, optima, words};
use crate::units::Flops;

/// Groups that the answer speaks of; more of them are for the list of conclusions.
const MOST_VERDICTS: usize = 4;

/// One approach under one convention. Numbers are text already; a dash stands where none may be shown.
pub struct Headline {
    pub approach: String,
    pub counting: &'static str,
    /// Whether it is of the convention that figures draw.
    pub drawn: bool,
    pub status: &'static str,
    pub good: bool,
    /// Tokens per parameter, exponents of `N_opt` and `D_opt`, irreducible loss.
    pub cells: [String; 4],
    pub points: usize,
    pub resampled: String,
}

/// All approaches, those of the convention that figures draw first.
pub fn rows(input: &ReportInput<'_>) -> Vec<Headline> {
    let drawn = input.counting();
    let others = Counting::ALL.into_iter().filter(|counting| *counting != drawn);
    let largest = largest(input);
    let of = |counting: Counting| input.approaches_by(counting).map(move |fit| row(fit, largest, counting == drawn));
    let approaches = std::iter::once(drawn).chain(others.clone()).flat_map(of);
    let of_groups = |counting: Counting| {
        let fits = input.isoflop_groups.iter().filter_map(move |group| Some((group, group.fit_by(counting)?)));
        fits.map(move |(group, fit)| Headline {
            approach: format!("{}: {}", group.name, words::approach("2")),
            ..row(&Summary::from(fit), largest, counting == drawn)
        })
    };
    approaches.chain(std::iter::once(drawn).chain(others).flat_map(of_groups)).collect()
}

/// The largest budget trained.
fn largest(input: &ReportInput<'_>) -> f64 {
    input.observations.iter().map(crate::observation::Observation::budget).filter(|b| b.is_finite()).fold(0.0, f64::max)
}

fn row(fit: &Summary, largest: f64, drawn: bool) -> Headline {
    let shown = |e: Option<Estimate>, print: fn(f64) -> String| {
        words::shown(fit.status, e).map_or_else(|| "–".to_owned(), |e| words::estimate(e, print))
    };
    Headline {
        approach: words::approach(&fit.approach),
        counting: words::counting(fit.counting),
        drawn,
        status: words::status(fit.status),
        good: fit.status == Status::Converged,
        cells: [
            shown(ratio_at(&fit.tokens_per_param, largest), words::amount),
            shown(fit.estimate("n_exponent", fit.n_exponent), words::decimal),
            shown(fit.estimate("d_exponent", fit.d_exponent), words::decimal),
            shown(fit.estimate("E", fit.e), words::decimal),
        ],
        points: fit.points,
        resampled: fit.resampled.clone(),
    }
}

/// The ratio at a budget, where an approach tells it: approach 1 ends at the last FLOP value of its envelope, which is
/// not further from the budget than one curve may be.
fn ratio_at(ratios: &[TokensPerParam], budget: f64) -> Option<Estimate> {
    ratios.iter().find(|t| (t.flops / budget).ln().abs() < 0.1).map(|t| t.ratio)
}

/// The answer in a sentence.
pub fn answer(input: &ReportInput<'_>) -> String {
    if !input.transfer.is_empty() {
        let verdict =
            |group: &crate::fit::transfer::Group| format!("{}: {}", group.parameterization, group.transfer.conclusion);
        let verdicts: Vec<String> = input.transfer.iter().take(MOST_VERDICTS).map(verdict).collect();
        let more = input.transfer.len() - verdicts.len();
        let more = if more == 0 { String::new() } else { format!(" {more} more groups are below.") };
        return format!("Does the best learning rate hold at other widths? {}{more}", verdicts.join(" "));
    }
    if !input.savings.is_empty() {
        let verdicts: Vec<&str> = input.savings.iter().map(|saving| saving.conclusion.as_str()).collect();
        return verdicts.join(" ");
    }
    if !input.isoflop_groups.is_empty() {
        return of_groups(input);
    }
    let Some(fit) = input.drawn() else {
        return "There is no answer yet: no fit was made.".to_owned();
    };
    let largest = fit.optima.iter().map(|o| o.budget).fold(0.0, f64::max);
    let ratio = optima::ratios(fit).into_iter().find(|t| (t.flops / largest - 1.0).abs() < 1e-6);
    match ratio {
        Some(TokensPerParam { flops, ratio }) => format!(
            "At {} FLOPs, the largest budget trained, the compute-optimal ratio is {} tokens per parameter, 95% interval \
             in brackets, parameters counted as {}.{}",
            Flops(flops),
            words::estimate(ratio, words::amount),
            words::counting(fit.counting),
            others(input, flops)
        ),
        None if fit.status == Status::Converged => {
            "The fit gives no ratio at the largest budget trained; see the tables below.".to_owned()
        }
        None => format!("There is no compute-optimal ratio to report: {}.", words::status(fit.status)),
    }
}

/// The ratio of each group, or why there is none.
fn of_groups(input: &ReportInput<'_>) -> String {
    let flops = largest(input);
    let said = input.isoflop_groups.iter().filter_map(|group| {
        let fit = group.fit_by(input.counting())?;
        let row = row(&Summary::from(fit), flops, true);
        Some(format!("{}: {}", group.name, if row.good { &row.cells[0] } else { row.status }))
    });
    let said: Vec<String> = said.collect();
    format!(
        "Compute-optimal tokens per parameter at {} FLOPs, the largest budget trained, 95% interval in brackets, parameters \
         counted as {}. {}.",
        Flops(flops),
        words::counting(input.counting()),
        said.join("; ")
    )
}

/// What the other approaches say of the same.
fn others(input: &ReportInput<'_>, flops: f64) -> String {
    let said = input.approaches_by(input.counting()).filter(|fit| fit.approach != "2").map(|fit| {
        let name = words::approach_short(&fit.approach);
        match words::shown(fit.status, ratio_at(&fit.tokens_per_param, flops)) {
            Some(ratio) => format!("{name} says {}", words::estimate(ratio, words::amount)),
            None => format!("{name} says nothing ({})", words::status(fit.status)),
        }
    });
    let said: Vec<String> = said.collect();
    if said.is_empty() { String::new() } else { format!(" That is approach 2; {}.", said.join(", ")) }
}

/// Single numbers about the sweep.
pub fn facts(input: &ReportInput<'_>) -> Vec<(&'static str, String)> {
    let total: f64 = input.observations.iter().map(|o| o.flops).filter(|f| f.is_finite()).fold(0.0, |sum, f| sum + f);
    let mut facts = vec![
        ("finished runs", input.observations.len().to_string()),
        ("failed runs", input.failed.len().to_string()),
        ("points left out", input.left_out.len().to_string()),
        ("training compute in all", format!("{} FLOPs", Flops(total))),
    ];
    let lowest = conclusions::lowest_loss(input);
    if let Some((loss, error)) = lowest {
        let error = error.map_or_else(String::new, |se| format!(" ± {se:.4}"));
        facts.push(("lowest loss", format!("{loss:.4}{error} nats per token")));
    }
    if let Some((entropy, error)) = input.entropy.filter(|(entropy, _)| entropy.is_finite()) {
        facts.push(("true entropy of the language", format!("{entropy:.4} ± {error:.4} nats per token")));
        if let Some((loss, _)) = lowest {
            facts.push(("lowest loss above the entropy", format!("{:.4} nats per token", loss - entropy)));
        }
    }
    facts
}
