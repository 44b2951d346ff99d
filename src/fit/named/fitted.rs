//! What any law says when it is fitted: its numbers, its status and its sentence.

use serde::Serialize;

use crate::fit::Status;
use crate::fit::laws::compare::Comparison;
use crate::fit::laws::composition::Composition;
use crate::fit::laws::contrast::Contrast;
use crate::fit::laws::critical_batch::runs::CriticalBatch;
use crate::fit::laws::law::LawFit;
use crate::fit::laws::power::Selection;
use crate::fit::laws::pruning::Pruning;
use crate::fit::laws::written::Written;
use crate::fit::laws::written::ranking::Ranking;
use crate::fit::transfer::optimum::Optimum;
use crate::fit::transfer::tuning::Tuning;

/// A fit of any law.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Fitted {
    /// A law of a few numbers.
    Law(LawFit),
    /// A formula, with what predictions need.
    Written(Box<Written>),
    /// Several laws, the best first.
    Ranking(Ranking),
    /// Laws of one variable.
    Selection(Selection),
    /// Two curves of one variable.
    Comparison(Comparison),
    /// Two curves that cannot be compared.
    NoComparison {
        /// Why not.
        status: Status,
        /// The same in a sentence.
        conclusion: String,
    },
    /// The critical batch size.
    CriticalBatch(CriticalBatch),
    /// The rules of learning rate and batch size.
    Tuning(Tuning),
    /// Pruned data.
    Pruning(Pruning),
    /// Settings against each other.
    Contrast(Contrast),
    /// How the best value of a setting moves.
    Optimum(Optimum),
    /// Mixtures of data.
    Composition(Composition),
}

impl Fitted {
    /// Whether its numbers may be used.
    pub fn status(&self) -> Status {
        match self {
            Self::Law(fit) => fit.status,
            Self::Written(fit) => fit.law.status,
            Self::Ranking(ranking) if ranking.laws.first().is_none_or(|law| law.failure.is_some()) => {
                Status::TooFewPoints
            }
            // That one law predicts better than others says nothing of its numbers, which have a status of their own.
            Self::Ranking(_) => Status::Converged,
            Self::Selection(fit) => fit.status,
            Self::Comparison(fit) => fit.status,
            Self::NoComparison { status, .. } => *status,
            Self::CriticalBatch(fit) => fit.status,
            Self::Tuning(fit) => fit.status,
            Self::Pruning(fit) => fit.status,
            Self::Contrast(fit) => fit.status,
            Self::Optimum(fit) => fit.status,
            Self::Composition(fit) => fit.status,
        }
    }

    /// What may be concluded, in a sentence.
    pub fn conclusion(&self) -> &str {
        match self {
            Self::Law(fit) => &fit.conclusion,
            Self::Written(fit) => &fit.law.conclusion,
            Self::Ranking(ranking) => &ranking.conclusion,
            Self::Selection(fit) => &fit.conclusion,
            Self::Comparison(fit) => &fit.conclusion,
            Self::NoComparison { conclusion, .. } => conclusion,
            Self::CriticalBatch(fit) => &fit.conclusion,
            Self::Tuning(fit) => &fit.conclusion,
            Self::Pruning(fit) => &fit.conclusion,
            Self::Contrast(fit) => &fit.conclusion,
            Self::Optimum(fit) => &fit.conclusion,
            Self::Composition(fit) => &fit.conclusion,
        }
    }
}
