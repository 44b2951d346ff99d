//! Sweeps that do not train all of their runs: which is trained next. Asks `fit`, never trains.
//!
//! | what decides | module |
//! |---|---|
//! | a goal that is to be known: `sweep.choose` | [`goal`] |
//! | the runs that it begins with: `sweep.known` | `known` |
//! | the best settings of each point: `sweep.tune` | [`tuning`] |

pub mod goal;
mod known;
pub mod tuning;

use std::cell::Cell;

use self::goal::{ChooseError, ForGoal};
pub use self::known::KnownError;
use self::tuning::Tuning;
use crate::ledger::{Ledger, LedgerError};
use crate::plan::Plan;
use crate::spec::Spec;

/// Chooses runs as results come.
pub struct Chooser {
    by: By,
    /// Runs that were over and places at the last look, where it chose nothing: until one of them changes the next look would
    /// find the same, and would read all results for it.
    idle_at: Cell<Option<[usize; 2]>>,
}

/// What decides.
enum By {
    /// Those that tell a goal.
    ForGoal(ForGoal),
    /// Those that lead to the best settings.
    Tuning(Tuning),
}

impl Chooser {
    /// What the sweep of a spec asks for; nothing for one that trains all of its runs.
    pub fn of(spec: &Spec) -> Result<Option<Self>, KnownError> {
        let for_goal = spec.sweep.as_ref().map(ForGoal::of).transpose()?.flatten();
        let by = for_goal.map(By::ForGoal).or_else(|| Tuning::of(spec).map(By::Tuning));
        Ok(by.map(|by| Self { by, idle_at: Cell::new(None) }))
    }

    /// What was known before the first run, in sentences for people.
    pub fn known(&self) -> &[String] {
        match &self.by {
            By::ForGoal(chooser) => chooser.known(),
            By::Tuning(_) => &[],
        }
    }

    /// Fails where these candidates cannot serve it.
    pub fn check(&self, candidates: &Plan) -> Result<(), ChooseError> {
        let limit_flops = match &self.by {
            By::ForGoal(chooser) => chooser.limit_flops(),
            By::Tuning(tuning) => tuning.limit_flops(),
        };
        let cheapest = candidates.runs.iter().map(|run| run.flops).fold(f64::INFINITY, f64::min);
        if let Some(limit) = limit_flops.filter(|limit| *limit < cheapest) {
            return Err(ChooseError::Limit { limit, cheapest });
        }
        match &self.by {
            By::ForGoal(chooser) => chooser.check(candidates),
            By::Tuning(_) => Ok(()),
        }
    }

    /// Chooses up to `places` runs less those under way, and tells of each in a line.
    pub fn more(&self, ledger: &Ledger, places: usize) -> Result<Vec<String>, LedgerError> {
        let over = ledger.wanted().into_iter().filter(|run| ledger.is_over(&run.id)).count();
        let now = [over, places];
        if self.idle_at.get() == Some(now) {
            return Ok(Vec::new());
        }
        let told = match &self.by {
            By::ForGoal(chooser) => chooser.more(ledger, places),
            By::Tuning(tuning) => tuning.more(ledger, places),
        }?;
        self.idle_at.set(told.is_empty().then_some(now));
        Ok(told)
    }

    /// Records where choosing ended, and tells it: what is known, and why no more runs are chosen.
    pub fn conclude(&self, ledger: &Ledger) -> Result<Option<String>, LedgerError> {
        match &self.by {
            By::ForGoal(chooser) => chooser.conclude(ledger),
            By::Tuning(tuning) => tuning.conclude(ledger),
        }
    }
}
