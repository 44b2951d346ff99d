//! What is derived when the runs of a sweep have ended: tables, fits, figures, the page.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::Context;
use serde::Serialize;

use super::{fit_table, planning};
use crate::data::Corpus;
use crate::execute::Summary;
use crate::fit::Bootstrap;
use crate::fit::approach2::{self, Approach2};
use crate::fit::frontier::{self, Comparison, Way};
use crate::fit::summary::Summary as FitSummary;
use crate::fit::transfer::{self, Group};
use crate::ledger::{Ledger, Losses, State};
use crate::observation::{Counting, Observation};
use crate::parameterization::Parameterization;
use crate::plan::Run;
use crate::report::{self, ReportInput, RunTable};
use crate::spec::{Source, Spec};
use crate::trainer::Outcome;

/// Said whenever losses were rehearsed.
pub(super) const REHEARSAL: &str =
    "REHEARSAL: no model is trained; every loss comes from a known surface and some noise";

/// What `fits.json` holds.
#[derive(Serialize)]
struct Fits {
    /// One for each counting convention.
    approach2: Vec<Approach2>,
    /// One for each parameterization of a sweep of learning rate and width.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    transfer: Vec<transfer::Summary>,
    /// What each further parameterization of a sweep of IsoFLOP curves saves against the standard one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    savings: Vec<Comparison>,
}

/// Derives everything in the folder of results and returns the tables for people.
pub(super) fn write(ledger: &Ledger, spec: &Spec, cache: &Path, summary: &Summary) -> anyhow::Result<String> {
    ledger.rebuild_tables()?;
    let observations = ledger.observations()?;
    let groups = transfer_groups(ledger)?;
    let savings = savings(ledger)?;
    let other = !groups.is_empty() || !savings.is_empty();
    let approach2 = if other { Vec::new() } else { isoflop_fits(ledger, &observations) };
    let fits = Fits { approach2, transfer: groups.iter().map(transfer::Summary::from).collect(), savings };
    let mut json = serde_json::to_vec_pretty(&fits)?;
    json.push(b'\n');
    ledger.write_derived("fits.json", &json)?;

    let (title, heading) = match ledger.losses() {
        Losses::Trained => (spec.name.clone(), String::new()),
        Losses::Rehearsed => (format!("{} ({REHEARSAL})", spec.name), format!("{REHEARSAL}\n\n")),
    };
    let input = ReportInput {
        name: &title,
        spec: &spec.to_toml(),
        observations: &observations,
        approach2: &fits.approach2,
        transfer: &groups,
        savings: &fits.savings,
        entropy: entropy(ledger, spec, cache)?,
        runs: &run_table(ledger)?,
        left_out: &left_out(ledger),
        failed: &failed(summary),
        provenance: &provenance(ledger)?,
    };
    report::write(ledger.dir(), &input)?;
    if fits.approach2.is_empty() {
        let verdicts =
            groups.iter().map(|group| format!("{}: {}\n", group.parameterization, group.transfer.conclusion));
        let savings = fits.savings.iter().map(|saving| format!("{}\n", saving.conclusion));
        return Ok(heading + &verdicts.chain(savings).collect::<String>());
    }
    let table = FitSummary::nested(fits.approach2.iter().map(FitSummary::from).collect());
    Ok(heading + &fit_table::text(&table.into_iter().collect::<Vec<_>>()))
}

/// Approach 2 by every convention, where the sweep is made of IsoFLOP curves.
fn isoflop_fits(ledger: &Ledger, observations: &[Observation]) -> Vec<Approach2> {
    let runs = &ledger.plan().runs;
    if runs.iter().all(|run| run.run.flop_budget.is_none()) {
        return Vec::new();
    }
    let axes: BTreeSet<&String> = runs.iter().flat_map(|run| run.axes.keys()).collect();
    if !axes.is_empty() {
        // A parabola through runs of several learning rates, say, would mean nothing.
        eprintln!("no fit: the IsoFLOP curves vary {axes:?} as well; fit the rows of runs.csv that belong together");
        return Vec::new();
    }
    let bootstrap = Bootstrap::default();
    Counting::ALL.map(|counting| approach2::fit(observations, counting, &bootstrap)).to_vec()
}

/// The fields that a sweep of transfer varies.
const TUNED: &str = "optimizer.learning_rate";
const SCALED: &str = "model.width";
const COMPARED: &str = "model.parameterization";
/// The field that a sweep of IsoFLOP curves of listed widths varies.
const BUDGET: &str = "schedule.flops";

/// Sweeps of learning rate and width, one for each parameterization and whatever else varies; none where the axes are
/// others.
fn transfer_groups(ledger: &Ledger) -> anyhow::Result<Vec<Group>> {
    let mut groups: BTreeMap<(Parameterization, String), Vec<transfer::Run>> = BTreeMap::new();
    for planned in &ledger.plan().runs {
        let wanted = [TUNED, SCALED].iter().all(|field| planned.axes.contains_key(*field));
        if !wanted || planned.axes.contains_key(BUDGET) {
            return Ok(Vec::new());
        }
        let run = &planned.run;
        let others = planned.axes.iter().filter(|(field, _)| ![TUNED, SCALED, COMPARED].contains(&field.as_str()));
        let others: Vec<String> = others.map(|(field, value)| format!(", {field} {value}")).collect();
        let loss = match ledger.result(&planned.id)?.map(|result| result.outcome) {
            Some(Outcome::Finished { val_loss, .. }) => val_loss,
            Some(Outcome::Diverged { .. }) => f64::INFINITY,
            None => continue,
        };
        let (width, learning_rate) = (run.shape.width as f64, run.optimizer.learning_rate);
        groups.entry((run.parameterization, others.concat())).or_default().push(transfer::Run {
            width,
            learning_rate,
            loss,
        });
    }
    let fit = |((parameterization, others), runs): ((Parameterization, String), Vec<transfer::Run>)| {
        let transfer = transfer::fit(&runs, &Bootstrap::default());
        Group { parameterization: format!("{}{others}", parameterization.name()), runs, transfer }
    };
    Ok(groups.into_iter().map(fit).collect())
}

/// What each parameterization saves against the standard one, where the sweep is made of IsoFLOP curves of several.
fn savings(ledger: &Ledger) -> anyhow::Result<Vec<Comparison>> {
    let mut ways: BTreeMap<Parameterization, Vec<(&Run, frontier::Run)>> = BTreeMap::new();
    for planned in &ledger.plan().runs {
        let (run, params) = (&planned.run, planned.params.by(Counting::BlocksAndUnembedding) as f64);
        let Some(budget) = run.flop_budget.filter(|_| planned.axes.contains_key(COMPARED)) else {
            return Ok(Vec::new());
        };
        let loss = match ledger.result(&planned.id)?.map(|result| result.outcome) {
            Some(Outcome::Finished { val_loss, .. }) => val_loss,
            Some(Outcome::Diverged { .. }) => f64::INFINITY,
            None => continue,
        };
        let point = frontier::Run { budget, params, loss, flops: planned.flops };
        ways.entry(run.parameterization).or_default().push((run, point));
    }
    let Some(standard) = ways.remove(&Parameterization::Standard) else { return Ok(Vec::new()) };
    let way = |parameterization: Parameterization, runs: &[(&Run, frontier::Run)], tuning_flops| {
        let runs = runs.iter().map(|(_, point)| *point).collect();
        Way { name: parameterization.name().to_owned(), runs, tuning_flops }
    };
    let compared = ways.iter().map(|(parameterization, runs)| {
        let tuning_flops = tuning_at_base(runs[0].0, &standard);
        let reference = way(Parameterization::Standard, &standard, 0.0);
        frontier::compare(&reference, &way(*parameterization, runs, tuning_flops), &Bootstrap::default())
    });
    Ok(compared.collect())
}

/// FLOPs of tuning a parameterization at its base shape: all runs of that shape at the smallest budget, which are the
/// same to the bit in the standard parameterization.
fn tuning_at_base(run: &Run, standard: &[(&Run, frontier::Run)]) -> f64 {
    let base = [run.base_width, run.base_head_dim];
    let at_base =
        |other: &Run| [other.shape.width, other.shape.head_dim()] == base && other.base_depth == run.base_depth;
    let runs: Vec<&frontier::Run> = standard.iter().filter(|(run, _)| at_base(run)).map(|(_, point)| point).collect();
    let smallest = runs.iter().map(|point| point.budget).fold(f64::INFINITY, f64::min);
    runs.iter().filter(|point| point.budget <= smallest).map(|point| point.flops).sum()
}

/// Entropy of the built-in language with its standard error. It bounds trained losses, and no rehearsed ones.
fn entropy(ledger: &Ledger, spec: &Spec, cache: &Path) -> anyhow::Result<Option<(f64, f64)>> {
    if ledger.losses() == Losses::Rehearsed || spec.data.source != Source::Synthetic {
        return Ok(None);
    }
    let corpus = Corpus::prepare(&spec.data, spec.model.context, cache, &mut |line| eprintln!("{line}"))?;
    Ok(corpus.entropy().map(|entropy| (entropy.nats_per_token, entropy.standard_error)))
}

fn run_table(ledger: &Ledger) -> anyhow::Result<RunTable> {
    let path = ledger.dir().join("runs.csv");
    let mut reader = csv::Reader::from_path(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let cells = |record: &csv::StringRecord| record.iter().map(str::to_owned).collect();
    let header = cells(reader.headers()?);
    let rows = reader.records().map(|record| Ok(cells(&record?))).collect::<Result<_, csv::Error>>()?;
    Ok(RunTable { header, rows })
}

fn left_out(ledger: &Ledger) -> Vec<(String, String)> {
    ledger.plan().left_out.iter().map(|point| (planning::describe(point), point.reason.clone())).collect()
}

fn failed(summary: &Summary) -> Vec<(String, String)> {
    let diverged = summary.diverged.iter().map(|run| (run.to_string(), "diverged".to_owned()));
    let failed = summary.failed.iter().map(|(run, failure)| (run.to_string(), failure.message.clone()));
    diverged.chain(failed).collect()
}

/// Where the results come from: every device and version that has a part in them.
fn provenance(ledger: &Ledger) -> anyhow::Result<Vec<(String, String)>> {
    let (mut devices, mut versions) = (BTreeSet::new(), BTreeSet::new());
    for run in &ledger.plan().runs {
        if let State::Ended(result) = ledger.state(&run.id)? {
            let device = result.device;
            devices.insert(format!("{}: {} ({}, {})", device.kind, device.name, device.driver, device.precision));
            let build = result.build.map(|build| format!(" ({build}, {})", build.rustc)).unwrap_or_default();
            versions.insert(format!("runner {}{build}", result.version));
        }
    }
    let list = |set: BTreeSet<String>| set.into_iter().collect::<Vec<_>>().join("; ");
    let losses = match ledger.losses() {
        Losses::Trained => "trained",
        Losses::Rehearsed => REHEARSAL,
    };
    Ok([("device", list(devices)), ("version", list(versions)), ("losses", losses.to_owned())]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec())
}
