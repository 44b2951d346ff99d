//! Which form of a law of one variable the data prefer.

use serde::{Deserialize, Serialize};

use crate::fit::Status;
use crate::fit::laws::power::{Form, Law, fit};
use crate::fit::numerics::bootstrap::Bootstrap;
use crate::fit::numerics::chance::widening;
use crate::fit::numerics::regress::distinct;

/// Rows above which every second, third, ... in the order of x is taken.
pub const MOST: usize = 1000;

/// Rows below which criterion and forecast have to agree: a quarter of fewer is one row.
const FEW: usize = 8;

/// Different values up to which resamples of rows scatter less than they should, for a law of two unknowns.
const NARROW: usize = 8;
/// In how many of 100 simulated tables of five to eight rows the interval held the exponent (docs/log.md, 2026-11-30).
const HELD: usize = 89;

/// By what intervals of the pure law are too narrow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Narrow {
    /// Different values of the variable.
    pub values: usize,
    /// In how many of 100 tables they hold the truth.
    pub held: usize,
    /// How much wider they would hold it in 95: Student's quantile over the normal one.
    pub wider: f64,
}

/// The forms that could be fitted, and which one is preferred.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Selection {
    /// Whether there is a law to use: the status of the preferred form.
    pub status: Status,
    /// Rows used.
    pub points: usize,
    /// Different values of the variable among them.
    #[serde(skip)]
    pub values: usize,
    /// One law for each form that has enough points.
    pub laws: Vec<Law>,
    /// The simplest form that is not clearly worse than the least `AICc`; none where fewer than two have one to compare, as the
    /// conclusion says.
    pub by_criterion: Option<Form>,
    /// The form that predicts the quarter of largest x best; none where fewer than two can.
    pub by_forecast: Option<Form>,
    /// What was drawn with replacement for the intervals, which are 95% percentiles.
    pub resampled: String,
    /// What may be concluded, in a sentence.
    pub conclusion: String,
}

impl Selection {
    /// Whether the intervals of the pure law are too narrow, because rows are few. More unknowns make them wide rather than narrow.
    pub fn narrow(&self) -> Option<Narrow> {
        let has_pure = self.laws.iter().any(|law| law.curve.form == Form::Pure);
        let of = |freedom| Narrow { values: self.values, held: HELD, wider: widening(freedom) };
        self.values.checked_sub(2).filter(|_| has_pure && self.values <= NARROW).map(of)
    }

    /// The law that the criterion prefers, or the simplest where it prefers none.
    pub fn preferred(&self) -> Option<&Law> {
        self.laws.iter().find(|law| self.by_criterion.is_none_or(|form| law.curve.form == form))
    }
}

/// Fits every form and compares them. It never fails: what the data do not decide is a status.
pub fn select(x: &[f64], y: &[f64], bootstrap: &Bootstrap) -> Selection {
    let mut rows: Vec<[f64; 2]> = x.iter().zip(y).map(|(x, y)| [*x, *y]).collect();
    rows.sort_by(|a, b| a[0].total_cmp(&b[0]).then(a[1].total_cmp(&b[1])));
    let rows: Vec<[f64; 2]> = rows.iter().step_by(rows.len().div_ceil(MOST).max(1)).copied().collect();
    let (x, y): (Vec<f64>, Vec<f64>) = rows.iter().map(|[x, y]| (*x, *y)).unzip();
    let values = distinct(x.iter().copied());
    let refuse = |status, sentence: &str| Selection {
        status,
        points: rows.len(),
        values,
        laws: Vec::new(),
        by_criterion: None,
        by_forecast: None,
        resampled: "runs".to_owned(),
        conclusion: sentence.to_owned(),
    };
    if distinct(y.iter().copied()) < 2 && rows.len() > 1 {
        return refuse(Status::NotIdentified, "Not identified: all losses are equal.");
    }
    let laws: Vec<Law> = Form::ALL.into_iter().filter_map(|form| fit(&x, &y, form, bootstrap)).collect();
    let Some(best) = laws.iter().min_by(|a, b| a.aicc.total_cmp(&b.aicc)) else {
        return refuse(
            Status::TooFewPoints,
            "A law of one variable needs runs with at least 4 different values of the variable.",
        );
    };
    // Where the criterion has no value there are too few rows to charge a form for its unknowns.
    let judged = laws.iter().filter(|law| law.aicc.is_finite()).count();
    let with_forecast = laws.iter().filter_map(|law| Some((law.curve.form, law.held_out?)));
    let by_forecast = with_forecast.clone().min_by(|a, b| a.1.total_cmp(&b.1)).map(|(form, _)| form);
    let by_forecast = by_forecast.filter(|_| with_forecast.count() >= 2);
    // The simplest law that is not clearly worse: a difference of 2 in AICc decides nothing (Burnham and Anderson).
    let preferred = laws.iter().find(|law| law.aicc <= best.aicc + 2.0).unwrap_or(best);
    let status = match by_forecast {
        Some(form) if form != preferred.curve.form && rows.len() < FEW => Status::NotIdentified,
        _ if judged < 2 => Status::TooFewPoints,
        _ => preferred.status,
    };
    let conclusion = if judged < 2 { too_few(preferred, values) } else { conclusion(preferred, by_forecast) };
    Selection {
        status,
        points: rows.len(),
        values,
        by_criterion: Some(preferred.curve.form).filter(|_| judged >= 2),
        by_forecast,
        resampled: "runs".to_owned(),
        conclusion,
        laws,
    }
}

fn too_few(preferred: &Law, values: usize) -> String {
    format!(
        "Runs of {values} different values are too few to tell which form the law has: with 6 the {} law can be compared with one that has an irreducible \
         loss.",
        preferred.curve.form.name()
    )
}

fn conclusion(preferred: &Law, by_forecast: Option<Form>) -> String {
    let name = preferred.curve.form.name();
    let choice = match by_forecast {
        Some(form) if form == preferred.curve.form => {
            format!("Both the information criterion and the forecast prefer the {name} law.")
        }
        Some(form) => format!(
            "The data do not decide: the information criterion prefers the {name} law, the forecast the {} law.",
            form.name()
        ),
        None => format!("The information criterion prefers the {name} law; there are too few points for a forecast."),
    };
    let caution = match preferred.status {
        Status::NotIdentified => " But it is not identified: in too many resamples the loss does not fall.",
        Status::EdgeMinimum => " But a break is outside the range of the data.",
        Status::BoundHit => " But its irreducible loss is zero: the data do not determine it.",
        Status::Converged | Status::TooFewPoints => "",
    };
    choice + caution
}
