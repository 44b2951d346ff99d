//! When a checkpoint is due: as seldom as was asked for, and never so often that it costs the run its time.

use std::time::{Duration, Instant};

/// Largest share of a run's time that goes into checkpoints.
const SHARE: f64 = 0.02;

/// Bytes per second that a disk is believed to take until the first checkpoint is measured.
const FIRST_GUESS: f64 = 1e8;

/// When a checkpoint is due.
pub struct Pace {
    every: Duration,
    last: Instant,
    /// What the last one took.
    cost: Duration,
}

impl Pace {
    /// At most one each `every`, of so many bytes, from now on.
    pub fn new(every: Duration, bytes: u64) -> Self {
        let cost = Duration::from_secs_f64(0.01 + bytes as f64 / FIRST_GUESS);
        Self { every, last: Instant::now(), cost }
    }

    /// Whether the time has come.
    pub fn is_due(&self) -> bool {
        self.last.elapsed() >= self.interval()
    }

    /// Notes one that was begun at `begun` and is written now.
    pub fn written(&mut self, begun: Instant) {
        self.last = Instant::now();
        self.cost = begun.elapsed();
    }

    fn interval(&self) -> Duration {
        self.every.max(self.cost.div_f64(SHARE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_two_per_cent_of_the_time_goes_into_checkpoints() {
        let mut pace = Pace::new(Duration::from_secs(1), 1_000_000_000);
        assert!(pace.interval() >= Duration::from_secs(500), "ten seconds each are expected");
        pace.written(Instant::now());
        assert!(pace.interval() < Duration::from_secs(2) && !pace.is_due());
        assert!(Pace::new(Duration::ZERO, 0).interval() >= Duration::from_millis(500));
    }
}
