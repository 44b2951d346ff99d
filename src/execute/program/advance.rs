//! Whether a program that prints comes further: lines alone are a sign of life only for so long.

use std::time::Duration;

/// Time without a further step where none is written: so many times the silence that is borne, and at least so long. Evaluations,
/// checkpoints and compilations in the middle of a run print, and take their time.
const PATIENCES: u32 = 10;
const AT_LEAST: Duration = Duration::from_hours(1);
/// Where steps are told rarely, so many times the longest gap between two.
const GAPS: u32 = 3;

/// How far an attempt has come, and when it came there.
#[derive(Debug)]
pub(super) struct Advance {
    /// What the spec says.
    written: Option<Duration>,
    patience: Duration,
    /// The furthest step that was told, and when that was.
    furthest: Option<usize>,
    at: Duration,
    longest: Duration,
}

impl Advance {
    /// The beginning of an attempt.
    pub(super) fn new(written: Option<Duration>, patience: Duration) -> Self {
        Self { written, patience, furthest: None, at: Duration::ZERO, longest: Duration::ZERO }
    }

    /// Notes the furthest step told up to now, so long after the beginning.
    pub(super) fn note(&mut self, furthest: Option<usize>, now: Duration) {
        if furthest > self.furthest {
            self.longest = self.longest.max(now.saturating_sub(self.at));
            (self.furthest, self.at) = (furthest, now);
        }
    }

    /// The step beyond which it does not come, and for how long that was borne. Nothing before the first step, which may take as long
    /// as it likes while it prints: some programs tell no steps at all.
    pub(super) fn stuck(&self, now: Duration) -> Option<(usize, Duration)> {
        let limit = self.written.unwrap_or((PATIENCES * self.patience).max(AT_LEAST).max(GAPS * self.longest));
        self.furthest.filter(|_| now.saturating_sub(self.at) > limit).map(|step| (step, limit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    #[test]
    fn a_program_is_stuck_where_it_told_steps_and_tells_no_further_one() {
        let mut advance = Advance::new(None, 10 * MINUTE);
        // It compiles, and may never tell a step.
        advance.note(None, 10 * MINUTE);
        assert_eq!(advance.stuck(10_000 * MINUTE), None);
        advance.note(Some(1), 20 * MINUTE);
        advance.note(Some(2), 21 * MINUTE);
        // The same step and an earlier one are no way further.
        advance.note(Some(2), 100 * MINUTE);
        advance.note(Some(1), 110 * MINUTE);
        assert_eq!(advance.stuck(121 * MINUTE), None);
        assert_eq!(advance.stuck(122 * MINUTE), Some((2, 100 * MINUTE)));
    }

    #[test]
    fn impatience_leaves_an_hour_and_rare_steps_longer() {
        let mut advance = Advance::new(None, MINUTE / 10);
        advance.note(Some(1), MINUTE);
        assert_eq!([60, 62].map(|minute| advance.stuck(minute * MINUTE).is_some()), [false, true]);
        // Steps that come every two hours, as the first one did.
        let mut advance = Advance::new(None, MINUTE);
        (1..5).for_each(|step| advance.note(Some(step), u32::try_from(step).unwrap() * 120 * MINUTE));
        assert_eq!([839, 841].map(|minute| advance.stuck(minute * MINUTE).is_some()), [false, true]);
        // What is written holds.
        let mut advance = Advance::new(Some(MINUTE), 10 * MINUTE);
        advance.note(Some(1), 120 * MINUTE);
        assert_eq!(advance.stuck(122 * MINUTE), Some((1, MINUTE)));
    }
}
