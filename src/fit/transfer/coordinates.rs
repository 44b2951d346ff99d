//! Whether activations keep their size as models grow: the coordinate check of Yang et al. 2022 (arXiv 2203.03466,
//! appendix D.1).
//!
//! For each activation, seed and step, the slope of log mean |x| in log size (width or depth). Two of them are judged: that
//! of the drawn model, and the mean over the last quarter of the steps. Each is a sample of one number a seed. Steps in
//! between are shown and not judged, since the worst of many noisy slopes is far off in any model.
//!
//! An activation *fails* if one of the two is beyond what is allowed and chance is no explanation, in all activations of
//! the check together (Bonferroni's level of Student's t); where one does, the others fail by their 95% intervals. It
//! *passes* if both means are within what is allowed and their 95% intervals exclude a slope that is off by a half, as a
//! wrong rule makes it. Between the two nothing is decided. One seed has no interval, so it decides nothing.
//!
//! Sums of independent random terms are as 1/sqrt(size) in the drawn model, and flatten once training has aligned the
//! terms. While they still fade and training has hardly changed them, they tell nothing of the parameterization. Nor do
//! models that diverge at every size.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::fit::Estimate;
use crate::fit::numerics::chance::{beyond_t, student};
use crate::fit::numerics::regress::Design;

/// A slope of at most this counts as flat: a factor of 1.5 in the activation over a factor of 8 in size.
pub const TOLERANCE: f64 = 0.2;

/// The least that a wrong rule of the table puts a slope off, by a factor of sqrt(size): an interval that reaches so far from
/// what is allowed does not tell right from wrong.
const WRONG: f64 = 0.5;

/// The slope of a sum of independent random terms that is divided by their number.
const RANDOM: f64 = -0.5;

/// The chance that a check finds fault where there is none, over all its activations.
const LEVEL: f64 = 0.05;

/// Where training has made the activation of the smallest model so many times larger, most of it is trained: what was random at
/// first adds at most 0.06 to the slope of an activation that is flat.
const TRAINED: f64 = 2.0;

/// A model of which an activation is so many times larger than it was drawn has diverged. In models that train it is within 100.
const DIVERGED: f64 = 1000.0;

/// Mean |x| of one activation in one model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// Width or depth.
    pub size: f64,
    /// Seed of the model and its data.
    pub seed: u64,
    /// The step that comes next, from 1: at 1 the model is as it was drawn.
    pub step: usize,
    /// Name of the activation.
    pub activation: String,
    /// Mean of |x|.
    pub mean_abs: f64,
}

/// What the theory says of an activation in the drawn model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum First {
    /// It does not depend on size.
    Flat,
    /// It may be as 1/sqrt(size).
    MayFade,
    /// It is as 1/sqrt(size), or zero: more would be too much once training has aligned its terms.
    Fades,
}

impl First {
    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Flat => "flat",
            Self::MayFade => "may fade",
            Self::Fades => "fades",
        }
    }

    /// The slope that the drawn model should have, in words.
    pub fn expected(self) -> &'static str {
        match self {
            Self::Flat => "0",
            Self::MayFade => "-0.5 to 0",
            Self::Fades => "-0.5",
        }
    }

    /// The slopes that the drawn model may have, without the tolerance.
    fn allowed(self) -> [f64; 2] {
        match self {
            Self::Flat => [0.0, 0.0],
            Self::MayFade => [RANDOM, 0.0],
            Self::Fades => [RANDOM, RANDOM],
        }
    }
}

/// What an activation does as models grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It keeps its size.
    Flat,
    /// It grows with the model, or fades less than it should in the drawn one.
    Grows,
    /// It fades with the model, and not only where it may.
    Fades,
    /// It is infinite or no number in some larger model.
    NotFinite,
    /// Models diverged, the smallest too: the learning rate is too high to tell.
    Diverged,
    /// It fades as in the drawn model, or is zero, and training has hardly changed it: too few steps or too low a rate to tell.
    NotTrained,
    /// Seeds differ too much to tell, or there is one.
    Undecided,
}

impl Verdict {
    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Flat => "flat",
            Self::Grows => "grows",
            Self::Fades => "fades",
            Self::NotFinite => "not finite",
            Self::Diverged => "diverged",
            Self::NotTrained => "not trained yet",
            Self::Undecided => "not decided",
        }
    }

    /// Whether it is evidence against the parameterization.
    pub fn fails(self) -> bool {
        matches!(self, Self::Grows | Self::Fades | Self::NotFinite)
    }
}

/// The slope at one step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepSlope {
    /// The step.
    pub step: usize,
    /// Slope of log mean |x| in log size; nothing where the activation is zero, as after an initialization at zero.
    pub slope: Option<Estimate>,
}

/// One activation over sizes and steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Coordinate {
    /// Name of the activation.
    pub activation: String,
    /// What it should do in the drawn model.
    pub first: First,
    /// Slopes by step, ascending.
    pub slopes: Vec<StepSlope>,
    /// Slope in the drawn model; nothing where the activation is zero.
    pub drawn: Option<Estimate>,
    /// Mean slope over the last quarter of the steps.
    pub trained: Option<Estimate>,
    /// What it does.
    pub verdict: Verdict,
}

impl Coordinate {
    /// Whether the activation behaves as a parameterization that transfers makes it.
    pub fn passes(&self) -> bool {
        self.verdict == Verdict::Flat
    }

    /// Whether a mean is beyond what is allowed, whatever the scatter of seeds.
    pub fn is_off(&self) -> bool {
        let off = |slope: Option<Estimate>, [low, high]: [f64; 2]| {
            slope.is_some_and(|slope| !(low - TOLERANCE..=high + TOLERANCE).contains(&slope.value))
        };
        off(self.drawn, self.first.allowed()) || off(self.trained, [0.0, 0.0])
    }
}

/// Judges every activation that several sizes have, in the order in which they first appear. `first` tells what each
/// should do in the drawn model.
pub fn check(measurements: &[Measurement], first: impl Fn(&str) -> First) -> Vec<Coordinate> {
    let mut names: Vec<&str> = Vec::new();
    for measurement in measurements {
        if !names.contains(&measurement.activation.as_str()) {
            names.push(&measurement.activation);
        }
    }
    let of = |name: &str| measurements.iter().filter(|m| m.activation == name).collect::<Vec<_>>();
    let several = |of: &Vec<&Measurement>| of.iter().any(|m| m.size.total_cmp(&of[0].size).is_ne());
    let judged: Vec<_> = names.into_iter().map(|name| (name, of(name))).filter(|(_, of)| several(of)).collect();
    let diverged = diverged(measurements);
    let at = |level: f64| -> Vec<Coordinate> {
        judged.iter().map(|(name, of)| coordinate(name, first(name), of, level)).collect()
    };
    let mut coordinates = at(LEVEL / (2 * judged.len()) as f64);
    // Chance is no explanation of them all, so each is named by its own interval (Fisher's protected tests).
    if coordinates.iter().any(|coordinate| coordinate.verdict.fails()) {
        coordinates = at(LEVEL);
    }
    if diverged {
        for coordinate in &mut coordinates {
            coordinate.verdict = Verdict::Diverged;
        }
    }
    coordinates
}

/// Whether a model of the smallest size diverged: it is the same in every parameterization.
fn diverged(measurements: &[Measurement]) -> bool {
    let smallest = measurements.iter().map(|m| m.size).fold(f64::INFINITY, f64::min);
    let mut first: BTreeMap<(&str, u64), (usize, f64)> = BTreeMap::new();
    let small = || measurements.iter().filter(|m| m.size <= smallest);
    for m in small() {
        let drawn = first.entry((&m.activation, m.seed)).or_insert((m.step, m.mean_abs));
        if m.step < drawn.0 {
            *drawn = (m.step, m.mean_abs);
        }
    }
    small().any(|m| {
        let drawn = first[&(m.activation.as_str(), m.seed)].1;
        !m.mean_abs.is_finite() || (drawn > 0.0 && m.mean_abs > DIVERGED * drawn)
    })
}

fn coordinate(name: &str, first: First, measurements: &[&Measurement], level: f64) -> Coordinate {
    let mut measured: BTreeMap<usize, Vec<&Measurement>> = BTreeMap::new();
    for measurement in measurements {
        measured.entry(measurement.step).or_default().push(measurement);
    }
    let steps: Vec<(usize, BTreeMap<u64, f64>)> =
        measured.iter().map(|(step, of)| (*step, slopes_of_seeds(of))).collect();
    let last = steps.len().div_ceil(4).min(steps.len().saturating_sub(1)).max(1);
    let mean_over = |steps: &[(usize, BTreeMap<u64, f64>)]| {
        let mut seeds: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
        steps.iter().flat_map(|(_, of)| of).for_each(|(seed, slope)| seeds.entry(*seed).or_default().push(*slope));
        let means = seeds.values().map(|slopes| slopes.iter().sum::<f64>() / slopes.len() as f64);
        Sample::of(&means.collect::<Vec<_>>())
    };
    let (drawn, trained) = (mean_over(&steps[..1]), mean_over(&steps[steps.len() - last..]));
    let verdict = if measurements.iter().any(|m| !m.mean_abs.is_finite()) {
        Verdict::NotFinite
    } else {
        verdict(first, [drawn, trained], growth(measurements, &measured), level)
    };
    let at = |step: &(usize, BTreeMap<u64, f64>)| StepSlope {
        step: step.0,
        slope: mean_over(std::slice::from_ref(step)).map(Sample::estimate),
    };
    Coordinate {
        activation: name.to_owned(),
        first,
        slopes: steps.iter().map(at).collect(),
        drawn: drawn.map(Sample::estimate),
        trained: trained.map(Sample::estimate),
        verdict,
    }
}

/// How many times larger the activation of the smallest size is at the last step than in the drawn model, the geometric mean over
/// seeds; NaN where it was zero.
fn growth(measurements: &[&Measurement], steps: &BTreeMap<usize, Vec<&Measurement>>) -> f64 {
    let smallest = measurements.iter().map(|m| m.size).fold(f64::INFINITY, f64::min);
    let mean_log = |of: Option<&Vec<&Measurement>>| {
        let logs: Vec<f64> = of.into_iter().flatten().filter(|m| m.size <= smallest).map(|m| m.mean_abs.ln()).collect();
        logs.iter().sum::<f64>() / logs.len() as f64
    };
    let [first, last] = [steps.values().next(), steps.values().last()].map(mean_log);
    if first.is_finite() { (last - first).exp() } else { f64::NAN }
}

fn verdict(first: First, [drawn, trained]: [Option<Sample>; 2], growth: f64, level: f64) -> Verdict {
    // Zero passes in the drawn model, as after an initialization at zero.
    let faded = drawn.is_none_or(|drawn| drawn.mean < -TOLERANCE);
    let waits = first != First::Flat && faded && (growth.is_nan() || growth < TRAINED);
    let Some(trained) = trained else { return Verdict::NotTrained };
    let at_first = first.allowed();
    let at_last = [if waits { RANDOM } else { 0.0 }, 0.0];
    let judged = || drawn.map(|drawn| (drawn, at_first)).into_iter().chain([(trained, at_last)]);
    // Flat where it should fade is growth, too.
    if judged().any(|(sample, [_, high])| sample.surely_above(high + TOLERANCE, level)) {
        return Verdict::Grows;
    }
    if judged().any(|(sample, [low, _])| sample.negative().surely_above(TOLERANCE - low, level)) {
        return Verdict::Fades;
    }
    match drawn.is_none_or(|drawn| drawn.tells(at_first)) {
        true if trained.tells([0.0, 0.0]) => Verdict::Flat,
        true if waits && trained.mean < -TOLERANCE && trained.estimate().high <= TOLERANCE => Verdict::NotTrained,
        _ => Verdict::Undecided,
    }
}

/// The slopes of the seeds at one step.
fn slopes_of_seeds(measured: &[&Measurement]) -> BTreeMap<u64, f64> {
    let mut seeds: BTreeMap<u64, Vec<[f64; 2]>> = BTreeMap::new();
    for m in measured.iter().filter(|m| m.mean_abs > 0.0 && m.mean_abs.is_finite() && m.size > 0.0) {
        seeds.entry(m.seed).or_default().push([m.size.ln(), m.mean_abs.ln()]);
    }
    let slope_of = |points: &Vec<[f64; 2]>| {
        let (x, y): (Vec<f64>, Vec<f64>) = points.iter().map(|[x, y]| (*x, *y)).unzip();
        let apart = x.iter().any(|other| (other - x[0]).abs() > 1e-9);
        apart.then(|| Design::new(&x).line(&y).slope)
    };
    seeds.iter().filter_map(|(seed, points)| Some((*seed, slope_of(points)?))).collect()
}

/// One slope a seed.
#[derive(Clone, Copy)]
struct Sample {
    mean: f64,
    /// Standard error of the mean; NaN for a single seed.
    error: f64,
    seeds: usize,
}

impl Sample {
    fn of(slopes: &[f64]) -> Option<Self> {
        let n = slopes.len() as f64;
        let mean = slopes.iter().sum::<f64>() / n;
        let variance = slopes.iter().map(|slope| (slope - mean).powi(2)).sum::<f64>() / (n - 1.0);
        (!slopes.is_empty()).then_some(Self { mean, error: (variance / n).sqrt(), seeds: slopes.len() })
    }

    /// The mean with its 95% Student interval; NaN bounds for a single seed.
    fn estimate(self) -> Estimate {
        let half = student(self.seeds - 1) * self.error;
        Estimate { value: self.mean, low: self.mean - half, high: self.mean + half }
    }

    fn negative(self) -> Self {
        Self { mean: -self.mean, ..self }
    }

    /// Whether chance is no explanation of a mean above `limit`, at so small a level (two-sided).
    fn surely_above(self, limit: f64, level: f64) -> bool {
        let excess = self.mean - limit;
        self.seeds > 1 && excess > 0.0 && beyond_t(excess / self.error, self.seeds - 1) < level
    }

    /// Whether the mean is within what is allowed and the interval excludes what a wrong rule makes of it.
    fn tells(self, [low, high]: [f64; 2]) -> bool {
        let interval = self.estimate();
        (low - TOLERANCE..=high + TOLERANCE).contains(&self.mean)
            && interval.low > low - WRONG
            && interval.high < high + WRONG
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZES: [f64; 4] = [32.0, 64.0, 128.0, 256.0];

    /// Four sizes, ten steps; the slope of the one activation at a step and of a seed.
    fn measured(seeds: u64, slope: impl Fn(usize, u64) -> f64) -> Vec<Measurement> {
        let mut measurements = Vec::new();
        for seed in 0..seeds {
            for (size, step) in SIZES.into_iter().flat_map(|size| (1..=10).map(move |step| (size, step))) {
                let mean_abs = 0.3 * (size / 32.0).powf(slope(step, seed));
                measurements.push(Measurement { size, seed, step, activation: "logits".to_owned(), mean_abs });
            }
        }
        measurements
    }

    /// Of three seeds whose slopes go from `first` to `last` and are so far apart.
    fn moving(first: f64, last: f64, apart: f64) -> Vec<Measurement> {
        measured(3, |step, seed| first + (last - first) * (step as f64 - 1.0) / 9.0 + apart * (seed as f64 - 1.0))
    }

    /// The same, of an activation that training makes so many times larger by the last step.
    fn trained(mut measurements: Vec<Measurement>, times: f64) -> Vec<Measurement> {
        for m in &mut measurements {
            m.mean_abs *= times.powf((m.step as f64 - 1.0) / 9.0);
        }
        measurements
    }

    fn judged(measurements: &[Measurement], drawn: First) -> Verdict {
        check(measurements, |_| drawn).remove(0).verdict
    }

    fn verdict(first: f64, last: f64, drawn: First) -> Verdict {
        judged(&moving(first, last, 0.0), drawn)
    }

    #[test]
    fn what_grows_fails_and_what_keeps_its_size_passes() {
        assert_eq!(verdict(0.0, 0.0, First::Flat), Verdict::Flat);
        assert_eq!(verdict(0.1, -0.1, First::Flat), Verdict::Flat);
        assert_eq!(verdict(0.0, 0.5, First::Flat), Verdict::Grows);
        assert_eq!(verdict(0.5, 0.0, First::MayFade), Verdict::Grows);
        assert_eq!(verdict(0.0, 1.0, First::MayFade), Verdict::Grows);
        assert_eq!(verdict(0.0, -0.5, First::Flat), Verdict::Fades);
    }

    #[test]
    fn fading_is_allowed_to_random_sums_in_the_drawn_model_if_training_flattens_them() {
        assert_eq!(verdict(-0.5, 0.0, First::MayFade), Verdict::Flat);
        assert_eq!(verdict(-0.5, 0.0, First::Fades), Verdict::Flat);
        assert_eq!(verdict(0.0, 0.0, First::Fades), Verdict::Grows);
        assert_eq!(verdict(-0.5, 0.0, First::Flat), Verdict::Fades);
        assert_eq!(verdict(-1.0, 0.0, First::Fades), Verdict::Fades);
    }

    #[test]
    fn what_fades_as_in_the_drawn_model_fails_only_once_training_has_changed_it() {
        // AdamW at 0.0001, Lion at 0.002 and SGD at 0.1, as they were measured.
        for last in [-0.5, -0.44, -0.33] {
            for drawn in [First::MayFade, First::Fades] {
                let slow = moving(-0.5, last, 0.01);
                assert_eq!(judged(&slow, drawn), Verdict::NotTrained, "{last}");
                assert_eq!(judged(&trained(slow, 4.0), drawn), Verdict::Fades, "{last}");
            }
        }
        // Steeper than random sums are, and fading that training brought, are no remains of the drawn model.
        assert_eq!(verdict(-0.5, -1.2, First::Fades), Verdict::Fades);
        assert_eq!(verdict(0.0, -0.5, First::MayFade), Verdict::Fades);
        // Cut at step 4, what would be flat at step 10.
        let short: Vec<Measurement> = moving(-0.5, 0.0, 0.0).into_iter().filter(|m| m.step <= 4).collect();
        assert_eq!(judged(&short, First::Fades), Verdict::NotTrained);
        let growing: Vec<Measurement> = moving(0.5, 0.5, 0.0).into_iter().filter(|m| m.step <= 4).collect();
        assert_eq!(judged(&growing, First::MayFade), Verdict::Grows);
    }

    #[test]
    fn what_starts_at_zero_may_still_fade_and_what_stays_there_tells_nothing() {
        let zeroed = |mut measurements: Vec<Measurement>, until: usize| {
            measurements.iter_mut().filter(|m| m.step <= until).for_each(|m| m.mean_abs = 0.0);
            measurements
        };
        assert_eq!(judged(&zeroed(moving(0.0, 0.0, 0.0), 1), First::MayFade), Verdict::Flat);
        // Attention logits after queries of zero, as they were measured.
        assert_eq!(judged(&zeroed(moving(-0.54, -0.66, 0.06), 2), First::MayFade), Verdict::NotTrained);
        assert_eq!(judged(&zeroed(moving(0.0, 0.0, 0.0), 10), First::Fades), Verdict::NotTrained);
        assert_eq!(judged(&zeroed(moving(1.0, 1.0, 0.0), 1), First::Fades), Verdict::Grows);
    }

    #[test]
    fn seeds_that_differ_too_much_decide_nothing() {
        // Slopes of 0.3 and two tenths to either side by seed: -0.2 to 0.8 by Student.
        let noisy = check(&moving(0.3, 0.3, 0.2), |_| First::Flat).remove(0);
        assert_eq!((noisy.verdict, noisy.passes(), noisy.is_off()), (Verdict::Undecided, false, true));
        assert_eq!(judged(&moving(0.3, 0.3, 0.001), First::Flat), Verdict::Grows);
        // Means near zero, from -1 to 1 and from -0.25 to 0.25 by Student.
        assert_eq!(judged(&moving(0.0, 0.0, 0.4), First::Flat), Verdict::Undecided);
        assert_eq!(judged(&moving(0.0, 0.0, 0.1), First::Flat), Verdict::Flat);
    }

    #[test]
    fn one_seed_decides_nothing() {
        for slope in [0.0, 0.3, 1.0] {
            let one = check(&measured(1, |_, _| slope), |_| First::Flat).remove(0);
            assert_eq!(one.verdict, Verdict::Undecided);
            assert!(one.trained.unwrap().low.is_nan(), "{:?}", one.trained);
        }
    }

    #[test]
    fn one_step_of_many_fails_nothing() {
        // Measured in correct muP: 0.25 (0.22 to 0.27) before step 4 alone.
        let once = measured(3, |step, seed| if step == 4 { 0.25 + 0.01 * (seed as f64 - 1.0) } else { -0.03 });
        assert_eq!(judged(&once, First::Flat), Verdict::Flat);
    }

    #[test]
    fn a_check_of_many_activations_finds_no_fault_by_chance() {
        use rand::{RngExt, SeedableRng};
        use rand_chacha::ChaCha8Rng;

        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let (mut failed, checks) = (0, 200);
        for _ in 0..checks {
            let mut measurements = Vec::new();
            for activation in 0..11 {
                // At the edge of what is allowed, where chance finds most.
                let noise: Vec<f64> = (0..3).map(|_| (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0).collect();
                let mut of = measured(3, |_, seed| 0.2 + 0.1 * noise[seed as usize]);
                for m in &mut of {
                    m.activation = activation.to_string();
                }
                measurements.extend(of);
            }
            failed += usize::from(check(&measurements, |_| First::Flat).iter().any(|c| c.verdict.fails()));
        }
        // At 95% for each of eleven it was a fourth of them.
        assert!(failed * 100 <= 6 * checks, "{failed} of {checks} checks fail");
    }

    #[test]
    fn where_one_activation_surely_fails_the_others_fail_by_their_intervals() {
        // Slopes of 0.8 and 0.15 to either side by seed: 0.43 to 1.17 by Student.
        let two = |sure: f64| {
            let mut measurements = moving(0.0, 0.9, 0.15);
            measurements.extend(measured(3, |_, seed| sure + 1e-3 * seed as f64).into_iter().map(|mut m| {
                m.activation = "sure".to_owned();
                m
            }));
            check(&measurements, |_| First::MayFade).iter().map(|c| c.verdict).collect::<Vec<_>>()
        };
        assert_eq!(two(0.0), [Verdict::Undecided, Verdict::Flat]);
        assert_eq!(two(1.0), [Verdict::Grows, Verdict::Grows]);
    }

    #[test]
    fn the_interval_is_students_over_the_seeds() {
        // Slopes -0.1, 0, 0.1: standard deviation 0.1, so 4.303 x 0.1 / sqrt(3).
        let slope = check(&moving(0.0, 0.0, 0.1), |_| First::Flat)[0].slopes[4].slope.unwrap();
        assert!(slope.value.abs() < 1e-12);
        assert!((slope.high - 0.248_43).abs() < 1e-4 && (slope.low + 0.248_43).abs() < 1e-4, "{slope:?}");
    }

    #[test]
    fn larger_models_that_diverge_fail_and_where_the_smallest_does_nothing_is_told() {
        let with = |size: f64, mean_abs: f64| {
            let mut measurements = moving(0.0, 0.0, 0.01);
            let at = |m: &&mut Measurement| m.step >= 5 && m.size.total_cmp(&size).is_eq();
            measurements.iter_mut().filter(at).for_each(|m| m.mean_abs = mean_abs);
            judged(&measurements, First::MayFade)
        };
        assert_eq!(with(256.0, f64::INFINITY), Verdict::NotFinite);
        assert_eq!(with(256.0, 1e20), Verdict::Grows);
        for mean_abs in [f64::NAN, f64::INFINITY, 1e3] {
            assert_eq!(with(32.0, mean_abs), Verdict::Diverged, "{mean_abs}");
        }
        let one: Vec<Measurement> = moving(0.0, 0.0, 0.0).into_iter().filter(|m| m.size < 40.0).collect();
        assert!(check(&one, |_| First::MayFade).is_empty(), "one size has no slope");
    }
}
