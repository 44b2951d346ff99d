//! Runs in an `mlruns` folder, `MLflow`'s store of files: parameters with their value, metrics with a line
//! `time value step` a measurement.

use std::path::{Path, PathBuf};

use super::ImportError;
use super::tracked::{FINISHED, Fields, Steps, Tracked, inside, text};

/// The runs of an `mlruns` folder, or of one of its experiments, in the order in which they were begun: folders have random
/// names, and runs of one name are told apart by their order.
pub fn runs(path: &Path) -> Result<Vec<Tracked>, ImportError> {
    let runs = run_folders(path)?.into_iter().map(|folder| run(&folder));
    let mut runs = runs.filter_map(Result::transpose).collect::<Result<Vec<_>, _>>()?;
    runs.sort_by_key(|(begun, _)| *begun);
    Ok(runs.into_iter().map(|(_, run)| run).collect())
}

/// Folders of runs: those with `meta.yaml` and `metrics`.
fn run_folders(path: &Path) -> Result<Vec<PathBuf>, ImportError> {
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

/// When a run was begun, and the run; nothing for one that was deleted.
fn run(path: &Path) -> Result<Option<(i64, Tracked)>, ImportError> {
    let meta = text(&path.join("meta.yaml"))?;
    let told = |key: &str| {
        let line = meta.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        line.map(|value| value.trim().trim_matches(['\'', '"']).to_owned())
    };
    if told("lifecycle_stage").as_deref() == Some("deleted") {
        return Ok(None);
    }
    let (mut settings, mut steps) = (Fields::new(), Steps::default());
    for (name, file) in named_files(&path.join("params"))? {
        settings.insert(name, text(&file)?.trim().into());
    }
    for (name, file) in named_files(&path.join("metrics"))? {
        for (time, value, step) in text(&file)?.lines().filter_map(measurement) {
            steps.add(time, step, &name, value);
        }
    }
    let folder = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let name = told("run_name").filter(|name| !name.is_empty()).unwrap_or(folder);
    // The numbers are those of MLflow's RunStatus.
    let status = match told("status").unwrap_or_default().as_str() {
        "3" | "FINISHED" => FINISHED.to_owned(),
        "1" | "RUNNING" => "running".to_owned(),
        "4" | "FAILED" => "failed".to_owned(),
        "5" | "KILLED" => "killed".to_owned(),
        other => other.to_owned(),
    };
    let begun = told("start_time").and_then(|time| time.parse().ok()).unwrap_or(0);
    let (path, lines, status) = (path.to_owned(), steps.lines(), Some(status));
    Ok(Some((begun, Tracked { name, path, lines, settings, status, ..Tracked::default() })))
}

/// Time, value and step of a line of a metric.
fn measurement(line: &str) -> Option<(f64, f64, i64)> {
    let mut words = line.split_whitespace();
    let time = words.next()?.parse().unwrap_or(0.0);
    let value = words.next()?.parse().ok()?;
    Some((time, value, words.next().and_then(|step| step.parse().ok()).unwrap_or(0)))
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
