//! Files that somebody asked for by name, whole or absent: a full disk leaves nothing, and what was there before stays.

use std::fs;
use std::path::Path;

use anyhow::Context as _;

use crate::whole;

/// Writes a file that must not be there yet.
pub fn create(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    let shown = path.display();
    let free = path.symlink_metadata().is_err();
    let named = match free.then(|| whole::publish(path, content)) {
        // Some file systems of sticks and shares have no links, by which a file takes nobody's place.
        Some(Err(_)) if !path.exists() => whole::write(path, content).map(|()| true),
        Some(named) => named,
        None => Ok(false),
    };
    anyhow::ensure!(
        named.with_context(|| format!("cannot write {shown}"))?,
        "{shown} exists and is not overwritten; give another file with --out"
    );
    Ok(())
}

/// Writes a file, in the place of one that may be there.
pub fn replace(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    // What a link names is replaced, and not the link; a pipe or device takes what it is given.
    let target = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let is_file = target.metadata().map_or(true, |about| about.is_file());
    let written = if is_file { whole::write(&target, content) } else { fs::write(&target, content) };
    written.with_context(|| format!("cannot write {}", path.display()))
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
