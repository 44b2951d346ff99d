//! How far the host runs ahead of the card: so far that the card never waits for it, and not much farther in time, since whoever
//! wants to know the state of a run waits for all that was asked for.

use std::time::{Duration, Instant};

use super::gpu::Mark;
use super::held::RING;
use crate::trainer::TrainError;

/// Work of the card between two marks. The host is at most two of these ahead, or two steps where one takes longer.
const BEAT: Duration = Duration::from_millis(125);

/// Most steps between two marks: with these, models of short steps are as far ahead as the ring of batches lets them be.
const MOST: usize = 2 * RING;

/// How far the host is ahead.
pub struct Lead {
    /// Steps from one mark to the next.
    beat: usize,
    /// Steps since the newest mark.
    since: usize,
    /// The newest mark, which nobody waited for, and the steps before it from the mark before it on.
    newest: Option<(Box<dyn Mark>, usize)>,
    /// When the mark before it was reached.
    reached: Instant,
    waited: Duration,
}

impl Lead {
    /// Of a run of which nothing is asked yet.
    pub fn new() -> Self {
        Self { beat: 1, since: 0, newest: None, reached: Instant::now(), waited: Duration::ZERO }
    }

    /// A step was asked for: waits where the host is too far ahead. `mark` marks the end of what was asked for.
    pub fn asked(&mut self, mark: &mut dyn FnMut() -> Result<Box<dyn Mark>, TrainError>) -> Result<(), TrainError> {
        self.since += 1;
        if self.since < self.beat {
            return Ok(());
        }
        let steps = std::mem::take(&mut self.since);
        let before = self.newest.replace((mark()?, steps));
        if let Some((before, steps)) = before {
            let begun = Instant::now();
            before.wait()?;
            self.waited += begun.elapsed();
            self.beat = beat(self.reached.elapsed(), steps);
            self.reached = Instant::now();
        }
        Ok(())
    }

    /// All that was asked for is done.
    pub fn caught_up(&mut self) {
        (self.since, self.newest, self.reached) = (0, None, Instant::now());
    }

    /// Steps that were asked for, and of which is not known that they are done.
    pub fn steps(&self) -> usize {
        self.since + self.newest.as_ref().map_or(0, |(_, steps)| *steps)
    }

    /// For how long the host has waited here.
    pub fn waited(&self) -> Duration {
        self.waited
    }
}

/// Steps from one mark to the next, where so many took so long.
fn beat(taken: Duration, steps: usize) -> usize {
    let each = taken.as_secs_f64() / steps as f64;
    ((BEAT.as_secs_f64() / each) as usize).clamp(1, MOST)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use super::*;

    /// Notes the step behind which it stands, once it is waited for.
    struct Noted(usize, Rc<Cell<usize>>);

    impl Mark for Noted {
        fn wait(&self) -> Result<(), TrainError> {
            self.1.set(self.0);
            Ok(())
        }
    }

    #[test]
    fn a_beat_is_an_eighth_of_a_second_of_steps_between_one_and_two_rings() {
        let of = |micros, steps| beat(Duration::from_micros(micros), steps);
        assert_eq!([of(10_000, 1), of(80_000, 4), of(2_000_000, 1)], [12, 6, 1]);
        assert_eq!([of(20, 1), of(0, 3)], [2 * RING, 2 * RING], "short steps have a long lead");
    }

    #[test]
    fn the_host_is_between_one_and_two_beats_ahead_of_what_it_has_waited_for() {
        let done = Rc::new(Cell::new(0));
        let mut lead = Lead::new();
        for step in 1..=40 {
            // By the clock it would be another.
            lead.beat = if step < 20 { 1 } else { 5 };
            let mut mark = || Ok(Box::new(Noted(step, Rc::clone(&done))) as Box<dyn Mark>);
            lead.asked(&mut mark).unwrap();
            assert_eq!(step - done.get(), lead.steps(), "step {step}");
            assert!(lead.steps() < 2 * lead.beat && (step < 6 || lead.steps() > 0), "step {step}: {}", lead.steps());
        }
        lead.caught_up();
        assert_eq!(lead.steps(), 0);
    }
}
