//! Folders in which corpora are being prepared, and what processes that were ended left of theirs.
//!
//! `<cache>/preparing-<host>-<random>` is locked by the process that fills it, and the kernel frees the lock with the process.
//! A lock tells nothing of another machine where the file system keeps locks to itself, so that of folders of other
//! machines, or where there are no locks, only those go that nothing was written into for a day.

use std::ffi::OsStr;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use super::DataError;

/// How these folders are called.
const PREFIX: &str = "preparing-";
/// Time without a write after which a folder is given up whose process cannot be seen.
const ABANDONED: Duration = Duration::from_hours(24);

/// A folder to fill, which goes when it is dropped.
pub struct Scratch {
    folder: TempDir,
    /// Held for as long as the folder is filled; nothing where there are no locks.
    lock: Option<File>,
}

impl Scratch {
    /// Makes one in the cache, and removes those that were left behind there.
    pub fn new(cache: &Path) -> Result<Self, DataError> {
        fs::create_dir_all(cache).map_err(DataError::io("create", cache))?;
        // One process at a time, so that none takes a folder that is not locked yet for one that was left behind.
        let gate = File::open(cache).ok().filter(|gate| gate.lock().is_ok());
        remove_abandoned(cache);
        let made = tempfile::Builder::new().prefix(&own_prefix()).tempdir_in(cache);
        // Without the name that it would have had, which nobody gave.
        let made = made.map_err(|error| error.kind().into());
        let folder = made.map_err(DataError::io("create a folder in", cache))?;
        let lock = File::open(folder.path()).ok().filter(|lock| lock.try_lock().is_ok());
        drop(gate);
        Ok(Self { folder, lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Keeps the folder; the lock is to be held until it has its name.
    pub fn keep(self) -> (PathBuf, Option<File>) {
        (self.folder.keep(), self.lock)
    }
}

/// How folders of this machine are called.
fn own_prefix() -> String {
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host: String = host.trim().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    format!("{PREFIX}{host}-")
}

/// Removes the folders whose process is gone. What cannot be looked at or removed stays: it is in nobody's way.
fn remove_abandoned(cache: &Path) {
    let begins = |name: &OsStr, prefix: &str| name.as_encoded_bytes().starts_with(prefix.as_bytes());
    let own = own_prefix();
    for entry in fs::read_dir(cache).into_iter().flatten().flatten() {
        let (name, path) = (entry.file_name(), entry.path());
        if !begins(&name, PREFIX) {
            continue;
        }
        let Ok(folder) = File::open(&path) else { continue };
        let gone = match folder.try_lock() {
            Err(TryLockError::WouldBlock) => false,
            Ok(()) if begins(&name, &own) => true,
            Ok(()) | Err(TryLockError::Error(_)) => is_still(&path),
        };
        if gone {
            let _ = fs::remove_dir_all(&path);
        }
    }
}

/// Whether nothing in a folder has changed for long.
fn is_still(folder: &Path) -> bool {
    let files = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let changed = files.chain([folder.to_owned()]).filter_map(|path| path.metadata().ok()?.modified().ok()).max();
    let since = changed.and_then(|changed| SystemTime::now().duration_since(changed).ok());
    since.is_some_and(|since| since > ABANDONED)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(cache: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(cache).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_folder_that_cannot_be_made_is_told_without_a_name_that_nobody_gave() {
        let error = Scratch::new(Path::new("/proc/self")).err().unwrap().to_string();
        assert!(error.contains("cannot create a folder in /proc/self: ") && !error.contains(PREFIX), "{error}");
    }

    #[test]
    fn folders_that_nobody_fills_go_and_all_others_stay() {
        let cache = tempfile::tempdir().unwrap();
        let make = |name: &str| {
            let path = cache.path().join(name);
            fs::create_dir(&path).unwrap();
            fs::write(path.join("train.u16"), "tokens").unwrap();
            path
        };
        let age = |path: &Path| {
            let old = SystemTime::now() - ABANDONED - Duration::from_hours(1);
            File::open(path.join("train.u16")).unwrap().set_modified(old).unwrap();
            File::open(path).unwrap().set_modified(old).unwrap();
        };
        let own = own_prefix();
        make(&format!("{own}dead"));
        let living = Scratch::new(cache.path()).unwrap();
        let living_name = living.path().file_name().unwrap().to_str().unwrap().to_owned();
        assert_eq!(names(cache.path()), [living_name.as_str()]);
        // As an earlier version called them, and another machine calls its own.
        age(&make("preparing-Ab12Cd"));
        make("preparing-elsewhere-new");
        let locked = make(&format!("{own}locked"));
        age(&locked);
        let lock = File::open(&locked).unwrap();
        lock.try_lock().unwrap();
        make("0123456789abcdef");
        let second = Scratch::new(cache.path()).unwrap();
        let second_name = second.path().file_name().unwrap().to_str().unwrap().to_owned();
        let locked_name = format!("{own}locked");
        let mut expected = ["0123456789abcdef", "preparing-elsewhere-new", &locked_name, &living_name, &second_name]
            .map(str::to_owned);
        expected.sort();
        assert_eq!(names(cache.path()), expected);
        drop((living, second));
        assert_eq!(names(cache.path()).len(), 3, "what is not kept goes");
    }
}
