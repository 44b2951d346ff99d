//! `runner explain`: what a key of a spec means.

use std::process::ExitCode;

use super::shared::stdout;
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
    stdout::print(&text)?;
    Ok(ExitCode::SUCCESS)
}
