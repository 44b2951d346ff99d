//! Plans and results made by hand, for the unit tests of the ledger and of execution.

use std::collections::BTreeMap;

use super::{Ledger, Losses, RunResult};
use crate::parameterization::Parameterization;
use crate::plan::{FlopsPerToken, ParamCounts, Plan, PlannedRun, Run, RunId, RunOptimizer, RunSchedule, Shape};
use crate::spec::{Data, Eval, OptimizerKind, ScheduleKind, Source};
use crate::trainer::{DeviceInfo, Outcome};

/// A run of the built-in language, of so many blocks.
pub(crate) fn planned(depth: usize, seed: u64) -> PlannedRun {
    let shape = Shape { width: 32, depth, heads: 2, context: 64, vocab: 512 };
    let data = Data {
        source: Source::Synthetic,
        path: None,
        column: None,
        validation_path: None,
        tokenizer: None,
        vocab: Some(512),
        validation_fraction: None,
        max_epochs: 1.0,
        seed: 0,
        parts: Vec::new(),
    };
    let optimizer = RunOptimizer {
        kind: OptimizerKind::Adamw,
        learning_rate: 0.01,
        batch_sequences: 4,
        beta1: 0.9,
        beta2: 0.95,
        epsilon: 1e-8,
        weight_decay: 0.01,
        clip_norm: 1.0,
    };
    let schedule = RunSchedule { kind: ScheduleKind::Cosine, floor: 0.1, warmup_steps: 5, decay_steps: 95, steps: 100 };
    let run = Run {
        data,
        corpus: "test".to_owned(),
        shape,
        parameterization: Parameterization::Mup,
        base_width: 32,
        base_depth: depth,
        base_head_dim: 16,
        zero_init_unembedding: false,
        zero_init_query: false,
        optimizer,
        schedule,
        eval: Eval { tokens: 1024, curve_points: 10 },
        seed,
        flop_budget: Some(1e12),
    };
    let flops_per_token = FlopsPerToken::of(&shape);
    let tokens = run.tokens();
    PlannedRun {
        id: run.id(),
        axes: BTreeMap::from([("model.depth".to_owned(), depth.to_string())]),
        params: ParamCounts::of(&shape),
        flops_per_token,
        tokens,
        flops: flops_per_token.exact * tokens as f64,
        epochs: None,
        run,
    }
}

/// Runs of 1 to `runs` blocks.
pub(crate) fn plan(runs: usize) -> Plan {
    Plan { runs: (1..=runs).map(|depth| planned(depth, 0)).collect(), left_out: Vec::new() }
}

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
    Outcome::Finished { val_loss: loss, val_loss_se: 0.002, train_loss: loss, tokens_per_second: 1e4, seconds: 2.5 }
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
