//! Whether two curves of the same law L = E + A x^-alpha differ in offset, in slope, or by a constant factor of compute.
//!
//! Five nested models of both curves at once, by least squares in log loss: the same curve; a factor in x (another A); a
//! different irreducible loss E; a different exponent alpha (about the middle of x, so that it does not stand for a
//! factor); everything different. The information criterion `AICc` prefers one, and the differences of the full model
//! carry intervals from resampled points.

use serde::{Deserialize, Serialize};

use crate::fit::estimate::words;
use crate::fit::numerics::bootstrap::Bootstrap;
use crate::fit::numerics::least_squares::{Row, best_of, least_squares};
use crate::fit::numerics::minimize::Stop;
use crate::fit::numerics::regress::distinct;
use crate::fit::numerics::residuals::Residuals;
use crate::fit::table::budgets::Units;
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
    /// The preferred difference.
    pub difference: Difference,
    /// `AICc` of each difference above the least.
    pub excess: Vec<(Difference, f64)>,
    /// x of the second curve over x of the first for the same loss, if a factor were all: on one irreducible loss and one
    /// exponent that both share and that are fitted to both.
    pub factor: Estimate,
    /// The same with the irreducible loss pinned at zero: how far the factor hangs on the asymptote.
    pub factor_without_floor: Estimate,
    /// E of the second curve minus that of the first, in nats, if everything may differ.
    pub offset: Estimate,
    /// alpha of the second minus that of the first, if everything may differ.
    pub slope: Estimate,
    /// Residuals in log loss if everything may differ.
    pub residuals: Residuals,
    /// What was drawn with replacement for the intervals, which are 95% percentiles.
    pub resampled: String,
    /// What may be concluded, in a sentence.
    pub conclusion: String,
}

/// ln of an irreducible loss that is none.
const NO_FLOOR: f64 = -30.0;

struct Curves<'a> {
    /// ln x - middle, ln y, and whether the point is of the second curve.
    points: Vec<(f64, f64, bool)>,
    first: &'a [(f64, f64)],
}

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
    let n = curves.points.len() as f64;
    let aicc = |(difference, stop): &(Difference, Stop<6>)| {
        let k = 4.0 + difference.free().iter().filter(|free| **free).count() as f64;
        let variance = (2.0 * stop.value / n).max(1e-30);
        (*difference, n * variance.ln() + 2.0 * k + 2.0 * k * (k + 1.0) / (n - k - 1.0).max(1e-9))
    };
    let scores: Vec<(Difference, f64)> = stops.iter().map(aicc).collect();
    let least = scores.iter().map(|(_, score)| *score).fold(f64::INFINITY, f64::min);
    // The simplest that is not clearly worse comes first in the list.
    let difference = scores.iter().find(|(_, score)| *score <= least + 2.0)?.0;
    let solved = |difference| stops.iter().find(|(other, _)| *other == difference).map(|(_, stop)| stop.x);
    let (shifted, full) = (solved(Difference::Factor)?, solved(Difference::Everything)?);
    // Two curves differ by a factor in x of (A2/A1)^(1/alpha).
    let read = |shifted: &[f64; 6], full: &[f64; 6]| {
        [shifted[4] / shifted[2], (full[0] + full[3]).exp() - full[0].exp(), full[5]]
    };
    let value = read(&shifted, &full);
    let units = [first, second].map(|curve| Units::of_repeats(curve.iter().map(|(x, _)| [*x])));
    let bare = curves.solve_pinned()?.x;
    let without_floor = |u: &[f64; 6]| u[4] / u[2];
    let draws = bootstrap.draws(|rng| {
        let chosen = curves.resample(&units, rng);
        let again = |difference, start| chosen.refine(difference, start).x;
        let [factor, offset, slope] = read(&again(Difference::Factor, shifted), &again(Difference::Everything, full));
        [factor, offset, slope, without_floor(&chosen.refine_pinned(bare).x)]
    });
    let value = [value[0], value[1], value[2], without_floor(&bare)];
    let estimate = |k: usize| Estimate::from_draws(value[k], draws.iter().map(|draw| draw[k]));
    let factor = estimate(0).map(f64::exp);
    let (offset, slope, factor_without_floor) = (estimate(1), estimate(2), estimate(3).map(f64::exp));
    // Curves that do not fall have no factor.
    let falls = factor.value.is_finite() && factor.low > 0.0 && factor.high.is_finite() && full[2] > 0.0;
    let status = if falls { Status::Converged } else { Status::NotIdentified };
    let conclusion = if falls {
        let floor = shifted[0].exp();
        conclusion(of, difference, [factor, factor_without_floor], floor, [offset, slope])
    } else {
        "Not identified: the loss does not fall, in the data or in too many resamples.".to_owned()
    };
    let fitted = curves.rows(&full, Difference::Everything.free());
    let excess = scores.into_iter().map(|(difference, score)| (difference, score - least)).collect();
    Some(Comparison {
        status,
        points: curves.points.len(),
        difference,
        excess,
        factor,
        factor_without_floor,
        offset,
        slope,
        residuals: Residuals::of(fitted.iter().map(|(r, _)| *r)),
        resampled: "runs of each curve".to_owned(),
        conclusion,
    })
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

/// `factors` are on a shared irreducible loss, which is `floor`, and without one.
fn conclusion(
    noun: &str,
    difference: Difference,
    factors: [Estimate; 2],
    floor: f64,
    [offset, slope]: [Estimate; 2],
) -> String {
    let [shared, without] = factors.map(words);
    let factor = format!(
        "{shared} times the {noun} of the first for the same loss, on an irreducible loss of {floor:.3} nats and an \
         exponent that both share ({without} with that loss pinned at 0)"
    );
    match difference {
        Difference::None => {
            format!("The data show no difference between the two curves: the second needs {factor}.")
        }
        Difference::Factor => {
            format!("The second curve needs {factor}. The slopes do not differ.")
        }
        Difference::Offset => format!("The curves differ in the irreducible loss, by {} nats.", words(offset)),
        Difference::Slope => format!("The curves differ in the exponent, by {}.", words(slope)),
        Difference::Everything => {
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
                Difference::Factor => assert!(found.factor.holds(2.0), "{found:?}"),
                Difference::Offset => assert!((found.offset.value - 0.2).abs() < 0.05, "{found:?}"),
                _ => assert!(found.factor.holds(1.0), "{found:?}"),
            }
        }
        let steeper = compare(&first, &curve(2.0, 1.0, 0.25, 5), "compute", &BOOTSTRAP).unwrap();
        assert!([Difference::Slope, Difference::Everything].contains(&steeper.difference), "{steeper:?}");
        assert!((steeper.slope.value - 0.1).abs() < 0.02, "{steeper:?}");
    }

    #[test]
    fn the_factor_without_an_asymptote_is_exact_where_there_is_none() {
        // Twice the compute for the same loss, and no irreducible loss.
        let pair = [curve(1e-12, 1.0, 0.15, 0), curve(1e-12, 2_f64.powf(0.15), 0.15, 5)];
        let found = compare(&pair[0], &pair[1], "compute", &BOOTSTRAP).unwrap();
        assert!(found.factor_without_floor.holds(2.0), "{found:?}");
        // On the wrong asymptote the same curves tell another factor.
        let floored = compare(&curve(2.0, 1.0, 0.15, 0), &curve(2.0, 2_f64.powf(0.15), 0.15, 5), "compute", &BOOTSTRAP);
        let floored = floored.unwrap();
        assert!(floored.factor.holds(2.0) && (floored.factor_without_floor.value - 2.0).abs() > 0.01, "{floored:?}");
    }

    #[test]
    fn four_points_are_too_few() {
        let first = curve(2.0, 1.0, 0.15, 0);
        assert!(compare(&first, &first[..4], "compute", &BOOTSTRAP).is_none());
    }
}
