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
mod result;
mod steep;
pub mod sure;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::fit::approaches::least::LAW_BUDGETS;
use crate::fit::approaches::optimal::BEYOND;
use crate::fit::approaches::optimal::{PowerLaw, TokensPerParam};
use crate::fit::approaches::outliers::Suspects;
use crate::fit::estimate::is_open;
use crate::fit::numerics::bootstrap::Bootstrap;
use crate::fit::numerics::regress::{Design, Line};
use crate::fit::table::resample::Resample;
use crate::fit::{Estimate, Status};
use crate::observation::{Counting, Observation};
pub use curve::MOST;
use curve::{AXES, Curve, Minimum};
pub use result::{Approach2, Optimum};
pub use steep::Steep;

/// How approach 2 is fitted.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Options {
    /// How often to resample.
    pub bootstrap: Bootstrap,
    /// What the intervals of the laws resample: losses at fixed sizes (`Runs`), or budgets and the losses within them: a
    /// handful of optima alone would look more certain than they are. The optima themselves resample losses.
    pub resample: Resample,
    /// Weigh each run by one over the square of its standard error, where every run has one, and each optimum in the
    /// laws by one over its variance (Porian et al. 2024, arXiv 2406.19146, appendix B).
    pub weighted: bool,
}

impl From<&Bootstrap> for Options {
    fn from(bootstrap: &Bootstrap) -> Self {
        Self { bootstrap: *bootstrap, ..Self::default() }
    }
}

/// Fits approach 2 to `observations`, counting parameters by `counting`.
///
/// It never fails: what the data do not decide is a status, and the numbers are absent. Three identified budgets are
/// the least for the power laws: two always lie on a line, with nothing left to judge it by. The result does not
/// depend on the order of the observations or on the number of threads.
pub fn fit(observations: &[Observation], counting: Counting, options: impl Into<Options>) -> Approach2 {
    fit_to(&Suspects::of(observations), counting, options)
}

/// As [`fit`], to the runs of a table whose suspects are looked for once, however often it is fitted.
pub fn fit_to(suspects: &Suspects<'_>, counting: Counting, options: impl Into<Options>) -> Approach2 {
    let (fit, open) = numbers_and_open(suspects.runs(), counting, options.into());
    let conclusion = conclusion::of(&fit, &open, suspects);
    Approach2 { conclusion, ..fit }
}

/// As [`fit`], without its conclusion, for whoever asks for numbers alone: a conclusion looks for runs to blame, which may take
/// longer than the fit.
pub fn numbers(observations: &[Observation], counting: Counting, options: impl Into<Options>) -> Approach2 {
    numbers_and_open(observations, counting, options.into()).0
}

/// The numbers of a fit, and the budgets whose tokens per parameter may be anything.
fn numbers_and_open(observations: &[Observation], counting: Counting, options: Options) -> (Approach2, Vec<f64>) {
    let Options { bootstrap, resample, weighted } = options;
    let curves = curve::split(observations, counting, weighted);
    let resamples: Vec<Vec<Minimum>> = bootstrap.draws(|rng| curves.iter().map(|curve| curve.resample(rng)).collect());
    let found = |(k, curve)| optimum(curve, &resamples.iter().map(move |minima: &Vec<Minimum>| minima[k]));
    let (optima, is_open): (Vec<Optimum>, Vec<bool>) = curves.iter().enumerate().map(found).unzip();
    let open = curves.iter().zip(is_open).filter(|(_, is_open)| *is_open).map(|(curve, _)| curve.budget).collect();

    let identified: Vec<usize> = (0..curves.len()).filter(|&k| optima[k].status == Status::Converged).collect();
    let weights_of = |k: usize| {
        AXES.map(|axis| if weighted { weight(resamples.iter().map(|minima| minima[k].x[axis])) } else { 1.0 })
    };
    let weights: Vec<[f64; 2]> = identified.iter().map(|&k| weights_of(k)).collect();
    let places = |minima: &[Minimum]| -> Vec<Place> {
        let place = |(&k, &weights): (&usize, &[f64; 2])| Place {
            budget: curves[k].budget.log10(),
            minimum: minima[k],
            weights,
        };
        identified.iter().zip(&weights).map(place).collect()
    };
    let found = places(&curves.iter().map(Curve::minimum).collect::<Vec<_>>());
    let laws = laws(&found);
    let drawn: Vec<[Line; 2]> = match resample {
        Resample::Runs => resamples.iter().filter_map(|minima| self::laws(&places(minima))).collect(),
        Resample::Budgets => {
            let draw = |rng: &mut ChaCha8Rng| found.iter().map(|_| rng.random_range(0..found.len())).collect();
            let drawn: Vec<Vec<usize>> = bootstrap.draws(draw);
            let law = |(chosen, minima): (&Vec<usize>, &Vec<Minimum>)| {
                let all = places(minima);
                self::laws(&chosen.iter().map(|&k| all[k]).collect::<Vec<_>>())
            };
            drawn.iter().zip(&resamples).filter_map(law).collect()
        }
    };

    let member = |(&k, &weights): (&usize, &[f64; 2])| {
        let minima = resamples.iter().map(|minima| minima[k]).collect();
        sure::Member { curve: &curves[k], weights, minima }
    };
    let members: Vec<sure::Member> = identified.iter().zip(&weights).map(member).collect();

    let mut result = Approach2 {
        counting,
        status: status(&optima),
        points: curves.iter().map(Curve::points).sum(),
        optima,
        n_opt: None,
        d_opt: None,
        tokens_per_param: Vec::new(),
        // Where whole budgets are drawn, the parts of budgets cannot be told apart.
        sure: sure::of(&members).filter(|_| resample == Resample::Runs),
        conclusion: String::new(),
    };
    if let Some(laws) = laws {
        set_laws(&mut result, &curves, &laws, &drawn);
    }
    (result, open)
}

/// The two laws, with intervals over what was drawn, and the ratios that follow from them.
fn set_laws(result: &mut Approach2, curves: &[Curve], laws: &[Line; 2], drawn: &[[Line; 2]]) {
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
            let ratio = Estimate::from_draws(log_ratio(laws), drawn.iter().map(log_ratio));
            TokensPerParam { flops, ratio: ratio.map(|x| 10_f64.powf(x)) }
        })
        .collect();
}

/// The optimum of one curve, with numbers only where its status allows them, and whether it has none because its tokens per
/// parameter may be anything.
fn optimum(curve: &Curve, resamples: &(impl Iterator<Item = Minimum> + Clone)) -> (Optimum, bool) {
    let told = curve.status(resamples.clone());
    let coefficients = curve.coefficients();
    let minimum = curve.minimum();
    let known = |status: Status, of: &dyn Fn(&Minimum) -> Option<f64>| {
        let value = of(&minimum).filter(|_| status == Status::Converged)?;
        Some(Estimate::from_draws(value, resamples.clone().filter_map(|resample| of(&resample))))
    };
    let power = |x: f64| 10_f64.powf(x);
    let ratio = known(told, &|m| Some(m.x[1]? - m.x[0]?)).map(|e| e.map(power));
    let is_open = ratio.is_some_and(is_open);
    let status = if is_open { Status::NotIdentified } else { told };
    let estimate = |of: &dyn Fn(&Minimum) -> Option<f64>| known(status, of);
    let optimum = Optimum {
        budget: curve.budget,
        points: curve.points(),
        status,
        params: estimate(&|m| m.x[0]).map(|e| e.map(power)),
        tokens: estimate(&|m| m.x[1]).map(|e| e.map(power)),
        tokens_per_param: ratio.filter(|_| status == Status::Converged),
        loss: estimate(&|m| m.x[0].map(|_| m.loss)),
        parabola_params: coefficients.map(|[params, _]| params),
        parabola_tokens: coefficients.map(|[_, tokens]| tokens),
        steep: curve.steep(),
    };
    (optimum, is_open)
}

/// The optimum of one budget as a point of the two laws.
#[derive(Clone, Copy)]
struct Place {
    /// log10 of the budget.
    budget: f64,
    minimum: Minimum,
    weights: [f64; 2],
}

/// One over the variance of an optimum over its resamples.
fn weight(resamples: impl Iterator<Item = Option<f64>> + Clone) -> f64 {
    /// Standard errors of log10 below this are rounding.
    const LEAST: f64 = 1e-6;
    let (count, sum) = resamples.clone().flatten().fold((0.0, 0.0), |(count, sum), x| (count + 1.0, sum + x));
    let square: f64 = resamples.flatten().map(|x| (x - sum / count).powi(2)).sum();
    1.0 / (square / count).max(LEAST * LEAST)
}

/// Straight lines of log10 `N_opt` and log10 `D_opt` in log10 of the budget, through the minima that are there.
fn laws(places: &[Place]) -> Option<[Line; 2]> {
    let found: Vec<&Place> = places.iter().filter(|place| place.minimum.x.iter().all(Option::is_some)).collect();
    let budgets: Vec<f64> = found.iter().map(|place| place.budget).collect();
    if found.len() < LAW_BUDGETS || budgets.iter().all(|budget| budget.total_cmp(&budgets[0]).is_eq()) {
        return None;
    }
    Some(AXES.map(|axis| {
        let weights: Vec<f64> = found.iter().map(|place| place.weights[axis]).collect();
        let optima: Vec<f64> = found.iter().filter_map(|place| place.minimum.x[axis]).collect();
        Design::weighted(&budgets, &weights).line(&optima)
    }))
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
