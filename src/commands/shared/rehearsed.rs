//! Losses that no training produced: every command that shows, fits or hands on results says so, in one sentence.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

use super::folder;
use super::surface;
use crate::ledger::{Losses, REHEARSED};

/// Says so on standard error, once in a process: a command may meet the same losses in several of its parts.
pub fn say() {
    static SAID: AtomicBool = AtomicBool::new(false);
    if !SAID.swap(true, Ordering::Relaxed) {
        tell!("{REHEARSED}");
    }
}

/// Whether losses are such, which is said if they are.
pub fn say_if(losses: Losses) -> bool {
    let rehearsed = losses == Losses::Rehearsed;
    if rehearsed {
        say();
    }
    rehearsed
}

/// The same of a folder of results, or of a file in it.
pub fn say_of(path: &Path) -> bool {
    say_if(Losses::at(path))
}

/// The same of what was fitted: what `runner fit --json` printed, or the `fits.json` of a sweep, also of one that a
/// version wrote which did not tell.
pub fn say_of_fits(path: &Path) -> anyhow::Result<bool> {
    let file = surface::file(path)?;
    let text = std::fs::read_to_string(&file).unwrap_or_default();
    let told = |value: &Value| value["rehearsed"].as_bool() == Some(true);
    let listed = |value: &Value| value.as_array().is_some_and(|values| values.iter().any(told));
    let mut objects = serde_json::Deserializer::from_str(&text).into_iter::<Value>().map_while(Result::ok);
    if objects.any(|value| told(&value) || listed(&value)) {
        say();
        return Ok(true);
    }
    let dir = file.parent().filter(|dir| folder::is_folder(dir));
    Ok(dir.is_some_and(say_of))
}
