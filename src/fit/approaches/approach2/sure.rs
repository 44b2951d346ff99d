//! How sure approach 2 is of tokens per parameter, and what would make it surer, from the resamples that it has anyway.
//!
//! The ratio at a budget is a weighted sum of the optima of all budgets, because the laws are straight lines in the
//! logarithms. So the part of each budget in the interval is what remains of it where the other budgets stay at their
//! optima. One more seed of every run divides the variance of each curve by (r+1)/r, where r is the number of its runs of
//! one size: that holds as far as the scatter is that of seeds, which without repeats nobody can tell from a curve that
//! does not fit. One more budget is taken one step beyond the largest, with optima as uncertain as the largest budget's.

use serde::{Deserialize, Serialize};

use super::curve::{AXES, Curve, Minimum};
use crate::fit::numerics::bootstrap::quantile;
use crate::fit::numerics::regress::Design;

/// Sizes on either side of an optimum below which a curve is open there.
const SIDES: usize = 2;

/// How sure, and what would make it surer. Widths are factors from the lower to the upper end of the 95% interval of tokens
/// per parameter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sure {
    /// The largest budget that has an optimum, in FLOPs, at which the ratio is told.
    pub budget: f64,
    /// Width now.
    pub width: f64,
    /// Each budget that has an optimum with its share of the variance, ascending.
    pub shares: Vec<Share>,
    /// Width with one more seed of every run.
    pub one_more_seed: f64,
    /// The next budget, in FLOPs.
    pub next_budget: f64,
    /// Width at the budget of today with the next one trained too.
    pub one_more_budget: f64,
}

/// What one budget has to do with the width.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Share {
    /// The budget, in FLOPs.
    pub budget: f64,
    /// Its share of the variance.
    pub share: f64,
    /// Most runs of one size.
    pub seeds: usize,
    /// Sizes below the optimum and above it.
    pub sizes: [usize; 2],
}

impl Share {
    /// The side on which the curve has too few sizes, where there is one.
    pub fn open_side(&self) -> Option<&'static str> {
        match self.sizes {
            [_, above] if above < SIDES => Some("above"),
            [below, _] if below < SIDES => Some("below"),
            _ => None,
        }
    }
}

/// A budget that has an optimum: its curve, its weights in the two laws, and its minima over the resamples.
pub(super) struct Member<'a> {
    pub(super) curve: &'a Curve,
    pub(super) weights: [f64; 2],
    pub(super) minima: Vec<Minimum>,
}

/// From the members of the laws, by ascending budget; nothing where there are fewer than three or no resamples.
pub(super) fn of(members: &[Member<'_>]) -> Option<Sure> {
    let last = members.last().filter(|last| members.len() >= 3 && !last.minima.is_empty())?;
    let budgets: Vec<f64> = members.iter().map(|member| member.curve.budget.log10()).collect();
    let at = budgets[budgets.len() - 1];
    let next = 2.0 * at - budgets[budgets.len() - 2];
    let weights = |axis: usize| members.iter().map(|member| member.weights[axis]).collect::<Vec<f64>>();
    let loads = AXES.map(|axis| loads(&budgets, &weights(axis), at));
    let more = [budgets.as_slice(), &[next]].concat();
    let with_next = AXES.map(|axis| self::loads(&more, &[weights(axis), vec![last.weights[axis]]].concat(), at));
    let deviations: Vec<Vec<[f64; 2]>> = members.iter().map(Member::deviations).collect();
    let draws = last.minima.len();
    // What draw `i` of budget `k` adds to the logarithm of the ratio under some loads.
    let pull = |loads: &[Vec<f64>; 2], load: usize, k: usize, i: usize| {
        let [params, tokens] = deviations[k][i];
        loads[1][load] * tokens - loads[0][load] * params
    };
    let whole = |scale: &dyn Fn(usize) -> f64| {
        width((0..draws).map(|i| (0..members.len()).map(|k| scale(k) * pull(&loads, k, k, i)).sum()))
    };
    let now = whole(&|_| 1.0);
    let seeds: Vec<usize> = members.iter().map(|member| member.curve.seeds()).collect();
    let alone: Vec<f64> =
        (0..members.len()).map(|k| width((0..draws).map(|i| pull(&loads, k, k, i))).powi(2)).collect();
    let sum: f64 = alone.iter().sum();
    let shares = members.iter().zip(&seeds).zip(&alone).map(|((member, seeds), alone)| Share {
        budget: member.curve.budget,
        share: alone / sum,
        seeds: *seeds,
        sizes: member.curve.sides(),
    });
    // The next budget draws what the largest one drew in another resample.
    let (most, new) = (members.len() - 1, members.len());
    let one_more_budget = width((0..draws).map(|i| {
        let there: f64 = (0..members.len()).map(|k| pull(&with_next, k, k, i)).sum();
        there + pull(&with_next, new, most, (i + 1) % draws)
    }));
    Some(Sure {
        budget: last.curve.budget,
        width: 10_f64.powf(now),
        shares: shares.collect(),
        one_more_seed: 10_f64.powf(whole(&|k| (seeds[k] as f64 / (seeds[k] + 1) as f64).sqrt())),
        next_budget: 10_f64.powf(next),
        one_more_budget: 10_f64.powf(one_more_budget),
    })
    .filter(|sure| sure.width.is_finite() && sum > 0.0)
}

impl Member<'_> {
    /// How far each resample lies from the optimum; a resample without one is left out.
    fn deviations(&self) -> Vec<[f64; 2]> {
        let found = self.curve.minimum();
        let of = |minimum: &Minimum| {
            AXES.map(|axis| minimum.x[axis].zip(found.x[axis]).map_or(f64::NAN, |(drawn, found)| drawn - found))
        };
        self.minima.iter().map(of).collect()
    }
}

/// By how much the line through optima at `budgets` moves at `at` if one of them moves by 1.
fn loads(budgets: &[f64], weights: &[f64], at: f64) -> Vec<f64> {
    let design = Design::weighted(budgets, weights);
    let unit = |k: usize| (0..budgets.len()).map(|i| f64::from(u8::from(i == k))).collect::<Vec<f64>>();
    (0..budgets.len()).map(|k| design.line(&unit(k)).at(at)).collect()
}

/// From the 2.5th to the 97.5th percentile, in decades.
fn width(draws: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = draws.filter(|draw| !draw.is_nan()).collect();
    sorted.sort_by(f64::total_cmp);
    quantile(&sorted, 0.975) - quantile(&sorted, 0.025)
}
