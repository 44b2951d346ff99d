//! Attempts that end with exit code 75, as after a checkpoint, and come no further: started again for ever they would never end.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::whole;

/// A run is given up after so many of them in a row.
const MOST: u32 = 3;
/// An attempt of a program that tells no steps, and at work for longer, may well have come further.
const AT_WORK: Duration = Duration::from_mins(10);
/// Beside the curve, in the run's folder of the program.
const FILE: &str = "stalled.json";

/// What earlier attempts came to.
#[derive(Default, Serialize, Deserialize)]
struct Stalled {
    /// The furthest step that was told.
    step: usize,
    /// Attempts in a row that came no further.
    times: u32,
}

/// Notes an end with exit code 75 after so many steps; says what is wrong where it is one too many.
pub(super) fn note(folder: &Path, step: usize, took: Duration) -> Option<String> {
    let before = earlier(folder);
    let is_further = step > before.step || step == 0 && took > AT_WORK;
    let times = if is_further { 0 } else { before.times + 1 };
    if times >= MOST {
        // Another call of the sweep tries it anew.
        let _ = fs::remove_file(folder.join(FILE));
        return Some(format!(
            "the program ended with exit code 75 {times} times in a row and told of no step beyond step {}: 75 means that \
             it has checkpointed and goes on. Let it tell its steps and end with another code where it fails",
            before.step
        ));
    }
    keep(folder, &Stalled { step: step.max(before.step), times });
    None
}

/// Notes an end that was no checkpoint after so many steps; tells whether no attempt before came as far. Such an end is no sign that
/// the run cannot be trained.
pub(super) fn is_further(folder: &Path, step: usize) -> bool {
    let before = earlier(folder);
    let is_further = step > before.step;
    if is_further {
        keep(folder, &Stalled { step, times: 0 });
    }
    is_further
}

fn earlier(folder: &Path) -> Stalled {
    fs::read(folder.join(FILE)).ok().and_then(|kept| serde_json::from_slice(&kept).ok()).unwrap_or_default()
}

/// Where it cannot be kept the count begins anew, and the run is tried once more.
fn keep(folder: &Path, stalled: &Stalled) {
    let text = serde_json::to_vec(stalled).expect("two numbers");
    let _ = whole::write_unsynced(&folder.join(FILE), &text);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever writes in place has a moment with nothing written; another name of the file would show it.
    #[test]
    fn the_count_is_replaced_as_a_whole() {
        let (dir, soon) = (tempfile::tempdir().unwrap(), Duration::from_secs(1));
        assert!(note(dir.path(), 5, soon).is_none());
        let [now, before] = [FILE, "before"].map(|name| dir.path().join(name));
        fs::hard_link(&now, &before).unwrap();
        let kept = fs::read_to_string(&before).unwrap();
        assert!(note(dir.path(), 6, soon).is_none());
        assert_eq!(fs::read_to_string(&before).unwrap(), kept);
        assert_eq!(fs::read_to_string(&now).unwrap(), kept.replace('5', "6"));
    }

    #[test]
    fn three_ends_in_a_row_without_a_further_step_are_one_too_many() {
        let (dir, soon) = (tempfile::tempdir().unwrap(), Duration::from_secs(1));
        let ends = |steps: &[usize]| -> Vec<bool> {
            steps.iter().map(|step| note(dir.path(), *step, soon).is_some()).collect()
        };
        assert_eq!(ends(&[0, 0, 0]), [false, false, true]);
        assert_eq!(ends(&[0, 0, 5, 5, 5, 6, 6, 3, 6]), [false, false, false, false, false, false, false, false, true]);
        // An end by a fault that came further is none of them.
        assert!(is_further(dir.path(), 7) && !is_further(dir.path(), 7) && !is_further(dir.path(), 2));
        assert_eq!(ends(&[7, 7, 7]), [false, false, true]);
        // One that tells nothing works for long.
        assert!((0..5).all(|_| note(dir.path(), 0, AT_WORK * 2).is_none()));
    }
}
