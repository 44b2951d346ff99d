//! Whether activations keep their size as models grow: the coordinate check of Yang et al. 2022 (arXiv 2203.03466,
//! appendix D.1).
//!
//! For each activation and step, the slope of log mean |x| in log size (width or depth), one slope a seed; their mean
//! has a Student interval. An activation passes if it does not grow at any step and does not fade at any, and fails if the whole
//! interval of some step is beyond what is allowed (of one seed, which has no interval, the slope itself), but for those
//! that are sums of independent random terms in the drawn model: these are as 1/sqrt(size) there, and flatten once
//! training has aligned the terms.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::fit::Estimate;
use crate::fit::numerics::bootstrap::student;
use crate::fit::numerics::regress::Design;

/// A slope of at most this counts as flat: a factor of 1.5 in the activation over a factor of 8 in size.
pub const TOLERANCE: f64 = 0.2;

/// Steps after which what was random at first has flattened, if it ever does: a shorter check cannot tell that it does not.
pub const SETTLED: usize = 8;

/// The slope of a sum of independent random terms that is divided by their number.
const RANDOM: f64 = -0.5;

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
    /// It grows with the model at some step.
    Grows,
    /// It fades with the model, and not only where it may.
    Fades,
    /// It is infinite or no number somewhere.
    NotFinite,
    /// Its slope is beyond what is allowed at some step, and the interval there is not: seeds differ too much.
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
            Self::Undecided => "not decided",
        }
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
    /// The step whose slope is farthest from what is allowed, or from flat where all are.
    pub worst: Option<StepSlope>,
    /// What it does.
    pub verdict: Verdict,
}

impl Coordinate {
    /// Whether the activation behaves as a parameterization that transfers makes it.
    pub fn passes(&self) -> bool {
        self.verdict == Verdict::Flat
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
    let judged = names.into_iter().map(|name| (name, of(name))).filter(|(_, of)| several(of));
    judged.map(|(name, of)| coordinate(name, first(name), &of)).collect()
}

fn coordinate(name: &str, drawn: First, measurements: &[&Measurement]) -> Coordinate {
    let mut steps: BTreeMap<usize, Vec<&Measurement>> = BTreeMap::new();
    for measurement in measurements {
        steps.entry(measurement.step).or_default().push(measurement);
    }
    let slopes: Vec<StepSlope> =
        steps.iter().map(|(step, measured)| StepSlope { step: *step, slope: slope(measured) }).collect();
    let [first, last] = [slopes.first(), slopes.last()].map(|slope| slope.map_or(0, |s| s.step));
    let allowed = |at: &StepSlope| {
        let [low, high] = match at.slope {
            Some(_) if at.step == first => drawn.allowed(),
            // In between, what was random at first may still be on its way.
            Some(_) if at.step < last.max(SETTLED) => [drawn.allowed()[0], 0.0],
            // Zero passes, as after an initialization at zero.
            _ => [0.0, 0.0],
        };
        [low - TOLERANCE, high + TOLERANCE]
    };
    // How far a slope is beyond what is allowed; within, how far from that, made negative.
    let excess = |at: &StepSlope| {
        let ([low, high], slope) = (allowed(at), at.slope.map_or(0.0, |slope| slope.value));
        (slope - high).max(low - slope)
    };
    // The same of the nearest end of the interval.
    let surely = |at: &StepSlope| {
        let ([low, high], Some(slope)) = (allowed(at), at.slope) else { return excess(at) };
        if slope.low.is_nan() { excess(at) } else { (slope.low - high).max(low - slope.high) }
    };
    let measured = || slopes.iter().filter(|at| at.slope.is_some());
    let furthest = measured().max_by(|a, b| excess(a).total_cmp(&excess(b))).copied();
    let worst = measured().filter(|at| surely(at) > 0.0).max_by(|a, b| surely(a).total_cmp(&surely(b))).copied();
    let worst = worst.or(furthest);
    let beyond = worst.filter(|worst| excess(worst) > 0.0);
    let verdict = match beyond.and_then(|beyond| Some((beyond, beyond.slope?))) {
        _ if measurements.iter().any(|m| !m.mean_abs.is_finite()) => Verdict::NotFinite,
        None => Verdict::Flat,
        Some((beyond, _)) if surely(&beyond) <= 0.0 => Verdict::Undecided,
        // Flat where it should fade is growth, too.
        Some((_, slope)) if slope.value > -TOLERANCE => Verdict::Grows,
        Some(_) => Verdict::Fades,
    };
    Coordinate { activation: name.to_owned(), first: drawn, slopes, worst, verdict }
}

/// The mean of the slopes of each seed, with its Student interval; NaN bounds for a single seed.
fn slope(measured: &[&Measurement]) -> Option<Estimate> {
    let mut seeds: BTreeMap<u64, Vec<[f64; 2]>> = BTreeMap::new();
    for m in measured.iter().filter(|m| m.mean_abs > 0.0 && m.mean_abs.is_finite() && m.size > 0.0) {
        seeds.entry(m.seed).or_default().push([m.size.ln(), m.mean_abs.ln()]);
    }
    let slope_of = |points: &Vec<[f64; 2]>| {
        let (x, y): (Vec<f64>, Vec<f64>) = points.iter().map(|[x, y]| (*x, *y)).unzip();
        let apart = x.iter().any(|other| (other - x[0]).abs() > 1e-9);
        apart.then(|| Design::new(&x).line(&y).slope)
    };
    let slopes: Vec<f64> = seeds.values().filter_map(slope_of).collect();
    let n = slopes.len() as f64;
    let mean = slopes.iter().sum::<f64>() / n;
    let variance = slopes.iter().map(|slope| (slope - mean).powi(2)).sum::<f64>() / (n - 1.0);
    let half = student(slopes.len().saturating_sub(1)) * (variance / n).sqrt();
    (!slopes.is_empty()).then_some(Estimate { value: mean, low: mean - half, high: mean + half })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Four sizes, three seeds, ten steps; the slope of the one activation goes from `first` to `last`.
    fn measured(first: f64, last: f64, noise: f64) -> Vec<Measurement> {
        let mut measurements = Vec::new();
        for seed in 0..3_u64 {
            for size in [32.0_f64, 64.0, 128.0, 256.0] {
                for step in 1..=10 {
                    let slope = first + (last - first) * (step as f64 - 1.0) / 9.0 + noise * (seed as f64 - 1.0);
                    let mean_abs = 0.3 * size.powf(slope);
                    measurements.push(Measurement { size, seed, step, activation: "logits".to_owned(), mean_abs });
                }
            }
        }
        measurements
    }

    fn verdict(first: f64, last: f64, drawn: First) -> Verdict {
        check(&measured(first, last, 0.0), |_| drawn).remove(0).verdict
    }

    #[test]
    fn what_grows_fails_at_whatever_step_and_what_keeps_its_size_passes() {
        assert_eq!(verdict(0.0, 0.0, First::Flat), Verdict::Flat);
        assert_eq!(verdict(0.1, -0.1, First::Flat), Verdict::Flat);
        assert_eq!(verdict(0.0, 0.5, First::Flat), Verdict::Grows);
        assert_eq!(verdict(0.5, 0.0, First::MayFade), Verdict::Grows);
        assert_eq!(verdict(0.0, 1.0, First::MayFade), Verdict::Grows);
    }

    #[test]
    fn fading_is_allowed_to_random_sums_in_the_drawn_model_if_training_flattens_them() {
        assert_eq!(verdict(-0.5, 0.0, First::MayFade), Verdict::Flat);
        assert_eq!(verdict(-0.5, 0.0, First::Fades), Verdict::Flat);
        assert_eq!(verdict(0.0, 0.0, First::Fades), Verdict::Grows);
        assert_eq!(verdict(-0.5, 0.0, First::Flat), Verdict::Fades);
        assert_eq!(verdict(-1.0, 0.0, First::Fades), Verdict::Fades);
        assert_eq!(verdict(-0.5, -0.5, First::MayFade), Verdict::Fades);
    }

    #[test]
    fn seeds_that_differ_too_much_decide_nothing() {
        // Slopes of 0.3 and two tenths to either side by seed: -0.2 to 0.8 by Student.
        let noisy = check(&measured(0.3, 0.3, 0.2), |_| First::Flat).remove(0);
        assert_eq!((noisy.verdict, noisy.passes()), (Verdict::Undecided, false), "{:?}", noisy.worst);
        assert_eq!(check(&measured(0.3, 0.3, 0.01), |_| First::Flat)[0].verdict, Verdict::Grows);
        // One seed is taken at its word.
        let one: Vec<Measurement> = measured(0.3, 0.3, 0.2).into_iter().filter(|m| m.seed == 1).collect();
        assert_eq!(check(&one, |_| First::Flat)[0].verdict, Verdict::Grows);
    }

    #[test]
    fn a_check_of_few_steps_does_not_fail_what_a_longer_one_passes() {
        let all = measured(-0.5, 0.0, 0.0);
        let short: Vec<Measurement> = all.iter().filter(|m| m.step <= 4).cloned().collect();
        for drawn in [First::MayFade, First::Fades] {
            assert_eq!(check(&all, |_| drawn)[0].verdict, Verdict::Flat);
            assert_eq!(check(&short, |_| drawn)[0].verdict, Verdict::Flat);
        }
        // Growth shows at any step.
        let growing: Vec<Measurement> = measured(0.5, 0.5, 0.0).into_iter().filter(|m| m.step <= 4).collect();
        assert_eq!(check(&growing, |_| First::MayFade)[0].verdict, Verdict::Grows);
    }

    #[test]
    fn the_interval_is_students_over_the_seeds() {
        // Slopes -0.1, 0, 0.1: standard deviation 0.1, so 4.303 x 0.1 / sqrt(3).
        let slope = check(&measured(0.0, 0.0, 0.1), |_| First::Flat)[0].slopes[4].slope.unwrap();
        assert!(slope.value.abs() < 1e-12);
        assert!((slope.high - 0.248_43).abs() < 1e-4 && (slope.low + 0.248_43).abs() < 1e-4, "{slope:?}");
    }

    #[test]
    fn zeros_at_first_are_no_slope_and_infinities_fail() {
        let mut measurements = measured(0.0, 0.0, 0.0);
        measurements.iter_mut().filter(|m| m.step == 1).for_each(|m| m.mean_abs = 0.0);
        let coordinate = check(&measurements, |_| First::MayFade).remove(0);
        assert_eq!((coordinate.slopes[0].slope, coordinate.verdict), (None, Verdict::Flat));
        measurements[5].mean_abs = f64::INFINITY;
        assert_eq!(check(&measurements, |_| First::MayFade)[0].verdict, Verdict::NotFinite);
        let one: Vec<Measurement> = measured(0.0, 0.0, 0.0).into_iter().filter(|m| m.size < 40.0).collect();
        assert!(check(&one, |_| First::MayFade).is_empty(), "one size has no slope");
    }
}
