//! `runner ls`: the sweeps in a folder, how each stands, and what it found.

use std::process::ExitCode;

use anyhow::bail;
use serde_json::json;

use super::shared::folder::{self, Folder};
use super::shared::json;
use super::shared::line::Line;
use super::shared::sheet::{Room, Sheet, Worth};
use super::shared::stdout;
use crate::cli::LsArgs;
use crate::paths;

/// Runs the command.
pub fn run(args: &LsArgs) -> anyhow::Result<ExitCode> {
    let shown = args.dir.display();
    if !args.dir.exists() {
        bail!(
            "there is no folder {shown}: `runner sweep SPEC` trains runs and writes results/NAME, where `runner ls` looks; name the folder \
             that holds yours with `runner ls FOLDER`"
        );
    }
    let dirs = if folder::is_folder(&args.dir) { vec![args.dir.clone()] } else { Folder::inside(&args.dir)? };
    if dirs.is_empty() {
        let writes = || "`runner sweep` writes to results/NAME".to_owned();
        tell!("no sweep in {shown}; {}", paths::meant(&args.dir).unwrap_or_else(writes));
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = Sheet::new([
        ("sweep", Worth::Must),
        ("runs", Worth::Must),
        ("finished", Worth::More(1)),
        ("diverged", Worth::More(3)),
        ("failed", Worth::More(3)),
        ("FLOPs planned", Worth::More(2)),
        ("status", Worth::Must),
        ("headline", Worth::Must),
    ])
    .with_prose();
    let lines: Vec<Line> = dirs.iter().map(|dir| Line::of(dir)).collect();
    if args.json {
        json::print(json!({ "sweeps": lines }))?;
        return Ok(ExitCode::SUCCESS);
    }
    for line in &lines {
        table.add_row(line.cells());
    }
    stdout::print(&table.text(Room::of(args.tables.wide)))?;
    Ok(ExitCode::SUCCESS)
}
