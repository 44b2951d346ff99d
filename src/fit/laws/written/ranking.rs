//! Which of several laws predicts the most expensive runs best, where the choice itself is checked: the same choice made
//! without these runs is judged by them.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{HeldOut, Options, enough, errors_on, residuals, split_by_cost, unit};
use crate::fit::formula::{self, Data, Law};
use crate::fit::numerics::averages::{mean, root_mean_square};
use crate::fit::numerics::chance::{beyond_f, student};
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
    /// Those that the most expensive rows do not tell apart from the best by `AICc`, then the others by their error there; by
    /// `AICc` where costs are not known; those that failed last.
    pub laws: Vec<Ranked>,
    /// The law that the same choice would have taken without the most expensive rows, and its error on them.
    pub nested: Option<(String, f64)>,
    /// Error of the mean of the other rows on the most expensive ones: a law that misses them by as much tells nothing.
    #[serde(default)]
    pub mean: Option<f64>,
    /// Why the first wins, and how far it may be trusted.
    pub conclusion: String,
}

/// A law whose error is within this factor of that of the mean tells nothing.
const CLOSE: f64 = 1.1;

/// What a law that was fitted to the cheaper rows says of the others.
struct Forecast {
    /// Squared errors, row by row.
    squares: Vec<f64>,
    error: HeldOut,
    /// `AICc` on the cheaper rows.
    aicc: f64,
    at_rest: bool,
}

impl Forecast {
    fn of(law: &Law, all: &Data, split: Option<&(Vec<usize>, Vec<usize>)>, options: &Options) -> Option<Self> {
        let (seen, held) = split?;
        let (cheap, dear) = (all.select(seen), all.select(held));
        let (values, at_rest) = values(law, &cheap, options).ok()?;
        let errors = errors_on(law, &dear, &values)?;
        let error = HeldOut::of(&errors, &cheap, &dear).filter(|error| error.rms.is_finite())?;
        let (_, aicc) = quality(law, &cheap, options, &values)?;
        Some(Self { squares: errors.iter().map(|error| error * error).collect(), error, aicc, at_rest })
    }
}

/// The order of some laws, each with its squared errors on the same rows and `AICc`. Returned too is how many of the first the rows
/// do not tell apart: these come by `AICc`, the others by their errors, those without errors last.
fn order(laws: &[Option<(&[f64], f64)>]) -> (Vec<usize>, usize) {
    let total = |k: &usize| laws[*k].map_or(f64::INFINITY, |(squares, _)| squares.iter().sum());
    let mut order: Vec<usize> = (0..laws.len()).collect();
    order.sort_by(|a, b| total(a).total_cmp(&total(b)));
    let Some((least, _)) = order.first().and_then(|first| laws[*first]) else { return (order, 0) };
    let is_near = |k: &usize| laws[*k].is_some_and(|(squares, _)| !is_worse(squares, least));
    let (mut near, far): (Vec<usize>, Vec<usize>) = order.into_iter().partition(is_near);
    let aicc = |k: &usize| laws[*k].map_or(f64::INFINITY, |(_, aicc)| aicc);
    near.sort_by(|a, b| aicc(a).total_cmp(&aicc(b)));
    let count = near.len();
    near.extend(far);
    (near, count)
}

/// Whether squared errors are larger than the least ones on the same rows by more than chance: Student's t of their differences
/// (Diebold and Mariano 1995), or where rows are too few for that the ratio of their sums, at 2.5% each.
fn is_worse(squares: &[f64], least: &[f64]) -> bool {
    let sum = |squares: &[f64]| squares.iter().sum::<f64>();
    if beyond_f(sum(squares) / sum(least), squares.len(), least.len()) < 0.025 {
        return true;
    }
    let differences: Vec<f64> = squares.iter().zip(least).map(|(a, b)| a - b).collect();
    let (n, mean) = (differences.len() as f64, mean(&differences));
    let variance = differences.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0);
    mean > student(differences.len().saturating_sub(1)) * (variance / n).sqrt()
}

/// Fits every law three times: to all rows, without the most expensive, and without the most expensive of the rest too. The first
/// may have options of its own.
pub fn rank(candidates: &[Candidate], data: &Data, first: &Options, others: &Options) -> Ranking {
    let outer = split_by_cost(data);
    let inside = outer.as_ref().map(|(seen, _)| data.select(seen));
    let inner = inside.as_ref().and_then(split_by_cost);
    let of = |(place, candidate): (usize, &Candidate)| {
        let law = &candidate.law;
        let options = if place == 0 { first } else { others };
        let without = Forecast::of(law, data, outer.as_ref(), options);
        let within = inside.as_ref().and_then(|inside| Forecast::of(law, inside, inner.as_ref(), options));
        (ranked(candidate, data, options, [without.as_ref(), within.as_ref()]), without, within)
    };
    let all: Vec<(Ranked, Option<Forecast>, Option<Forecast>)> = candidates.par_iter().enumerate().map(of).collect();
    let aicc = |law: &Ranked| law.aicc.unwrap_or(f64::INFINITY);
    let by_error = all.iter().any(|(_, without, _)| without.is_some());
    let outer_scores = all.iter().map(|(law, without, _)| match without {
        Some(without) => Some((&without.squares[..], aicc(law))),
        // Without costs no row is held out, and the criterion alone decides.
        None => (!by_error && law.aicc.is_some()).then_some((&[][..], aicc(law))),
    });
    let inner_scores = all.iter().map(|(_, without, within)| {
        within.as_ref().zip(without.as_ref()).map(|(within, without)| (&within.squares[..], without.aicc))
    });
    let (places, near) = order(&outer_scores.collect::<Vec<_>>());
    let (inner_places, _) = order(&inner_scores.collect::<Vec<_>>());
    let choice = inner_places.first().map(|place| &all[*place]).filter(|(_, _, within)| within.is_some());
    let nested = choice.and_then(|(law, without, _)| Some((law.name.clone(), without.as_ref()?.error.rms)));
    let missed = places.first().and_then(|&best| errors_on(&candidates[best].law, data, &all[best].0.values));
    let scatter = missed.map_or(0.0, |errors| root_mean_square(&errors));
    let laws: Vec<Ranked> = places.into_iter().map(|place| all[place].0.clone()).collect();
    let unit = candidates.first().map_or("", |one| unit(&one.law));
    let mean = outer.as_ref().map(|(seen, held)| error_of_mean(&data.select(seen).loss, &data.select(held).loss));
    let conclusion = conclude(&laws, nested.as_ref(), &Chances { near, mean, scatter, unit });
    Ranking { laws, nested, mean, conclusion }
}

/// A law fitted to all rows, with its forecasts without the most expensive rows, and without the most expensive of the rest.
fn ranked(candidate: &Candidate, data: &Data, options: &Options, forecasts: [Option<&Forecast>; 2]) -> Ranked {
    let law = &candidate.law;
    let fitted = values(law, data, options);
    let quality = fitted.as_ref().ok().and_then(|(values, _)| quality(law, data, options, values));
    let [without, within] = forecasts;
    let is_resting = forecasts.into_iter().flatten().all(|forecast| forecast.at_rest);
    Ranked {
        name: candidate.name.clone(),
        formula: law.formula.clone(),
        columns: law.columns.clone(),
        unknowns: law.bind(data).map_or(law.unknowns.len(), |bound| bound.numbers.len()),
        rms: quality.map(|(residuals, _)| residuals.rms),
        aicc: quality.map(|(_, aicc)| aicc),
        held_out: without.map(|forecast| forecast.error),
        inner: within.map(|forecast| forecast.error.rms),
        at_rest: is_resting && fitted.as_ref().is_ok_and(|(_, at_rest)| *at_rest),
        failure: fitted.as_ref().err().cloned(),
        values: fitted.map(|(values, _)| values).unwrap_or_default(),
    }
}

/// Root of the mean squared error of the mean of some losses on others.
fn error_of_mean(seen: &[f64], held: &[f64]) -> f64 {
    let expected = mean(seen);
    root_mean_square(&held.iter().map(|loss| loss - expected).collect::<Vec<f64>>())
}

/// Its numbers, and whether the solver came to rest.
fn values(law: &Law, data: &Data, options: &Options) -> Result<(Vec<f64>, bool), String> {
    let bound = law.bind(data).map_err(|error| error.what)?;
    enough(&bound).map_err(|error| error.what)?;
    let seed = options.bootstrap.seed;
    // It would be one of the other laws with another name.
    if let Some(untold) = formula::untold(&bound, seed).first() {
        return Err(format!("no row tells {}", bound.numbers[*untold].label));
    }
    let found = formula::solve(&bound, options.measure, options.starts, seed);
    found
        .map(|found| (found.values, found.converged))
        .ok_or_else(|| formula::nowhere(&bound, options.measure, seed).what)
}

fn quality(law: &Law, data: &Data, options: &Options, values: &[f64]) -> Option<(Residuals, f64)> {
    let bound = law.bind(data).ok()?;
    let residuals = residuals(&bound, options.measure, values);
    Some((residuals, aicc(residuals.rms, data.len(), values.len())))
}

/// What chance may do to a ranking.
struct Chances<'a> {
    /// How many of the first laws the rows held out do not tell apart.
    near: usize,
    /// Error of the mean of the other rows.
    mean: Option<f64>,
    /// How far single rows lie from the first law.
    scatter: f64,
    /// The unit of these.
    unit: &'a str,
}

fn conclude(laws: &[Ranked], nested: Option<&(String, f64)>, chances: &Chances<'_>) -> String {
    let &Chances { near, mean, scatter, unit } = chances;
    let Some(first) = laws.first().filter(|law| law.rms.is_some()) else {
        return "No law could be fitted.".to_owned();
    };
    let Some(HeldOut { rows, factor, rms, .. }) = first.held_out else {
        return format!(
            "{} has the least AICc. The table tells no cost, so that nothing could be held out: how it extrapolates is not known.",
            first.name
        );
    };
    let errors: Vec<(&str, f64)> = laws.iter().filter_map(|law| Some((&law.name[..], law.held_out?.rms))).collect();
    let (best, least) = errors.iter().min_by(|a, b| a.1.total_cmp(&b.1)).copied().unwrap_or_default();
    if let Some(mean) = mean.filter(|mean| *mean < CLOSE * least) {
        return format!(
            "No law wins: the mean of the other rows misses the {rows} most expensive ones by {mean:.4}{unit}, and {best}, the best \
             law, by {least:.4}. These columns do not tell how the loss goes on.",
        );
    }
    let result = match &errors[..] {
        [_, others @ ..] if near > 1 => {
            let others: Vec<String> =
                others[..near - 1].iter().map(|(name, error)| format!("{name} ({error:.4})")).collect();
            format!(
                "No law wins: fitted without the {rows} most expensive rows, {} misses them by {rms:.4}{unit}, and chance alone may \
                 part it from {}. Of these it has the least AICc",
                first.name,
                others.join(", ")
            )
        }
        [_, (next, other), ..] => format!(
            "{} wins: fitted without the {rows} most expensive rows it misses them by {rms:.4}{unit}; {next}, the next, misses \
             them by {other:.4}",
            first.name
        ),
        _ => format!(
            "{} wins: fitted without the {rows} most expensive rows it misses them by {rms:.4}{unit}; no other law could be fitted",
            first.name
        ),
    };
    let trust = match nested {
        Some((name, error)) if *name == first.name => format!(
            "The same choice made without these rows would have been the same: trust it to about {:.4}{unit} at {factor:.3} \
             times the cost of what it was fitted to, and no further.",
            // Few rows may be missed by less than single rows scatter.
            error.max(scatter)
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
    format!("{result}. {trust}{restless}")
}
