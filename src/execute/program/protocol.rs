//! What a program says: lines of standard output that are JSON objects.
//!
//! ```text
//! {"step": 100, "tokens": 51200, "loss": 5.31}        a point of the training curve
//! {"val_loss": 3.42, "val_loss_stderr": 0.004}         the result; where several are told, the last one
//! ```
//!
//! Other keys are kept as columns of tables, each with its last value. Other lines are its log: the last ones are shown where
//! it fails. Losses are in nats per token. What a line says is in `said`, whether a run came to its end in `reached`, what of it is
//! odd in `doubts`.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::doubts;
use super::lines::{Line, Stream};
use super::printed::{self, Printed};
use super::reached::{Goal, Reached};
use super::said::{self, Said};
use crate::ledger::CurvePoint;
use crate::plan::PlannedRun;
use crate::trainer::{OnProgress, Outcome, Progress, Told};
use crate::whole;

/// Lines of the log that are kept, and characters of each that are shown.
const LAST_LINES: usize = 8;
const SHOWN: usize = 200;
/// What was told beside the curve, kept for the next attempt.
const TOLD: &str = "told.json";

/// What a program says that cannot be.
#[derive(Debug)]
pub(super) struct Wrong(pub(super) String);

/// Further columns that are kept, and characters of their names and texts.
const MOST_COLUMNS: usize = 100;
const LONGEST_NAME: usize = 80;
/// Keys that a message names.
const NAMED: usize = 12;

/// A result, and the line that told it.
#[derive(Clone, Copy)]
struct Final {
    loss: f64,
    stderr: f64,
    line: u64,
    /// The tokens at which it was measured, where its line tells that.
    place: Option<f64>,
    /// The tokens of the last training loss before it.
    after: f64,
}

/// A point of the curve as it is kept for the next attempt.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct Kept {
    #[serde(flatten)]
    point: CurvePoint,
    /// Seconds that the run had taken by then, with those of earlier attempts.
    #[serde(default)]
    seconds: f64,
}

/// What a program has said of one run.
pub(super) struct Story<'a> {
    run: &'a PlannedRun,
    begun: Instant,
    /// Seconds of earlier attempts, up to the point from which this one goes on.
    before: f64,
    printed: Printed,
    /// Where the curve is kept, and what an earlier attempt left there.
    curve: PathBuf,
    earlier: Vec<Kept>,
    /// What an earlier attempt told beside it.
    told_earlier: BTreeMap<String, Told>,
    points: Vec<Kept>,
    /// Losses since the last point of the curve.
    since: (f64, usize),
    last: Option<Progress>,
    /// How far this attempt has told that it came, whether that is to be kept, and how far earlier ones did.
    reached: Option<Reached>,
    unkept: bool,
    reached_earlier: Option<Reached>,
    result: Option<Final>,
    /// Losses of validation by other names.
    others: BTreeMap<String, Final>,
    /// The name of the training loss, where it is not `loss`.
    training: Option<String>,
    diverged: Option<(usize, Option<f64>)>,
    /// The furthest step that a line of this attempt told, with a loss or without one.
    pub(super) furthest: Option<usize>,
    /// What else it told, each with its last value.
    told: BTreeMap<String, Told>,
    log: VecDeque<String>,
    /// The first line that looked like an object and was not understood, why, and how many there were.
    broken: Option<(u64, String, usize)>,
    /// Lines on standard error that look as if they told a loss.
    on_stderr: usize,
}

impl<'a> Story<'a> {
    pub(super) fn new(run: &'a PlannedRun, folder: &Path, begun: Instant) -> Self {
        let curve = folder.join("curve.jsonl");
        let kept = fs::read_to_string(&curve).unwrap_or_default();
        let earlier: Vec<Kept> = kept.lines().map_while(|line| serde_json::from_str(line).ok()).collect();
        let of_curve = || Reached::of_curve(earlier.iter().map(|kept| &kept.point));
        let reached_earlier = Reached::load(folder).or_else(of_curve);
        let told = fs::read(folder.join(TOLD)).ok().and_then(|told| serde_json::from_slice(&told).ok());
        Self {
            run,
            begun,
            before: 0.0,
            printed: Printed::new(folder),
            curve,
            earlier,
            told_earlier: told.unwrap_or_default(),
            points: Vec::new(),
            since: (0.0, 0),
            last: None,
            reached: None,
            unkept: false,
            reached_earlier,
            result: None,
            others: BTreeMap::new(),
            training: None,
            diverged: None,
            furthest: None,
            told: BTreeMap::new(),
            log: VecDeque::new(),
            broken: None,
            on_stderr: 0,
        }
    }

    /// Understands a line.
    pub(super) fn hear(&mut self, line: &Line, on_progress: OnProgress<'_>) -> Result<ControlFlow<()>, Wrong> {
        self.printed.keep(line);
        let said = match said::of(line) {
            Some(Ok(said)) => said,
            other => {
                if let Some(Err(why)) = other {
                    self.broken.get_or_insert((line.number, why, 0)).2 += 1;
                }
                self.on_stderr += usize::from(line.stream == Stream::Err && said::looks_like_one(&line.text));
                self.log(&line.text);
                return Ok(ControlFlow::Continue(()));
            }
        };
        if let Some(other) = said.run.as_deref().filter(|other| *other != self.run.id.as_str()) {
            return Err(
                self.wrong(line.number, &format!("it speaks of run {other:?}, and is to train {}", self.run.id))
            );
        }
        self.furthest = self.furthest.max(said.place(self.per_step()).map(|(step, _)| step));
        self.keep_others(&said.others);
        let [loss, val_loss] = said.losses();
        if let Some(loss) = val_loss {
            self.result(loss, &said, line.number)?;
        }
        self.other_results(&said, line.number);
        let loss = loss.or_else(|| self.other_training(&said));
        match (loss, said.learning_rate) {
            (Some(loss), _) => self.point(&said, loss, line.number, on_progress),
            // A rate by itself is a setting of the run.
            (None, rate) => {
                self.told.extend(rate.map(|rate| ("learning_rate".to_owned(), Told::Number(rate))));
                Ok(ControlFlow::Continue(()))
            }
        }
    }

    /// The training loss by another name, of which a step is known: of several the name that comes first, and none where
    /// `loss` was told.
    fn other_training(&mut self, said: &Said) -> Option<f64> {
        said.place(self.per_step())?;
        let (name, loss) = said.training()?;
        if self.training.is_none() && self.last.is_none() {
            self.training = Some(name.to_owned());
        }
        (self.training.as_deref() == Some(name)).then_some(loss)
    }

    /// Losses of validation by other names: the result where no `val_loss` is told.
    fn other_results(&mut self, said: &Said, line: u64) {
        let place = said.place(self.per_step()).map(|(_, tokens)| tokens);
        let (stderr, after) = (said.val_loss_stderr.unwrap_or(0.0), self.trained());
        for (name, loss) in said.results() {
            if self.others.len() < MOST_COLUMNS || self.others.contains_key(name) {
                self.others.insert(name.to_owned(), Final { loss, stderr, line, place, after });
            }
        }
        if said.results().next().is_some() {
            self.measured(place, line);
        }
    }

    fn per_step(&self) -> f64 {
        self.run.run.tokens_per_step() as f64
    }

    /// The end of the run.
    fn goal(&self) -> Goal {
        Goal { tokens: self.run.tokens as f64, step: self.per_step() }
    }

    /// Tokens of the last training loss of this attempt.
    fn trained(&self) -> f64 {
        self.reached.as_ref().map_or(0.0, |reached| reached.trained)
    }

    /// Notes where a loss was measured, where that is told.
    fn measured(&mut self, place: Option<f64>, line: u64) {
        if let Some(tokens) = place {
            self.place().measured(tokens, line);
        }
    }

    /// How far this attempt has come, which is to be kept.
    fn place(&mut self) -> &mut Reached {
        self.unkept = true;
        let earlier = self.reached_earlier.as_ref();
        self.reached.get_or_insert_with(|| Reached::begun(earlier))
    }

    /// Keeps the beginning of a line for the case that the program fails.
    fn log(&mut self, text: &str) {
        self.log.push_back(text.chars().take(SHOWN).map(|c| if c.is_control() { '?' } else { c }).collect());
        if self.log.len() > LAST_LINES {
            self.log.pop_front();
        }
    }

    /// Keeps what has no meaning here as columns: numbers, and texts up to a length.
    fn keep_others(&mut self, others: &serde_json::Map<String, Value>) {
        for (name, value) in others {
            let value = match value {
                Value::Null => continue,
                Value::Number(number) => number.as_f64().map(Told::Number),
                Value::String(text) => Some(Told::Text(text.chars().take(SHOWN).collect())),
                other => Some(Told::Text(other.to_string().chars().take(SHOWN).collect())),
            };
            let room = self.told.len() < MOST_COLUMNS || self.told.contains_key(name);
            let plain = name.chars().count() <= LONGEST_NAME && !name.chars().any(char::is_control);
            if let (Some(value), true) = (value, room && plain) {
                self.told.insert(name.clone(), value);
            }
        }
    }

    fn result(&mut self, loss: f64, said: &Said, line: u64) -> Result<(), Wrong> {
        if !loss.is_finite() {
            self.diverged = Some((self.step(), None));
            return Ok(());
        }
        if loss <= 0.0 {
            let what = format!("its val_loss is {loss}, and a loss in nats per token is above 0");
            return Err(self.wrong(line, &what));
        }
        let place = said.place(self.per_step()).map(|(_, tokens)| tokens);
        let now = Final { loss, stderr: said.val_loss_stderr.unwrap_or(0.0), line, place, after: self.trained() };
        // One that was measured on the way is followed by another of later steps.
        if let Some(before) = self.result
            && (before.loss - loss).abs() > 1e-9
            && now.after <= before.after
            && place.zip(before.place).is_none_or(|(now, before)| now <= before)
        {
            let what = format!(
                "its val_loss is {loss} here and {} on line {}, and no later step was told between them. val_loss is the result: \
                 tell losses of other data by another name, and those that are measured on the way with \"step\" beside them",
                before.loss, before.line
            );
            return Err(self.wrong(line, &what));
        }
        if now.stderr < 0.0 {
            let what = format!(
                "its val_loss_stderr is {}, and a standard error is not below 0; leave it out where it is unknown",
                now.stderr
            );
            return Err(self.wrong(line, &what));
        }
        // A standard error of zero where the program does not know it, as for tables without that column.
        self.result = Some(now);
        self.measured(place, line);
        Ok(())
    }

    fn point(
        &mut self,
        said: &Said,
        loss: f64,
        line: u64,
        on_progress: OnProgress<'_>,
    ) -> Result<ControlFlow<()>, Wrong> {
        let Some((step, tokens)) = said.place(self.per_step()) else {
            return Err(self.wrong(line, "a loss needs \"step\" or \"tokens\" beside it"));
        };
        if !loss.is_finite() {
            self.diverged = Some((step, None));
            return Ok(ControlFlow::Continue(()));
        }
        if self.last.is_none() && self.again(step, on_progress).is_break() {
            return Ok(ControlFlow::Break(()));
        }
        if let Some(last) = self.last.filter(|last| step < last.step) {
            // It went back to a checkpoint, or processes tell in no order: the losses of these steps are told already.
            return Ok(on_progress(Progress { seconds: self.seconds(), curve_point: false, again: true, ..last }));
        }
        self.since = (self.since.0 + loss, self.since.1 + 1);
        let schedule = &self.run.run.schedule;
        let points = self.run.run.eval.curve_points.clamp(1, schedule.steps.max(1));
        let place = |step: usize| step as u128 * points as u128 / schedule.steps.max(1) as u128;
        let closes = self.points.last().map_or(0, |last| place(last.point.step)) < place(step);
        let learning_rate = said.learning_rate.or(self.run.learning_rate());
        let seconds = self.seconds();
        let mut progress = Progress {
            step,
            tokens: tokens as u64,
            train_loss: self.since.0 / self.since.1 as f64,
            learning_rate,
            tokens_per_second: tokens / seconds.max(1e-9),
            seconds,
            curve_point: closes,
            again: false,
        };
        if closes {
            self.points.push(Kept { point: CurvePoint::from(&progress), seconds });
            self.keep();
            self.since = (0.0, 0);
        } else if let Some(loss) = self.points.last().and_then(|last| last.point.train_loss) {
            progress.train_loss = loss;
        }
        self.last = Some(progress);
        self.place().trained((step, tokens), line);
        Ok(on_progress(progress))
    }

    /// Tells the points of an earlier attempt that lie before the step at which this one goes on.
    fn again(&mut self, step: usize, on_progress: OnProgress<'_>) -> ControlFlow<()> {
        let goes_on = self.earlier.first().is_some_and(|kept| kept.point.step < step);
        for (name, value) in std::mem::take(&mut self.told_earlier).into_iter().filter(|_| goes_on) {
            self.told.entry(name).or_insert(value);
        }
        for kept in std::mem::take(&mut self.earlier).into_iter().take_while(|kept| kept.point.step < step) {
            self.points.push(kept);
            self.before = kept.seconds;
            let CurvePoint { step, tokens, train_loss, learning_rate } = kept.point;
            on_progress(Progress {
                step,
                tokens,
                train_loss: train_loss.unwrap_or(f64::NAN),
                learning_rate,
                tokens_per_second: f64::NAN,
                seconds: self.seconds(),
                curve_point: true,
                again: true,
            })?;
        }
        ControlFlow::Continue(())
    }

    /// A program that told its result and no loss before it had trained to its end in an earlier attempt: that one's curve and
    /// seconds are those of the run.
    pub(super) fn complete(&mut self, on_progress: OnProgress<'_>) {
        if self.last.is_none() && self.last_result().is_ok() {
            // Whether to go on is no question any more.
            let _ = self.again(usize::MAX, on_progress);
        }
    }

    /// Seconds of this attempt and of earlier ones, as far as it goes on from them.
    fn seconds(&self) -> f64 {
        self.before + self.begun.elapsed().as_secs_f64()
    }

    /// Keeps the curve for the next attempt, and what else was told. Without it the result counts the seconds of the next attempt
    /// alone, so each file is whole at any time: as it was, or as it is now.
    fn keep(&self) {
        if !self.told.is_empty()
            && let Ok(told) = serde_json::to_vec(&self.told)
        {
            let _ = whole::write_unsynced(&self.curve.with_file_name(TOLD), &told);
        }
        let lines = self.points.iter().filter_map(|kept| serde_json::to_string(kept).ok());
        let curve = lines.fold(String::new(), |text, line| text + &line + "\n");
        let _ = whole::write_unsynced(&self.curve, curve.as_bytes());
    }

    /// Keeps how far this attempt came, for the next one.
    pub(super) fn keep_reached(&mut self) {
        if let Some(reached) = self.reached.as_ref().filter(|_| self.unkept) {
            reached.keep(self.curve.parent().unwrap_or(Path::new("")));
        }
        self.unkept = false;
    }

    /// Asks whether to go on, while the program is silent.
    pub(super) fn look(&mut self, on_progress: OnProgress<'_>) -> ControlFlow<()> {
        self.printed.flush();
        self.keep_reached();
        let nothing = Progress {
            step: 0,
            tokens: 0,
            train_loss: f64::NAN,
            learning_rate: self.run.learning_rate(),
            tokens_per_second: f64::NAN,
            seconds: self.seconds(),
            curve_point: false,
            again: true,
        };
        on_progress(Progress {
            seconds: nothing.seconds,
            curve_point: false,
            again: true,
            ..self.last.unwrap_or(nothing)
        })
    }

    /// Steps that it has told.
    pub(super) fn step(&self) -> usize {
        self.last.map_or(0, |last| last.step)
    }

    pub(super) fn has_diverged(&self) -> bool {
        self.diverged.is_some()
    }

    /// The divergence that it told.
    pub(super) fn diverged(&self) -> Outcome {
        let (step, train_loss) = self.diverged.unwrap_or((self.step(), None));
        Outcome::Diverged { step, train_loss, seconds: self.seconds() }
    }

    /// The result of a program that ended well.
    pub(super) fn outcome(&self) -> Result<Outcome, Wrong> {
        let result = self.checked()?;
        if !result.loss.is_finite() {
            return Ok(self.diverged());
        }
        let train_loss = self.points.last().and_then(|last| last.point.train_loss);
        self.warn(result, train_loss);
        let seconds = self.seconds();
        Ok(Outcome::Finished {
            val_loss: result.loss,
            val_loss_se: result.stderr,
            train_loss,
            tokens_per_second: self.run.tokens as f64 / seconds.max(1e-9),
            seconds,
            evaluations: Vec::new(),
            shared_steps: 0,
            told: self.told.clone(),
        })
    }

    /// The result, where it is that of the whole run.
    fn checked(&self) -> Result<Final, Wrong> {
        let result = self.last_result()?;
        let (asked, goal) = (self.run.tokens, self.goal());
        if let Some(tokens) = result.place.filter(|tokens| !goal.is_met(*tokens)) {
            let what = format!(
                "its last val_loss is that of {tokens} tokens, and the run has {asked}: measure it once more after the last step"
            );
            return Err(self.wrong(result.line, &what));
        }
        if result.place.is_none() && goal.is_later(self.trained(), result.after) {
            let what = format!(
                "its last val_loss, and losses of later steps follow it: it was told after {} tokens, and the run came to {}. Measure \
                 it once more after the last step",
                result.after,
                self.trained()
            );
            return Err(self.wrong(result.line, &what));
        }
        let Some(reached) = self.furthest().filter(|reached| !reached.is_whole(goal)) else { return Ok(result) };
        let every =
            reached.every().map_or_else(String::new, |every| format!(", with a line about every {every} steps"));
        let what = format!(
            "it ended at {} tokens, and the run has {asked}{every}. Where it was trained to its end, let it tell its last step, as in \
             {{\"step\": {}, \"val_loss\": {}}}",
            reached.tokens, self.run.run.schedule.steps, result.loss
        );
        Err(match reached.line {
            Some(line) => self.wrong(line, &what),
            None => Wrong(format!("by what an earlier attempt told, {what}{}", self.last_words())),
        })
    }

    /// The last `val_loss`, or else the loss by another name that was told at the end.
    fn last_result(&self) -> Result<Final, Wrong> {
        if let Some(result) = self.result {
            return Ok(result);
        }
        let last = self.others.values().map(|other| other.line).max().unwrap_or_default();
        let of_the_end = |other: &&Final| {
            other.line == last || self.trained() <= other.after && other.place.is_none_or(|at| self.goal().is_met(at))
        };
        let mut found = self.others.values().filter(of_the_end);
        let Some(result) = found.next() else { return Err(Wrong(self.no_result())) };
        if found.any(|other| (other.loss - result.loss).abs() > 1e-9) {
            let names: Vec<&str> = self.others.keys().map(String::as_str).collect();
            let what =
                format!("it told {} and no val_loss: call the one val_loss that is the result", names.join(", "));
            return Err(self.wrong(result.line, &what));
        }
        if result.loss <= 0.0 {
            let what = format!("its loss of validation is {}, and one in nats per token is above 0", result.loss);
            return Err(self.wrong(result.line, &what));
        }
        Ok(*result)
    }

    /// What is said of a program that told no result.
    fn no_result(&self) -> String {
        let broken = self.broken.as_ref().map_or_else(String::new, |(line, why, _)| {
            format!(", and line {line} of what it printed begins like JSON and was not understood ({why})")
        });
        let keys: Vec<&str> = self.told.keys().map(String::as_str).take(NAMED).collect();
        let keys = match keys.as_slice() {
            [] => String::new(),
            keys => format!(". The keys that it told are {}", keys.join(", ")),
        };
        let on_stderr = match self.on_stderr {
            0 => String::new(),
            lines => {
                format!(". {lines} lines on standard error look as if they told a loss; standard output alone is read")
            }
        };
        format!(
            "the program ended without a result{broken}: it must print one line such as {{\"val_loss\": 3.42}}{keys}{on_stderr}{}",
            self.last_words()
        )
    }

    /// Tells people something of its run.
    pub(super) fn say(&self, what: &str) {
        tell!("run {}: {what}", self.run.id);
    }

    /// Says what of a run is odd that counts all the same.
    fn warn(&self, result: Final, train_loss: Option<f64>) {
        if let Some((line, why, count)) = &self.broken {
            self.say(&format!(
                "{count} lines of what the program printed begin like JSON and were not understood; the first is line {line}: {why}"
            ));
        }
        if self.furthest().is_none() {
            self.say(&format!(
                "the program told val_loss and no step: that it trained {} tokens is not known. Let it tell its last step, as in \
                 {{\"step\": {}, \"val_loss\": {}}}",
                self.run.tokens, self.run.run.schedule.steps, result.loss
            ));
        }
        if let Some(what) = train_loss.and_then(|train| doubts::of_unit(result.loss, train)) {
            self.say(&what);
        }
    }

    /// How far it came: this attempt, or where that tells nothing an earlier one.
    fn furthest(&self) -> Option<&Reached> {
        self.reached.as_ref().or(self.reached_earlier.as_ref())
    }

    /// Whether it has told a result and the end of its run, so that a request to stop found it done. Of one that tells no
    /// steps it is not known whether it measured its loss early because it was to stop.
    pub(super) fn is_done(&self) -> bool {
        let at_the_end = self.reached.as_ref().is_some_and(|reached| self.goal().is_met(reached.tokens));
        at_the_end && self.has_all()
    }

    /// Whether it has told all that a run has to tell, up to its end.
    pub(super) fn has_all(&self) -> bool {
        !self.has_diverged() && self.furthest().is_some() && self.checked().is_ok_and(|result| result.loss.is_finite())
    }

    fn wrong(&self, line: u64, what: &str) -> Wrong {
        Wrong(format!("line {line} of what the program printed: {what}{}", self.last_words()))
    }

    /// The end of its log, and where the rest is, for a message. The folder of the sweep is not named: memory is known to be
    /// short by the words of a message.
    pub(super) fn last_words(&self) -> String {
        let mut words = format!(". What it printed is in runs/{}/program/{}", self.run.id, printed::NAME);
        if !self.log.is_empty() {
            words += ". Its last lines:";
        }
        for line in &self.log {
            let _ = write!(words, "\n    {line}");
        }
        words
    }
}

#[cfg(test)]
mod tests;
