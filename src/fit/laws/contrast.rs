//! Which of several settings is better: the losses of runs that differ in one setting alone, pair by pair.
//!
//! Each run is compared with the run of the reference, which is the setting that comes first, at the same place: the same
//! values of everything else that the table varies, its seed included. What both share drops out of the difference, so
//! that a few pairs tell what the losses themselves would not. The interval of a mean of differences is Student's.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::fit::numerics::bootstrap::{chance_beyond, student};
use crate::fit::table::Placed;
use crate::fit::{Estimate, Status};

/// A setting against the reference.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Setting {
    /// Its value.
    pub name: String,
    /// Runs of it.
    pub runs: usize,
    /// The mean of their losses.
    pub mean: f64,
    /// Runs that have a partner among those of the reference.
    pub pairs: usize,
    /// Mean loss above that of its partners, in nats, with its 95% interval; no interval where there is one pair.
    pub difference: Option<Estimate>,
    /// Whether the difference may be used.
    pub status: Status,
}

/// All settings of a table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Contrast {
    /// Whether some difference may be used.
    pub status: Status,
    /// Runs used.
    pub points: usize,
    /// The setting that the others are compared with.
    pub reference: String,
    /// The settings in the order of the table, the reference first.
    pub settings: Vec<Setting>,
    /// Whether runs were compared one by one, or, where none has a partner, the means of all.
    pub paired: bool,
    /// What may be concluded, in a sentence.
    pub conclusion: String,
}

/// Compares settings, each a name with its runs. It never fails: what the data do not decide is a status.
pub fn fit(settings: &[(String, Vec<Placed>)]) -> Contrast {
    let points = settings.iter().map(|(_, runs)| runs.len()).sum();
    let Some((reference, base)) = settings.first().filter(|_| settings.len() > 1) else {
        let reference = settings.first().map(|(name, _)| name.clone()).unwrap_or_default();
        let conclusion = "There is one setting only, and a comparison needs two.".to_owned();
        let status = Status::TooFewPoints;
        return Contrast { status, points, reference, settings: Vec::new(), paired: false, conclusion };
    };
    let telling = telling(settings);
    let base_by_place = by_place(base, &telling);
    let partners = |runs: &[Placed]| -> Vec<f64> {
        let here = by_place(runs, &telling);
        here.iter().filter_map(|(place, loss)| Some(loss - base_by_place.get(place)?)).collect()
    };
    let paired = settings[1..].iter().any(|(_, runs)| !partners(runs).is_empty());
    let mut freedoms = Vec::new();
    let of = |(at, (name, runs)): (usize, &(String, Vec<Placed>))| {
        let losses: Vec<f64> = runs.iter().map(|run| run.loss).collect();
        let (difference, freedom, pairs) = match at {
            0 => (None, 0, runs.len()),
            _ if paired => {
                let differences = partners(runs);
                (mean(&differences), differences.len().saturating_sub(1), differences.len())
            }
            _ => {
                let base: Vec<f64> = base.iter().map(|run| run.loss).collect();
                let (difference, freedom) = difference_of_means(&losses, &base);
                (Some(difference), freedom, 0)
            }
        };
        freedoms.push(freedom);
        let status = match difference {
            None if at == 0 => Status::Converged,
            None => Status::TooFewPoints,
            Some(difference) if difference.low.is_nan() => Status::TooFewPoints,
            Some(_) => Status::Converged,
        };
        Setting {
            name: name.clone(),
            runs: runs.len(),
            mean: losses.iter().sum::<f64>() / losses.len() as f64,
            pairs,
            difference,
            status,
        }
    };
    let settings: Vec<Setting> = settings.iter().enumerate().map(of).collect();
    let known = settings[1..].iter().any(|setting| setting.status == Status::Converged);
    let status = if known { Status::Converged } else { Status::TooFewPoints };
    let conclusion = conclusion(reference, &settings, &freedoms);
    Contrast { status, points, reference: reference.clone(), settings, paired, conclusion }
}

/// The columns of the place that vary within some setting: what varies between settings alone goes with the setting.
fn telling(settings: &[(String, Vec<Placed>)]) -> Vec<usize> {
    let columns = settings.iter().flat_map(|(_, runs)| runs).map(|run| run.place.len()).max().unwrap_or(0);
    let varies = |column: &usize| {
        let values = |runs: &[Placed]| runs.iter().map(|run| run.place[*column].clone()).collect::<BTreeSet<_>>().len();
        settings.iter().any(|(_, runs)| values(runs) > 1)
    };
    (0..columns).filter(varies).collect()
}

/// The mean loss at each place.
fn by_place<'a>(runs: &'a [Placed], telling: &[usize]) -> BTreeMap<Vec<&'a str>, f64> {
    let mut places: BTreeMap<Vec<&str>, Vec<f64>> = BTreeMap::new();
    for run in runs {
        let place = telling.iter().map(|column| run.place[*column].as_str()).collect();
        places.entry(place).or_default().push(run.loss);
    }
    places.into_iter().map(|(place, losses)| (place, losses.iter().sum::<f64>() / losses.len() as f64)).collect()
}

/// The mean with Student's interval; of one value without an end.
pub fn mean(values: &[f64]) -> Option<Estimate> {
    let n = values.len();
    let value = (n > 0).then(|| values.iter().sum::<f64>() / n as f64)?;
    let half = match n {
        1 => f64::NAN,
        _ => student(n - 1) * (variance(values, value) / n as f64).sqrt(),
    };
    Some(Estimate { value, low: value - half, high: value + half })
}

/// The difference of two means with Welch's interval, and its degrees of freedom, rounded down.
fn difference_of_means(these: &[f64], base: &[f64]) -> (Estimate, usize) {
    let middle = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (a, b) = (middle(these), middle(base));
    let value = a - b;
    if these.len() < 2 || base.len() < 2 {
        return (Estimate { value, low: f64::NAN, high: f64::NAN }, 0);
    }
    let part = |values: &[f64], middle| variance(values, middle) / values.len() as f64;
    let (of_these, of_base) = (part(these, a), part(base, b));
    let all = of_these + of_base;
    let freedom = all * all
        / (of_these * of_these / (these.len() - 1) as f64 + of_base * of_base / (base.len() - 1) as f64).max(1e-300);
    let freedom = (freedom.floor() as usize).max(1);
    let half = student(freedom) * all.sqrt();
    (Estimate { value, low: value - half, high: value + half }, freedom)
}

/// For each setting whether its difference is shown among so many: of twenty settings that are alike, one lies outside its 95%
/// interval. The bound is Holm's (1979): the least chance counts at a level of 5% / settings, the next at one setting less, and so
/// on until one fails. `freedoms` are the degrees of freedom of each difference.
fn shown_among_many(settings: &[Setting], freedoms: &[usize]) -> Vec<bool> {
    let chance = |(setting, freedom): (&Setting, &usize)| {
        let found = setting.difference.filter(|found| found.low.is_finite())?;
        Some(chance_beyond(found.value / ((found.high - found.value) / student(*freedom)), *freedom))
    };
    let chances = settings.iter().zip(freedoms).map(chance).enumerate();
    let mut chances: Vec<(f64, usize)> = chances.filter_map(|(at, chance)| Some((chance?, at))).collect();
    chances.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut shown = vec![false; settings.len()];
    let is_shown = |(rank, (chance, _)): &(usize, &(f64, usize))| *chance <= 0.05 / (chances.len() - rank) as f64;
    for (_, (_, at)) in chances.iter().enumerate().take_while(is_shown) {
        shown[*at] = true;
    }
    shown
}

fn variance(values: &[f64], mean: f64) -> f64 {
    values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (values.len() - 1) as f64
}

/// `freedoms` are the degrees of freedom of each setting's difference.
fn conclusion(reference: &str, settings: &[Setting], freedoms: &[usize]) -> String {
    let shown = shown_among_many(settings, freedoms);
    let comparisons = settings[1..].iter().filter(|setting| setting.status == Status::Converged).count();
    let mut text = format!("Against {reference}: ");
    for (at, setting) in settings[1..].iter().enumerate() {
        let join = if at == 0 { "" } else { "; " };
        let told = match setting.difference {
            None => "no run to compare".to_owned(),
            Some(found) if found.low.is_nan() => {
                format!("{} by {:.4} nats, one pair and so no interval", side(found.value), found.value.abs())
            }
            Some(found) if found.holds(0.0) => {
                format!("no difference shown, {:+.4} nats ({:+.4} to {:+.4})", found.value, found.low, found.high)
            }
            Some(found) => {
                let (low, high) = if found.value < 0.0 { (-found.high, -found.low) } else { (found.low, found.high) };
                let but = if shown[at + 1] {
                    String::new()
                } else {
                    format!(", which may be chance among {comparisons} comparisons")
                };
                format!("{} by {:.4} nats ({low:.4} to {high:.4}){but}", side(found.value), found.value.abs())
            }
        };
        let _ = write!(text, "{join}{} {told}", setting.name);
    }
    text + "."
}

fn side(difference: f64) -> &'static str {
    if difference < 0.0 { "better" } else { "worse" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(loss: f64, place: &[&str]) -> Placed {
        Placed { loss, place: place.iter().map(|cell| (*cell).to_owned()).collect() }
    }

    fn settings(b: [f64; 4]) -> Vec<(String, Vec<Placed>)> {
        // Lengths differ by a nat, seeds by a tenth: only pairs tell a hundredth.
        let base = [4.0, 4.1, 3.0, 3.1];
        let places = [["1e6", "1", "64"], ["1e6", "2", "64"], ["4e6", "1", "64"], ["4e6", "2", "64"]];
        let of = |losses: [f64; 4], width: &str| {
            let run = |(loss, place): (f64, [&str; 3])| run(loss, &[place[0], place[1], width]);
            losses.into_iter().zip(places).map(run).collect()
        };
        vec![("a".to_owned(), of(base, "64")), ("b".to_owned(), of(b, "32"))]
    }

    #[test]
    fn pairs_show_a_difference_that_the_scatter_of_runs_hides() {
        let found = fit(&settings([4.012, 4.108, 3.011, 3.109]));
        let b = found.settings[1].difference.unwrap();
        // Mean 0.010, standard deviation 0.0018257, and Student's 3.182 for three degrees of freedom.
        assert!((b.value - 0.010).abs() < 1e-12, "{b:?}");
        assert!((b.high - b.value - 3.182 * 0.001_825_742 / 2.0).abs() < 1e-6, "{b:?}");
        assert_eq!((found.settings[1].pairs, found.paired, found.status), (4, true, Status::Converged));
        assert!(found.conclusion.contains("b worse by 0.0100 nats (0.0071 to 0.0129)"), "{}", found.conclusion);
    }

    #[test]
    fn a_difference_within_its_interval_is_none_that_was_shown() {
        let found = fit(&settings([4.02, 4.08, 3.02, 3.08]));
        assert!(found.conclusion.contains("no difference shown"), "{}", found.conclusion);
    }

    #[test]
    fn one_of_many_settings_that_is_better_by_a_hair_may_be_so_by_chance() {
        // t is 3.8 with three degrees of freedom, which chance gives in 3.2% of tables: less than 5%, more than 5% / 2.
        let b = [4.02, 4.18, 3.06, 3.20];
        let one = fit(&settings(b));
        assert!(one.conclusion.contains("b worse by") && !one.conclusion.contains("chance"), "{}", one.conclusion);
        let mut many = settings(b);
        many.push(("c".to_owned(), many[0].1.clone()));
        let told = fit(&many).conclusion;
        assert!(told.contains("which may be chance among 2 comparisons; c no difference shown"), "{told}");
    }

    #[test]
    fn one_pair_has_no_interval_and_no_setting_no_comparison() {
        let one = |loss| vec![run(loss, &["1"])];
        let found = fit(&[("a".to_owned(), one(3.0)), ("b".to_owned(), one(2.9))]);
        assert_eq!(found.status, Status::TooFewPoints);
        assert!(found.conclusion.contains("better by 0.1000 nats, one pair and so no interval"), "{found:?}");
        assert_eq!(fit(&[("a".to_owned(), one(3.0))]).status, Status::TooFewPoints);
    }

    #[test]
    fn runs_without_partners_are_compared_by_their_means() {
        let of =
            |losses: [f64; 3], seeds: [&str; 3]| losses.into_iter().zip(seeds).map(|(l, s)| run(l, &[s])).collect();
        let found = fit(&[
            ("a".to_owned(), of([3.0, 3.1, 3.2], ["1", "2", "3"])),
            ("b".to_owned(), of([2.0, 2.1, 2.2], ["4", "5", "6"])),
        ]);
        let b = found.settings[1].difference.unwrap();
        assert!(!found.paired && (b.value + 1.0).abs() < 1e-12, "{found:?}");
        // Equal variances of 0.01 and three runs each: four degrees of freedom.
        assert!((b.high - b.value - 2.776 * (0.02_f64 / 3.0).sqrt()).abs() < 1e-6, "{b:?}");
    }
}
