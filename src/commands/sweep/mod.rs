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

use super::shared::{device, planning};
use super::{STDOUT, seconds};
use crate::cli::{LauncherName, Patience, SweepArgs};
use crate::execute::{self, Display, Pool, Summary, rehearsal};
use crate::ledger::{self, Ledger, Losses, conflict_warning};
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
    let slots = pool::slots(&devices, per_device);
    let plan = planning::plan_of(&spec, &place.cache)?;
    planning::require_runs(&plan)?;
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
    announce(&ledger, &device, (slots.len(), &devices), &Summary::of(&ledger)?);

    let program = std::env::current_exe()?;
    let worker = |slot: usize| {
        let mut command = worker(&program, &dir, &place.cache, *threads, checkpoint_every);
        pool::pin(&mut command, &slots[slot], *threads, per_device);
        command
    };
    let workers = Pool {
        devices: slots.iter().map(|slot| slot.device.clone()).collect(),
        command: &worker,
        patience: Duration::from_secs(hang_after),
    };
    let interrupts = execute::interrupts()?;
    let mut display = Display::new(&ledger, slots.len(), std::io::stderr().is_terminal());
    let summary = execute::supervise(&ledger, &workers, &mut display, &interrupts);
    display.clear();
    // What comes now is short, and repeated by the next call: a signal ends it at once.
    drop(interrupts);
    let summary = summary?;

    if summary.interrupted.is_some() {
        let runs = ledger.plan().runs.len();
        let done = runs - summary.pending;
        eprintln!(
            "interrupted with {done} of {runs} runs done. Nothing is lost: the same command again goes on from there"
        );
        return Ok(ExitCode::from(execute::REQUEUE));
    }
    finish(&ledger, &spec, &place.cache, &summary)
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
    let printed = write!(io::stdout(), "{}", results::write(ledger, spec, cache, summary)?);
    conclude(ledger, summary);
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

fn conclude(ledger: &Ledger, summary: &Summary) {
    for path in &summary.conflicts {
        eprintln!("{}", conflict_warning(path));
    }
    if !summary.diverged.is_empty() {
        let diverged: Vec<&str> = summary.diverged.iter().map(crate::plan::RunId::as_str).collect();
        eprintln!("{} runs diverged: {}", diverged.len(), diverged.join(", "));
    }
    for (device, reason) in &summary.quarantined {
        eprintln!("device {device} failed run after run and got no more of them: {reason}");
    }
    if summary.pending > 0 {
        eprintln!(
            "{} runs were not trained, since no device was left; the same command again tries them",
            summary.pending
        );
    }
    if !summary.failed.is_empty() {
        eprintln!("{} runs failed; the same command again tries them once more:", summary.failed.len());
        for (run, failure) in summary.failed.iter().take(LISTED) {
            eprintln!("  {run}: {failure}");
        }
        if let Some(more @ 1..) = summary.failed.len().checked_sub(LISTED) {
            eprintln!("  and {more} more, each in its folder below {}", ledger.dir().join("runs").display());
        }
    }
    eprintln!("{} runs finished; tables, figures and report.html in {}", summary.finished, ledger.dir().display());
}
