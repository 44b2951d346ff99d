//! What a plan takes before any of it is trained: time, device hours, disk.

use std::collections::BTreeMap;

use super::{Plan, PlannedRun, RunId};

/// What trains the runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Machine {
    /// Devices that are paid for.
    pub devices: usize,
    /// How many of them each run takes.
    pub cards: usize,
    /// Runs trained side by side on each of them, or on so many.
    pub slots: usize,
}

impl Machine {
    /// Runs trained side by side on all of them.
    pub fn all_slots(self) -> usize {
        self.devices / self.cards.max(1) * self.slots
    }
}

/// What a plan takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// Training FLOPs of all runs, what they share once.
    pub flops: f64,
    /// Training FLOPs of all runs, each alone.
    pub flops_alone: f64,
    /// Seconds from the first start to the last end; NaN where the speed is not known.
    pub seconds: f64,
    /// Hours for which devices are held: all of them until the last run ends.
    pub device_hours: f64,
    /// Share of these hours in which they train.
    pub busy: f64,
    /// Bytes that stay: results, curves, tables, the report.
    pub results: f64,
    /// Most bytes of checkpoints at a time; they go when their runs end.
    pub checkpoints: f64,
}

impl Estimate {
    /// Of some runs on a machine where a run takes so many seconds.
    pub fn of<'a>(
        runs: impl IntoIterator<Item = &'a PlannedRun>,
        machine: Machine,
        seconds_of: impl Fn(&PlannedRun) -> f64,
    ) -> Self {
        let mut runs: Vec<&PlannedRun> = runs.into_iter().collect();
        // The order in which workers take them.
        runs.sort_by(|a, b| b.flops.total_cmp(&a.flops));
        let slots = machine.all_slots().max(1);
        let times: Vec<f64> = runs.iter().map(|run| seconds_of(run)).collect();
        // Those who share a trunk go one after another, so that the longest takes as long as alone.
        let alone = |(run, time): (&&PlannedRun, &f64)| time / run.own_share(run.shared_steps());
        let longest = runs.iter().zip(&times).map(alone).fold(0.0, f64::max);
        let seconds = at_least(longest, makespan(&times, slots));
        Self {
            flops: runs.iter().map(|run| run.flops_spent()).sum(),
            flops_alone: runs.iter().map(|run| run.flops).sum(),
            seconds,
            device_hours: seconds * machine.devices as f64 / 3600.0,
            busy: times.iter().sum::<f64>() / (seconds * slots as f64),
            results: runs.iter().map(|run| kept(run)).sum::<f64>(),
            checkpoints: checkpoints(&runs, slots),
        }
    }

    /// Of a whole plan.
    pub fn of_plan(plan: &Plan, machine: Machine, seconds_of: impl Fn(&PlannedRun) -> f64) -> Self {
        Self::of(&plan.runs, machine, seconds_of)
    }
}

/// Seconds until the last of these runs ends, where each is begun in this order by the first slot that is free. A run is
/// not split, so that one run on many slots takes as long as on one.
fn makespan(times: &[f64], slots: usize) -> f64 {
    let mut free_at = vec![0.0_f64; slots.min(times.len()).max(1)];
    for time in times {
        let first = free_at.iter_mut().min_by(|a, b| a.total_cmp(b)).expect("at least one slot");
        *first += time;
    }
    free_at.into_iter().fold(0.0, at_least)
}

/// The longer of two times. Not `f64::max`, which loses what is not a number.
fn at_least(longest: f64, time: f64) -> f64 {
    if time > longest || time.is_nan() { time } else { longest }
}

/// Bytes that a run leaves: three folders and three small files in blocks of 4 KiB, and its curve in the result, in
/// `metrics.jsonl` and in `curves.csv`, about 100 bytes a point each. Measured: 112 runs of 20 points take 3.5 MB with all
/// that is derived from them, and 3.4 MB by this count.
fn kept(run: &PlannedRun) -> f64 {
    6.0 * 4096.0 + 300.0 * run.run.eval.curve_points as f64
}

/// Two checkpoints of a run are kept while a third is written.
const CHECKPOINTS: u64 = 3;

fn checkpoints(runs: &[&PlannedRun], slots: usize) -> f64 {
    // A program keeps what it likes in a place that it chooses.
    let bytes = |run: &PlannedRun| if run.run.program.is_some() { 0 } else { run.run.state_bytes() };
    let mut states: Vec<u64> = runs.iter().map(|run| bytes(run)).collect();
    states.sort_unstable_by(|a, b| b.cmp(a));
    let under_way = CHECKPOINTS * states.iter().take(slots).sum::<u64>();
    // Of each trunk the end from which the next run goes on.
    let trunks: BTreeMap<&RunId, u64> =
        runs.iter().filter_map(|run| Some((&run.trunk.as_ref()?.id, bytes(run)))).collect();
    (under_way + trunks.values().sum::<u64>()) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optimizer::OptimizerKind;
    use crate::plan::testing::planned;

    #[test]
    fn checkpoints_take_what_the_optimizer_keeps_of_each_weight() {
        let mut run = planned(2, 0);
        let params = run.params.total() as f64;
        for (kind, bytes) in [(OptimizerKind::Adamw, 36.0), (OptimizerKind::Sgd, 24.0)] {
            run.run.optimizer.kind = kind;
            assert!((checkpoints(&[&run], 1) / params - bytes).abs() < 1e-9, "{kind:?}");
        }
    }

    #[test]
    fn the_first_free_slot_takes_the_next_run_and_no_run_is_split() {
        for (times, slots, expected) in [
            (&[4.0, 3.0, 2.0, 1.0][..], 1, 10.0),
            (&[4.0, 3.0, 2.0, 1.0], 2, 5.0),
            (&[4.0, 3.0, 2.0, 1.0], 9, 4.0),
            (&[3.0, 3.0, 2.0, 2.0, 2.0], 2, 7.0),
            (&[], 2, 0.0),
        ] {
            assert!((makespan(times, slots) - expected).abs() < 1e-12, "{times:?} on {slots}");
        }
        assert!(makespan(&[f64::NAN, 1.0], 2).is_nan());
    }
}
