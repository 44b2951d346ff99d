//! A sweep cut down to a number of device hours, as its author would: what decides the laws goes last.
//!
//! First repeats with other seeds, which narrow intervals and decide no law. Then sizes between the ends of each IsoFLOP
//! curve, down to the 7 that a minimum needs. Then budgets, down to three: of the sets of budgets that fit, the one
//! with the longest lever, the sum of squares of ln C about its mean, to which the variance of a fitted exponent is
//! inversely proportional. What room is left then goes back to sizes, and then to seeds. A budget is kept only where
//! its sizes lie on both sides of the expected optimum.

use thiserror::Error;

use super::{Plan, PlanError, PlannedRun};
use crate::spec::{MIN_SIZES, Spec, Sweep};
use crate::units::Flops;

/// Why a sweep cannot be cut down so far.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum TrimError {
    /// A plan of the smaller grid failed.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// There is nothing that could go.
    #[error("one run of {hours:.2} device hours cannot be cut down; --set schedule.flops=... makes it shorter")]
    OneRun {
        /// Device hours of the run.
        hours: f64,
    },
    /// Axes are the question itself.
    #[error(
        "with one seed this sweep still takes {hours:.2} device hours, and values of its axes are not cut \
         automatically: remove some, as in --set 'sweep.axes.model.width=[32, 64]'"
    )]
    Axes {
        /// Device hours of all points with one seed.
        hours: f64,
    },
    /// Three budgets are needed.
    #[error(
        "three IsoFLOP curves with sizes on both sides of the optimum, {sizes} each and one seed, take at least {} \
         device hours; give that many, or write smaller budgets",
        rounded_up(*hours)
    )]
    TooFew {
        /// Sizes of each curve.
        sizes: usize,
        /// Device hours of the cheapest three.
        hours: f64,
    },
    /// Not even the whole grid has them.
    #[error(
        "fewer than three budgets of this sweep have two sizes on both sides of the expected optimum, so no budget can \
         be cut; `runner plan` lists the points that are left out, with reasons"
    )]
    NotBracketed,
}

/// Hours with two digits, never fewer than they are.
fn rounded_up(hours: f64) -> String {
    let unit = 10_f64.powi(hours.log10().floor() as i32 - 1);
    let up = (hours / unit - 1e-9).ceil() * unit;
    let digits = (1 - hours.log10().floor() as i32).max(0) as usize;
    format!("{up:.digits$}")
}

/// A sweep cut down.
#[derive(Clone, Debug, PartialEq)]
pub struct Trimmed {
    /// What is left.
    pub spec: Spec,
    /// Its plan.
    pub plan: Plan,
    /// What went and why, a line each.
    pub said: Vec<String>,
    /// The same as overrides, `KEY=VALUE`.
    pub set: Vec<String>,
}

/// How to plan a spec, and how many device hours runs take.
pub struct Costs<'a> {
    /// The plan of a spec.
    pub expand: &'a dyn Fn(&Spec) -> Result<Plan, PlanError>,
    /// Device hours of some runs.
    pub hours: &'a dyn Fn(&[&PlannedRun]) -> f64,
}

/// A grid smaller than that of the spec.
#[derive(Clone, Debug, PartialEq)]
struct Cut {
    seeds: usize,
    sizes: Option<usize>,
    budgets: Option<Vec<f64>>,
}

/// Cuts a sweep down to a number of device hours; nothing where it fits as it is.
pub fn trim(spec: &Spec, limit: f64, costs: &Costs<'_>) -> Result<Option<Trimmed>, TrimError> {
    let whole = hours(&(costs.expand)(spec)?, costs);
    if whole <= limit {
        return Ok(None);
    }
    let Some(sweep) = &spec.sweep else { return Err(TrimError::OneRun { hours: whole }) };
    let cut = find(spec, sweep, limit, costs)?;
    let smaller = apply(spec, &cut);
    let plan = (costs.expand)(&smaller)?;
    let (said, set) = describe(sweep, &cut);
    Ok(Some(Trimmed { spec: smaller, plan, said, set }))
}

fn find(spec: &Spec, sweep: &Sweep, limit: f64, costs: &Costs<'_>) -> Result<Cut, TrimError> {
    let hours_of = |cut: &Cut| Ok::<f64, TrimError>(hours(&(costs.expand)(&apply(spec, cut))?, costs));
    let whole = Cut { seeds: sweep.seeds.len(), sizes: sweep.sizes, budgets: sweep.budgets.clone() };
    if let Some(cut) = most_seeds(&whole, limit, &hours_of)? {
        return Ok(cut);
    }
    let one = Cut { seeds: 1, ..whole };
    let Some(budgets) = &sweep.budgets else { return Err(TrimError::Axes { hours: hours_of(&one)? }) };
    if let Some(cut) = most_sizes(&one, limit, &hours_of)? {
        return Ok(cut);
    }
    let least = Cut { sizes: sweep.sizes.map(|sizes| sizes.min(MIN_SIZES)), ..one.clone() };
    let plan = (costs.expand)(&apply(spec, &least))?;
    let expected = sweep.expected_tokens_per_param.unwrap_or(USUAL_TOKENS_PER_PARAM);
    let eligible: Vec<f64> = budgets.iter().copied().filter(|budget| is_bracketed(&plan, *budget, expected)).collect();
    let cost = |set: &[f64]| {
        let among = |run: &&PlannedRun| run.run.flop_budget.is_some_and(|budget| set.contains(&budget));
        (costs.hours)(&plan.runs.iter().filter(among).collect::<Vec<_>>())
    };
    let sets: Vec<(Vec<f64>, f64)> =
        subsets(&eligible).map(|set| (cost(&set), set)).map(|(cost, set)| (set, cost)).collect();
    let Some(cheapest) = sets.iter().map(|(_, cost)| *cost).min_by(f64::total_cmp) else {
        return Err(TrimError::NotBracketed);
    };
    let fitting = sets.into_iter().filter(|(_, cost)| *cost <= limit);
    let best = fitting.max_by(|(a, a_cost), (b, b_cost)| lever(a).total_cmp(&lever(b)).then(b_cost.total_cmp(a_cost)));
    let Some((best, _)) = best else {
        let sizes = least.sizes.or(sweep.params.as_ref().map(Vec::len)).unwrap_or(MIN_SIZES);
        return Err(TrimError::TooFew { sizes, hours: cheapest });
    };
    let chosen = Cut { budgets: Some(best), ..one };
    let sized = most_sizes(&chosen, limit, &hours_of)?.unwrap_or(Cut { sizes: least.sizes, ..chosen });
    let seeded = most_seeds(&Cut { seeds: sweep.seeds.len() + 1, ..sized.clone() }, limit, &hours_of)?;
    Ok(seeded.unwrap_or(sized))
}

/// Tokens per parameter about which an optimum is looked for where the spec does not say (Hoffmann et al. 2022).
pub(super) const USUAL_TOKENS_PER_PARAM: f64 = 20.0;

/// Fewer budgets than this do not show whether a power law holds.
const MIN_BUDGETS: usize = 3;

/// Beyond so many budgets only the largest ones are cut: their sets would be too many to try.
const MANY_BUDGETS: usize = 12;

/// The most seeds, fewer than there are, that fit.
fn most_seeds(cut: &Cut, limit: f64, hours: &dyn Fn(&Cut) -> Result<f64, TrimError>) -> Result<Option<Cut>, TrimError> {
    for seeds in (1..cut.seeds).rev() {
        let cut = Cut { seeds, ..cut.clone() };
        if hours(&cut)? <= limit {
            return Ok(Some(cut));
        }
    }
    Ok(None)
}

/// The most sizes, up to as many as there are, that fit.
fn most_sizes(cut: &Cut, limit: f64, hours: &dyn Fn(&Cut) -> Result<f64, TrimError>) -> Result<Option<Cut>, TrimError> {
    let Some(most) = cut.sizes else { return Ok(None) };
    for sizes in (MIN_SIZES..=most).rev() {
        let cut = Cut { sizes: Some(sizes), ..cut.clone() };
        if hours(&cut)? <= limit {
            return Ok(Some(cut));
        }
    }
    Ok(None)
}

/// Every set of at least three budgets.
fn subsets(budgets: &[f64]) -> Box<dyn Iterator<Item = Vec<f64>> + '_> {
    let mut sorted = budgets.to_vec();
    sorted.sort_by(f64::total_cmp);
    if sorted.len() > MANY_BUDGETS {
        return Box::new((MIN_BUDGETS..=sorted.len()).map(move |count| sorted[..count].to_vec()));
    }
    let all = (0_u32..1 << sorted.len()).filter(|set| set.count_ones() as usize >= MIN_BUDGETS);
    Box::new(all.map(move |set| {
        sorted.iter().enumerate().filter(|(i, _)| set >> i & 1 == 1).map(|(_, budget)| *budget).collect()
    }))
}

/// Sum of squares of ln C about its mean.
fn lever(budgets: &[f64]) -> f64 {
    let logs: Vec<f64> = budgets.iter().map(|budget| budget.ln()).collect();
    let mean = logs.iter().sum::<f64>() / logs.len() as f64;
    logs.iter().map(|log| (log - mean).powi(2)).sum()
}

/// Whether at least two sizes lie on either side of the expected optimum.
pub(super) fn is_bracketed(plan: &Plan, budget: f64, expected: f64) -> bool {
    let runs = plan.runs.iter().filter(|run| run.run.flop_budget == Some(budget));
    let (small, large): (Vec<_>, Vec<_>) = runs.partition(|run| run.tokens_per_param() > expected);
    small.len() >= 2 && large.len() >= 2
}

fn hours(plan: &Plan, costs: &Costs<'_>) -> f64 {
    (costs.hours)(&plan.runs.iter().collect::<Vec<_>>())
}

fn apply(spec: &Spec, cut: &Cut) -> Spec {
    let mut spec = spec.clone();
    if let Some(sweep) = &mut spec.sweep {
        sweep.seeds.truncate(cut.seeds);
        sweep.sizes = cut.sizes;
        sweep.budgets.clone_from(&cut.budgets);
    }
    spec
}

/// What a cut leaves, in words and as overrides.
fn describe(sweep: &Sweep, cut: &Cut) -> (Vec<String>, Vec<String>) {
    let (mut said, mut set) = (Vec::new(), Vec::new());
    if cut.seeds < sweep.seeds.len() {
        said.push(format!(
            "seeds: {} of {}: repeats narrow the intervals but do not change the law",
            cut.seeds,
            sweep.seeds.len()
        ));
        set.push(format!("sweep.seeds={:?}", &sweep.seeds[..cut.seeds]));
    }
    if let (Some(left), Some(sizes)) = (cut.sizes, sweep.sizes)
        && left < sizes
    {
        said.push(format!("sizes: {left} of {sizes} for each budget, over the same range"));
        set.push(format!("sweep.sizes={left}"));
    }
    if let (Some(left), Some(budgets)) = (&cut.budgets, &sweep.budgets)
        && left.len() < budgets.len()
    {
        let list: Vec<String> = left.iter().map(|budget| Flops(*budget).to_string()).collect();
        said.push(format!(
            "budgets: {} of {}, {}: the widest range of compute that fits",
            left.len(),
            budgets.len(),
            list.join(", ")
        ));
        let exact: Vec<String> = left.iter().map(|budget| format!("{budget:e}")).collect();
        set.push(format!("sweep.budgets=[{}]", exact.join(",")));
    }
    (said, set)
}

#[cfg(test)]
mod tests {
    use super::rounded_up;

    #[test]
    fn hours_that_are_asked_for_are_enough() {
        let rounded = [0.0203, 0.02, 1.0, 9.91, 123.4].map(rounded_up);
        assert_eq!(rounded, ["0.021", "0.020", "1.0", "10.0", "130"]);
    }
}
