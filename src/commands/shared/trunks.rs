//! What sharing stable phases (`sweep.share_trunk`) is worth, in words.

use crate::ledger::{Ledger, LedgerError};
use crate::trainer::Outcome;
use crate::units::Flops;

/// What is saved by so many FLOPs instead of those that each run takes alone.
pub fn saved(spent: f64, alone: f64) -> String {
    let share = 100.0 * (1.0 - spent / alone);
    let (spent, alone) = (Flops(spent), Flops(alone));
    format!("Shared stable phases: {spent} FLOPs instead of {alone} with each run alone, {share:.0}% less.")
}

/// What the runs that have finished took; nothing where none can share.
pub fn spent(ledger: &Ledger) -> Result<Option<String>, LedgerError> {
    if !ledger.plan().shares_trunks() {
        return Ok(None);
    }
    let (mut spent, mut alone) = (0.0, 0.0);
    for run in &ledger.plan().runs {
        let Some(result) = ledger.result(&run.id)? else { continue };
        let Outcome::Finished { shared_steps, .. } = result.outcome else { continue };
        spent += run.flops * run.own_share(shared_steps);
        alone += run.flops;
    }
    Ok((alone > 0.0).then(|| saved(spent, alone)))
}
