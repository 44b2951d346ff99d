//! Runs for experiment trackers: `runs.jsonl`, one run a line, and the script `import.py`, which hands them to the
//! tracker by its own documented client. Their formats on disk change from version to version; the clients do not.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use super::ExportError;
use super::error::{create_dir, write};
use super::runs::{Experiment, Run, Setting};

/// A tracker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tracker {
    /// `MLflow`.
    Mlflow,
    /// Weights & Biases.
    Wandb,
}

impl Tracker {
    fn script(self) -> &'static str {
        match self {
            Self::Mlflow => include_str!("import_mlflow.py"),
            Self::Wandb => include_str!("import_wandb.py"),
        }
    }
}

/// One line.
#[derive(Serialize)]
struct Line<'a> {
    name: &'a str,
    status: Option<&'a str>,
    settings: BTreeMap<&'a str, &'a Setting>,
    results: BTreeMap<&'a str, f64>,
    curve: Vec<BTreeMap<&'a str, f64>>,
}

/// Writes the folder.
pub fn export(tracker: Tracker, of: &Experiment, runs: &[Run], out: &Path) -> Result<(), ExportError> {
    create_dir(out)?;
    let mut lines = Vec::new();
    for run in runs {
        let finite = |values: &'_ [(String, f64)]| -> Vec<(String, f64)> {
            values.iter().filter(|(_, value)| value.is_finite()).cloned().collect()
        };
        let results = finite(&run.results);
        let line = Line {
            name: &run.name,
            status: run.status.as_deref(),
            settings: run.settings.iter().map(|(name, value)| (name.as_str(), value)).collect(),
            results: results.iter().map(|(name, value)| (name.as_str(), *value)).collect(),
            curve: run.curve.iter().map(point).collect(),
        };
        serde_json::to_writer(&mut lines, &line).expect("names are strings and numbers finite");
        lines.push(b'\n');
    }
    write(&out.join("runs.jsonl"), &lines)?;
    // A string of JSON is one of Python.
    let quoted = |text: &str| serde_json::to_string(text).expect("a string");
    let script = tracker.script().replace("\"EXPERIMENT\"", &quoted(&of.name));
    let script = script.replace("\"HEADLINE\"", &quoted(of.headline.as_deref().unwrap_or_default()));
    write(&out.join("import.py"), script.as_bytes())
}

/// A point with its step, without values that JSON has no word for.
fn point(point: &super::runs::Point) -> BTreeMap<&str, f64> {
    let values = point.values.iter().filter(|(_, value)| value.is_finite());
    values.map(|(name, value)| (name.as_str(), *value)).chain([("step", point.step as f64)]).collect()
}
