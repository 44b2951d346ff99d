//! `runner sweep`: plan, train, fit, report.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::Context as _;

use super::{STDOUT, device, planning, results, slurm};
use crate::cli::{LauncherName, SweepArgs};
use crate::execute::{self, Display, Summary, rehearsal};
use crate::ledger::{Ledger, Losses};
use crate::spec::{self, Spec};
use crate::trainer::DeviceInfo;
use crate::units::Flops;

/// Runs the command.
pub fn run(args: &SweepArgs) -> anyhow::Result<ExitCode> {
    let SweepArgs { spec: path, out, place, slots, threads, launcher, wait, dry_run } = args;
    let mut spec = spec::load(path)?;
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
    let name = device::choose(&place.device);
    let device = device::trainer(&name, &place.cache, *threads)?.device();
    let slots = device::slots(*slots, &device.kind, *threads)?;
    let plan = planning::plan_of(&spec, &place.cache)?;
    planning::require_runs(&plan)?;
    let dir = results_dir(out.as_deref(), &spec, losses(&device));
    let ledger = Ledger::create(&dir, &spec.to_toml(), plan, losses(&device))?;
    announce(&ledger, &device, slots, &Summary::of(&ledger)?);

    let program = std::env::current_exe()?;
    let worker = || worker(&program, &dir, &name, &place.cache, *threads);
    let interrupts = execute::interrupts()?;
    let mut display = Display::new(&ledger, slots, std::io::stderr().is_terminal());
    let summary = execute::supervise(&ledger, slots, &worker, &mut display, &interrupts);
    display.clear();
    let summary = summary?;

    if let Some(signal) = summary.interrupted {
        eprintln!(
            "interrupted with {} of {} runs done. Nothing is lost: the same command again goes on from there",
            ledger.plan().runs.len() - summary.pending,
            ledger.plan().runs.len()
        );
        // As shells count a death by signal.
        return Ok(ExitCode::from(128 + u8::try_from(signal).unwrap_or(0)));
    }
    finish(&ledger, &spec, &place.cache, &summary)
}

/// The command of a worker.
pub(super) fn worker(program: &Path, dir: &Path, device: &str, cache: &Path, threads: usize) -> Command {
    let mut command = Command::new(program);
    command.arg("worker").arg("--sweep").arg(dir).arg("--device").arg(device).arg("--cache").arg(cache);
    command.arg("--threads").arg(threads.to_string()).env("RAYON_NUM_THREADS", threads.to_string());
    command
}

/// Fits and reports when all runs are over.
pub(super) fn finish(ledger: &Ledger, spec: &Spec, cache: &Path, summary: &Summary) -> anyhow::Result<ExitCode> {
    let printed = write!(io::stdout(), "{}", results::write(ledger, spec, cache, summary)?);
    conclude(ledger, summary);
    if !summary.failed.is_empty() {
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

/// What kind of losses a device gives.
pub(super) fn losses(device: &DeviceInfo) -> Losses {
    if device.kind == rehearsal::DEVICE { Losses::Rehearsed } else { Losses::Trained }
}

fn announce(ledger: &Ledger, device: &DeviceInfo, slots: usize, before: &Summary) {
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
        eprintln!("{slots} slots on {kind}: {name} ({driver}, {precision}, threads a run: {threads})");
    }
}

/// Failures listed one by one; more of them are only counted.
const LISTED: usize = 20;

fn conclude(ledger: &Ledger, summary: &Summary) {
    for path in &summary.conflicts {
        eprintln!("WARNING: a run gave two different results; the first stands, the other is {}", path.display());
    }
    if !summary.diverged.is_empty() {
        let diverged: Vec<&str> = summary.diverged.iter().map(crate::plan::RunId::as_str).collect();
        eprintln!("{} runs diverged: {}", diverged.len(), diverged.join(", "));
    }
    if !summary.failed.is_empty() {
        eprintln!("{} runs failed; the same command again tries them once more:", summary.failed.len());
        for (run, failure) in summary.failed.iter().take(LISTED) {
            eprintln!("  {run}: {}", failure.message);
        }
        if let Some(more @ 1..) = summary.failed.len().checked_sub(LISTED) {
            eprintln!("  and {more} more, each in its folder below {}", ledger.dir().join("runs").display());
        }
    }
    eprintln!("{} runs finished; tables, figures and report.html in {}", summary.finished, ledger.dir().display());
}
