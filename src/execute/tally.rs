//! How a sweep stands: a count of what is in the ledger.

use std::path::PathBuf;

use crate::ledger::{Failure, Ledger, LedgerError, State, Stopped};
use crate::plan::RunId;
use crate::trainer::Outcome;

/// How a sweep stands when its workers have ended.
#[derive(Debug, Default)]
pub struct Tally {
    /// Runs trained to their end.
    pub finished: usize,
    /// Runs that diverged.
    pub diverged: Vec<RunId>,
    /// Runs that were given up, with the reason.
    pub failed: Vec<(RunId, Failure)>,
    /// Runs that were stopped before their ends.
    pub stopped: Vec<(RunId, Stopped)>,
    /// Runs without a result, where the sweep was interrupted.
    pub pending: usize,
    /// Later results that differ from the first.
    pub conflicts: Vec<PathBuf>,
    /// Devices that failed several runs in a row and got no more, with the last reason.
    pub quarantined: Vec<(String, String)>,
    /// Devices that did not open, with the reason.
    pub shut: Vec<(String, String)>,
    /// Why the sweep ended before its runs were begun: the first ones had no result, all for this reason.
    pub fruitless: Option<String>,
    /// The signal that ended the sweep, if one did.
    pub interrupted: Option<i32>,
}

impl Tally {
    /// Counts what is in the ledger.
    pub fn of(ledger: &Ledger) -> Result<Self, LedgerError> {
        let mut tally = Self { conflicts: ledger.conflicts()?, ..Self::default() };
        for run in ledger.wanted() {
            match ledger.state(&run.id)? {
                State::Pending => tally.pending += 1,
                State::Failed(failure) => tally.failed.push((run.id.clone(), failure)),
                State::Stopped(stopped) => tally.stopped.push((run.id.clone(), stopped)),
                State::Ended(result) => match result.outcome {
                    Outcome::Finished { .. } => tally.finished += 1,
                    Outcome::Diverged { .. } => tally.diverged.push(run.id.clone()),
                },
            }
        }
        Ok(tally)
    }
}
