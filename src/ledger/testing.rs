//! Ledgers and results for the unit tests of the ledger and of execution.

use std::collections::BTreeMap;

use super::{Ledger, Losses, RunResult};
use crate::plan::RunId;
use crate::plan::testing::plan;
use crate::trainer::{DeviceInfo, Outcome};

/// A spec's text, which the ledger only compares.
pub(crate) const SPEC: &str = "name = \"test\"\n[model]\ncontext = 64\n";

/// A ledger in a new folder, which lives as long as the first of the pair.
pub(crate) fn ledger(runs: usize) -> (tempfile::TempDir, Ledger) {
    let dir = tempfile::tempdir().unwrap();
    let ledger = Ledger::create(&dir.path().join("results"), SPEC, plan(runs), Losses::Rehearsed).unwrap();
    (dir, ledger)
}

/// A finished run with this loss.
pub(crate) fn finished(loss: f64) -> Outcome {
    Outcome::Finished {
        val_loss: loss,
        val_loss_se: 0.002,
        train_loss: loss,
        tokens_per_second: 1e4,
        seconds: 2.5,
        evaluations: Vec::new(),
        shared_steps: 0,
        told: BTreeMap::new(),
    }
}

/// A device.
pub(crate) fn device() -> DeviceInfo {
    DeviceInfo {
        kind: "rehearsal".to_owned(),
        name: "known surface".to_owned(),
        driver: "none".to_owned(),
        threads: 1,
        precision: "f64".to_owned(),
    }
}

/// A result of a run with this name.
pub(crate) fn result(id: &str, outcome: Outcome) -> RunResult {
    let id: RunId = serde_json::from_value(id.into()).unwrap();
    RunResult {
        id,
        attempt: 1,
        outcome,
        device: device(),
        version: "0.0.0".to_owned(),
        build: None,
        micro_batches: 1,
        curve: Vec::new(),
    }
}
