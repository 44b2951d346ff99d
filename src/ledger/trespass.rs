//! What somebody else's program did in the folders of runs, where only the ledger writes. It may do as it likes in a folder of its
//! own; what it writes in the place of a result is moved aside before anybody takes it for one.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::folder::{Kind, check_spec};
use super::{Claim, Failure, Ledger, LedgerError, Stopped, files};
use crate::plan::RunId;

/// What a program may not touch, as it stood before it was started.
pub struct Standing {
    /// The ends of all runs.
    ends: BTreeMap<PathBuf, Stamp>,
    /// The files of the sweep itself, with what they hold: the next call cannot do without them.
    sweep: Vec<(PathBuf, Stamp, Vec<u8>)>,
}

/// Time and size of a file.
type Stamp = (Option<SystemTime>, u64);

fn stamp(path: &Path) -> Option<Stamp> {
    fs::symlink_metadata(path).ok().map(|file| (file.modified().ok(), file.len()))
}

/// Whether a file is surely not there. That it cannot be looked at, as where a network fails, does not say so.
fn is_gone(path: &Path) -> bool {
    fs::symlink_metadata(path).is_err_and(|error| error.kind() == ErrorKind::NotFound)
}

/// Why a file is not what its name says. A file that cannot be read now, as where too many are open, is left alone: an innocent run
/// would lose what it trained, and whoever needs the file tells of it.
fn fault(path: &Path, read: impl FnOnce() -> Result<(), LedgerError>) -> Option<String> {
    // Nothing else than files is written here, and a pipe would be read for ever.
    if fs::symlink_metadata(path).is_ok_and(|about| !about.is_file()) {
        return Some("it is not a file".to_owned());
    }
    match read() {
        Err(LedgerError::Damaged { reason, .. }) => Some(reason),
        Ok(()) | Err(_) => None,
    }
}

impl Claim<'_> {
    /// How the results stand now.
    pub fn standing(&self) -> Standing {
        let paths = self.ledger.ends().into_iter().map(|(path, _)| path);
        let ends = paths.filter_map(|path| stamp(&path).map(|stamp| (path, stamp))).collect();
        let of_sweep = SWEEP.map(|name| self.ledger.dir.join(name)).into_iter();
        let sweep = of_sweep.filter_map(|path| {
            // The time first: what is written in between is looked at once more, and nothing is missed.
            let stamp = stamp(&path)?;
            let content = fs::read(&path).ok()?;
            Some((path, stamp, content))
        });
        Standing { ends, sweep: sweep.collect() }
    }

    /// What was done to results since then by whoever is not the ledger, in words; nothing where all is well.
    pub fn trespass(&self, before: &Standing) -> Option<String> {
        let Self { ledger, id, .. } = self;
        let lock = ledger.lock_path(id);
        let mut done = Vec::new();
        if is_gone(&lock) {
            done.push(format!("{} was removed", lock.display()));
        }
        for (path, run) in ledger.ends() {
            let (stood, stands) = (before.ends.get(&path), stamp(&path));
            if stood.is_some() && is_gone(&path) && path == ledger.result_path(run) {
                done.push(format!("{} was removed, and its run is trained again", path.display()));
            } else if stands.is_some() && stands.as_ref() != stood {
                done.extend(ledger.set_aside(&path, run));
            }
        }
        done.extend(before.sweep.iter().filter_map(|(path, stood, content)| {
            (stamp(path).as_ref() != Some(stood)).then(|| ledger.put_back(path, content))?
        }));
        if done.is_empty() {
            return None;
        }
        Some(format!(
            "while the program ran, {}. It may write in the folder that its config.json names and nowhere else in {} (with \
             several slots it may have been the program of another run)",
            done.join("; "),
            ledger.dir().display()
        ))
    }
}

impl Ledger {
    /// The files that say how runs ended, whether they are there or not.
    fn ends(&self) -> Vec<(PathBuf, &RunId)> {
        let of = |id| [(self.result_path(id), id), (self.failed_path(id), id), (self.stopped_path(id), id)];
        self.plan.runs.iter().flat_map(|run| of(&run.id)).collect()
    }

    /// Moves a file aside that is not what its name says, and tells so.
    fn set_aside(&self, path: &Path, run: &RunId) -> Option<String> {
        let read = || {
            if path == self.result_path(run) {
                self.result(run).map(drop)
            } else if path == self.stopped_path(run) {
                files::read_sealed::<Stopped>(path).map(drop)
            } else {
                self.check_failure(path, run)
            }
        };
        move_aside(path, &fault(path, read)?)
    }
}

impl Ledger {
    /// Whether a run was given up by the ledger: one of its attempts failed in just that way then.
    fn check_failure(&self, path: &Path, run: &RunId) -> Result<(), LedgerError> {
        match files::read_json::<Failure>(path)? {
            Some(failure) if !self.failures(run)?.contains(&failure) => {
                let reason = "no attempt at its run failed so".to_owned();
                Err(LedgerError::Damaged { path: path.to_owned(), reason })
            }
            _ => Ok(()),
        }
    }

    /// Writes a file of the sweep as it stood, where it is gone or not what its name says, and tells so.
    fn put_back(&self, path: &Path, content: &[u8]) -> Option<String> {
        let read = || {
            if path.ends_with("plan.json") {
                self.read::<serde_json::Value>(path).map(drop)
            } else if path.ends_with("ledger.json") {
                files::read_json::<Kind>(path).map(drop)
            } else {
                let text = files::read(path)?.unwrap_or_default();
                check_spec(path, &String::from_utf8_lossy(&text))
            }
        };
        let done = match fault(path, read) {
            None if is_gone(path) => format!("{} was removed", path.display()),
            None => return None,
            Some(reason) => move_aside(path, &reason)?,
        };
        let written = match files::write(path, content) {
            Ok(()) => "what it held before was written again".to_owned(),
            Err(error) => error.to_string(),
        };
        Some(format!("{done}, and {written}"))
    }
}

/// The files of a sweep that are written before its runs.
const SWEEP: [&str; 3] = ["ledger.json", "plan.json", "spec.toml"];

/// Gives a file a name under which nobody takes it for what it is not, and tells so. Where it is gone already, the worker of
/// another run has moved it and tells of it.
fn move_aside(path: &Path, reason: &str) -> Option<String> {
    let name = path.file_name()?.to_string_lossy().into_owned();
    let kept =
        (1..=u32::MAX).map(|n| path.with_file_name(format!("stray-{n}-{name}"))).find(|path| stamp(path).is_none())?;
    fs::rename(path, &kept).ok()?;
    Some(format!("{} was written by another than runner ({reason}); it is {} now", path.display(), kept.display()))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{device, finished, ledger};
    use super::*;

    #[test]
    fn what_the_ledger_writes_itself_is_no_trespass_and_what_others_write_is_moved_aside() {
        let (_dir, ledger) = ledger(3);
        let [first, second, third] = [0, 1, 2].map(|at| &ledger.plan().runs[at]);
        let claim = ledger.claim(first).unwrap().unwrap();
        let before = claim.standing();
        ledger.claim(second).unwrap().unwrap().publish(finished(3.0), device(), 1).unwrap();
        assert_eq!(claim.trespass(&before), None);
        // The result of another run, whole as it is, is none of this one.
        fs::copy(ledger.result_path(&second.id), ledger.result_path(&third.id)).unwrap();
        fs::write(ledger.failed_path(&third.id), "no").unwrap();
        let told = claim.trespass(&before).unwrap();
        assert!(told.contains("it is the result of run") && told.contains("stray-1-failed.json"), "{told}");
        assert!(!ledger.is_over(&third.id) && ledger.is_over(&second.id));
        assert_eq!(claim.trespass(&before), None, "it is told once");
        // A result that stood and is changed or gone.
        let before = claim.standing();
        fs::write(ledger.result_path(&second.id), "{}").unwrap();
        assert!(claim.trespass(&before).unwrap().contains("checksum"));
        assert!(claim.trespass(&before).unwrap().contains("is trained again"));
        // A failure that reads well and that nobody had; one that the ledger recorded is none of it.
        let before = claim.standing();
        let failure = r#"{"class": "configuration", "message": "x"}"#;
        fs::write(ledger.failed_path(&third.id), failure).unwrap();
        let told = claim.trespass(&before).unwrap();
        assert!(told.contains("no attempt at its run failed so") && !ledger.is_over(&third.id), "{told}");
        ledger.fail(&third.id, 1, &serde_json::from_str(failure).unwrap(), &|_| true).unwrap();
        assert_eq!(claim.trespass(&before), None);
        fs::write(ledger.stopped_path(&second.id), "{}").unwrap();
        assert!(claim.trespass(&before).unwrap().contains("stray-1-stopped.json"));
        // The files of the sweep itself.
        for (name, content) in [("ledger.json", "{}"), ("plan.json", "{}"), ("spec.toml", "junk = [")] {
            let path = ledger.dir().join(name);
            let stood = fs::read(&path).unwrap();
            for removed in [false, true] {
                let before = claim.standing();
                if removed {
                    fs::remove_file(&path).unwrap();
                } else {
                    fs::write(&path, content).unwrap();
                }
                let told = claim.trespass(&before).unwrap();
                assert!(told.contains(name) && told.contains("was written again"), "{told}");
                assert_eq!(fs::read(&path).unwrap(), stood);
                assert_eq!(claim.trespass(&claim.standing()), None);
            }
        }
        fs::remove_file(ledger.lock_path(&first.id)).unwrap();
        assert!(claim.trespass(&claim.standing()).unwrap().contains("lock was removed"));
    }

    #[test]
    fn a_result_that_cannot_be_read_now_is_left_alone_and_what_is_no_file_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("result.json");
        fs::write(&path, "{}").unwrap();
        // Too many open files; the error of a server that was restarted is of the same kind.
        let passing = || Err(LedgerError::io("read", &path)(std::io::Error::from_raw_os_error(24)));
        assert_eq!(fault(&path, passing), None);
        let damaged = || Err(LedgerError::Damaged { path: path.clone(), reason: "torn".to_owned() });
        assert_eq!(fault(&path, damaged).as_deref(), Some("torn"));
        let (_dir, ledger) = ledger(2);
        let [first, second] = [0, 1].map(|at| &ledger.plan().runs[at]);
        let claim = ledger.claim(first).unwrap().unwrap();
        let before = claim.standing();
        fs::create_dir_all(ledger.result_path(&second.id)).unwrap();
        let told = claim.trespass(&before).unwrap();
        assert!(told.contains("it is not a file") && !ledger.result_path(&second.id).exists(), "{told}");
    }
}
