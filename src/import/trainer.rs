//! Runs of Hugging Face's `Trainer`: the history of a run that each of its checkpoints keeps in `trainer_state.json`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::ImportError;
use super::log;
use super::tracked::{Fields, Tracked, folders, text};

const STATE: &str = "trainer_state.json";
/// How the folders of checkpoints begin.
const CHECKPOINT: &str = "checkpoint-";

/// The runs below a folder, of each the latest checkpoint.
pub fn runs(path: &Path) -> Result<Vec<Tracked>, ImportError> {
    let mut found: BTreeMap<PathBuf, (f64, Tracked)> = BTreeMap::new();
    for folder in folders(path)? {
        let file = folder.join(STATE);
        if !file.is_file() {
            continue;
        }
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let parent = folder.parent().filter(|_| name.starts_with(CHECKPOINT) && folder != path);
        let run = parent.unwrap_or(&folder).to_owned();
        let Some((step, told)) = read(&file)? else { continue };
        let name = run.strip_prefix(path).unwrap_or(&run).to_string_lossy().into_owned();
        let name = Some(name).filter(|name| !name.is_empty());
        let name = name.unwrap_or_else(|| run.file_name().unwrap_or_default().to_string_lossy().into_owned());
        let told = Tracked { name, ..told };
        if found.get(&run).is_none_or(|(last, _)| *last < step) {
            found.insert(run, (step, told));
        }
    }
    Ok(found.into_values().map(|(_, run)| run).collect())
}

/// How far a checkpoint had come, and what it keeps; nothing for a file of that name that is another one's.
fn read(file: &Path) -> Result<Option<(f64, Tracked)>, ImportError> {
    let Some(mut state) = log::json::<Fields>(&text(file)?) else { return Ok(None) };
    let Some(Value::Array(history)) = state.remove("log_history") else { return Ok(None) };
    let step = state.get("global_step").and_then(Value::as_f64).unwrap_or(0.0);
    let line = |entry: Value| if let Value::Object(told) = entry { Some(told) } else { None };
    let lines = history.into_iter().map(line).collect();
    let mut settings = log::settings(file);
    settings.extend(state.into_iter().filter(|(_, value)| !value.is_array() && !value.is_object()));
    Ok(Some((step, Tracked { path: file.to_owned(), lines, settings, ..Tracked::default() })))
}
