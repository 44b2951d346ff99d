//! What is derived when the runs of a sweep have ended: tables, fits, figures, the page.

use std::path::Path;

use serde::Serialize;

use super::fit;
use crate::execute::Summary;
use crate::fit::Bootstrap;
use crate::fit::approach2::{self, Approach2};
use crate::ledger::{Ledger, Losses};
use crate::observation::{Counting, Observation};
use crate::spec::Spec;

/// Said whenever losses were rehearsed.
pub(super) const REHEARSAL: &str =
    "REHEARSAL: no model is trained; every loss comes from a known surface and some noise";

/// What `fits.json` holds.
#[derive(Serialize)]
struct Fits {
    /// One for each counting convention.
    approach2: Vec<Approach2>,
}

/// Derives everything in the folder of results and returns the tables for people.
pub(super) fn write(ledger: &Ledger, _spec: &Spec, _cache: &Path, _summary: &Summary) -> anyhow::Result<String> {
    ledger.rebuild_tables()?;
    let observations = ledger.observations()?;
    let fits = Fits { approach2: isoflop_fits(ledger, &observations) };
    let mut json = serde_json::to_vec_pretty(&fits)?;
    json.push(b'\n');
    ledger.write_derived("fits.json", &json)?;
    if fits.approach2.is_empty() {
        return Ok(String::new());
    }
    let heading = match ledger.losses() {
        Losses::Rehearsed => format!("{REHEARSAL}\n\n"),
        Losses::Trained => String::new(),
    };
    Ok(heading + &fit::text(&fits.approach2))
}

/// Approach 2 by every convention, where the sweep is made of IsoFLOP curves.
fn isoflop_fits(ledger: &Ledger, observations: &[Observation]) -> Vec<Approach2> {
    let runs = &ledger.plan().runs;
    if runs.iter().all(|run| run.run.flop_budget.is_none()) {
        return Vec::new();
    }
    let axes: Vec<&String> = runs.first().map(|run| run.axes.keys().collect()).unwrap_or_default();
    if !axes.is_empty() {
        // A parabola through runs of several learning rates, say, would mean nothing.
        eprintln!("no fit: the IsoFLOP curves vary {axes:?} as well; fit the rows of runs.csv that belong together");
        return Vec::new();
    }
    let bootstrap = Bootstrap::default();
    Counting::ALL.map(|counting| approach2::fit(observations, counting, &bootstrap)).to_vec()
}
