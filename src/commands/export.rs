//! `runner export`: runs, curves and models in the formats of other programs.

use std::io::{self, IsTerminal as _, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;

use super::shared::kept_model::kept_model;
use super::shared::stdout::STDOUT;
use super::shared::{claim, folder, out_file, rehearsed};
use crate::cli::export::{ArchitectureName, ExportCommand, FolderArgs, TableArgs, TransformersArgs};
use crate::columns::{DEVICE, REHEARSAL};
use crate::data;
use crate::export::runs::{self, Experiment, Run};
use crate::export::table::{Table, Tables, Values};
use crate::export::trackers::{self, Tracker};
use crate::export::transformers;
use crate::export::{jsonl, parquet, tensorboard};
use crate::ledger::{Ledger, has_tables_only};
use crate::model::Family;
use crate::paths;
use crate::units::count;

/// Runs the command.
pub fn run(command: &ExportCommand) -> anyhow::Result<ExitCode> {
    match command {
        ExportCommand::Jsonl(args) => table(args, |table, out| Ok(jsonl::write(table, out)?))?,
        ExportCommand::Parquet(args) if file(args).is_none() && io::stdout().is_terminal() => {
            anyhow::bail!("Parquet cannot be shown on a terminal; give --out {}.parquet", name(&args.runs));
        }
        ExportCommand::Parquet(args) => {
            let headline = headline(&args.runs);
            table(args, |table, out| Ok(parquet::write(table, headline.as_deref(), out)?))?;
        }
        ExportCommand::Tensorboard(args) => {
            claim::not_results(&args.out)?;
            let (experiment, runs) = of_folder(args)?;
            tensorboard::export(&experiment, &runs, &args.out)?;
            let out = args.out.display();
            tell!(
                "{} in {out}; look at them with `tensorboard --logdir {}`",
                count(runs.len(), "run"),
                paths::shown(&args.out)
            );
        }
        ExportCommand::Mlflow(args) => tracker(Tracker::Mlflow, "mlflow", args)?,
        ExportCommand::Wandb(args) => tracker(Tracker::Wandb, "wandb", args)?,
        ExportCommand::Transformers(args) => model(args)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The file to write; nothing for standard output, which `-` names too.
fn file(args: &TableArgs) -> Option<&Path> {
    args.out.as_deref().filter(|path| *path != Path::new("-"))
}

fn table(
    args: &TableArgs,
    write: impl Fn(&Table, &mut (dyn Write + Send)) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let TableArgs { runs, out: _, curves } = args;
    let out = file(args);
    if let Some(path) = out {
        let same = path.canonicalize().is_ok_and(|path| runs.canonicalize().is_ok_and(|runs| runs == path));
        anyhow::ensure!(!same, "--out {} is the table that is read; give another file", path.display());
        claim::not_of_results(path)?;
    }
    let tables = read(runs)?;
    let table = if *curves {
        tables
            .curves
            .with_context(|| format!("there is no curves.csv next to {}; leave out --curves", runs.display()))?
    } else {
        tables.runs
    };
    let Some(path) = out else {
        return write(&table, &mut io::stdout()).context(STDOUT);
    };
    let mut content = Vec::new();
    write(&table, &mut content).with_context(|| format!("cannot write {}", path.display()))?;
    out_file::replace(path, &content)?;
    let [rows, columns] = [count(table.rows, "row"), count(table.columns.len(), "column")];
    tell!("{rows} of {columns} in {}", path.display());
    Ok(())
}

fn tracker(tracker: Tracker, package: &str, args: &FolderArgs) -> anyhow::Result<()> {
    claim::not_results(&args.out)?;
    let (experiment, runs) = of_folder(args)?;
    trackers::export(tracker, &experiment, &runs, &args.out)?;
    let script = args.out.join("import.py");
    let all = count(runs.len(), "run");
    tell!("{all}; import with `python {}`, which needs the {package} package", script.display());
    Ok(())
}

/// The tables of a folder or a CSV, with a word where a folder's table knows more than its runs.
fn read(path: &Path) -> anyhow::Result<Tables> {
    let tables = Tables::read(path)?;
    let column = tables.runs.columns.iter().find(|column| column.name == DEVICE);
    let kinds = column.and_then(|column| if let Values::Text(kinds) = &column.values { Some(kinds) } else { None });
    if kinds.is_some_and(|kinds| kinds.iter().flatten().any(|kind| kind == REHEARSAL)) {
        rehearsed::say();
    }
    note_no_loss(&tables.runs, path);
    if path.is_dir()
        && !has_tables_only(path)
        && let Some(missing) = folder::missing_results(&Ledger::open(path)?)
    {
        let table = path.join("runs.csv");
        tell!(
            "warning: {missing}: they are exported as pending; copy the rest of runs/, or export {}",
            table.display()
        );
    }
    Ok(tables)
}

/// Says that no run has a loss, where that is so: the rows are those of a plan.
fn note_no_loss(table: &Table, runs: &Path) {
    let losses = table.columns.iter().find(|column| column.name == "val_loss");
    if table.rows > 0 && losses.is_some_and(|column| column.values.are_empty()) {
        tell!("warning: no run of {} has a val_loss: what is exported is what was planned", runs.display());
    }
}

/// The experiment that is asked for, and its runs.
fn of_folder(args: &FolderArgs) -> anyhow::Result<(Experiment, Vec<Run>)> {
    let FolderArgs { runs: path, out: _, name: given } = args;
    let runs = runs::runs(&read(path)?)?;
    Ok((Experiment { name: given.clone().unwrap_or_else(|| name(path)), headline: headline(path) }, runs))
}

/// What the fits of a folder, or of the folder around a table, found.
fn headline(path: &Path) -> Option<String> {
    let fits = folder::fits(if path.is_dir() { path } else { path.parent()? })?;
    let found: Vec<String> = folder::headlines(&fits)
        .into_iter()
        .map(|(group, headline)| group.map_or_else(String::new, |group| format!("{group}: ")) + &headline.to_string())
        .collect();
    (!found.is_empty()).then(|| found.join("; "))
}

/// The name of a folder of results, or of the folder around a table.
fn name(path: &Path) -> String {
    let whole = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let folder = if whole.is_dir() { Some(whole.as_path()) } else { whole.parent() };
    let name = folder.and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
    name.unwrap_or_else(|| "runner".to_owned())
}

fn model(args: &TransformersArgs) -> anyhow::Result<()> {
    let TransformersArgs { dir, run, out, checkpoint, architecture, cache } = args;
    claim::not_results(out)?;
    let ledger = Ledger::open(dir)?;
    let (planned, weights) = kept_model(&ledger, run.as_deref(), checkpoint.as_deref())?;
    let tokenizer = data::tokenizer_path(cache, &planned.run.corpus);
    let tokenizer = tokenizer.exists().then_some(tokenizer);
    let architecture = match architecture {
        ArchitectureName::Arcee => Family::Arcee,
        ArchitectureName::Llama => Family::Llama,
        ArchitectureName::Qwen3 => Family::Qwen3,
        ArchitectureName::Mixtral => Family::Mixtral,
        ArchitectureName::Qwen3Moe => Family::Qwen3Moe,
    };
    transformers::export(planned, &weights, architecture, tokenizer.as_deref(), out)?;
    let tokenizer = match tokenizer {
        Some(_) if out.join(data::ORIGINAL_IDS).exists() => {
            "without its tokenizer: ids were renumbered, and row n of the embedding belongs to number n of ids.u32"
        }
        Some(_) => "with its tokenizer",
        None => "without a tokenizer (none in the cache)",
    };
    tell!("run {} in {}, {tokenizer}", planned.id, out.display());
    Ok(())
}
