//! Folders to write into: a command that is not a sweep writes into a new one, an empty one, or one that it made from the
//! same spec, and never over the results of another. Sweeps and single runs have their ledger to tell.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, bail};

/// What says that a folder holds the results of a sweep or a run.
const LEDGERS: [&str; 4] = ["ledger.json", "plan.json", "runs", "runs.csv"];

/// Files of a results folder that are derived from its runs, or from which it is read.
const FILES: [&str; 8] =
    ["ledger.json", "plan.json", "plan.csv", "spec.toml", "runs.csv", "curves.csv", "fits.json", "report.html"];

/// Refuses a file that a sweep or a run made: of its own results folder, or in the folders of that.
pub fn not_of_results(file: &Path) -> anyhow::Result<()> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = file.file_name().unwrap_or_default();
    // One that is not there yet may be written before its sweep writes it.
    let Ok(whole) = file.canonicalize().or_else(|_| folder.canonicalize().map(|folder| folder.join(name))) else {
        return Ok(());
    };
    let name = whole.file_name().unwrap_or_default();
    let is_results = |dir: &Path| LEDGERS.iter().any(|name| dir.join(name).exists());
    let own = FILES.iter().any(|own| name == *own) && whole.parent().is_some_and(is_results);
    let inside = |folder: &str| {
        let folders = whole.ancestors().skip(1).filter(|dir| dir.file_name().is_some_and(|name| name == folder));
        folders.filter_map(Path::parent).any(|dir| dir.join("plan.json").exists())
    };
    if own || inside("runs") || inside("figures") {
        bail!(
            "{} belongs to the results of a sweep or a run, which are not overwritten; give another file",
            file.display()
        );
    }
    Ok(())
}

/// Refuses the results folder of a sweep or a run, and standard output, which is none.
pub fn not_results(dir: &Path) -> anyhow::Result<()> {
    if dir == Path::new("-") {
        bail!("this writes a folder, which does not fit into standard output; give the name of a folder");
    }
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
