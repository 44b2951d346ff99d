//! Forecasting, which is the point of a scaling law: fit the smaller budgets, predict the largest.

use serde::{Deserialize, Serialize};

use crate::fit::Bootstrap;
use crate::fit::approaches::approach2;
use crate::fit::approaches::optimal::PowerLaw;
use crate::fit::approaches::surface::Priced;
use crate::fit::numerics::chance::beyond_f;
use crate::fit::table::budgets::same_budget;
use crate::observation::{Counting, Observation};

/// Constants of the surface, each of which takes a degree of freedom.
pub const SURFACE_UNKNOWNS: usize = 5;

/// The largest budget as predicted from the smaller ones.
#[derive(Default, Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Forecast {
    /// The budget held out, in FLOPs.
    pub budget: f64,
    /// Factor by which it is above the largest budget that was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub factor: Option<f64>,
    /// Runs held out.
    pub points: usize,
    /// Root of the mean squared error of the predicted losses, in nats, for approaches that predict losses.
    pub loss_rms: Option<f64>,
    /// What single runs scatter by, in nats: the root of the mean squared residual of the budgets that were fitted, for as many
    /// degrees of freedom as they have, at the losses held out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scatter: Option<f64>,
    /// Mean of predicted minus measured loss, in nats.
    pub loss_mean: Option<f64>,
    /// Predicted number of compute-optimal parameters over that of the parabola through the runs held out.
    pub n_opt_ratio: Option<f64>,
    /// The same of compute-optimal tokens.
    pub d_opt_ratio: Option<f64>,
    /// Loss that the predicted number of parameters would cost, in nats: how much higher that parabola stands there than
    /// at its minimum.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regret: Option<f64>,
    /// Place among the approaches under the same convention by the error of the number of parameters, 1 the best.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rank: Option<usize>,
}

/// The optimum that the runs held out have by themselves.
struct Measured {
    budget: f64,
    points: usize,
    params: f64,
    tokens: f64,
    curve: [f64; 4],
}

impl Measured {
    /// By approach 2 on these runs alone; nothing where their largest budget has no minimum inside its sizes.
    fn of(held_out: &[Observation], counting: Counting) -> Option<Self> {
        let alone = approach2::numbers(held_out, counting, &Bootstrap { resamples: 0, seed: 0 });
        let optimum = alone.optima.last()?;
        let [p, q, r] = optimum.parabola_params?;
        Some(Self {
            budget: optimum.budget,
            points: optimum.points,
            params: optimum.params?.value,
            tokens: optimum.tokens?.value,
            curve: [optimum.steep.map_or(0.0, |steep| steep.cubic[0]), p, q, r],
        })
    }

    fn loss(&self, params: f64) -> f64 {
        let x = params.log10();
        self.curve.iter().fold(0.0, |sum, coefficient| sum * x + coefficient)
    }

    /// What a prediction of its optimum is worth.
    fn forecast(&self, params: f64, tokens: f64) -> Forecast {
        Forecast {
            budget: self.budget,
            points: self.points,
            n_opt_ratio: Some(params / self.params),
            d_opt_ratio: Some(tokens / self.tokens),
            regret: Some(self.loss(params) - self.loss(self.params)),
            ..Forecast::default()
        }
    }
}

impl Forecast {
    /// The standard error, in nats, with which the law foretells losses at `flops`: that of the budget held out, once for each
    /// step as far as that one was above the largest that was seen. Nothing below `largest`, the largest budget of the fit itself.
    ///
    /// What single runs scatter by is no error of the law. Of their mean it is one, and less than that is not told.
    pub fn error_at(&self, flops: f64, largest: f64) -> Option<f64> {
        let steps = (flops / largest).ln() / self.factor?.ln();
        let (square, scatter) = (self.loss_rms?.powi(2), self.scatter.unwrap_or(0.0).powi(2));
        let error = (square - scatter).max(scatter / self.points as f64).min(square).sqrt();
        (steps > 0.0 && steps.is_finite()).then_some(error * steps)
    }
}

/// What it means that the errors at the budget held out lie on one side.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Leaning {
    /// Whether the losses are predicted too high.
    pub high: bool,
    /// The chance that runs that scatter about one surface like those that were fitted would be missed by as much.
    pub chance: f64,
}

/// The chance at which errors count as one-sided.
const LEANS: f64 = 0.01;
/// The chance at which a law counts as bent.
pub const BENT: f64 = 0.05;

impl Forecast {
    /// Whether the errors lie on one side, by Student's t of their mean; and by Chow's test (1960, predictive failure) whether the
    /// noise of the runs explains it: extrapolating errs on one side as well. Chow's F compares the residuals of all runs about one
    /// surface with those of the smaller budgets about theirs. `points` runs have residuals of `rms` in the logarithm, and the
    /// losses held out are near `loss`.
    pub fn leaning(&self, points: usize, rms: f64, loss: f64) -> Option<Leaning> {
        let (held, mean) = (self.points, self.loss_mean?);
        let free = (points.checked_sub(held)?).checked_sub(SURFACE_UNKNOWNS)?;
        let spread = (self.loss_rms?.powi(2) - mean * mean).max(0.0) / held.checked_sub(1)? as f64;
        if beyond_f(mean * mean / spread, 1, held - 1) > LEANS {
            return None;
        }
        let scatter = (self.scatter? / loss).powi(2);
        let added = (points as f64 * rms * rms - free as f64 * scatter).max(0.0);
        let chance = beyond_f(added / held as f64 / scatter, held, free);
        (!chance.is_nan()).then_some(Leaning { high: mean > 0.0, chance })
    }
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
/// It also predicts their optimum, at the cost of training that all runs tell. `seen` is the largest budget it was fitted to,
/// `scatter` what its runs scatter by around it, in the logarithm of the loss.
pub fn of_surface(
    priced: &Priced,
    seen: f64,
    scatter: Option<f64>,
    held_out: &[Observation],
    counting: Counting,
) -> Option<Forecast> {
    let surface = &priced.surface;
    let errors: Vec<f64> =
        held_out.iter().filter_map(|run| Some(surface.loss(run.params_by(counting)?, run.tokens) - run.loss)).collect();
    let mean = |f: &dyn Fn(f64) -> f64| errors.iter().map(|error| f(*error)).sum::<f64>() / errors.len() as f64;
    let budget = held_out.iter().map(Observation::budget).fold(f64::NEG_INFINITY, f64::max);
    let of = |measured: Measured| measured.forecast(priced.n_opt(measured.budget), priced.d_opt(measured.budget));
    let optimum = Measured::of(held_out, counting).map_or_else(Forecast::default, of);
    (!errors.is_empty()).then(|| Forecast {
        budget,
        factor: Some(budget / seen),
        points: errors.len(),
        loss_rms: Some(mean(&|error| error * error).sqrt()),
        scatter: scatter.map(|scatter| scatter * mean_loss(held_out)),
        loss_mean: Some(mean(&|error| error)),
        ..optimum
    })
}

/// The mean loss, the same to the last bit in whatever order the runs come.
fn mean_loss(runs: &[Observation]) -> f64 {
    let mut losses: Vec<f64> = runs.iter().map(|run| run.loss).collect();
    losses.sort_by(f64::total_cmp);
    losses.iter().sum::<f64>() / losses.len() as f64
}

/// How well laws of `N_opt` and `D_opt`, fitted to the smaller budgets, predict the optimum of the runs held out.
pub fn of_laws(laws: [PowerLaw; 2], held_out: &[Observation], counting: Counting) -> Option<Forecast> {
    let measured = Measured::of(held_out, counting)?;
    let [params, tokens] = laws.map(|law| law.coefficient * measured.budget.powf(law.exponent.value));
    Some(measured.forecast(params, tokens))
}
