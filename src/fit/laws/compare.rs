//! Whether two curves of the same law L = E + A x^-alpha differ in offset, in slope, or by a constant factor of compute.
//!
//! Five nested models of both curves at once, by least squares in log loss: the same curve; a factor in x (another A); a
//! different irreducible loss E; a different exponent alpha (about the middle of x, so that it does not stand for a
//! factor); everything different. A difference is told where its model lowers the residuals of the same curve by more than
//! chance does; of several the information criterion `AICc` prefers one, whose number carries an interval from resampled points.

use serde::{Deserialize, Serialize};

use crate::fit::estimate::words;
use crate::fit::numerics::bootstrap::Bootstrap;
use crate::fit::numerics::chance::beyond_f;
use crate::fit::numerics::least_squares::{Row, best_of, least_squares};
use crate::fit::numerics::minimize::Stop;
use crate::fit::numerics::regress::distinct;
use crate::fit::numerics::residuals::{Residuals, aicc};
use crate::fit::table::resample::Units;
use crate::fit::{Estimate, Status};

/// How the second curve may differ from the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Difference {
    /// Not at all.
    None,
    /// The second needs a constant multiple of x for the same loss.
    Factor,
    /// The irreducible loss.
    Offset,
    /// The exponent.
    Slope,
    /// All of them.
    Everything,
}

impl Difference {
    /// The name used in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Factor => "factor",
            Self::Offset => "offset",
            Self::Slope => "slope",
            Self::Everything => "everything",
        }
    }

    const ALL: [Self; 5] = [Self::None, Self::Factor, Self::Offset, Self::Slope, Self::Everything];

    /// Which of [ln E, ln A, alpha] have a difference of their own.
    fn free(self) -> [bool; 3] {
        match self {
            Self::None => [false; 3],
            Self::Factor => [false, true, false],
            Self::Offset => [true, false, false],
            Self::Slope => [false, false, true],
            Self::Everything => [true; 3],
        }
    }
}

/// The comparison of two curves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Whether the numbers may be used.
    pub status: Status,
    /// Points of both curves.
    pub points: usize,
    /// The difference that is shown.
    pub difference: Difference,
    /// `AICc` of each difference above the least.
    pub excess: Vec<(Difference, f64)>,
    /// By how much they differ, by each of the models.
    #[serde(flatten)]
    pub numbers: Numbers,
    /// Residuals in log loss if everything may differ.
    pub residuals: Residuals,
    /// What was drawn with replacement for the intervals, which are 95% percentiles.
    pub resampled: String,
    /// What may be concluded, in a sentence.
    pub conclusion: String,
}

/// By how much the second curve differs from the first.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Numbers {
    /// x of the second curve over x of the first for the same loss, if a factor were all: on one irreducible loss and one
    /// exponent that both share and that are fitted to both.
    pub factor: Estimate,
    /// The same with the irreducible loss pinned at zero: how far the factor hangs on the asymptote.
    pub factor_without_floor: Estimate,
    /// E of the second curve minus that of the first, in nats, if that were all.
    pub offset: Estimate,
    /// alpha of the second minus that of the first, if that were all.
    pub slope: Estimate,
    /// The difference of E if everything may differ.
    pub offset_of_all: Estimate,
    /// That of alpha if everything may differ.
    pub slope_of_all: Estimate,
}

/// ln of an irreducible loss that is none.
const NO_FLOOR: f64 = -30.0;

struct Curves<'a> {
    /// ln x - middle, ln y, and whether the point is of the second curve.
    points: Vec<(f64, f64, bool)>,
    first: &'a [(f64, f64)],
}

/// Chance below which one of the four differences is told from none. They are tried on the same rows and are much alike, so that
/// together they tell a difference of curves that are the same in about 5 of 100 tables: 4 to 6 for 5 to 20 runs of each.
const TELLS: f64 = 0.02;

/// Compares `second` with `first`, each a list of (x, loss), where x counts what `of` says. Nothing where either has
/// fewer than 5 different x: repeats at one are drawn together.
pub fn compare(first: &[(f64, f64)], second: &[(f64, f64)], of: &str, bootstrap: &Bootstrap) -> Option<Comparison> {
    if [first, second].iter().any(|curve| distinct(curve.iter().map(|(x, _)| *x)) < 5) {
        return None;
    }
    let middle = first.iter().chain(second).map(|(x, _)| x.ln()).sum::<f64>() / (first.len() + second.len()) as f64;
    let point = |second: bool| move |(x, y): &(f64, f64)| (x.ln() - middle, y.ln(), second);
    let curves =
        Curves { points: first.iter().map(point(false)).chain(second.iter().map(point(true))).collect(), first };
    let stops: Vec<(Difference, Stop<6>)> =
        Difference::ALL.into_iter().filter_map(|difference| Some((difference, curves.solve(difference)?))).collect();
    let (excess, told) = told_apart(&stops, curves.points.len())?;
    let solved = |difference| stops.iter().find(|(other, _)| *other == difference).map(|(_, stop)| stop.x);
    let models = [Difference::Factor, Difference::Offset, Difference::Slope, Difference::Everything];
    let [shifted, offset, slope, full] = models.map(solved);
    let found = [shifted?, offset?, slope?, full?];
    let bare = curves.solve_pinned()?.x;
    let units = [first, second].map(|curve| Units::of_repeats(curve.iter().map(|(x, _)| [*x])));
    let draws = bootstrap.draws(|rng| {
        let chosen = curves.resample(&units, rng);
        let again = |at: usize| chosen.refine(models[at], found[at]).x;
        numbers(&[again(0), again(1), again(2), again(3)], &chosen.refine_pinned(bare).x)
    });
    let value = numbers(&found, &bare);
    let estimate = |k: usize| Estimate::from_draws(value[k], draws.iter().map(|draw| draw[k]));
    let all = Numbers {
        factor: estimate(0).map(f64::exp),
        factor_without_floor: estimate(1).map(f64::exp),
        offset: estimate(2),
        slope: estimate(3),
        offset_of_all: estimate(4),
        slope_of_all: estimate(5),
    };
    // Curves that do not fall have no factor.
    let falls =
        all.factor.value.is_finite() && all.factor.low > 0.0 && all.factor.high.is_finite() && found[3][2] > 0.0;
    let difference = if all.holds_none(told) { Difference::None } else { told };
    let conclusion = if falls {
        conclusion(of, told, &all, found[0][0].exp())
    } else {
        "Not identified: the loss does not fall, in the data or in too many resamples.".to_owned()
    };
    let fitted = curves.rows(&found[3], Difference::Everything.free());
    Some(Comparison {
        status: if falls { Status::Converged } else { Status::NotIdentified },
        points: curves.points.len(),
        difference,
        excess,
        numbers: all,
        residuals: Residuals::of(fitted.iter().map(|(r, _)| *r)),
        resampled: "runs of each curve".to_owned(),
        conclusion,
    })
}

/// The numbers of [`Numbers`], factors in the logarithm, from the unknowns of the models with a factor, an offset, a slope and all.
fn numbers([shifted, offset, slope, full]: &[[f64; 6]; 4], bare: &[f64; 6]) -> [f64; 6] {
    let floors = |u: &[f64; 6]| (u[0] + u[3]).exp() - u[0].exp();
    // Two curves differ by a factor in x of (A2/A1)^(1/alpha).
    [shifted[4] / shifted[2], bare[4] / bare[2], floors(offset), slope[5], floors(full), full[5]]
}

/// `AICc` of each difference above the least, and the difference that is told: of those that lower the residuals by more than
/// chance does (Fisher's F against none) the simplest that is not clearly worse.
fn told_apart(stops: &[(Difference, Stop<6>)], points: usize) -> Option<(Vec<(Difference, f64)>, Difference)> {
    let squares = |stop: &Stop<6>| (2.0 * stop.value).max(1e-30 * points as f64);
    let unknowns = |difference: Difference| difference.free().iter().filter(|free| **free).count();
    let score = |(difference, stop): &(Difference, Stop<6>)| {
        (*difference, aicc((squares(stop) / points as f64).sqrt(), points, 3 + unknowns(*difference)))
    };
    let scores: Vec<(Difference, f64)> = stops.iter().map(score).collect();
    let least_of = |scores: &mut dyn Iterator<Item = f64>| scores.fold(f64::INFINITY, f64::min);
    let least = least_of(&mut scores.iter().map(|(_, score)| *score));
    let none = squares(&stops.iter().find(|(difference, _)| *difference == Difference::None)?.1);
    let is_told = |(difference, stop): &(Difference, Stop<6>)| {
        let (more, rest) = (unknowns(*difference), points - 3 - unknowns(*difference));
        let ratio = (none - squares(stop)) / more as f64 / (squares(stop) / rest as f64);
        more > 0 && beyond_f(ratio, more, rest) < TELLS
    };
    let told: Vec<(Difference, f64)> =
        stops.iter().zip(&scores).filter(|(stop, _)| is_told(stop)).map(|(_, score)| *score).collect();
    let best = least_of(&mut told.iter().map(|(_, score)| *score));
    // The simplest comes first in the list.
    let difference = told.iter().find(|(_, score)| *score <= best + 2.0).map_or(Difference::None, |found| found.0);
    Some((scores.into_iter().map(|(difference, score)| (difference, score - least)).collect(), difference))
}

impl Numbers {
    /// Whether the interval of the one number by which curves would differ holds none.
    fn holds_none(&self, difference: Difference) -> bool {
        match difference {
            Difference::Factor => self.factor.holds(1.0),
            Difference::Offset => self.offset.holds(0.0),
            Difference::Slope => self.slope.holds(0.0),
            Difference::None | Difference::Everything => false,
        }
    }
}

impl Curves<'_> {
    /// Unknowns [ln E, ln A, alpha] of the first curve and the differences of the second, those not free at zero.
    fn rows(&self, u: &[f64; 6], free: [bool; 3]) -> Vec<Row<6>> {
        let row = |(x, y, second): &(f64, f64, bool)| {
            let [e, a, alpha] = std::array::from_fn(|k| if *second && free[k] { u[k] + u[k + 3] } else { u[k] });
            let (floor, s) = (e.exp(), (a - alpha * x).exp());
            let value = floor + s;
            let slope = [floor / value, s / value, -x * s / value];
            let mut all = [slope[0], slope[1], slope[2], 0.0, 0.0, 0.0];
            for k in 0..3 {
                all[k + 3] = if *second && free[k] { slope[k] } else { 0.0 };
            }
            (value.ln() - y, all)
        };
        let mut rows: Vec<Row<6>> = self.points.iter().map(row).collect();
        // What is not free stays where it is: a residual of its own keeps the equations solvable.
        for k in (0..3).filter(|&k| !free[k]) {
            let mut slope = [0.0; 6];
            slope[k + 3] = 1.0;
            rows.push((u[k + 3], slope));
        }
        rows
    }

    fn solve(&self, difference: Difference) -> Option<Stop<6>> {
        let least = self.points.iter().map(|(_, y, _)| *y).fold(f64::INFINITY, f64::min);
        let level = self.first.iter().map(|(_, y)| y).sum::<f64>() / self.first.len() as f64;
        let starts = [0.3, 0.8, 0.95].into_iter().flat_map(|share| {
            let floor = least + f64::ln(share);
            [0.05, 0.2, 0.5].map(|alpha| [floor, (level.exp() - floor.exp()).max(1e-3).ln(), alpha, 0.0, 0.0, 0.0])
        });
        best_of(|u| self.rows(u, difference.free()), starts, 500)
    }

    fn refine(&self, difference: Difference, start: [f64; 6]) -> Stop<6> {
        least_squares(|u| self.rows(u, difference.free()), start, 100)
    }

    /// The rows of a factor with the irreducible loss pinned where it adds nothing.
    fn rows_pinned(&self, u: &[f64; 6]) -> Vec<Row<6>> {
        let mut pinned = *u;
        pinned[0] = NO_FLOOR;
        let mut rows = self.rows(&pinned, Difference::Factor.free());
        for (_, slope) in &mut rows {
            slope[0] = 0.0;
        }
        rows.push((u[0] - NO_FLOOR, [1.0, 0.0, 0.0, 0.0, 0.0, 0.0]));
        rows
    }

    fn solve_pinned(&self) -> Option<Stop<6>> {
        let level = self.first.iter().map(|(_, y)| y.ln()).sum::<f64>() / self.first.len() as f64;
        let starts = [0.02, 0.1, 0.4].map(|alpha| [NO_FLOOR, level, alpha, 0.0, 0.0, 0.0]);
        best_of(|u| self.rows_pinned(u), starts, 500)
    }

    fn refine_pinned(&self, start: [f64; 6]) -> Stop<6> {
        least_squares(|u| self.rows_pinned(u), start, 100)
    }

    /// Points of each curve drawn with replacement, those of one x together.
    fn resample(&self, units: &[Units; 2], rng: &mut impl rand::Rng) -> Self {
        let split = self.first.len();
        let mut drawn: Vec<usize> = units[0].draw(rng).collect();
        drawn.extend(units[1].draw(rng).map(|at| split + at));
        Self { points: drawn.into_iter().map(|at| self.points[at]).collect(), first: self.first }
    }
}

/// `floor` is the irreducible loss that both curves share where a factor is all.
fn conclusion(noun: &str, difference: Difference, all: &Numbers, floor: f64) -> String {
    let [shared, without] = [all.factor, all.factor_without_floor].map(words);
    let factor = format!(
        "{shared} times the {noun} of the first for the same loss, on an irreducible loss of {floor:.3} nats and an \
         exponent that both share ({without} with that loss pinned at 0)"
    );
    let shown = !all.holds_none(difference);
    match difference {
        Difference::None if !all.factor.holds(1.0) => format!(
            "A difference between the two curves is not clear: the second needs {factor}, but no law with a difference is better \
             than one curve for both by an F test at {:.0}%.",
            100.0 * TELLS
        ),
        Difference::None => {
            format!("The data show no difference between the two curves: the second needs {factor}.")
        }
        Difference::Factor if !shown => {
            format!("A difference between the two curves is not shown: the second needs {factor}.")
        }
        Difference::Factor if all.slope_of_all.holds(0.0) => format!(
            "The second curve needs {factor}. A difference of slopes is not shown: if all may differ, the exponents do by {}.",
            words(all.slope_of_all)
        ),
        Difference::Factor => format!(
            "The second curve needs {factor}, and that describes both as well as other slopes would: if all may differ, the \
             exponents do by {}.",
            words(all.slope_of_all)
        ),
        Difference::Offset if shown => {
            format!("The curves differ in the irreducible loss, by {} nats.", words(all.offset))
        }
        Difference::Offset => {
            format!("A difference in the irreducible loss is not shown: {} nats.", words(all.offset))
        }
        Difference::Slope if shown => format!("The curves differ in the exponent, by {}.", words(all.slope)),
        Difference::Slope => format!("A difference in the exponent is not shown: {}.", words(all.slope)),
        Difference::Everything => {
            let (offset, slope) = (all.offset_of_all, all.slope_of_all);
            let unclear = offset.holds(0.0) && slope.holds(0.0);
            let how = if unclear { "and the data do not tell in what" } else { "in more than one way" };
            format!(
                "The curves differ, {how}: irreducible loss by {} nats, exponent by {}. If they shared both, the second would need \
                 {factor}.",
                words(offset),
                words(slope)
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOTSTRAP: Bootstrap = Bootstrap { resamples: 100, seed: 1 };

    fn curve(e: f64, a: f64, alpha: f64, salt: usize) -> Vec<(f64, f64)> {
        let wobble = |i: usize| 1.0 + 2e-4 * (((i + salt) * 7919 % 13) as f64 / 6.0 - 1.0);
        (0..20)
            .map(|i| (1e15 * 3_f64.powf(i as f64 / 2.0), i))
            .map(|(x, i)| (x, (e + a * (x / 1e17).powf(-alpha)) * wobble(i)))
            .collect()
    }

    #[test]
    fn each_kind_of_difference_is_told_apart() {
        let first = curve(2.0, 1.0, 0.15, 0);
        // Twice the compute for the same loss.
        let slower = curve(2.0, 2_f64.powf(0.15), 0.15, 5);
        for (second, expected) in [
            (curve(2.0, 1.0, 0.15, 5), Difference::None),
            (slower, Difference::Factor),
            (curve(2.2, 1.0, 0.15, 5), Difference::Offset),
        ] {
            let found = compare(&first, &second, "compute", &BOOTSTRAP).unwrap();
            assert_eq!(found.difference, expected, "{found:?}");
            assert!(expected == Difference::Offset || found.conclusion.contains("irreducible loss of 2."), "{found:?}");
            match expected {
                Difference::Factor => assert!(found.numbers.factor.holds(2.0), "{found:?}"),
                Difference::Offset => assert!((found.numbers.offset.value - 0.2).abs() < 0.05, "{found:?}"),
                _ => assert!(found.numbers.factor.holds(1.0), "{found:?}"),
            }
        }
        let steeper = compare(&first, &curve(2.0, 1.0, 0.25, 5), "compute", &BOOTSTRAP).unwrap();
        assert!([Difference::Slope, Difference::Everything].contains(&steeper.difference), "{steeper:?}");
        assert!((steeper.numbers.slope.value - 0.1).abs() < 0.02, "{steeper:?}");
    }

    #[test]
    fn the_factor_without_an_asymptote_is_exact_where_there_is_none() {
        // Twice the compute for the same loss, and no irreducible loss.
        let pair = [curve(1e-12, 1.0, 0.15, 0), curve(1e-12, 2_f64.powf(0.15), 0.15, 5)];
        let found = compare(&pair[0], &pair[1], "compute", &BOOTSTRAP).unwrap();
        assert!(found.numbers.factor_without_floor.holds(2.0), "{found:?}");
        // On the wrong asymptote the same curves tell another factor.
        let floored = compare(&curve(2.0, 1.0, 0.15, 0), &curve(2.0, 2_f64.powf(0.15), 0.15, 5), "compute", &BOOTSTRAP);
        let floored = floored.unwrap();
        assert!(
            floored.numbers.factor.holds(2.0) && (floored.numbers.factor_without_floor.value - 2.0).abs() > 0.01,
            "{floored:?}"
        );
    }

    #[test]
    fn four_points_are_too_few() {
        let first = curve(2.0, 1.0, 0.15, 0);
        assert!(compare(&first, &first[..4], "compute", &BOOTSTRAP).is_none());
    }

    /// A curve with noise from a generator, which is normal as a sum of uniform ones is.
    fn noisy(alpha: f64, n: i32, sd: f64, rng: &mut rand_chacha::ChaCha8Rng) -> Vec<(f64, f64)> {
        use rand::RngExt as _;
        let mut normal = || (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0;
        (0..n)
            .map(|i| 3e6 * 100_f64.powf(f64::from(i) / f64::from(n - 1)))
            .map(|x| (x, 1.8 + 2.0 * (x / 3e7).powf(-alpha) + sd * normal()))
            .collect()
    }

    #[test]
    fn curves_that_are_the_same_are_told_apart_in_one_of_twenty_tables() {
        use rand::SeedableRng as _;
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(3);
        let few = Bootstrap { resamples: 20, seed: 1 };
        let differ = |_: &i32| {
            let [first, second] = [0, 1].map(|_| noisy(0.25, 8, 0.005, &mut rng));
            compare(&first, &second, "tokens", &few).unwrap().difference != Difference::None
        };
        let told = (0..60).filter(differ).count();
        assert!(told <= 7, "{told} of 60");
    }

    #[test]
    fn no_difference_is_not_said_beside_an_interval_that_has_one() {
        let one = |value, low, high| Estimate { value, low, high };
        let none = one(0.0, -1.0, 1.0);
        let of = |factor| Numbers {
            factor,
            factor_without_floor: factor,
            offset: none,
            slope: none,
            offset_of_all: none,
            slope_of_all: none,
        };
        let said = |factor| conclusion("tokens", Difference::None, &of(factor), 1.7);
        assert!(said(one(0.9, 0.8, 1.1)).starts_with("The data show no difference"));
        let told = said(one(0.92, 0.86, 0.98));
        assert!(
            told.starts_with("A difference between the two curves is not clear") && told.contains("at 2%"),
            "{told}"
        );
    }

    #[test]
    fn the_number_is_that_of_the_difference_told_and_one_that_holds_none_is_not_shown() {
        use rand::SeedableRng as _;
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
        let [first, second] = [0.25, 0.22].map(|alpha| noisy(alpha, 7, 0.003, &mut rng));
        let found = compare(&first, &second, "tokens", &BOOTSTRAP).unwrap();
        assert_eq!(found.difference, Difference::Slope, "{found:?}");
        assert!(found.numbers.slope.holds(-0.03) && found.numbers.slope.high < 0.0, "{found:?}");
        assert!(found.conclusion.contains(&words(found.numbers.slope)), "{}", found.conclusion);
        let wide = Numbers { slope: Estimate { value: -0.028, low: -0.056, high: 0.002 }, ..found.numbers };
        assert!(wide.holds_none(Difference::Slope) && !wide.holds_none(Difference::Everything));
        let told = conclusion("tokens", Difference::Slope, &wide, 1.8);
        assert_eq!(told, "A difference in the exponent is not shown: -0.028 (-0.056 to 0.002).");
        let factor = Numbers { factor: Estimate { value: 1.3, low: 1.2, high: 1.4 }, slope_of_all: wide.slope, ..wide };
        let told = conclusion("tokens", Difference::Factor, &factor, 1.8);
        assert!(
            told.contains("A difference of slopes is not shown: if all may differ, the exponents do by -0.028"),
            "{told}"
        );
    }
}
