//! What the places of one worker share: which run each has, how far that is, and the way to the supervisor.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Event;
use crate::plan::RunId;
use crate::trainer::Trainer;

/// A run that has not done its first step by then is told of, each second anew.
const SIGN_AFTER: Duration = Duration::from_secs(2);

/// What runs before their first step are given to answer a request to stop.
const ANSWER_WITHIN: Duration = Duration::from_millis(200);

/// The places of a worker.
pub(super) struct Lanes<'a> {
    emit: Mutex<&'a mut (dyn FnMut(Event) + Send)>,
    places: Mutex<Places>,
}

struct Places {
    /// What each place has under way.
    under_way: Vec<Option<UnderWay>>,
    /// Places that are not closed.
    open: usize,
    /// When all runs under way were first seen to be before their first step while the worker is to stop.
    asked: Option<Instant>,
}

/// A run under way.
struct UnderWay {
    run: RunId,
    /// What goes on before its first step.
    what: &'static str,
    since: Instant,
    /// Whether this attempt has done a step.
    stepped: bool,
    /// Whether the process may end before that.
    may_be_left: bool,
    /// Seconds told last.
    told: u64,
}

impl<'a> Lanes<'a> {
    /// So many places, all free.
    pub(super) fn new(count: usize, emit: &'a mut (dyn FnMut(Event) + Send)) -> Self {
        let places = Places { under_way: (0..count).map(|_| None).collect(), open: count, asked: None };
        Self { emit: Mutex::new(emit), places: Mutex::new(places) }
    }

    /// Tells the supervisor.
    pub(super) fn tell(&self, event: Event) {
        let mut emit = self.emit.lock().unwrap_or_else(PoisonError::into_inner);
        (*emit)(event);
    }

    /// Notes that a place has a run, and what goes on before its first step.
    pub(super) fn begin(&self, lane: usize, run: &RunId, trainer: &dyn Trainer) {
        let (what, may_be_left) = (trainer.preparing(), trainer.may_be_left());
        let (run, since) = (run.clone(), Instant::now());
        self.places().under_way[lane] = Some(UnderWay { run, what, since, stepped: false, may_be_left, told: 0 });
    }

    /// Notes that the run of a place has done a step.
    pub(super) fn stepped(&self, lane: usize) {
        if let Some(under_way) = &mut self.places().under_way[lane] {
            under_way.stepped = true;
        }
    }

    /// Notes that a place has no run any more.
    pub(super) fn end(&self, lane: usize) {
        self.places().under_way[lane] = None;
    }

    /// Runs under way in other places.
    pub(super) fn beside(&self, lane: usize) -> usize {
        let places = self.places();
        places.under_way.iter().enumerate().filter(|(at, run)| *at != lane && run.is_some()).count()
    }

    /// Places that are not closed.
    pub(super) fn open(&self) -> usize {
        self.places().open
    }

    /// Closes a place for good, unless it is the last one; tells whether it is closed.
    pub(super) fn close(&self) -> bool {
        let mut places = self.places();
        let others = places.open > 1;
        places.open -= usize::from(others);
        others
    }

    /// Tells of runs that wait for their first step. True where the worker is to `stop`, and nothing that is under way has
    /// anything to be kept: compiling cannot be interrupted, and need not be waited for.
    pub(super) fn look(&self, stop: bool) -> bool {
        let mut places = self.places();
        let mut signs = Vec::new();
        for waiting in places.under_way.iter_mut().flatten().filter(|waiting| !waiting.stepped) {
            let seconds = waiting.since.elapsed();
            if seconds >= SIGN_AFTER && seconds.as_secs() > waiting.told {
                waiting.told = seconds.as_secs();
                let what = waiting.what.to_owned();
                signs.push(Event::Preparing { run: waiting.run.clone(), what, seconds: seconds.as_secs_f64() });
            }
        }
        let mut runs = places.under_way.iter().flatten().peekable();
        let nothing_to_keep = stop && runs.peek().is_some() && runs.all(|run| !run.stepped && run.may_be_left);
        if !nothing_to_keep {
            places.asked = None;
        }
        let leave = nothing_to_keep && places.asked.get_or_insert_with(Instant::now).elapsed() >= ANSWER_WITHIN;
        if leave {
            let runs = places.under_way.iter().flatten();
            signs = runs.map(|waiting| Event::Interrupted { run: waiting.run.clone(), step: 0 }).collect();
        }
        drop(places);
        for sign in signs {
            self.tell(sign);
        }
        leave
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
