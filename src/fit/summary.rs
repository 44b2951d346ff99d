//! What every approach says in the same words: the object that `--json` prints and `allocate` and `predict` read.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::approach2::{Approach2, TokensPerParam};
use super::{Estimate, Status};
use crate::observation::Counting;

/// One approach under one convention of counting, with nothing where the approach has no such number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// 1, 2, 3 or vpnls.
    pub approach: String,
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
    /// Tokens per parameter at the budgets of the data and beyond.
    pub tokens_per_param: Vec<TokensPerParam>,
    /// The optimum of each budget, for approaches that have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub optima: Option<Vec<BudgetOptimum>>,
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

impl From<&Approach2> for Summary {
    fn from(fit: &Approach2) -> Self {
        let exponents = [("n_exponent", fit.n_opt), ("d_exponent", fit.d_opt)];
        let intervals = exponents
            .iter()
            .filter_map(|(name, law)| Some(((*name).to_owned(), law.as_ref()?.exponent)))
            .map(|(name, exponent)| (name, [exponent.low, exponent.high]))
            .collect();
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
        Self {
            approach: "2".to_owned(),
            counting: fit.counting,
            status: fit.status,
            points: fit.points,
            e: None,
            a: None,
            b: None,
            alpha: None,
            beta: None,
            n_exponent: fit.n_opt.map(|law| law.exponent.value),
            d_exponent: fit.d_opt.map(|law| law.exponent.value),
            objective: None,
            delta: None,
            intervals,
            tokens_per_param: fit.tokens_per_param.clone(),
            optima: Some(optima.collect()),
            conclusion: fit.conclusion.clone(),
            other_countings: Vec::new(),
        }
    }
}

impl Summary {
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
