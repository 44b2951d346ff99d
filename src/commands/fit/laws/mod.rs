//! `runner fit --law`: one file a law. Each says which flags it takes beside those of every law, how it reads a table and fits
//! it, how its numbers are told, and how they are drawn.
//!
//! A new law is its name in [`crate::fit::named::Law`], its file here, and its line in [`asked`]. Mathematics of more than a
//! few lines goes below [`crate::fit::laws`].

mod composition;
mod contrast;
mod critical_batch;
mod curve;
mod draw;
mod emergence;
mod finding;
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

pub(super) use self::finding::{Finding, IN_LOGARITHM, PLAIN, law};
pub(super) use self::written::ranking;
use super::request::Request;
use super::rows::{Group, groups};
use super::told::Told;
use crate::fit::named::{Dot, Law};
use crate::fit::table::budgets::Resample;
use crate::fit::table::{self, Field};
use crate::report::Figure;

/// What is asked by the name of a law.
#[derive(Clone, Copy)]
struct Asked {
    /// The flags that it takes beside those of every law.
    takes: &'static [&'static str],
    /// Reads the table; what comes back fits it.
    read: for<'a> fn(&'a Request<'a>) -> anyhow::Result<Reading<'a>>,
    /// Draws its fits, all of which have rows that are drawn.
    draw: fn(&[&Told]) -> Vec<Figure>,
}

/// A table that was read, and how it is fitted.
type Reading<'a> = Box<dyn FnOnce() -> anyhow::Result<Vec<Told>> + 'a>;

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
pub(super) fn run(request: &Request) -> anyhow::Result<Vec<Told>> {
    read(request)?()
}

/// Reads the table of a request as its law does. Nothing is fitted.
pub(super) fn foresee(request: &Request) -> anyhow::Result<()> {
    read(request).map(drop)
}

/// The figures of the fits of a law.
pub(in crate::commands) fn figures(law: Option<Law>, told: &[Told]) -> Vec<Figure> {
    let drawn: Vec<&Told> = told.iter().filter(|one| !one.points.is_empty()).collect();
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
        ("--resample budgets", request.resample == Resample::Budgets),
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

/// Columns of plain numbers that laws share, in the order in which fits take them.
const SIZE: &[Field] = &[Field::Params];
const LENGTH: &[Field] = &[Field::Tokens];
const STEPS: &[Field] = &[Field::Steps];
const BATCH: &[Field] = &[Field::Batch];
const LOSS: &[Field] = &[Field::Loss];

/// A law over plain columns, the last of which is the loss.
struct Plain<const K: usize> {
    fields: [&'static [Field]; K],
    /// What is wrong with a row, and in which of its columns.
    check: fn(&[f64; K]) -> Option<(usize, String)>,
    fit: fn(Vec<[f64; K]>, &Request) -> Box<dyn Finding>,
    /// What is drawn of a row.
    dot: fn(&[f64; K]) -> Dot,
}

impl<const K: usize> Plain<K> {
    /// Reads the columns; each group of rows is fitted by itself.
    fn read<'a>(self, request: &'a Request<'a>) -> anyhow::Result<Reading<'a>> {
        let args = request.args;
        let table = table::numbers(&args.runs, &request.columns, self.fields, &request.table, self.check)?;
        Ok(Box::new(move || {
            let groups = groups(table, &args.runs, args.drop_highest, |row| row[K - 1])?;
            let one = |Group { name, rows, made, .. }: Group<[f64; K]>| {
                let points = rows.iter().map(self.dot).collect();
                Told::new(name, (self.fit)(rows, request), &made, points)
            };
            Ok(groups.into_iter().map(one).collect())
        }))
    }
}

/// Every row is as it should be.
fn any<const K: usize>(_: &[f64; K]) -> Option<(usize, String)> {
    None
}
