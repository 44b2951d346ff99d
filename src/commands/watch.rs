//! `runner watch`: serves the report of a sweep while it runs.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;

use super::results::{self, Derived, MissingCorpus};
use super::shared::stdout;
use super::shared::{folder, rehearsed};
use crate::cli::WatchArgs;
use crate::execute::{Status, Tally};
use crate::ledger::Ledger;
use crate::plan::RunId;
use crate::serve::{Server, Shelf, Site};
use crate::spec::{self, Spec};
use crate::units::{Flops, Seconds};

/// Time between two looks at the folder.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// Resamples of a report that will soon be another: its intervals are a little rough.
const RESAMPLES: usize = 200;

/// Runs the command.
pub fn run(args: &WatchArgs) -> anyhow::Result<ExitCode> {
    let WatchArgs { dir, port, host, public, cache } = args;
    let first = Look::at(dir)?;
    folder::warn_of_missing_results(&first.ledger);
    rehearsed::say_if(first.ledger.losses());
    // Taken first: a port that is not free is said at once.
    let server = Server::bind(*host, *port, *public)?;
    let url = server.url().context("cannot determine the address")?;
    let shelf = server.shelf();
    let entropy = results::entropy(&first.ledger, &first.spec, (cache, MissingCorpus::LeaveOut))?;
    let mut seen = first.seen();
    tell!("fitting what {} holds so far", dir.display());
    shelf.put(first.site(entropy)?);
    first.tell(&shelf)?;
    drop(first);
    stdout::print(&format!("{url}\n"))?;
    tell!("serving the report of {} until interrupted", dir.display());
    std::thread::spawn(move || server.run());
    loop {
        std::thread::sleep(LOOK_AGAIN);
        // What cannot be read now may be in the middle of a change: the earlier report stays.
        if let Err(error) = refresh((dir, entropy), &shelf, &mut seen) {
            tell!("warning: {error:#}");
        }
    }
}

/// A new report where a run has ended, was given up or came into the plan, and in any case how far the sweep is.
fn refresh((dir, entropy): (&Path, Option<(f64, f64)>), shelf: &Shelf, seen: &mut Seen) -> anyhow::Result<()> {
    let look = Look::at(dir)?;
    let now = look.seen();
    if now != *seen {
        shelf.put(look.site(entropy)?);
        *seen = now;
    }
    look.tell(shelf)
}

/// The folder as it is at one time: a sweep that chooses or grows writes its plan and its spec anew.
struct Look {
    ledger: Ledger,
    spec: Spec,
}

/// The runs of the plan, each with whether it is over and whether it has a result.
type Seen = Vec<(RunId, [bool; 2])>;

impl Look {
    fn at(dir: &Path) -> anyhow::Result<Self> {
        Ok(Self { ledger: Ledger::open(dir)?, spec: spec::load(&dir.join("spec.toml"))? })
    }

    fn seen(&self) -> Seen {
        let ends = |id: &RunId| [self.ledger.is_over(id), self.ledger.has_result(id)];
        self.ledger.plan().runs.iter().map(|run| (run.id.clone(), ends(&run.id))).collect()
    }

    fn site(&self, entropy: Option<(f64, f64)>) -> anyhow::Result<Site> {
        let tally = Tally::of(&self.ledger)?;
        let progress = progress(&Status::of(&self.ledger)?);
        let how = (RESAMPLES, Some(progress.as_str()));
        Ok(Derived::of(&self.ledger, &self.spec, entropy, &tally, how)?.report.into())
    }

    fn tell(&self, shelf: &Shelf) -> anyhow::Result<()> {
        shelf.tell(&progress(&Status::of(&self.ledger)?));
        Ok(())
    }
}

/// How far a sweep is, in a line.
fn progress(status: &Status) -> String {
    let Status { runs, finished, diverged, stopped, running, waiting, failed, flops, flops_done, .. } = status;
    let [diverged, running, failed] = [diverged.len(), running.len(), failed.len()];
    let early = if stopped.is_empty() { String::new() } else { format!(", {} stopped early", stopped.len()) };
    let counts = format!("{finished} of {runs} runs finished, {diverged} diverged{early}, {failed} failed");
    if status.is_over() {
        return format!("Over: {counts}.");
    }
    let left = status.seconds_left.map_or_else(String::new, |left| format!(", {} left", Seconds(left)));
    let nobody = if status.sweep.is_none() { "; no `runner sweep` is running it now" } else { "" };
    let share = format!("{} of {} FLOPs", Flops(*flops_done), Flops(*flops));
    format!("Running: {counts}, {running} running, {waiting} waiting; {share}{left}{nobody}.")
}
