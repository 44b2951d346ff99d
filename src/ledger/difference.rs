//! What keeps two sweeps from sharing a results folder, in words.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::SystemTime;

use super::{LedgerError, Losses};
use crate::plan::Plan;
use crate::spec;

/// What keeps two sweeps from sharing a folder.
pub struct Difference {
    /// What it is.
    pub what: String,
    /// What to do.
    pub remedy: &'static str,
}

impl Difference {
    pub(super) fn refusal(self, dir: &Path) -> LedgerError {
        let Self { what: difference, remedy } = self;
        LedgerError::AnotherSweep { dir: dir.to_owned(), difference, remedy }
    }
}

/// Where values of the specs differ.
const VALUES: &str =
    "Write (or --set) the values that are there to go on, choose another folder with --out, or move this one away";
/// Where no value of a spec would make them the same.
const FOLDERS: &str = "Choose another folder with --out, or move this one away";
/// Where the specs are the same, and the text is not.
const CORPUS: &str = "Train on the new corpus into another folder with --out; to go on in this one, put the old text, tokenizer \
                      and split back";

/// What keeps two sweeps from sharing a folder, if anything.
pub(super) fn difference(
    there: (&str, &Plan, Losses),
    here: (&str, &Plan, Losses),
    since: Option<SystemTime>,
) -> Option<Difference> {
    let difference = losses_difference(there.2, here.2)
        .or_else(|| inputs_difference(there, here, since))
        .or_else(|| values_difference(there.0, here.0));
    if difference.is_some() {
        return difference;
    }
    let same = there.1.runs.len() == here.1.runs.len()
        && there.1.runs.iter().zip(&here.1.runs).all(|(there, here)| there.id == here.id);
    if same {
        return None;
    }
    let corpus = |plan: &Plan| plan.runs.first().map(|run| run.run.corpus.clone());
    Some(if corpus(there.1) == corpus(here.1) {
        let what = format!(
            "the same spec gave {} runs there and gives {} here, not all of them the same (was it made by another version?)",
            there.1.runs.len(),
            here.1.runs.len()
        );
        Difference { what, remedy: FOLDERS }
    } else {
        let what = "the corpus has changed since: its text, its tokenizer or its split".to_owned();
        Difference { what, remedy: CORPUS }
    })
}

/// Whether the files that decide what a program does have other content than those of the folder, and which were written
/// since its spec was. That they are others is known by their content, which is one checksum for all of them.
fn inputs_difference(
    there: (&str, &Plan, Losses),
    here: (&str, &Plan, Losses),
    since: Option<SystemTime>,
) -> Option<Difference> {
    let inputs = |plan: &Plan| plan.runs.first()?.run.program.as_ref().map(|program| program.inputs.clone());
    let names = |spec: &str| -> Option<Vec<String>> {
        let spec = spec.parse::<toml::Table>().ok()?;
        let names = spec.get("train")?.get("inputs")?.as_array()?;
        Some(names.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect())
    };
    let listed = names(here.0).filter(|listed| !listed.is_empty() && names(there.0).as_ref() == Some(listed))?;
    if inputs(there.1)? == inputs(here.1)? {
        return None;
    }
    let is_newer = |name: &&String| {
        let written = fs::metadata(name.as_str()).and_then(|file| file.modified()).ok();
        since.zip(written).is_some_and(|(since, written)| written > since)
    };
    let newer: Vec<String> = listed.iter().filter(is_newer).cloned().collect();
    let which = match (listed.len(), newer.len()) {
        (1, _) => format!("{} has other content now", listed[0]),
        (_, 0) => format!("one of {} has other content now", listed.join(", ")),
        _ => format!("a file has other content now; written since are {}", newer.join(", ")),
    };
    let what = format!(
        "its runs were trained by another version of the program: of train.inputs, {which}, and other content makes other runs \
         (put the old content back to go on there)"
    );
    Some(Difference { what, remedy: FOLDERS })
}

/// Why losses do not go together, if they do not.
pub(super) fn losses_difference(there: Losses, here: Losses) -> Option<Difference> {
    let what = match (there, here) {
        (Losses::Trained, Losses::Rehearsed) => "its models were trained, and a rehearsal trains none",
        (Losses::Rehearsed, Losses::Trained) => "it is a rehearsal, whose losses no training produced",
        _ => return None,
    };
    Some(Difference { what: what.to_owned(), remedy: FOLDERS })
}

/// Fields that may differ: a corpus is identified by its content, so that results survive a move of its files. Where the
/// content differs, so do the plans.
const PLACES: [&str; 5] = ["data.path", "data.validation_path", "data.tokenizer", "data.column", "data.parts"];

/// Whether specs of one sweep may differ in a key: its name makes no run another one; what is asked of the runs makes no difference to them either, nor which
/// of them are stopped before their ends.
fn may_differ(key: &str) -> bool {
    key == "name" || PLACES.contains(&key) || ["fit.", "sweep.stop_early."].iter().any(|table| key.starts_with(table))
}

/// Why specs are not of one sweep, if they are not.
pub(super) fn values_difference(there: &str, here: &str) -> Option<Difference> {
    spec_difference(there, here).map(|what| Difference { what, remedy: VALUES })
}

/// What a folder without its plan has that another plan has not.
pub(super) fn unplanned(run: &str) -> Difference {
    let what = format!("its runs/ has run {run}, which this spec does not plan, and its own plan or spec is lost");
    Difference { what, remedy: FOLDERS }
}

/// The keys in which two specs differ, if any.
fn spec_difference(there: &str, here: &str) -> Option<String> {
    let (Ok(there), Ok(here)) = (there.parse::<toml::Table>(), here.parse::<toml::Table>()) else {
        return Some("its spec.toml cannot be read".to_owned());
    };
    let (mut old, mut new) = (BTreeMap::new(), BTreeMap::new());
    flatten("", &there, &mut old);
    flatten("", &here, &mut new);
    let absent = "absent".to_owned();
    let mut keys: Vec<_> = old.keys().chain(new.keys().filter(|key| !old.contains_key(*key))).collect();
    keys.sort();
    let differing: Vec<_> = keys
        .into_iter()
        .map(|key| (key, old.get(key).unwrap_or(&absent), new.get(key).unwrap_or(&absent)))
        .filter(|(key, there, here)| there != here && !may_differ(key))
        .collect();
    // What a program may be told otherwise keeps no sweep out by itself, and is no reason beside others.
    let decides = |key: &String| !spec::is_idle(key);
    let some_decide = differing.iter().any(|(key, ..)| decides(key));
    let differences: Vec<_> = differing
        .into_iter()
        .filter(|(key, ..)| !some_decide || decides(key))
        .map(|(key, there, here)| format!("{key} is {there} there and {here} here"))
        .collect();
    match differences.len() {
        0 => None,
        1..=4 => Some(differences.join("; ")),
        more => Some(format!("{}; and {} more", differences[..3].join("; "), more - 3)),
    }
}

/// What is asked of the runs, when they are stopped, and how the sweep is named.
pub(super) fn question(spec: &str) -> Option<[Option<toml::Value>; 3]> {
    let mut spec = spec.parse::<toml::Table>().ok()?;
    let [fit, name] = ["fit", "name"].map(|key| spec.remove(key));
    Some([fit, spec.get("sweep").and_then(|sweep| sweep.get("stop_early")).cloned(), name])
}

/// The name of the sweep that was there, and the other one that it has now.
pub(super) fn renamed(there: &str, here: &str) -> Option<[String; 2]> {
    let name = |spec: &str| Some(spec.parse::<toml::Table>().ok()?.get("name")?.as_str()?.to_owned());
    name(there).zip(name(here)).filter(|(there, here)| there != here).map(|(there, here)| [there, here])
}

/// Every value of a table under its dotted key.
fn flatten(prefix: &str, table: &toml::Table, into: &mut BTreeMap<String, String>) {
    for (key, value) in table {
        match value {
            toml::Value::Table(table) => flatten(&format!("{prefix}{key}."), table, into),
            value => {
                into.insert(format!("{prefix}{key}"), value.to_string());
            }
        }
    }
}
