//! `runner show`: one run, with its configuration, loss, curve and attempts, or one sweep.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use serde_json::json;

use super::shared::folder::{self, Folder, Found, Row};
use super::shared::json;
use super::shared::line::Line;
use super::shared::rehearsed;
use super::shared::sheet::{Room, Sheet};
use super::shared::stdout;
use crate::cli::ShowArgs;
use crate::columns::PART_LOSS;
use crate::execute::diverged::loss_of;
use crate::fit::numerics::order::ends;
use crate::observation::Counting;
use crate::plan::PlannedRun;
use crate::shell;
use crate::trainer::{Measured, Outcome};
use crate::units::{Flops, Params, Seconds, Tokens, count};

/// Runs the command.
pub fn run(args: &ShowArgs) -> anyhow::Result<ExitCode> {
    if let Some(dir) = folder::named(&args.run, &args.results) {
        return sweep(&dir, args.json);
    }
    let Found { folder, run } = folder::find(&args.run, &args.results)?;
    let row = folder.row(&run.id);
    let rehearsed = rehearsed::say_if(folder.ledger.losses());
    if args.json {
        let (sweep, curve) = (folder.ledger.dir(), folder.curve(&run.id)?);
        let mut shown =
            json!({ "sweep": sweep, "planned": run, "outcome": row, "curve": curve, "rehearsed": rehearsed });
        let evaluations = evaluations(&folder, &run)?;
        if !evaluations.is_empty() {
            shown["evaluations"] = json!(evaluations);
        }
        json::print(shown)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = Sheet::pairs();
    let mut add = |name: &str, value: String| {
        table.add_row([name.to_owned(), value]);
    };
    planned(&folder, &run, &row, &mut add);
    measured(&folder, &run, &row, &mut add)?;
    kept(&folder, &run, &mut add)?;
    stdout::print(&table.text(Room::of(false)))?;
    if args.config {
        stdout::print(&format!("\n{}\n", serde_json::to_string_pretty(&run.run)?))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A whole sweep: how it stands and what it found.
fn sweep(dir: &Path, as_json: bool) -> anyhow::Result<ExitCode> {
    let line = Line::of(dir);
    rehearsed::say_of(dir);
    // Of a folder that cannot be read the line tells why.
    let finished = Folder::open(dir).ok().filter(|folder| folder.left() > 0).map(|folder| finished(&folder));
    if as_json {
        json::print(json!({ "sweep": line, "fits": folder::fits(dir), "finished_runs": finished }))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = Sheet::pairs();
    line.pairs()
        .filter(|(_, value)| !value.is_empty())
        .for_each(|(name, value)| table.add_row([name.to_owned(), value]));
    if let Some(limits) = folder::fits(dir).iter().flat_map(folder::headlines).find_map(|(_, of)| of.limited_by()) {
        table.add_row(["limits".to_owned(), limits]);
    }
    if let Some(ids) = finished.filter(|ids| !ids.is_empty()) {
        let more = ids.len().saturating_sub(LISTED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let short: Vec<&str> = ids.iter().take(LISTED).map(|id| &id[..8]).collect();
        table.add_row(["finished so far".to_owned(), format!("{}{more}", short.join(", "))]);
    }
    let runs = dir.join("runs.csv");
    let listed = if runs.exists() {
        runs.display().to_string()
    } else {
        let dir = shell::quoted(&dir.display().to_string());
        format!("no table yet: `runner ledger rebuild {dir}` writes one of what has ended")
    };
    table.add_row(["runs are listed in".to_owned(), listed]);
    stdout::print(&table.text(Room::of(false)))?;
    Ok(ExitCode::SUCCESS)
}

/// Runs of an unfinished sweep that are named one by one.
const LISTED: usize = 20;

/// The runs that have finished, in the order of the plan.
fn finished(folder: &Folder) -> Vec<String> {
    let runs = folder.ledger.plan().runs.iter().filter(|run| folder.row(&run.id).status == "finished");
    runs.map(|run| run.id.to_string()).collect()
}

/// Takes the rows of the table, name and value.
type Add<'a> = &'a mut dyn FnMut(&str, String);

/// What the run is, and how it stands.
fn planned(folder: &Folder, run: &PlannedRun, row: &Row, add: Add<'_>) {
    add("run", run.id.to_string());
    add("sweep", folder.ledger.dir().display().to_string());
    for (group, headline) in folder::fits(folder.ledger.dir()).iter().flat_map(folder::headlines) {
        let of = group.map_or_else(String::new, |group| format!(" ({group})"));
        add("its headline", format!("{headline}{of}"));
    }
    let held = folder.ledger.holder(&run.id).filter(|_| row.status == "pending");
    add("status", held.map_or_else(|| row.status.clone(), |holder| format!("running, {holder}")));
    for (field, value) in &run.axes {
        add(field, value.clone());
    }
    add("model", run.model());
    if run.own_size().is_none() {
        add("parameterization", run.run.parameterization.name().to_owned());
    }
    // A program need not tell how many of its parameters are embeddings.
    let part = run.params_by(Counting::BlocksAndUnembedding);
    let part = part.map_or_else(String::new, |part| format!(" ({} of blocks and unembedding)", Params(part as f64)));
    add("parameters", format!("{}{part}", Params(run.params.by(Counting::All) as f64)));
    add("tokens", format!("{} ({:.1} a parameter)", Tokens(run.tokens as f64), run.tokens_per_param()));
    add("FLOPs", Flops(run.flops).to_string());
    let (optimizer, schedule) = (&run.run.optimizer, &run.run.schedule);
    // A program has rates of its own, and nothing is known of the steps of what was trained elsewhere.
    if run.own_size().is_none() {
        add("learning rate", format!("{:.3e}", optimizer.learning_rate));
    }
    if run.run.tokens_per_step() > 1 {
        add("batch", format!("{} tokens, {}", run.run.tokens_per_step(), count(schedule.steps, "step")));
    }
    add("seed", run.run.seed.to_string());
}

/// What came out.
fn measured(folder: &Folder, run: &PlannedRun, row: &Row, add: Add<'_>) -> anyhow::Result<()> {
    if let Some(loss) = row.loss() {
        add("validation loss", format!("{loss} nats per token"));
    }
    for Measured { name, value, standard_error, .. } in evaluations(folder, run)? {
        if let Some(part) = name.strip_prefix(PART_LOSS) {
            add(&format!("validation loss on {part}"), format!("{value:.4} ± {standard_error:.4} nats per token"));
        }
    }
    let curve = folder.curve(&run.id)?;
    // Without a curve nobody told a training loss: the column repeats the loss on validation tokens.
    let repeats = run.own_size().is_some() && curve.is_empty() && row.train_loss == row.val_loss;
    if let Some(loss) = row.train_loss.filter(|_| !repeats) {
        add("training loss", format!("{loss:.4}"));
    }
    if let (Some((_, first)), Some((_, last))) = (curve.first(), curve.last()) {
        let losses: Vec<f64> = curve.iter().map(|(_, loss)| *loss).collect();
        add("curve", format!("{first:.3} {} {last:.3}", sparkline(&losses)));
    }
    if let Some(rate) = row.told_speed() {
        add("speed", format!("{} tokens/s", Tokens(rate)));
    }
    if let Some(seconds) = row.told_seconds() {
        add("time", Seconds(seconds).to_string());
    }
    for (name, value) in &row.about {
        add(name, value.clone());
    }
    Ok(())
}

/// What else was measured of the trained model.
fn evaluations(folder: &Folder, run: &PlannedRun) -> anyhow::Result<Vec<Measured>> {
    Ok(match folder.ledger.result(&run.id)?.map(|result| result.outcome) {
        Some(Outcome::Finished { evaluations, .. }) => evaluations,
        _ => Vec::new(),
    })
}

/// What is kept of its attempts.
fn kept(folder: &Folder, run: &PlannedRun, add: Add<'_>) -> anyhow::Result<()> {
    if let Some(result) = folder.ledger.result(&run.id)? {
        if let Outcome::Diverged { step, train_loss, .. } = result.outcome {
            let loss = train_loss.map_or_else(|| "no finite number".to_owned(), |loss| format!("{loss:.4}"));
            let what = loss_of(run);
            add("diverged", format!("at step {step} of {}, {what} {loss}", run.run.schedule.steps));
        }
        if let Some(build) = result.build {
            if !build.rustc.is_empty() {
                add("compiler", build.rustc);
            }
            build.burn.into_iter().for_each(|burn| add("burn", burn));
            build.lock.into_iter().for_each(|lock| add("Cargo.lock", format!("sha256 {lock}")));
        }
        add("attempt", result.attempt.to_string());
    }
    if let Some(stopped) = folder.ledger.stopped(&run.id)? {
        add("stopped", format!("at step {} of {}: {}", stopped.step, run.run.schedule.steps, stopped.words(run)));
    }
    let dir = folder.ledger.dir().join("runs").join(run.id.as_str());
    for failure in folder.ledger.failures(&run.id)? {
        add("failed attempt", failure.to_string());
    }
    if dir.exists() {
        add("files", files(&dir));
    }
    Ok(())
}

/// Losses as blocks of eight heights, averaged to at most 48 of them.
fn sparkline(losses: &[f64]) -> String {
    const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let width = losses.len().min(48);
    let mean = |column: usize| {
        let part = &losses[column * losses.len() / width..(column + 1) * losses.len() / width];
        part.iter().sum::<f64>() / part.len() as f64
    };
    let means: Vec<f64> = (0..width).map(mean).collect();
    let (low, high) = ends(means.iter().copied());
    let height = |x: f64| if high > low { ((x - low) / (high - low) * 7.0).round() as usize } else { 0 };
    means.into_iter().map(|x| BLOCKS[height(x).min(7)]).collect()
}

/// What lies in the folder of a run.
fn files(dir: &Path) -> String {
    let attempts = fs::read_dir(dir.join("attempts")).map_or(0, Iterator::count);
    format!("{} (folders of attempts: {attempts})", dir.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_falling_curve_falls_and_a_long_one_is_averaged() {
        assert_eq!(sparkline(&[8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0]), "█▇▆▅▄▃▂▁");
        assert_eq!(sparkline(&[3.0, 3.0]), "▁▁");
        assert_eq!(sparkline(&[]), "");
        let long: Vec<f64> = (0..1000).map(f64::from).collect();
        assert_eq!(sparkline(&long).chars().count(), 48);
    }
}
