//! `runner cancel`: ends the array that trains the runs of a folder. It needs the folder alone, neither spec nor corpus.

use std::process::ExitCode;

use crate::cli::CancelArgs;
use crate::execute::Tally;
use crate::execute::slurm::{ArrayState, Client, Submission};
use crate::ledger::Ledger;

/// Runs the command.
pub fn run(args: &CancelArgs) -> anyhow::Result<ExitCode> {
    let ledger = Ledger::open(&args.dir)?;
    let client = Client::default();
    let Some(mut submission) = Submission::take_up(&ledger, &client)? else {
        anyhow::bail!("no array of jobs was submitted for {}; a local sweep ends with Ctrl-C", args.dir.display());
    };
    let job = submission.job.map_or_else(|| "an array".to_owned(), |job| format!("array {job}"));
    let before = submission.state(&client);
    match before {
        ArrayState::Gone { .. } => tell!("{job} has already ended"),
        before => {
            submission.cancel(&ledger, &client)?;
            tell!("{job} is cancelled ({before} before)");
        }
    }
    let tally = Tally::of(&ledger)?;
    let runs = ledger.plan().runs.len();
    tell!("{} of {runs} runs have ended and are kept; `runner sweep` trains the rest", runs - tally.pending);
    Ok(ExitCode::SUCCESS)
}
