//! A path that stands for no results folder: what was probably meant. Folders of sweeps lie in `results/`.

use std::path::{Component, Path, PathBuf};

use crate::shell;

/// Where `runner sweep` writes.
const RESULTS: &str = "results";

/// Names that are told where none is meant for certain.
const TOLD: usize = 3;

/// The folder in `results/` that a path stands for as a name; nothing where it is no single name.
pub fn in_results(given: &Path) -> Option<PathBuf> {
    let is_name = matches!(given.components().collect::<Vec<_>>().as_slice(), [Component::Normal(_)]);
    is_name.then(|| Path::new(RESULTS).join(given))
}

/// A path as a shell takes it.
pub fn shown(path: &Path) -> String {
    shell::quoted(&path.display().to_string())
}

/// Why a path is no results folder, where that is plain from outside, and what to name instead.
pub fn meant(given: &Path) -> Option<String> {
    if given.is_file() {
        return Some("it is a file; name the folder of a sweep".to_owned());
    }
    let named = in_results(given);
    if let Some(named) = named.as_deref().filter(|named| is_sweep(named)) {
        return Some(format!("{} is one: name that", shown(named)));
    }
    if given.exists() {
        return None;
    }
    let near = if named.is_some() { near(given) } else { Vec::new() };
    let near = match (named, near.as_slice()) {
        // Names of sweeps have no ends.
        (None, _) => String::new(),
        (Some(_), []) if given.extension().is_some() => String::new(),
        (Some(named), []) => format!(", nor {}; `runner ls` lists what is in results/", shown(&named)),
        (Some(named), [only]) => format!(", nor {}; the nearest is {only}", shown(&named)),
        (Some(named), near) => format!(", nor {}; the nearest are {}", shown(&named), near.join(" and ")),
    };
    Some(format!("there is no such path{near}"))
}

/// Whether a sweep, or its tables as git keeps them, are there.
fn is_sweep(dir: &Path) -> bool {
    ["plan.json", "runs.csv"].iter().any(|name| dir.join(name).is_file())
}

/// Sweeps whose names begin like a path, or differ from it by a slip.
fn near(given: &Path) -> Vec<String> {
    let given = given.to_string_lossy();
    let entries = std::fs::read_dir(RESULTS).into_iter().flatten().flatten();
    let mut found: Vec<(usize, String)> = entries
        .map(|entry| entry.path())
        .filter(|path| is_sweep(path))
        .filter_map(|path| {
            let name = path.file_name()?.to_string_lossy().into_owned();
            let slips = strsim::damerau_levenshtein(&given, &name);
            let begins = name.starts_with(&*given) || given.starts_with(&name);
            (begins || slips <= 1 + name.len() / 6).then(|| (slips, shown(&path)))
        })
        .collect();
    found.sort();
    found.truncate(TOLD);
    found.into_iter().map(|(_, name)| name).collect()
}
