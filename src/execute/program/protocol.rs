//! What a program says: lines of standard output that are JSON objects.
//!
//! ```text
//! {"step": 100, "tokens": 51200, "loss": 5.31}        a point of the training curve
//! {"val_loss": 3.42, "val_loss_stderr": 0.004}         the result, once
//! ```
//!
//! Other keys are kept as columns of tables, each with its last value. Other lines are its log: the last ones are shown where
//! it fails. Losses are in nats per token.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::lines::{LONGEST, Line, Stream};
use super::printed::{self, Printed};
use crate::ledger::CurvePoint;
use crate::lines::plain_json;
use crate::plan::PlannedRun;
use crate::trainer::{OnProgress, Outcome, Progress, Told};
use crate::whole;

/// Lines of the log that are kept, and characters of each that are shown.
const LAST_LINES: usize = 8;
const SHOWN: usize = 200;
/// What was told beside the curve, kept for the next attempt.
const TOLD: &str = "told.json";
/// Share of its tokens by which a run may end too early or too late.
const AROUND: f64 = 0.01;

/// What a program says that cannot be.
#[derive(Debug)]
pub(super) struct Wrong(pub(super) String);

/// Further columns that are kept, and characters of their names and texts.
const MOST_COLUMNS: usize = 100;
const LONGEST_NAME: usize = 80;

/// The keys that mean something, and the others.
#[derive(Debug, Deserialize)]
struct Said {
    run: Option<String>,
    step: Option<f64>,
    tokens: Option<f64>,
    #[serde(default, deserialize_with = "loss")]
    loss: Option<Loss>,
    learning_rate: Option<f64>,
    #[serde(default, deserialize_with = "loss")]
    val_loss: Option<Loss>,
    val_loss_stderr: Option<f64>,
    #[serde(flatten)]
    others: serde_json::Map<String, Value>,
}

/// A loss as a line tells it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Loss {
    /// A number, or the word of what is none.
    Number(f64),
    /// `null`: what other languages than Python write for what is no number, and loggers for what was not measured.
    Null,
}

/// A loss that is there, even where it is none.
fn loss<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Loss>, D::Error> {
    let word = |text: &str| text.parse::<f64>().ok().filter(|value| !value.is_finite());
    let told = match Value::deserialize(deserializer)? {
        Value::Null => Some(Loss::Null),
        Value::Number(number) => number.as_f64().map(Loss::Number),
        Value::String(text) => word(&text).map(Loss::Number),
        _ => None,
    };
    told.map(Some).ok_or_else(|| serde::de::Error::custom("a loss is a number"))
}

impl Said {
    /// The training loss and the result. One that is `null` was not measured where another loss beside it is a number, and is no
    /// number where it stands alone.
    fn losses(&self) -> [Option<f64>; 2] {
        let told = [self.loss, self.val_loss];
        let finite = |loss: &Option<Loss>| matches!(loss, Some(Loss::Number(value)) if value.is_finite());
        let is_loss = |(name, value): (&String, &Value)| name.to_lowercase().contains("loss") && value.is_number();
        let measured = told.iter().any(finite) || self.others.iter().any(is_loss);
        told.map(|loss| match loss? {
            Loss::Number(value) => Some(value),
            Loss::Null => (!measured).then_some(f64::NAN),
        })
    }
}

/// A result, and the line that told it.
#[derive(Clone, Copy)]
struct Final {
    loss: f64,
    stderr: f64,
    line: u64,
}

/// The last tokens that it told of, and the line that told them.
#[derive(Clone, Copy)]
struct Reached {
    tokens: f64,
    line: u64,
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
    reached: Option<Reached>,
    result: Option<Final>,
    diverged: Option<(usize, Option<f64>)>,
    /// What else it told, each with its last value.
    told: BTreeMap<String, Told>,
    log: VecDeque<String>,
    /// The first line that looked like an object and was not understood, why, and how many there were.
    broken: Option<(u64, String, usize)>,
}

impl<'a> Story<'a> {
    pub(super) fn new(run: &'a PlannedRun, folder: &Path, begun: Instant) -> Self {
        let curve = folder.join("curve.jsonl");
        let kept = fs::read_to_string(&curve).unwrap_or_default();
        let earlier = kept.lines().map_while(|line| serde_json::from_str(line).ok()).collect();
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
            result: None,
            diverged: None,
            told: BTreeMap::new(),
            log: VecDeque::new(),
            broken: None,
        }
    }

    /// Understands a line.
    pub(super) fn hear(&mut self, line: &Line, on_progress: OnProgress<'_>) -> Result<ControlFlow<()>, Wrong> {
        self.printed.keep(line);
        let is_object = line.stream == Stream::Out && line.text.trim_start().starts_with('{');
        let said = match is_object.then(|| object(line)) {
            Some(Ok(said)) => said,
            other => {
                if let Some(Err(why)) = other {
                    self.broken.get_or_insert((line.number, why, 0)).2 += 1;
                }
                self.log(&line.text);
                return Ok(ControlFlow::Continue(()));
            }
        };
        if let Some(other) = said.run.as_deref().filter(|other| *other != self.run.id.as_str()) {
            return Err(
                self.wrong(line.number, &format!("it speaks of run {other:?}, and is to train {}", self.run.id))
            );
        }
        self.keep_others(&said.others);
        let [loss, val_loss] = said.losses();
        if let Some(loss) = val_loss {
            self.result(loss, said.val_loss_stderr, line.number)?;
        }
        match (loss, said.learning_rate) {
            (Some(loss), _) => self.point(&said, loss, line.number, on_progress),
            // A rate by itself is a setting of the run.
            (None, rate) => {
                self.told.extend(rate.map(|rate| ("learning_rate".to_owned(), Told::Number(rate))));
                Ok(ControlFlow::Continue(()))
            }
        }
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

    fn result(&mut self, loss: f64, stderr: Option<f64>, line: u64) -> Result<(), Wrong> {
        if !loss.is_finite() {
            self.diverged = Some((self.step(), None));
            return Ok(());
        }
        if loss <= 0.0 {
            let what = format!("its val_loss is {loss}, and a loss in nats per token is above 0");
            return Err(self.wrong(line, &what));
        }
        if let Some(before) = self.result
            && (before.loss - loss).abs() > 1e-9
        {
            let what = format!(
                "its val_loss is {loss} here and {} on line {}. val_loss is the result, told once at the end: tell losses that are \
                 measured on the way by another name, such as eval_loss",
                before.loss, before.line
            );
            return Err(self.wrong(line, &what));
        }
        if let Some(error) = stderr.filter(|error| *error < 0.0) {
            let what = format!(
                "its val_loss_stderr is {error}, and a standard error is not below 0; leave it out where it is unknown"
            );
            return Err(self.wrong(line, &what));
        }
        // Zero where the program does not know it, as for tables without that column.
        self.result = Some(Final { loss, stderr: stderr.unwrap_or(0.0), line });
        Ok(())
    }

    fn point(
        &mut self,
        said: &Said,
        loss: f64,
        line: u64,
        on_progress: OnProgress<'_>,
    ) -> Result<ControlFlow<()>, Wrong> {
        let per_step = self.run.run.tokens_per_step() as f64;
        let [step, tokens] = [said.step, said.tokens].map(|value| value.filter(|value| *value >= 0.0));
        let (step, tokens) = match (step, tokens) {
            (Some(step), Some(tokens)) => (step as usize, tokens),
            (Some(step), None) => (step as usize, step * per_step),
            (None, Some(tokens)) => ((tokens / per_step) as usize, tokens),
            (None, None) => return Err(self.wrong(line, "a loss needs \"step\" or \"tokens\" beside it")),
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
        self.reached = Some(Reached { tokens, line });
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
        if self.last.is_none() && self.result.is_some() {
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

    /// Asks whether to go on, while the program is silent.
    pub(super) fn look(&mut self, on_progress: OnProgress<'_>) -> ControlFlow<()> {
        self.printed.flush();
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
        let Some(result) = self.result else {
            let broken = self.broken.as_ref().map_or_else(String::new, |(line, why, _)| {
                format!(", and line {line} of what it printed begins like JSON and was not understood ({why})")
            });
            return Err(Wrong(format!(
                "the program ended without a result{broken}: it must print one line such as {{\"val_loss\": 3.42}}{}",
                self.last_words()
            )));
        };
        let asked = self.run.tokens;
        if let Some(Reached { tokens, line }) = self.reached.filter(|reached| !self.is_all(reached.tokens)) {
            return Err(self.wrong(line, &format!("it ended at {tokens} tokens, and the run has {asked}")));
        }
        if let Some((line, why, count)) = &self.broken {
            eprintln!(
                "run {}: {count} lines of what the program printed begin like JSON and were not understood; the first is line \
                 {line}: {why}",
                self.run.id
            );
        }
        let seconds = self.seconds();
        Ok(Outcome::Finished {
            val_loss: result.loss,
            val_loss_se: result.stderr,
            train_loss: self.points.last().and_then(|last| last.point.train_loss),
            tokens_per_second: asked as f64 / seconds.max(1e-9),
            seconds,
            evaluations: Vec::new(),
            shared_steps: 0,
            told: self.told.clone(),
        })
    }

    /// Whether it has told a result and the end of its curve, so that a request to stop found it done. Of one that tells no
    /// curve it is not known whether it measured its loss early because it was to stop.
    pub(super) fn is_done(&self) -> bool {
        let at_the_end = self.reached.is_some_and(|reached| self.is_all(reached.tokens));
        self.result.is_some() && at_the_end && !self.has_diverged()
    }

    /// Whether these are the tokens of the run, but for a step or a hundredth of them.
    fn is_all(&self, tokens: f64) -> bool {
        let (asked, step) = (self.run.tokens as f64, self.run.run.tokens_per_step() as f64);
        (tokens - asked).abs() <= (AROUND * asked).max(step)
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

/// A line as an object, or why it is none. Python prints NaN and infinities, for which JSON has no word: they become texts.
fn object(line: &Line) -> Result<Said, String> {
    if line.cut {
        return Err(format!("it is longer than {} kB", LONGEST >> 10));
    }
    let text = &line.text;
    serde_json::from_str(text).or_else(|error| {
        let plain = plain_json(text.as_bytes());
        serde_json::from_slice(&plain).map_err(|_| error.to_string().chars().take(SHOWN).collect())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::testing::planned;

    fn hear(story: &mut Story, text: &str, on_progress: OnProgress<'_>) {
        let line = Line { number: 1, stream: Stream::Out, text: text.to_owned(), cut: false };
        let heard = story.hear(&line, on_progress);
        assert!(heard.is_ok_and(|heard| heard.is_continue()), "{text}");
    }

    /// Whoever writes in place has a moment with nothing written; other names of the files would show it.
    #[test]
    fn what_is_kept_for_the_next_attempt_is_replaced_as_a_whole() {
        let (dir, run) = (tempfile::tempdir().unwrap(), planned(1, 0));
        let mut story = Story::new(&run, dir.path(), Instant::now());
        let [files, before] =
            ["", "before-"].map(|mark| [TOLD, "curve.jsonl"].map(|name| dir.path().join(format!("{mark}{name}"))));
        let read = |files: &[PathBuf; 2]| files.clone().map(|path| fs::read_to_string(path).unwrap());
        hear(&mut story, r#"{"step": 10, "loss": 5.5, "layers": 3}"#, &mut |_| ControlFlow::Continue(()));
        let kept = read(&files);
        files.iter().zip(&before).for_each(|(file, before)| fs::hard_link(file, before).unwrap());
        hear(&mut story, r#"{"step": 20, "loss": 5.0, "layers": 4}"#, &mut |_| ControlFlow::Continue(()));
        assert_eq!(read(&before), kept);
        assert!(kept[0].contains("3.0") && read(&files)[0].contains("4.0"), "{kept:?}");
        assert!(kept[1].lines().count() == 1 && read(&files)[1].lines().count() == 2, "{kept:?}");
    }

    #[test]
    fn a_point_of_an_earlier_attempt_is_told_with_its_seconds() {
        let (dir, run) = (tempfile::tempdir().unwrap(), planned(1, 0));
        let kept = r#"{"step":10,"tokens":2560,"train_loss":5.5,"learning_rate":0.01,"seconds":3600.0}"#;
        fs::write(dir.path().join("curve.jsonl"), format!("{kept}\n")).unwrap();
        let mut story = Story::new(&run, dir.path(), Instant::now());
        let mut told = Vec::new();
        hear(&mut story, r#"{"step": 20, "loss": 5.0}"#, &mut |progress| {
            told.push((progress.step, progress.again, progress.seconds >= 3600.0, progress.tokens_per_second.is_nan()));
            ControlFlow::Continue(())
        });
        assert_eq!(told, [(10, true, true, true), (20, false, true, false)]);
    }
}
