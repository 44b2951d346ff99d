//! `runner worker`: trains runs of a sweep until none is left, and tells of it in JSON lines.

use std::io::{self, Write as _};
use std::process::ExitCode;

use super::device;
use crate::cli::WorkerArgs;
use crate::execute::{self, Event};
use crate::ledger::Ledger;

/// Runs the command.
pub fn run(args: &WorkerArgs) -> anyhow::Result<ExitCode> {
    let ledger = Ledger::open(&args.sweep)?;
    let mut trainer = device::trainer(&args.place.device, &args.place.cache, args.threads)?;
    execute::work(&ledger, trainer.as_mut(), &mut |event| tell(&event))?;
    Ok(ExitCode::SUCCESS)
}

/// Prints an event. Where nobody reads any more the supervisor is dead, and training on, unseen and perhaps for hours,
/// would only hold the run that the next sweep wants: the process ends here.
fn tell(event: &Event) {
    let mut line = serde_json::to_vec(event).expect("an event has only string keys");
    line.push(b'\n');
    let mut out = io::stdout().lock();
    if out.write_all(&line).and_then(|()| out.flush()).is_err() {
        std::process::exit(1);
    }
}
