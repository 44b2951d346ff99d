//! A folder of logs as one table: a row a run, with the last value of everything that its log tells.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

use super::course::{Course, Points, WHOLE, is_no_number};
use super::tracked::{FINISHED, Fields, Tracked, UNENDED};
use super::{ImportError, log, mlflow, tensorboard, trainer, wandb};
use crate::fit::table::{self, Columns, Field};
use crate::lines::flat;
use crate::units;

/// How a folder of logs is to be read.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Columns of other names.
    pub columns: &'a Columns,
    /// Whether runs count that did not end.
    pub unfinished: bool,
}

/// What a folder of logs tells.
#[derive(Debug, Default)]
pub struct Gathered {
    /// One JSON object a line, one a run, in the order of their names.
    pub lines: Vec<u8>,
    /// The training curve of each, in the same order.
    pub curves: Vec<Points>,
    /// What was left out, for people.
    pub notes: Vec<String>,
    runs: Vec<Fields>,
    /// The runs whose log tells no status and ends with a loss that is no number, or before its last step.
    ended: BTreeMap<usize, &'static str>,
}

const STATUS: &str = "status";
/// The status of a run whose last loss is no number, and of one whose log ends before its last step.
const DIVERGED: &str = "diverged";
const UNFINISHED: &str = "unfinished";
/// What losses of several names are called together.
const LOSS: &str = "val_loss";
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
/// The runs that files of one kind tell of.
type Runs = fn(&Path) -> Result<Vec<Tracked>, ImportError>;

/// Reads a folder of logs; nothing where the path is no such folder but a table or a folder with `runs.csv`.
pub fn gather(path: &Path, asked: Asked<'_>) -> Result<Option<Gathered>, ImportError> {
    if !path.is_dir() || path.join("runs.csv").is_file() {
        return Ok(None);
    }
    // The first kind of files that a folder has. Where it has another one as well, both may tell of the same runs.
    let kinds: [(&str, Runs); 6] = [
        ("logs", log::runs),
        ("MLflow's files", mlflow::runs),
        ("logs", log::runs_inside),
        ("W&B's files", wandb::runs),
        ("TensorBoard's event files", tensorboard::runs),
        ("trainer_state.json of Hugging Face", trainer::runs),
    ];
    let (mut runs, mut gathered) = (Vec::new(), Gathered::default());
    for (name, kind) in kinds {
        if runs.is_empty() {
            runs = kind(path)?;
        } else if let Some(more) = kind(path).ok().map(|runs| runs.len()).filter(|more| *more > 0) {
            gathered.notes.push(format!(
                "{}: {name} there tell of {} too, and are not read; give their folder for these",
                path.display(),
                units::count(more, "run")
            ));
        }
    }
    if runs.is_empty() {
        runs = log::runs_below(path)?;
    }
    if runs.is_empty() {
        return Err(ImportError::NoRuns(path.to_owned()));
    }
    runs.into_iter().try_for_each(|run| gathered.add(run, asked))?;
    gathered.choose_losses(asked.columns);
    gathered.write();
    Ok(Some(gathered))
}

fn has_status(run: &Fields) -> bool {
    run.keys().any(|key| table::calls(Field::Status, key))
}

impl Gathered {
    /// A run.
    fn add(&mut self, of: Tracked, asked: Asked<'_>) -> Result<(), ImportError> {
        let Tracked { name, path, lines, settings, status, notes } = of;
        self.notes.extend(notes);
        let count = lines.len();
        let mut course = Course::of(lines.into_iter().flatten());
        let skipped = count - course.count;
        let mut run = course.values(asked.columns);
        if run.is_empty() && status.is_none() {
            // A job that died at its start leaves an empty log.
            if count == 0 {
                self.notes.push(format!("{}: left out, it is empty", path.display()));
                return Ok(());
            }
            return Err(ImportError::NothingTold { path, lines: count });
        }
        let of_run = |what: &str| format!("{}: {what}", path.display());
        if skipped > 0 {
            self.notes.push(of_run(&format!("skipped {} that cannot be understood", units::count(skipped, "line"))));
        }
        self.notes.extend(course.notes.iter().map(|note| of_run(note)));
        for (name, value) in flat(settings).into_iter().filter(|(_, value)| !value.is_null() && !is_no_number(value)) {
            run.entry(name).or_insert(value);
        }
        run.entry("name").or_insert_with(|| name.into());
        let told = || ALL_STEPS.iter().find_map(|name| run.get(*name)?.as_f64().filter(|steps| *steps >= 1.0));
        let (reached, all) = (course.reached(), course.last(&ALL_STEPS).or_else(told));
        let is_unended = |status: &String| asked.unfinished && UNENDED.contains(&status.as_str());
        let status = status.map(|status| if is_unended(&status) { FINISHED.to_owned() } else { status });
        // The last loss that was a number is not that of its end.
        let at = self.runs.len();
        let may_be_whole = !has_status(&run) && status.as_deref().is_none_or(|status| status == FINISHED);
        let short = all.filter(|all| reached > 0.0 && reached < WHOLE * all - 1.0);
        if course.diverged() && may_be_whole {
            self.notes.push(of_run("its last loss is no number, so that it counts as diverged"));
            self.ended.insert(at, DIVERGED);
        } else if let Some(all) = short.filter(|_| may_be_whole && !asked.unfinished) {
            self.notes.push(of_run(&format!("it ends at step {reached} of {all}, so that it counts as unfinished")));
            self.ended.insert(at, UNFINISHED);
        } else if let Some(status) = status {
            run.insert(STATUS.to_owned(), status.into());
        }
        self.runs.push(run);
        self.curves.push(course.curve());
        Ok(())
    }

    /// Leaves out losses on the way where another one is told, and calls those of validation by one name where each run has one and
    /// they differ, unless a name was asked for.
    fn choose_losses(&mut self, columns: &Columns) {
        if columns.named(Field::Loss).is_some() {
            return;
        }
        let is_on_the_way = |key: &str| table::calls(Field::Loss, key) && table::is_of_training(key);
        if self.runs.iter().flat_map(Fields::keys).any(|key| table::is_of_validation(key)) {
            self.runs.iter_mut().for_each(|run| run.retain(|key, _| !is_on_the_way(key)));
        } else if let Some(name) = self.runs.iter().flat_map(Fields::keys).find(|key| table::is_plain_loss(key)) {
            self.notes.push(format!(
                "the only loss of these logs is '{name}', which may be that of training: a fit wants the one of validation"
            ));
        }
        let of_run =
            |run: &Fields| -> Vec<String> { run.keys().filter(|key| table::is_of_validation(key)).cloned().collect() };
        let names: Vec<Vec<String>> = self.runs.iter().map(of_run).collect();
        let all: BTreeSet<&String> = names.iter().flatten().collect();
        if all.len() < 2 || names.iter().any(|names| names.len() > 1) {
            return;
        }
        let listed: Vec<String> = all.into_iter().map(|name| format!("'{name}'")).collect();
        self.notes.push(format!("the losses {} are one of each run, and are all taken as {LOSS}", listed.join(", ")));
        for (run, names) in self.runs.iter_mut().zip(&names) {
            if let Some(value) = names.first().and_then(|name| run.remove(name)) {
                run.insert(LOSS.to_owned(), value);
            }
        }
    }

    /// Writes the runs as lines. Those that diverged or are unfinished are told as such by the key that other logs have for it;
    /// where no log tells a status, the others are finished.
    fn write(&mut self) {
        let told = self.runs.iter().flat_map(Fields::keys).find(|key| table::calls(Field::Status, key)).cloned();
        let key = told.as_deref().unwrap_or(STATUS);
        for (at, mut run) in std::mem::take(&mut self.runs).into_iter().enumerate() {
            if let Some(status) = self.ended.get(&at) {
                run.insert(key.to_owned(), (*status).into());
            } else if told.is_none() && !self.ended.is_empty() {
                run.insert(key.to_owned(), FINISHED.into());
            }
            self.lines.extend(Value::Object(run).to_string().bytes());
            self.lines.push(b'\n');
        }
    }
}
