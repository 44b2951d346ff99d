//! Folders to write into: a command that is not a sweep writes into a new one, an empty one, or one that it made from the
//! same spec, and never over the results of another. Sweeps and single runs have their ledger to tell.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, bail};

/// What says that a folder holds the results of a sweep or a run.
const LEDGERS: [&str; 4] = ["ledger.json", "plan.json", "runs", "runs.csv"];

/// Refuses the results folder of a sweep or a run.
pub fn not_results(dir: &Path) -> anyhow::Result<()> {
    match LEDGERS.iter().find(|name| dir.join(name).exists()) {
        Some(name) => bail!(
            "{} holds the results of a sweep or a run ({name}), which are not overwritten; give another folder",
            dir.display()
        ),
        None => Ok(()),
    }
}

/// Refuses a folder that `ours` did not make, and one that it made from another spec. `ours` tells by the name of an entry,
/// `spec.toml` apart.
pub fn of_spec(dir: &Path, spec: &str, ours: impl Fn(&str) -> bool) -> anyhow::Result<()> {
    if !dir.exists() {
        return Ok(());
    }
    not_results(dir)?;
    let shown = dir.display();
    for entry in fs::read_dir(dir).with_context(|| format!("cannot read {shown}"))? {
        let name = entry.with_context(|| format!("cannot read {shown}"))?.file_name().to_string_lossy().into_owned();
        if name != "spec.toml" && !ours(&name) {
            bail!("{shown} holds {name}, which this command did not make; give an empty or a new folder with --out");
        }
    }
    match fs::read_to_string(dir.join("spec.toml")) {
        Ok(there) if there.parse::<toml::Table>().ok() == spec.parse::<toml::Table>().ok() => Ok(()),
        Ok(_) => bail!("{shown} was made from another spec; give another folder with --out, or remove this one"),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", dir.join("spec.toml").display())),
    }
}
