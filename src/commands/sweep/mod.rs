//! `runner sweep`: plan, train, fit, report.

mod ending;
mod opened;
mod slurm;

use std::io::IsTerminal as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use self::ending::finish;
use self::opened::Opened;
use super::results::{self, results_dir};
use super::seconds;
use super::shared::pool::{self, worker};
use super::shared::{closing, device, folder as places, planning, program, rehearsed, remarks, stopped_early};
use crate::cli::{LauncherName, Patience, SweepArgs};
use crate::execute::choose::Chooser;
use crate::execute::{self, Display, ExecuteError, Pool, Tally};
use crate::ledger::{self, Ledger, Losses};
use crate::plan::PlannedRun;
use crate::shell;
use crate::spec::Spec;
use crate::trainer::DeviceInfo;
use crate::units::{Flops, count};

/// Runs the command.
pub fn run(args: &SweepArgs) -> anyhow::Result<ExitCode> {
    let SweepArgs { spec: path, overrides, patience, launcher, wait, dry_run, .. } = args;
    seconds("checkpoint-every", patience.checkpoint_every)?;
    let mut spec = program::load(path, &overrides.set)?;
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
    local(args, &spec)
}

/// A sweep that this machine trains.
fn local(args: &SweepArgs, spec: &Spec) -> anyhow::Result<ExitCode> {
    let SweepArgs { place, devices, slots_per_device, share_process, share_steps, threads, patience, .. } = args;
    let Patience { checkpoint_every, hang_after } = *patience;
    device::check_threads(*threads)?;
    let asked = devices.first().unwrap_or(&place.device);
    let by_program = program::trains(spec, asked);
    if !by_program && slots_per_device.is_none() {
        opened::measure_as_workers(asked);
    }
    let name = if by_program { program::device(asked, pool::gpus()) } else { device::choose(asked) };
    let cards = if by_program { spec.train.cards() } else { 1 };
    let devices = pool::groups(pool::devices(devices, &name)?, cards)?;
    // Opened here as well, so that a device that is missing is told before anything is written.
    let opened = if by_program {
        Opened::by_program(&devices, &spec.train.command, *threads)
    } else {
        Opened::first_of(&devices, &place.cache, *threads)?
    };
    let device = &opened.device;
    let kind = if by_program { pool::kind(&devices[0])? } else { &device.kind };
    let slots = device::slots(*slots_per_device, kind, *threads);
    // Each run of a program is a process of its own anyway.
    let share = pool::share(*share_process, kind)? && !by_program;
    let together = pool::share_steps(*share_steps, (share, by_program), kind)?;
    let chooser = Chooser::of(spec)?;
    let ledger = folder(args, spec, device, chooser.as_ref())?;
    let before = Tally::of(&ledger)?;
    let work = if chooser.is_some() { ledger.plan().runs.len() } else { before.pending };
    let most = work.div_ceil(opened.devices.len());
    let measures = slots_per_device.is_none() && share && device.kind == "cuda";
    let (per_device, together) = if measures {
        at_once(&ledger, &opened.devices[0], &place.cache, (most, together))?
    } else {
        (slots, together.unwrap_or(true))
    };
    let (processes, runs) = pool::divide(per_device, share, most);
    let slots = pool::slots(&devices, processes);
    announce(&ledger, &opened, processes * runs, &before);

    let program = std::env::current_exe()?;
    let worker = |slot: usize, among: &[String]| {
        let mut command = worker(&program, ledger.dir(), &place.cache, *threads, checkpoint_every);
        command.arg("--runs").arg(runs.to_string()).arg("--among").arg(among.join(","));
        command.args(together.then_some("--share-steps"));
        pool::pin(&mut command, &slots[slot], *threads, processes);
        command
    };
    let workers = Pool {
        devices: slots.iter().map(|slot| slot.device.clone()).collect(),
        shut: opened.shut.clone(),
        runs,
        command: &worker,
        patience: Duration::from_secs(hang_after),
        choose: chooser.as_ref(),
    };
    let interrupts = execute::interrupts()?;
    let mut display = Display::new(&ledger, slots.len() * runs, std::io::stderr().is_terminal());
    let tally = execute::supervise(&ledger, &workers, &mut display, &interrupts);
    display.finish();
    // What comes now is short, and repeated by the next call: a signal ends it at once.
    drop(interrupts);
    if let (Some(chooser), Ok(Tally { interrupted: None, .. })) = (&chooser, &tally) {
        chooser.conclude(&ledger)?.iter().for_each(|end| tell!("{end}"));
    }
    end(&ledger.with_chosen_alone(), spec, args, tally)
}

/// How many of the runs that are left a card trains at once, and whether their steps are taken together, by a measurement.
fn at_once(
    ledger: &Ledger,
    device: &str,
    cache: &Path,
    wanted: (usize, Option<bool>),
) -> anyhow::Result<(usize, bool)> {
    let left: Vec<&PlannedRun> = ledger.plan().runs.iter().filter(|run| !ledger.is_over(&run.id)).collect();
    device::side_by_side(device, cache, &left, wanted)
}

/// What follows when no worker is left: fits and report, or how to go on.
fn end(ledger: &Ledger, spec: &Spec, args: &SweepArgs, tally: Result<Tally, ExecuteError>) -> anyhow::Result<ExitCode> {
    match tally {
        Ok(tally) if tally.interrupted.is_some() => {
            write_tables(ledger);
            closing::say(&kept(ledger, "Interrupted", &tally));
            Ok(ExitCode::from(execute::REQUEUE))
        }
        Ok(tally) => finish(ledger, spec, &args.place.cache, &tally),
        Err(error) => {
            write_tables(ledger);
            closing::say(&kept(ledger, "Ended by a failure", &Tally::of(ledger)?));
            Err(error.into())
        }
    }
}

/// The tables of what has ended so far, for who wants to look before the sweep goes on. Nothing is lost where they cannot be
/// written, as on a full disk: that is told, and is not why the sweep ended.
fn write_tables(ledger: &Ledger) {
    let is_over = ledger.plan().runs.iter().all(|run| ledger.is_over(&run.id));
    let removed = if is_over { places::remove_earlier_report(ledger) } else { Ok(()) };
    if let Err(error) = removed.and_then(|()| Ok(ledger.rebuild_tables()?)) {
        tell!("warning: no tables of what has ended so far: {error:#}");
    }
}

/// Plans the sweep, and makes or opens its results folder.
fn folder(args: &SweepArgs, spec: &Spec, device: &DeviceInfo, chooser: Option<&Chooser>) -> anyhow::Result<Ledger> {
    let plan = planning::plan_of(spec, &args.place.cache)?;
    planning::require_runs(&plan)?;
    results::foresee(spec, &plan, (&args.spec, &args.overrides.set))?;
    if let Some(chooser) = chooser {
        chooser.check(&plan)?;
        chooser.known().iter().for_each(|line| tell!("{line}"));
    }
    remarks::say(spec, &plan);
    if spec.train.command.is_empty() {
        device::require_precision(&device.kind, &plan)?;
    }
    let losses = Losses::of_device(&device.kind);
    let dir = results_dir(args.out.as_deref(), spec, losses);
    let known = spec.sweep.iter().flat_map(|sweep| &sweep.known);
    if let Some(own) = known.into_iter().find(|path| places::same(path, &dir)) {
        anyhow::bail!(
            "sweep.known: {} is where this sweep's own runs go; what is in it counts anyway, so take it from the list",
            own.display()
        );
    }
    let ledger = if chooser.is_some() {
        let chosen = ledger::chosen_of(&plan, &ledger::choices(&dir)?);
        Ledger::create(&dir, &spec.to_toml(), chosen, losses)?.choosing(plan)
    } else {
        Ledger::create(&dir, &spec.to_toml(), plan, losses)?
    };
    ledger.tell_renamed();
    if args.keep_models {
        ledger.keep_models()?;
    }
    stopped_early::go_on(&ledger, spec)?;
    Ok(ledger)
}

/// What is kept of a sweep that did not come to its end, and the command that goes on.
fn kept(ledger: &Ledger, how: &str, tally: &Tally) -> Vec<String> {
    let runs = ledger.plan().runs.len();
    let (done, dir) = (runs - tally.pending - tally.failed.len(), ledger.dir().display());
    vec![
        format!(
            "{how} with {done} of {runs} runs done. Nothing is lost: they are kept in {dir}, and runs under way go on from \
             their last checkpoints, where they had one."
        ),
        match done {
            0 => String::new(),
            _ => format!("What they say so far: runner fit {}", shell::quoted(&dir.to_string())),
        },
        format!("To go on: {}", closing::this_command()),
    ]
}

fn announce(ledger: &Ledger, opened: &Opened, per_device: usize, before: &Tally) {
    rehearsed::say_if(ledger.losses());
    let runs = &ledger.plan().runs;
    let flops = Flops(runs.iter().map(PlannedRun::flops_spent).sum());
    let left_out = match ledger.plan().left_out.len() {
        0 => String::new(),
        points => format!(", {} of the grid left out (`runner plan` tells why)", count(points, "point")),
    };
    let what = if ledger.is_choosing() { "candidates" } else { "runs" };
    tell!("{} {what}, {flops} FLOPs{left_out}, into {}", runs.len(), ledger.dir().display());
    if let Some(less) = ledger.grown_from() {
        let more = runs.len() - less;
        let specs = ledger.dir().join("specs");
        tell!("the sweep grows by {}; the earlier spec is kept in {}", count(more, "run"), specs.display());
    }
    let done = ledger.wanted().len() - before.pending;
    if done > 0 {
        tell!("{done} of them are done already");
    }
    if before.pending > 0 || ledger.is_choosing() {
        tell!("{} on {opened}", count(per_device * opened.devices.len(), "slot"));
    }
}
