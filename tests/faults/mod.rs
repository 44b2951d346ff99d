//! Faults on purpose: processes that die, files that are damaged, two who want the same. What takes long is in
//! `scripts/check-faults.sh`.

#[cfg(feature = "cpu")]
mod checkpoints;
#[cfg(feature = "failpoints")]
mod company;
#[cfg(feature = "failpoints")]
mod failpoints;
mod names;
mod owners;
mod records;
mod signals;

use std::process::Child;

use crate::common::{self, Place, TINY};

/// A sweep of so many runs, small enough to be really trained in about half a second each, and rehearsed in no time.
fn spec(runs: usize) -> String {
    let seeds: Vec<usize> = (1..=runs).collect();
    format!("{TINY}[sweep]\nmin_steps = 50\nseeds = {seeds:?}\n")
}

impl Place {
    /// With that sweep in it.
    fn of_runs(runs: usize) -> Self {
        Self::with(&spec(runs))
    }
}

fn signal(name: &str, child: &Child) {
    assert!(common::signal(name, &[child.id()]), "it had ended");
}
