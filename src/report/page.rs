//! The page: one HTML file that needs no network and runs no script.

use askama::Template;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::figure::Figure;
use super::{ReportError, ReportInput, RunTable, chart, conclusions, optima, words};
use crate::fit::approach2::{Approach2, Optimum, PowerLaw};
use crate::fit::frontier::{BudgetSaving, Comparison};
use crate::fit::transfer::{Group, WidthOptimum};
use crate::fit::{Estimate, Status};
use crate::units::Flops;

/// The style sheet of the page, apart from that of the charts.
const STYLE: &str = include_str!("../../templates/report.css");

/// The page of a sweep.
pub fn render(input: &ReportInput<'_>, figures: &[Figure]) -> Result<String, ReportError> {
    // A browser hashes exactly what stands between the tags.
    let style = format!("{STYLE}{}", chart::STYLE);
    let page = Page {
        name: input.name,
        style_hash: STANDARD.encode(Sha256::digest(&style)),
        style,
        answer: answer(input),
        headline: input.approach2.iter().map(headline).collect(),
        facts: facts(input),
        warnings: conclusions::warnings(input),
        conclusions: conclusions::of_fits(input),
        figures: figures.iter().map(Drawing::of).collect(),
        savings: input.savings.iter().flat_map(savings).collect(),
        transfers: input.transfer.iter().flat_map(transfers).collect(),
        optima: input.approach2.iter().map(Optima::of).collect(),
        forecasts: input.approach2.iter().flat_map(forecasts).collect(),
        runs: input.runs,
        failed: input.failed,
        left_out: input.left_out,
        provenance: input.provenance,
        spec: input.spec,
        data: embed(&Data { name: input.name, figures })?,
    };
    Ok(page.render()?)
}

#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    name: &'a str,
    style: String,
    style_hash: String,
    answer: String,
    headline: Vec<Headline>,
    facts: Vec<(&'static str, String)>,
    warnings: Vec<String>,
    conclusions: Vec<(String, String)>,
    figures: Vec<Drawing<'a>>,
    savings: Vec<SavingRow>,
    transfers: Vec<TransferRow>,
    optima: Vec<Optima>,
    forecasts: Vec<[String; 3]>,
    runs: &'a RunTable,
    failed: &'a [(String, String)],
    left_out: &'a [(String, String)],
    provenance: &'a [(String, String)],
    spec: &'a str,
    data: String,
}

/// A figure in the page.
struct Drawing<'a> {
    id: &'a str,
    title: &'a str,
    note: &'a str,
    wide: String,
    narrow: String,
}

impl<'a> Drawing<'a> {
    fn of(figure: &'a Figure) -> Self {
        let [wide, narrow] = [chart::inline(figure), chart::inline_narrow(figure)];
        Self { id: &figure.id, title: &figure.title, note: &figure.note, wide, narrow }
    }
}

/// One convention in the first table. Numbers are text already; a dash stands where none may be shown.
struct Headline {
    counting: &'static str,
    status: &'static str,
    good: bool,
    ratio: String,
    n_exponent: String,
    d_exponent: String,
    budgets: String,
    points: usize,
}

/// One budget of a comparison.
struct SavingRow {
    other: String,
    budget: String,
    status: &'static str,
    good: bool,
    cells: [String; 4],
}

/// The budgets of one comparison.
fn savings(comparison: &Comparison) -> Vec<SavingRow> {
    let row = |b: &BudgetSaving| SavingRow {
        other: comparison.other.clone(),
        budget: Flops(b.budget).to_string(),
        status: words::status(b.status),
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
struct TransferRow {
    parameterization: String,
    width: String,
    status: &'static str,
    good: bool,
    cells: [String; 3],
}

/// The widths of one parameterization.
fn transfers(group: &Group) -> Vec<TransferRow> {
    let row = |width: &WidthOptimum| TransferRow {
        parameterization: group.parameterization.clone(),
        width: width.width.to_string(),
        status: words::status(width.status),
        good: width.status == Status::Converged,
        cells: [
            estimate(width.status, width.learning_rate, words::amount),
            estimate(width.status, width.loss, words::decimal),
            estimate(width.status, width.lost, words::decimal),
        ],
    };
    group.transfer.widths.iter().map(row).collect()
}

/// The optima under one convention.
struct Optima {
    counting: &'static str,
    rows: Vec<OptimumRow>,
}

struct OptimumRow {
    budget: String,
    points: usize,
    status: &'static str,
    good: bool,
    cells: [String; 4],
}

impl Optima {
    fn of(fit: &Approach2) -> Self {
        let row = |o: &Optimum| OptimumRow {
            budget: Flops(o.budget).to_string(),
            points: o.points,
            status: words::status(o.status),
            good: o.status == Status::Converged,
            cells: [
                estimate(o.status, o.params, words::amount),
                estimate(o.status, o.tokens, words::amount),
                estimate(o.status, o.tokens_per_param, words::amount),
                estimate(o.status, o.loss, words::decimal),
            ],
        };
        Self { counting: words::counting(fit.counting), rows: fit.optima.iter().map(row).collect() }
    }
}

/// The data of the figures, for whoever wants to draw them anew.
#[derive(Serialize)]
struct Data<'a> {
    name: &'a str,
    figures: &'a [Figure],
}

/// JSON that may stand in a script element: without `<` nothing in it can end the element or open a comment.
fn embed(data: &Data<'_>) -> Result<String, serde_json::Error> {
    Ok(serde_json::to_string(data)?.replace('<', "\\u003c"))
}

fn estimate(status: Status, estimate: Option<Estimate>, print: impl Fn(f64) -> String) -> String {
    words::shown(status, estimate).map_or_else(|| "–".to_owned(), |e| words::estimate(e, print))
}

/// Tokens per parameter at the largest budget trained: by the laws, where they tell.
fn at_largest(fit: &Approach2) -> Option<(f64, Estimate)> {
    let largest = fit.optima.iter().map(|o| o.budget).fold(0.0, f64::max);
    let near = |t: &f64| (t / largest - 1.0).abs() < 1e-6;
    optima::ratios(fit).into_iter().find(|t| near(&t.flops)).map(|t| (t.flops, t.ratio))
}

/// The answer in a sentence.
fn answer(input: &ReportInput<'_>) -> String {
    if !input.transfer.is_empty() {
        let verdict = |group: &Group| format!("{}: {}", group.parameterization, group.transfer.conclusion);
        let verdicts: Vec<String> = input.transfer.iter().map(verdict).collect();
        return format!("Does the best learning rate hold at other widths? {}", verdicts.join(" "));
    }
    if !input.savings.is_empty() {
        let verdicts: Vec<&str> = input.savings.iter().map(|saving| saving.conclusion.as_str()).collect();
        return verdicts.join(" ");
    }
    let Some(fit) = input.drawn() else {
        return "There is no answer yet: no fit was made.".to_owned();
    };
    match at_largest(fit) {
        Some((flops, ratio)) => format!(
            "At {} FLOPs, the largest budget trained, the compute-optimal ratio is {} tokens per parameter, 95% interval \
             in brackets, parameters counted as {}.",
            Flops(flops),
            words::estimate(ratio, words::amount),
            words::counting(fit.counting)
        ),
        None if fit.status == Status::Converged => {
            "The fit gives no ratio at the largest budget trained; see the tables below.".to_owned()
        }
        None => format!("There is no compute-optimal ratio to report: {}.", words::status(fit.status)),
    }
}

fn headline(fit: &Approach2) -> Headline {
    let exponent = |law: Option<PowerLaw>| {
        let law = optima::law(fit.status, law);
        estimate(fit.status, law.map(|l| l.exponent), words::decimal)
    };
    let found = fit.optima.iter().filter(|o| o.status == Status::Converged).count();
    Headline {
        counting: words::counting(fit.counting),
        status: words::status(fit.status),
        good: fit.status == Status::Converged,
        ratio: estimate(fit.status, at_largest(fit).map(|(_, ratio)| ratio), words::amount),
        n_exponent: exponent(fit.n_opt),
        d_exponent: exponent(fit.d_opt),
        budgets: format!("{found} of {}", fit.optima.len()),
        points: fit.points,
    }
}

/// Tokens per parameter by the laws: counting, FLOPs, ratio.
fn forecasts(fit: &Approach2) -> Vec<[String; 3]> {
    let row = |t: crate::fit::approach2::TokensPerParam| {
        let counting = words::counting(fit.counting).to_owned();
        [counting, Flops(t.flops).to_string(), words::estimate(t.ratio, words::amount)]
    };
    optima::ratios(fit).into_iter().map(row).collect()
}

/// Single numbers about the sweep.
fn facts(input: &ReportInput<'_>) -> Vec<(&'static str, String)> {
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
