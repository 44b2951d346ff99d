//! `runner fit`.

use std::process::ExitCode;

use crate::cli::FitArgs;

/// Runs the command.
pub fn run(_args: &FitArgs) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not written yet")
}
