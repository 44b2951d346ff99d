//! The best settings of each point of a sweep: `sweep.tune`.

use std::collections::{BTreeMap, BTreeSet};

use crate::fit::design::tune::{self, Known, Next, Place};
use crate::ledger::{Choice, Ledger, LedgerError, State};
use crate::plan::PlannedRun;
use crate::spec::{Sweep, Tuned};
use crate::trainer::Outcome;

/// Follows each point to its best settings.
pub struct Tuning {
    settings: Vec<Tuned>,
    limit_flops: Option<f64>,
}

/// One point of the sweep: the runs that differ in tuned settings alone, by their place on the lattice.
struct Point<'a> {
    runs: BTreeMap<Place, &'a PlannedRun>,
    middle: Place,
}

impl Tuning {
    /// What a sweep tunes.
    pub fn of(sweep: &Sweep) -> Self {
        Self { settings: sweep.tune.clone(), limit_flops: sweep.limit_flops }
    }

    /// Chooses up to `places` runs less those under way, point by point.
    pub(super) fn more(&self, ledger: &Ledger, places: usize) -> Result<Vec<String>, LedgerError> {
        let runs = ledger.wanted();
        let wanted: BTreeSet<_> = runs.iter().map(|run| run.id.clone()).collect();
        let mut flops: f64 = runs.iter().map(|run| run.flops).sum();
        let finished = runs.iter().filter(|run| ledger.is_over(&run.id)).count();
        let under_way = runs.len() - finished;
        let mut choices = Vec::new();
        for point in self.points(ledger) {
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
        for point in self.points(ledger) {
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
        parts.extend((open > 0).then(|| format!("{open} are not done, as another run would exceed the limit")));
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

    /// The points, in the order of the plan.
    fn points<'a>(&self, ledger: &'a Ledger) -> Vec<Point<'a>> {
        let tuned: Vec<String> = self.settings.iter().map(|tuned| tuned.field().to_owned()).collect();
        ledger.plan().groups(&tuned).iter().map(|runs| self.point(runs)).collect()
    }

    fn point<'a>(&self, runs: &[&'a PlannedRun]) -> Point<'a> {
        let steps: Vec<Vec<f64>> = self
            .settings
            .iter()
            .map(|tuned| {
                let mut values: Vec<f64> = runs.iter().map(|run| run.setting(*tuned)).collect();
                values.sort_by(f64::total_cmp);
                values.dedup();
                values
            })
            .collect();
        let step = |(tuned, values): (&Tuned, &Vec<f64>), run: &PlannedRun| {
            let own = run.setting(*tuned);
            values.iter().position(|value| value.total_cmp(&own).is_eq()).unwrap_or(0)
        };
        let place = |run: &PlannedRun| self.settings.iter().zip(&steps).map(|pair| step(pair, run)).collect::<Place>();
        Point {
            runs: runs.iter().map(|run| (place(run), *run)).collect(),
            middle: steps.iter().map(|values| values.len() / 2).collect(),
        }
    }
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
