//! A folder of logs as one table: a row a run, with the last value of everything that its log tells.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::log::STEPS;
use super::tracked::{FINISHED, Fields, Tracked};
use super::{ImportError, log, mlflow, tensorboard, wandb};
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
    runs: Vec<Fields>,
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

/// The runs that files of one kind tell of.
type Runs = fn(&Path) -> Result<Vec<Tracked>, ImportError>;

/// Reads a folder of logs; nothing where the path is no such folder but a table or a folder with `runs.csv`.
pub fn gather(path: &Path) -> Result<Option<Gathered>, ImportError> {
    if !path.is_dir() || path.join("runs.csv").is_file() {
        return Ok(None);
    }
    // The first kind of files that a folder has. Where it has another one as well, both may tell of the same runs.
    let kinds: [(&str, Runs); 5] = [
        ("logs", log::runs),
        ("MLflow's files", mlflow::runs),
        ("logs", log::runs_inside),
        ("W&B's files", wandb::runs),
        ("TensorBoard's event files", tensorboard::runs),
    ];
    let (mut runs, mut gathered) = (Vec::new(), Gathered::default());
    for (name, kind) in kinds {
        if runs.is_empty() {
            runs = kind(path)?;
        } else if let Some(more) = kind(path).ok().map(|runs| runs.len()).filter(|more| *more > 0) {
            gathered.notes.push(format!(
                "{}: {name} there tell of {more} runs too, and are not read; give their folder for these",
                path.display()
            ));
        }
    }
    if runs.is_empty() {
        return Err(ImportError::NoRuns(path.to_owned()));
    }
    runs.into_iter().try_for_each(|run| gathered.add(run))?;
    gathered.write();
    Ok(Some(gathered))
}

fn has_status(run: &Fields) -> bool {
    run.keys().any(|key| table::calls(Field::Status, key))
}

/// Whether a value is the word of what is no number.
fn is_no_number(value: &Value) -> bool {
    value.as_str().and_then(|text| text.parse::<f64>().ok()).is_some_and(|number| !number.is_finite())
}

impl Gathered {
    /// A run.
    fn add(&mut self, of: Tracked) -> Result<(), ImportError> {
        let Tracked { name, path, lines, settings, status, notes } = of;
        self.notes.extend(notes);
        let count = lines.len();
        let (mut run, mut points, mut skipped, mut diverged) = (Fields::new(), Points::new(), 0, false);
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
        if run.is_empty() && status.is_none() {
            return Err(ImportError::NothingTold { path, lines: count });
        }
        if skipped > 0 {
            self.notes.push(format!("{}: {skipped} lines are not understood and are skipped", path.display()));
        }
        for (name, value) in settings.into_iter().filter(|(_, value)| !value.is_null() && !is_no_number(value)) {
            run.entry(name).or_insert(value);
        }
        run.entry("name").or_insert_with(|| name.into());
        all = all.or_else(|| ALL_STEPS.iter().find_map(|name| run.get(*name)?.as_f64().filter(|steps| *steps >= 1.0)));
        // The last loss that was a number is not that of its end.
        let at = self.runs.len();
        let may_be_whole = !has_status(&run) && status.as_deref().is_none_or(|status| status == FINISHED);
        let short = all.filter(|all| reached > 0.0 && reached < WHOLE * all - 1.0);
        if diverged && may_be_whole {
            self.notes.push(format!("{}: its last loss is no number, so that it counts as diverged", path.display()));
            self.ended.insert(at, DIVERGED);
        } else if let Some(status) = status {
            run.insert(STATUS.to_owned(), status.into());
        } else if let Some(all) = short.filter(|_| may_be_whole) {
            let ends = format!("it ends at step {reached} of {all}, so that it counts as unfinished");
            self.notes.push(format!("{}: {ends}", path.display()));
            self.ended.insert(at, UNFINISHED);
        }
        self.push(run, points);
        Ok(())
    }

    fn push(&mut self, run: Fields, points: Points) {
        self.runs.push(run);
        self.curves.push(points);
    }

    /// Writes the runs as lines. Those that diverged or are unfinished are told as such by the key that other logs have for it;
    /// where no log tells a status, the others are finished.
    fn write(&mut self) {
        // A loss on the way is not that of the end, where another one is told.
        let validation = |key: &String| table::calls(Field::Loss, key) && !LOSSES.contains(&key.as_str());
        if self.runs.iter().flat_map(Fields::keys).any(validation) {
            self.runs.iter_mut().for_each(|run| run.retain(|key, _| !LOSSES.contains(&key.as_str())));
        }
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
