//! The runs of a sweep that were chosen, as the process that chooses knows them.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard};

use crate::plan::RunId;

/// The runs of a sweep that were chosen.
#[derive(Debug, Default)]
pub(super) struct Chosen(Mutex<BTreeSet<RunId>>);

impl Chosen {
    /// These.
    pub(super) fn of(ids: BTreeSet<RunId>) -> Self {
        Self(Mutex::new(ids))
    }

    /// Their ids.
    pub(super) fn ids(&self) -> MutexGuard<'_, BTreeSet<RunId>> {
        self.0.lock().expect("no holder of this lock panics")
    }
}
