//! `runner sweep`.

use std::process::ExitCode;

use crate::cli::SweepArgs;

/// Runs the command.
pub fn run(_args: &SweepArgs) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not written yet")
}
