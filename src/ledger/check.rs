//! Looking for damage.

use std::fs;

use super::folder::check_spec;
use super::{Ledger, LedgerError, files};
use crate::plan::RunId;

/// What a check found.
#[derive(Debug, Default)]
pub struct Check {
    /// Results that are whole.
    pub results: usize,
    /// Runs of the plan.
    pub runs: usize,
    /// Every damaged file, with what is wrong and what to do.
    pub damaged: Vec<LedgerError>,
}

impl Ledger {
    /// Reads every file that this folder's tables are derived from, and compares each with its checksum. Plan and kind
    /// have been compared when it was opened.
    pub fn check(&self) -> Check {
        let mut check = Check { runs: self.plan.runs.len(), ..Check::default() };
        let spec = self.dir.join("spec.toml");
        let text = fs::read_to_string(&spec).map_err(LedgerError::io("read", &spec));
        check.damaged.extend(text.and_then(|text| check_spec(&spec, &text)).err());
        for run in &self.plan.runs {
            // An earlier layout has identities of an earlier version.
            if self.sealed && run.run.id() != run.id {
                let reason = format!("the run that it calls {} is run {}", run.id, run.run.id());
                check.damaged.push(LedgerError::Damaged { path: self.dir.join("plan.json"), reason });
            }
            match self.check_run(&run.id) {
                Ok(has_result) => check.results += usize::from(has_result),
                Err(error) => check.damaged.push(error),
            }
        }
        check
    }

    fn check_run(&self, id: &RunId) -> Result<bool, LedgerError> {
        let result = self.result(id)?;
        if let Some(result) = &result {
            self.curve(result)?;
        }
        files::read_json::<super::Failure>(&self.failed_path(id))?;
        files::read_sealed::<super::Stopped>(&self.stopped_path(id))?;
        self.failures(id)?;
        Ok(result.is_some())
    }
}
