//! Runs in a folder of `TensorBoard`'s event files: a run a folder, at any depth.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::ImportError;
use super::log;
use super::tracked::{FINISHED, Fields, Steps, Tracked, bytes, folders, inside, number, value};
use crate::tensorboard::{self as events, Event, FAILURE, HPARAMS, Hparams, Kind, Message as _, SUCCESS, Summary};

/// Folders of one run that each have a part of its values, as Keras and T5X write them.
const PARTS: [&str; 9] = ["train", "training", "valid", "val", "validation", "eval", "evaluation", "dev", "test"];
/// How `SummaryWriter.add_text` ends its names.
const TEXT: &str = "/text_summary";
/// Megatron writes everything once more, along the samples instead of the steps.
const TWICE: &str = " vs samples";
/// Longer texts are no settings.
const LONGEST_SETTING: usize = 200;

/// What the event files of one folder tell.
#[derive(Default)]
struct Folder {
    steps: Vec<(f64, i64, String, f64)>,
    settings: Fields,
    has_hparams: bool,
    status: Option<String>,
    notes: Vec<String>,
}

/// The runs below a folder.
pub fn runs(path: &Path) -> Result<Vec<Tracked>, ImportError> {
    let mut found: BTreeMap<PathBuf, Folder> = BTreeMap::new();
    for folder in folders(path)? {
        let is_event_file =
            |file: &PathBuf| file.file_name().is_some_and(|name| name.to_string_lossy().contains("tfevents"));
        // The names hold the time at which each was begun, so that what was told later comes later.
        let files: Vec<PathBuf> =
            inside(&folder)?.into_iter().filter(|file| is_event_file(file) && file.is_file()).collect();
        if files.is_empty() {
            continue;
        }
        let mut told = Folder::default();
        for file in &files {
            told.read(file, &bytes(file)?);
        }
        told.settings.extend(log::settings(&files[0]));
        found.insert(folder, told);
    }
    let mut runs: BTreeMap<PathBuf, (Steps, Tracked)> = BTreeMap::new();
    for (folder, told) in &found {
        let (owner, prefix) = owner(folder, path, &found);
        let (steps, run) = runs.entry(owner.to_owned()).or_default();
        for (time, step, name, measured) in &told.steps {
            steps.add(*time, *step, &format!("{prefix}{name}"), *measured);
        }
        run.settings.extend(told.settings.clone());
        run.status = told.status.clone().or(run.status.take());
        run.notes.extend(told.notes.iter().cloned());
    }
    // A folder without values is that of what all runs have in common, or of files that cannot be read.
    let (runs, without): (Vec<_>, Vec<_>) = runs.into_iter().partition(|(_, (steps, _))| !steps.is_empty());
    let named = |(folder, (steps, run)): (PathBuf, (Steps, Tracked))| {
        let name = folder.strip_prefix(path).unwrap_or(&folder).to_string_lossy().into_owned();
        let name = if name.is_empty() { base(&folder) } else { name };
        Tracked { name, path: folder, lines: steps.lines(), ..run }
    };
    let mut runs: Vec<Tracked> = runs.into_iter().map(named).collect();
    if let Some(first) = runs.first_mut() {
        first.notes.extend(without.into_iter().flat_map(|(_, (_, run))| run.notes));
    }
    Ok(runs)
}

/// The name of a folder alone.
fn base(folder: &Path) -> String {
    folder.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The folder whose run the values of a folder belong to, and what is put before their names.
fn owner<'a>(folder: &'a Path, root: &Path, found: &BTreeMap<PathBuf, Folder>) -> (&'a Path, String) {
    let Some(parent) = folder.parent().filter(|_| folder != root) else { return (folder, String::new()) };
    let name = base(folder);
    if let Some((run, part)) = scalars(folder, &found[folder]).filter(|(run, _)| found.contains_key(*run)) {
        return (run, format!("{part}/"));
    }
    if PARTS.contains(&name.to_lowercase().as_str()) {
        return (parent, format!("{name}/"));
    }
    // `SummaryWriter.add_hparams` puts hyper-parameters into a folder of their own below that of the run.
    let is_of = |run: &Folder| !run.steps.is_empty() && !run.has_hparams;
    if found[folder].has_hparams && found.get(parent).is_some_and(is_of) {
        return (parent, String::new());
    }
    (folder, String::new())
}

/// The run and the part of a folder that `add_scalars` wrote, which has a folder for each of several values of one name:
/// `RUN/loss_train` as PyTorch has it, and `RUN/loss/train` as tensorboardX does.
fn scalars<'a>(folder: &'a Path, told: &Folder) -> Option<(&'a Path, String)> {
    let (.., tag, _) = told.steps.first()?;
    if told.steps.iter().any(|(_, _, other, _)| other != tag) {
        return None;
    }
    let (parent, name) = (folder.parent()?, base(folder));
    if let Some(part) = name.strip_prefix(&tag.replace('/', "_")).and_then(|rest| rest.strip_prefix('_')) {
        return Some((parent, part.to_owned()));
    }
    let run = parent.ancestors().nth(tag.split('/').count())?;
    (run.join(tag) == parent).then_some((run, name))
}

impl Folder {
    /// Reads an event file as far as it is whole.
    fn read(&mut self, path: &Path, file: &[u8]) {
        let mut rest = file;
        while let Some(record) = events::read_record(&mut rest) {
            if let Ok(Event { wall_time, step, summary: Some(Summary { value }), .. }) = Event::decode(record) {
                for value in value {
                    self.add(wall_time, step, value);
                }
            }
        }
        if !rest.is_empty() || file.is_empty() {
            let (read, all) = (file.len() - rest.len(), file.len());
            self.notes.push(format!(
                "{}: it is cut or damaged after {read} of {all} bytes, and read up to there",
                path.display()
            ));
        }
    }

    fn add(&mut self, time: f64, step: i64, told: events::Value) {
        let events::Value { tag, simple_value, tensor, metadata } = told;
        let plugin = metadata.and_then(|metadata| metadata.plugin_data).filter(|plugin| plugin.name == HPARAMS);
        if let Some(plugin) = plugin {
            self.add_hparams(&plugin.content);
        } else if let Some(text) = tensor.as_ref().and_then(events::Tensor::text) {
            self.add_text(tag.strip_suffix(TEXT).unwrap_or(&tag), text);
        } else if let Some(measured) = simple_value.map(plain).or_else(|| tensor?.number())
            && !tag.ends_with(TWICE)
        {
            self.steps.push((time, step, tag, measured));
        }
    }

    fn add_hparams(&mut self, data: &[u8]) {
        let Ok(hparams) = Hparams::decode(data) else { return };
        if let Some(start) = hparams.start {
            self.has_hparams = true;
            self.settings.extend(start.settings.into_iter().filter_map(|(name, setting)| {
                let value = match setting.kind? {
                    Kind::Number(value) => number(value),
                    Kind::Text(text) => text.into(),
                    Kind::Truth(truth) => truth.into(),
                };
                Some((name, value))
            }));
        }
        let status = hparams.end.map(|end| end.status);
        let word = status.and_then(|status| match status {
            SUCCESS => Some(FINISHED),
            FAILURE => Some("failed"),
            _ => None,
        });
        self.status = word.map(str::to_owned).or(self.status.take());
    }

    /// A text: one setting, or a JSON object of them, as Hugging Face's `Trainer` tells its arguments.
    fn add_text(&mut self, name: &str, text: &str) {
        if let Ok(Value::Object(told)) = serde_json::from_str(text) {
            self.settings.extend(told);
        } else if text.len() <= LONGEST_SETTING {
            self.settings.insert(name.to_owned(), value(text.trim()));
        }
    }
}

/// A 32-bit number with the digits that it was written with, and not those of its rounding.
fn plain(value: f32) -> f64 {
    value.to_string().parse().unwrap_or_else(|_| f64::from(value))
}
