//! What a sweep asks by a law, and what the fits of it say.

use super::figure::Figure;
use crate::fit::Status;

/// What a spec asks by `[fit]`, with what its runs say.
#[derive(Clone, Debug)]
pub struct Question {
    /// The name of the law.
    pub law: &'static str,
    /// A fit for each group of runs, and the comparisons of groups.
    pub answers: Vec<LawAnswer>,
    /// Its figures.
    pub figures: Vec<Figure>,
    /// Why there is no answer, where there is none.
    pub problem: Option<String>,
}

/// One fit.
#[derive(Clone, Debug)]
pub struct LawAnswer {
    /// The group of runs, where there are several.
    pub name: Option<String>,
    /// Whether its numbers may be used.
    pub status: Status,
    /// What may be concluded, in a sentence.
    pub conclusion: String,
}

impl Question {
    /// The conclusions, each with the group that it is of.
    pub(super) fn conclusions(&self) -> Vec<(String, String)> {
        let name = |answer: &LawAnswer| answer.name.clone().unwrap_or_else(|| self.law.to_owned());
        self.answers.iter().map(|answer| (name(answer), answer.conclusion.clone())).collect()
    }

    /// Fits whose numbers may not be used.
    pub(super) fn warnings(&self) -> Vec<String> {
        let open = self.answers.iter().filter(|answer| answer.status != Status::Converged);
        let told = open.map(|answer| {
            let name = answer.name.as_deref().unwrap_or(self.law);
            format!("{name}: {}.", answer.status.words())
        });
        told.chain(self.problem.clone()).collect()
    }
}
