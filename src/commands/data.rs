//! `runner data`.

use std::process::ExitCode;

use crate::cli::DataCommand;

/// Runs the command.
pub fn run(_args: &DataCommand) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not written yet")
}
