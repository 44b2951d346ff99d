//! The course of one run: what its log tells step by step, without what it went back from, and all of it as it was at the
//! step of the last loss.

use std::collections::BTreeMap;

use serde_json::Value;

use super::log::STEPS;
use super::tracked::{Fields, number};
use crate::fit::table::{self, Columns, Field};
use crate::lines::flat;

/// Steps, tokens and training losses along a run, as far as each is told.
pub type Points = Vec<(Option<f64>, Option<f64>, f64)>;

/// Share of its steps after which a log is that of a whole run.
pub const WHOLE: f64 = 0.99;
/// Fields that grow along a run: with a loss belongs what they were at its step.
const GROWING: [Field; 4] = [Field::Tokens, Field::Flops, Field::Steps, Field::Epochs];

/// What a line tells, with its step or else that of the line before it.
struct Point {
    step: Option<f64>,
    has_step: bool,
    told: Fields,
}

/// What a name means, found once for all lines.
#[derive(Clone, Copy, Default)]
struct Meaning {
    is_loss: bool,
    is_step: bool,
    /// Tokens or epochs.
    counts: bool,
}

/// What a log tells along its steps.
#[derive(Default)]
pub struct Course {
    points: Vec<Point>,
    names: BTreeMap<String, Meaning>,
    /// What lines tell that do not count, but for losses and what grows.
    settings: Fields,
    /// How many lines it was made of.
    pub count: usize,
    /// What there is to say of it, for people.
    pub notes: Vec<String>,
}

/// Whether a value is the word of what is no number.
pub fn is_no_number(value: &Value) -> bool {
    value.as_str().and_then(|text| text.parse::<f64>().ok()).is_some_and(|number| !number.is_finite())
}

/// Whether a loss is called so, of training or of validation.
fn is_loss(name: &str) -> bool {
    table::calls(Field::Loss, name) || table::training_loss(name).is_some()
}

fn grows(name: &str) -> bool {
    GROWING.into_iter().any(|field| table::calls(field, name)) || table::is_step(name)
}

impl Meaning {
    fn of(name: &str) -> Self {
        Self {
            is_loss: is_loss(name),
            is_step: table::is_step(name),
            counts: table::calls(Field::Tokens, name) || table::calls(Field::Epochs, name),
        }
    }
}

impl Course {
    /// The course that lines tell, in the order in which they were told.
    pub fn of(lines: impl Iterator<Item = Fields>) -> Self {
        let lines: Vec<Fields> = lines.map(flat).collect();
        let mut course = Self { count: lines.len(), ..Self::default() };
        for name in lines.iter().flat_map(Fields::keys) {
            if !course.names.contains_key(name) {
                course.names.insert(name.clone(), Meaning::of(name));
            }
        }
        let mut last = None;
        for told in lines {
            let own = course.step(&told);
            last = own.or(last);
            course.points.push(Point { step: last, has_step: own.is_some(), told });
        }
        course.go_back();
        course.points.sort_by(|a, b| order(a.step).total_cmp(&order(b.step)));
        course
    }

    fn meaning(&self, name: &str) -> Meaning {
        self.names.get(name).copied().unwrap_or_default()
    }

    fn step(&self, told: &Fields) -> Option<f64> {
        let known = STEPS.iter().find_map(|name| told.get(*name)?.as_f64());
        let steps = || told.iter().filter(|(name, _)| self.meaning(name).is_step);
        known.or_else(|| steps().find_map(|(_, value)| value.as_f64()))
    }

    /// The losses of a line.
    fn losses<'a>(&self, told: &'a Fields) -> impl Iterator<Item = (&'a String, &'a Value)> {
        told.iter().filter(|(name, value)| self.meaning(name).is_loss && !value.is_null())
    }

    /// Whether a line has come to more tokens or a later epoch than all before it, whatever its step.
    fn goes_on(&self, told: &Fields, most: &mut BTreeMap<String, f64>) -> bool {
        let mut goes_on = false;
        for (name, value) in told.iter().filter(|(name, _)| self.meaning(name).counts) {
            let Some(value) = value.as_f64() else { continue };
            let known = most.get(name).copied();
            goes_on |= known.is_some_and(|most| value > most);
            if known.is_none_or(|most| value > most) {
                most.insert(name.clone(), value);
            }
        }
        goes_on
    }

    /// Leaves out what a run went back from: where a loss is told anew of an earlier step, and further steps follow, all that was
    /// told before of that step and later ones. A loss that is told once more at the end, of whatever step, leaves out nothing, and
    /// neither does a count of steps that begins anew in each epoch.
    fn go_back(&mut self) {
        let mut further = vec![f64::NEG_INFINITY; self.points.len() + 1];
        for (at, point) in self.points.iter().enumerate().rev() {
            further[at] = further[at + 1].max(order(point.step.filter(|_| point.has_step)));
        }
        let (mut kept, mut left): (Vec<Point>, f64) = (Vec::new(), f64::NEG_INFINITY);
        let (mut steps, mut most): (BTreeMap<String, f64>, BTreeMap<String, f64>) = (BTreeMap::new(), BTreeMap::new());
        for (at, point) in std::mem::take(&mut self.points).into_iter().enumerate() {
            let to = order(point.step.filter(|_| point.has_step));
            let losses: Vec<String> = self.losses(&point.told).map(|(name, _)| name.clone()).collect();
            let goes_on = self.goes_on(&point.told, &mut most);
            let before = losses.iter().any(|name| steps.get(name).is_some_and(|last| *last > to));
            if before && point.has_step && further[at + 1] > to && !goes_on {
                left = kept.iter().map(|point| order(point.step)).fold(left, f64::max);
                let (stay, go): (Vec<_>, Vec<_>) = kept.into_iter().partition(|point| order(point.step) < to);
                kept = stay;
                self.settings.extend(go.into_iter().flat_map(|point| point.told).filter(|(name, _)| is_setting(name)));
                for last in steps.values_mut() {
                    *last = last.min(to);
                }
                most.clear();
            }
            if point.has_step {
                steps.extend(losses.into_iter().map(|name| (name, to)));
            }
            kept.push(point);
        }
        self.points = kept;
        let reached = self.reached();
        if left > reached {
            self.notes.push(format!(
                "it went back from step {left} and ends at step {reached}: what it told of the steps that it went back from does \
                 not count"
            ));
        }
    }

    /// The last step that is told.
    pub fn reached(&self) -> f64 {
        self.points.iter().filter_map(|point| point.step).fold(0.0, f64::max)
    }

    /// The last of some numbers by their names.
    pub fn last(&self, names: &[&str]) -> Option<f64> {
        self.points.iter().rev().find_map(|point| names.iter().find_map(|name| point.told.get(*name)?.as_f64()))
    }

    /// Whether its last losses are no numbers. A logger may write every key each step: only a line whose losses are all no numbers
    /// is that of a divergence.
    pub fn diverged(&self) -> bool {
        let losses = |point: &Point| self.losses(&point.told).map(|(_, value)| is_no_number(value)).collect::<Vec<_>>();
        let last = self.points.iter().rev().map(losses).find(|losses| !losses.is_empty());
        last.is_some_and(|losses| losses.into_iter().all(|is_none| is_none))
    }

    /// What was told last of everything; of what grows along the run, what it was at the step of the last loss.
    pub fn values(&mut self, columns: &Columns) -> Fields {
        let mut run = std::mem::take(&mut self.settings);
        for point in &self.points {
            let told = point.told.iter().filter(|(_, value)| !value.is_null() && !is_no_number(value));
            run.extend(told.map(|(name, value)| (name.clone(), value.clone())));
        }
        let asked =
            |field| columns.named(field).map(|asked| asked.rsplit_once('[').map_or(asked, |(base, _)| base.trim()));
        let Some(end) = Self::loss_name(&run, asked(Field::Loss)).and_then(|name| self.last_step(&name)) else {
            return run;
        };
        let asked: Vec<&str> = GROWING.into_iter().filter_map(asked).collect();
        let names: Vec<String> =
            run.keys().filter(|name| grows(name) || asked.contains(&name.as_str())).cloned().collect();
        let mut moved = false;
        for name in names {
            if let Some(value) = at(&self.series(&name), end) {
                let last = run.insert(name, number(value)).and_then(|last| last.as_f64());
                moved |= last.is_some_and(|last| value < last);
            }
        }
        let reached = self.reached();
        if moved && !self.diverged() && end < WHOLE * reached - 1.0 {
            self.notes.push(format!(
                "its last loss is of step {end}, and its log goes on to step {reached}: it counts with the tokens of step {end}"
            ));
        }
        run
    }

    /// The loss that a table of the runs is about: the one that was asked for, or the one of validation, or of training.
    fn loss_name(run: &Fields, asked: Option<&str>) -> Option<String> {
        if let Some(asked) = asked {
            return run.contains_key(asked).then(|| asked.to_owned());
        }
        let losses: Vec<&String> = run.keys().filter(|name| is_loss(name)).collect();
        let own = losses.iter().find(|name| **name == "val_loss");
        let of_validation = || losses.iter().find(|name| !table::is_of_training(name));
        own.or_else(of_validation).or(losses.first()).map(|name| (*name).clone())
    }

    /// The step at which something was told last as a number.
    fn last_step(&self, name: &str) -> Option<f64> {
        self.points.iter().rev().find(|point| point.told.get(name).is_some_and(Value::is_number))?.step
    }

    /// Steps and values of something that grows, in the order of steps; none of a total that each line repeats.
    fn series(&self, name: &str) -> Vec<(f64, f64)> {
        let told = self.points.iter().filter_map(|point| Some((point.step?, point.told.get(name)?.as_f64()?)));
        let series: Vec<(f64, f64)> = told.collect();
        let varies = series.iter().any(|(_, value)| value.total_cmp(&series[0].1).is_ne());
        if varies { series } else { Vec::new() }
    }

    /// The training losses along it, by one name.
    pub fn curve(&self) -> Points {
        let number = |name: &String| {
            self.points.iter().filter(|point| point.told.get(name).is_some_and(Value::is_number)).count()
        };
        let names = self.names.keys().filter(|name| table::is_of_training(name));
        let counts = names.map(|name| (name, number(name))).filter(|(_, count)| *count > 0);
        // Trainers of Hugging Face close a log with the mean of all training losses, by a name of its own.
        let best = counts
            .min_by_key(|(name, count)| (!table::is_plain_loss(name), usize::MAX - count, table::training_loss(name)));
        let Some((name, _)) = best else { return Points::new() };
        let tokens = self.names.keys().filter(|name| table::calls(Field::Tokens, name));
        let tokens = tokens.map(|name| self.series(name)).find(|series| !series.is_empty()).unwrap_or_default();
        let point = |point: &Point| {
            let loss = point.told.get(name)?.as_f64()?;
            Some((point.step, point.step.and_then(|step| at(&tokens, step)), loss))
        };
        self.points.iter().filter_map(point).collect()
    }
}

fn order(step: Option<f64>) -> f64 {
    step.unwrap_or(f64::NEG_INFINITY)
}

/// Whether something may stay of a line that does not count.
fn is_setting(name: &str) -> bool {
    !is_loss(name) && !grows(name) && !table::calls(Field::Status, name)
}

/// What something that grows was at a step: as told there, or on the line between the steps around it; nothing beyond the last
/// step.
fn at(series: &[(f64, f64)], step: f64) -> Option<f64> {
    let after = series.partition_point(|(at, _)| *at <= step);
    let before = after.checked_sub(1).map_or((0.0, 0.0), |last| series[last]);
    if after > 0 && before.0 >= step {
        return Some(before.1);
    }
    let after = series.get(after)?;
    Some(before.1 + (after.1 - before.1) * (step - before.0) / (after.0 - before.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn course(lines: &[&str]) -> Course {
        Course::of(lines.iter().map(|line| serde_json::from_str(line).unwrap()))
    }

    fn values(lines: &[&str]) -> Fields {
        course(lines).values(&Columns::default())
    }

    #[test]
    fn tokens_are_those_of_the_last_loss() {
        let lines = [
            r#"{"step": 0, "tokens": 0, "val_loss": 9.0, "n_params": 5}"#,
            r#"{"step": 40, "tokens": 400, "val_loss": 4.0}"#,
            r#"{"step": 100, "tokens": 1000, "loss": 3.0}"#,
        ];
        let mut told = course(&lines);
        let run = told.values(&Columns::default());
        assert_eq!((run["val_loss"].as_f64(), run["tokens"].as_f64()), (Some(4.0), Some(400.0)));
        assert!(told.notes[0].contains("of step 40, and its log goes on to step 100"), "{:?}", told.notes);
        assert_eq!(told.curve(), [(Some(100.0), Some(1000.0), 3.0)]);
        // Between two lines that tell tokens, and where they are told once for the whole run.
        let between = [
            r#"{"step": 90, "tokens": 900}"#,
            r#"{"step": 95, "val_loss": 4.0}"#,
            r#"{"step": 100, "tokens": 1000, "total_flos": 7}"#,
        ];
        let run = values(&between);
        assert_eq!((run["tokens"].as_f64(), run["total_flos"].as_f64()), (Some(950.0), Some(7.0)));
        assert_eq!(values(&between[..2])["tokens"].as_f64(), Some(900.0));
    }

    #[test]
    fn what_a_run_went_back_from_does_not_count() {
        let first = [
            r#"{"step": 10, "tokens": 10, "loss": 5, "val_loss": 5.5, "n_params": 7}"#,
            r#"{"step": 20, "tokens": 20, "loss": 4, "val_loss": 4.5}"#,
            r#"{"step": 30, "tokens": 30, "loss": 3, "val_loss": 3.5}"#,
        ];
        let rest = [r#"{"step": 20, "tokens": 20, "loss": 4.1}"#, r#"{"step": 25, "tokens": 25, "loss": 4.05}"#];
        let mut told = course(&[&first[..], &rest].concat());
        let run = told.values(&Columns::default());
        assert_eq!((run["val_loss"].as_f64(), run["tokens"].as_f64()), (Some(5.5), Some(10.0)));
        assert_eq!(run["n_params"], 7);
        assert!(told.notes[0].contains("went back from step 30 and ends at step 25"), "{:?}", told.notes);
        assert_eq!(told.curve().iter().map(|(_, _, loss)| *loss).collect::<Vec<_>>(), [5.0, 4.1, 4.05]);
        // A resumed run that does some steps again says nothing.
        let again = [r#"{"step": 20, "tokens": 20, "loss": 4.1, "val_loss": 4.6}"#, first[2]];
        let mut told = course(&[&first[..], &again].concat());
        assert_eq!(told.values(&Columns::default())["val_loss"].as_f64(), Some(3.5));
        assert!(told.notes.is_empty(), "{:?}", told.notes);
    }

    #[test]
    fn a_loss_that_is_told_late_or_by_other_steps_leaves_out_nothing() {
        let train = |step: u32| format!(r#"{{"step": {step}, "tokens": {step}, "loss": 4}}"#);
        let run = |lines: &[String]| values(&lines.iter().map(String::as_str).collect::<Vec<_>>());
        // Evaluated beside the training, evaluated from the last checkpoint to the first, and told once more without a step.
        let eval = |step: u32, loss: f64| format!(r#"{{"step": {step}, "val_loss": {loss}}}"#);
        for lines in [
            vec![train(10), train(20), eval(10, 3.5), train(30), eval(20, 3.2), train(40), eval(40, 3.0)],
            vec![train(10), train(20), train(40), eval(40, 3.0), eval(20, 3.2), eval(10, 3.5)],
            vec![train(10), train(40), eval(40, 3.0), eval(0, 3.0)],
        ] {
            let run = run(&lines);
            assert_eq!((run["val_loss"].as_f64(), run["tokens"].as_f64()), (Some(3.0), Some(40.0)), "{lines:?}");
        }
        // Steps that begin anew in each epoch.
        let epoch = |epoch: u32, iter: u32| format!(r#"{{"epoch": {epoch}, "iter": {iter}, "loss": 4}}"#);
        let lines = [epoch(1, 0), epoch(1, 9), epoch(2, 0), epoch(2, 9)];
        let told = course(&lines.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(told.curve().len(), 4);
    }

    #[test]
    fn the_training_curve_is_known_by_the_names_that_people_use() {
        for name in ["loss/train", "Loss/train", "train_loss_step", "train_loss", "loss"] {
            let told =
                course(&[&format!(r#"{{"step": 1, "{name}": 3.0}}"#), r#"{"step": 1, "train_loss_epoch": 9.0}"#]);
            assert_eq!(told.curve(), [(Some(1.0), None, 3.0)], "{name}");
        }
        assert_eq!(course(&[r#"{"step": 1, "train": {"loss": 3.0}, "val": {"loss": 4.0}}"#]).curve().len(), 1);
    }
}
