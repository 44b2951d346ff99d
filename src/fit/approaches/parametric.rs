//! What every fit of a whole surface reports: constants, exponents and ratios with intervals, residuals, status.

use serde::{Deserialize, Serialize};

use crate::fit::approaches::approach::Approach;
use crate::fit::approaches::cost::Cost;
use crate::fit::approaches::optimal::BEYOND;
use crate::fit::approaches::optimal::TokensPerParam;
use crate::fit::approaches::points::Points;
use crate::fit::approaches::points::Trained;
use crate::fit::approaches::surface::Priced;
use crate::fit::approaches::surface::Surface;
use crate::fit::estimate::{NO_FLOOR, is_open, open, too_many_lost, words};
use crate::fit::numerics::residuals::Residuals;
use crate::fit::table::budgets::same_budget;
use crate::fit::table::resample::Resample;
use crate::fit::{Estimate, Status};
use crate::observation::Counting;

/// Exponents above this are a step and not a power law.
const STEEPEST: f64 = 10.0;
/// Resamples kept in the result, for intervals of whatever is asked later.
const DRAWS_KEPT: usize = 200;

/// What is fitted, and how.
pub(super) struct Method {
    pub(super) approach: Approach,
    pub(super) counting: Counting,
    pub(super) delta: Option<f64>,
    pub(super) resample: Resample,
}

/// A solver's answer.
pub(super) struct Fitted {
    pub(super) surface: Surface,
    pub(super) objective: f64,
    /// What kept the solver from a minimum, if anything did.
    pub(super) unfinished: Option<&'static str>,
    /// Constants that ended at a bound of the search.
    pub(super) at_bound: Vec<&'static str>,
    /// Whether an exponent lies inside of what is searched, where that has ends.
    pub(super) searched: Option<fn(f64) -> bool>,
}

/// Whether a surface is one that runs can have.
fn usable(surface: &Surface) -> bool {
    surface.is_proper() && surface.alpha < STEEPEST && surface.beta < STEEPEST
}

/// What speaks against a fitted surface, in clauses.
#[derive(Debug, Default, PartialEq)]
struct Against {
    /// What kept it from a minimum: itself, or more of its resamples than an interval leaves out, which is then one of the search.
    unfinished: Option<String>,
    /// How little is known of tokens per parameter at the largest budget, where that is nothing.
    open: Option<String>,
}

impl Against {
    fn of(fitted: &Fitted, draws: &[Surface], (cost, trained): (Cost, Option<Trained>)) -> Self {
        let at_end = |inside: fn(f64) -> bool| {
            let exponents = |draw: &Surface| [draw.alpha, draw.beta];
            let ended = |k: usize| draws.iter().filter(|draw| !inside(exponents(draw)[k])).count();
            let k = (0..2).find(|k| too_many_lost(ended(*k), draws.len()))?;
            Some(format!("in too many resamples {} ends at an end of what is searched", ["alpha", "beta"][k]))
        };
        let largest = trained.map_or(f64::NAN, |trained| trained.flops[1]);
        let ratio = |surface: &Surface| Priced { surface: *surface, cost }.tokens_per_param(largest);
        let known = Estimate::from_draws(ratio(&fitted.surface), draws.iter().map(ratio));
        Self {
            unfinished: fitted.unfinished.map(str::to_owned).or_else(|| at_end(fitted.searched?)),
            open: Some(known).filter(|ratio| is_open(*ratio)).map(|ratio| open(largest, ratio)),
        }
    }
}

/// A fitted surface with the intervals of its constants and of what follows from them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SurfaceFit {
    /// 3 or vpnls.
    pub approach: Approach,
    /// Which weights were counted as parameters.
    pub counting: Counting,
    /// Whether the numbers may be used.
    pub status: Status,
    /// Observations used.
    pub points: usize,
    /// The fitted surface; absent where nothing could be fitted.
    pub surface: Option<Surface>,
    /// What was minimised, at its minimum.
    pub objective: Option<f64>,
    /// Where the Huber loss becomes linear.
    pub delta: Option<f64>,
    /// 95% intervals of E, A, B, alpha, beta.
    pub constants: Option<[Estimate; 5]>,
    /// Exponent of `N_opt` in compute.
    pub n_exponent: Option<Estimate>,
    /// Exponent of `D_opt` in compute.
    pub d_exponent: Option<Estimate>,
    /// FLOPs of training by the table, from which the exponents and the ratios follow.
    pub cost: Cost,
    /// What the runs span; absent where there are none.
    pub trained: Option<Trained>,
    /// What was resampled: runs or budgets.
    pub resampled: String,
    /// Tokens per parameter at the budgets of the data and beyond.
    pub tokens_per_param: Vec<TokensPerParam>,
    /// Residuals in log loss.
    pub residuals: Option<Residuals>,
    /// Some of the resampled surfaces, for intervals of whatever is asked later.
    pub draws: Vec<Surface>,
    /// Constants that ended at a bound: E at zero, or an exponent at an end of the search.
    #[serde(skip)]
    pub at_bound: Vec<&'static str>,
    /// What may be concluded, in a sentence.
    pub conclusion: String,
}

/// Puts the result together from the surface and its resamples.
pub(super) fn assemble(method: &Method, points: &Points, fitted: Option<&Fitted>, draws: Vec<Surface>) -> SurfaceFit {
    let resamples = draws.len();
    let draws: Vec<Surface> = draws.into_iter().filter(usable).collect();
    let floor = NO_FLOOR * points.loss.iter().copied().fold(f64::INFINITY, f64::min);
    let cost = if points.is_empty() { Cost::SIX_ND } else { points.cost() };
    let trained = points.trained();
    let said = fitted.map_or_else(Against::default, |fitted| Against::of(fitted, &draws, (cost, trained)));
    let status = match fitted {
        None if points.flat() && !points.too_few() => Status::NotIdentified,
        None => Status::TooFewPoints,
        Some(fitted) if !usable(&fitted.surface) => Status::NotIdentified,
        Some(_) if too_many_lost(resamples - draws.len(), resamples) => Status::NotIdentified,
        Some(_) if said.open.is_some() => Status::NotIdentified,
        Some(fitted) if fitted.surface.e < floor || said.unfinished.is_some() => Status::BoundHit,
        Some(_) => Status::Converged,
    };
    // A value whose every resample failed has no interval, and a value without an interval is not shown.
    let surface = fitted.map(|fitted| fitted.surface).filter(usable).filter(|_| resamples == 0 || !draws.is_empty());
    let of = |read: &dyn Fn(&Priced) -> f64| {
        let read = |surface: &Surface| read(&Priced { surface: *surface, cost });
        surface.map(|surface| Estimate::from_draws(read(&surface), draws.iter().map(read)))
    };
    let constants = surface.map(|surface| {
        let constants = |s: &Surface| [s.e, s.a, s.b, s.alpha, s.beta];
        std::array::from_fn(|k| Estimate::from_draws(constants(&surface)[k], draws.iter().map(|d| constants(d)[k])))
    });
    let (constants, at_bound) = bounded(constants, floor, fitted);
    let exponents = |priced: &Priced| priced.exponents(trained.map_or([1.0; 2], |trained| trained.flops));
    let tokens_per_param = budgets(points)
        .into_iter()
        .filter_map(|flops| Some(TokensPerParam { flops, ratio: of(&|s| s.tokens_per_param(flops))? }))
        .collect();
    let mut result = SurfaceFit {
        approach: method.approach,
        counting: method.counting,
        status,
        points: points.len(),
        surface,
        objective: fitted.map(|fitted| fitted.objective),
        delta: method.delta,
        constants,
        n_exponent: of(&|priced| exponents(priced)[0]),
        d_exponent: of(&|priced| exponents(priced)[1]),
        cost,
        trained,
        resampled: method.resample.name().to_owned(),
        tokens_per_param,
        residuals: surface.map(|surface| residuals(points, &surface)),
        draws: thin(&draws),
        at_bound,
        conclusion: String::new(),
    };
    let lead = of(&|priced| {
        let [n, d] = exponents(priced);
        d - n
    });
    result.conclusion = conclusion(&result, lead, said);
    result
}

/// The constants, those at a bound with one-sided intervals, and which these are.
fn bounded(
    constants: Option<[Estimate; 5]>,
    floor: f64,
    fitted: Option<&Fitted>,
) -> (Option<[Estimate; 5]>, Vec<&'static str>) {
    let mut at_bound = fitted.map_or_else(Vec::new, |fitted| fitted.at_bound.clone());
    let constants = constants.map(|mut constants| {
        if constants[0].value < floor {
            at_bound.push("E");
            // Zero is the bound, whatever a solver that works in logarithms calls it; from above it may be open.
            let high = if constants[0].high < floor { 0.0 } else { constants[0].high };
            constants[0] = Estimate { low: 0.0, high, ..constants[0] };
        }
        constants
    });
    (constants, at_bound)
}

/// The budgets trained where they are few, otherwise the powers of ten among them; then some beyond.
fn budgets(points: &Points) -> Vec<f64> {
    let mut sorted = points.flops.clone();
    sorted.sort_by(f64::total_cmp);
    let Some((low, high)) = sorted.first().copied().zip(sorted.last().copied()) else { return Vec::new() };
    sorted.dedup_by(|next, kept| same_budget(*kept, *next));
    if sorted.len() > 12 {
        let decades = (low.log10().ceil() as i32)..=(high.log10().floor() as i32);
        sorted = decades.map(|decade| 10_f64.powi(decade)).collect();
    }
    sorted.into_iter().chain(BEYOND.map(|factor| factor * high)).collect()
}

fn residuals(points: &Points, surface: &Surface) -> Residuals {
    Residuals::of((0..points.len()).map(|i| {
        let [n, d] = [points.ln_n[i] + points.mean_n, points.ln_d[i] + points.mean_d].map(f64::exp);
        surface.loss(n, d).ln() - points.ln_loss[i]
    }))
}

fn thin(draws: &[Surface]) -> Vec<Surface> {
    draws.iter().step_by(draws.len().div_ceil(DRAWS_KEPT).max(1)).copied().collect()
}

/// `lead` is the exponent of `D_opt` minus that of `N_opt`.
fn conclusion(fit: &SurfaceFit, lead: Option<Estimate>, Against { unfinished, open }: Against) -> String {
    let (Some(n), Some(d), Some(lead)) = (fit.n_exponent, fit.d_exponent, lead) else {
        return match fit.status {
            Status::TooFewPoints => {
                "A surface needs at least 6 runs with 3 different sizes and 3 different numbers of tokens.".to_owned()
            }
            _ => {
                "Not identified: parameters and tokens do not determine the loss, so there is no conclusion.".to_owned()
            }
        };
    };
    let laws = format!("N_opt grows as C^{} and D_opt as C^{}", words(n), words(d));
    let equal = if lead.low > 0.0 {
        "tokens grow faster than parameters"
    } else if lead.high < 0.0 {
        "parameters grow faster than tokens"
    } else {
        "parameters and tokens may grow equally"
    };
    match fit.status {
        Status::Converged => format!("{laws}; {equal}."),
        Status::BoundHit => {
            let zero = || "the irreducible loss is zero: the data do not determine it".to_owned();
            format!("{laws}, but {}.", unfinished.unwrap_or_else(zero))
        }
        _ => {
            let why = open.unwrap_or_else(|| "too many resamples have no surface".to_owned());
            format!("Not identified: in the best fit {laws}, but {why}, so these numbers are not reliable.")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exponent_that_too_many_resamples_have_at_an_end_of_the_search_is_not_found() {
        let surface = Surface { e: 2.0, a: 100.0, b: 300.0, alpha: 0.4, beta: 0.5 };
        let draws = |at_end: usize| -> Vec<Surface> {
            let end = Surface { alpha: 5.0, ..surface };
            (0..1000).map(|k| if k < at_end { end } else { surface }).collect()
        };
        let fitted = |searched| Fitted { surface, objective: 0.0, unfinished: None, at_bound: Vec::new(), searched };
        let inside: fn(f64) -> bool = |x| x < 4.9;
        let against =
            |searched, at_end| Against::of(&fitted(searched), &draws(at_end), (Cost::SIX_ND, None)).unfinished;
        let why = against(Some(inside), 30);
        assert_eq!(why.unwrap(), "in too many resamples alpha ends at an end of what is searched");
        assert_eq!((against(Some(inside), 20), against(None, 30)), (None, None));
    }
}
