//! Which of several laws predicts the most expensive runs best, where the choice itself is checked: the same choice made
//! without these runs is judged by them.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{HeldOut, Options, enough, error_on, residuals, split_by_cost, unit};
use crate::fit::formula::{self, Data, Law};
use crate::fit::numerics::residuals::{Residuals, aicc};

/// A law that takes part.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// How it is called.
    pub name: String,
    /// The law.
    pub law: Law,
}

/// A law among others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ranked {
    /// How it is called.
    pub name: String,
    /// Its formula.
    pub formula: String,
    /// The columns that it needs.
    pub columns: Vec<String>,
    /// Number of unknowns.
    pub unknowns: usize,
    /// Its numbers, fitted to all rows; none where it could not be fitted.
    pub values: Vec<f64>,
    /// Root of the mean squared residual of all rows.
    pub rms: Option<f64>,
    /// `AICc` on all rows.
    pub aicc: Option<f64>,
    /// What it says of the most expensive rows, fitted to the others.
    pub held_out: Option<HeldOut>,
    /// Its error on the most expensive of these others, fitted without them, by which the nested choice is made.
    pub inner: Option<f64>,
    /// Whether the solver came to rest in each of these fits; another number of starts may end elsewhere where it did not.
    #[serde(default = "yes")]
    pub at_rest: bool,
    /// Why it could not be fitted.
    pub failure: Option<String>,
}

/// Of rankings that were written before it was told.
fn yes() -> bool {
    true
}

/// Laws, the best first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ranking {
    /// By their error on the most expensive rows; by `AICc` where costs are not known; those that failed last.
    pub laws: Vec<Ranked>,
    /// The law that the same choice would have taken without the most expensive rows, and its error on them.
    pub nested: Option<(String, f64)>,
    /// Error of the mean of the other rows on the most expensive ones: a law that misses them by as much tells nothing.
    #[serde(default)]
    pub mean: Option<f64>,
    /// Why the first wins, and how far it may be trusted.
    pub conclusion: String,
}

/// Two errors within this factor of each other are the same.
const CLOSE: f64 = 1.1;

/// Fits every law three times: to all rows, without the most expensive, and without the most expensive of the rest too. The first
/// may have options of its own.
pub fn rank(candidates: &[Candidate], data: &Data, first: &Options, others: &Options) -> Ranking {
    let outer = split_by_cost(data);
    let inside = outer.as_ref().map(|(seen, _)| data.select(seen));
    let inner = inside.as_ref().and_then(split_by_cost);
    let error = |law: &Law, all: &Data, split: &Option<(Vec<usize>, Vec<usize>)>, options: &Options| {
        let (seen, held) = split.as_ref()?;
        let cheap = all.select(seen);
        let (values, at_rest) = values(law, &cheap, options).ok()?;
        let error = error_on(law, &cheap, &all.select(held), &values).filter(|error| error.rms.is_finite())?;
        Some((error, at_rest))
    };
    let of = |(place, candidate): (usize, &Candidate)| {
        let law = &candidate.law;
        let options = if place == 0 { first } else { others };
        let fitted = values(law, data, options);
        let quality = fitted.as_ref().ok().and_then(|(values, _)| quality(law, data, options, values));
        let without = error(law, data, &outer, options);
        let within = inside.as_ref().and_then(|inside| error(law, inside, &inner, options));
        let resting = [without, within].into_iter().flatten().all(|(_, at_rest)| at_rest);
        Ranked {
            name: candidate.name.clone(),
            formula: law.formula.clone(),
            columns: law.columns.clone(),
            unknowns: law.bind(data).map_or(law.unknowns.len(), |bound| bound.numbers.len()),
            rms: quality.map(|(residuals, _)| residuals.rms),
            aicc: quality.map(|(_, aicc)| aicc),
            held_out: without.map(|(error, _)| error),
            inner: within.map(|(error, _)| error.rms),
            at_rest: resting && fitted.as_ref().is_ok_and(|(_, at_rest)| *at_rest),
            failure: fitted.as_ref().err().cloned(),
            values: fitted.map(|(values, _)| values).unwrap_or_default(),
        }
    };
    let mut laws: Vec<Ranked> = candidates.par_iter().enumerate().map(of).collect();
    let by_error = laws.iter().any(|law| law.held_out.is_some());
    let score = |law: &Ranked| {
        let score = if by_error { law.held_out.map(|held_out| held_out.rms) } else { law.aicc };
        score.unwrap_or(f64::INFINITY)
    };
    laws.sort_by(|a, b| score(a).total_cmp(&score(b)));
    let inner_choice = laws
        .iter()
        .filter(|law| law.inner.is_some())
        .min_by(|a, b| a.inner.partial_cmp(&b.inner).unwrap_or(std::cmp::Ordering::Equal));
    let nested = inner_choice.and_then(|law| Some((law.name.clone(), law.held_out?.rms)));
    let unit = candidates.first().map_or("", |one| unit(&one.law));
    let mean = outer.as_ref().map(|(seen, held)| error_of_mean(&data.select(seen).loss, &data.select(held).loss));
    let conclusion = conclude(&laws, nested.as_ref(), mean, unit);
    Ranking { laws, nested, mean, conclusion }
}

/// Root of the mean squared error of the mean of some losses on others.
fn error_of_mean(seen: &[f64], held: &[f64]) -> f64 {
    let mean = |of: &[f64]| of.iter().sum::<f64>() / of.len() as f64;
    let expected = mean(seen);
    mean(&held.iter().map(|loss| (loss - expected).powi(2)).collect::<Vec<f64>>()).sqrt()
}

/// Its numbers, and whether the solver came to rest.
fn values(law: &Law, data: &Data, options: &Options) -> Result<(Vec<f64>, bool), String> {
    let bound = law.bind(data).map_err(|error| error.what)?;
    enough(law, &bound).map_err(|error| error.what)?;
    let seed = options.bootstrap.seed;
    // It would be one of the other laws with another name.
    if let Some(untold) = formula::untold(&bound, data, seed).first() {
        return Err(format!("no row tells {}", bound.numbers[*untold].label));
    }
    let found = formula::solve(&bound, data, options.measure, options.starts, seed);
    found
        .map(|found| (found.values, found.converged))
        .ok_or_else(|| formula::nowhere(&bound, data, options.measure, seed).what)
}

fn quality(law: &Law, data: &Data, options: &Options, values: &[f64]) -> Option<(Residuals, f64)> {
    let bound = law.bind(data).ok()?;
    let residuals = residuals(&bound, options.measure, values);
    Some((residuals, aicc(residuals.rms, data.len(), values.len())))
}

fn conclude(laws: &[Ranked], nested: Option<&(String, f64)>, mean: Option<f64>, unit: &str) -> String {
    let Some(first) = laws.first().filter(|law| law.rms.is_some()) else {
        return "No law could be fitted.".to_owned();
    };
    let Some(HeldOut { rows, factor, rms, .. }) = first.held_out else {
        return format!(
            "{} has the least AICc. The table tells no cost, so that nothing could be held out: how it extrapolates is not known.",
            first.name
        );
    };
    if let Some(mean) = mean.filter(|mean| *mean < CLOSE * rms) {
        return format!(
            "No law wins: the mean of the other rows misses the {rows} most expensive ones by {mean:.4}{unit}, and {}, the best \
             law, by {rms:.4}. These columns do not tell how the loss goes on.",
            first.name
        );
    }
    let next = laws.get(1).and_then(|next| Some((next, next.held_out?.rms)));
    let why = match next {
        Some((next, other)) if other < CLOSE * rms => {
            format!("{}, the next, misses them by {other:.4}, which is no difference", next.name)
        }
        Some((next, other)) => format!("{}, the next, misses them by {other:.4}", next.name),
        None => "no other law could be fitted".to_owned(),
    };
    let trust = match nested {
        Some((name, error)) if *name == first.name => format!(
            "The same choice made without these rows would have been the same: trust it to about {error:.4}{unit} at {factor:.3} \
             times the cost of what it was fitted to, and no further."
        ),
        Some((name, error)) => format!(
            "The same choice made without these rows would have taken {name} and missed them by {error:.4}: that is what to \
             expect of a choice from such rows, at {factor:.3} times their cost."
        ),
        None => "There are too few rows to check the choice itself.".to_owned(),
    };
    let restless = if first.at_rest {
        String::new()
    } else {
        format!(
            " But the solver did not come to rest in a fit of {}, so another --multistart or --seed may tell otherwise.",
            first.name
        )
    };
    format!(
        "{} wins: fitted without the {rows} most expensive rows it misses them by {rms:.4}{unit}; {why}. {trust}{restless}",
        first.name
    )
}
