//! `runner explain`: what a key of a spec means.

use std::io::{self, Write as _};
use std::process::ExitCode;

use anyhow::Context as _;

use super::STDOUT;
use crate::cli::ExplainArgs;
use crate::spec;

/// Runs the command.
pub fn run(args: &ExplainArgs) -> anyhow::Result<ExitCode> {
    let text: String = match &args.key {
        None => spec::entries().iter().flat_map(|entry| [entry.key.as_str(), "\n"]).map(str::to_owned).collect(),
        Some(key) => {
            let entries: Vec<String> = spec::explain(key)?.iter().map(spec::Entry::text).collect();
            entries.join("\n")
        }
    };
    io::stdout().write_all(text.as_bytes()).context(STDOUT)?;
    Ok(ExitCode::SUCCESS)
}
