//! Runs for the unit tests of other modules: the one of `configs/small.toml`, with keys set otherwise.

use super::{CorpusFacts, Plan, PlannedRun, expand};
use crate::spec::{self, PowerRule, ScheduleKind, Spec};

/// The small run after `change`, on unlimited text.
pub(crate) fn small(change: impl FnOnce(&mut Spec)) -> PlannedRun {
    let mut spec = spec::parse(include_str!("../../configs/small.toml"), "small.toml").expect("a valid spec");
    change(&mut spec);
    let vocab = spec.data.vocab.expect("of the built-in language") as usize;
    let facts = CorpusFacts {
        vocab,
        train_tokens: None,
        validation_tokens: None,
        fingerprint: "test".to_owned(),
        inputs: None,
    };
    let points: Vec<_> = spec.points().expect("a point").into_iter().map(|point| (point, facts.clone())).collect();
    expand(&points).expect("a plan").runs.remove(0)
}

/// A run of so many blocks and of 100 steps, as an axis of depths makes it.
pub(crate) fn planned(depth: usize, seed: u64) -> PlannedRun {
    let mut planned = small(|spec| {
        (spec.model.width, spec.model.depth, spec.data.seed) = (Some(32), Some(depth), seed);
        spec.optimizer.batch_tokens = PowerRule::constant(256.0);
        (spec.schedule.flops, spec.schedule.tokens) = (None, Some(25_600.0));
        spec.eval.curve_points = 10;
    });
    planned.axes.insert("model.depth".to_owned(), depth.to_string());
    planned
}

/// Runs of one size and so many steps each, a fifth of them cooldown, with or without a shared trunk.
pub(crate) fn lengths(share_trunk: bool, steps: &[usize]) -> Plan {
    let mut runs: Vec<PlannedRun> = steps.iter().map(|steps| cooled(*steps)).collect();
    if share_trunk {
        super::trunk::share(&mut runs);
    }
    Plan { runs, left_out: Vec::new() }
}

fn cooled(steps: usize) -> PlannedRun {
    let mut planned = small(|spec| {
        (spec.model.width, spec.model.depth) = (Some(32), Some(1));
        (spec.data.vocab, spec.model.context) = (Some(256), 16);
        spec.optimizer.batch_tokens = PowerRule::constant(64.0);
        (spec.schedule.kind, spec.schedule.decay_fraction) = (ScheduleKind::Wsd, Some(0.2));
        (spec.schedule.warmup_tokens_per_param, spec.schedule.warmup_tokens) = (None, Some(640.0));
        (spec.schedule.flops, spec.schedule.tokens) = (None, Some(steps as f64 * 64.0));
        (spec.eval.curve_points, spec.eval.tokens) = (7, 1024);
    });
    planned.axes.insert("schedule.tokens".to_owned(), (steps * 64).to_string());
    planned
}

/// Runs of 1 to `runs` blocks.
pub(crate) fn plan(runs: usize) -> Plan {
    Plan { runs: (1..=runs).map(|depth| planned(depth, 0)).collect(), left_out: Vec::new() }
}
