//! `runner schema`: the JSON schema of a spec, for editors, and the reference of its keys.

use std::io::{self, Write as _};
use std::process::ExitCode;

use anyhow::Context as _;

use super::STDOUT;
use crate::cli::SchemaArgs;
use crate::spec;

/// Runs the command.
pub fn run(args: &SchemaArgs) -> anyhow::Result<ExitCode> {
    let text = if args.markdown { spec::markdown() } else { serde_json::to_string_pretty(&spec::schema())? + "\n" };
    io::stdout().write_all(text.as_bytes()).context(STDOUT)?;
    Ok(ExitCode::SUCCESS)
}
