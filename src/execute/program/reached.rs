//! How far a run has come by what its lines tell, in this attempt or an earlier one, and whether that is its end.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::ledger::CurvePoint;
use crate::whole;

/// Beside the curve, in the run's folder of the program.
const FILE: &str = "reached.json";
/// Share of its tokens by which a run may end too early or too late.
const AROUND: f64 = 0.01;
/// Fewer gaps between lines tell no interval.
const GAPS: usize = 2;

/// The end of a run.
#[derive(Clone, Copy)]
pub(super) struct Goal {
    pub(super) tokens: f64,
    /// Tokens of a step.
    pub(super) step: f64,
}

impl Goal {
    /// Whether these are the tokens of the run, but for a step or a hundredth of them.
    pub(super) fn is_met(self, tokens: f64) -> bool {
        (tokens - self.tokens).abs() <= self.around()
    }

    /// Whether something happened at later tokens, by more than a step or a hundredth of all.
    pub(super) fn is_later(self, tokens: f64, than: f64) -> bool {
        tokens - than > self.around()
    }

    fn around(self) -> f64 {
        (AROUND * self.tokens).max(self.step)
    }
}

/// The last place that was told.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Reached {
    pub(super) tokens: f64,
    /// Tokens of the last training loss.
    #[serde(default)]
    pub(super) trained: f64,
    /// The line that told it; nothing where that was in an earlier attempt.
    #[serde(skip)]
    pub(super) line: Option<u64>,
    /// How many steps lay between lines of training losses, and how often.
    #[serde(default)]
    gaps: BTreeMap<usize, usize>,
    /// Whether steps are counted from 0: then a line is of the step that follows.
    #[serde(default)]
    from_zero: bool,
    /// The step of the last training loss of this attempt.
    #[serde(skip)]
    last: Option<usize>,
}

impl Reached {
    /// The place that an earlier attempt told last.
    pub(super) fn load(folder: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(folder.join(FILE)).ok()?).ok()
    }

    /// What the points of a curve tell, which is all that older folders have: their interval is that of the lines, or longer.
    pub(super) fn of_curve<'a>(points: impl Iterator<Item = &'a CurvePoint>) -> Option<Self> {
        points.fold(None, |reached: Option<Self>, point| {
            let mut reached = reached.unwrap_or_default();
            reached.trained((point.step, point.tokens as f64), 0);
            Some(Self { line: None, ..reached })
        })
    }

    /// Keeps it for the next attempt; where that cannot be, that one tells less, and its run is refused sooner.
    pub(super) fn keep(&self, folder: &Path) {
        let text = serde_json::to_vec(self).expect("its keys are texts");
        let _ = whole::write_unsynced(&folder.join(FILE), &text);
    }

    /// The beginning of an attempt: its place is its own, and how often lines come is that of all attempts.
    pub(super) fn begun(earlier: Option<&Self>) -> Self {
        earlier.map_or_else(Self::default, |earlier| Self {
            tokens: 0.0,
            trained: 0.0,
            line: None,
            last: None,
            ..earlier.clone()
        })
    }

    /// Notes a training loss.
    pub(super) fn trained(&mut self, (step, tokens): (usize, f64), line: u64) {
        if let Some(gap) = self.last.map(|last| step.saturating_sub(last)).filter(|gap| *gap > 0) {
            *self.gaps.entry(gap).or_default() += 1;
        }
        self.from_zero |= step == 0;
        self.last = Some(step);
        (self.tokens, self.trained, self.line) = (tokens, tokens, Some(line));
    }

    /// Notes the place of another measurement.
    pub(super) fn measured(&mut self, tokens: f64, line: u64) {
        if tokens >= self.tokens {
            (self.tokens, self.line) = (tokens, Some(line));
        }
    }

    /// Steps between two lines of training losses, as most are; nothing where there are too few.
    pub(super) fn every(&self) -> Option<usize> {
        let count: usize = self.gaps.values().sum();
        let mut before = 0;
        let middle = self.gaps.iter().find(|(_, times)| {
            before += **times;
            2 * before >= count
        });
        middle.filter(|_| count >= GAPS).map(|(gap, _)| *gap)
    }

    /// Whether the run was trained to its end: it told so, or the next line would have come after its end. One that stopped
    /// before lacks a line.
    pub(super) fn is_whole(&self, goal: Goal) -> bool {
        let lacks_none = |every: usize| {
            let next = self.trained + every as f64 * goal.step;
            self.tokens.max(self.trained) <= goal.tokens
                && (next > goal.tokens || self.from_zero && next >= goal.tokens)
        };
        goal.is_met(self.tokens) || self.every().is_some_and(lacks_none)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOAL: Goal = Goal { tokens: 159.0 * 1024.0, step: 1024.0 };

    fn told(steps: impl IntoIterator<Item = usize>) -> Reached {
        let mut reached = Reached::default();
        steps.into_iter().for_each(|step| reached.trained((step, step as f64 * 1024.0), 1));
        reached
    }

    #[test]
    fn a_run_is_whole_where_the_next_line_would_come_after_its_end() {
        for (reached, whole) in [
            (told(1..=159), true),
            (told(1..=158), true),
            (told(1..=79), false),
            (told(1..=150), false),
            (told((1..=151).step_by(10)), true),
            (told((1..=141).step_by(10)), false),
            // Counted from 0 a line at step 159 would be of a step that there is none of.
            (told((0..=106).step_by(53)), true),
            (told([2, 54, 107]), false),
            // One line, or two, tell no interval.
            (told([1]), false),
            (told([1, 100]), false),
            (told([1, 2, 4, 8, 16, 32, 64, 128]), false),
            (told(1..=200), false),
        ] {
            assert_eq!(reached.is_whole(GOAL), whole, "{reached:?}");
        }
    }

    #[test]
    fn what_an_attempt_reached_is_kept_with_its_interval_and_the_next_begins_at_its_own_place() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Reached::load(dir.path()), None);
        told((1..=131).step_by(10)).keep(dir.path());
        let kept = Reached::load(dir.path()).unwrap();
        assert_eq!((kept.tokens, kept.every(), kept.line), (131.0 * 1024.0, Some(10), None));
        let mut next = Reached::begun(Some(&kept));
        next.trained((151, 151.0 * 1024.0), 1);
        assert!(!kept.is_whole(GOAL) && next.is_whole(GOAL));
        // Older folders have the curve alone.
        let point =
            |step: usize| CurvePoint { step, tokens: step as u64 * 1024, train_loss: None, learning_rate: None };
        let of_curve = |last: usize| {
            let points: Vec<CurvePoint> = (8..=last).step_by(8).map(point).collect();
            Reached::of_curve(points.iter())
        };
        assert!(of_curve(152).unwrap().is_whole(GOAL) && !of_curve(80).unwrap().is_whole(GOAL));
        assert_eq!(of_curve(7), None);
        // From the beginning again, it has not come as far.
        let mut anew = Reached::begun(Some(&kept));
        anew.trained((1, 1024.0), 1);
        assert!(anew.tokens < kept.tokens && !anew.is_whole(GOAL));
        let mut early = told((1..=141).step_by(10));
        early.measured(150.0 * 1024.0, 20);
        assert!(!early.is_whole(GOAL), "a loss of validation is no line of the curve");
        // A loss that was measured later counts as a place, an earlier one does not.
        anew.measured(GOAL.tokens, 2);
        anew.measured(1024.0, 3);
        assert!(anew.is_whole(GOAL) && anew.line == Some(2));
    }
}
