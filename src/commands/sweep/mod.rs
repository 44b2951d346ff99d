//! `runner sweep`: plan, train, fit, report.

mod fits;
pub(super) mod pool;
pub(super) mod results;
mod slurm;

use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::Context as _;

use super::shared::{closing, device, planning};
use super::{STDOUT, seconds};
use crate::cli::{LauncherName, Patience, SweepArgs};
use crate::execute::{self, Display, Pool, Summary, rehearsal};
use crate::ledger::{self, Ledger, Losses, conflict_warning};
use crate::report::Answer;
use crate::spec::{self, Spec};
use crate::trainer::DeviceInfo;
use crate::units::Flops;

/// Runs the command.
pub fn run(args: &SweepArgs) -> anyhow::Result<ExitCode> {
    let SweepArgs {
        spec: path,
        overrides,
        out,
        place,
        devices,
        slots_per_device,
        share_process,
        threads,
        patience,
        launcher,
        wait,
        dry_run,
        keep_models,
    } = args;
    let Patience { checkpoint_every, hang_after } = *patience;
    seconds("checkpoint-every", checkpoint_every)?;
    let mut spec = spec::load_with(path, &overrides.set)?;
    if spec.sweep.is_none() {
        anyhow::bail!("{} has no [sweep]: it describes one run; train it with `runner train`", path.display());
    }
    // Where runs are trained is not part of what is trained, and may change from call to call.
    match (spec.launcher.take(), launcher) {
        (Some(table), None | Some(LauncherName::Slurm)) => return slurm::run(args, &spec, &table),
        (None, Some(LauncherName::Slurm)) => anyhow::bail!(
            "{} has no [launcher]; write one with kind = \"slurm\" and the number of workers, see docs/slurm.md",
            path.display()
        ),
        (_, Some(LauncherName::Local)) | (None, None) => {}
    }
    if *wait || *dry_run {
        anyhow::bail!(
            "--wait and --dry-run are for --launcher slurm; `runner plan` shows what a local sweep would train"
        );
    }
    // Opened here as well, so that a device that is missing is told before anything is written.
    let name = devices.first().map_or_else(|| device::choose(&place.device), Clone::clone);
    let devices = pool::devices(devices, &name)?;
    let device = device::trainer(&devices[0], &place.cache, *threads)?.device();
    let per_device = device::slots(*slots_per_device, &device.kind, *threads)?;
    let share = pool::share(*share_process, &device.kind)?;
    let plan = planning::plan_of(&spec, &place.cache)?;
    planning::require_runs(&plan)?;
    if let Some(raised) = planning::raised_batches(&spec, &plan) {
        eprintln!("{raised}");
    }
    device::require_precision(&device.kind, &plan)?;
    let losses = rehearsal::losses(&device.kind);
    let dir = results_dir(out.as_deref(), &spec, losses);
    if let Some(holder) = Ledger::sweep_holder(&dir).filter(|holder| holder.pid != 0) {
        let seconds = ledger::EXPIRY.as_secs();
        eprintln!("{holder} had this sweep; if that is another machine, this waits up to {seconds} s for a sign of it");
    }
    let ledger = Ledger::create(&dir, &spec.to_toml(), plan, losses)?;
    if *keep_models {
        ledger.keep_models()?;
    }
    let before = Summary::of(&ledger)?;
    let (processes, runs) = pool::divide(per_device, share, before.pending.div_ceil(devices.len()));
    let slots = pool::slots(&devices, processes);
    announce(&ledger, &device, (slots.len() * runs, &devices), &before);

    let program = std::env::current_exe()?;
    let worker = |slot: usize| {
        let mut command = worker(&program, &dir, &place.cache, *threads, checkpoint_every);
        command.arg("--runs").arg(runs.to_string());
        pool::pin(&mut command, &slots[slot], *threads, processes);
        command
    };
    let workers = Pool {
        devices: slots.iter().map(|slot| slot.device.clone()).collect(),
        runs,
        command: &worker,
        patience: Duration::from_secs(hang_after),
    };
    let interrupts = execute::interrupts()?;
    let mut display = Display::new(&ledger, slots.len() * runs, std::io::stderr().is_terminal());
    let summary = execute::supervise(&ledger, &workers, &mut display, &interrupts);
    display.finish();
    // What comes now is short, and repeated by the next call: a signal ends it at once.
    drop(interrupts);
    match summary {
        Ok(summary) if summary.interrupted.is_some() => {
            closing::say(&kept(&ledger, "Interrupted", &summary));
            Ok(ExitCode::from(execute::REQUEUE))
        }
        Ok(summary) => finish(&ledger, &spec, &place.cache, &summary),
        Err(error) => {
            closing::say(&kept(&ledger, "Ended by a failure", &Summary::of(&ledger)?));
            Err(error.into())
        }
    }
}

/// What is kept of a sweep that did not come to its end, and the command that goes on.
fn kept(ledger: &Ledger, how: &str, summary: &Summary) -> Vec<String> {
    let runs = ledger.plan().runs.len();
    let (done, dir) = (runs - summary.pending, ledger.dir().display());
    vec![
        format!(
            "{how} with {done} of {runs} runs done. Nothing is lost: they are kept in {dir}, and runs under way go on from \
             their last checkpoints."
        ),
        format!("To go on: {}", closing::this_command()),
    ]
}

/// The command of a worker, still without its device.
pub(super) fn worker(program: &Path, dir: &Path, cache: &Path, threads: usize, checkpoint_every: f64) -> Command {
    let mut command = Command::new(program);
    command.arg("worker").arg("--sweep").arg(dir).arg("--cache").arg(cache);
    command.arg("--threads").arg(threads.to_string()).env("RAYON_NUM_THREADS", threads.to_string());
    command.arg("--checkpoint-every").arg(checkpoint_every.to_string());
    command.env(device::KEEP_PAGES.0, device::KEEP_PAGES.1);
    command
}

/// Fits and reports when all runs are over.
pub(super) fn finish(ledger: &Ledger, spec: &Spec, cache: &Path, summary: &Summary) -> anyhow::Result<ExitCode> {
    let derived = results::write(ledger, spec, cache, summary)?;
    let printed = write!(io::stdout(), "{}", derived.text());
    conclude(ledger, summary)?;
    closing::say(&last_words(ledger, summary, &derived.answer));
    // Divergence of some is a finding; of all it is a mistake.
    if !summary.failed.is_empty() || summary.pending > 0 || summary.finished == 0 {
        return Ok(ExitCode::from(1));
    }
    printed.context(STDOUT)?;
    Ok(ExitCode::SUCCESS)
}

/// The folder of results: as asked for, or by the spec's name; a rehearsal has one of its own.
pub(super) fn results_dir(out: Option<&Path>, spec: &Spec, losses: Losses) -> PathBuf {
    let suffix = match losses {
        Losses::Trained => "",
        Losses::Rehearsed => "-rehearsal",
    };
    out.map_or_else(|| Path::new("results").join(format!("{}{suffix}", spec.name)), Path::to_owned)
}

fn announce(ledger: &Ledger, device: &DeviceInfo, (slots, devices): (usize, &[String]), before: &Summary) {
    if ledger.losses() == Losses::Rehearsed {
        eprintln!("{}", results::REHEARSAL);
    }
    let runs = &ledger.plan().runs;
    let flops = Flops(runs.iter().map(|run| run.flops).sum());
    let left_out = match ledger.plan().left_out.len() {
        0 => String::new(),
        count => format!(", {count} points of the grid left out (`runner plan` tells why)"),
    };
    eprintln!("{} runs, {flops} FLOPs{left_out}, into {}", runs.len(), ledger.dir().display());
    if before.pending < runs.len() {
        eprintln!("{} of them are done already", runs.len() - before.pending);
    }
    if before.pending > 0 {
        let DeviceInfo { kind, name, driver, threads, precision } = device;
        let devices = if let [_] = devices { kind } else { &devices.join(", ") };
        eprintln!("{slots} slots on {devices}: {name} ({driver}, {precision}, threads a run: {threads})");
    }
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
        eprintln!("device {device} failed run after run and got no more of them: {reason}");
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
fn last_words(ledger: &Ledger, summary: &Summary, answer: &Answer) -> Vec<String> {
    let rehearsed = ledger.losses() == Losses::Rehearsed;
    let lead = if rehearsed { format!("{}. {}", results::REHEARSAL, answer.lead) } else { answer.lead.clone() };
    let counts = [("finished", summary.finished), ("diverged", summary.diverged.len())];
    let more = [("failed", summary.failed.len()), ("not trained", summary.pending)];
    let counted = counts.iter().chain(&more).filter(|(what, count)| *count > 0 || *what == "finished");
    let counted: Vec<String> = counted.map(|(what, count)| format!("{count} runs {what}")).collect();
    let report = ledger.dir().join("report.html");
    let mut lines = vec![lead, answer.limits.clone(), format!("{}. Report: {}", counted.join(", "), report.display())];
    if !summary.failed.is_empty() || summary.pending > 0 {
        lines.push(format!("To try what is missing once more: {}", closing::this_command()));
    }
    lines
}
