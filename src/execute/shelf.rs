//! Checkpoints of the run that a worker holds, as the trainer sees them.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;

use crate::ledger::Claim;
use crate::plan::{PlannedRun, RunId};
use crate::trainer::Checkpoints;

/// Puts checkpoints into the folder of the claim's attempt, and says on standard error which ones are of no use.
pub(super) struct Shelf<'a, 'l> {
    /// The right to train the run.
    pub(super) claim: &'a RefCell<Claim<'l>>,
    /// The run.
    pub(super) run: &'a PlannedRun,
}

impl Checkpoints for Shelf<'_, '_> {
    fn load(&mut self, read: &mut dyn FnMut(&mut File) -> Result<(), String>) -> bool {
        let run = &self.run.id;
        let found = match self.claim.borrow().checkpoints() {
            Ok(found) => found,
            Err(error) => {
                tell!("run {run} starts again from step 0: {error}");
                return false;
            }
        };
        first_usable(run, found, read, "the run starts again from step 0")
    }

    fn load_trunk(&mut self, read: &mut dyn FnMut(&mut File) -> Result<(), String>) -> bool {
        let found = self.claim.borrow().trunk_ends(self.run);
        first_usable(&self.run.id, found, read, "the run trains its stable phase by itself")
    }

    fn save_trunk(&mut self, write: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
        self.claim.borrow().save_trunk(self.run, write).map_err(|error| {
            tell!("run {}: other runs cannot go on from its stable phase: {error}", self.run.id);
            io::Error::other(error)
        })
    }

    fn save(&mut self, write: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
        self.claim.borrow_mut().save(write).map_err(|error| {
            tell!("run {}: no checkpoint: {error}", self.run.id);
            io::Error::other(error)
        })
    }

    fn keep_model(&mut self, write: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
        self.claim.borrow().keep_model(write).map_err(|error| {
            tell!("run {}: the model is not kept: {error}", self.run.id);
            io::Error::other(error)
        })
    }
}

/// Hands over the files of a run in turn until one is accepted, and says what is wrong with the others.
fn first_usable(
    run: &RunId,
    found: Vec<(PathBuf, File)>,
    read: &mut dyn FnMut(&mut File) -> Result<(), String>,
    without: &str,
) -> bool {
    let last = found.len();
    for (at, (path, mut file)) in found.into_iter().enumerate() {
        match read(&mut file) {
            Ok(()) => return true,
            Err(reason) => {
                let next = if at + 1 < last { "the one before it is used" } else { without };
                tell!("run {run}: checkpoint {} cannot be used: {reason}; {next}", path.display());
            }
        }
    }
    false
}
