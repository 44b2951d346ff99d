//! Files that somebody asked for by name, whole or absent: a full disk leaves nothing, and what was there before stays.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// Writes a file that must not be there yet.
pub fn create(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    let shown = path.display();
    let exists = || anyhow::anyhow!("{shown} exists and is not overwritten; give another file with --out");
    if path.symlink_metadata().is_ok() {
        return Err(exists());
    }
    let aside = aside(path, content, "create")?;
    // A link never replaces what somebody else wrote meanwhile; some file systems of sticks and shares have none.
    let named = match fs::hard_link(&aside, path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists && !path.exists() => fs::rename(&aside, path),
        linked => linked,
    };
    // Gone already where it was renamed.
    let _ = fs::remove_file(&aside);
    named.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => exists(),
        _ => anyhow::Error::new(error).context(format!("cannot create {shown}")),
    })
}

/// Writes a file, in the place of one that may be there.
pub fn replace(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    let cannot = || format!("cannot write {}", path.display());
    // What a link names is replaced, and not the link; a pipe or device takes what it is given.
    let target = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    if target.metadata().is_ok_and(|about| !about.is_file()) {
        return fs::write(&target, content).with_context(cannot);
    }
    let aside = aside(&target, content, "write")?;
    fs::rename(&aside, &target).inspect_err(|_| drop(fs::remove_file(&aside))).with_context(cannot)
}

/// The content in a new file beside `path`, safe on the disk.
fn aside(path: &Path, content: &[u8], verb: &str) -> anyhow::Result<PathBuf> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let aside = path.with_file_name(format!(".{name}.{}.tmp", std::process::id()));
    let mut file = File::create(&aside).with_context(|| format!("cannot {verb} {}", path.display()))?;
    let written: io::Result<()> = file.write_all(content).and_then(|()| file.sync_all());
    written
        .inspect_err(|_| drop(fs::remove_file(&aside)))
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(aside)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_file_takes_no_others_place_and_a_replaced_one_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("spec.toml");
        create(&path, b"first").unwrap();
        assert!(create(&path, b"second").unwrap_err().to_string().contains("is not overwritten"));
        assert_eq!(fs::read(&path).unwrap(), b"first");
        replace(&path, b"third").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"third");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left aside");
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_and_what_it_names_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let [path, link] = ["table.jsonl", "latest"].map(|name| dir.path().join(name));
        fs::write(&path, "old").unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        replace(&link, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert!(link.is_symlink());
    }
}
