//! Failures on demand, for tests: compiled in by the cargo feature `failpoints` and otherwise nothing.
//!
//! `RUNNER_FAILPOINT=KIND[@DEPTH][:TIMES:FILE]` does KIND (`panic`, `memory`, `abort`, `hang`, `slow` or `nan`) to runs of
//! this depth, or to all, at their first point of the curve; at most so many times, counted in the length of a file.

use crate::plan::PlannedRun;
use crate::trainer::{Outcome, Progress};

#[cfg(not(feature = "failpoints"))]
mod imp {
    use super::{Outcome, PlannedRun, Progress};

    /// Nothing.
    pub fn hit(_: &PlannedRun, _: &Progress) {}

    /// The outcome as it is.
    pub fn outcome(_: &PlannedRun, outcome: Outcome) -> Outcome {
        outcome
    }
}

#[cfg(feature = "failpoints")]
mod imp {
    use std::io::Write as _;
    use std::time::Duration;

    use super::{Outcome, PlannedRun, Progress};

    /// Fails as the environment asks.
    pub fn hit(run: &PlannedRun, progress: &Progress) {
        match wanted(run, progress.curve_point).as_deref() {
            Some("panic") => panic!("a failpoint panicked"),
            Some("memory") => panic!("CUDA_ERROR_OUT_OF_MEMORY (failpoint)"),
            Some("abort") => std::process::abort(),
            Some("hang") => loop {
                std::thread::sleep(Duration::from_hours(1));
            },
            Some("slow") => std::thread::sleep(Duration::from_millis(100)),
            _ => {}
        }
    }

    /// A loss that is no number, where the environment asks for it.
    pub fn outcome(run: &PlannedRun, outcome: Outcome) -> Outcome {
        match (wanted(run, true).as_deref(), outcome) {
            (Some("nan"), Outcome::Finished { val_loss_se, train_loss, tokens_per_second, seconds, .. }) => {
                Outcome::Finished { val_loss: f64::NAN, val_loss_se, train_loss, tokens_per_second, seconds }
            }
            (_, outcome) => outcome,
        }
    }

    fn wanted(run: &PlannedRun, here: bool) -> Option<String> {
        let asked = std::env::var("RUNNER_FAILPOINT").ok().filter(|_| here)?;
        let mut parts = asked.splitn(3, ':');
        let what = parts.next()?;
        let (kind, depth) = what.split_once('@').map_or((what, None), |(kind, depth)| (kind, depth.parse().ok()));
        if depth.is_some_and(|depth: usize| depth != run.run.shape.depth) {
            return None;
        }
        if let (Some(times), Some(path)) = (parts.next(), parts.next()) {
            let times: u64 = times.parse().expect("RUNNER_FAILPOINT counts");
            let mut file =
                std::fs::OpenOptions::new().create(true).append(true).open(path).expect("a file to count in");
            if file.metadata().expect("its length").len() >= times {
                return None;
            }
            file.write_all(b"x").expect("a file to count in");
        }
        Some(kind.to_owned())
    }
}

pub use imp::{hit, outcome};
