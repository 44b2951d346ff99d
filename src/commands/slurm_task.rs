//! `runner slurm-task`: what each task of an array runs. One supervised worker, without plan, fit and report.

use std::process::{Command, ExitCode};
use std::time::Duration;

use super::shared::device;
use super::shared::pool;
use crate::cli::{Patience, SlurmTaskArgs};
use crate::execute::slurm::{self, Client, Task};
use crate::execute::{self, Display, Pool};
use crate::ledger::{self, Ledger};
use crate::report::words;

/// Runs the command.
pub fn run(args: &SlurmTaskArgs) -> anyhow::Result<ExitCode> {
    let SlurmTaskArgs { sweep: dir, place, threads, patience, requeue_limit } = args;
    let Patience { checkpoint_every, hang_after } = *patience;
    let signals = execute::interrupts()?;
    let ledger = Ledger::open(dir)?;
    // Here and not where the sweep was submitted, which may have no such device.
    let name = device::choose(&place.device);
    let task = Task::from_env();
    if let Some(Task { address, restarts }) = &task {
        tell!("task {address} on {}, queued again {restarts} times", ledger::host());
    }
    let program = std::env::current_exe()?;
    let worker = |_: usize, _: &[String]| -> Command {
        let mut command = pool::worker(&program, dir, &place.cache, *threads, checkpoint_every);
        command.args(["--device", &name]);
        command
    };
    let patience = Duration::from_secs(hang_after);
    let pool =
        Pool { devices: vec![name.clone()], shut: Vec::new(), runs: 1, command: &worker, patience, choose: None };
    let mut display = Display::new(&ledger, 1, false);
    let summary = execute::supervise(&ledger, &pool, &mut display, &signals)?;
    if let Some(signal) = summary.interrupted {
        tell!("stopped by signal {signal}, {} left", words::are(summary.pending, "run"));
        if slurm::is_time_limit(signal) && summary.pending > 0 {
            requeue(task.as_ref(), *requeue_limit);
        }
        return Ok(ExitCode::from(execute::REQUEUE));
    }
    Ok(ExitCode::from(u8::from(!summary.failed.is_empty())))
}

/// Asks Slurm for another turn. If that fails the runs are still there for whoever comes next.
fn requeue(task: Option<&Task>, limit: u32) {
    let Some(task) = task else {
        tell!("not queued again: this is not a task of Slurm");
        return;
    };
    if task.restarts >= limit {
        tell!("not queued again: the requeue_limit of [launcher] is {limit}; `runner sweep` submits a new array");
        return;
    }
    tell!("queued again as {}; Slurm starts it after about 2 minutes", task.address);
    if let Err(error) = task.requeue(&Client::default()) {
        tell!("not queued again: {error}");
    }
}
