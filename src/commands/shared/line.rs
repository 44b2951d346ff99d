//! A sweep as one line: how it stands, and what it found. `runner ls` lists such lines, and `runner show` shows one.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;

use super::folder::{self, ENDS, Folder, NOT_REPORTED};
use crate::ledger::{Ledger, Losses};
use crate::units::Flops;

/// Conclusions of one sweep that are shown.
const MOST_SAID: usize = 3;

/// A sweep as a line of the list. Numbers are absent where its folder is damaged.
#[derive(Serialize)]
pub struct Line {
    sweep: String,
    path: PathBuf,
    runs: Option<usize>,
    finished: Option<usize>,
    diverged: Option<usize>,
    stopped: Option<usize>,
    failed: Option<usize>,
    flops: Option<f64>,
    status: String,
    headline: String,
    rehearsed: bool,
}

impl Line {
    /// Of a sweep's folder, whatever state it is in.
    pub fn of(dir: &Path) -> Self {
        let damaged = |error: anyhow::Error| Self::new(dir, None, None, "damaged".to_owned(), format!("{error:#}"));
        Self::open(dir).or_else(|error| Self::by_tables(dir, error)).unwrap_or_else(damaged)
    }

    fn new(dir: &Path, counts: Option<[usize; 5]>, flops: Option<f64>, status: String, headline: String) -> Self {
        let [runs, finished, diverged, stopped, failed] = [0, 1, 2, 3, 4].map(|k| counts.map(|counts| counts[k]));
        let (sweep, path) = (name(dir), dir.to_owned());
        Self {
            sweep,
            path,
            runs,
            finished,
            diverged,
            stopped,
            failed,
            flops,
            status,
            headline,
            rehearsed: Losses::at(dir) == Losses::Rehearsed,
        }
    }

    fn open(dir: &Path) -> anyhow::Result<Self> {
        let folder = Folder::open(dir)?;
        let runs = &folder.ledger.plan().runs;
        let [finished, diverged, stopped, failed] = ENDS.map(|status| folder.count(status));
        let mut status = match (Ledger::sweep_holder(dir), folder.left()) {
            (Some(_), left @ 1..) => format!("running, {left} left"),
            (None, left @ 1..) => format!("stopped, {left} left"),
            // The same command tries these again, which it would not of a sweep that is complete.
            _ if folder.is_reported() && failed > 0 => format!("ended, {failed} failed"),
            _ if folder.is_reported() => "complete".to_owned(),
            (Some(_), 0) => "running, its report to come".to_owned(),
            (None, 0) => NOT_REPORTED.to_owned(),
        };
        if stopped > 0 {
            let _ = write!(status, ", {stopped} stopped early");
        }
        if folder.ledger.losses() == Losses::Rehearsed {
            status += ", rehearsed";
        }
        let headline = folder::fits(dir).as_ref().and_then(headline).unwrap_or_else(|| best(&folder));
        let flops = runs.iter().map(|run| run.flops).sum();
        Ok(Self::new(dir, Some([runs.len(), finished, diverged, stopped, failed]), Some(flops), status, headline))
    }

    /// A folder whose plan cannot be read, such as one of an older version, by its tables.
    fn by_tables(dir: &Path, error: anyhow::Error) -> anyhow::Result<Self> {
        let Ok(rows) = folder::table(dir) else { return Err(error) };
        let [finished, diverged, stopped, failed] = ENDS.map(|status| folder::count(&rows, status));
        let flops = rows.values().filter_map(|row| row.flops).sum();
        let headline = folder::fits(dir).as_ref().and_then(headline).unwrap_or_default();
        let headline = format!("{headline}\nits plan cannot be read by this version").trim().to_owned();
        let counts = [rows.len(), finished, diverged, stopped, failed];
        Ok(Self::new(dir, Some(counts), Some(flops), "tables only".to_owned(), headline))
    }

    /// The cells of the list.
    pub fn cells(&self) -> [String; 8] {
        let count = |count: Option<usize>| count.map_or_else(|| "-".to_owned(), |count| count.to_string());
        let flops = self.flops.map_or_else(|| "-".to_owned(), |flops| Flops(flops).to_string());
        let [runs, finished, diverged, failed] = [self.runs, self.finished, self.diverged, self.failed].map(count);
        [self.sweep.clone(), runs, finished, diverged, failed, flops, self.status.clone(), self.headline.clone()]
    }

    /// The cells with their names.
    pub fn pairs(&self) -> impl Iterator<Item = (&'static str, String)> {
        let names = ["sweep", "runs", "finished", "diverged", "failed", "FLOPs", "status", "headline"];
        names.into_iter().zip(self.cells())
    }
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
    let goal = fits["goal"].as_str().map(str::to_owned);
    let mut said: Vec<String> = goal.into_iter().chain(said).chain(headlines).collect();
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
