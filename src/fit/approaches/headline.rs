//! The one number of a sweep of IsoFLOP curves, defined here and nowhere else: compute-optimal tokens per parameter by
//! approach 2, counting all parameters, at the largest budget whose optimum is identified.
//!
//! Approach 2, because it assumes the least: a minimum along each budget and a power law through them. All parameters, as
//! Hoffmann et al. count them and as everybody means who says "20 tokens per parameter". The ratio is that of the power
//! laws, which use every budget; where there are too few budgets for a law it is that of the budget's own curve. Other
//! conventions and approaches stand beside it, named in full.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::fit::approaches::approach::Approach;
use crate::fit::approaches::summary::Summary;
use crate::fit::{Estimate, Status};
use crate::observation::{Counting, Observation};
use crate::units::{Flops, Ratio};

/// What the headline counts as parameters.
pub const COUNTED: Counting = Counting::All;
/// The approach that gives it.
pub const APPROACH: Approach = Approach::Parabolas;

/// Compute-optimal tokens per parameter, and how far they may be trusted. Prints as a sentence without its stop.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Headline {
    /// Tokens per parameter with their 95% interval.
    pub tokens_per_param: Estimate,
    /// The budget that they are optimal at, in FLOPs.
    pub budget: f64,
    /// Which weights were counted as parameters.
    pub counting: Counting,
    /// The approach.
    pub approach: Approach,
    /// From the power laws through all budgets, or from the curve of that budget alone.
    pub source: Source,
    /// What limits it, a clause each.
    pub limits: Vec<String>,
}

/// Where the number comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The power laws of parameters and tokens through the optima of all budgets.
    Laws,
    /// The curve of the budget alone: there are too few budgets for laws.
    OwnCurve,
}

impl Headline {
    /// The headline among fits under several conventions and by several approaches; none where no budget has an optimum.
    pub fn of<'a>(fits: impl IntoIterator<Item = &'a Summary>) -> Option<Self> {
        Self::counting(fits, COUNTED)
    }

    /// The same number under another convention of counting, to stand beside the headline.
    pub fn counting<'a>(fits: impl IntoIterator<Item = &'a Summary>, counting: Counting) -> Option<Self> {
        let fit = fits.into_iter().find(|fit| fit.approach == APPROACH && fit.counting == counting)?;
        let identified = fit.optima.iter().flatten().filter(|optimum| optimum.status == Status::Converged);
        let largest = identified.max_by(|a, b| a.budget.total_cmp(&b.budget))?;
        let budget = largest.budget;
        let by_laws = fit.tokens_per_param.iter().find(|row| (row.flops / budget - 1.0).abs() < 1e-6);
        let by_laws = by_laws.filter(|_| fit.status == Status::Converged).map(|row| (row.ratio, Source::Laws));
        let own = largest.tokens_per_param.map(|ratio| (ratio, Source::OwnCurve));
        let (tokens_per_param, source) = by_laws.or(own).filter(|(ratio, _)| ratio.value.is_finite())?;
        let (approach, limits) = (fit.approach, limits(fit, source));
        Some(Self { tokens_per_param, budget, counting, approach, source, limits })
    }

    /// Why [`Headline::of`] finds none among these fits, in words that stand behind a colon.
    pub fn missing<'a>(fits: impl IntoIterator<Item = &'a Summary>) -> String {
        let mut of_approach = fits.into_iter().filter(|fit| fit.approach == APPROACH).peekable();
        if of_approach.peek().is_none() {
            return format!("{}, which gives it, is not among these fits", APPROACH.name());
        }
        of_approach.find(|fit| fit.counting == COUNTED).map_or_else(
            || "there is no fit with all parameters counted".to_owned(),
            |fit| match fit.conclusion.strip_prefix("Not identified: ") {
                // Once is enough.
                Some(why) => format!("{}: {why}", Status::NotIdentified.name()),
                None => format!("{}. {}", fit.status.words(), fit.conclusion),
            },
        )
    }

    /// With what the runs themselves say of its limits.
    #[must_use]
    pub fn measured_by(mut self, observations: &[Observation]) -> Self {
        self.limits.extend(one_seed(observations).then(|| "each point was trained with one seed".to_owned()));
        self
    }

    /// Tokens per parameter with their interval: `15.0 (13.3 to 16.5)`.
    pub fn number(&self) -> String {
        let Estimate { value, low, high } = self.tokens_per_param;
        if low.is_finite() && high.is_finite() {
            format!("{} ({} to {})", Ratio(value), Ratio(low), Ratio(high))
        } else {
            format!("{} (no interval)", Ratio(value))
        }
    }

    /// The limits in one sentence; nothing where there is none to tell of.
    pub fn limited_by(&self) -> Option<String> {
        (!self.limits.is_empty()).then(|| format!("What limits it: {}.", self.limits.join("; ")))
    }
}

impl fmt::Display for Headline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (number, budget, approach, counted) =
            (self.number(), Flops(self.budget), self.approach.name(), counted(self.counting));
        write!(f, "{number} tokens per parameter at {budget} FLOPs, {approach}, {counted}")
    }
}

/// What is counted, in the words of a headline.
pub const fn counted(counting: Counting) -> &'static str {
    match counting {
        Counting::All => "all parameters",
        Counting::NonEmbedding => "blocks only",
        Counting::BlocksAndUnembedding => "blocks and unembedding",
    }
}

/// What the budgets say of the limits of a fit.
fn limits(fit: &Summary, source: Source) -> Vec<String> {
    let optima: Vec<_> = fit.optima.iter().flatten().collect();
    let open: Vec<String> =
        optima.iter().filter(|o| o.status != Status::Converged).map(|o| Flops(o.budget).to_string()).collect();
    let mut limits = Vec::new();
    if !open.is_empty() {
        limits.push(format!("{} of {} budgets have no optimum ({})", open.len(), optima.len(), open.join(", ")));
    }
    match (source, optima.len() - open.len()) {
        (Source::OwnCurve, found) => {
            limits.push(format!(
                "{found} of the budgets have an optimum, but power laws need 3: the number comes from one curve"
            ));
        }
        (Source::Laws, 3) => limits.push("3 budgets are the fewest that can show a power law".to_owned()),
        (Source::Laws, _) => {}
    }
    limits
}

/// Whether no point was repeated: repeats are runs that differ in their seed alone.
pub fn one_seed(observations: &[Observation]) -> bool {
    let mut seeds: BTreeMap<[u64; 3], BTreeSet<Option<u64>>> = BTreeMap::new();
    for o in observations {
        let budget = o.flop_budget.unwrap_or(o.flops);
        seeds.entry([o.params, o.tokens, budget].map(f64::to_bits)).or_default().insert(o.seed);
    }
    !seeds.is_empty() && seeds.values().all(|seeds| seeds.len() == 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fit::approaches::approach2::{Approach2, Optimum};
    use crate::fit::approaches::optimal::TokensPerParam;

    /// Budgets 1e12, 2e12, ... of which the first `identified` have an optimum; the laws say 10 more than each curve.
    fn fit(identified: usize, budgets: usize) -> Summary {
        let estimate = |value: f64| Estimate { value, low: value - 1.0, high: value + 1.0 };
        let optimum = |k: usize| Optimum {
            budget: (k + 1) as f64 * 1e12,
            points: 7,
            status: if k < identified { Status::Converged } else { Status::EdgeMinimum },
            params: None,
            tokens: None,
            tokens_per_param: (k < identified).then(|| estimate(20.0 + k as f64)),
            loss: None,
            parabola_params: None,
            parabola_tokens: None,
            steep: None,
        };
        let law = |k: usize| TokensPerParam { flops: (k + 1) as f64 * 1e12, ratio: estimate(30.0 + k as f64) };
        let laws = identified >= 3;
        Summary::from(&Approach2 {
            counting: COUNTED,
            status: if laws { Status::Converged } else { Status::TooFewPoints },
            points: 7 * budgets,
            optima: (0..budgets).map(optimum).collect(),
            n_opt: None,
            d_opt: None,
            tokens_per_param: (0..if laws { budgets } else { 0 }).map(law).collect(),
            sure: None,
            conclusion: String::new(),
        })
    }

    #[test]
    fn the_headline_is_the_laws_ratio_at_the_largest_budget_with_an_optimum() {
        let headline = Headline::of([&fit(3, 4)]).unwrap();
        assert_eq!((headline.tokens_per_param.value, headline.budget, headline.source), (32.0, 3e12, Source::Laws));
        assert_eq!(
            headline.to_string(),
            "32.0 (31.0 to 33.0) tokens per parameter at 3e12 FLOPs, approach 2, all parameters"
        );
        assert_eq!(
            headline.limited_by().unwrap(),
            "What limits it: 1 of 4 budgets have no optimum (4e12); 3 budgets are the fewest that can show a power law."
        );
        assert_eq!(Headline::of([&fit(5, 5)]).unwrap().limited_by(), None);
    }

    #[test]
    fn too_few_budgets_for_laws_leave_the_largest_curve_and_none_leave_nothing() {
        let headline = Headline::of([&fit(2, 3)]).unwrap();
        assert_eq!((headline.tokens_per_param.value, headline.budget, headline.source), (21.0, 2e12, Source::OwnCurve));
        assert!(headline.limits.iter().any(|limit| limit.contains("from one curve")));
        assert_eq!(Headline::of([&fit(0, 3)]), None);
        assert_eq!(Headline::of([&fit(0, 0)]), None);
        assert_eq!(Headline::counting([&fit(3, 3)], Counting::NonEmbedding), None);
    }
}
