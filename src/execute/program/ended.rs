//! What the end of a program means: a result, a divergence, a failure, or a stop after which it goes on.

use std::io;
use std::ops::ControlFlow;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::ExitStatus;
use std::thread;
use std::time::{Duration, Instant};

use super::protocol::{Story, Wrong};
use super::stalled;
use crate::execute::{REQUEUE, retry};
use crate::ledger::FailureClass;
use crate::plan::Program;
use crate::trainer::{OnProgress, Outcome, TrainError};

/// How much later the request to stop may come that a program had got as well and ended by.
const ASKED_WITHIN: Duration = Duration::from_secs(1);
/// Time between two looks whether it has come.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// The signals that ask a program to stop (SIGHUP, SIGINT, SIGTERM), and the exit codes by which shells tell them.
const ASKS: [i32; 3] = [1, 2, 15];
const SHELLS: i32 = 128;

/// Why a program that runs is stopped.
pub(super) enum Stop {
    /// The sweep was asked to stop.
    Asked,
    /// Its loss left the numbers.
    Diverged,
    /// It says what cannot be.
    Wrong(Wrong),
    /// It says nothing.
    Silent,
    /// It prints, and has come no further than this step for so long.
    Stuck(usize, Duration),
}

/// A program that has ended.
pub(super) struct Ended<'a> {
    /// Why it was stopped, where it did not end by itself.
    pub(super) stopped: Option<Stop>,
    pub(super) status: io::Result<ExitStatus>,
    /// What it said that cannot be, after it was to stop.
    pub(super) wrong: Option<Wrong>,
    /// The run's folder of the program.
    pub(super) folder: &'a Path,
    pub(super) begun: Instant,
    pub(super) program: &'a Program,
}

impl Ended<'_> {
    /// What it means.
    pub(super) fn outcome(self, story: &mut Story<'_>, on_progress: OnProgress<'_>) -> Result<Outcome, TrainError> {
        story.keep_reached();
        let (folder, by_itself) = (self.folder, self.stopped.is_none());
        let may_be_asked = self.wrong.is_none() && self.status.as_ref().is_ok_and(|status| may_be_asked(*status));
        let within = if may_be_asked { ASKED_WITHIN } else { Duration::ZERO };
        match self.meaning(story, on_progress) {
            Err(TrainError::Configuration(_) | TrainError::Program(_))
                if by_itself && is_asked(story, on_progress, within) =>
            {
                Err(TrainError::Interrupted { step: story.step() })
            }
            // It advances: as after a checkpoint it is tried again as long as it does.
            Err(TrainError::Program(what))
                if retry::class_of_words(&what) != FailureClass::OutOfMemory
                    && stalled::is_further(folder, story.step()) =>
            {
                let step = story.step();
                story.say(&format!("it came to step {step}, further than before, and is tried again: {what}"));
                Err(TrainError::Interrupted { step })
            }
            outcome => outcome,
        }
    }

    fn meaning(self, story: &mut Story<'_>, on_progress: OnProgress<'_>) -> Result<Outcome, TrainError> {
        match (self.stopped, self.status) {
            (Some(Stop::Asked), Ok(status)) if status.success() && self.wrong.is_none() && story.is_done() => {
                story.outcome().map_err(|Wrong(what)| TrainError::Configuration(what))
            }
            (Some(Stop::Asked), _) => Err(TrainError::Interrupted { step: story.step() }),
            (Some(Stop::Diverged), _) => Ok(story.diverged()),
            (Some(Stop::Wrong(Wrong(what))), _) => Err(TrainError::Configuration(what)),
            (Some(Stop::Silent), _) => {
                let patience = self.program.patience_seconds;
                let silence = format!("the program printed nothing for {patience} s and was stopped");
                let advice = "train.patience_seconds is the limit: write a larger one for a program that begins slowly. Does it flush what it prints? A pipe is no terminal";
                hung(story, &silence, advice, on_progress)
            }
            (Some(Stop::Stuck(step, limit)), _) => {
                let limit = limit.as_secs_f64();
                let stuck =
                    format!("the program printed, told no step beyond step {step} for {limit} s and was stopped");
                let advice = "train.step_patience_seconds sets the limit, such as for long evaluations";
                hung(story, &stuck, advice, on_progress)
            }
            (None, Err(error)) => Err(TrainError::Program(format!("cannot wait for the program: {error}"))),
            (None, Ok(_)) if story.has_diverged() => Ok(story.diverged()),
            (None, Ok(status)) => {
                if let Some(Wrong(what)) = self.wrong {
                    return Err(TrainError::Configuration(what));
                }
                at_its_end(status, story, (self.folder, self.begun), on_progress)
            }
        }
    }
}

/// The end of a program that was stopped because it did not go on: its result, where it had told all of it.
fn hung(story: &mut Story<'_>, how: &str, advice: &str, on_progress: OnProgress<'_>) -> Result<Outcome, TrainError> {
    let failed = |story: &Story<'_>| Err(TrainError::Program(format!("{how}; {advice}{}", story.last_words())));
    told_before(story, how, on_progress).unwrap_or_else(|| failed(story))
}

/// What an end of the program by itself means.
fn at_its_end(
    status: ExitStatus,
    story: &mut Story<'_>,
    (folder, begun): (&Path, Instant),
    on_progress: OnProgress<'_>,
) -> Result<Outcome, TrainError> {
    let how = match (status.code(), status.signal()) {
        (Some(0), _) => {
            story.complete(on_progress);
            return story.outcome().map_err(|Wrong(what)| TrainError::Configuration(what));
        }
        // It checkpointed of its own accord, because its time was over, and wants to be started again.
        (Some(code), _) if code == i32::from(REQUEUE) => {
            let step = story.step();
            return Err(match stalled::note(folder, step, begun.elapsed()) {
                Some(what) => TrainError::Configuration(what + &story.last_words()),
                None => TrainError::Interrupted { step },
            });
        }
        (Some(code), _) => format!("the program ended with exit code {code}"),
        (None, signal) => format!("the program was ended by signal {}", signal.unwrap_or_default()),
    };
    told_before(story, &how, on_progress).unwrap_or_else(|| Err(TrainError::Program(how + &story.last_words())))
}

/// The result of a program that had told all of it before it ended badly, as libraries that clean up may do.
fn told_before(story: &mut Story<'_>, how: &str, on_progress: OnProgress<'_>) -> Option<Result<Outcome, TrainError>> {
    if !story.has_all() {
        return None;
    }
    story.say(&format!("{how} after it had told its result, which counts"));
    story.complete(on_progress);
    Some(story.outcome().map_err(|Wrong(what)| TrainError::Configuration(what)))
}

/// Whether a program may have ended because it was asked to, by whoever asks all processes at once.
fn may_be_asked(status: ExitStatus) -> bool {
    let by_code = |code: i32| code == 0 || ASKS.contains(&(code - SHELLS));
    status.code().is_some_and(by_code) || status.signal().is_some_and(|signal| ASKS.contains(&signal))
}

/// Whether the sweep is asked to stop, now or soon.
fn is_asked(story: &mut Story<'_>, on_progress: OnProgress<'_>, within: Duration) -> bool {
    let since = Instant::now();
    loop {
        if let ControlFlow::Break(()) = story.look(on_progress) {
            return true;
        }
        if since.elapsed() >= within {
            return false;
        }
        thread::sleep(LOOK_EVERY);
    }
}
