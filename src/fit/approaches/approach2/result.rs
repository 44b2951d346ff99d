//! What approach 2 found.

use serde::{Deserialize, Serialize};

use crate::fit::approaches::approach2::steep::Steep;
use crate::fit::approaches::approach2::sure::Sure;
use crate::fit::approaches::optimal::{PowerLaw, TokensPerParam};
use crate::fit::{Estimate, Status};
use crate::observation::Counting;

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
    /// What a steep end made of the curve, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steep: Option<Steep>,
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
    /// How sure the ratio is, and what would make it surer, where there are laws.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sure: Option<Sure>,
    /// What may be concluded, in a sentence.
    pub conclusion: String,
}
