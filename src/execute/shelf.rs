//! Checkpoints of the run that a worker holds, as the trainer sees them.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Write};

use crate::ledger::Claim;
use crate::plan::RunId;
use crate::trainer::Checkpoints;

/// Puts checkpoints into the folder of the claim's attempt, and says on standard error which ones are of no use.
pub(super) struct Shelf<'a, 'l> {
    /// The right to train the run.
    pub(super) claim: &'a RefCell<Claim<'l>>,
    /// The run.
    pub(super) run: &'a RunId,
}

impl Checkpoints for Shelf<'_, '_> {
    fn load(&mut self, read: &mut dyn FnMut(&mut File) -> Result<(), String>) -> bool {
        let run = self.run;
        let found = match self.claim.borrow().checkpoints() {
            Ok(found) => found,
            Err(error) => {
                eprintln!("run {run} starts again from step 0: {error}");
                return false;
            }
        };
        let last = found.len();
        for (at, (path, mut file)) in found.into_iter().enumerate() {
            match read(&mut file) {
                Ok(()) => return true,
                Err(reason) => {
                    let next =
                        if at + 1 < last { "the one before it is used" } else { "the run starts again from step 0" };
                    eprintln!("run {run}: checkpoint {} cannot be used: {reason}; {next}", path.display());
                }
            }
        }
        false
    }

    fn save(&mut self, write: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
        self.claim.borrow_mut().save(write).map_err(|error| {
            eprintln!("run {}: no checkpoint: {error}", self.run);
            io::Error::other(error)
        })
    }

    fn keep_model(&mut self, write: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
        self.claim.borrow().keep_model(write).map_err(|error| {
            eprintln!("run {}: the model is not kept: {error}", self.run);
            io::Error::other(error)
        })
    }
}
