//! `runner train`: one run, in this process.

use std::io::IsTerminal as _;
use std::path::Path;
use std::process::ExitCode;

use super::results;
use super::seconds;
use super::shared::sheet::{Room, Sheet};
use super::shared::stdout;
use super::shared::{closing, device, planning, rehearsed, remarks};
use crate::cli::TrainArgs;
use crate::execute::diverged::loss_of;
use crate::execute::{self, Display, Terms, Work, WorkError};
use crate::ledger::{FailureClass, Ledger, Losses, RunResult, State};
use crate::observation::Counting;
use crate::plan::PlannedRun;
use crate::trainer::{Measured, Outcome};
use crate::units::{Flops, Params, Seconds, Tokens};

/// Runs the command.
pub fn run(args: &TrainArgs) -> anyhow::Result<ExitCode> {
    device::keep_pages();
    let TrainArgs { config, overrides, out, place, threads, checkpoint_every, keep_models } = args;
    let checkpoint_every = seconds("checkpoint-every", *checkpoint_every)?;
    let spec = planning::config(config, &overrides.set)?;
    let name = device::choose(&place.device);
    let threads = threads.unwrap_or_else(device::cores);
    let mut trainer = device::trainer(&name, &place.cache, threads)?;
    let plan = planning::plan_of(&spec, &place.cache)?;
    planning::require_runs(&plan)?;
    remarks::say(&spec, &plan);
    let losses = Losses::of_device(&trainer.device().kind);
    let dir = results::results_dir(out.as_deref(), &spec, losses);
    let ledger = Ledger::create(&dir, &spec.to_toml(), plan, losses)?;
    ledger.tell_renamed();
    if *keep_models {
        ledger.keep_models()?;
    }
    let [run] = ledger.plan().runs.as_slice() else { anyhow::bail!("a config plans one run") };
    rehearsed::say_if(ledger.losses());
    if ledger.is_over(&run.id) {
        tell!("already trained: this is its result. To train it again, give another --out");
    }

    let mut display = Display::new(&ledger, 1, std::io::stderr().is_terminal());
    let stop = execute::stop_flag()?;
    let label = trainer.device().kind;
    let open = || device::trainer(&name, &place.cache, threads).map_err(|error| format!("{error:#}"));
    let leave = |_: &Result<Work, WorkError>| {
        closing::say(&interrupted(&dir));
        execute::leave(execute::REQUEUE)
    };
    let terms = Terms {
        device: &label,
        devices: std::slice::from_ref(&label),
        runs: 1,
        together: false,
        open: &open,
        checkpoint_every,
        stopping: None,
        stop: &stop,
        leave: &leave,
    };
    let worked = execute::work(&ledger, trainer.as_mut(), terms, &mut |event| display.show(0, &event));
    display.finish();
    match worked {
        Err(error @ WorkError::Failed { .. }) => {
            tell!("error: {error}");
            return Ok(ExitCode::from(1));
        }
        Ok(Work::Interrupted) => {
            closing::say(&interrupted(&dir));
            return Ok(ExitCode::from(execute::REQUEUE));
        }
        Ok(Work::Done) => {}
        Err(error) => return Err(error.into()),
    }
    conclude(&ledger, run)
}

/// Writes the tables, and says what became of the run.
fn conclude(ledger: &Ledger, run: &PlannedRun) -> anyhow::Result<ExitCode> {
    let dir = ledger.dir();
    ledger.rebuild_tables()?;
    match ledger.state(&run.id)? {
        State::Ended(result) => {
            let printed = stdout::print(&table(run, &result).text(Room::of(false)));
            tell!("tables in {}, the run in {}", dir.display(), dir.join("runs").join(run.id.as_str()).display());
            printed?;
            Ok(ExitCode::SUCCESS)
        }
        State::Failed(failure) => {
            tell!("error: run {}: {}", run.id, failure.message);
            Ok(ExitCode::from(if failure.class == FailureClass::Configuration { 2 } else { 1 }))
        }
        State::Stopped(stopped) => {
            anyhow::bail!(
                "run {}: {}; a single run is never stopped early: remove its stopped.json",
                run.id,
                stopped.words(run)
            )
        }
        State::Pending => anyhow::bail!("another process trains this run; wait for it, or choose another --out"),
    }
}

/// What is said when the run was stopped.
fn interrupted(dir: &Path) -> [String; 2] {
    [
        format!("Interrupted. Nothing is lost: the run resumes from its checkpoint in {}.", dir.display()),
        format!("To go on: {}", closing::this_command()),
    ]
}

fn table(run: &PlannedRun, result: &RunResult) -> Sheet {
    let mut table = Sheet::pairs();
    let mut row = |name: &str, value: String| {
        table.add_row([name.to_owned(), value]);
    };
    row("run", run.id.to_string());
    row("parameters", Params(run.params.by(Counting::All) as f64).to_string());
    row("tokens", Tokens(run.tokens as f64).to_string());
    row("FLOPs", Flops(run.flops).to_string());
    match result.outcome {
        Outcome::Finished {
            val_loss, val_loss_se, train_loss, tokens_per_second, seconds, ref evaluations, ..
        } => {
            row("validation loss", format!("{val_loss:.4} ± {val_loss_se:.4} nats per token"));
            if let Some(loss) = train_loss {
                row("training loss", format!("{loss:.4}"));
            }
            for Measured { name, value, standard_error, chance } in evaluations {
                let chance = chance.map(|chance| format!(" (chance {chance:.4})")).unwrap_or_default();
                row(name, format!("{value:.4} ± {standard_error:.4}{chance}"));
            }
            row("tokens per second", Tokens(tokens_per_second).to_string());
            row("time", Seconds(seconds).to_string());
        }
        Outcome::Diverged { step, train_loss, seconds } => {
            let loss = train_loss.map_or_else(|| "no number".to_owned(), |loss| format!("{loss:.4}"));
            row("diverged", format!("at step {step}, {} {loss}", loss_of(run)));
            row("time", Seconds(seconds).to_string());
        }
    }
    row("device", format!("{}: {}", result.device.kind, result.device.name));
    table
}
