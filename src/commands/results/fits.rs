//! The fits of a sweep, by what it varies: IsoFLOP curves, alone or in groups, learning rate and width, or
//! parameterizations.

use std::collections::{BTreeMap, BTreeSet};

use crate::fit::approaches::approach2;
use crate::fit::approaches::approach2::Approach2;
use crate::fit::approaches::approach3::StartGrid;
use crate::fit::approaches::complete;
use crate::fit::approaches::complete::HeldOut;
use crate::fit::approaches::complete::Options;
use crate::fit::approaches::outliers::Suspects;
use crate::fit::approaches::summary::Summary;
use crate::fit::transfer::frontier;
use crate::fit::transfer::frontier::{Comparison, Way};
use crate::fit::transfer::rates;
use crate::fit::transfer::rates::Group;
use crate::fit::{Bootstrap, Status};
use crate::ledger::Ledger;
use crate::observation::{Counting, Observation};
use crate::parameterization::Parameterization;
use crate::plan::{PlannedRun, Run};
use crate::report::IsoflopGroup;
use crate::spec::Tuned;
use crate::trainer::Outcome;

/// Resamples of what is fitted again without the largest budget.
const HELD_OUT: usize = 200;

/// Every approach to a sweep of IsoFLOP curves.
#[derive(Default)]
pub(super) struct Approaches {
    /// Approach 2 under every convention of counting.
    pub(super) parabolas: Vec<Approach2>,
    /// Approaches 1, 2, 3 and VPNLS under every convention.
    pub(super) all: Vec<Summary>,
    /// The surfaces again, without the largest budget.
    pub(super) held_out: Vec<HeldOut>,
}

impl Approaches {
    /// Fits `observations`; nothing where the sweep is not made of IsoFLOP curves of one kind.
    pub(super) fn fit(ledger: &Ledger, observations: &[Observation], resamples: usize) -> Self {
        let bootstrap = Bootstrap { resamples, ..Bootstrap::default() };
        let options = Options { bootstrap, held_out: HELD_OUT, ..Options::default() };
        let mut fits = Self { parabolas: parabolas(ledger, observations, bootstrap), ..Self::default() };
        // Where there are no parabolas to fit, the other approaches would mean nothing either.
        for parabolas in &fits.parabolas {
            let counting = parabolas.counting;
            let (squares, squares_held) = complete::least_squares(observations, counting, &options);
            // Its two unknowns are searched everywhere: a start near it spares the 4500 of the whole grid.
            let near = squares.surface().filter(|_| squares.status == Status::Converged);
            let starts = near.as_ref().map_or_else(|| options.starts.clone(), StartGrid::around);
            let near = Options { starts, ..options.clone() };
            let (robust, robust_held) = complete::huber(observations, counting, &near);
            fits.all.push(complete::envelope(observations, counting, &options));
            fits.all.push(complete::with_parabolas(parabolas, observations, &options));
            fits.all.extend([robust, squares]);
            fits.held_out.extend(robust_held.into_iter().chain(squares_held));
        }
        fits
    }
}

/// Approach 2 by every convention, where the sweep is made of IsoFLOP curves.
fn parabolas(ledger: &Ledger, observations: &[Observation], bootstrap: Bootstrap) -> Vec<Approach2> {
    let runs = &ledger.plan().runs;
    if runs.iter().all(|run| run.run.flop_budget.is_none()) {
        return Vec::new();
    }
    if runs.iter().any(|run| !run.axes.is_empty()) {
        // A parabola through runs of several learning rates, say, would mean nothing: they are fitted by group.
        return Vec::new();
    }
    parabolas_by_counting(observations, &bootstrap)
}

/// Approach 2 under every convention of counting that a run tells; all runs of this program's own models tell all of them.
fn parabolas_by_counting(observations: &[Observation], bootstrap: &Bootstrap) -> Vec<Approach2> {
    let told = |counting: &Counting| observations.iter().any(|run| run.params_by(*counting).is_some());
    let countings = Counting::ALL.into_iter().filter(|counting| observations.is_empty() || told(counting));
    let suspects = Suspects::of(observations);
    countings.map(|counting| approach2::fit_to(&suspects, counting, bootstrap)).collect()
}

/// Axes along an IsoFLOP curve: a group has all of their values.
const ALONG: [&str; 4] = [BUDGET, SCALED, "model.depth", "model.head_dim"];
/// Axes of which a curve takes, at each size, the value of least loss.
const LEAST: [&str; 2] = [TUNED, "optimizer.batch_tokens"];
/// Groups above which a report has no room for a panel each.
const MOST_GROUPS: usize = 12;

/// The IsoFLOP curves of each group of runs that agree in all axes but those along a curve; none where nothing else
/// varies.
pub(super) fn isoflop_groups(ledger: &Ledger, sought: &[Tuned], resamples: usize) -> anyhow::Result<Vec<IsoflopGroup>> {
    // In the order of the plan.
    let mut groups: Vec<(String, Vec<Observation>)> = Vec::new();
    for planned in &ledger.plan().runs {
        if planned.run.flop_budget.is_none() || planned.axes.is_empty() {
            return Ok(Vec::new());
        }
        let Some(observation) = ledger.observation(planned)? else { continue };
        let name = group(planned, sought);
        match groups.iter_mut().find(|(other, _)| *other == name) {
            Some((_, runs)) => runs.push(observation),
            None => groups.push((name, vec![observation])),
        }
    }
    if groups.len() > MOST_GROUPS {
        tell!(
            "no fit by group: the axes make {} groups of IsoFLOP curves, and {MOST_GROUPS} is the most",
            groups.len()
        );
        return Ok(Vec::new());
    }
    let bootstrap = Bootstrap { resamples, ..Bootstrap::default() };
    let fit = |(name, runs): (String, Vec<Observation>)| {
        let observations = least(runs);
        let fits = parabolas_by_counting(&observations, &bootstrap);
        IsoflopGroup { name, observations, fits }
    };
    Ok(groups.into_iter().map(fit).collect())
}

/// What the runs of a group have in common, in words.
fn group(planned: &PlannedRun, sought: &[Tuned]) -> String {
    let is_least = |field: &str| LEAST.contains(&field) || sought.iter().any(|tuned| tuned.field() == field);
    let others = planned.axes.iter().filter(|(field, _)| !ALONG.contains(&field.as_str()));
    let (tuned, others): (Vec<_>, Vec<_>) = others.partition(|(field, _)| is_least(field));
    let named = others.iter().map(
        |(field, value)| {
            if *field == COMPARED { (*value).clone() } else { format!("{field} {value}") }
        },
    );
    let named: Vec<String> = named.collect();
    match (named.is_empty(), tuned.is_empty()) {
        (false, _) => named.join(", "),
        (true, true) => "all runs".to_owned(),
        (true, false) => "the best of what was tuned".to_owned(),
    }
}

/// Of runs of one budget, size and seed the one of least loss.
fn least(mut runs: Vec<Observation>) -> Vec<Observation> {
    let key = |run: &Observation| ([run.budget(), run.params].map(f64::to_bits), run.seed);
    runs.sort_by(|a, b| key(a).cmp(&key(b)).then(a.loss.total_cmp(&b.loss)));
    runs.dedup_by(|next, kept| key(next) == key(kept));
    runs
}

/// The fields that a sweep of transfer varies.
const TUNED: &str = "optimizer.learning_rate";
const SCALED: &str = "model.width";
const COMPARED: &str = "model.parameterization";
/// The field that a sweep of IsoFLOP curves of listed widths varies.
const BUDGET: &str = "schedule.flops";

/// Sweeps of learning rate and width, one for each parameterization and whatever else varies; none where the axes are
/// others.
pub(super) fn transfer_groups(ledger: &Ledger) -> anyhow::Result<Vec<Group>> {
    let mut groups: BTreeMap<(Parameterization, String), Vec<rates::Run>> = BTreeMap::new();
    for planned in &ledger.plan().runs {
        let wanted = [TUNED, SCALED].iter().all(|field| planned.axes.contains_key(*field));
        if !wanted || planned.axes.contains_key(BUDGET) {
            return Ok(Vec::new());
        }
        let run = &planned.run;
        let others = planned.axes.iter().filter(|(field, _)| {
            ![TUNED, SCALED, COMPARED].contains(&field.as_str()) && !goes_with_width(ledger, field)
        });
        let others: Vec<String> = others.map(|(field, value)| format!(", {field} {value}")).collect();
        // Widths whose runs have no loss are widths that nothing is known of, and not none.
        let loss = loss(ledger, planned)?.unwrap_or(f64::NAN);
        let (width, learning_rate) = (run.shape.width as f64, run.optimizer.learning_rate);
        groups.entry((run.parameterization, others.concat())).or_default().push(rates::Run {
            width,
            learning_rate,
            loss,
        });
    }
    let fit = |((parameterization, others), runs): ((Parameterization, String), Vec<rates::Run>)| {
        let transfer = rates::fit(&runs, &Bootstrap::default());
        let runs = runs.into_iter().filter(|run| !run.loss.is_nan()).collect();
        Group { parameterization: format!("{}{others}", parameterization.name()), runs, transfer }
    };
    Ok(groups.into_iter().map(fit).collect())
}

/// Whether an axis varies along with width, as those of a zip do: it tells no groups apart.
fn goes_with_width(ledger: &Ledger, field: &str) -> bool {
    let mut of_width: BTreeMap<usize, &String> = BTreeMap::new();
    let pairs =
        ledger.plan().runs.iter().filter_map(|planned| Some((planned.run.shape.width, planned.axes.get(field)?)));
    let mut values = BTreeSet::new();
    for (width, value) in pairs {
        values.insert(value);
        if *of_width.entry(width).or_insert(value) != value {
            return false;
        }
    }
    values.len() > 1
}

/// The loss that a run ended with, infinite where it diverged; nothing of one that has not ended.
fn loss(ledger: &Ledger, planned: &PlannedRun) -> anyhow::Result<Option<f64>> {
    Ok(ledger.result(&planned.id)?.map(|result| match result.outcome {
        Outcome::Finished { val_loss, .. } => val_loss,
        Outcome::Diverged { .. } => f64::INFINITY,
    }))
}

/// What each parameterization saves against the standard one, where the sweep is made of IsoFLOP curves of several.
pub(super) fn savings(ledger: &Ledger) -> anyhow::Result<Vec<Comparison>> {
    let mut ways: BTreeMap<Parameterization, Vec<(&Run, frontier::Run)>> = BTreeMap::new();
    for planned in &ledger.plan().runs {
        let (run, params) = (&planned.run, planned.params.by(Counting::BlocksAndUnembedding) as f64);
        let Some(budget) = run.flop_budget.filter(|_| planned.axes.contains_key(COMPARED)) else {
            return Ok(Vec::new());
        };
        let Some(loss) = loss(ledger, planned)? else { continue };
        let point = frontier::Run { budget, params, loss, flops: planned.flops, seed: run.seed };
        ways.entry(run.parameterization).or_default().push((run, point));
    }
    let Some(standard) = ways.remove(&Parameterization::Standard) else { return Ok(Vec::new()) };
    let way = |parameterization: Parameterization, runs: &[(&Run, frontier::Run)], tuning_flops| {
        let runs = runs.iter().map(|(_, point)| *point).collect();
        Way { name: parameterization.name().to_owned(), runs, tuning_flops }
    };
    let compared = ways.iter().map(|(parameterization, runs)| {
        let tuning_flops = tuning_at_base(runs[0].0, &standard);
        let reference = way(Parameterization::Standard, &standard, Some(0.0));
        frontier::compare(&reference, &way(*parameterization, runs, tuning_flops), &Bootstrap::default())
    });
    Ok(compared.collect())
}

/// FLOPs of tuning a parameterization at its base shape: all runs of that shape at the smallest budget, which are the
/// same to the bit in the standard parameterization. Nothing where the sweep has no such runs.
fn tuning_at_base(run: &Run, standard: &[(&Run, frontier::Run)]) -> Option<f64> {
    let base = [run.base_width, run.base_head_dim];
    let at_base = |other: &Run| [other.shape.width, other.shape.head_dim()] == base;
    let runs: Vec<_> = standard.iter().filter(|(run, _)| at_base(run)).collect();
    // Where depth varies as well: the depth of the base, which only some parameterizations have, or the least.
    let depths = || runs.iter().map(|(run, _)| run.shape.depth);
    let depth = depths().find(|depth| *depth == run.base_depth).or_else(|| depths().min())?;
    let runs = || runs.iter().filter(|(run, _)| run.shape.depth == depth).map(|(_, point)| point);
    let smallest = runs().map(|point| point.budget).fold(f64::INFINITY, f64::min);
    Some(runs().filter(|point| point.budget <= smallest).map(|point| point.flops).sum())
}
