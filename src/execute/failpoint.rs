//! Failures on demand, for tests: compiled in by the cargo feature `failpoints` and otherwise nothing.
//!
//! `RUNNER_FAILPOINT=KIND[@DEPTH][+STEP][:TIMES:FILE]` does KIND to runs of this depth, or to all, from this step on, at most
//! so many times, counted in the length of a file; several are separated by semicolons. `compile` waits before the first step; `panic`, `memory`,
//! `abort`, `hang` and `slow` come at a point of the curve; `nan`, `lost` (the device) and `full` (its memory) at the end.

use crate::plan::PlannedRun;
use crate::trainer::{Outcome, Progress, TrainError};

#[cfg(not(feature = "failpoints"))]
mod imp {
    use super::{Outcome, PlannedRun, Progress, TrainError};

    /// Nothing.
    pub fn begin(_: &PlannedRun) {}

    /// Nothing.
    pub fn hit(_: &PlannedRun, _: &Progress) {}

    /// The outcome as it is.
    pub fn outcome(_: &PlannedRun, outcome: Result<Outcome, TrainError>) -> Result<Outcome, TrainError> {
        outcome
    }
}

#[cfg(feature = "failpoints")]
mod imp {
    use std::io::{Seek as _, Write as _};
    use std::time::Duration;

    use super::{Outcome, PlannedRun, Progress, TrainError};

    /// Waits before the first step, as long as the environment asks.
    pub fn begin(run: &PlannedRun) {
        if wanted(run, 0, &["compile"]).is_some() {
            std::thread::sleep(Duration::from_hours(1));
        }
    }

    /// Fails as the environment asks.
    pub fn hit(run: &PlannedRun, progress: &Progress) {
        if !progress.curve_point {
            return;
        }
        match wanted(run, progress.step, &["panic", "memory", "abort", "hang", "slow"]) {
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

    /// Another end, where the environment asks for it.
    pub fn outcome(run: &PlannedRun, outcome: Result<Outcome, TrainError>) -> Result<Outcome, TrainError> {
        let outcome = outcome?;
        match (wanted(run, run.run.schedule.steps, &["nan", "lost", "full"]), outcome) {
            (Some("lost"), _) => Err(TrainError::Device("CUDA_ERROR_ILLEGAL_ADDRESS (failpoint)".to_owned())),
            (Some("full"), _) => Err(TrainError::OutOfMemory("CUDA_ERROR_OUT_OF_MEMORY (failpoint)".to_owned())),
            (Some("nan"), mut outcome @ Outcome::Finished { .. }) => {
                if let Outcome::Finished { val_loss, .. } = &mut outcome {
                    *val_loss = f64::NAN;
                }
                Ok(outcome)
            }
            (_, outcome) => Ok(outcome),
        }
    }

    /// The first of these kinds that is asked for.
    fn wanted(run: &PlannedRun, done: usize, kinds: &[&'static str]) -> Option<&'static str> {
        let asked = std::env::var("RUNNER_FAILPOINT").ok()?;
        asked.split(';').find_map(|asked| {
            let mut parts = asked.splitn(3, ':');
            let what = parts.next()?;
            let (what, from) = what.split_once('+').map_or((what, None), |(what, from)| (what, from.parse().ok()));
            let (kind, depth) = what.split_once('@').map_or((what, None), |(kind, depth)| (kind, depth.parse().ok()));
            let kind = kinds.iter().find(|known| **known == kind)?;
            if depth.is_some_and(|depth: usize| depth != run.run.shape.depth)
                || from.is_some_and(|from: usize| done < from)
            {
                return None;
            }
            match (parts.next(), parts.next()) {
                (Some(times), Some(path)) => counted(times, path).then_some(*kind),
                _ => Some(*kind),
            }
        })
    }

    /// Counts in a file, and tells whether this is one of the first so many times. What is appended lands in one piece, so
    /// that each of several threads and processes finds its own place: none takes another's by looking before it writes.
    fn counted(times: &str, path: &str) -> bool {
        let times: u64 = times.parse().expect("RUNNER_FAILPOINT counts");
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).expect("a file to count in");
        file.write_all(b"x").expect("a file to count in");
        file.stream_position().expect("its place") <= times
    }
}

pub use imp::{begin, hit, outcome};
