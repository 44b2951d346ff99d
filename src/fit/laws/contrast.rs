//! Which of several settings is better: the losses of runs that differ in one setting alone, pair by pair.
//!
//! Each run is compared with the run of the reference, which is the setting that comes first, at the same place: the same
//! values of everything else that the table varies, its seed included. What both share drops out of the difference, so
//! that a few pairs tell what the losses themselves would not. The interval of a mean of differences is Student's.

mod pairs;
mod places;

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::fit::numerics::averages;
use crate::fit::numerics::chance::{beyond_t, student};
use crate::fit::table::{Placed, PlacedBy};
use crate::fit::{Estimate, Status};
use pairs::{Pairs, Telling, Uneven, unpaired};
use places::squares;

pub use pairs::best;
pub use places::{End, Trend, mean};

/// A setting against the reference.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Setting {
    /// Its value.
    pub name: String,
    /// Runs of it, each the best of what was tuned.
    pub runs: usize,
    /// The mean of their losses.
    pub mean: f64,
    /// Runs that have a partner among those of the reference.
    pub pairs: usize,
    /// Mean loss above that of its partners, in nats, with its 95% interval; no interval where there is one pair.
    pub difference: Option<Estimate>,
    /// Whether the difference may be used.
    pub status: Status,
    /// Whether it is shown to be one, among as many comparisons as there are.
    #[serde(default)]
    pub shown: bool,
    /// How the difference changes with what else varies, where that is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trend: Option<Trend>,
    /// Which of the values that were tuned are compared, where these are not the best of both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compared: Option<String>,
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

/// A difference as it was found.
#[derive(Default)]
struct Found {
    pairs: usize,
    difference: Option<Estimate>,
    freedom: usize,
    trend: Option<Trend>,
    /// Whether places differ by more than seeds scatter.
    scattered: bool,
    uneven: Option<Uneven>,
}

/// Compares settings, each a name with its runs, by columns of these names. It never fails: what the data do not decide is a
/// status.
pub fn fit(settings: &[(String, Vec<Placed>)], names: &PlacedBy) -> Contrast {
    let bests: Vec<Vec<f64>> = settings.iter().map(|(_, runs)| best(runs)).collect();
    let points = bests.iter().map(Vec::len).sum();
    let Some((reference, base)) = settings.first().filter(|_| settings.len() > 1) else {
        let reference = settings.first().map(|(name, _)| name.clone()).unwrap_or_default();
        let conclusion = "There is one setting only, and a comparison needs two.".to_owned();
        let status = Status::TooFewPoints;
        return Contrast { status, points, reference, settings: Vec::new(), paired: false, conclusion };
    };
    let telling = Telling::of(settings);
    let columns: Vec<&str> = telling.place.iter().map(|at| names.place.get(*at).map_or("", String::as_str)).collect();
    let with = |runs: &[Placed]| paired_with(&Pairs::of(&telling, base, runs), &columns);
    let mut found: Vec<Found> = settings[1..].iter().map(|(_, runs)| with(runs)).collect();
    let paired = found.iter().any(|found| found.pairs > 0);
    if !paired {
        for (found, (these, (_, runs))) in found.iter_mut().zip(bests[1..].iter().zip(&settings[1..])) {
            let (difference, freedom) = difference_of_means(these, &bests[0]);
            let uneven = unpaired(&telling, base, runs);
            *found = Found { difference: Some(difference), freedom, uneven, ..Found::default() };
        }
    }
    found.insert(0, Found { pairs: bests[0].len(), ..Found::default() });
    let shown = shown_among_many(&found);
    let tuned = names.tuned.join(" and ");
    let of = |(at, found): (usize, &Found)| Setting {
        name: settings[at].0.clone(),
        runs: bests[at].len(),
        mean: averages::mean(&bests[at]),
        pairs: found.pairs,
        difference: found.difference,
        status: if at == 0 { Status::Converged } else { found.status() },
        shown: shown[at],
        trend: found.trend.clone(),
        compared: found.uneven.map(|uneven| compared(&uneven, &tuned)),
    };
    let told: Vec<Setting> = found.iter().enumerate().map(of).collect();
    let known = told[1..].iter().map(|setting| setting.status).find(|status| *status == Status::Converged);
    let status = known.or_else(|| told[1..].iter().map(|setting| setting.status).find(|s| *s == Status::NotIdentified));
    let conclusion = conclusion(reference, &told, &found);
    let status = status.unwrap_or(Status::TooFewPoints);
    Contrast { status, points, reference: reference.clone(), settings: told, paired, conclusion }
}

/// The mean over pairs, and how differences change.
fn paired_with(pairs: &Pairs, columns: &[&str]) -> Found {
    let Some(mean) = places::mean_of(&pairs.differences) else { return Found::default() };
    Found {
        pairs: pairs.differences.len(),
        difference: Some(mean.difference),
        freedom: mean.freedom,
        trend: places::trend(&pairs.differences, columns),
        scattered: mean.scattered,
        uneven: pairs.tuned,
    }
}

impl Found {
    fn status(&self) -> Status {
        match self.difference {
            // The best of many against the best of a few tells of neither.
            Some(_) if self.uneven.is_some_and(|uneven| uneven.common == 0) => Status::NotIdentified,
            Some(difference) if !difference.low.is_nan() => Status::Converged,
            _ => Status::TooFewPoints,
        }
    }
}

/// Which of the values of what was tuned are compared.
fn compared(uneven: &Uneven, tuned: &str) -> String {
    let Uneven { tried: [base, here], common, pairs, elsewhere } = *uneven;
    if common == 0 {
        let steps = if here == base { " at other steps" } else { "" };
        return format!("the best of {here} values of {tuned} against the best of {base} others{steps}");
    }
    let values = if common == 1 { "the one value" } else { &format!("the {common} values") };
    let but = if elsewhere > 0 {
        format!("; the best of one of them is at another value in {elsewhere} of {pairs} pairs")
    } else {
        String::new()
    };
    format!("by {values} of {tuned} that both were trained at, of {here} and {base}{but}")
}

/// The difference of two means with Welch's interval, and its degrees of freedom, rounded down.
fn difference_of_means(these: &[f64], base: &[f64]) -> (Estimate, usize) {
    let (a, b) = (averages::mean(these), averages::mean(base));
    let value = a - b;
    if these.len() < 2 || base.len() < 2 {
        return (Estimate { value, low: f64::NAN, high: f64::NAN }, 0);
    }
    let part = |values: &[f64], mean| squares(values, mean) / (values.len() - 1) as f64 / values.len() as f64;
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
/// on until one fails.
fn shown_among_many(all: &[Found]) -> Vec<bool> {
    let chance = |one: &Found| {
        let found = one.difference.filter(|_| one.status() == Status::Converged)?;
        Some(beyond_t(found.value / ((found.high - found.value) / student(one.freedom)), one.freedom))
    };
    let chances = all.iter().map(chance).enumerate();
    let mut chances: Vec<(f64, usize)> = chances.filter_map(|(at, chance)| Some((chance?, at))).collect();
    chances.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut shown = vec![false; all.len()];
    let is_shown = |(rank, (chance, _)): &(usize, &(f64, usize))| *chance <= 0.05 / (chances.len() - rank) as f64;
    for (_, (_, at)) in chances.iter().enumerate().take_while(is_shown) {
        shown[*at] = true;
    }
    shown
}

fn conclusion(reference: &str, settings: &[Setting], found: &[Found]) -> String {
    let comparisons = settings[1..].iter().filter(|setting| setting.status == Status::Converged).count();
    let mut text = format!("Against {reference}: ");
    for (at, setting) in settings.iter().enumerate().skip(1) {
        let join = if at == 1 { "" } else { "; " };
        let chance = if setting.shown || comparisons < 2 {
            String::new()
        } else {
            format!(", which may be chance among {comparisons} comparisons")
        };
        let _ = write!(text, "{join}{} {}{}", setting.name, verdict(setting, &chance), changes(setting, &found[at]));
    }
    text + "."
}

/// Which side a setting is on; `chance` is said of a difference that may be one of many.
fn verdict(setting: &Setting, chance: &str) -> String {
    let Some(found) = setting.difference else { return "no run to compare".to_owned() };
    let by = setting.compared.as_ref().map_or_else(String::new, |compared| format!(" ({compared})"));
    if setting.status == Status::NotIdentified {
        let interval =
            if found.low.is_nan() { String::new() } else { format!(" ({:+.4} to {:+.4})", found.low, found.high) };
        return format!("not compared{by}, which differ by {:+.4} nats{interval}", found.value);
    }
    let mean = if setting.trend.is_some() { " on average" } else { "" };
    if found.low.is_nan() {
        return format!("{} by {:.4} nats{by}, one pair and so no interval", side(found.value), found.value.abs());
    }
    if found.holds(0.0) {
        let Estimate { value, low, high } = found;
        return format!("no difference shown{mean}{by}, {value:+.4} nats ({low:+.4} to {high:+.4})");
    }
    let (low, high) = if found.value < 0.0 { (-found.high, -found.low) } else { (found.low, found.high) };
    let (side, value) = (side(found.value), found.value.abs());
    format!("{side} by {value:.4} nats ({low:.4} to {high:.4}){mean}{by}{chance}")
}

/// How the difference changes, where that is shown.
fn changes(setting: &Setting, found: &Found) -> String {
    match &setting.trend {
        Some(Trend { with, ends: [from, to], bends }) => format!(
            ", but the difference changes with {with}{}: {:+.4} nats ({:+.4} to {:+.4}) at {} and {:+.4} ({:+.4} to {:+.4}) at {}",
            if *bends { " along a curve" } else { "" },
            from.difference.value,
            from.difference.low,
            from.difference.high,
            short(from.at),
            to.difference.value,
            to.difference.low,
            to.difference.high,
            short(to.at)
        ),
        None if found.scattered => ", but not the same at all places, by more than repeats scatter".to_owned(),
        None => String::new(),
    }
}

/// A number of a column.
fn short(x: f64) -> String {
    let rounded = format!("{x:.4}");
    if (1e-3..1e4).contains(&x) {
        rounded.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        format!("{x:.3e}")
    }
}

fn side(difference: f64) -> &'static str {
    if difference < 0.0 { "better" } else { "worse" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fit(settings: &[(String, Vec<Placed>)]) -> Contrast {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        super::fit(settings, &PlacedBy { place: names(&["tokens", "steps", "width"]), tuned: names(&["rate"]) })
    }

    fn run(loss: f64, place: &[&str]) -> Placed {
        Placed { loss, place: place.iter().map(|cell| (*cell).to_owned()).collect(), ..Placed::default() }
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

    /// Runs at so many lengths and seeds, with their losses by length, seed and value of what was tuned.
    fn tuned(name: &str, values: &[&str], loss: impl Fn(usize, usize, usize) -> f64) -> (String, Vec<Placed>) {
        let run = |length: usize, seed: usize, value: usize| Placed {
            loss: loss(length, seed, value),
            place: vec![format!("{}", 1e6 * 4_f64.powf(length as f64))],
            seed: vec![seed.to_string()],
            tuned: vec![values[value].to_owned()],
        };
        let at = |length| (0..2).flat_map(move |seed| (0..values.len()).map(move |value| (length, seed, value)));
        (name.to_owned(), (0..4).flat_map(at).map(|(length, seed, value)| run(length, seed, value)).collect())
    }

    /// Between -1 and 1, the same for the same numbers.
    fn noise(at: [usize; 3], salt: usize) -> f64 {
        ((at[0] * 7919 + at[1] * 104_729 + at[2] * 1_299_709 + salt * 15_485_863) % 101) as f64 / 50.0 - 1.0
    }

    #[test]
    fn more_values_of_what_was_tuned_make_nothing_better() {
        // The loss does not depend on the rate: the best of six is lower than one by chance.
        let loss = |salt| move |l: usize, s: usize, v: usize| 3.0 - 0.2 * l as f64 + 0.01 * noise([l, s, v], salt);
        let one = tuned("a", &["1e-3"], loss(1));
        let six = tuned("b", &["2.5e-4", "5e-4", "1e-3", "2e-3", "4e-3", "8e-3"], loss(2));
        let found = fit(&[one, six]);
        let at_one = |l, s| loss(2)(l, s, 2) - loss(1)(l, s, 0);
        let mean = (0..4).flat_map(|l| [at_one(l, 0), at_one(l, 1)]).sum::<f64>() / 8.0;
        assert!((found.settings[1].difference.unwrap().value - mean).abs() < 1e-12, "{found:?}");
        let told = "(by the one value of rate that both were trained at, of 6 and 1; the best of one of them is at another value in";
        assert!(found.conclusion.contains(told), "{}", found.conclusion);
        // No value in common: nothing is better.
        let none = fit(&[tuned("a", &["1e-3"], loss(1)), tuned("b", &["5e-4", "2e-3"], loss(2))]);
        assert_eq!((none.status, none.settings[1].shown), (Status::NotIdentified, false));
        assert!(
            none.conclusion.contains("b not compared (the best of 2 values of rate against the best of 1 others)"),
            "{none:?}"
        );
        assert!(!none.conclusion.contains("better"));
        // As many at the same steps elsewhere: the best of each.
        let moved = fit(&[
            tuned("a", &["1", "2", "4"], |_, _, v| 3.0 + [0.1, 0.0, 0.1][v]),
            tuned("b", &["4", "8", "16"], |_, _, v| 2.9 + [0.1, 0.0, 0.1][v]),
        ]);
        assert!(
            (moved.settings[1].difference.unwrap().value + 0.1).abs() < 1e-12 && moved.settings[1].compared.is_none()
        );
    }

    #[test]
    fn a_value_at_which_runs_diverged_was_tried_all_the_same() {
        let a = tuned("a", &["1", "2", "4"], |_, _, v| [3.1, 3.0, f64::INFINITY][v]);
        let b = tuned("b", &["1", "2", "4"], |_, _, v| [3.1, 3.0, 2.8][v]);
        let found = fit(&[a, b]);
        assert!(found.settings[1].compared.is_none(), "{found:?}");
        assert!((found.settings[1].difference.unwrap().value + 0.2).abs() < 1e-12, "{found:?}");
    }

    #[test]
    fn a_difference_that_turns_round_is_told_and_seeds_of_a_length_are_no_pairs_of_their_own() {
        let base = tuned("a", &["1"], |l, s, _| 4.0 - 0.3 * l as f64 + 0.002 * noise([l, s, 0], 1));
        let turning =
            |l: usize, s: usize, _| 4.0 - 0.3 * l as f64 + [0.1, 0.04, -0.04, -0.1][l] + 0.002 * noise([l, s, 0], 2);
        let found = fit(&[base.clone(), tuned("b", &["1"], turning)]);
        let b = &found.settings[1];
        let Trend { with, ends: [from, to], .. } = b.trend.as_ref().unwrap();
        assert_eq!((with.as_str(), b.pairs), ("tokens", 8));
        assert!((from.at / 1e6 - 1.0).abs() < 1e-9 && (to.at / 6.4e7 - 1.0).abs() < 1e-9, "{b:?}");
        assert!((from.difference.value - 0.1).abs() < 0.01 && (to.difference.value + 0.1).abs() < 0.01, "{b:?}");
        assert!(
            found.conclusion.contains("no difference shown on average")
                && found.conclusion.contains("but the difference changes with tokens: +0."),
            "{}",
            found.conclusion
        );
        // Four lengths, not eight pairs: Student's 3.182 for three degrees of freedom, of means that are about 0.09 apart.
        let difference = b.difference.unwrap();
        assert!((difference.high - difference.value - 3.182 * 0.0879 / 2.0).abs() < 0.005, "{difference:?}");
        // Seeds that scatter as much as lengths do count each.
        let even =
            fit(&[base, tuned("b", &["1"], |l, s, _| 4.01 - 0.3 * l as f64 + if s == 0 { 0.01 } else { -0.01 })]);
        let b = &even.settings[1];
        assert!(b.trend.is_none() && b.difference.unwrap().high < 0.025 && b.shown, "{even:?}");
    }
}
