//! A run of a sweep's folder with the file of its weights.

use std::path::{Path, PathBuf};

use anyhow::bail;

use crate::ledger::{Ledger, Losses};
use crate::plan::PlannedRun;

/// The run whose id begins as asked, or the only one, with its kept model or the checkpoint that is asked for.
pub fn kept_model<'a>(
    ledger: &'a Ledger,
    asked: Option<&str>,
    checkpoint: Option<&Path>,
) -> anyhow::Result<(&'a PlannedRun, PathBuf)> {
    if ledger.losses() == Losses::Rehearsed {
        bail!("{} holds a rehearsal: no model was trained", ledger.dir().display());
    }
    let planned = chosen(ledger, asked)?;
    let weights = checkpoint.map_or_else(|| ledger.model_path(&planned.id), Path::to_owned);
    if checkpoint.is_none() && !weights.exists() {
        bail!(
            "the weights of run {} were not kept; train it with --keep-models into another folder, or give --checkpoint",
            planned.id
        );
    }
    Ok((planned, weights))
}

/// The run whose id begins so, or the only one.
fn chosen<'a>(ledger: &'a Ledger, asked: Option<&str>) -> anyhow::Result<&'a PlannedRun> {
    let runs = &ledger.plan().runs;
    let found: Vec<&PlannedRun> =
        runs.iter().filter(|run| asked.is_none_or(|asked| run.id.as_str().starts_with(asked))).collect();
    match (found.as_slice(), asked) {
        ([run], _) => Ok(run),
        ([], Some(asked)) => bail!("no run's id begins with {asked:?}; runs.csv lists them"),
        ([], None) => bail!("{} has no runs", ledger.dir().display()),
        (several, _) => bail!("{} runs; choose one by the beginning of its id with --run", several.len()),
    }
}
