//! Curves with a steep end: where a size was nearly or wholly unable to learn, its loss stands far above the bowl of the
//! others, and one parabola through all of them loses the minimum that any eye sees.
//!
//! The rule. One or two sizes at the ends of a curve are a steep end if (a) at least five sizes remain, with the lowest
//! loss inside of them; (b) each stands more than twice as high above the lowest loss as the parabola through the others
//! says; (c) without them the variance of the residuals is at most a sixteenth. A smooth curve meets neither (b) nor (c):
//! on the surface of Hoffmann et al. its ends stand a few percent above the parabola of the others.
//!
//! Then a cubic in the logarithm is fitted, whose sides may differ, in a window of losses: a size counts by
//! 1/(1 + (height/h)^2), where its height is above the lowest loss and h is half the median height. Sizes more than forty
//! h high are left out, and where fewer than six remain the cubic is a parabola. Residuals count likewise, so that the
//! noise is that near the bottom.

use serde::{Deserialize, Serialize};

use crate::fit::numerics::averages::median;
use crate::fit::numerics::regress::{Design, Parabola};

/// Sizes below which a cubic has nothing left to judge it by.
pub(super) const CUBIC_SIZES: usize = 6;
/// Sizes that must remain without a steep end.
const LEAST: usize = 5;
/// Most sizes that make a steep end.
const MOST: usize = 2;
/// How many times as high as the parabola of the others says an end stands.
const HIGHER: f64 = 2.0;
/// By what the variance of the residuals falls without a steep end.
const CLEARER: f64 = 16.0;
/// Heights, in the h of the window, above which a size is left out.
const WINDOW: f64 = 40.0;

/// A curve with a steep end, fitted by a cubic in a window around its minimum (the top of this file says when and how).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Steep {
    /// Runs that stand too high to count.
    pub left_out: usize,
    /// Coefficients of x^3, which the parabolas lack, in parameters and in tokens.
    pub cubic: [f64; 2],
    /// Least and greatest number of parameters that count.
    pub params: [f64; 2],
    /// The same of tokens.
    pub tokens: [f64; 2],
}

/// How much each size counts, where an end is steep; 0 leaves it out. `sizes` are log10 of parameters and of tokens with
/// the mean loss, by ascending parameters.
pub(super) fn weigh(sizes: &[([f64; 2], f64)]) -> Option<Vec<f64>> {
    let x: Vec<f64> = sizes.iter().map(|(x, _)| x[0]).collect();
    let losses: Vec<f64> = sizes.iter().map(|(_, loss)| *loss).collect();
    let lowest = (0..losses.len()).min_by(|&i, &j| losses[i].total_cmp(&losses[j]))?;
    if sizes.len() <= LEAST || !has_steep_end(&x, &losses, lowest) {
        return None;
    }
    let heights: Vec<f64> = losses.iter().map(|loss| loss - losses[lowest]).collect();
    let h = 0.5 * median(heights.clone());
    let kept = heights.iter().filter(|height| **height <= WINDOW * h).count();
    let weight = |height: &f64| match () {
        () if *height > WINDOW * h => 0.0,
        () if kept < CUBIC_SIZES => 1.0,
        () => 1.0 / (1.0 + (height / h).powi(2)),
    };
    (h > 0.0).then(|| heights.iter().map(weight).collect())
}

fn has_steep_end(x: &[f64], losses: &[f64], lowest: usize) -> bool {
    let count = x.len();
    let whole = variance(&parabola(x, losses), x, losses);
    let rests =
        (1..=MOST.min(count - LEAST)).flat_map(|dropped| (0..=dropped).map(move |left| left..count - (dropped - left)));
    rests.into_iter().any(|rest| {
        if !(rest.start < lowest && lowest + 1 < rest.end) {
            return false;
        }
        let curve = parabola(&x[rest.clone()], &losses[rest.clone()]);
        let is_high = |i: usize| losses[i] - losses[lowest] > HIGHER * (curve.at(x[i]) - losses[lowest]);
        let mut dropped = (0..count).filter(|i| !rest.contains(i));
        dropped.all(is_high) && CLEARER * variance(&curve, &x[rest.clone()], &losses[rest]) <= whole
    })
}

fn parabola(x: &[f64], losses: &[f64]) -> Parabola {
    Design::new(x).parabola(losses)
}

/// Of the residuals, by their degrees of freedom.
fn variance(curve: &Parabola, x: &[f64], losses: &[f64]) -> f64 {
    let square: f64 = x.iter().zip(losses).map(|(x, loss)| (loss - curve.at(*x)).powi(2)).sum();
    square / (x.len() - 3) as f64
}
