//! `runner status`: how a sweep stands.

use std::io::{self, IsTerminal as _};
use std::process::ExitCode;
use std::time::Duration;

use serde::Serialize;

use super::shared::folder::{self, Folder, NOT_REPORTED};
use super::shared::stdout;
use super::shared::{json, rehearsed};
use crate::cli::StatusArgs;
use crate::execute::{Status, slurm};
use crate::ledger::Ledger;
use crate::units::{self, Flops, Seconds};

/// Time between two looks.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// Clears a terminal and goes to its first line.
const CLEAR: &str = "\x1b[H\x1b[2J";

/// Runs and failures listed one by one; more of them are only counted.
const LISTED: usize = 20;

/// Runs the command.
pub fn run(args: &StatusArgs) -> anyhow::Result<ExitCode> {
    let StatusArgs { dir, watch, json } = args;
    let first = Ledger::open(dir)?;
    folder::warn_of_missing_results(&first);
    let rehearsed = rehearsed::say_if(first.losses());
    loop {
        // Opened at each look: a sweep that chooses or grows writes its plan anew.
        let ledger = Ledger::open(dir)?;
        let status = Status::of(&ledger)?;
        // Tasks in the queue are workers to come, of which the folder knows nothing.
        let array = slurm::state(dir)?.map(|array| array.to_string());
        let reported = !status.is_over() || Folder::open(dir)?.is_reported();
        let text = if *json {
            json_line(&status, array.as_deref(), [reported, rehearsed])?
        } else {
            text(&status, array.as_deref(), reported)
        };
        // On a terminal each look takes the place of the one before.
        let again = if *watch && !json && io::stdout().is_terminal() { CLEAR } else { "" };
        stdout::print(&format!("{again}{text}"))?;
        if !watch || status.is_over() {
            return Ok(ExitCode::from(u8::from(!status.failed.is_empty())));
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}

fn json_line(status: &Status, array: Option<&str>, [reported, rehearsed]: [bool; 2]) -> anyhow::Result<String> {
    #[derive(Serialize)]
    struct Line<'a> {
        #[serde(flatten)]
        status: &'a Status,
        /// How the array of Slurm stands, where one was submitted.
        slurm: Option<&'a str>,
        /// Whether nothing is missing of fits and report, where all runs are over.
        reported: bool,
        /// Whether the losses are made up, which no training produced.
        rehearsed: bool,
    }
    Ok(json::versioned(serde_json::to_value(Line { status, slurm: array, reported, rehearsed })?).to_string() + "\n")
}

fn text(status: &Status, array: Option<&str>, reported: bool) -> String {
    let Status {
        runs,
        finished,
        diverged,
        stopped,
        running,
        waiting,
        waiting_with_checkpoints,
        waiting_for_trunks,
        failed,
        flops,
        flops_done,
        ..
    } = status;
    let for_trunks = match waiting_for_trunks {
        0 => String::new(),
        count => format!(" ({count} of them for a stable phase that they share)"),
    };
    let early = if stopped.is_empty() { String::new() } else { format!(", {} stopped early", stopped.len()) };
    let mut lines = vec![format!(
        "{}: {finished} finished, {} diverged{early}, {} running, {waiting} waiting{for_trunks}, {} failed",
        units::count(*runs, "run"),
        diverged.len(),
        running.len(),
        failed.len()
    )];
    let left = status.seconds_left.map_or_else(String::new, |left| format!(", {} left", Seconds(left)));
    let rate = Flops(status.flops_per_second);
    let begun = match waiting_with_checkpoints {
        0 => String::new(),
        1 => " and what 1 waiting run has in a checkpoint".to_owned(),
        count => format!(" and what {count} waiting runs have in checkpoints"),
    };
    lines.push(format!("{} of {} FLOPs{begun}, {rate} FLOP/s{left}", Flops(*flops_done), Flops(*flops)));
    match &status.sweep {
        Some(holder) => lines.push(format!("run by {holder}")),
        None if status.is_over() && !reported => lines.push(NOT_REPORTED.to_owned()),
        None if status.is_over() => {}
        None if array.is_some() => {}
        None => lines.push("no `runner sweep` is running it now".to_owned()),
    }
    lines.extend(array.map(|array| format!("Slurm: {array}")));
    for (device, count) in &status.devices {
        lines.push(format!("{device}: {count} running"));
    }
    for running in running.iter().take(LISTED) {
        lines.push(format!("  {}: {:.0}%, {}", running.run, 100.0 * running.share, running.holder));
    }
    for run in diverged.iter().take(LISTED) {
        lines.push(format!("  {run} diverged: its result; `runner show {run}` tells at which step"));
    }
    for failed in failed.iter().take(LISTED) {
        lines.push(format!("  {} failed: {}", failed.run, failed.failure));
    }
    if running.len().max(failed.len()).max(diverged.len()) > LISTED {
        lines.push("  and more; --json lists all".to_owned());
    }
    lines.join("\n") + "\n"
}
