//! `runner devices`: what this build can train on.

use std::process::ExitCode;

use super::shared::stdout;
use serde_json::json;

use super::shared::sheet::{Room, Sheet, Worth};
use super::shared::{device, json};
use crate::cli::DevicesArgs;
use crate::trainer::Listed;

/// Runs the command.
pub fn run(args: &DevicesArgs) -> anyhow::Result<ExitCode> {
    if args.json {
        let device = |Listed { name, state, software }: Listed| {
            let (available, description) = match state {
                Ok(description) => (true, description),
                Err(missing) => (false, missing.to_string()),
            };
            json!({ "name": name, "available": available, "software": software, "description": description })
        };
        let devices: Vec<_> = device::list().into_iter().map(device).collect();
        json::print(json!({ "devices": devices }))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = Sheet::new([("device", Worth::Must), ("description", Worth::Must)]).with_prose();
    for Listed { name, state, .. } in device::list() {
        table.add_row([name.to_owned(), state.unwrap_or_else(|missing| format!("not available: {missing}"))]);
    }
    stdout::print(&table.text(Room::of(false)))?;
    Ok(ExitCode::SUCCESS)
}
