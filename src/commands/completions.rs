//! `runner completions` and `runner man`: what a package installs beside the program.

use std::fs;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::CommandFactory as _;

use super::shared::claim;
use super::shared::stdout;
use crate::cli::{Cli, CompletionsArgs, ManArgs};

/// Prints what a shell needs to complete commands and flags.
pub fn run(args: &CompletionsArgs) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "runner", &mut script);
    stdout::print(&String::from_utf8(script)?)?;
    Ok(ExitCode::SUCCESS)
}

/// Writes manual pages: `runner.1`, `runner-sweep.1` and so on.
pub fn man(args: &ManArgs) -> anyhow::Result<ExitCode> {
    let shown = args.dir.display();
    claim::not_results(&args.dir)?;
    fs::create_dir_all(&args.dir).with_context(|| format!("cannot create {shown}"))?;
    clap_mangen::generate_to(Cli::command(), &args.dir).with_context(|| format!("cannot write into {shown}"))?;
    tell!("wrote manual pages into {shown}; `man -l {shown}/runner.1` shows the first");
    Ok(ExitCode::SUCCESS)
}
