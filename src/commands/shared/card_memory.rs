//! How much memory of a card the runs of a plan take.

use std::fmt;

use serde::Serialize;

use crate::plan::{Plan, PlannedRun};
use crate::units::Bytes;

/// Bytes of a card's memory, beside what its driver takes for itself.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct CardMemory {
    /// Of the run that takes most.
    run: f64,
    /// Of as many runs as are trained on one card at a time, where these are the largest.
    slots: f64,
}

impl CardMemory {
    /// Of a plan on a kind of device with so many slots each; nothing where that is not known beforehand, as for programs.
    pub fn of(plan: &Plan, kind: &str, slots: usize) -> Option<Self> {
        let taken = |planned: &PlannedRun| match planned.run.program {
            None => bytes(kind, planned).map(|bytes| bytes as f64),
            Some(_) => None,
        };
        let mut each = plan.runs.iter().map(taken).collect::<Option<Vec<f64>>>()?;
        each.sort_by(|a, b| b.total_cmp(a));
        Some(Self { run: *each.first()?, slots: each.iter().take(slots).sum() })
    }
}

impl fmt::Display for CardMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "memory of a card: up to {} a run", Bytes(self.run))?;
        if self.slots > self.run {
            write!(f, ", {} where all slots have their largest", Bytes(self.slots))?;
        }
        Ok(())
    }
}

#[cfg(feature = "train")]
fn bytes(kind: &str, planned: &PlannedRun) -> Option<usize> {
    crate::train::bytes(kind, &planned.run)
}

#[cfg(not(feature = "train"))]
fn bytes(_: &str, _: &PlannedRun) -> Option<usize> {
    None
}
