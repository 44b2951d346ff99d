//! `runner devices`.

use std::process::ExitCode;

/// Runs the command.
pub fn run() -> anyhow::Result<ExitCode> {
    anyhow::bail!("not written yet")
}
