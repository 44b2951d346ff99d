//! `runner devices`: what this build can train on.

use std::io::{self, Write as _};
use std::process::ExitCode;

use anyhow::Context as _;

use super::STDOUT;
use super::shared::device;
use super::shared::sheet::{Room, Sheet, Worth};
use crate::trainer::Listed;

/// Runs the command.
pub fn run() -> anyhow::Result<ExitCode> {
    let mut table = Sheet::new([("device", Worth::Must), ("description", Worth::Must)]).with_prose();
    for Listed { name, state, .. } in device::list() {
        table.add_row([name.to_owned(), state.unwrap_or_else(|missing| format!("not available: {missing}"))]);
    }
    write!(io::stdout(), "{}", table.text(Room::of(false))).context(STDOUT)?;
    Ok(ExitCode::SUCCESS)
}
