//! What somebody else's program did in the folders of runs, where only the ledger writes. It may do as it likes in a folder of its
//! own; what it writes in the place of a result is moved aside before anybody takes it for one.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::{Claim, Failure, Ledger, LedgerError, files};
use crate::plan::RunId;

/// The results of all runs as they stood before a program was started.
pub struct Standing(BTreeMap<PathBuf, Stamp>);

/// Time and size of a file.
type Stamp = (Option<SystemTime>, u64);

fn stamp(path: &Path) -> Option<Stamp> {
    fs::symlink_metadata(path).ok().map(|file| (file.modified().ok(), file.len()))
}

impl Claim<'_> {
    /// How the results stand now.
    pub fn standing(&self) -> Standing {
        let paths = self.ledger.ends().into_iter().map(|(path, _)| path);
        Standing(paths.filter_map(|path| stamp(&path).map(|stamp| (path, stamp))).collect())
    }

    /// What was done to results since then by whoever is not the ledger, in words; nothing where all is well.
    pub fn trespass(&self, before: &Standing) -> Option<String> {
        let Self { ledger, id, .. } = self;
        let lock = ledger.lock_path(id);
        let mut done = Vec::new();
        if !lock.exists() {
            done.push(format!("{} was removed", lock.display()));
        }
        for (path, run) in ledger.ends() {
            let (stood, stands) = (before.0.get(&path), stamp(&path));
            if stood.is_some() && stands.is_none() && path == ledger.result_path(run) {
                done.push(format!("{} was removed, and its run is trained again", path.display()));
            } else if stands.is_some() && stands.as_ref() != stood {
                done.extend(ledger.set_aside(&path, run));
            }
        }
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
        let of = |id| [(self.result_path(id), id), (self.failed_path(id), id)];
        self.plan.runs.iter().flat_map(|run| of(&run.id)).collect()
    }

    /// Moves a file aside that is not what its name says, and tells so.
    fn set_aside(&self, path: &Path, run: &RunId) -> Option<String> {
        let read = if path == self.result_path(run) {
            self.result(run).map(drop)
        } else {
            files::read_json::<Failure>(path).map(drop)
        };
        let reason = match read.err()? {
            LedgerError::Damaged { reason, .. } => reason,
            other => other.to_string(),
        };
        let name = path.file_name()?.to_string_lossy().into_owned();
        let kept = (1..=u32::MAX)
            .map(|n| path.with_file_name(format!("stray-{n}-{name}")))
            .find(|path| stamp(path).is_none())?;
        // Where it is gone already, the worker of another run has moved it and tells of it.
        fs::rename(path, &kept).ok()?;
        Some(format!("{} was written by another than runner ({reason}); it is {} now", path.display(), kept.display()))
    }
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
        fs::remove_file(ledger.lock_path(&first.id)).unwrap();
        assert!(claim.trespass(&claim.standing()).unwrap().contains("lock was removed"));
    }
}
