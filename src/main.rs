//! Parse, dispatch, print an error once, exit code.

use std::io;
use std::process::ExitCode;

use runner::cli::{Cli, Command};
use runner::commands;

/// Training allocates and frees the same large buffers every step, which the system's allocator maps anew each time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    runner::execute::files_may_be_too_large();
    let outcome = match Cli::read().command {
        Command::Init(args) => commands::init::run(&args),
        Command::Sweep(args) => commands::sweep::run(&args),
        Command::Cancel(args) => commands::cancel::run(&args),
        Command::Plan(args) => commands::plan::run(&args),
        Command::Train(args) => commands::train::run(&args),
        Command::CoordCheck(args) => commands::coord_check::run(&args),
        Command::Fit(args) => commands::fit::run(&args),
        Command::Choose(args) => commands::choose::run(&args),
        Command::Allocate(args) => commands::allocate::run(&args),
        Command::Predict(args) => commands::predict::run(&args),
        Command::Data(command) => commands::data::run(&command),
        Command::Devices(args) => commands::devices::run(&args),
        Command::Status(args) => commands::status::run(&args),
        Command::Ls(args) => commands::ls::run(&args),
        Command::Show(args) => commands::show::run(&args),
        Command::Compare(args) => commands::compare::run(&args),
        Command::Watch(args) => commands::watch::run(&args),
        Command::StopEarly(args) => commands::stop_early::run(&args),
        Command::Merge(args) => commands::merge::run(&args),
        Command::Import(args) => commands::import::run(&args),
        Command::Ledger(command) => commands::ledger::run(&command),
        Command::Explain(args) => commands::explain::run(&args),
        Command::Schema(args) => commands::schema::run(&args),
        Command::Completions(args) => commands::completions::run(&args),
        Command::Man(args) => commands::completions::man(&args),
        Command::Export(command) => commands::export::run(&command),
        Command::Worker(args) => commands::worker::run(&args),
        #[cfg(feature = "train")]
        Command::Bench(args) => commands::bench::run(&args),
        #[cfg(feature = "train")]
        Command::BenchSlot(args) => commands::bench::slot(&args),
        Command::SlurmTask(args) => commands::slurm_task::run(&args),
    };
    match outcome {
        Ok(code) => code,
        // A reader that has read enough, such as `head`, is no failure.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            runner::tell!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Whether nobody reads what is written to stdout.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let kind = match (cause.downcast_ref::<io::Error>(), cause.downcast_ref::<csv::Error>()) {
            (Some(error), _) => Some(error.kind()),
            (_, Some(error)) => match error.kind() {
                csv::ErrorKind::Io(error) => Some(error.kind()),
                _ => None,
            },
            _ => None,
        };
        kind == Some(io::ErrorKind::BrokenPipe)
    })
}
