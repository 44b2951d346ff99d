//! The best settings of each point of a sweep: `sweep.tune`.

use std::collections::BTreeMap;

use crate::fit::design::tune::{self, Known, Next, Place};
use crate::ledger::{Choice, Ledger, LedgerError, State};
use crate::plan::{Plan, PlannedRun, RunId};
use crate::spec::{Spec, Tuned};
use crate::trainer::Outcome;

/// Follows each point to its best settings.
pub struct Tuning {
    settings: Vec<Tuned>,
    /// The values of each setting as axes have them, ascending around what the spec writes.
    lattices: Vec<Vec<String>>,
    limit_flops: Option<f64>,
}

/// How the chosen runs stand.
struct Standing {
    known: BTreeMap<RunId, Known>,
    /// FLOPs of all of them.
    flops: f64,
    finished: usize,
    under_way: usize,
}

impl Standing {
    fn of(ledger: &Ledger) -> Result<Self, LedgerError> {
        let wanted = ledger.wanted();
        let mut known = BTreeMap::new();
        for run in &wanted {
            let one = match ledger.state(&run.id)? {
                State::Pending => Known::UnderWay,
                State::Failed(_) | State::Stopped(_) => Known::Worse,
                State::Ended(result) => match result.outcome {
                    Outcome::Finished { val_loss, .. } => Known::Loss(val_loss),
                    Outcome::Diverged { .. } => Known::Worse,
                },
            };
            known.insert(run.id.clone(), one);
        }
        let count = |is: fn(&Known) -> bool| known.values().filter(|known| is(known)).count();
        let finished = count(|known| matches!(known, Known::Loss(_)));
        let under_way = count(|known| *known == Known::UnderWay);
        Ok(Self { flops: wanted.iter().map(|run| run.flops).sum(), known, finished, under_way })
    }
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
        let mut standing = Standing::of(ledger)?;
        let mut choices = Vec::new();
        for point in self.points(ledger.plan()) {
            let Next::Train(next) = point.next(&standing.known) else { continue };
            for run in next.iter().filter_map(|place| point.runs.get(place)) {
                if !self.fits(&standing, run) || choices.len() + standing.under_way >= places {
                    continue;
                }
                choices.push(Choice { run: Some(run.id.clone()), ..self.choice(self.reason(run), &standing) });
                standing.flops += run.flops;
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
        let standing = Standing::of(ledger)?;
        if standing.under_way > 0 {
            return Ok(None);
        }
        let (mut bracketed, mut open, mut lost, mut ends) = (0, 0, 0, BTreeMap::new());
        let mut is_room = false;
        for point in self.points(ledger.plan()) {
            match point.next(&standing.known) {
                Next::Done(_, at) if at.is_empty() => bracketed += 1,
                Next::Done(_, at) => {
                    for setting in at {
                        *ends.entry(self.settings[setting].field()).or_insert(0) += 1;
                    }
                }
                Next::Train(next) => {
                    open += 1;
                    let mut next = next.iter().filter_map(|place| point.runs.get(place));
                    is_room |= next.any(|run| self.fits(&standing, run));
                }
                Next::Nothing => lost += 1,
            }
        }
        let mut parts = vec![format!("{bracketed} points have their best settings between two worse ones")];
        parts.extend(ends.iter().map(|(field, count)| {
            format!("{count} have their best {field} at an end of the lattice, so write another value to begin with")
        }));
        parts.extend((lost > 0).then(|| format!("{lost} have no loss at all")));
        let why = if is_room { "no device is left to train on" } else { "another run would exceed the limit" };
        parts.extend((open > 0).then(|| format!("{open} are not done, as {why}")));
        let end = self.choice(parts.join("; "), &standing);
        ledger.end_choosing(&end)?;
        Ok(Some(format!("No more runs are chosen: {}.", end.reason)))
    }

    /// FLOPs that all runs may cost.
    pub(super) fn limit_flops(&self) -> Option<f64> {
        self.limit_flops
    }

    /// Whether a run is within the limit beside those that were chosen.
    fn fits(&self, standing: &Standing, run: &PlannedRun) -> bool {
        self.limit_flops.is_none_or(|limit| standing.flops + run.flops <= limit)
    }

    fn choice(&self, reason: String, standing: &Standing) -> Choice {
        let Standing { finished, flops, .. } = *standing;
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
    fn next(&self, known: &BTreeMap<RunId, Known>) -> Next {
        let of = |(place, run): (&Place, &&PlannedRun)| Some((place.clone(), *known.get(&run.id)?));
        let known = self.runs.iter().filter_map(of).collect();
        tune::next(&known, &self.middle, |place| self.runs.contains_key(place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::testing::{SPEC, device, finished};
    use crate::ledger::{Losses, choices};
    use crate::plan::testing::planned;

    const RATES: [&str; 3] = ["0.01", "0.02", "0.04"];

    /// One point with three rates.
    fn candidates() -> Plan {
        let at = |rate: &str| {
            let mut run = planned(1, 0);
            run.axes.insert(Tuned::LearningRate.field().to_owned(), rate.to_owned());
            run.run.optimizer.learning_rate = rate.parse().unwrap();
            run.id = run.run.id();
            run
        };
        Plan { runs: RATES.map(at).to_vec(), left_out: Vec::new() }
    }

    fn tuning(limit_flops: Option<f64>) -> Tuning {
        let lattice = RATES.map(str::to_owned).to_vec();
        Tuning { settings: vec![Tuned::LearningRate], lattices: vec![lattice], limit_flops }
    }

    fn begin(dir: &std::path::Path) -> Ledger {
        let none = Plan { runs: Vec::new(), left_out: Vec::new() };
        Ledger::create(dir, SPEC, none, Losses::Rehearsed).unwrap().choosing(candidates())
    }

    #[test]
    fn runs_that_diverged_have_not_finished() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = begin(dir.path());
        assert_eq!(tuning(None).more(&ledger, 3).unwrap().len(), 3);
        let claim = |at: usize| ledger.claim(&ledger.plan().runs[at]).unwrap().unwrap();
        claim(0).publish(finished(3.5), device(), 1).unwrap();
        claim(1).publish(finished(3.0), device(), 1).unwrap();
        assert_eq!(tuning(None).conclude(&ledger).unwrap(), None, "one is under way");
        claim(2).publish(Outcome::Diverged { step: 1, train_loss: None, seconds: 1.0 }, device(), 1).unwrap();
        let said = tuning(None).conclude(&ledger).unwrap().unwrap();
        assert!(said.contains("1 points have their best settings between two worse ones"), "{said}");
        let counted: Vec<usize> = choices(dir.path()).unwrap().iter().map(|choice| choice.finished).collect();
        assert_eq!(counted, [0, 0, 0, 2]);
    }

    #[test]
    fn why_points_are_not_done_is_what_kept_them_from_it() {
        let each = candidates().runs[0].flops;
        for (limit, why) in [
            (None, "as no device is left"),
            (Some(10.0 * each), "as no device is left"),
            (Some(0.5 * each), "as another run would exceed the limit"),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let said = tuning(limit).conclude(&begin(dir.path())).unwrap().unwrap();
            assert!(said.contains("1 are not done") && said.contains(why), "{limit:?}: {said}");
        }
    }
}
