//! What a spec asks by `[fit]`: of the table of its runs, and of that table as it will be before they are trained.

use std::ffi::OsStr;
use std::path::Path;

use clap::{Args as _, FromArgMatches as _};

use super::fit_of_rows::FitOfRows;
use super::{laws, request};
use crate::cli::FitArgs;
use crate::columns::{self, AXIS};
use crate::fit::formula::{COST, FormulaError};
use crate::fit::table::named;
use crate::spec::Fit;

/// The flags of this command as they are where nothing is given.
pub(super) fn defaults(runs: &Path) -> anyhow::Result<FitArgs> {
    let command = FitArgs::augment_args(clap::Command::new("fit"));
    Ok(FitArgs::from_arg_matches(&command.get_matches_from([OsStr::new("fit"), runs.as_os_str()]))?)
}

/// What a spec asks of the table of its runs: the same as by the flags of this command.
pub(in crate::commands) fn ask(runs: &Path, asked: &Fit, resamples: usize) -> anyhow::Result<Vec<FitOfRows>> {
    let args = FitArgs { bootstrap: resamples as u32, ..flags(runs, asked)? };
    laws::run(&request(&args)?)
}

/// A question that a table cannot answer.
pub(in crate::commands) struct Refused {
    /// The key of the spec that asks it.
    pub(in crate::commands) key: &'static str,
    /// What is wrong.
    pub(in crate::commands) problem: String,
}

/// Reads a table as far as the fit needs it that a spec asks for. Nothing is fitted.
pub(in crate::commands) fn foresee(runs: &Path, asked: &Fit) -> anyhow::Result<Result<(), Refused>> {
    let args = flags(runs, asked)?;
    let Err(error) = laws::foresee(&request(&args)?) else { return Ok(Ok(())) };
    let alone = if asked.formula.is_some() { "fit.formula" } else { "fit.law" };
    let (key, problem) = match error.downcast::<FormulaError>() {
        Ok(error) if error.formula.starts_with(COST) => ("fit.cost", as_written(error).to_string()),
        Ok(error) if error.what.starts_with("--unknown") => ("fit.unknown", as_written(error).to_string()),
        Ok(error) => (alone, as_written(error).to_string()),
        Err(error) => (alone, format!("{error:#}")),
    };
    Ok(Err(Refused { key, problem: in_words_of_a_spec(&problem) }))
}

/// The flags that say what a spec asks.
fn flags(runs: &Path, asked: &Fit) -> anyhow::Result<FitArgs> {
    let Fit {
        law,
        formula,
        unknown,
        by,
        tuned,
        target_loss,
        residuals,
        objective,
        delta,
        overestimates,
        multistart,
        cost,
    } = asked;
    // A field that was varied has a column of this name; others have their own.
    let headers = named::headers(runs)?;
    let varied = |column: &String| headers.contains(column);
    let column = |field: &String| Some(columns::axis(field)).filter(varied).unwrap_or_else(|| field.clone());
    let mut args = defaults(runs)?;
    if let Some(formula) = formula {
        let is_axis = |name: &str| varied(&columns::axis(name));
        let mut text = formula.clone();
        // From the last one, so that the places of the others stay.
        for (at, _) in indices(formula).into_iter().rev().filter(|(_, name)| is_axis(name)) {
            text.insert_str(at, AXIS);
        }
        args.formula.formula = vec![text];
    }
    args.formula.unknown.clone_from(unknown);
    args.law = *law;
    args.by = by.as_ref().map(column);
    args.tuned = tuned.iter().map(column).collect();
    args.target_loss.clone_from(target_loss);
    args.formula.residuals = residuals.unwrap_or(args.formula.residuals);
    args.formula.objective = objective.unwrap_or(args.formula.objective);
    args.delta = delta.or(args.delta);
    args.formula.overestimates = overestimates.unwrap_or(args.formula.overestimates);
    args.formula.multistart = multistart.unwrap_or(args.formula.multistart);
    args.formula.cost.clone_from(cost);
    Ok(args)
}

/// The names between the braces of a formula, without spaces and backticks, each with its place.
fn indices(formula: &str) -> Vec<(usize, &str)> {
    let edge = |c: char| c.is_whitespace() || c == '`';
    let one = |(at, _): (usize, &str)| {
        let inside = formula[at + 1..].split('}').next().unwrap_or_default();
        let begin = inside.len() - inside.trim_start_matches(edge).len();
        (at + 1 + begin, inside.trim_matches(edge))
    };
    formula.match_indices('{').map(one).collect()
}

/// An error in the formula as the spec has it: there an axis is an index without what begins the name of its column.
fn as_written(error: FormulaError) -> FormulaError {
    let FormulaError { mut formula, place, what } = error;
    let added: Vec<usize> =
        indices(&formula).into_iter().filter(|(_, name)| name.starts_with(AXIS)).map(|(at, _)| at).collect();
    let before = |end: usize| added.iter().filter(|at| **at < end).count() * AXIS.len();
    let place = place.start - before(place.start)..place.end - before(place.end);
    added.iter().rev().for_each(|at| formula.replace_range(*at..*at + AXIS.len(), ""));
    FormulaError { formula, place, what: what.replace(&format!("'{AXIS}"), "'") }
}

/// A sentence that advises flags, with the keys that a spec has for them.
pub(in crate::commands) fn in_words_of_a_spec(text: &str) -> String {
    const KEYS: [(&str, &str); 5] = [
        ("fit --residuals plain", "write fit.residuals = \"plain\""),
        ("--unknown", "fit.unknown"),
        ("--law", "fit.law"),
        ("--tuned", "fit.tuned"),
        ("--by", "fit.by"),
    ];
    KEYS.iter().fold(text.to_owned(), |text, (flag, key)| text.replace(flag, key))
}
