//! Runs that were trained before and that choosing begins with: `sweep.known`.

use std::path::{Path, PathBuf};

use crate::fit::design::{Candidate, Stand};
use crate::fit::table::{self, Columns, Field, Options, TableError};
use crate::ledger::REHEARSED;
use crate::observation::{Counting, Observation};
use crate::spec::{Sweep, Tuned};
use crate::units::{Flops, count};

/// What was known before the first run.
#[derive(Debug, Default)]
pub struct Known {
    /// The runs, all finished.
    pub runs: Vec<Candidate>,
    /// Where they are from, and what was assumed, in sentences for people.
    pub said: Vec<String>,
}

/// Why they cannot be learned from.
#[derive(Debug, thiserror::Error)]
pub enum KnownError {
    /// No table of runs, or a bad one.
    #[error("sweep.known: {0}")]
    Table(#[from] Box<TableError>),
    /// Sizes that are not those of the candidates.
    #[error(
        "sweep.known: {} counts its parameters as {} alone, and candidates are compared by all of theirs: add a column `params`",
        path.display(),
        counting.name()
    )]
    Counting {
        /// The table.
        path: PathBuf,
        /// How it counts.
        counting: Counting,
    },
    /// The table does not tell what the sweep tunes.
    #[error("sweep.known: sweep.axes varies {field}: {cause}")]
    Tuned {
        /// What is varied.
        field: &'static str,
        /// Why the table does not tell it.
        cause: Box<TableError>,
    },
}

impl Known {
    /// The runs that a sweep names, with the settings that its candidates are tuned in.
    pub(super) fn of(sweep: &Sweep, tuned: &[(Tuned, Field)]) -> Result<Self, KnownError> {
        let mut known = Self::default();
        for path in &sweep.known {
            known.add(path, tuned)?;
        }
        Ok(known)
    }

    fn add(&mut self, path: &Path, tuned: &[(Tuned, Field)]) -> Result<(), KnownError> {
        let (columns, options) = (Columns::default(), Options::default());
        let table = table::read(path, &columns, &options).map_err(Box::new)?;
        if let Some(counting) = table.counted.filter(|counting| *counting != Counting::All) {
            return Err(KnownError::Counting { path: path.to_owned(), counting });
        }
        let mut settings = vec![Vec::new(); table.rows.len()];
        for (setting, field) in tuned {
            let values = table::numbers(path, &columns, [&[*field]], &options, |_| None);
            let cannot = |cause| KnownError::Tuned { field: setting.field(), cause: Box::new(cause) };
            let values = values.map_err(cannot)?.rows;
            settings.iter_mut().zip(values).for_each(|(settings, [value])| settings.push(value));
        }
        let (low, high) = table
            .rows
            .iter()
            .fold((f64::INFINITY, 0.0_f64), |(low, high), run| (low.min(run.flops), high.max(run.flops)));
        self.said.push(format!(
            "known already: {} of {}, from {} to {} FLOPs",
            count(table.rows.len(), "run"),
            path.display(),
            Flops(low),
            Flops(high)
        ));
        if table.rehearsed > 0 {
            self.said.push(format!("warning: {}: {REHEARSED}", path.display()));
        }
        self.said.extend(table.notes.iter().map(|note| format!("note: {}: {note}", path.display())));
        self.said.extend(table.warnings.iter().map(|warning| format!("warning: {}: {warning}", path.display())));
        let runs: Vec<Candidate> = table.rows.iter().zip(settings).map(|(run, tuned)| candidate(run, tuned)).collect();
        let count = runs.len();
        // The same to the last digit are the same runs: the table, or a part of it, under another name.
        let new: Vec<Candidate> = runs.into_iter().filter(|run| !self.runs.contains(run)).collect();
        if new.len() < count {
            let again = count - new.len();
            self.said.push(format!(
                "note: {}: {again} of them are in a table that is named before, and count once",
                path.display()
            ));
        }
        self.runs.extend(new);
        Ok(())
    }
}

fn candidate(run: &Observation, tuned: Vec<f64>) -> Candidate {
    let Observation { params, tokens, flops, loss, .. } = *run;
    Candidate { params, tokens, flops, tuned, stand: Stand::Finished(loss) }
}
