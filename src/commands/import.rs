//! `runner import`: runs that were trained elsewhere as a sweep's folder, from which every other command goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::ExitCode;
use std::thread;

use anyhow::{Context as _, bail};

use super::results::{self, MissingCorpus};
use super::shared::rehearsed;
use crate::cli::ImportArgs;
use crate::execute::Tally;
use crate::fit::table::{self, Columns, Field, Options, Records, Table, TableFile};
use crate::import::{self, Asked, Imported};
use crate::ledger::{Ledger, LedgerError, Losses, Published, RunResult};
use crate::observation::Observation;
use crate::plan::{PlannedRun, RunId};
use crate::report::words;
use crate::spec;
use crate::trainer::{Outcome, Told};
use crate::units;

/// Runs above which it is said that they take a while.
const MANY: usize = 1000;
/// Results that are on their way to the disk at once.
const WRITERS: usize = 32;

/// Columns that call a run by its name, in small letters and without what stands between words: W&B writes `Name`.
const NAMES: [&str; 5] = ["name", "runname", "run", "runid", "id"];

/// Runs the command.
pub fn run(args: &ImportArgs) -> anyhow::Result<ExitCode> {
    let ImportArgs { source, out, columns, skip_incomplete, tokens_from_flops, unfinished } = args;
    let columns = Columns::parse(columns)?;
    let gathered = import::gather(source, Asked { columns: &columns, unfinished: *unfinished })?;
    let of_logs = gathered.is_some();
    let (file, curves) = match gathered {
        Some(gathered) => {
            gathered.notes.iter().for_each(|note| tell!("note: {note}"));
            (TableFile::gathered(source, gathered.lines), gathered.curves)
        }
        None => (TableFile::open(source)?, Vec::new()),
    };
    let options =
        Options { skip_incomplete: *skip_incomplete, tokens_from_flops: *tokens_from_flops, ..Options::default() };
    let read = table::read_from(&file, &columns, &options);
    let read = read.with_context(|| said_of_rows(source, &file))?;
    read.notes.iter().for_each(|note| tell!("note: {note}"));
    read.warnings.iter().for_each(|warning| tell!("warning: {warning}"));
    let losses = losses(&read, source)?;
    let records = table::records(&file)?;
    for note in left_out(&read, &records, of_logs) {
        tell!("note: {note}");
    }
    let runs = read.rows.iter().zip(&read.lines).map(|(observation, line)| {
        let mut run = imported(&records, *line, observation);
        // Each run is a line.
        let at = (*line as usize).checked_sub(1);
        run.curve = at.and_then(|at| curves.get(at)).cloned().unwrap_or_default();
        run
    });
    let runs: Vec<Imported> = distinct(runs.collect(), &records);
    // What a folder has called the budgets of its curves stays, though further runs move their mean.
    let known = spec::read(&out.join("spec.toml")).and_then(|text| spec::parse(&text, "")).ok();
    let known = known.and_then(|spec| spec.sweep?.budgets).unwrap_or_default();
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_".contains(c) { c } else { '-' };
    let name: String =
        out.file_name().map(|name| name.to_string_lossy().chars().map(plain).collect()).unwrap_or_default();
    // A name of a sweep begins with a letter or digit.
    let name = Some(name.trim_start_matches(['-', '_'])).filter(|name| !name.is_empty()).unwrap_or("imported");
    let sweep = import::sweep(name, &source.display().to_string(), runs, &known)?;
    let ids: BTreeSet<RunId> = sweep.plan.runs.iter().map(|run| run.id.clone()).collect();
    let ledger = Ledger::create(out, &sweep.text, sweep.plan, losses).map_err(|error| other_sweep(error, &ids))?;
    ledger.tell_renamed();
    refuse_others(&ledger, &sweep.results)?;
    let new = publish(&ledger, &sweep.results)?;
    let tally = Tally::of(&ledger)?;
    results::write(&ledger, &sweep.spec, &tally, (Path::new("cache"), MissingCorpus::LeaveOut))?;
    let there = sweep.results.len() - new;
    let already = if there > 0 { format!(", {there} there already") } else { String::new() };
    tell!("{} imported{already}. Report: {}", units::count(new, "run"), out.join("report.html").display());
    Ok(ExitCode::SUCCESS)
}

/// Where the losses of a table come from: rehearsed ones stay what they are, and never mix with others.
fn losses(read: &Table<Observation>, source: &Path) -> anyhow::Result<Losses> {
    let (runs, rehearsed) = (read.rows.len(), read.rehearsed);
    if rehearsed == 0 {
        return Ok(Losses::Trained);
    }
    anyhow::ensure!(
        rehearsed == runs,
        "{}: {rehearsed} of its {runs} runs were rehearsed, and rehearsed losses never mix with trained ones: import them from two \
         tables into two folders",
        source.display()
    );
    rehearsed::say();
    Ok(Losses::Rehearsed)
}

/// What to do where a folder has another sweep than that of these runs: nobody wrote the values in which they differ.
fn other_sweep(error: LedgerError, ids: &BTreeSet<RunId>) -> anyhow::Error {
    let LedgerError::AnotherSweep { dir, .. } = &error else { return error.into() };
    let lost = |there: Ledger| there.plan().runs.iter().find(|run| !ids.contains(&run.id)).map(PlannedRun::model);
    let why = Ledger::open(dir).ok().and_then(lost).map_or_else(
        || "they have other budgets, or other sizes under the names there".to_owned(),
        |name| {
            format!(
                "its run {name:?} is not among them as it is there: it is missing, or has another size or other tokens now. One that was \
                 taken unfinished stays as it was"
            )
        },
    );
    let dir = dir.display();
    anyhow::anyhow!(
        "{dir} holds the results of another sweep, to which these runs cannot be added: {why}. Import all runs into another folder with \
         --out, or move {dir} away"
    )
}

/// Publishes the results, and says how many were new. Each waits for the disk, so that many wait at once.
fn publish(ledger: &Ledger, results: &[RunResult]) -> anyhow::Result<usize> {
    if results.len() > MANY {
        tell!("{} runs are written, a file each; the same command goes on where it is interrupted", results.len());
    }
    let part = |results: &[RunResult]| -> Result<usize, LedgerError> {
        results.iter().try_fold(0, |new, result| Ok(new + usize::from(ledger.import(result)? == Published::First)))
    };
    let parts: Vec<Result<usize, LedgerError>> = thread::scope(|scope| {
        let parts: Vec<_> = results
            .chunks(results.len().div_ceil(WRITERS).max(1))
            .map(|some| scope.spawn(move || part(some)))
            .collect();
        parts.into_iter().map(|part| part.join().expect("a writer does not panic")).collect()
    });
    Ok(parts.into_iter().sum::<Result<usize, LedgerError>>()?)
}

/// An error where the folder has other results of these runs: a result that was published stands.
fn refuse_others(ledger: &Ledger, results: &[RunResult]) -> anyhow::Result<()> {
    let loss = |result: &RunResult| match result.outcome {
        Outcome::Finished { val_loss, .. } => format!("{val_loss}"),
        Outcome::Diverged { .. } => "none".to_owned(),
    };
    let mut others = Vec::new();
    for result in results {
        if let Some(first) = ledger.result(&result.id)?.filter(|first| !first.agrees_with(result)) {
            others.push(format!("run {}: loss {} there, {} now", result.id, loss(&first), loss(result)));
        }
    }
    let Some(first) = others.first() else { return Ok(()) };
    let dir = ledger.dir().display();
    bail!(
        "{dir} holds other results of {} of these runs, and a result does not change ({first}); import into another folder \
         with --out, or remove {dir} first",
        others.len()
    )
}

/// Which run a row of a folder is.
fn said_of_rows(source: &Path, file: &TableFile) -> String {
    if !source.is_dir() || source.join("runs.csv").is_file() {
        return "the table of runs".to_owned();
    }
    let name = |records: &Records, line: &u64| name(records, *line).unwrap_or_default();
    let told = table::records(file).map(|records| {
        let each: Vec<String> = records.rows.keys().map(|line| format!("{line} is {}", name(&records, line))).collect();
        each.join(", ")
    });
    format!("the runs of {}, a line each: {}", source.display(), told.unwrap_or_default())
}

/// The name of a run, where a column tells one.
fn name(records: &Records, line: u64) -> Option<String> {
    let cells = records.rows.get(&line)?;
    let plain = |header: &String| -> String {
        header.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
    };
    let headers: Vec<String> = records.headers.iter().map(plain).collect();
    let at = NAMES.iter().find_map(|name| headers.iter().position(|header| header == name))?;
    Some(cells.get(at)?.trim().to_owned()).filter(|name| !name.is_empty())
}

fn imported(records: &Records, line: u64, observation: &Observation) -> Imported {
    let cells = records.rows.get(&line).map_or(&[][..], Vec::as_slice);
    let told = records.headers.iter().zip(cells).filter(|(header, cell)| !header.is_empty() && !cell.trim().is_empty());
    let told = told.map(|(header, cell)| (header.clone(), Told::of(cell.trim())));
    let name = name(records, line).unwrap_or_else(|| nameless(records, cells, observation.loss));
    Imported { name, row: line, observation: observation.clone(), told: told.collect(), curve: Vec::new() }
}

/// What a run without a name is called: by all of its row but the loss, so that it is the same run in a table that has grown or
/// was corrected, and another one than a run of a table with other settings.
fn nameless(records: &Records, cells: &[String], loss: f64) -> String {
    let is_loss = |cell: &str| cell.trim().parse().is_ok_and(|value: f64| value.total_cmp(&loss).is_eq());
    let cells = records.headers.iter().zip(cells).map(|(header, cell)| [header.as_str(), cell.trim()]);
    let told = cells.filter(|[header, cell]| !table::calls(Field::Loss, header) && !is_loss(cell));
    let text = told.map(|cell| cell.join("\u{1f}")).collect::<Vec<_>>().join("\u{1e}");
    format!("row {}", &blake3::hash(text.as_bytes()).to_hex()[..8])
}

/// Runs of one name, as where the name is that of a group, are told apart by a number: of all rows, so that a run keeps its own
/// when another one of its name has ended.
fn distinct(mut runs: Vec<Imported>, records: &Records) -> Vec<Imported> {
    let mut known: BTreeMap<(String, [u64; 3]), f64> = BTreeMap::new();
    for run in &runs {
        let Observation { params, tokens, seed, loss, .. } = run.observation;
        let same = (run.name.clone(), [params.to_bits(), tokens.to_bits(), seed.unwrap_or(0)]);
        if let Some(first) = known.insert(same, loss).filter(|first| first.total_cmp(&loss).is_ne()) {
            tell!(
                "warning: {} stands twice with the same size, tokens and seed, and losses of {first} and {loss}: where one is a \
                 retry of the other, leave the other out",
                run.name
            );
        }
    }
    let mut taken: BTreeSet<String> = BTreeSet::new();
    let mut free = |wanted: &str| {
        let numbered = (2..).map(|number| format!("{wanted} ({number})"));
        std::iter::once(wanted.to_owned()).chain(numbered).find(|name| taken.insert(name.clone())).unwrap_or_default()
    };
    let told = records.rows.keys().filter_map(|line| Some((*line, free(&name(records, *line)?))));
    let told: BTreeMap<u64, String> = told.collect();
    for run in &mut runs {
        run.name = told.get(&run.row).cloned().unwrap_or_else(|| free(&run.name));
    }
    runs
}

/// Runs that are named one by one where they are left out.
const NAMED: usize = 5;

/// What was left out, with the names of the first.
fn left_out(read: &Table<Observation>, records: &Records, of_logs: bool) -> Vec<String> {
    let mut by_reason: BTreeMap<Option<&str>, Vec<String>> = BTreeMap::new();
    for (line, status) in &read.left_out {
        let name = name(records, *line).unwrap_or_else(|| format!("row {line}"));
        by_reason.entry(status.as_deref()).or_default().push(name);
    }
    let note = |(status, names): (Option<&str>, Vec<String>)| {
        let more = names.len().saturating_sub(NAMED);
        let and = if more > 0 { format!(" and {more} more") } else { String::new() };
        let count = names.len();
        let runs = words::are(count, "run");
        let why = status.map_or_else(|| "without a number".to_owned(), str::to_owned);
        let way = match status {
            Some("without an end" | "running" | "killed" | "unfinished") if of_logs => "; --unfinished takes them too",
            _ => "",
        };
        format!("{runs} {why}, and left out: {}{and}{way}", names[..count - more].join(", "))
    };
    by_reason.into_iter().map(note).collect()
}
