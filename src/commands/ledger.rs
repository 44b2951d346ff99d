//! `runner ledger`: looks for damage in a results folder, or derives its tables, fits and report again.

use std::process::ExitCode;

use super::results::{self, MissingCorpus};
use super::shared::stdout;
use super::shared::{folder, rehearsed};
use crate::cli::{LedgerArgs, LedgerCommand, RebuildArgs};
use crate::execute::Tally;
use crate::ledger::{Ledger, conflict_warning};
use crate::spec;

/// Runs the command.
pub fn run(command: &LedgerCommand) -> anyhow::Result<ExitCode> {
    let (LedgerCommand::Check(LedgerArgs { dir }) | LedgerCommand::Rebuild(RebuildArgs { dir, .. })) = command;
    let ledger = Ledger::open(dir)?;
    rehearsed::say_if(ledger.losses());
    let check = ledger.check();
    for error in &check.damaged {
        tell!("error: {error}");
    }
    let conflicts = ledger.conflicts()?;
    for path in &conflicts {
        tell!("{}", conflict_warning(path));
    }
    if !check.damaged.is_empty() {
        tell!("{} damaged files in {}; nothing was changed", check.damaged.len(), dir.display());
        return Ok(ExitCode::from(1));
    }
    if let LedgerCommand::Rebuild(RebuildArgs { cache, .. }) = command {
        if let Some(missing) = folder::missing_results(&ledger) {
            anyhow::bail!("{missing}: their rows would be lost; copy the rest of runs/, or remove runs.csv first");
        }
        let spec = spec::load(&dir.join("spec.toml"))?;
        results::write(&ledger, &spec, &Tally::of(&ledger)?, (cache, MissingCorpus::LeaveOut))?;
        let runs = dir.join("runs.csv");
        tell!("{}, curves.csv, fits.json and report.html are derived from {} results", runs.display(), check.results);
    }
    let (results, runs) = (check.results, check.runs);
    let sealed =
        if ledger.has_checksums() { "checksums match" } else { "no checksums in tables and in the older layout" };
    stdout::print(&format!("{results} results of {runs} runs are whole ({sealed}), {} conflicts\n", conflicts.len()))?;
    Ok(ExitCode::SUCCESS)
}
