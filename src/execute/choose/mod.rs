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

use self::goal::{ChooseError, ForGoal};
pub use self::known::KnownError;
use self::tuning::Tuning;
use crate::ledger::{Ledger, LedgerError};
use crate::plan::Plan;
use crate::spec::Spec;

/// Chooses runs as results come.
pub enum Chooser {
    /// Those that tell a goal.
    ForGoal(ForGoal),
    /// Those that lead to the best settings.
    Tuning(Tuning),
}

impl Chooser {
    /// What the sweep of a spec asks for; nothing for one that trains all of its runs.
    pub fn of(spec: &Spec) -> Result<Option<Self>, KnownError> {
        let for_goal = spec.sweep.as_ref().map(ForGoal::of).transpose()?.flatten();
        Ok(for_goal.map(Self::ForGoal).or_else(|| Tuning::of(spec).map(Self::Tuning)))
    }

    /// What was known before the first run, in sentences for people.
    pub fn known(&self) -> &[String] {
        match self {
            Self::ForGoal(chooser) => chooser.known(),
            Self::Tuning(_) => &[],
        }
    }

    /// Fails where these candidates cannot serve it.
    pub fn check(&self, candidates: &Plan) -> Result<(), ChooseError> {
        match self {
            Self::ForGoal(chooser) => chooser.check(candidates),
            Self::Tuning(_) => Ok(()),
        }
    }

    /// Chooses up to `places` runs less those under way, and tells of each in a line.
    pub fn more(&self, ledger: &Ledger, places: usize) -> Result<Vec<String>, LedgerError> {
        match self {
            Self::ForGoal(chooser) => chooser.more(ledger, places),
            Self::Tuning(tuning) => tuning.more(ledger, places),
        }
    }

    /// Records where choosing ended, and tells it: what is known, and why no more runs are chosen.
    pub fn conclude(&self, ledger: &Ledger) -> Result<Option<String>, LedgerError> {
        match self {
            Self::ForGoal(chooser) => chooser.conclude(ledger),
            Self::Tuning(tuning) => tuning.conclude(ledger),
        }
    }
}
