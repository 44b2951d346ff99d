//! What is written about a run: its result, its curve, its failures.

use serde::{Deserialize, Serialize};

use crate::plan::RunId;
use crate::provenance::Build;
use crate::trainer::{DeviceInfo, Outcome, Progress};

/// How a run ended, where and by what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunResult {
    /// The run.
    pub id: RunId,
    /// Which attempt came to this end.
    pub attempt: u32,
    /// The end.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// Where it was trained.
    pub device: DeviceInfo,
    /// Which of several equal devices of its machine that was, by its name in the sweep, as in `cuda:1`; older results do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<String>,
    /// Version of `runner` that trained it.
    pub version: String,
    /// What that was built from; older results do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<Box<Build>>,
    /// Parts into which batches were cut to need less memory: another order of sums, so other last bits.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub micro_batches: usize,
    /// The curve of the attempt.
    #[serde(default)]
    pub curve: Vec<CurvePoint>,
}

fn one() -> usize {
    1
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde hands references
fn is_one(count: &usize) -> bool {
    *count == 1
}

impl RunResult {
    /// Whether both say the same of the run: equal but for time, place and attempt.
    pub fn agrees_with(&self, other: &Self) -> bool {
        self.id == other.id && without_timing(&self.outcome) == without_timing(&other.outcome)
    }
}

fn without_timing(outcome: &Outcome) -> Outcome {
    let mut outcome = outcome.clone();
    match &mut outcome {
        // What else a program told may be a temperature or a time, and it does not matter who trained what runs share.
        Outcome::Finished { tokens_per_second, seconds, shared_steps, told, .. } => {
            (*tokens_per_second, *seconds, *shared_steps) = (0.0, 0.0, 0);
            told.clear();
        }
        Outcome::Diverged { seconds, .. } => *seconds = 0.0,
    }
    outcome
}

/// A point of the training-loss curve, one line of `metrics.jsonl`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// Steps done.
    pub step: usize,
    /// Tokens seen.
    pub tokens: u64,
    /// Mean training loss since the last point, in nats per token; nothing where it is not a number.
    pub train_loss: Option<f64>,
    /// Learning rate of the last step, where it is told.
    pub learning_rate: Option<f64>,
}

impl From<&Progress> for CurvePoint {
    fn from(progress: &Progress) -> Self {
        let Progress { step, tokens, train_loss, learning_rate, .. } = *progress;
        // JSON has no word for infinity or not-a-number.
        Self { step, tokens, train_loss: Some(train_loss).filter(|loss| loss.is_finite()), learning_rate }
    }
}

/// What kind of failure, which decides what is done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// The run asks for what cannot be had: never tried again by the same sweep.
    Configuration,
    /// Not enough memory: tried once more, by a new process, with smaller micro-batches.
    OutOfMemory,
    /// The device failed: tried again by a new process, on another device if there is one.
    Device,
    /// The process died: tried again as after a failure of the device.
    Crash,
    /// Somebody else's program ended without a result: tried again, and the fault of the device only where that is certain.
    Program,
    /// Nothing was heard of it for too long: tried again as after a failure of the device.
    Hang,
    /// Its process ended with other runs in it, and nobody knows whose fault that was: tried again, in the end alone.
    Shared,
}

impl std::fmt::Display for FailureClass {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Configuration => "configuration",
            Self::OutOfMemory => "out of memory",
            Self::Device => "device",
            Self::Crash => "crash",
            Self::Program => "program",
            Self::Hang => "hang",
            Self::Shared => "ended with others",
        })
    }
}

/// Why an attempt has no outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What kind.
    pub class: FailureClass,
    /// What happened.
    pub message: String,
    /// On which device, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { class, message, device } = self;
        match device {
            Some(device) => write!(f, "{class} on {device}: {message}"),
            None => write!(f, "{class}: {message}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::testing::{finished, result};
    use super::*;

    #[test]
    fn a_result_survives_json_to_the_bit() {
        let mut loss = 3.0_f64;
        for _ in 0..2000 {
            loss = loss.next_up();
            let wrote = result("0123456789abcdef", finished(loss * 1.000_000_1));
            let read: RunResult = serde_json::from_slice(&serde_json::to_vec(&wrote).unwrap()).unwrap();
            assert_eq!(wrote, read);
        }
    }

    #[test]
    fn a_result_of_before_builds_were_recorded_is_read_and_written_as_it_was() {
        let old = result("0123456789abcdef", finished(3.0));
        let text = serde_json::to_string(&old).unwrap();
        assert!(!text.contains("build"), "{text}");
        assert_eq!(serde_json::from_str::<RunResult>(&text).unwrap(), old);
        let new = RunResult { build: Some(Box::new(Build::current())), ..old.clone() };
        let text = serde_json::to_string(&new).unwrap();
        assert_eq!(serde_json::from_str::<RunResult>(&text).unwrap(), new);
        assert!(new.agrees_with(&old), "another build that says the same is no conflict");
    }

    #[test]
    fn results_agree_when_only_time_and_place_differ() {
        let first = result("0123456789abcdef", finished(3.0));
        let mut later = first.clone();
        later.attempt = 2;
        later.device.name = "another machine".to_owned();
        later.outcome = Outcome::Finished {
            val_loss: 3.0,
            val_loss_se: 0.002,
            train_loss: Some(3.0),
            tokens_per_second: 1.0,
            seconds: 99.0,
            evaluations: Vec::new(),
            shared_steps: 80,
            told: BTreeMap::new(),
        };
        assert!(first.agrees_with(&later));
        later.outcome = finished(3.0_f64.next_up());
        assert!(!first.agrees_with(&later));
    }
}
