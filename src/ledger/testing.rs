//! Ledgers and results for the unit tests of the ledger and of execution.

use std::collections::BTreeMap;

use super::{CurvePoint, Ledger, Losses, Reason, RunResult};
use crate::goal::StopEarly;
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
        train_loss: Some(loss),
        tokens_per_second: 1e4,
        seconds: 2.5,
        evaluations: Vec::new(),
        shared_steps: 0,
        told: BTreeMap::new(),
    }
}

/// Stops a run after 30 steps by a rule of this margin. Its checkpoint is kept.
pub(crate) fn stop(ledger: &Ledger, at: usize, margin: f64) {
    let runs = &ledger.plan().runs;
    let mut claim = ledger.claim(&runs[at]).unwrap().expect("nobody holds it");
    claim.save(&mut |out| out.write_all(b"state")).unwrap();
    let point = CurvePoint { step: 30, tokens: 30 * 256, train_loss: Some(5.5), learning_rate: Some(0.01) };
    claim.record(&point).unwrap();
    let rule = StopEarly { margin, after: 0.2 };
    let reason = Reason { rule, against: runs[0].id.clone(), behind: 0.5, allowed: 0.2 };
    claim.stop((reason, 2.5), device(), 1).unwrap();
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
        slot: None,
        version: "0.0.0".to_owned(),
        build: None,
        micro_batches: 1,
        curve: Vec::new(),
    }
}
