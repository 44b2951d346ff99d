//! Stable phases that runs share (`sweep.share_trunk`): runs of a schedule with a stable phase that differ in length and in
//! how they cool down are one run until the first of them cools down (Hägele et al. 2024, arXiv 2405.18392).
//!
//! ```text
//! steps      0 ------- s1 ------- s2 ------- s3
//! first run  ===========\__                          the trunk up to s1, then its cooldown
//! second                ===========\__               goes on from s1
//! third                            ===========\__
//! ```
//!
//! There is no run beside those of the plan: each trains its piece of the trunk, leaves the state at the end of it to
//! the next one, and cools down. What it computes is what it would compute alone, so its identity is the same.

use std::collections::BTreeMap;

use super::{Plan, PlannedRun, Run, RunId, Trunk};
use crate::spec::{Cooldown, ScheduleKind};

impl Run {
    /// Content hash of everything that decides the steps before its cooldown; nothing where none can be shared.
    fn stable_phase(&self) -> Option<RunId> {
        if self.schedule.kind != ScheduleKind::Wsd || self.schedule.stable_steps() == 0 {
            return None;
        }
        let mut shared = self.clone();
        (shared.schedule.steps, shared.schedule.decay_steps, shared.schedule.floor) = (0, 0, 0.0);
        (shared.schedule.cooldown, shared.flop_budget) = (Cooldown::default(), None);
        (shared.eval.tokens, shared.eval.by_position) = (0, false);
        shared.eval.tasks.clear();
        Some(shared.id())
    }
}

/// Finds what runs share: of those with one stable phase each goes on where the next shorter one cools down.
pub(super) fn share(runs: &mut [PlannedRun]) {
    let mut trunks: BTreeMap<RunId, Vec<usize>> = BTreeMap::new();
    for (at, planned) in runs.iter().enumerate() {
        if let Some(id) = planned.run.stable_phase() {
            trunks.entry(id).or_default().push(at);
        }
    }
    for (id, mut branches) in trunks.into_iter().filter(|(_, branches)| branches.len() > 1) {
        let stable = |at: usize| runs[at].run.schedule.stable_steps();
        branches.sort_by_key(|at| stable(*at));
        let ends: Vec<usize> = branches.iter().map(|at| stable(*at)).collect();
        for (place, at) in branches.into_iter().enumerate() {
            let from = place.checked_sub(1).map_or(0, |before| ends[before]);
            runs[at].trunk = Some(Trunk { id: id.clone(), from });
        }
    }
}

impl PlannedRun {
    /// Share of its training that no other run does for it, where `shared` steps come from another.
    pub fn own_share(&self, shared: usize) -> f64 {
        1.0 - shared as f64 / self.run.schedule.steps as f64
    }

    /// Training FLOPs that it takes as planned, those before it cools down left to whoever trains them.
    pub fn flops_spent(&self) -> f64 {
        self.flops * self.own_share(self.shared_steps())
    }

    /// Share of what it trains itself that is done after so many tokens.
    pub fn share_done(&self, tokens: u64) -> f64 {
        let shared = (self.shared_steps() * self.run.tokens_per_step()) as u64;
        (tokens.saturating_sub(shared) as f64 / (self.tokens - shared) as f64).min(1.0)
    }

    /// Steps that another run trains for it, as planned.
    pub fn shared_steps(&self) -> usize {
        self.trunk.as_ref().map_or(0, |trunk| trunk.from)
    }
}

impl Plan {
    /// Whether any runs share a stable phase.
    pub fn shares_trunks(&self) -> bool {
        self.runs.iter().any(|run| run.trunk.is_some())
    }

    /// The runs with each stable phase by their places in the plan, in the order in which they leave it.
    pub fn branches(&self) -> BTreeMap<RunId, Vec<usize>> {
        let mut branches: BTreeMap<RunId, Vec<usize>> = BTreeMap::new();
        for (at, run) in self.runs.iter().enumerate() {
            if let Some(trunk) = &run.trunk {
                branches.entry(trunk.id.clone()).or_default().push(at);
            }
        }
        for places in branches.values_mut() {
            places.sort_by_key(|at| self.runs[*at].run.schedule.stable_steps());
        }
        branches
    }
}

#[cfg(test)]
mod tests {
    use crate::plan::testing::lengths;

    #[test]
    fn each_length_goes_on_where_the_next_shorter_one_cools_down_and_identities_stay() {
        let (alone, shared) = (lengths(false, &[100, 400, 200]), lengths(true, &[100, 400, 200]));
        let ids = |runs: &[crate::plan::PlannedRun]| runs.iter().map(|run| run.id.clone()).collect::<Vec<_>>();
        assert_eq!(ids(&alone.runs), ids(&shared.runs));
        assert!(!alone.shares_trunks() && shared.shares_trunks());
        // A fifth of each is its cooldown.
        let from: Vec<usize> = shared.runs.iter().map(crate::plan::PlannedRun::shared_steps).collect();
        assert_eq!(from, [0, 160, 80]);
        let spent: f64 =
            shared.runs.iter().map(|run| run.flops_spent() / run.flops * run.run.schedule.steps as f64).sum();
        assert!((spent - (100.0 + (200.0 - 80.0) + (400.0 - 160.0))).abs() < 1e-9, "{spent}");
        let trunk = &shared.runs[0].trunk.as_ref().unwrap().id;
        assert_eq!(shared.branches().into_iter().collect::<Vec<_>>(), [(trunk.clone(), vec![0, 2, 1])]);
    }

    #[test]
    fn one_length_shares_nothing() {
        assert!(!lengths(true, &[100]).shares_trunks());
    }
}
