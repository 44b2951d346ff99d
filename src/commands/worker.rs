//! `runner worker`: trains runs of a sweep until none is left, and tells of it in JSON lines.

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::atomic::Ordering;

use super::seconds;
use super::shared::pool;
use super::shared::{device, folder, program};
use crate::cli::WorkerArgs;
use crate::execute::{self, Event, Terms, Work, WorkError};
use crate::ledger::{FailureClass, Ledger, LedgerError, has_tables_only};

/// Runs the command.
pub fn run(args: &WorkerArgs) -> anyhow::Result<ExitCode> {
    let WorkerArgs { sweep, place, threads, runs, share_steps, checkpoint_every, label, among, cores } = args;
    let checkpoint_every = seconds("checkpoint-every", *checkpoint_every)?;
    if let Some(cores) = cores {
        pool::use_cores(cores)?;
    }
    let stop = execute::stop_flag()?;
    anyhow::ensure!(!has_tables_only(sweep), LedgerError::TablesOnly { dir: sweep.clone() });
    let ledger = Ledger::open(sweep)?;
    let stopping = folder::stopping(&ledger)?;
    let device = device::choose(&place.device);
    let label = label.as_deref().unwrap_or(&device);
    let open = || {
        let opened = program::trainer(&ledger.plan().runs, ledger.dir(), (&device, &place.cache, *threads));
        opened.map_err(|error| anyhow::anyhow!(as_labelled(&format!("{error:#}"), &device, label)))
    };
    let mut trainer = open()?;
    let leave = |worked: &Result<Work, WorkError>| execute::leave(code(worked).unwrap_or(1));
    let here = [label.to_owned()];
    let terms = Terms {
        device: label,
        devices: if among.is_empty() { &here } else { among },
        runs: usize::from(*runs),
        together: *share_steps,
        open: &|| open().map_err(|error| format!("{error:#}")),
        checkpoint_every,
        stopping: stopping.as_ref(),
        stop: &stop,
        leave: &leave,
    };
    // Where nobody reads any more the supervisor is dead, and training on, unseen and perhaps for hours, would only hold
    // the run that the next sweep wants.
    let worked = execute::work(&ledger, trainer.as_mut(), terms, &mut |event| {
        if tell(&event).is_err() {
            stop.store(true, Ordering::Relaxed);
        }
    });
    match code(&worked) {
        Some(code) => Ok(ExitCode::from(code)),
        None => Ok(worked.map(|_| ExitCode::SUCCESS)?),
    }
}

/// An error of a device by the name that it has in the sweep: a worker of `cuda:1` sees that card alone, as `cuda:0`.
fn as_labelled(error: &str, device: &str, label: &str) -> String {
    error.replace(&format!("--device {device}: "), &format!("--device {label}: "))
}

/// The exit code for an end of work; none for an error that is not a run's.
fn code(worked: &Result<Work, WorkError>) -> Option<u8> {
    match worked {
        Ok(Work::Done) => Some(0),
        Ok(Work::Interrupted) => Some(execute::REQUEUE),
        Err(WorkError::Failed { run, failure }) => {
            // Standard error may have nobody left to read it either.
            let _ = writeln!(io::stderr(), "error: run {run}: {}", failure.message);
            // Memory is whole again in a new process, which takes smaller steps; a device may not be.
            Some(if failure.class == FailureClass::OutOfMemory { execute::REQUEUE } else { 1 })
        }
        Err(_) => None,
    }
}

/// Prints an event.
fn tell(event: &Event) -> io::Result<()> {
    let mut line = serde_json::to_vec(event).expect("an event has only string keys");
    line.push(b'\n');
    let mut out = io::stdout().lock();
    out.write_all(&line).and_then(|()| out.flush())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_calls_its_card_what_the_sweep_calls_it() {
        let error = "--device cuda:0: a card is older than Ampere";
        assert_eq!(as_labelled(error, "cuda:0", "cuda:1"), "--device cuda:1: a card is older than Ampere");
        assert_eq!(as_labelled("no room", "cuda:0", "cuda:1"), "no room");
    }
}
