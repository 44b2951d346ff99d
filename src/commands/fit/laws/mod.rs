//! `runner fit --law`: one file a law. Each says which flags it takes beside those of every law, how it reads a table and fits
//! it, how its numbers are told, and how they are drawn.
//!
//! A new law is its name in [`crate::fit::named::Law`], its file here, and its line in [`asked()`]. Mathematics of more than a
//! few lines goes below [`crate::fit::laws`].

mod asked;
mod composition;
mod contrast;
mod critical_batch;
mod curve;
mod draw;
mod emergence;
mod gradient_noise;
mod kaplan;
mod kaplan_steps;
mod measured;
mod optimum;
mod pruning;
mod rank;
mod repetition;
mod tuning;
mod written;

use anyhow::bail;

use self::asked::{Asked, Reading};
use super::fit_of_rows::FitOfRows;
use super::request::Request;
use crate::fit::named::Law;
use crate::fit::table::resample::Resample;
use crate::report::Figure;

/// The law of a name; without one, the formula of the request.
fn asked(law: Option<Law>) -> Asked {
    match law {
        Some(Law::Params) => curve::PARAMS,
        Some(Law::Tokens) => curve::TOKENS,
        Some(Law::Flops) => curve::FLOPS,
        Some(Law::Kaplan) => kaplan::LAW,
        Some(Law::KaplanSteps) => kaplan_steps::LAW,
        Some(Law::Repetition) => repetition::LAW,
        Some(Law::CriticalBatch) => critical_batch::LAW,
        Some(Law::GradientNoise) => gradient_noise::LAW,
        Some(Law::Tuning) => tuning::LAW,
        Some(Law::Pruning) => pruning::LAW,
        Some(Law::Contrast) => contrast::LAW,
        Some(Law::Optimum) => optimum::LAW,
        Some(Law::Rank) => rank::LAW,
        Some(Law::Emergence) => emergence::LAW,
        Some(Law::Composition) => composition::LAW,
        // Of the others a formula is all that there is to say.
        _ => written::LAW,
    }
}

/// Fits the law of a request to each group of rows.
pub(super) fn run(request: &Request) -> anyhow::Result<Vec<FitOfRows>> {
    read(request)?()
}

/// Reads the table of a request as its law does. Nothing is fitted.
pub(super) fn foresee(request: &Request) -> anyhow::Result<()> {
    read(request).map(drop)
}

/// The figures of the fits of a law.
pub(in crate::commands) fn figures(law: Option<Law>, told: &[FitOfRows]) -> Vec<Figure> {
    let drawn: Vec<&FitOfRows> = told.iter().filter(|one| !one.points.is_empty()).collect();
    if drawn.is_empty() { Vec::new() } else { (asked(law).draw)(&drawn) }
}

fn read<'a>(request: &'a Request<'a>) -> anyhow::Result<Reading<'a>> {
    let asked = asked(request.args.law);
    if let Some(law) = request.args.law.filter(|law| !law.is_formula()) {
        refuse(request, law, asked.takes)?;
    }
    (asked.read)(request)
}

/// Flags that the law would ignore.
fn refuse(request: &Request, law: Law, takes: &[&str]) -> anyhow::Result<()> {
    let args = request.args;
    let given = [
        ("--against", args.against.is_some()),
        ("--target-loss", !args.target_loss.is_empty()),
        ("--resample budgets", request.args.resample == Resample::Budgets),
        ("--budget-tolerance", args.budget_tolerance.is_some()),
        ("--tokens-from-flops", args.tokens_from_flops),
        ("--starts", !args.starts.is_empty()),
        ("--delta", args.delta.is_some()),
        ("--critical-batch", !args.critical_batch.is_empty()),
    ];
    match given.into_iter().find(|(flag, given)| *given && !takes.contains(flag)) {
        Some((flag, _)) => bail!("{flag} means nothing with --law {}: leave it out", law.name()),
        None => Ok(()),
    }
}
