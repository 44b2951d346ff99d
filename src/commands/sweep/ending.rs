//! The end of a sweep: fits, report, closing lines, exit code.

use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;

use super::results;
use crate::commands::STDOUT;
use crate::commands::shared::{closing, trunks};
use crate::execute::Summary;
use crate::ledger::{Ledger, Losses, conflict_warning};
use crate::spec::Spec;

/// Fits and reports when all runs are over.
pub(super) fn finish(ledger: &Ledger, spec: &Spec, cache: &Path, summary: &Summary) -> anyhow::Result<ExitCode> {
    let derived = results::write(ledger, spec, cache, summary)?;
    let printed = write!(io::stdout(), "{}", derived.text());
    conclude(ledger, summary)?;
    closing::say(&last_words(ledger, summary, &derived)?);
    // Divergence of some is a finding; of all it is a mistake.
    if !summary.failed.is_empty() || summary.pending > 0 || summary.finished == 0 {
        return Ok(ExitCode::from(1));
    }
    printed.context(STDOUT)?;
    Ok(ExitCode::SUCCESS)
}

/// Failures listed one by one; more of them are only counted.
const LISTED: usize = 20;

fn conclude(ledger: &Ledger, summary: &Summary) -> anyhow::Result<()> {
    for path in &summary.conflicts {
        eprintln!("{}", conflict_warning(path));
    }
    let diverged = results::diverged(ledger, summary)?;
    for (run, how) in diverged.iter().take(LISTED) {
        eprintln!("run {run} {how}");
    }
    if let Some(more @ 1..) = diverged.len().checked_sub(LISTED) {
        eprintln!("{more} more runs diverged: runs.csv lists them");
    }
    for (device, reason) in &summary.quarantined {
        eprintln!("device {device} failed several runs in a row and got no more: {reason}");
    }
    for (device, reason) in &summary.shut {
        eprintln!("{device} did not open and got no runs: {reason}");
    }
    if summary.pending > 0 {
        eprintln!("{} runs were not trained, since no device was left", summary.pending);
    }
    if !summary.failed.is_empty() {
        eprintln!("{} runs failed:", summary.failed.len());
        for (run, failure) in summary.failed.iter().take(LISTED) {
            eprintln!("  {run}: {failure}");
        }
        if let Some(more @ 1..) = summary.failed.len().checked_sub(LISTED) {
            eprintln!("  and {more} more, each in its folder below {}", ledger.dir().join("runs").display());
        }
    }
    Ok(())
}

/// The closing lines: the answer, what limits it, what became of the runs, where the report is, and what to do about
/// runs that are missing.
fn last_words(ledger: &Ledger, summary: &Summary, derived: &results::Derived) -> anyhow::Result<Vec<String>> {
    let answer = &derived.answer;
    let rehearsed = ledger.losses() == Losses::Rehearsed;
    let lead = if rehearsed { format!("{}. {}", results::REHEARSAL, answer.lead) } else { answer.lead.clone() };
    let counts = [("finished", summary.finished), ("diverged", summary.diverged.len())];
    let more =
        [("stopped early", summary.stopped.len()), ("failed", summary.failed.len()), ("not trained", summary.pending)];
    let counted = counts.iter().chain(&more).filter(|(what, count)| *count > 0 || *what == "finished");
    let counted: Vec<String> = counted.map(|(what, count)| format!("{count} runs {what}")).collect();
    let report = ledger.dir().join("report.html");
    let mut lines = vec![lead, answer.limits.clone(), format!("{}. Report: {}", counted.join(", "), report.display())];
    lines.extend(trunks::spent(ledger)?);
    lines.extend(derived.stopped());
    if !summary.failed.is_empty() || summary.pending > 0 {
        lines.push(format!("To try the missing runs again: {}", closing::this_command()));
    }
    Ok(lines)
}
