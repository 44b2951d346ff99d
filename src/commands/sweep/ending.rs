//! The end of a sweep: fits, report, closing lines, exit code.

use std::path::Path;
use std::process::ExitCode;

use crate::commands::results::{self, MissingCorpus};
use crate::commands::shared::stdout;
use crate::commands::shared::{closing, trunks};
use crate::execute::Tally;
use crate::ledger::{Ledger, Losses, REHEARSED, conflict_warning};
use crate::report::words;
use crate::spec::Spec;
use crate::units;

/// Fits and reports when all runs are over.
pub(super) fn finish(ledger: &Ledger, spec: &Spec, cache: &Path, tally: &Tally) -> anyhow::Result<ExitCode> {
    match tally.finished {
        0 => tell!("no run finished, so nothing is fitted. Writing the report"),
        finished => tell!("finished: {finished}. Fitting, and writing the report"),
    }
    let derived = results::write(ledger, spec, tally, (cache, MissingCorpus::Prepare))?;
    let printed = stdout::print(&derived.text());
    conclude(ledger, tally)?;
    closing::say(&last_words(ledger, tally, &derived)?);
    // Divergence of some is a finding; of all it is a mistake.
    if !tally.failed.is_empty() || tally.pending > 0 || tally.finished == 0 {
        return Ok(ExitCode::from(1));
    }
    printed?;
    Ok(ExitCode::SUCCESS)
}

/// Failures listed one by one; more of them are only counted.
const LISTED: usize = 20;

fn conclude(ledger: &Ledger, tally: &Tally) -> anyhow::Result<()> {
    for path in &tally.conflicts {
        tell!("{}", conflict_warning(path));
    }
    let diverged = results::diverged(ledger, tally)?;
    for (run, how) in diverged.iter().take(LISTED) {
        tell!("run {run} {how}");
    }
    if let Some(more @ 1..) = diverged.len().checked_sub(LISTED) {
        tell!("{} diverged: runs.csv lists them", units::count(more, "more run"));
    }
    for (device, reason) in &tally.quarantined {
        tell!("device {device} failed several runs in a row and got no more: {reason}");
    }
    for (device, reason) in &tally.shut {
        tell!("{device} did not open and got no runs: {reason}");
    }
    match &tally.fruitless {
        Some(reason) => tell!(
            "{} not trained: the first three had no result, for one reason, so that the others would be lost as well. Mend \
             the program and run the sweep again. The last of them: {reason}",
            words::were(tally.pending, "run")
        ),
        None if tally.pending > 0 => {
            tell!("{} not trained, since no device was left", words::were(tally.pending, "run"));
        }
        None => {}
    }
    if !tally.failed.is_empty() {
        tell!("{} failed:", units::count(tally.failed.len(), "run"));
        for (run, failure) in tally.failed.iter().take(LISTED) {
            tell!("  {run}: {failure}");
        }
        if let Some(more @ 1..) = tally.failed.len().checked_sub(LISTED) {
            tell!("  and {more} more, each in its folder below {}", ledger.dir().join("runs").display());
        }
    }
    Ok(())
}

/// The closing lines: the answer, what limits it, what became of the runs, where the report is, and what to do about
/// runs that are missing.
fn last_words(ledger: &Ledger, tally: &Tally, derived: &results::Derived) -> anyhow::Result<Vec<String>> {
    let answer = &derived.answer;
    let rehearsed = ledger.losses() == Losses::Rehearsed;
    let lead = if rehearsed { format!("{}. {}", REHEARSED, answer.lead) } else { answer.lead.clone() };
    let counts = [("finished", tally.finished), ("diverged", tally.diverged.len())];
    let more = [("stopped early", tally.stopped.len()), ("failed", tally.failed.len()), ("not trained", tally.pending)];
    let counted = counts.iter().chain(&more).filter(|(what, count)| *count > 0 || *what == "finished");
    let counted: Vec<String> = counted.map(|(what, count)| format!("{} {what}", units::count(*count, "run"))).collect();
    let report = ledger.dir().join("report.html");
    let mut lines = vec![lead, answer.limits.clone(), format!("{}. Report: {}", counted.join(", "), report.display())];
    lines.extend(trunks::spent(ledger)?);
    lines.extend(derived.stopped());
    if !tally.failed.is_empty() || tally.pending > 0 {
        lines.push(format!("To try the missing runs again: {}", closing::this_command()));
    }
    Ok(lines)
}
