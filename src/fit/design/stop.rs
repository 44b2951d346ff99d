//! Stopping runs of a tuning grid before their end: those that lie further behind the best of their group than any finished
//! run could make up for.
//!
//! A group is what differs in tuned settings alone, so that only its best run counts. The training losses of two runs of a group
//! at the same share of their tokens differ by a gap. Between that share and the end the gap changes: high learning rates look
//! worse until the rate decays. By how much it can change is measured on the finished runs of all groups and sizes. A run is
//! stopped where its gap to the best finished run of its group is larger than a margin times the largest such change.
//!
//! Only what crossed would be too little to go by: where no finished run overtook another its measure would be zero. What it cost
//! on real curves is in docs/log.md.

use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;

use crate::fit::{Bootstrap, Estimate, NORMAL_95};
use crate::goal::StopEarly;

/// Finished runs, each beside the best of its group, before any run is stopped. Of nine gaps in no order, the last changes most
/// once in nine times: a margin above 1 makes that rarer.
pub const COMPANIONS: usize = 8;

/// The same of other groups, where a group is judged by these alone: fewer are there, as its own are left out. A margin that is
/// learned from fewer is smaller and stops more, so that the cost of the rule is not told too low.
pub const OTHERS: usize = 4;

/// The training losses of a finished run, and what they came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// Shares of the run's tokens, rising, with the training loss there.
    points: Vec<[f64; 2]>,
    /// Loss on the validation tokens.
    end: f64,
}

impl Curve {
    /// Shares of tokens with losses, rising, and the final loss. Losses that are no numbers are passed over.
    pub fn new(points: impl IntoIterator<Item = [f64; 2]>, end: f64) -> Self {
        Self { points: points.into_iter().filter(|[_, loss]| loss.is_finite()).collect(), end }
    }

    /// The loss at a share of the tokens, between the points on a line; nothing before the first point and after the last.
    pub fn at(&self, share: f64) -> Option<f64> {
        // Points of one grid differ in their last bits.
        const NEAR: f64 = 1e-9;
        let above = self.points.partition_point(|[at, _]| *at < share - NEAR);
        let [at, loss] = *self.points.get(above)?;
        if at <= share + NEAR {
            return Some(loss);
        }
        let [before, from] = *self.points.get(above.checked_sub(1)?)?;
        Some(from + (loss - from) * (share - before) / (at - before))
    }

    /// Loss on the validation tokens.
    pub fn end(&self) -> f64 {
        self.end
    }
}

/// The finished run of least loss, of equal ones the first.
fn best<'a>(group: &[&'a Curve]) -> Option<&'a Curve> {
    group.iter().copied().min_by(|a, b| a.end.total_cmp(&b.end))
}

/// How much gaps changed between a share and the end, at most, and of how many runs that is known.
fn largest_change<'a>(groups: impl IntoIterator<Item = &'a [&'a Curve]>, share: f64) -> (f64, usize) {
    let (mut most, mut known) = (0.0_f64, 0);
    for group in groups {
        let Some(best) = best(group) else { continue };
        let Some(at_best) = best.at(share) else { continue };
        for run in group.iter().filter(|run| !std::ptr::eq(**run, best)) {
            let Some(loss) = run.at(share) else { continue };
            most = most.max(((loss - at_best) - (run.end - best.end)).abs());
            known += 1;
        }
    }
    (most, known)
}

/// Why a run is stopped.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Verdict {
    /// Place in its group of the finished run that it lies behind.
    pub against: usize,
    /// Nats by which it lies behind.
    pub behind: f64,
    /// Nats that it may lie behind: the margin times the largest change of a gap.
    pub allowed: f64,
}

/// Whether a run is to be stopped that has this loss at this share of its tokens: `own` are the finished runs of its group,
/// `known` those of all groups that are learned from.
pub fn judge<'a>(
    rule: StopEarly,
    known: impl IntoIterator<Item = &'a [&'a Curve]>,
    own: &[&Curve],
    point: [f64; 2],
) -> Option<Verdict> {
    judge_by(rule, COMPANIONS, known, own, point)
}

/// Whether a run that has this loss at this share of its tokens lies behind the best finished one of its group.
pub fn is_behind(own: &[&Curve], [share, loss]: [f64; 2]) -> bool {
    best(own).and_then(|best| best.at(share)).is_some_and(|at_best| loss > at_best)
}

/// The same where so many companions suffice.
fn judge_by<'a>(
    rule: StopEarly,
    enough: usize,
    known: impl IntoIterator<Item = &'a [&'a Curve]>,
    own: &[&Curve],
    [share, loss]: [f64; 2],
) -> Option<Verdict> {
    if share < rule.after || share >= 1.0 || !loss.is_finite() {
        return None;
    }
    let best = best(own)?;
    let behind = loss - best.at(share)?;
    let (most, companions) = largest_change(known, share);
    let allowed = rule.margin * most;
    let against = own.iter().position(|run| std::ptr::eq(*run, best))?;
    (companions >= enough && behind > allowed).then_some(Verdict { against, behind, allowed })
}

/// A finished run that is trained once more in thought.
#[derive(Clone, Debug, PartialEq)]
pub struct Past {
    /// Its group.
    pub group: usize,
    /// Its losses.
    pub curve: Curve,
    /// Its training FLOPs.
    pub flops: f64,
}

/// What is learned from when finished runs are trained once more in thought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// The runs that came to their end before, as in a sweep on one slot.
    Before,
    /// All runs of the other groups: what happens in one group then says nothing of another.
    Others,
}

impl Evidence {
    /// Companions that suffice.
    fn enough(self) -> usize {
        match self {
            Self::Before => COMPANIONS,
            Self::Others => OTHERS,
        }
    }
}

/// What the rule would have done to finished runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Replay {
    /// Runs, and those of them that would have been stopped.
    pub runs: usize,
    /// Those that would have been stopped.
    pub stopped: usize,
    /// Training FLOPs of all.
    pub flops: f64,
    /// Training FLOPs with the rule.
    pub spent: f64,
    /// For each group of at least two runs that could be judged the nats by which its best run is worse with the rule.
    pub lost: Vec<f64>,
}

/// Trains finished runs once more in thought, in the order given.
pub fn replay(runs: &[Past], rule: StopEarly, evidence: Evidence) -> Replay {
    let groups = runs.iter().map(|run| run.group + 1).max().unwrap_or(0);
    let mut all: Vec<Vec<&Curve>> = vec![Vec::new(); groups];
    for run in runs {
        all[run.group].push(&run.curve);
    }
    let mut ended: Vec<Vec<&Curve>> = vec![Vec::new(); groups];
    let (mut stopped, mut spent) = (0, 0.0);
    for run in runs {
        let known = || match evidence {
            Evidence::Before => ended.iter().map(Vec::as_slice).collect::<Vec<_>>(),
            Evidence::Others => {
                let others = all.iter().enumerate().filter(|(group, _)| *group != run.group);
                others.map(|(_, curves)| curves.as_slice()).collect()
            }
        };
        let own = &ended[run.group];
        let is_stopped = |point: &&[f64; 2]| {
            is_behind(own, **point) && judge_by(rule, evidence.enough(), known(), own, **point).is_some()
        };
        if let Some([share, _]) = run.curve.points.iter().find(is_stopped) {
            stopped += 1;
            spent += share * run.flops;
        } else {
            spent += run.flops;
            ended[run.group].push(&run.curve);
        }
    }
    let companions = |group: &Vec<&Curve>| group.len().saturating_sub(1);
    let known: usize = all.iter().map(companions).sum();
    let others = |group: &Vec<&Curve>| if evidence == Evidence::Others { known - companions(group) } else { known };
    let judged = all.iter().zip(&ended).filter(|(all, _)| all.len() > 1 && others(all) >= evidence.enough());
    let lost = judged.filter_map(|(all, ended)| Some(best(ended)?.end - best(all)?.end)).collect();
    Replay { runs: runs.len(), stopped, flops: runs.iter().map(|run| run.flops).sum(), spent, lost }
}

impl Replay {
    /// Groups whose best run would have been stopped.
    pub fn wrong(&self) -> usize {
        self.lost.iter().filter(|lost| **lost > 0.0).count()
    }

    /// Share of groups whose best run would have been stopped, with Wilson's 95% interval (1927), which is no point where
    /// there was none; nothing without groups.
    pub fn wrong_share(&self) -> Option<Estimate> {
        let groups = self.lost.len() as f64;
        let share = (groups > 0.0).then(|| self.wrong() as f64 / groups)?;
        let squared = NORMAL_95 * NORMAL_95 / groups;
        let middle = (share + squared / 2.0) / (1.0 + squared);
        let half = (share * (1.0 - share) * squared + squared * squared / 4.0).sqrt() / (1.0 + squared);
        Some(Estimate { value: share, low: (middle - half).max(0.0), high: (middle + half).min(1.0) })
    }

    /// Nats that a group would have lost on average, with the 95% interval of a bootstrap over groups; nothing where none
    /// would: an interval of no width would say too much.
    pub fn mean_lost(&self, bootstrap: &Bootstrap) -> Option<Estimate> {
        let mean = |lost: &[f64]| lost.iter().sum::<f64>() / lost.len() as f64;
        let draw = |rng: &mut ChaCha8Rng| {
            let drawn: Vec<f64> = self.lost.iter().map(|_| self.lost[rng.random_range(0..self.lost.len())]).collect();
            mean(&drawn)
        };
        (self.wrong() > 0).then(|| Estimate::from_draws(mean(&self.lost), bootstrap.draws(draw)))
    }

    /// The most that a group would have lost, in nats.
    pub fn worst(&self) -> f64 {
        self.lost.iter().copied().fold(0.0, f64::max)
    }

    /// Share of the FLOPs that would have been saved.
    pub fn saved(&self) -> f64 {
        if self.flops > 0.0 { 1.0 - self.spent / self.flops } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: StopEarly = StopEarly { margin: 1.5, after: 0.2 };

    /// A run whose loss lies above that of the best of its group by `early` at first and by `late` at the end.
    fn curve(early: f64, late: f64) -> Curve {
        let loss = |share: f64| 3.0 + 2.0 * (1.0 - share) + early + (late - early) * share;
        Curve::new((1..=20).map(|point| f64::from(point) / 20.0).map(|share| [share, loss(share)]), 3.0 + late)
    }

    /// Groups of runs, each with its gap at first and at the end, in the order of groups.
    fn pasts(groups: &[&[[f64; 2]]]) -> Vec<Past> {
        let of = |(group, gaps): (usize, &&[[f64; 2]])| {
            let run = move |[early, late]: [f64; 2]| Past { group, curve: curve(early, late), flops: 1e12 };
            gaps.iter().copied().map(run).collect::<Vec<_>>()
        };
        groups.iter().enumerate().flat_map(of).collect()
    }

    #[test]
    fn losses_between_the_points_lie_on_lines_and_beyond_them_nothing_is_known() {
        let curve = Curve::new([[0.25, 4.0], [0.5, f64::NAN], [0.75, 3.0], [1.0, 2.5]], 2.4);
        let told: Vec<_> = [0.2, 0.25, 0.5, 0.75, 1.0, 1.1].map(|share| curve.at(share)).to_vec();
        assert_eq!(told, [None, Some(4.0), Some(3.5), Some(3.0), Some(2.5), None]);
    }

    #[test]
    fn runs_that_are_bad_from_the_start_are_stopped_as_soon_as_it_may_be_and_no_best_run_is() {
        // Eight companions are known after two groups of five.
        let group: &[[f64; 2]] = &[[0.0, 0.0], [0.3, 0.2], [0.6, 0.5], [0.9, 0.8], [1.2, 1.1]];
        let past = pasts(&[group; 6]);
        let replayed = replay(&past, RULE, Evidence::Before);
        assert_eq!((replayed.stopped, replayed.wrong(), replayed.lost.len()), (16, 0, 6));
        // Sixteen of thirty runs, each after a fifth of its tokens.
        assert!((replayed.saved() - 16.0 * 0.8 / 30.0).abs() < 1e-9, "{}", replayed.saved());
        let interval = replayed.wrong_share().unwrap();
        assert!(interval.value == 0.0 && interval.low == 0.0 && (interval.high - 0.39).abs() < 0.01, "{interval:?}");
    }

    #[test]
    fn where_gaps_are_made_up_late_the_margin_grows_until_nothing_is_stopped() {
        // The best run looks worst until the end.
        let group: &[[f64; 2]] = &[[0.0, 0.4], [0.1, 0.3], [0.2, 0.2], [0.3, 0.1], [0.9, 0.0]];
        let replayed = replay(&pasts(&[group; 6]), RULE, Evidence::Before);
        assert_eq!((replayed.stopped, replayed.wrong(), replayed.worst()), (0, 0, 0.0));
        assert!((replayed.spent - replayed.flops).abs() < 1.0);
    }

    #[test]
    fn what_no_finished_run_showed_costs_and_is_told() {
        let plain: &[[f64; 2]] = &[[0.0, 0.0], [0.3, 0.3], [0.6, 0.6], [0.9, 0.9], [1.2, 1.2]];
        // Behind by more than any gap changed before, and best in the end.
        let late: &[[f64; 2]] = &[[0.0, 0.3], [0.9, 0.0]];
        for evidence in [Evidence::Before, Evidence::Others] {
            let replayed = replay(&pasts(&[plain, plain, plain, late]), RULE, evidence);
            assert_eq!((replayed.wrong(), replayed.lost.len()), (1, 4));
            assert!((replayed.worst() - 0.3).abs() < 1e-9, "{}", replayed.worst());
            let interval = replayed.wrong_share().unwrap();
            assert!(interval.low > 0.0 && interval.low < 0.25 && interval.high > 0.6, "{interval:?}");
        }
    }

    #[test]
    fn gaps_of_low_values_say_nothing_of_high_ones_so_both_must_have_finished() {
        // The middle, a low value without a change of its gap, and a high one that is best and looks worse at first.
        let [middle, low, high] = [curve(0.035, 0.035), curve(0.22, 0.22), curve(0.077, 0.009)];
        let past = |group: usize, curve: &Curve| Past { group, curve: curve.clone(), flops: 1e12 };
        let middles = || (0..8).map(|group| past(group, &middle));
        let low_first = middles().chain((0..8).map(|group| past(group, &low)));
        let low_first: Vec<Past> = low_first.chain((0..8).map(|group| past(group, &high))).collect();
        assert_eq!(replay(&low_first, RULE, Evidence::Before).wrong(), 8);
        let side = |group: usize, first: bool| if group.is_multiple_of(2) == first { &low } else { &high };
        let both = middles().chain((0..8).map(|group| past(group, side(group, true))));
        let both: Vec<Past> = both.chain((0..8).map(|group| past(group, side(group, false)))).collect();
        assert_eq!(replay(&both, RULE, Evidence::Before).wrong(), 0);
    }

    #[test]
    fn nothing_is_stopped_before_enough_is_known_before_its_share_or_without_a_finished_run() {
        let group: &[[f64; 2]] = &[[0.0, 0.0]; 9];
        let curves = pasts(&[group]);
        let own: Vec<&Curve> = curves.iter().map(|past| &past.curve).collect();
        let judged = |own: &[&Curve], share| judge(RULE, [own], own, [share, 9.0]);
        assert!(judged(&own, 0.2).is_some_and(|verdict| verdict.against == 0 && verdict.allowed == 0.0));
        assert_eq!(judged(&own[..8], 0.2), None, "seven companions");
        assert_eq!(judged(&own, 0.15), None);
        assert_eq!(judged(&own, 1.0), None, "what is at its end is finished");
        assert_eq!(judge(RULE, [own.as_slice()], &[], [0.5, 9.0]), None);
        assert_eq!(judge(RULE, [own.as_slice()], &own, [0.5, f64::NAN]), None);
        // One group alone: whatever comes first is trained to its end.
        let alone = replay(&pasts(&[&[[0.5, 0.5], [0.0, 0.0], [2.0, 2.0]]]), RULE, Evidence::Before);
        assert_eq!(alone.stopped, 0);
        assert_eq!(replay(&[], RULE, Evidence::Others).wrong_share(), None);
    }
}
