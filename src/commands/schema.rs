//! `runner schema`: the JSON schema of a spec, for editors, and the reference of its keys.

use std::process::ExitCode;

use super::shared::stdout;
use crate::cli::SchemaArgs;
use crate::spec;

/// Runs the command.
pub fn run(args: &SchemaArgs) -> anyhow::Result<ExitCode> {
    let text = if args.markdown { spec::markdown() } else { serde_json::to_string_pretty(&spec::schema())? + "\n" };
    stdout::print(&text)?;
    Ok(ExitCode::SUCCESS)
}
