//! Approach 2, IsoFLOP parabolas (Hoffmann et al. 2022, arXiv 2203.15556, section 3.2).
//!
//! For each budget a least-squares parabola of the loss in log10 of parameters, and a separate one in log10 of tokens:
//! `D_opt` is not inferred from `N_opt`, because FLOPs are 6ND only by one convention of counting. An optimum counts where
//! the parabola opens upwards and its vertex lies within the sizes trained. The logarithms of the optima are then
//! regressed on log10 of the budget, each optimum with the same weight.
//!
//! Intervals are percentiles over resamples of the losses (`curve.rs` says how). A resample whose parabola opens
//! upwards enters them wherever its vertex lies, so that intervals are not cut off at the edge of the grid; a budget
//! whose resamples lack an interior minimum too often is not identified.

pub mod akima;
pub mod bias;
mod conclusion;
mod curve;

use serde::{Deserialize, Serialize};

use super::bootstrap::Bootstrap;
use super::regress::{Design, Line};
use super::{Estimate, Status};
use crate::observation::{Counting, Observation};
use curve::{AXES, Curve, Minimum};

/// Budgets, as multiples of the largest one trained, to which tokens per parameter are extrapolated.
const BEYOND: [f64; 3] = [10.0, 100.0, 1000.0];

/// The optimum of one budget.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Optimum {
    /// The IsoFLOP budget, in FLOPs.
    pub budget: f64,
    /// Runs on the curve.
    pub points: usize,
    /// Whether the numbers below may be used; they are absent where they may not.
    pub status: Status,
    /// Compute-optimal number of parameters.
    pub params: Option<Estimate>,
    /// Compute-optimal number of tokens, from a parabola of its own.
    pub tokens: Option<Estimate>,
    /// Their ratio.
    pub tokens_per_param: Option<Estimate>,
    /// Loss at the optimum, in nats per token.
    pub loss: Option<Estimate>,
    /// Coefficients [p, q, r] of loss = p x^2 + q x + r in x = log10(params), where it could be fitted.
    pub parabola_params: Option<[f64; 3]>,
    /// The same in x = log10(tokens).
    pub parabola_tokens: Option<[f64; 3]>,
}

/// Tokens per parameter at a budget.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TokensPerParam {
    /// The budget, in FLOPs.
    pub flops: f64,
    /// The ratio `D_opt/N_opt` of the two fitted power laws.
    #[serde(flatten)]
    pub ratio: Estimate,
}

/// A power law, value = coefficient x flops^exponent.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PowerLaw {
    /// Value at one FLOP.
    pub coefficient: f64,
    /// Exponent of the budget.
    pub exponent: Estimate,
}

/// The result of approach 2 under one convention of counting parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Approach2 {
    /// Which weights were counted.
    pub counting: Counting,
    /// Whether the two laws may be used; they are absent where they may not.
    pub status: Status,
    /// Observations used.
    pub points: usize,
    /// One for each budget, ascending.
    pub optima: Vec<Optimum>,
    /// `N_opt` against compute.
    pub n_opt: Option<PowerLaw>,
    /// `D_opt` against compute.
    pub d_opt: Option<PowerLaw>,
    /// Tokens per parameter at the budgets of the data and beyond.
    pub tokens_per_param: Vec<TokensPerParam>,
    /// What may be concluded, in a sentence.
    pub conclusion: String,
}

/// Fits approach 2 to `observations`, counting parameters by `counting`.
///
/// It never fails: what the data do not decide is a status, and the numbers are absent. Three identified budgets are
/// the least for the power laws: two always lie on a line, with nothing left to judge it by. The result does not depend on the order of the observations or on the
/// number of threads.
pub fn fit(observations: &[Observation], counting: Counting, options: &Bootstrap) -> Approach2 {
    let curves = curve::split(observations, counting);
    let resamples: Vec<Vec<Minimum>> = options.draws(|rng| curves.iter().map(|curve| curve.resample(rng)).collect());
    let optima: Vec<Optimum> = curves
        .iter()
        .enumerate()
        .map(|(k, curve)| optimum(curve, &resamples.iter().map(move |minima| minima[k])))
        .collect();

    let identified: Vec<usize> = (0..curves.len()).filter(|&k| optima[k].status == Status::Converged).collect();
    let budgets: Vec<f64> = identified.iter().map(|&k| curves[k].budget.log10()).collect();
    let minima = |all: &[Minimum]| identified.iter().map(|&k| all[k]).collect::<Vec<_>>();
    let laws = laws(&budgets, &minima(&curves.iter().map(Curve::minimum).collect::<Vec<_>>()));
    let drawn: Vec<[Line; 2]> =
        resamples.iter().filter_map(|resample| self::laws(&budgets, &minima(resample))).collect();

    let mut result = Approach2 {
        counting,
        status: status(&optima),
        points: curves.iter().map(Curve::points).sum(),
        optima,
        n_opt: None,
        d_opt: None,
        tokens_per_param: Vec::new(),
        conclusion: String::new(),
    };
    if let Some(laws) = laws {
        let [n_opt, d_opt] = AXES.map(|axis| PowerLaw {
            coefficient: 10_f64.powf(laws[axis].intercept),
            exponent: Estimate::from_draws(laws[axis].slope, drawn.iter().map(|draw| draw[axis].slope)),
        });
        (result.n_opt, result.d_opt) = (Some(n_opt), Some(d_opt));
        let largest = curves.last().map_or(f64::NAN, |curve| curve.budget);
        let trained = curves.iter().map(|curve| curve.budget);
        result.tokens_per_param = trained
            .chain(BEYOND.map(|factor| factor * largest))
            .map(|flops| {
                let log_ratio = |laws: &[Line; 2]| laws[1].at(flops.log10()) - laws[0].at(flops.log10());
                let ratio = Estimate::from_draws(log_ratio(&laws), drawn.iter().map(log_ratio));
                TokensPerParam { flops, ratio: ratio.map(|x| 10_f64.powf(x)) }
            })
            .collect();
    }
    result.conclusion = conclusion::of(&result);
    result
}

/// The optimum of one curve, with numbers only where its status allows them.
fn optimum(curve: &Curve, resamples: &(impl Iterator<Item = Minimum> + Clone)) -> Optimum {
    let status = curve.status(resamples.clone());
    let coefficients = curve.coefficients();
    let minimum = curve.minimum();
    let estimate = |of: &dyn Fn(&Minimum) -> Option<f64>| {
        let value = of(&minimum).filter(|_| status == Status::Converged)?;
        Some(Estimate::from_draws(value, resamples.clone().filter_map(|resample| of(&resample))))
    };
    let power = |x: f64| 10_f64.powf(x);
    Optimum {
        budget: curve.budget,
        points: curve.points(),
        status,
        params: estimate(&|m| m.x[0]).map(|e| e.map(power)),
        tokens: estimate(&|m| m.x[1]).map(|e| e.map(power)),
        tokens_per_param: estimate(&|m| Some(m.x[1]? - m.x[0]?)).map(|e| e.map(power)),
        loss: estimate(&|m| m.x[0].map(|_| m.loss)),
        parabola_params: coefficients.map(|[params, _]| params),
        parabola_tokens: coefficients.map(|[_, tokens]| tokens),
    }
}

/// Straight lines of log10 `N_opt` and log10 `D_opt` in log10 of the budget, through the minima that are there.
fn laws(budgets: &[f64], minima: &[Minimum]) -> Option<[Line; 2]> {
    let found: Vec<(f64, [f64; 2])> = budgets
        .iter()
        .zip(minima)
        .filter_map(|(budget, minimum)| Some((*budget, [minimum.x[0]?, minimum.x[1]?])))
        .collect();
    if found.len() < 3 {
        return None;
    }
    let design = Design::new(&found.iter().map(|(budget, _)| *budget).collect::<Vec<_>>());
    Some(AXES.map(|axis| design.line(&found.iter().map(|(_, x)| x[axis]).collect::<Vec<_>>())))
}

/// The status of the two laws from those of the budgets.
fn status(optima: &[Optimum]) -> Status {
    let count = |status| optima.iter().filter(|optimum| optimum.status == status).count();
    match count(Status::Converged) {
        3.. => Status::Converged,
        1 | 2 => Status::TooFewPoints,
        _ if count(Status::TooFewPoints) == optima.len() => Status::TooFewPoints,
        _ if count(Status::EdgeMinimum) > 0 => Status::EdgeMinimum,
        _ => Status::NotIdentified,
    }
}
