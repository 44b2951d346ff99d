//! `runner sweep` where Slurm trains: prepare the folder, submit an array of workers, leave or watch, report at the end.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use anyhow::Context as _;

use super::ending::finish;
use crate::cli::SweepArgs;
use crate::commands::results::{self, results_dir};
use crate::commands::shared::stdout;
use crate::commands::shared::{device, planning, remarks, stopped_early};
use crate::execute::slurm::{ArrayState, Asked, Client, Script, SlurmError, Submission, logs};
use crate::execute::{self, Tally};
use crate::ledger::{Ledger, Losses};
use crate::paths;
use crate::report::words;
use crate::spec::{self, Launcher, Spec};
use crate::units;

/// Time between two looks at the queue, which controllers of busy clusters bear.
const POLL: Duration = Duration::from_secs(10);

/// A sweep that Slurm trains.
struct Sweep<'a> {
    args: &'a SweepArgs,
    spec: &'a Spec,
    launcher: &'a Launcher,
    client: Client,
}

/// How watching ended.
enum Watched {
    /// The array has no tasks left.
    Ended { cancelled: bool },
    /// Every run is over.
    Done,
    /// A signal came.
    Interrupted(i32),
}

/// Runs the command.
pub(super) fn run(args: &SweepArgs, spec: &Spec, launcher: &Launcher) -> anyhow::Result<ExitCode> {
    if spec.sweep.as_ref().is_some_and(spec::Sweep::trains_some) {
        anyhow::bail!(
            "sweep.choose and sweep.tune need a process that looks at each result, and the tasks of an array have none: sweep with --launcher \
             local inside one job"
        );
    }
    let kind = device::kind(&args.place.device)?;
    if spec.train.command.is_empty() {
        device::require_compiled(&args.place.device)?;
    }
    if args.slots_per_device.is_some()
        || args.share_process.is_some()
        || args.share_steps.is_some()
        || !args.devices.is_empty()
    {
        anyhow::bail!(
            "--devices, --slots-per-device, --share-process and --share-steps are for local workers; an array has as many as `workers` in [launcher] says"
        );
    }
    require_cards(spec.train.cards(), launcher)?;
    if let Some(cpus) = launcher.cpus.filter(|cpus| args.threads > *cpus as usize) {
        anyhow::bail!("--threads {} is more than the {cpus} cpus of a task in [launcher]", args.threads);
    }
    let losses = Losses::of_device(kind);
    let plan = planning::plan_of(spec, &args.place.cache)?;
    planning::require_runs(&plan)?;
    results::foresee(spec, &plan, (&args.spec, &args.overrides.set))?;
    remarks::say(spec, &plan);
    let dir = results_dir(args.out.as_deref(), spec, losses);
    let sweep = Sweep { args, spec, launcher, client: Client::default() };
    if args.dry_run {
        return sweep.dry_run(&std::path::absolute(&dir)?, plan.runs.len());
    }
    let ledger = Ledger::attach(&dir, &spec.to_toml(), plan, losses)?;
    ledger.tell_renamed();
    if args.keep_models {
        ledger.keep_models()?;
    }
    stopped_early::go_on(&ledger, spec)?;
    sweep.run(&ledger)
}

/// Refuses tasks that do not get the cards of a run. Where only the cluster knows how many they get, that is said.
fn require_cards(cards: usize, launcher: &Launcher) -> anyhow::Result<()> {
    if cards == 1 {
        return Ok(());
    }
    match Asked::by(launcher) {
        Asked::Cards(asked) => anyhow::ensure!(
            asked == cards,
            "train.cards = {cards}: a task of [launcher] trains one run at a time and gets {}; write gres = \"gpu:{cards}\", or \
             train.cards = {}, which makes the same runs",
            units::count(asked, "card"),
            asked.max(1)
        ),
        Asked::Untold(option) => tell!(
            "note: how many cards a task gets by {option} is known to the cluster alone: see that it is {cards}, as train.cards says, or \
             write gres = \"gpu:{cards}\""
        ),
    }
    Ok(())
}

impl Sweep<'_> {
    /// Has the script checked by Slurm, which says when it would start. Writes nothing into the results folder.
    fn dry_run(&self, dir: &Path, runs: usize) -> anyhow::Result<ExitCode> {
        let text = self.script(dir, self.launcher.workers.min(runs), &format!("runner-{}", self.spec.name))?;
        let file = tempfile::NamedTempFile::new()?;
        std::fs::write(file.path(), &text)?;
        let said = self.client.test(file.path())?;
        stdout::print(&text)?;
        tell!("nothing is submitted; Slurm says: {said}");
        Ok(ExitCode::SUCCESS)
    }

    fn run(&self, ledger: &Ledger) -> anyhow::Result<ExitCode> {
        let interrupts = if self.args.wait { Some(execute::interrupts()?) } else { None };
        let mut submission = Submission::take_up(ledger, &self.client)?;
        // Runs that were left when this call last submitted, or found, an array.
        let mut left_before: Option<usize> = None;
        loop {
            let state = submission.as_ref().map(|submission| submission.state(&self.client));
            let tally = Tally::of(ledger)?;
            let concluded = submission.as_ref().is_none_or(|submission| submission.concluded);
            if tally.pending == 0 && (!concluded || tally.failed.is_empty()) {
                return self.conclude(ledger, submission, state.as_ref(), &tally);
            }
            let live = match (submission.take(), state) {
                (_, Some(ArrayState::Unknown { said })) if interrupts.is_none() => {
                    anyhow::bail!(
                        "whether the submitted array lives cannot be told: {said}. Nothing is submitted a second time; \
                         try again when the controller is back"
                    );
                }
                (None, _) | (_, None | Some(ArrayState::Gone { .. })) => {
                    if let Some(before) = left_before {
                        if tally.pending >= before {
                            return Ok(give_up(ledger, &tally));
                        }
                    } else {
                        ledger.retry_failed();
                    }
                    let pending = Tally::of(ledger)?.pending;
                    left_before = Some(pending);
                    self.submit(ledger, pending)?
                }
                (Some(submission), Some(state)) => {
                    tell!("array {} of an earlier call goes on: {state}", number(&submission));
                    submission
                }
            };
            let Some(interrupts) = &interrupts else { return leave(ledger, &live) };
            match watch(ledger, &live, interrupts)? {
                Watched::Interrupted(signal) => {
                    tell!("no longer watched; the array goes on. The same command watches it again");
                    return Ok(ExitCode::from(128 + u8::try_from(signal).unwrap_or(0)));
                }
                Watched::Ended { cancelled: true } => {
                    tell!("the array was cancelled; the same command again goes on with the rest");
                    return Ok(ExitCode::from(execute::REQUEUE));
                }
                Watched::Ended { cancelled: false } | Watched::Done => {
                    left_before = left_before.or(Some(usize::MAX));
                }
            }
            submission = Some(live);
        }
    }

    fn submit(&self, ledger: &Ledger, pending: usize) -> anyhow::Result<Submission> {
        let dir = ledger.dir().canonicalize().with_context(|| format!("cannot find {}", ledger.dir().display()))?;
        let tasks = self.launcher.workers.min(pending);
        let script = |name: &str| self.script(&dir, tasks, name);
        let submission = Submission::submit(ledger, &self.client, &self.spec.name, tasks, script)?;
        let (runs, workers) = (units::count(pending, "run"), units::count(tasks, "worker"));
        tell!("{runs} to train; submitted array {} of {workers}", number(&submission));
        Ok(submission)
    }

    /// The batch script for a results folder by its absolute path.
    fn script(&self, dir: &Path, tasks: usize, name: &str) -> Result<String, SlurmError> {
        let SweepArgs { place, threads, patience, .. } = self.args;
        let found = |action, path: &str| {
            let path = PathBuf::from(path);
            move |cause| SlurmError::Ledger(crate::ledger::LedgerError::Io { action, path, cause })
        };
        let current_dir = std::env::current_dir().map_err(found("find", "."))?;
        let program = std::env::current_exe().map_err(found("find", "runner"))?;
        let cache = current_dir.join(&place.cache);
        let args = [
            "slurm-task".to_owned(),
            "--sweep".to_owned(),
            dir.to_string_lossy().into_owned(),
            "--device".to_owned(),
            place.device.clone(),
            "--cache".to_owned(),
            cache.to_string_lossy().into_owned(),
            "--threads".to_owned(),
            threads.to_string(),
            "--checkpoint-every".to_owned(),
            patience.checkpoint_every.to_string(),
            "--hang-after".to_owned(),
            patience.hang_after.to_string(),
            "--requeue-limit".to_owned(),
            self.launcher.requeue_limit.to_string(),
        ];
        let logs = logs(dir);
        let (current_dir, program) = (&current_dir, &program);
        Script { name, tasks, launcher: self.launcher, current_dir, logs: &logs, program, args: &args }.text()
    }

    /// Fits and reports. Tasks that are still to come would find nothing to do.
    fn conclude(
        &self,
        ledger: &Ledger,
        submission: Option<Submission>,
        state: Option<&ArrayState>,
        tally: &Tally,
    ) -> anyhow::Result<ExitCode> {
        if let Some(mut submission) = submission {
            if matches!(state, Some(ArrayState::Pending { .. } | ArrayState::Running { .. }))
                && let Err(error) = submission.drop_pending(&Client::impatient())
            {
                tell!("tasks that are still pending will find nothing to do and exit ({error})");
            }
            submission.conclude(ledger)?;
        }
        finish(ledger, self.spec, &self.args.place.cache, tally)
    }
}

/// Tells how to watch the array, and ends.
fn leave(ledger: &Ledger, submission: &Submission) -> anyhow::Result<ExitCode> {
    let (dir, logs) = (paths::shown(ledger.dir()), logs(ledger.dir()));
    let job = number(submission);
    tell!("logs in {}; squeue --jobs {job} shows the tasks, `runner cancel {dir}` ends them", logs.display());
    tell!("the same command again, when they have ended, fits and reports; with --wait it waits for that");
    stdout::print(&format!("{job}\n"))?;
    Ok(ExitCode::SUCCESS)
}

/// Tells of the array, on change, until it ends or nothing is left to train.
fn watch(ledger: &Ledger, submission: &Submission, interrupts: &Receiver<i32>) -> anyhow::Result<Watched> {
    let client = Client::impatient();
    let mut told = String::new();
    loop {
        ledger.beat();
        let state = submission.state(&client);
        // Counted after the array was looked at: what it did before its end is there.
        let tally = Tally::of(ledger)?;
        let runs = ledger.plan().runs.len();
        let line = format!("{} of {runs} runs are over; {state}", runs - tally.pending);
        if line != told {
            tell!("{line}");
            told = line;
        }
        if tally.pending == 0 {
            return Ok(Watched::Done);
        }
        if let ArrayState::Gone { cancelled } = state {
            let asked = Submission::read(ledger.dir())?.is_some_and(|record| record.cancelled);
            return Ok(Watched::Ended { cancelled: cancelled || asked });
        }
        match interrupts.recv_timeout(POLL) {
            Ok(signal) => return Ok(Watched::Interrupted(signal)),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => std::thread::sleep(POLL),
        }
    }
}

/// An array ended without having ended a single run: the next one would not do better.
fn give_up(ledger: &Ledger, tally: &Tally) -> ExitCode {
    tell!(
        "error: {} left, and the last array ended none; its logs in {} say why. The same command again tries \
         once more",
        words::are(tally.pending, "run"),
        logs(ledger.dir()).display()
    );
    ExitCode::from(1)
}

fn number(submission: &Submission) -> String {
    submission.job.map_or_else(|| submission.name.clone(), |job| job.to_string())
}
