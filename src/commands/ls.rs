//! `runner ls`: the sweeps in a folder, how each stands, and what it found.

use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use serde_json::Value;

use super::STDOUT;
use super::shared::folder::{self, Folder};
use super::shared::sheet::{Room, Sheet, Worth};
use crate::cli::LsArgs;
use crate::ledger::{Ledger, Losses};
use crate::units::Flops;

/// Conclusions of one sweep that are shown.
const MOST_SAID: usize = 3;

/// Runs the command.
pub fn run(args: &LsArgs) -> anyhow::Result<ExitCode> {
    let dirs = if folder::is_folder(&args.dir) { vec![args.dir.clone()] } else { Folder::inside(&args.dir)? };
    if dirs.is_empty() {
        eprintln!("no sweep in {}; `runner sweep` writes to results/NAME", args.dir.display());
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = Sheet::new([
        ("sweep", Worth::Must),
        ("runs", Worth::Must),
        ("finished", Worth::More(1)),
        ("diverged", Worth::More(3)),
        ("failed", Worth::More(3)),
        ("FLOPs", Worth::More(2)),
        ("status", Worth::Must),
        ("headline", Worth::Must),
    ])
    .with_prose();
    for dir in &dirs {
        table.add_row(row(dir).or_else(|error| by_tables(dir, error)).unwrap_or_else(|error| damaged(dir, &error)));
    }
    write!(io::stdout(), "{}", table.text(Room::of(args.tables.wide))).context(STDOUT)?;
    Ok(ExitCode::SUCCESS)
}

fn row(dir: &Path) -> anyhow::Result<Vec<String>> {
    let folder = Folder::open(dir)?;
    let runs = &folder.ledger.plan().runs;
    let [finished, diverged, failed] = ["finished", "diverged", "failed"].map(|status| folder.count(status));
    let left = runs.len() - finished - diverged - failed;
    let mut status = match (Ledger::sweep_holder(dir), left) {
        (Some(_), 1..) => format!("running, {left} left"),
        (None, 1..) => format!("stopped, {left} left"),
        _ => "complete".to_owned(),
    };
    if folder.ledger.losses() == Losses::Rehearsed {
        status += ", rehearsed";
    }
    let headline = folder::fits(dir).as_ref().and_then(headline).unwrap_or_else(|| best(&folder));
    let flops = Flops(runs.iter().map(|run| run.flops).sum()).to_string();
    let counts = [runs.len(), finished, diverged, failed].map(|count| count.to_string());
    Ok([vec![name(dir)], counts.to_vec(), vec![flops, status, headline]].concat())
}

/// A folder whose plan cannot be read, such as one of an older version, by its tables.
fn by_tables(dir: &Path, error: anyhow::Error) -> anyhow::Result<Vec<String>> {
    let Ok(rows) = folder::table(dir) else { return Err(error) };
    let [finished, diverged, failed] = ["finished", "diverged", "failed"].map(|status| folder::count(&rows, status));
    let counts = [rows.len(), finished, diverged, failed].map(|count| count.to_string());
    let flops = rows.values().filter_map(|row| row.flops).sum();
    let headline = folder::fits(dir).as_ref().and_then(headline).unwrap_or_default();
    let headline = format!("{headline}\nits plan cannot be read by this version").trim().to_owned();
    let status = "tables only".to_owned();
    Ok([vec![name(dir)], counts.to_vec(), vec![Flops(flops).to_string(), status, headline]].concat())
}

fn damaged(dir: &Path, error: &anyhow::Error) -> Vec<String> {
    let nothing = || "-".to_owned();
    vec![name(dir), nothing(), nothing(), nothing(), nothing(), nothing(), "damaged".to_owned(), format!("{error:#}")]
}

fn name(dir: &Path) -> String {
    dir.file_name().unwrap_or(dir.as_os_str()).to_string_lossy().into_owned()
}

/// What a sweep found: its headline, or that of each group, or else its first conclusions.
fn headline(fits: &Value) -> Option<String> {
    let headlines = folder::headlines(fits).into_iter().map(|(group, headline)| match group {
        Some(group) => format!("{group}: {headline}"),
        None => headline.to_string(),
    });
    let conclusions = [list(&fits["transfer"]), list(&fits["savings"]), list(&fits["laws"])].concat();
    let said = conclusions.iter().filter_map(|fit| {
        let name = fit["parameterization"]
            .as_str()
            .or_else(|| fit["group"].as_str())
            .map(|name| format!("{name}: "))
            .unwrap_or_default();
        Some(name + fit["conclusion"].as_str()?)
    });
    let mut said: Vec<String> = said.chain(headlines).collect();
    if said.is_empty() {
        said.extend(folder::leading(fits).map(|fit| fit.conclusion));
    }
    let more = said.len().saturating_sub(MOST_SAID);
    let rest = (more > 0).then(|| format!("and {more} more: report.html has them all"));
    let lines: Vec<String> = said.into_iter().take(MOST_SAID).chain(rest).collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

fn list(value: &Value) -> Vec<&Value> {
    value.as_array().into_iter().flatten().collect()
}

/// The least loss.
fn best(folder: &Folder) -> String {
    let runs = folder.ledger.plan().runs.iter();
    let losses = runs.filter_map(|run| Some((folder.row(&run.id).val_loss?, &run.id)));
    let best = losses.min_by(|a, b| a.0.total_cmp(&b.0));
    best.map_or_else(String::new, |(loss, id)| format!("least loss {loss:.4} ({})", &id.as_str()[..8]))
}
