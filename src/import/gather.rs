//! A folder of logs as one table: a row a run, with the last value of everything that its log tells.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::ImportError;
use super::log::{self, STEPS, read};
use crate::fit::table::{self, Field};

/// Steps, tokens and training losses along a run, as far as each is told.
type Points = Vec<(Option<f64>, Option<f64>, f64)>;

/// What a folder of logs tells.
#[derive(Debug, Default)]
pub struct Gathered {
    /// One JSON object a line, one a run, in the order of their names.
    pub lines: Vec<u8>,
    /// The training curve of each, in the same order.
    pub curves: Vec<Points>,
    /// What was left out, for people.
    pub notes: Vec<String>,
    runs: Vec<Map<String, Value>>,
    /// The runs whose log tells no status and ends with a loss that is no number, or before its last step.
    ended: BTreeMap<usize, &'static str>,
}

/// Names of a training loss in logs.
const LOSSES: [&str; 4] = ["loss", "train_loss", "train/loss", "training_loss"];
const STATUS: &str = "status";
/// The status of a run whose last loss is no number, and of one whose log ends before its last step.
const DIVERGED: &str = "diverged";
const UNFINISHED: &str = "unfinished";
/// Names of the steps that a run is to have.
const ALL_STEPS: [&str; 8] = [
    "max_steps",
    "total_steps",
    "num_steps",
    "steps",
    "max_iters",
    "train_steps",
    "num_training_steps",
    "total_iterations",
];
/// Share of its steps after which a log is that of a whole run.
const WHOLE: f64 = 0.99;
/// Names of tokens.
const TOKENS: [&str; 3] = ["tokens", "tokens_seen", "train_tokens"];

/// Reads a folder of logs; nothing where the path is no such folder but a table or a folder with `runs.csv`.
pub fn gather(path: &Path) -> Result<Option<Gathered>, ImportError> {
    if !path.is_dir() || path.join("runs.csv").is_file() {
        return Ok(None);
    }
    let mut logs = logs(path, "")?;
    let tracked = if logs.is_empty() { mlflow_runs(path)? } else { Vec::new() };
    if logs.is_empty() && tracked.is_empty() {
        // A folder a run, each with its log.
        for folder in inside(path)?.iter().filter(|inner| inner.is_dir()) {
            logs.extend(self::logs(folder, &folder.file_name().unwrap_or_default().to_string_lossy())?);
        }
    }
    if logs.is_empty() && tracked.is_empty() {
        return Err(ImportError::NoRuns(path.to_owned()));
    }
    let mut gathered = Gathered::default();
    for (name, log) in logs {
        gathered.add_log(&log, &name)?;
    }
    for run in tracked {
        gathered.add_mlflow(&run)?;
    }
    gathered.write();
    Ok(Some(gathered))
}

/// The logs in a folder by name, sorted. Those of a folder inside are called by both; one that is alone there, which may be called
/// alike in each, by its folder.
fn logs(folder: &Path, called: &str) -> Result<Vec<(String, PathBuf)>, ImportError> {
    let logs: Vec<PathBuf> = inside(folder)?.into_iter().filter(|path| log::is_log(path)).collect();
    let alone = logs.len() == 1;
    let name = |log: &PathBuf| match log.file_stem().unwrap_or_default().to_string_lossy() {
        stem if called.is_empty() => stem.into_owned(),
        _ if alone => called.to_owned(),
        stem => format!("{called}/{stem}"),
    };
    Ok(logs.into_iter().map(|log| (name(&log), log)).collect())
}

/// What is in a folder, sorted.
fn inside(path: &Path) -> Result<Vec<PathBuf>, ImportError> {
    let cannot = |cause| ImportError::Read { path: path.to_owned(), cause };
    let entries = fs::read_dir(path).map_err(cannot)?.collect::<Result<Vec<_>, _>>().map_err(cannot)?;
    let mut paths: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).collect();
    paths.sort();
    Ok(paths)
}

/// Folders of runs in an `mlruns` folder, or in one of its experiments: those with `meta.yaml` and `metrics`.
fn mlflow_runs(path: &Path) -> Result<Vec<PathBuf>, ImportError> {
    let is_run = |path: &PathBuf| path.join("meta.yaml").is_file() && path.join("metrics").is_dir();
    let folders = |path: &Path| -> Result<Vec<PathBuf>, ImportError> {
        Ok(inside(path)?.into_iter().filter(|inner| inner.is_dir() && !inner.ends_with(".trash")).collect())
    };
    let mut found = Vec::new();
    for folder in folders(path)? {
        if is_run(&folder) {
            found.push(folder);
        } else {
            found.extend(folders(&folder)?.into_iter().filter(is_run));
        }
    }
    Ok(found)
}

fn has_status(run: &Map<String, Value>) -> bool {
    run.keys().any(|key| table::calls(Field::Status, key))
}

/// Whether a value is the word of what is no number.
fn is_no_number(value: &Value) -> bool {
    value.as_str().and_then(|text| text.parse::<f64>().ok()).is_some_and(|number| !number.is_finite())
}

impl Gathered {
    /// A log: one run.
    fn add_log(&mut self, path: &Path, name: &str) -> Result<(), ImportError> {
        let lines = log::lines(path)?;
        let count = lines.len();
        let (mut run, mut points, mut skipped, mut diverged) = (Map::new(), Points::new(), 0, false);
        let (mut reached, mut all) = (0.0_f64, None);
        // Trainers of Hugging Face close a log with the mean of all training losses, by a name of its own.
        let only_step_losses = lines.iter().flatten().any(|told| told.contains_key(LOSSES[0]));
        for told in lines {
            let Some(told) = told else {
                skipped += 1;
                continue;
            };
            let number = |names: &[&str]| names.iter().find_map(|name| told.get(*name)?.as_f64());
            if let Some(loss) = number(if only_step_losses { &LOSSES[..1] } else { &LOSSES }) {
                points.push((number(&STEPS), number(&TOKENS), loss));
            }
            reached = number(&STEPS).map_or(reached, |step| reached.max(step));
            all = number(&ALL_STEPS).or(all);
            // A logger may write every key each step: only a line whose losses are all no numbers is that of a divergence.
            let mut losses =
                told.iter().filter(|(name, value)| table::calls(Field::Loss, name) && !value.is_null()).peekable();
            if losses.peek().is_some() {
                diverged = losses.all(|(_, value)| is_no_number(value));
            }
            run.extend(told.into_iter().filter(|(_, value)| !value.is_null() && !is_no_number(value)));
        }
        if run.is_empty() {
            return Err(ImportError::NothingTold { path: path.to_owned(), lines: count });
        }
        if skipped > 0 {
            self.notes.push(format!("{}: {skipped} lines are not understood and are skipped", path.display()));
        }
        for (name, value) in log::settings(path) {
            run.entry(name).or_insert(value);
        }
        run.entry("name").or_insert_with(|| name.into());
        // The last loss that was a number is not that of its end.
        let at = self.runs.len();
        if diverged && !has_status(&run) {
            self.notes.push(format!("{}: its last loss is no number, so that it counts as diverged", path.display()));
            self.ended.insert(at, DIVERGED);
        } else if let Some(all) = all.filter(|all| reached > 0.0 && reached < WHOLE * all - 1.0 && !has_status(&run)) {
            let ends = format!("it ends at step {reached} of {all}, so that it counts as unfinished");
            self.notes.push(format!("{}: {ends}", path.display()));
            self.ended.insert(at, UNFINISHED);
        }
        self.push(run, points);
        Ok(())
    }

    /// A run of `MLflow`: files of parameters with their value, of metrics with a line `time value step` a measurement.
    fn add_mlflow(&mut self, path: &Path) -> Result<(), ImportError> {
        let meta = read(&path.join("meta.yaml"))?;
        let told = |key: &str| {
            let line = meta.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
            line.map(|value| value.trim().trim_matches(['\'', '"']).to_owned())
        };
        if told("lifecycle_stage").as_deref() == Some("deleted") {
            return Ok(());
        }
        let mut run = Map::new();
        for (name, file) in named_files(&path.join("params"))? {
            run.insert(name, read(&file)?.trim().into());
        }
        let (mut losses, mut diverged) = (Points::new(), false);
        for (name, file) in named_files(&path.join("metrics"))? {
            let text = read(&file)?;
            let measured: Vec<(f64, f64)> = text.lines().filter_map(measurement).collect();
            if LOSSES.contains(&name.as_str()) {
                losses = measured.iter().map(|(value, step)| (Some(*step), None, *value)).collect();
            }
            diverged |= LOSSES.contains(&name.as_str()) && measured.last().is_some_and(|(value, _)| !value.is_finite());
            let last = measured.iter().rev().find(|(value, _)| value.is_finite());
            run.extend(last.map(|(value, _)| (name, Value::from(*value))));
        }
        let folder = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let name = told("run_name").filter(|name| !name.is_empty()).unwrap_or(folder);
        run.insert("name".to_owned(), name.into());
        // The numbers are those of MLflow's RunStatus.
        let status = match told("status").unwrap_or_default().as_str() {
            "3" | "FINISHED" if diverged => DIVERGED.to_owned(),
            "3" | "FINISHED" => "finished".to_owned(),
            "1" | "RUNNING" => "running".to_owned(),
            "4" | "FAILED" => "failed".to_owned(),
            "5" | "KILLED" => "killed".to_owned(),
            other => other.to_owned(),
        };
        run.insert(STATUS.to_owned(), status.into());
        self.push(run, losses);
        Ok(())
    }

    fn push(&mut self, run: Map<String, Value>, points: Points) {
        self.runs.push(run);
        self.curves.push(points);
    }

    /// Writes the runs as lines. Those that diverged or are unfinished are told as such by the key that other logs have for it;
    /// where no log tells a status, the others are finished.
    fn write(&mut self) {
        // A loss on the way is not that of the end, where another one is told.
        let validation = |key: &String| table::calls(Field::Loss, key) && !LOSSES.contains(&key.as_str());
        if self.runs.iter().flat_map(Map::keys).any(validation) {
            self.runs.iter_mut().for_each(|run| run.retain(|key, _| !LOSSES.contains(&key.as_str())));
        }
        let told = self.runs.iter().flat_map(Map::keys).find(|key| table::calls(Field::Status, key)).cloned();
        let key = told.as_deref().unwrap_or(STATUS);
        for (at, mut run) in std::mem::take(&mut self.runs).into_iter().enumerate() {
            if let Some(status) = self.ended.get(&at) {
                run.insert(key.to_owned(), (*status).into());
            } else if told.is_none() && !self.ended.is_empty() {
                run.insert(key.to_owned(), "finished".into());
            }
            self.lines.extend(Value::Object(run).to_string().bytes());
            self.lines.push(b'\n');
        }
    }
}

/// Value and step of a line of a metric.
fn measurement(line: &str) -> Option<(f64, f64)> {
    let mut words = line.split_whitespace().skip(1);
    let value = words.next()?.parse().ok()?;
    Some((value, words.next().and_then(|step| step.parse().ok()).unwrap_or(0.0)))
}

/// Files below a folder, by their path in it with `/`; none where there is no such folder.
fn named_files(folder: &Path) -> Result<Vec<(String, PathBuf)>, ImportError> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for path in inside(folder)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            found.extend(named_files(&path)?.into_iter().map(|(inner, file)| (format!("{name}/{inner}"), file)));
        } else {
            found.push((name, path));
        }
    }
    Ok(found)
}
