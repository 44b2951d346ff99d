//! A sweep that grows: a spec whose runs are those of the folder and more goes on in the same folder.
//!
//! ```text
//! specs/<n>.toml          the earlier specs, in their order
//! specs/history.jsonl     until when each held, and how many runs it planned
//! ```

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::{LedgerError, files};
use crate::plan::{Plan, RunId};

/// A spec that another one took the place of.
#[derive(Debug, Serialize, Deserialize)]
struct Before {
    /// Its file, from the results folder.
    spec: String,
    /// Runs that it planned.
    runs: usize,
    /// When it was replaced, in seconds since 1970.
    until: u64,
}

/// Whether `new` has all runs of `old`.
pub(super) fn covers(new: &Plan, old: &Plan) -> bool {
    let ids = |plan: &Plan| plan.runs.iter().map(|run| run.id.clone()).collect::<BTreeSet<RunId>>();
    ids(new).is_superset(&ids(old))
}

/// Keeps the earlier spec. A call that is cut short later keeps it once more, which does no harm.
pub(super) fn keep_spec(dir: &Path, spec: &[u8], plan: &Plan) -> Result<(), LedgerError> {
    let folder = dir.join("specs");
    files::create_dir(&folder)?;
    let history = folder.join("history.jsonl");
    let mut lines = files::read(&history)?.unwrap_or_default();
    let number = lines.split(|byte| *byte == b'\n').count();
    let name = format!("{number}.toml");
    files::write(&folder.join(&name), spec)?;
    let until = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let before = Before { spec: format!("specs/{name}"), runs: plan.runs.len(), until };
    serde_json::to_writer(&mut lines, &before).expect("text and numbers");
    lines.push(b'\n');
    files::write(&history, &lines)
}
