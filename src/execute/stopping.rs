//! Stopping runs of a tuning grid before their ends (`sweep.stop_early`): the rule of [`crate::fit::design::stop`] on what
//! lies in the results folder. Each worker judges its own runs, so that it works wherever workers do.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::fit::design::stop::{self, Curve, Evidence, Past, Replay, Verdict};
use crate::goal::StopEarly;
use crate::ledger::{Ledger, LedgerError, Reason};
use crate::plan::{Plan, PlannedRun, RunId};
use crate::spec::Spec;
use crate::trainer::{Outcome, Progress};

/// What runs are stopped by, and what is known of those that have ended.
pub struct Stopping {
    rule: StopEarly,
    tuned: Vec<String>,
    /// The runs that differ in what is tuned alone, by their places in the plan; grouped at the first point that is judged.
    groups: OnceLock<Groups>,
    curves: Mutex<Curves>,
}

/// The runs of each group by their places in the plan, and the group of each run.
struct Groups {
    runs: Vec<Vec<usize>>,
    of: BTreeMap<RunId, usize>,
}

impl Groups {
    fn of(plan: &Plan, tuned: &[String]) -> Self {
        let runs = plan.places(tuned);
        let of = |(group, places): (usize, &Vec<usize>)| {
            places.iter().map(|at| (plan.runs[*at].id.clone(), group)).collect::<Vec<_>>()
        };
        Self { of: runs.iter().enumerate().flat_map(of).collect(), runs }
    }
}

/// The group of each run, in the order in which they are trained: the middle values of all groups first, since a run is
/// stopped by a good one of its group; cheap ones first, since the others are judged by what they showed. Every second group
/// begins on the other side of its middle: gaps of too high rates change in another way than those of too low ones, and neither
/// may be judged by the other alone.
fn order<'a>(plan: &'a Plan, tuned: &[String]) -> Vec<(usize, &'a PlannedRun)> {
    let mut ordered = Vec::new();
    for (group, runs) in plan.groups(tuned).into_iter().enumerate() {
        let off = tuned
            .iter()
            .map(|field| off_the_middle(&runs, field))
            .fold(vec![0; runs.len()], |sum, off| sum.iter().zip(off).map(|(sum, off)| sum + off).collect());
        let mut ranked: Vec<usize> = (0..runs.len()).collect();
        if group % 2 == 1 {
            ranked.reverse();
        }
        ranked.sort_by_key(|run| off[*run]);
        ordered.extend(ranked.into_iter().enumerate().map(|(rank, run)| (rank, group, runs[run])));
    }
    ordered.sort_by(|a, b| a.0.cmp(&b.0).then(a.2.flops.total_cmp(&b.2.flops)));
    ordered.into_iter().map(|(_, group, run)| (group, run)).collect()
}

/// Twice the steps from each run's value of a field to the middle of the values in its group; words have no middle.
fn off_the_middle(runs: &[&PlannedRun], field: &str) -> Vec<usize> {
    let number = |run: &&PlannedRun| run.axes.get(field)?.parse::<f64>().ok();
    let Some(numbers) = runs.iter().map(number).collect::<Option<Vec<f64>>>() else { return vec![0; runs.len()] };
    let mut values = numbers.clone();
    values.sort_by(f64::total_cmp);
    values.dedup();
    let off = |value: &f64| (2 * values.partition_point(|other| other < value)).abs_diff(values.len() - 1);
    numbers.iter().map(off).collect()
}

impl Stopping {
    /// What a spec asks for; nothing where all of its runs are trained to their ends.
    pub fn of(spec: &Spec) -> Option<Self> {
        let rule = spec.sweep.as_ref()?.stop_early?;
        let tuned = spec.fit.as_ref().map(|fit| fit.tuned.clone()).unwrap_or_default();
        Some(Self { rule, tuned, groups: OnceLock::new(), curves: Mutex::default() })
    }

    /// Why no run of this plan could be stopped, if so.
    pub fn hopeless(&self, plan: &Plan) -> Option<String> {
        let groups = plan.groups(&self.tuned);
        let companions: usize = groups.iter().map(|group| group.len() - 1).sum();
        let tuned = self.tuned.join(" and ");
        (companions <= stop::COMPANIONS).then(|| {
            format!(
                "sweep.stop_early: no run can be stopped before {} have finished beside the best of those that differ in {tuned} \
                 alone, and this grid has {companions}",
                stop::COMPANIONS
            )
        })
    }

    /// The runs in the order in which workers take them.
    pub(super) fn order<'a>(&self, plan: &'a Plan) -> Vec<&'a PlannedRun> {
        order(plan, &self.tuned).into_iter().map(|(_, run)| run).collect()
    }

    /// Whether a run is to be stopped at a point of its curve, and why.
    pub(super) fn judge(&self, ledger: &Ledger, run: &PlannedRun, progress: &Progress) -> Option<Reason> {
        // What an earlier attempt told is judged again: it may have died before its verdict was written.
        if !progress.curve_point || progress.step >= run.run.schedule.steps {
            return None;
        }
        let share = progress.tokens as f64 / run.tokens as f64;
        if share < self.rule.after {
            return None;
        }
        let runs = &ledger.plan().runs;
        let groups = self.groups.get_or_init(|| Groups::of(ledger.plan(), &self.tuned));
        let own = *groups.of.get(&run.id)?;
        let mut curves = self.curves.lock().unwrap_or_else(PoisonError::into_inner);
        let point = [share, progress.train_loss];
        // A point that lies before the best of its own group needs no look at the others.
        for at in &groups.runs[own] {
            look(&mut curves, ledger, &runs[*at]);
        }
        let ended = |curves: &Curves, group: &[usize]| -> Vec<(usize, Arc<Curve>)> {
            group.iter().filter_map(|at| Some((*at, curves.get(&runs[*at].id)?.clone()?))).collect()
        };
        let mine = ended(&curves, &groups.runs[own]);
        if !stop::is_behind(&refs(&mine), point) {
            return None;
        }
        for run in runs {
            look(&mut curves, ledger, run);
        }
        let known: Vec<Vec<(usize, Arc<Curve>)>> = groups.runs.iter().map(|group| ended(&curves, group)).collect();
        drop(curves);
        let all: Vec<Vec<&Curve>> = known.iter().map(|group| refs(group)).collect();
        let Verdict { against, behind, allowed } =
            stop::judge(self.rule, all.iter().map(Vec::as_slice), &all[own], point)?;
        Some(Reason { rule: self.rule, against: runs[known[own][against].0].id.clone(), behind, allowed })
    }
}

/// Curves by run; nothing for one that has none to compare with.
type Curves = BTreeMap<RunId, Option<Arc<Curve>>>;

/// Reads the curve of a run that has come to its end since the last look.
fn look(curves: &mut Curves, ledger: &Ledger, run: &PlannedRun) {
    if !curves.contains_key(&run.id) && ledger.has_result(&run.id) {
        // One that is damaged is told of at the end, and nothing is learned from it.
        let known = of_result(ledger, run).ok().flatten().map(Arc::new);
        curves.insert(run.id.clone(), known);
    }
}

fn refs(curves: &[(usize, Arc<Curve>)]) -> Vec<&Curve> {
    curves.iter().map(|(_, curve)| curve.as_ref()).collect()
}

/// The curve of a run that was trained to its end.
fn of_result(ledger: &Ledger, run: &PlannedRun) -> Result<Option<Curve>, LedgerError> {
    let Some(result) = ledger.result(&run.id)? else { return Ok(None) };
    let Outcome::Finished { val_loss, .. } = result.outcome else { return Ok(None) };
    let points = ledger.curve(&result)?;
    let point = |tokens: u64, loss: Option<f64>| [tokens as f64 / run.tokens as f64, loss.unwrap_or(f64::NAN)];
    Ok(Some(Curve::new(points.iter().map(|at| point(at.tokens, at.train_loss)), val_loss)))
}

/// What a rule would have done to the finished runs of a folder that differ in `tuned` alone, had they been trained by it.
pub fn replay(ledger: &Ledger, tuned: &[String], rule: StopEarly, evidence: Evidence) -> Result<Replay, LedgerError> {
    let mut past = Vec::new();
    for (group, run) in order(ledger.plan(), tuned) {
        past.extend(of_result(ledger, run)?.map(|curve| Past { group, curve, flops: run.flops }));
    }
    Ok(stop::replay(&past, rule, evidence))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::testing::ledger;

    /// Runs of two sizes, five rates each, in the order of the axes.
    fn plan() -> Plan {
        let (_dir, ledger) = ledger(2);
        let mut plan = ledger.plan().clone();
        plan.runs = plan
            .runs
            .iter()
            .flat_map(|run| {
                ["0.01", "0.02", "0.04", "0.08", "0.16"].map(|rate| {
                    let mut run = run.clone();
                    run.axes.insert("optimizer.learning_rate".to_owned(), rate.to_owned());
                    run.run.optimizer.learning_rate = rate.parse().unwrap();
                    run.id = run.run.id();
                    run
                })
            })
            .collect();
        plan
    }

    #[test]
    fn groups_differ_in_what_is_tuned_alone_and_middle_values_of_cheap_groups_come_first() {
        let (plan, tuned) = (plan(), ["optimizer.learning_rate".to_owned()]);
        assert_eq!(plan.groups(&tuned).iter().map(Vec::len).collect::<Vec<_>>(), [5, 5]);
        assert_eq!(plan.groups(&[]).len(), 10);
        let told = |(group, run): &(usize, &PlannedRun)| (*group, run.axes["optimizer.learning_rate"].clone());
        let told: Vec<(usize, String)> = order(&plan, &tuned).iter().map(told).collect();
        let [first, second] = [["0.04", "0.02", "0.08", "0.01", "0.16"], ["0.04", "0.08", "0.02", "0.16", "0.01"]];
        let pairs = first.iter().zip(second).flat_map(|(first, second)| [(0, *first), (1, second)]);
        let expected: Vec<(usize, String)> = pairs.map(|(at, rate)| (at, rate.to_owned())).collect();
        assert_eq!(told, expected);
    }
}
