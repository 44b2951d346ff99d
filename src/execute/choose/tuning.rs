//! The best settings of each point of a sweep: `sweep.tune`.

use std::collections::{BTreeMap, BTreeSet};

use crate::fit::design::tune::{self, Known, Next, Place};
use crate::ledger::{Choice, Ledger, LedgerError, State};
use crate::plan::{Plan, PlannedRun};
use crate::spec::{Spec, Tuned};
use crate::trainer::Outcome;

/// Follows each point to its best settings.
pub struct Tuning {
    settings: Vec<Tuned>,
    /// The values of each setting as axes have them, ascending around what the spec writes.
    lattices: Vec<Vec<String>>,
    limit_flops: Option<f64>,
}

/// One point of the sweep: the runs that differ in tuned settings alone, by their place on the lattice.
struct Point<'a> {
    runs: BTreeMap<Place, &'a PlannedRun>,
    middle: Place,
}

impl Tuning {
    /// What the sweep of a spec tunes; nothing where it tunes nothing.
    pub fn of(spec: &Spec) -> Option<Self> {
        let (settings, lattices): (Vec<_>, Vec<_>) = spec.lattices().into_iter().unzip();
        let limit_flops = spec.sweep.as_ref().and_then(|sweep| sweep.limit_flops);
        (!settings.is_empty()).then_some(Self { settings, lattices, limit_flops })
    }

    /// Chooses up to `places` runs less those under way, point by point.
    pub(super) fn more(&self, ledger: &Ledger, places: usize) -> Result<Vec<String>, LedgerError> {
        let runs = ledger.wanted();
        let wanted: BTreeSet<_> = runs.iter().map(|run| run.id.clone()).collect();
        let mut flops: f64 = runs.iter().map(|run| run.flops).sum();
        let finished = runs.iter().filter(|run| ledger.is_over(&run.id)).count();
        let under_way = runs.len() - finished;
        let mut choices = Vec::new();
        for point in self.points(ledger.plan()) {
            let Next::Train(next) = point.next(ledger, &wanted)? else { continue };
            for run in next.iter().filter_map(|place| point.runs.get(place)) {
                let fits = self.limit_flops.is_none_or(|limit| flops + run.flops <= limit);
                if !fits || choices.len() + under_way >= places {
                    continue;
                }
                choices.push(Choice { run: Some(run.id.clone()), ..self.choice(self.reason(run), finished, flops) });
                flops += run.flops;
            }
        }
        if !choices.is_empty() {
            ledger.choose(&choices)?;
        }
        let told = |choice: &Choice| Some(format!("chosen: run {}: {}", choice.run.as_ref()?, choice.reason));
        Ok(choices.iter().filter_map(told).collect())
    }

    /// Tells how many points have their best settings, and which of them are at an end of the lattice.
    pub(super) fn conclude(&self, ledger: &Ledger) -> Result<Option<String>, LedgerError> {
        let wanted = ledger.wanted();
        if wanted.iter().any(|run| !ledger.is_over(&run.id)) {
            return Ok(None);
        }
        let flops = wanted.iter().map(|run| run.flops).sum();
        let ids: BTreeSet<_> = wanted.iter().map(|run| run.id.clone()).collect();
        let (mut bracketed, mut open, mut lost, mut ends) = (0, 0, 0, BTreeMap::new());
        for point in self.points(ledger.plan()) {
            match point.next(ledger, &ids)? {
                Next::Done(_, at) if at.is_empty() => bracketed += 1,
                Next::Done(_, at) => {
                    for setting in at {
                        *ends.entry(self.settings[setting].field()).or_insert(0) += 1;
                    }
                }
                Next::Train(_) => open += 1,
                Next::Nothing => lost += 1,
            }
        }
        let mut parts = vec![format!("{bracketed} points have their best settings between two worse ones")];
        parts.extend(ends.iter().map(|(field, count)| {
            format!("{count} have their best {field} at an end of the lattice, so write another value to begin with")
        }));
        parts.extend((lost > 0).then(|| format!("{lost} have no loss at all")));
        let why = self.limit_flops.map_or("no device is left to train on", |_| "another run would exceed the limit");
        parts.extend((open > 0).then(|| format!("{open} are not done, as {why}")));
        let end = self.choice(parts.join("; "), wanted.len(), flops);
        ledger.end_choosing(&end)?;
        Ok(Some(format!("No more runs are chosen: {}.", end.reason)))
    }

    fn choice(&self, reason: String, finished: usize, flops: f64) -> Choice {
        let fields: Vec<&str> = self.settings.iter().map(|tuned| tuned.field()).collect();
        let goal = format!("best {}", fields.join(", "));
        Choice { run: None, reason, goal, known: None, gain: None, finished, flops }
    }

    fn reason(&self, run: &PlannedRun) -> String {
        let values = self.settings.iter().map(|tuned| format!("{} {:.3e}", tuned.field(), run.setting(*tuned)));
        format!("beside the best so far: {}", values.collect::<Vec<_>>().join(", "))
    }

    /// The run that each point begins with: that of the settings which the spec writes.
    pub fn first<'a>(&self, plan: &'a Plan) -> Vec<&'a PlannedRun> {
        self.points(plan).iter().filter_map(|point| point.runs.get(&point.middle).copied()).collect()
    }

    /// The points, in the order of the plan.
    fn points<'a>(&self, plan: &'a Plan) -> Vec<Point<'a>> {
        let tuned: Vec<String> = self.settings.iter().map(|tuned| tuned.field().to_owned()).collect();
        plan.groups(&tuned).iter().map(|runs| self.point(runs)).collect()
    }

    fn point<'a>(&self, runs: &[&'a PlannedRun]) -> Point<'a> {
        let values: Vec<Vec<f64>> = self.settings.iter().map(|tuned| distinct(runs, *tuned)).collect();
        let place = |run: &PlannedRun| -> Place {
            self.settings.iter().zip(&values).map(|(tuned, values)| place_of(run.setting(*tuned), values)).collect()
        };
        let settings = self.settings.iter().zip(&self.lattices).zip(&values);
        Point {
            runs: runs.iter().map(|run| (place(run), *run)).collect(),
            middle: settings.map(|((tuned, lattice), values)| middle(runs, *tuned, lattice, values)).collect(),
        }
    }
}

/// The values of a setting that runs have, ascending.
fn distinct(runs: &[&PlannedRun], tuned: Tuned) -> Vec<f64> {
    let mut values: Vec<f64> = runs.iter().map(|run| run.setting(tuned)).collect();
    values.sort_by(f64::total_cmp);
    values.dedup();
    values
}

fn place_of(value: f64, values: &[f64]) -> usize {
    values.iter().position(|other| other.total_cmp(&value).is_eq()).unwrap_or(0)
}

/// Where the value that the spec writes stands among those of a point. Small batches that come to the same number of sequences
/// are one value, of which the least stays: so it is the greatest of the lower half of the lattice.
fn middle(runs: &[&PlannedRun], tuned: Tuned, lattice: &[String], values: &[f64]) -> usize {
    let lower = &lattice[..=lattice.len() / 2];
    let is_lower = |run: &&&PlannedRun| run.axes.get(tuned.field()).is_some_and(|value| lower.contains(value));
    let greatest = runs.iter().filter(is_lower).map(|run| run.setting(tuned)).max_by(f64::total_cmp);
    greatest.map_or(0, |value| place_of(value, values))
}

impl Point<'_> {
    fn next(&self, ledger: &Ledger, wanted: &BTreeSet<crate::plan::RunId>) -> Result<Next, LedgerError> {
        let mut known = BTreeMap::new();
        for (place, run) in self.runs.iter().filter(|(_, run)| wanted.contains(&run.id)) {
            let one = match ledger.state(&run.id)? {
                State::Pending => Known::UnderWay,
                State::Failed(_) | State::Stopped(_) => Known::Worse,
                State::Ended(result) => match result.outcome {
                    Outcome::Finished { val_loss, .. } => Known::Loss(val_loss),
                    Outcome::Diverged { .. } => Known::Worse,
                },
            };
            known.insert(place.clone(), one);
        }
        Ok(tune::next(&known, &self.middle, |place| self.runs.contains_key(place)))
    }
}
