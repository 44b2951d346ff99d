//! What every law but the surface says in the same words, and how those with a few unknowns are fitted: least squares
//! in log loss from several starts, intervals from resampled rows, a status and a sentence.

use serde::{Deserialize, Serialize};

use crate::fit::estimate::too_many_lost;
use crate::fit::numerics::bootstrap::Bootstrap;
use crate::fit::numerics::least_squares::{Row, best_of, least_squares};
use crate::fit::numerics::residuals::Residuals;
use crate::fit::table::resample::Units;
use crate::fit::{Estimate, Status};

/// A number of a fitted law.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Parameter {
    /// Its name in the formula.
    pub name: String,
    /// What it is, with its unit.
    pub meaning: String,
    /// Value with its 95% interval.
    #[serde(flatten)]
    pub estimate: Estimate,
}

impl Parameter {
    /// A number with its name and what it is.
    pub fn new(name: &str, meaning: &str, estimate: Estimate) -> Self {
        Self { name: name.to_owned(), meaning: meaning.to_owned(), estimate }
    }
}

/// A fitted law.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LawFit {
    /// Its formula.
    pub formula: String,
    /// Whether the numbers may be used.
    pub status: Status,
    /// Rows used.
    pub points: usize,
    /// Its numbers; none where there are too few rows.
    pub parameters: Vec<Parameter>,
    /// Residuals in the logarithm of what was fitted.
    pub residuals: Option<Residuals>,
    /// What was drawn with replacement for the intervals, which are 95% percentiles.
    pub resampled: String,
    /// What may be concluded, in a sentence.
    pub conclusion: String,
}

impl LawFit {
    /// A law that these rows cannot give.
    pub(super) fn without_numbers(law: &str, status: Status, points: usize, conclusion: &str) -> Self {
        Self {
            formula: law.to_owned(),
            status,
            points,
            parameters: Vec::new(),
            residuals: None,
            resampled: "runs".to_owned(),
            conclusion: conclusion.to_owned(),
        }
    }

    /// A number by its name.
    pub fn get(&self, name: &str) -> Option<Estimate> {
        self.parameters.iter().find(|parameter| parameter.name == name).map(|parameter| parameter.estimate)
    }
}

/// A law of P unknowns over rows of type T.
pub(super) struct Recipe<'a, T, const P: usize> {
    pub(super) law: &'static str,
    /// Residual in the logarithm, and its derivatives, of a row.
    pub(super) row: fn(&T, &[f64; P]) -> Row<P>,
    pub(super) starts: Vec<[f64; P]>,
    /// Name and meaning of each number that is reported, in the order of `read`.
    pub(super) numbers: [(&'static str, &'static str); P],
    /// The numbers from the unknowns.
    pub(super) read: fn(&[f64; P]) -> [f64; P],
    pub(super) rows: &'a [T],
    pub(super) units: &'a Units,
}

impl<T: Clone + Sync, const P: usize> Recipe<'_, T, P> {
    /// The law with intervals; every number must be positive to be usable. `conclude` gives the sentence where it is
    /// identified, by these and the unknowns.
    pub(super) fn fit(&self, bootstrap: &Bootstrap, conclude: impl Fn(&[Estimate; P], &[f64; P]) -> String) -> LawFit {
        let rows = |rows: &[T], u: &[f64; P]| rows.iter().map(|row| (self.row)(row, u)).collect::<Vec<_>>();
        let Some(best) = best_of(|u| rows(self.rows, u), self.starts.iter().copied(), 500) else {
            let sentence = "Not identified: the fit failed from every starting point.";
            return LawFit::without_numbers(self.law, Status::NotIdentified, self.rows.len(), sentence);
        };
        let usable = |numbers: &[f64; P]| numbers.iter().all(|x| x.is_finite() && *x > 0.0);
        let value = (self.read)(&best.x);
        let draws: Vec<[f64; P]> = bootstrap
            .draws(|rng| {
                let drawn: Vec<T> = self.units.draw(rng).map(|i| self.rows[i].clone()).collect();
                (self.read)(&least_squares(|u| rows(&drawn, u), best.x, 100).x)
            })
            .into_iter()
            .filter(usable)
            .collect();
        let lost = too_many_lost(bootstrap.resamples - draws.len(), bootstrap.resamples);
        let status = match () {
            () if !usable(&value) || lost => Status::NotIdentified,
            () if !best.converged => Status::BoundHit,
            () => Status::Converged,
        };
        let estimates: [Estimate; P] =
            std::array::from_fn(|k| Estimate::from_draws(value[k], draws.iter().map(|draw| draw[k])));
        let named = self.numbers.iter().zip(&estimates);
        LawFit {
            formula: self.law.to_owned(),
            status,
            points: self.rows.len(),
            parameters: named.map(|((name, meaning), estimate)| Parameter::new(name, meaning, *estimate)).collect(),
            residuals: Some(Residuals::of(rows(self.rows, &best.x).iter().map(|(r, _)| *r))),
            resampled: self.units.resample.name().to_owned(),
            conclusion: match status {
                Status::Converged => conclude(&estimates, &best.x),
                Status::BoundHit => {
                    format!("{} But the solver did not converge.", conclude(&estimates, &best.x))
                }
                _ => {
                    "Not identified: too many resamples have no such law, so these numbers are not reliable.".to_owned()
                }
            },
        }
    }
}

/// A value and its interval in words, for numbers of any size.
pub(super) fn large(estimate: Estimate) -> String {
    format!("{:.3e} ({:.2e} to {:.2e})", estimate.value, estimate.low, estimate.high)
}
