//! The folder of one attempt: what people may look at while a run is trained, and its checkpoints.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::{CurvePoint, LedgerError, files};

/// A folder below `attempts`, made when something is first put into it: an attempt that succeeds at once needs none.
#[derive(Debug)]
pub(super) struct Attempt {
    attempts: PathBuf,
    number: u32,
    metrics: Option<File>,
    durable: bool,
}

/// The newest checkpoint, and the one before it.
const CHECKPOINTS: [&str; 2] = ["checkpoint.safetensors", "checkpoint-previous.safetensors"];

impl Attempt {
    /// The next attempt in a folder of attempts.
    pub(super) fn next(attempts: PathBuf) -> Result<Self, LedgerError> {
        let number = numbers(&attempts)?.last().map_or(1, |last| last + 1);
        Ok(Self { attempts, number, metrics: None, durable: false })
    }

    /// Its number, from 1. Where two processes train one run it may change when the folder is made.
    pub(super) fn number(&self) -> u32 {
        self.number
    }

    /// Whether there is a folder yet.
    pub(super) fn has_folder(&self) -> bool {
        self.metrics.is_some()
    }

    /// Adds points to `metrics.jsonl`: one write(2), so that a crash tears at most the last line.
    pub(super) fn record(&mut self, points: &[CurvePoint]) -> Result<(), LedgerError> {
        let metrics = self.open()?;
        let mut lines = Vec::new();
        for point in points {
            lines.extend(serde_json::to_vec(point).expect("a point has only string keys"));
            lines.push(b'\n');
        }
        let written = metrics.write_all(&lines);
        written.map_err(LedgerError::io("write", &self.dir().join("metrics.jsonl")))
    }

    /// Keeps a checkpoint, durably, and the one before it; those of earlier attempts go when there are two.
    pub(super) fn save(&mut self, write: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>) -> Result<(), LedgerError> {
        self.open()?;
        let dir = self.dir();
        if !self.durable {
            for folder in dir.ancestors().skip(1).take(2) {
                files::sync_dir(folder)?;
            }
            self.durable = true;
        }
        let [path, previous] = CHECKPOINTS.map(|name| dir.join(name));
        files::rotate(&path, &previous, write)?;
        if previous.exists() {
            for number in numbers(&self.attempts)?.into_iter().filter(|number| *number < self.number) {
                remove_checkpoints(&self.attempts.join(number.to_string()));
            }
        }
        Ok(())
    }

    /// The folder, made if need be: whoever makes it owns it.
    fn open(&mut self) -> Result<&mut File, LedgerError> {
        if self.metrics.is_none() {
            files::create_dir(&self.attempts)?;
            while let Err(cause) = fs::create_dir(self.dir()) {
                if cause.kind() != io::ErrorKind::AlreadyExists {
                    return Err(LedgerError::io("create", &self.dir())(cause));
                }
                self.number += 1;
            }
            let path = self.dir().join("metrics.jsonl");
            let file = OpenOptions::new().create_new(true).append(true).open(&path);
            self.metrics = Some(file.map_err(LedgerError::io("create", &path))?);
        }
        Ok(self.metrics.as_mut().expect("opened above"))
    }

    fn dir(&self) -> PathBuf {
        self.attempts.join(self.number.to_string())
    }
}

/// Numbers of the attempts in a folder, rising; none where there is no folder.
pub(super) fn numbers(attempts: &Path) -> Result<Vec<u32>, LedgerError> {
    let entries = match fs::read_dir(attempts) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(LedgerError::io("read", attempts))?,
    };
    let mut numbers = Vec::new();
    for entry in entries {
        let name = entry.map_err(LedgerError::io("read", attempts))?.file_name();
        numbers.extend(name.to_str().and_then(|name| name.parse::<u32>().ok()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// The checkpoints in a folder of attempts, newest first.
pub(super) fn checkpoints(attempts: &Path) -> Result<Vec<PathBuf>, LedgerError> {
    let dirs = numbers(attempts)?.into_iter().rev().map(|number| attempts.join(number.to_string()));
    Ok(dirs.flat_map(|dir| CHECKPOINTS.map(|name| dir.join(name))).filter(|path| path.exists()).collect())
}

/// Removes all checkpoints in a folder of attempts; what cannot be removed is only litter.
pub(super) fn remove_all_checkpoints(attempts: &Path) {
    for number in numbers(attempts).unwrap_or_default() {
        remove_checkpoints(&attempts.join(number.to_string()));
    }
}

/// Removes the checkpoints of an attempt, and what a crash left of one that was being written.
fn remove_checkpoints(dir: &Path) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().trim_start_matches('.').to_owned();
        if name.starts_with("checkpoint") {
            let _ = fs::remove_file(entry.path());
        }
    }
}
