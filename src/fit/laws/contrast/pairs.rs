//! Runs of a setting beside those of the reference at the same place and seed, each the best of what was tuned.
//!
//! The best of many values is lower than the best of a few by chance alone. Where settings were not tuned alike, only the values
//! that both have count, and where there is none the bests are told and not judged.

use std::collections::{BTreeMap, BTreeSet};

use crate::fit::numerics::averages;
use crate::fit::table::Placed;
use crate::fit::table::tried::{Tried, alike};

/// Place and seed of a run, as far as these tell it from others.
type Key<'a> = (Vec<&'a str>, Vec<&'a str>);

/// The mean loss of each value that was tuned; infinite where a run diverged.
type Values<'a> = BTreeMap<&'a [String], f64>;

/// What tells runs apart: the columns of the place that vary within some setting, since what varies between settings alone goes
/// with the setting; and of the seed likewise.
pub(super) struct Telling {
    pub(super) place: Vec<usize>,
    seed: Vec<usize>,
}

impl Telling {
    pub(super) fn of(settings: &[(String, Vec<Placed>)]) -> Self {
        let varying = |cells: fn(&Placed) -> &[String]| -> Vec<usize> {
            let columns = settings.iter().flat_map(|(_, runs)| runs).map(|run| cells(run).len()).max().unwrap_or(0);
            let values = |runs: &[Placed], column: usize| {
                runs.iter().map(|run| cells(run)[column].clone()).collect::<BTreeSet<_>>().len()
            };
            (0..columns).filter(|column| settings.iter().any(|(_, runs)| values(runs, *column) > 1)).collect()
        };
        Self { place: varying(|run| &run.place), seed: varying(|run| &run.seed) }
    }

    /// The losses at each place and seed. A run that failed says nothing.
    fn at<'a>(&self, runs: &'a [Placed]) -> BTreeMap<Key<'a>, Values<'a>> {
        let mut all: BTreeMap<Key<'a>, BTreeMap<&'a [String], Vec<f64>>> = BTreeMap::new();
        for run in runs.iter().filter(|run| !run.loss.is_nan()) {
            let cells =
                |columns: &[usize], of: &'a [String]| columns.iter().map(|column| of[*column].as_str()).collect();
            let key = (cells(&self.place, &run.place), cells(&self.seed, &run.seed));
            all.entry(key).or_default().entry(&run.tuned[..]).or_default().push(run.loss);
        }
        all.into_iter()
            .map(|(key, values)| {
                (key, values.into_iter().map(|(value, losses)| (value, averages::mean(&losses))).collect())
            })
            .collect()
    }
}

/// A setting beside the reference.
pub(super) struct Pairs<'a> {
    /// The place of each pair, and the loss above that of the reference.
    pub(super) differences: Vec<(Vec<&'a str>, f64)>,
    /// How the tuned values were compared, where not all of both settings count.
    pub(super) tuned: Option<Uneven>,
}

/// Settings that were not tuned alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Uneven {
    /// The most values of the reference and of the setting at a place.
    pub(super) tried: [usize; 2],
    /// The most values that both have.
    pub(super) common: usize,
    /// Pairs, and those of them in which the best of either lies elsewhere.
    pub(super) pairs: usize,
    pub(super) elsewhere: usize,
}

impl<'a> Pairs<'a> {
    pub(super) fn of(telling: &Telling, base: &'a [Placed], runs: &'a [Placed]) -> Self {
        let (base, here) = (telling.at(base), telling.at(runs));
        let both: Vec<(&Key, [&Values; 2])> =
            here.iter().filter_map(|(key, values)| Some((key, [base.get(key)?, values]))).collect();
        let common = |[a, b]: &[&Values<'a>; 2]| a.keys().filter(|value| b.contains_key(*value)).count();
        let is_even = |both: &[&Values; 2]| alike(&tried(both[0]), &tried(both[1]));
        let uneven = both.iter().any(|(_, both)| !is_even(both));
        // Without a value in common anywhere the bests are told all the same.
        let any = both.iter().any(|(_, both)| is_even(both) || common(both) > 0);
        let (mut differences, mut tuned) = (Vec::new(), Uneven { tried: [0; 2], common: 0, pairs: 0, elsewhere: 0 });
        for (key, both) in &both {
            let shared = if is_even(both) { usize::MAX } else { common(both) };
            let of = |values: &Values, other: &Values| {
                let counts = |value: &&[String]| shared == usize::MAX || !any || other.contains_key(value);
                least(values.iter().filter(|(value, _)| counts(value)).map(|(_, loss)| *loss))
            };
            let [a, b] = [of(both[0], both[1]), of(both[1], both[0])];
            // Of pairs in which either diverged at all values no difference is told.
            if any && shared == 0 || !(a.is_finite() && b.is_finite()) {
                continue;
            }
            let best = both.map(|values| least(values.values().copied()));
            for (at, values) in both.iter().enumerate() {
                tuned.tried[at] = tuned.tried[at].max(values.len());
            }
            tuned.common = tuned.common.max(common(both));
            tuned.pairs += 1;
            tuned.elsewhere += usize::from(best[0] < a || best[1] < b);
            differences.push((key.0.clone(), b - a));
        }
        Self { differences, tuned: uneven.then_some(tuned) }
    }
}

fn tried(values: &Values) -> Tried {
    values.keys().map(|value| value.to_vec()).collect()
}

fn least(losses: impl Iterator<Item = f64>) -> f64 {
    losses.fold(f64::INFINITY, f64::min)
}

/// The losses of a setting's runs: of those that were tuned the best of each place and seed.
pub fn best(runs: &[Placed]) -> Vec<f64> {
    let finite = || runs.iter().map(|run| run.loss).filter(|loss| loss.is_finite());
    if runs.iter().all(|run| run.tuned.is_empty()) {
        return finite().collect();
    }
    let count = |cells: fn(&Placed) -> usize| (0..runs.iter().map(cells).max().unwrap_or(0)).collect();
    let all = Telling { place: count(|run| run.place.len()), seed: count(|run| run.seed.len()) };
    all.at(runs).values().map(|values| least(values.values().copied())).filter(|loss| loss.is_finite()).collect()
}

/// How many values a setting was tuned over at its places, where settings have no place in common; nothing where both were tuned
/// alike.
pub(super) fn unpaired(telling: &Telling, base: &[Placed], runs: &[Placed]) -> Option<Uneven> {
    let all = [base, runs].map(|runs| telling.at(runs).values().map(tried).collect::<Vec<_>>());
    let first = all[0].first()?;
    let even = all.iter().flatten().all(|values| alike(first, values));
    let most = [0, 1].map(|at: usize| all[at].iter().map(BTreeSet::len).max().unwrap_or(0));
    (!even).then_some(Uneven { tried: most, common: 0, pairs: 0, elsewhere: 0 })
}
