//! What is derived of the runs of a sweep: tables, fits, figures, the page. Several commands write it, and it asks `runner fit`,
//! which is why it stands beside `shared/`, which knows no command.

mod asked;
mod fits;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Serialize;

use self::asked::Asked;
pub use self::asked::foresee;
use self::fits::Approaches;
use crate::commands::fit::print;
use crate::commands::shared::sheet::Room;
use crate::commands::shared::stopped_early::{self, StoppedEarly};
use crate::commands::shared::{folder, planning, trunks};
use crate::data::Corpus;
use crate::execute::choose::goal::Rule;
use crate::execute::{Tally, diverged};
use crate::fit::approaches::approach2::Approach2;
use crate::fit::approaches::headline::Headline;
use crate::fit::approaches::summary::Summary;
use crate::fit::transfer::frontier::Comparison;
use crate::fit::transfer::rates::{Group, GroupSummary};
use crate::fit::{Bootstrap, Estimate};
use crate::goal::Goal;
use crate::ledger::{self, Choice, CurvePoint, Ledger, Losses, REHEARSED, State};
use crate::plan::PlannedRun;
use crate::report::{self, Answer, ChoiceStep, Evaluated, IsoflopGroup, Key, LossCurve, Report, ReportInput, RunTable};
use crate::spec::{Source, Spec};
use crate::trainer::Outcome;

/// What `fits.json` holds.
#[derive(Serialize)]
struct Fits<'a> {
    /// The one number of a sweep of IsoFLOP curves, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    headline: Option<Headline>,
    /// What the runs were chosen for, in a sentence with its interval, where they were.
    #[serde(skip_serializing_if = "Option::is_none")]
    goal: Option<&'a str>,
    /// One for each counting convention.
    approach2: &'a [Approach2],
    /// Every approach under every convention, without its resamples.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    approaches: &'a [Summary],
    /// One for each parameterization of a sweep of learning rate and width.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    transfer: Vec<GroupSummary>,
    /// What each further parameterization of a sweep of IsoFLOP curves saves against the standard one.
    #[serde(skip_serializing_if = "<[Comparison]>::is_empty")]
    savings: &'a [Comparison],
    /// IsoFLOP curves of each group of a sweep that varies something else as well, by group.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    isoflop_groups: BTreeMap<&'a str, &'a [Approach2]>,
    /// The law that the spec asks for, by group, as `runner fit --json` prints it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    laws: Vec<serde_json::Map<String, serde_json::Value>>,
    /// What stopping runs early saved and may have cost.
    #[serde(skip_serializing_if = "Option::is_none")]
    stopped_early: Option<&'a StoppedEarly>,
    /// Whether the losses are made up, which no training produced.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    rehearsed: bool,
}

/// All that follows from the results of a sweep, finished or not.
pub struct Derived {
    approaches: Approaches,
    groups: Vec<Group>,
    savings: Vec<Comparison>,
    isoflop_groups: Vec<IsoflopGroup>,
    asked: Option<Asked>,
    stopped: Option<StoppedEarly>,
    goal: Option<String>,
    losses: Losses,
    /// The answer in words.
    pub answer: Answer,
    /// The page and its figures.
    pub report: Report,
}

impl Derived {
    /// Fits what there is; `resamples` are those of the approaches to IsoFLOP curves. A sweep that is still running says
    /// how far it is by `progress`.
    pub fn of(
        ledger: &Ledger,
        spec: &Spec,
        entropy: Option<(f64, f64)>,
        tally: &Tally,
        (resamples, progress): (usize, Option<&str>),
    ) -> anyhow::Result<Self> {
        let observations = ledger.observations()?;
        // Derived here and not read from `runs.csv`: a sweep that is running has none yet.
        let [table, _] = ledger.tables()?;
        let asked = spec.fit.as_ref().map(|asked| Asked::of(&table, asked, resamples)).transpose()?;
        let plain = asked.is_none();
        let groups = if plain { fits::transfer_groups(ledger)? } else { Vec::new() };
        let savings = if plain { fits::savings(ledger)? } else { Vec::new() };
        let sought = spec.sweep.as_ref().map_or(&[][..], |sweep| &sweep.tune);
        let isoflop = || fits::isoflop_groups(ledger, sought, resamples);
        let isoflop_groups = if plain && groups.is_empty() { isoflop()? } else { Vec::new() };
        let other = !plain || !groups.is_empty() || !savings.is_empty() || !isoflop_groups.is_empty();
        let fit = || Approaches::fit(ledger, &observations, resamples);
        let approaches = if other || observations.is_empty() { Approaches::default() } else { fit() };
        let losses = ledger.losses();
        let title = match losses {
            Losses::Trained => spec.name.clone(),
            Losses::Rehearsed => format!("{} ({REHEARSED})", spec.name),
        };
        let choices = choices(ledger, spec)?;
        let question = asked.as_ref().map(Asked::question);
        let shared = trunks::spent(ledger)?;
        let stopped = stopped_early::stopped_early(ledger, spec, tally)?;
        let stopped_words = stopped.as_ref().map(StoppedEarly::words);
        let input = ReportInput {
            name: &title,
            spec: &spec.to_toml(),
            observations: &observations,
            approach2: &approaches.parabolas,
            approaches: &approaches.all,
            held_out: &approaches.held_out,
            curves: &loss_curves(ledger)?,
            transfer: &groups,
            savings: &savings,
            isoflop_groups: &isoflop_groups,
            choices: choices.as_ref().map(|(goal, steps)| (*goal, &steps[..])),
            question: question.as_ref(),
            entropy,
            runs: &run_table(&table)?,
            left_out: &left_out(ledger),
            failed: &failed(ledger, tally)?,
            provenance: &provenance(ledger)?,
            progress,
            evaluated: &evaluated(ledger)?,
            shared: shared.as_deref(),
            stopped: stopped_words.as_deref(),
        };
        let (answer, report) = (report::answer(&input), report::render(&input)?);
        let goal = choices.as_ref().and_then(|(goal, steps)| report::goal(*goal, steps));
        Ok(Self { approaches, groups, savings, isoflop_groups, asked, stopped, goal, losses, answer, report })
    }

    /// The fits as JSON.
    fn json(&self) -> anyhow::Result<Vec<u8>> {
        let parabolas: Vec<Summary> = self.approaches.parabolas.iter().map(Summary::from).collect();
        let fits = Fits {
            headline: Headline::of(&parabolas),
            goal: self.goal.as_deref(),
            approach2: &self.approaches.parabolas,
            approaches: &self.approaches.all,
            transfer: self.groups.iter().map(GroupSummary::from).collect(),
            savings: &self.savings,
            isoflop_groups: self.isoflop_groups.iter().map(|group| (group.name.as_str(), &group.fits[..])).collect(),
            laws: self.asked.as_ref().map(Asked::json).transpose()?.unwrap_or_default(),
            stopped_early: self.stopped.as_ref(),
            rehearsed: self.losses == Losses::Rehearsed,
        };
        let mut json = serde_json::to_vec_pretty(&fits)?;
        json.push(b'\n');
        Ok(json)
    }

    /// What stopping runs early came to, in words.
    pub fn stopped(&self) -> Option<String> {
        self.stopped.as_ref().map(StoppedEarly::words)
    }

    /// The tables for people.
    pub fn text(&self) -> String {
        let room = Room::of(false);
        let heading = if self.losses == Losses::Rehearsed { format!("{REHEARSED}\n\n") } else { String::new() };
        if let Some(asked) = &self.asked {
            return room.fold(&(heading + &asked.text(room)));
        }
        if self.approaches.parabolas.is_empty() {
            let verdicts =
                self.groups.iter().map(|group| format!("{}: {}\n", group.parameterization, group.transfer.conclusion));
            let savings = self.savings.iter().map(|saving| format!("{}\n", saving.conclusion));
            let of_group = |group: &IsoflopGroup| {
                let told = |fit: &Approach2| format!("{}, {}: {}\n", group.name, fit.counting.name(), fit.conclusion);
                group.fits.iter().map(told).collect::<String>()
            };
            let isoflop = self.isoflop_groups.iter().map(of_group);
            return room.fold(&(heading + &verdicts.chain(savings).chain(isoflop).collect::<String>()));
        }
        let table = Summary::nested(self.approaches.parabolas.iter().map(Summary::from).collect());
        room.fold(&heading) + &print::text(&table.into_iter().collect::<Vec<_>>(), room)
    }
}

/// What is done about a corpus that is not in the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingCorpus {
    /// It is made.
    Prepare,
    /// Nothing is made to look at results: what would need it is left out.
    LeaveOut,
}

/// Derives everything in the folder of results, from what is there.
pub fn write(
    ledger: &Ledger,
    spec: &Spec,
    tally: &Tally,
    (cache, missing): (&Path, MissingCorpus),
) -> anyhow::Result<Derived> {
    let entropy = entropy(ledger, spec, (cache, missing))?;
    folder::remove_earlier_report(ledger)?;
    ledger.rebuild_tables()?;
    let derived = Derived::of(ledger, spec, entropy, tally, (Bootstrap::default().resamples, None))?;
    ledger.write_derived("fits.json", &derived.json()?)?;
    derived.report.write(ledger.dir())?;
    Ok(derived)
}

/// Entropy of the built-in language with its standard error. It bounds trained losses, and no rehearsed ones.
pub fn entropy(
    ledger: &Ledger,
    spec: &Spec,
    (cache, missing): (&Path, MissingCorpus),
) -> anyhow::Result<Option<(f64, f64)>> {
    if ledger.losses() == Losses::Rehearsed || spec.data.source != Source::Synthetic {
        return Ok(None);
    }
    let (data, context) = (&spec.data, spec.model.context);
    let corpus = match missing {
        MissingCorpus::Prepare => Some(Corpus::prepare(data, context, cache, &mut |line| tell!("{line}"))?),
        // What is wrong with it is told where it is made.
        MissingCorpus::LeaveOut => Corpus::cached(data, context, cache).ok().flatten(),
    };
    let entropy = corpus.and_then(|corpus| corpus.entropy());
    Ok(entropy.map(|entropy| (entropy.nats_per_token, entropy.standard_error)))
}

/// What a sweep that chose its runs chose them for, and each choice.
fn choices(ledger: &Ledger, spec: &Spec) -> anyhow::Result<Option<(Goal, Vec<ChoiceStep>)>> {
    let Some(rule) = spec.sweep.as_ref().and_then(Rule::of) else { return Ok(None) };
    let step = |choice: Choice| ChoiceStep {
        run: choice.run.map(|run| run.to_string()),
        reason: choice.reason,
        flops: choice.flops,
        known: choice.known.map(|[value, low, high]| Estimate { value, low, high }),
        gain: choice.gain,
    };
    let steps: Vec<ChoiceStep> = ledger::choices(ledger.dir())?.into_iter().map(step).collect();
    Ok((!steps.is_empty()).then_some((rule.goal, steps)))
}

/// The training losses of all runs that have ended or were stopped.
fn loss_curves(ledger: &Ledger) -> anyhow::Result<Vec<LossCurve>> {
    let mut curves = Vec::new();
    for planned in &ledger.plan().runs {
        let Some(of_run) = ledger.curve_of(&ledger.state(&planned.id)?)? else { continue };
        let point = |at: &CurvePoint| {
            let tokens = at.tokens as f64;
            [tokens, tokens * planned.flops_per_token.exact, at.train_loss.unwrap_or(f64::NAN)]
        };
        curves.push(LossCurve {
            run: planned.id.to_string(),
            panel: planned.run.parameterization.name().to_owned(),
            key: key(planned),
            params: planned.params.total() as f64,
            points: of_run.iter().map(point).collect(),
        });
    }
    Ok(curves)
}

/// What the colour of a run tells.
fn key(planned: &PlannedRun) -> Key {
    planned.run.flop_budget.map_or(Key::Width(planned.run.shape.width as f64), Key::Budget)
}

/// What was measured of trained models beside their loss.
fn evaluated(ledger: &Ledger) -> anyhow::Result<Vec<Evaluated>> {
    let mut evaluated = Vec::new();
    for planned in &ledger.plan().runs {
        let Some(Outcome::Finished { evaluations, .. }) = ledger.result(&planned.id)?.map(|result| result.outcome)
        else {
            continue;
        };
        let mut evaluations = evaluations;
        // Results and tables have them in different orders.
        evaluations.sort_by_cached_key(|one| in_order(&one.name));
        evaluated.extend(evaluations.into_iter().map(|one| Evaluated {
            run: planned.id.to_string(),
            key: key(planned),
            params: planned.params.total() as f64,
            flops: planned.flops,
            name: one.name,
            value: one.value,
            standard_error: one.standard_error,
            chance: one.chance,
        }));
    }
    Ok(evaluated)
}

/// The parts of a name, which order by their numbers where they begin with some: `loss.4-7` before `loss.16-31`.
fn in_order(name: &str) -> Vec<(u64, String)> {
    let part = |part: &str| {
        let digits = part.len() - part.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        (part[..digits].parse().unwrap_or(u64::MAX), part.to_owned())
    };
    name.split('.').map(part).collect()
}

/// The table of runs, cell by cell.
fn run_table(table: &[u8]) -> anyhow::Result<RunTable> {
    let mut reader = csv::Reader::from_reader(table);
    let cells = |record: &csv::StringRecord| record.iter().map(str::to_owned).collect();
    let header = cells(reader.headers()?);
    let rows = reader.records().map(|record| Ok(cells(&record?))).collect::<Result<_, csv::Error>>()?;
    Ok(RunTable { header, rows })
}

fn left_out(ledger: &Ledger) -> Vec<(String, String)> {
    ledger.plan().left_out.iter().map(|point| (planning::describe(point), point.reason.clone())).collect()
}

fn failed(ledger: &Ledger, tally: &Tally) -> anyhow::Result<Vec<(String, String)>> {
    let failed = tally.failed.iter().map(|(run, failure)| (run.to_string(), failure.message.clone()));
    Ok(diverged(ledger, tally)?.into_iter().chain(failed).collect())
}

/// The runs that diverged, each with step, loss and what to try.
pub fn diverged(ledger: &Ledger, tally: &Tally) -> anyhow::Result<Vec<(String, String)>> {
    if tally.diverged.is_empty() {
        return Ok(Vec::new());
    }
    let (mut finished, mut diverged) = (Vec::new(), Vec::new());
    for run in &ledger.plan().runs {
        match ledger.result(&run.id)?.map(|result| result.outcome) {
            Some(Outcome::Finished { .. }) => finished.push(run),
            Some(Outcome::Diverged { step, train_loss, .. }) => diverged.push((run, step, train_loss)),
            None => {}
        }
    }
    let told = diverged
        .into_iter()
        .map(|(run, step, train_loss)| (run.id.to_string(), diverged::explain(run, step, train_loss, &finished)));
    Ok(told.collect())
}

/// Where the results come from: every device and version that has a part in them.
fn provenance(ledger: &Ledger) -> anyhow::Result<Vec<(String, String)>> {
    let (mut devices, mut versions) = (BTreeSet::new(), BTreeSet::new());
    for run in &ledger.plan().runs {
        let origin = match ledger.state(&run.id)? {
            State::Ended(result) => Some((result.device, result.version, result.build)),
            State::Stopped(stopped) => Some((stopped.device, stopped.version, stopped.build)),
            State::Pending | State::Failed(_) => None,
        };
        if let Some((device, version, build)) = origin {
            devices.insert(device.to_string());
            let build = build
                .map(|build| format!(" ({})", [build.to_string(), build.rustc].join(", ").trim_end_matches(", ")))
                .unwrap_or_default();
            versions.insert(format!("runner {version}{build}"));
        }
    }
    let list = |set: BTreeSet<String>| set.into_iter().collect::<Vec<_>>().join("; ");
    let losses = match ledger.losses() {
        Losses::Trained => "trained",
        Losses::Rehearsed => REHEARSED,
    };
    Ok([("device", list(devices)), ("version", list(versions)), ("losses", losses.to_owned())]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec())
}

/// The folder of results: as asked for, or by the spec's name; a rehearsal has one of its own.
pub fn results_dir(out: Option<&Path>, spec: &Spec, losses: Losses) -> PathBuf {
    let suffix = match losses {
        Losses::Trained => "",
        Losses::Rehearsed => "-rehearsal",
    };
    out.map_or_else(|| Path::new("results").join(format!("{}{suffix}", spec.name)), Path::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measures_are_in_the_order_of_their_numbers() {
        let mut names = ["loss.16-31", "copy.8.exact_match", "loss.128", "copy.16.accuracy", "loss.1", "loss.2-3"];
        names.sort_by_cached_key(|name| in_order(name));
        let sorted = ["copy.8.exact_match", "copy.16.accuracy", "loss.1", "loss.2-3", "loss.16-31", "loss.128"];
        assert_eq!(names, sorted);
    }
}
