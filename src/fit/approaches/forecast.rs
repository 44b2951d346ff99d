//! Forecasting, which is the point of a scaling law: fit the smaller budgets, predict the largest.

use serde::{Deserialize, Serialize};

use crate::fit::approaches::approach2::Approach2;
use crate::fit::approaches::surface::Surface;
use crate::fit::table::budgets::same_budget;
use crate::observation::{Counting, Observation};

/// The largest budget as predicted from the smaller ones.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Forecast {
    /// The budget held out, in FLOPs.
    pub budget: f64,
    /// Runs held out.
    pub points: usize,
    /// Root of the mean squared error of the predicted losses, in nats, for approaches that predict losses.
    pub loss_rms: Option<f64>,
    /// Mean of predicted minus measured loss, in nats.
    pub loss_mean: Option<f64>,
    /// Predicted over measured number of compute-optimal parameters, for approaches that predict optima.
    pub n_opt_ratio: Option<f64>,
    /// Predicted over measured number of compute-optimal tokens.
    pub d_opt_ratio: Option<f64>,
}

/// The observations without the largest budget, and that budget's; nothing where fewer than three budgets are there or
/// most runs would be held out.
pub fn hold_out(observations: &[Observation]) -> Option<(Vec<Observation>, Vec<Observation>)> {
    let mut budgets: Vec<f64> = observations.iter().map(Observation::budget).collect();
    budgets.sort_by(f64::total_cmp);
    budgets.dedup_by(|next, kept| same_budget(*kept, *next));
    let largest = *budgets.last().filter(|_| budgets.len() >= 3)?;
    // Where no column names budgets, single runs are no budget: the last half decade is held out.
    let named = observations.iter().any(|run| run.flop_budget.is_some());
    let edge = if named { largest } else { largest / 10_f64.sqrt() };
    let parts: (Vec<_>, Vec<_>) = observations.iter().cloned().partition(|run| run.budget() < edge);
    (parts.0.len() > parts.1.len()).then_some(parts)
}

/// How well a surface fitted to the smaller budgets predicts the losses of the runs held out.
pub fn of_surface(surface: &Surface, held_out: &[Observation], counting: Counting) -> Option<Forecast> {
    let errors: Vec<f64> =
        held_out.iter().filter_map(|run| Some(surface.loss(run.params_by(counting)?, run.tokens) - run.loss)).collect();
    let mean = |f: &dyn Fn(f64) -> f64| errors.iter().map(|error| f(*error)).sum::<f64>() / errors.len() as f64;
    let budgets = held_out.iter().map(Observation::budget);
    (!errors.is_empty()).then(|| Forecast {
        budget: budgets.fold(f64::NEG_INFINITY, f64::max),
        points: errors.len(),
        loss_rms: Some(mean(&|error| error * error).sqrt()),
        loss_mean: Some(mean(&|error| error)),
        n_opt_ratio: None,
        d_opt_ratio: None,
    })
}

/// How well the laws of approach 2, fitted to the smaller budgets, predict the optimum that was found with all.
pub fn of_optima(smaller: &Approach2, all: &Approach2) -> Option<Forecast> {
    let largest = all.optima.last()?;
    let (params, tokens) = (largest.params?, largest.tokens?);
    let (n_opt, d_opt) = (smaller.n_opt?, smaller.d_opt?);
    let predict = |coefficient: f64, exponent: f64| coefficient * largest.budget.powf(exponent);
    Some(Forecast {
        budget: largest.budget,
        points: largest.points,
        loss_rms: None,
        loss_mean: None,
        n_opt_ratio: Some(predict(n_opt.coefficient, n_opt.exponent.value) / params.value),
        d_opt_ratio: Some(predict(d_opt.coefficient, d_opt.exponent.value) / tokens.value),
    })
}
