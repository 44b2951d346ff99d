//! Whether a measure of runs follows their loss: do tasks put models in the order in which the loss puts them?
//!
//! Losses of tasks and accuracies have other units and other shapes than the validation loss, so only orders are compared:
//! Spearman's correlation of ranks, and the share of pairs of runs that both put in the same order (as arXiv 2504.11393
//! does for corpora). Pairs that are close in loss are those that a choice depends on. Where recipes were trained at several
//! sizes, such as corpora, it is also told how often their smallest models decide as their largest do.
//!
//! Seeds of one recipe are no runs of their own: they are drawn together, and the correlation's interval counts them as one. It is
//! Fisher's, because resamples of runs in perfect order are all in perfect order.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::fit::estimate::NORMAL_95;
use crate::fit::laws::law::{LawFit, Parameter};
use crate::fit::numerics::bootstrap::Bootstrap;
use crate::fit::numerics::ranks::spearman;
use crate::fit::table::Placed;
use crate::fit::table::resample::Units;
use crate::fit::{Estimate, Status};

/// Fewest runs whose order tells anything.
const FEWEST: usize = 5;
/// Share of all pairs that count as close.
const CLOSE: f64 = 0.25;

/// A run: its loss, and the measure.
pub type Row = [f64; 2];

/// What a run was trained by, and its parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct Recipe {
    /// Its name.
    pub name: String,
    /// Parameters.
    pub params: f64,
}

/// Compares the orders. `better` says whether a larger measure is better, as an accuracy is and an edit distance is not;
/// `recipes` has the recipe of each run, or nothing; `units` says which runs are drawn together.
pub fn fit(
    measure: &str,
    better: bool,
    rows: &[Row],
    recipes: &[Recipe],
    units: &Units,
    bootstrap: &Bootstrap,
) -> LawFit {
    let law = format!("the order of runs by {measure} against that by loss");
    if units.count() < FEWEST {
        let sentence =
            format!("An order needs at least {FEWEST} runs to be compared, which differ in more than their seed.");
        return LawFit::without_numbers(&law, Status::TooFewPoints, rows.len(), &sentence);
    }
    let sign = if better { -1.0 } else { 1.0 };
    let rows: Vec<Row> = rows.iter().map(|[loss, measure]| [*loss, sign * measure]).collect();
    let value = numbers(&rows);
    let draws = bootstrap.draws(|rng| numbers(&units.draw(rng).map(|at| rows[at]).collect::<Vec<_>>()));
    let estimate = |k: usize| Estimate::from_draws(value[k], draws.iter().map(|draw| draw[k]));
    let [rho, alike, close] = [of_correlation(value[0], units.count()), estimate(1), estimate(2)];
    let status = if value.iter().all(|x| x.is_finite()) { Status::Converged } else { Status::NotIdentified };
    let conclusion = match status {
        Status::Converged => conclusion(measure, [rho, alike, close]),
        _ => format!("All runs have the same loss, or the same {measure}: they have no order."),
    };
    let mut parameters = vec![
        Parameter::new("rho", "Spearman's correlation of the ranks", rho),
        Parameter::new("alike", "share of pairs of runs in the same order, ties counted by half", alike),
        Parameter::new("close", "the same of the quarter of pairs that is closest in loss", close),
    ];
    let mut conclusion = conclusion;
    let mut resampled = "runs, seeds of one together, but for the correlation, whose interval is Fisher's".to_owned();
    if let Some([by_measure, by_loss]) = decisions(&rows, recipes, bootstrap) {
        let _ = write!(
            conclusion,
            " The smallest models put {} of pairs of recipes in the order of the largest by {measure}, and {} by loss.",
            percent(by_measure),
            percent(by_loss)
        );
        let what = "share of pairs of recipes that the smallest models put in the order of the largest, by";
        parameters.push(Parameter::new("decided", &format!("{what} the measure"), by_measure));
        parameters.push(Parameter::new("decided_by_loss", &format!("{what} loss"), by_loss));
        resampled += ", and recipes where they are compared";
    }
    LawFit { formula: law, status, points: rows.len(), parameters, residuals: None, resampled, conclusion }
}

/// Spearman's correlation of so many units with Fisher's interval, as Bonett and Wright (2000) have it for ranks. A perfect
/// order counts as half a step from the next one, and its interval has one end.
fn of_correlation(rho: f64, units: usize) -> Estimate {
    let n = units as f64;
    let nearest = 1.0 - 6.0 / (n * (n * n - 1.0));
    let middle = rho.clamp(-nearest, nearest).atanh();
    let half = NORMAL_95 * ((1.0 + rho * rho / 2.0) / (n - 3.0)).sqrt();
    let low = if rho <= -nearest { -1.0 } else { (middle - half).tanh() };
    let high = if rho >= nearest { 1.0 } else { (middle + half).tanh() };
    Estimate { value: rho, low, high }
}

/// Runs that differ in their seed alone as one unit each. Where a seed comes twice at one place, the rows differ in something that is
/// not known, and each is one by itself, as where nothing tells places or seeds.
pub fn units(placed: &[Option<&Placed>]) -> Units {
    let mut places: BTreeMap<&[String], Vec<usize>> = BTreeMap::new();
    for (at, placed) in placed.iter().enumerate() {
        if let Some(placed) = placed.filter(|placed| !placed.place.is_empty() && !placed.seed.is_empty()) {
            places.entry(&placed.place[..]).or_default().push(at);
        }
    }
    let mut unit: Vec<usize> = (0..placed.len()).collect();
    for runs in places.into_values() {
        let seeds: BTreeSet<_> = runs.iter().filter_map(|at| placed[*at]).map(|placed| &placed.seed).collect();
        if seeds.len() == runs.len() {
            for at in &runs {
                unit[*at] = runs[0];
            }
        }
    }
    Units::of_repeats(unit.into_iter().map(|unit| [unit as f64]))
}

/// Shares of pairs of recipes that their smallest models put in the order of their largest: by the measure, and by loss, each a
/// mean over what else differs. Nothing where too few recipes have two sizes.
fn decisions(rows: &[Row], recipes: &[Recipe], bootstrap: &Bootstrap) -> Option<[Estimate; 2]> {
    // Of each recipe its sizes, with the sums of losses and measures. Positive numbers are in the order of their bits.
    let mut trials: BTreeMap<&str, BTreeMap<u64, [f64; 3]>> = BTreeMap::new();
    for (row, recipe) in rows.iter().zip(recipes) {
        let sums = trials.entry(&recipe.name).or_default().entry(recipe.params.to_bits()).or_default();
        *sums = [sums[0] + row[0], sums[1] + row[1], sums[2] + 1.0];
    }
    let ends = trials.values().filter(|sizes| sizes.len() > 1).map(|sizes| {
        let mean = |end: Option<&[f64; 3]>| end.map(|sums| [sums[0] / sums[2], sums[1] / sums[2]]);
        Some([mean(sizes.values().next())?, mean(sizes.values().last())?])
    });
    let ends: Vec<[Row; 2]> = ends.collect::<Option<_>>()?;
    if ends.len() < FEWEST {
        return None;
    }
    let shares = |ends: &[[Row; 2]]| {
        [1, 0].map(|which| {
            let (mut same, mut all) = (0.0, 0.0);
            for (i, a) in ends.iter().enumerate() {
                // A recipe that was drawn twice has no order with itself.
                for b in ends[..i].iter().filter(|b| *b != a) {
                    let [small, large] = [0, 1].map(|end| a[end][which] - b[end][which]);
                    same += if small * large == 0.0 { 0.5 } else { f64::from(u8::from(small * large > 0.0)) };
                    all += 1.0;
                }
            }
            same / all
        })
    };
    let value = shares(&ends);
    let draws = bootstrap.draws(|rng| {
        use rand::RngExt;
        shares(&ends.iter().map(|_| ends[rng.random_range(0..ends.len())]).collect::<Vec<_>>())
    });
    Some([0, 1].map(|k| Estimate::from_draws(value[k], draws.iter().map(|draw| draw[k]))))
}

fn percent(x: Estimate) -> String {
    format!("{:.0}% ({:.0} to {:.0})", 100.0 * x.value, 100.0 * x.low, 100.0 * x.high)
}

fn conclusion(measure: &str, [rho, alike, close]: [Estimate; 3]) -> String {
    let follows = if rho.low > 0.0 { "follows" } else { "is not shown to follow" };
    format!(
        "{measure} {follows} the loss: the ranks correlate by {:.2} ({:.2} to {:.2}). It puts {} of all pairs of runs in \
         the order of their losses, and {} of those that are closest in loss.",
        rho.value,
        rho.low,
        rho.high,
        percent(alike),
        percent(close)
    )
}

/// Correlation of ranks, and the shares of pairs in the same order: of all, and of the closest.
fn numbers(rows: &[Row]) -> [f64; 3] {
    let mut pairs: Vec<(f64, f64)> = Vec::with_capacity(rows.len() * rows.len() / 2);
    for (i, a) in rows.iter().enumerate() {
        for b in &rows[..i] {
            let [loss, measure] = [a[0] - b[0], a[1] - b[1]];
            // A run that was drawn twice, and runs of one loss, have no order.
            if loss.abs() > 0.0 {
                let same = if measure.abs() > 0.0 { f64::from(u8::from(loss * measure > 0.0)) } else { 0.5 };
                pairs.push((loss.abs(), same));
            }
        }
    }
    pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
    let share = |pairs: &[(f64, f64)]| pairs.iter().map(|(_, same)| same).sum::<f64>() / pairs.len() as f64;
    let close = ((pairs.len() as f64 * CLOSE).ceil() as usize).min(pairs.len());
    [spearman(rows).unwrap_or(f64::NAN), share(&pairs), share(&pairs[..close])]
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOTSTRAP: Bootstrap = Bootstrap { resamples: 200, seed: 1 };

    fn fit(measure: &str, better: bool, rows: &[Row], recipes: &[Recipe], bootstrap: &Bootstrap) -> LawFit {
        super::fit(measure, better, rows, recipes, &units(&vec![None; rows.len()]), bootstrap)
    }

    #[test]
    fn a_perfect_order_has_an_interval_with_one_end() {
        // Half a step from the next order, of which 1 - 12 / (6 (36 - 1)) is the correlation.
        let six = of_correlation(1.0, 6);
        let half = 1.96 * (1.5_f64 / 3.0).sqrt();
        let low = ((1.0_f64 - 6.0 / 210.0).atanh() - half).tanh();
        assert!((six.low - low).abs() < 1e-6 && (six.high - 1.0).abs() < 1e-12 && six.low < 0.65, "{six:?}");
        let turned = of_correlation(-1.0, 6);
        assert!((turned.high + low).abs() < 1e-6 && (turned.low + 1.0).abs() < 1e-12);
        // Bonett and Wright: 0.5 of 30 units.
        let some = of_correlation(0.5, 30);
        let half = 1.96 * (1.125_f64 / 27.0).sqrt();
        assert!((some.low - (0.5_f64.atanh() - half).tanh()).abs() < 1e-3, "{some:?}");
    }

    #[test]
    fn seeds_of_a_recipe_are_one_run() {
        // Five recipes of five seeds, four of them nearly in order: 25 runs would follow, five recipes do not.
        let (mut rows, mut placed) = (Vec::new(), Vec::new());
        for (recipe, measure) in [0.0, 0.2, 0.1, 0.4, 0.3].into_iter().enumerate() {
            for seed in 0..5 {
                let wobble = 0.001 * f64::from(seed);
                rows.push([3.0 - 0.1 * recipe as f64 + wobble, measure + wobble]);
                let cells = |cell: String| vec![cell];
                placed.push(Placed {
                    place: cells(recipe.to_string()),
                    seed: cells(seed.to_string()),
                    ..Placed::default()
                });
            }
        }
        let together = units(&placed.iter().map(Some).collect::<Vec<_>>());
        assert_eq!(together.count(), 5);
        let found = super::fit("accuracy", true, &rows, &[], &together, &BOOTSTRAP);
        assert!(found.conclusion.contains("is not shown to follow"), "{}", found.conclusion);
        assert!(fit("accuracy", true, &rows, &[], &BOOTSTRAP).conclusion.contains("accuracy follows"));
        // The same seed twice at a place: what tells these rows apart is not known.
        let twice: Vec<Placed> =
            placed.iter().map(|one| Placed { seed: vec!["0".to_owned()], ..one.clone() }).collect();
        assert_eq!(units(&twice.iter().map(Some).collect::<Vec<_>>()).count(), 25);
        let four = units(&placed[..20].iter().map(Some).collect::<Vec<_>>());
        let few = super::fit("accuracy", true, &rows[..20], &[], &four, &BOOTSTRAP);
        assert_eq!(few.status, Status::TooFewPoints);
    }

    #[test]
    fn an_accuracy_that_follows_the_loss_says_so_and_noise_does_not() {
        let rows: Vec<Row> = (0..20).map(|i| [3.0 - 0.05 * f64::from(i), 0.3 + 0.02 * f64::from(i)]).collect();
        let found = fit("accuracy", true, &rows, &[], &BOOTSTRAP);
        assert_eq!(found.status, Status::Converged);
        assert!(["rho", "alike", "close"].iter().all(|name| (found.get(name).unwrap().value - 1.0).abs() < 1e-12));
        let other = fit("edits", false, &rows, &[], &BOOTSTRAP);
        assert!((other.get("rho").unwrap().value + 1.0).abs() < 1e-12 && other.conclusion.contains("not shown"));
        let noise: Vec<Row> = (0..20).map(|i| [3.0 - 0.05 * f64::from(i), f64::from(i * 7 % 20)]).collect();
        let found = fit("accuracy", true, &noise, &[], &BOOTSTRAP);
        assert!(found.get("rho").unwrap().holds(0.0) && found.conclusion.contains("not shown"), "{found:?}");
    }

    #[test]
    fn small_models_decide_as_large_ones_do_where_their_orders_agree() {
        // Eight recipes at three sizes and two seeds. Losses keep their order from size to size, accuracies reverse it.
        let (mut rows, mut recipes) = (Vec::new(), Vec::new());
        for (size, params) in [(0.0, 1e5), (1.0, 2e5), (2.0, 4e5)] {
            for recipe in 0..8 {
                for seed in [-0.001, 0.001] {
                    let at = f64::from(recipe);
                    let turn = if params > 3e5 { -1.0 } else { 1.0 };
                    rows.push([4.0 - 0.3 * size - 0.01 * at + seed, 0.3 + 0.1 * size + turn * 0.01 * at]);
                    recipes.push(Recipe { name: format!("mixture {recipe}"), params });
                }
            }
        }
        let found = fit("accuracy", true, &rows, &recipes, &BOOTSTRAP);
        let share = |name: &str| found.get(name).unwrap().value;
        assert_eq!((share("decided"), share("decided_by_loss")), (0.0, 1.0));
        assert!(found.conclusion.contains("by accuracy, and 100% (100 to 100) by loss"), "{}", found.conclusion);
        // One size of each, or four recipes, decide nothing.
        let few = fit("accuracy", true, &rows[..16], &recipes[..16], &BOOTSTRAP);
        assert!(few.get("decided").is_none() && !few.conclusion.contains("recipes"));
    }

    #[test]
    fn too_few_runs_and_runs_without_an_order_are_said() {
        assert_eq!(fit("accuracy", true, &[[1.0, 2.0]; 4], &[], &BOOTSTRAP).status, Status::TooFewPoints);
        assert_eq!(fit("accuracy", true, &[[1.0, 2.0]; 8], &[], &BOOTSTRAP).status, Status::NotIdentified);
    }
}
