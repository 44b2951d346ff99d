//! What every approach says in the same words: the object that `--json` prints and `allocate` and `predict` read.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::fit::approaches::approach::Approach;
use crate::fit::approaches::approach1::Approach1;
use crate::fit::approaches::approach2::Approach2;
use crate::fit::approaches::approach2::akima::SplineFit;
use crate::fit::approaches::approach2::bias::Bias;
use crate::fit::approaches::approach2::sure::Sure;
use crate::fit::approaches::cost::Cost;
use crate::fit::approaches::forecast::Forecast;
use crate::fit::approaches::optimal::TokensPerParam;
use crate::fit::approaches::parametric::SurfaceFit;
use crate::fit::approaches::points::Trained;
use crate::fit::approaches::surface::Priced;
use crate::fit::approaches::surface::Surface;
use crate::fit::numerics::residuals::Residuals;
use crate::fit::{Estimate, Status};
use crate::observation::Counting;

/// One approach under one convention of counting, with nothing where the approach has no such number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The approach.
    pub approach: Approach,
    /// Which weights were counted as parameters.
    pub counting: Counting,
    /// Whether the numbers may be used.
    pub status: Status,
    /// Observations used.
    pub points: usize,
    /// Irreducible loss, in nats per token.
    #[serde(rename = "E")]
    pub e: Option<f64>,
    /// Coefficient of the parameters' term.
    #[serde(rename = "A")]
    pub a: Option<f64>,
    /// Coefficient of the tokens' term.
    #[serde(rename = "B")]
    pub b: Option<f64>,
    /// Exponent of parameters in the loss.
    pub alpha: Option<f64>,
    /// Exponent of tokens in the loss.
    pub beta: Option<f64>,
    /// Exponent of `N_opt` in compute.
    pub n_exponent: Option<f64>,
    /// Exponent of `D_opt` in compute.
    pub d_exponent: Option<f64>,
    /// What was minimised, at its minimum.
    pub objective: Option<f64>,
    /// Where the Huber loss becomes linear.
    pub delta: Option<f64>,
    /// 95% intervals by the name of the field.
    pub intervals: BTreeMap<String, [f64; 2]>,
    /// FLOPs of training from which exponents and ratios follow, for surfaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Cost>,
    /// What the runs span, for surfaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trained: Option<Trained>,
    /// What was drawn with replacement for the intervals, which are 95% percentiles.
    #[serde(default)]
    pub resampled: String,
    /// The group of rows, where the table was split by a column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Tokens per parameter at the budgets of the data and beyond.
    pub tokens_per_param: Vec<TokensPerParam>,
    /// The optimum of each budget, for approaches that have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub optima: Option<Vec<BudgetOptimum>>,
    /// Residuals in log loss, for approaches that fit all runs at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub residuals: Option<Residuals>,
    /// The largest budget predicted from the smaller ones, where there are enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forecast: Option<Forecast>,
    /// How sure tokens per parameter are, and what would make them surer, for approach 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sure: Option<Sure>,
    /// What the parabola does to this grid where the surface of VPNLS is the truth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bias: Option<Bias>,
    /// Approach 2 with splines and weighted regression instead of parabolas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spline: Option<SplineFit>,
    /// Constants that ended at a bound of what was searched: their intervals are one-sided, or absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub at_bound: Vec<String>,
    /// Resampled surfaces, from which `allocate` and `predict` take their intervals.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub draws: Vec<Surface>,
    /// What may be concluded, in a sentence.
    pub conclusion: String,
    /// The same approach under other conventions of counting.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub other_countings: Vec<Summary>,
}

/// The optimum of one budget.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BudgetOptimum {
    /// The budget, in FLOPs.
    pub budget: f64,
    /// Runs on the curve.
    pub points: usize,
    /// Compute-optimal number of parameters.
    pub params: Option<f64>,
    /// Compute-optimal number of tokens.
    pub tokens: Option<f64>,
    /// Loss at the optimum, in nats per token.
    pub loss: Option<f64>,
    /// Lower end of the 95% interval of `params`.
    pub low: Option<f64>,
    /// Upper end of the 95% interval of `params`.
    pub high: Option<f64>,
    /// 95% interval of `tokens`.
    pub tokens_interval: Option<[f64; 2]>,
    /// Tokens for each parameter with its 95% interval.
    pub tokens_per_param: Option<Estimate>,
    /// Whether the numbers may be used.
    pub status: Status,
}

impl From<&Approach1> for Summary {
    fn from(fit: &Approach1) -> Self {
        let mut summary = Self::new(Approach::Envelope, fit.counting, fit.status, fit.points, &fit.conclusion);
        summary.set_laws(fit.n_opt.map(|law| law.exponent), fit.d_opt.map(|law| law.exponent));
        let resampled = "whole curves".to_owned();
        Self { tokens_per_param: fit.tokens_per_param.clone(), resampled, ..summary }
    }
}

impl From<&Approach2> for Summary {
    fn from(fit: &Approach2) -> Self {
        let mut summary = Self::new(Approach::Parabolas, fit.counting, fit.status, fit.points, &fit.conclusion);
        summary.set_laws(fit.n_opt.map(|law| law.exponent), fit.d_opt.map(|law| law.exponent));
        let optima = fit.optima.iter().map(|optimum| BudgetOptimum {
            budget: optimum.budget,
            points: optimum.points,
            params: optimum.params.map(|params| params.value),
            tokens: optimum.tokens.map(|tokens| tokens.value),
            loss: optimum.loss.map(|loss| loss.value),
            low: optimum.params.map(|params| params.low),
            high: optimum.params.map(|params| params.high),
            tokens_interval: optimum.tokens.map(|tokens| [tokens.low, tokens.high]),
            tokens_per_param: optimum.tokens_per_param,
            status: optimum.status,
        });
        let resampled = "losses at fixed sizes".to_owned();
        Self {
            tokens_per_param: fit.tokens_per_param.clone(),
            optima: Some(optima.collect()),
            resampled,
            sure: fit.sure.clone(),
            ..summary
        }
    }
}

impl From<&SurfaceFit> for Summary {
    fn from(fit: &SurfaceFit) -> Self {
        let mut summary = Self::new(fit.approach, fit.counting, fit.status, fit.points, &fit.conclusion);
        summary.set_laws(fit.n_exponent, fit.d_exponent);
        for (name, estimate) in ["E", "A", "B", "alpha", "beta"].into_iter().zip(fit.constants.into_iter().flatten()) {
            // All resamples at one bound are no certainty; of exact losses they are all alike.
            if estimate.high > estimate.low || estimate.high >= estimate.low && !fit.at_bound.contains(&name) {
                summary.intervals.insert(name.to_owned(), [estimate.low, estimate.high]);
            }
        }
        Self {
            e: fit.surface.map(|surface| surface.e),
            a: fit.surface.map(|surface| surface.a),
            b: fit.surface.map(|surface| surface.b),
            alpha: fit.surface.map(|surface| surface.alpha),
            beta: fit.surface.map(|surface| surface.beta),
            objective: fit.objective,
            delta: fit.delta,
            tokens_per_param: fit.tokens_per_param.clone(),
            residuals: fit.residuals,
            draws: fit.draws.clone(),
            cost: Some(fit.cost),
            trained: fit.trained,
            resampled: fit.resampled.clone(),
            at_bound: fit.at_bound.iter().map(|name| (*name).to_owned()).collect(),
            ..summary
        }
    }
}

impl Summary {
    fn new(approach: Approach, counting: Counting, status: Status, points: usize, conclusion: &str) -> Self {
        Self {
            approach,
            counting,
            status,
            points,
            e: None,
            a: None,
            b: None,
            alpha: None,
            beta: None,
            n_exponent: None,
            d_exponent: None,
            objective: None,
            delta: None,
            intervals: BTreeMap::new(),
            cost: None,
            trained: None,
            resampled: String::new(),
            group: None,
            tokens_per_param: Vec::new(),
            optima: None,
            residuals: None,
            forecast: None,
            sure: None,
            bias: None,
            spline: None,
            at_bound: Vec::new(),
            draws: Vec::new(),
            conclusion: conclusion.to_owned(),
            other_countings: Vec::new(),
        }
    }

    fn set_laws(&mut self, n: Option<Estimate>, d: Option<Estimate>) {
        (self.n_exponent, self.d_exponent) = (n.map(|n| n.value), d.map(|d| d.value));
        for (name, exponent) in [("n_exponent", n), ("d_exponent", d)] {
            if let Some(exponent) = exponent {
                self.intervals.insert(name.to_owned(), [exponent.low, exponent.high]);
            }
        }
    }

    /// The fitted surface, where the approach has one.
    pub fn surface(&self) -> Option<Surface> {
        Some(Surface { e: self.e?, a: self.a?, b: self.b?, alpha: self.alpha?, beta: self.beta? })
    }

    /// The fitted surface and what training costs; 6ND where the file does not say, also beyond the largest model.
    pub fn priced(&self) -> Option<Priced> {
        let cost = self.cost.unwrap_or_default();
        let largest = self.trained.map(|trained| trained.params[1]);
        Some(Priced { surface: self.surface()?, cost: cost.ending_at(largest) })
    }

    /// A value with its interval by the name of its field.
    pub fn estimate(&self, name: &str, value: Option<f64>) -> Option<Estimate> {
        let [low, high] = *self.intervals.get(name)?;
        Some(Estimate { value: value?, low, high })
    }

    /// One object an approach: the first of `countings` leads and carries the others.
    pub fn nested(mut countings: Vec<Self>) -> Option<Self> {
        if countings.is_empty() {
            return None;
        }
        let mut first = countings.remove(0);
        first.other_countings = countings;
        Some(first)
    }
}
