//! `runner devices`: what this build can train on.

use std::io::{self, Write as _};
use std::process::ExitCode;

use anyhow::Context as _;
use comfy_table::{Table, presets};

use super::STDOUT;
use super::shared::device;
use crate::trainer::Listed;

/// Runs the command.
pub fn run() -> anyhow::Result<ExitCode> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["device", "description"]);
    for Listed { name, state } in device::list() {
        table.add_row([name.to_owned(), state.unwrap_or_else(|missing| format!("not available: {missing}"))]);
    }
    writeln!(io::stdout(), "{table}").context(STDOUT)?;
    Ok(ExitCode::SUCCESS)
}
