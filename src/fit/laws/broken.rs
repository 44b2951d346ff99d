//! Smoothly broken power laws (Caballero et al. 2022, arXiv 2210.14891, equation 1):
//! y = a + b x^-c0 `PROD_i` (1 + (x/d_i)^(1/f_i))^(-c_i `f_i`).
//!
//! Without a break this is the power law with an irreducible term. The fit is least squares in log y, by
//! Levenberg-Marquardt with analytic derivatives from a grid of breaks inside and beyond the data. Unknowns are ln a,
//! ln b, c0 and for each break ln d, c, ln f, so that what must be positive is.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::fit::numerics::least_squares::{Row, least_squares};
use crate::fit::numerics::minimize::Stop;

/// Points on which the starts are searched.
const ENOUGH: usize = 256;
/// Iterations of the search, and of a resample that starts from the law itself.
const SEARCH: usize = 400;
const REFINE: usize = 30;
/// Ends of the search that are taken further.
const KEPT: usize = 8;

/// A broken power law.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Broken {
    /// What is left where x is unlimited.
    pub a: f64,
    /// Coefficient of the first segment.
    pub b: f64,
    /// Exponent of the first segment.
    pub c0: f64,
    /// The breaks, by ascending place.
    pub breaks: Vec<Break>,
}

/// Where the exponent changes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Break {
    /// The x of the change.
    pub d: f64,
    /// By how much the exponent changes.
    pub c: f64,
    /// How gradual the change is: a factor of e^f in x to either side.
    pub f: f64,
}

impl Broken {
    /// Value at x.
    pub fn at(&self, x: f64) -> f64 {
        let bend = |k: &Break| -k.c * k.f * softplus((x / k.d).ln() / k.f);
        self.a + self.b * (self.breaks.iter().map(bend).sum::<f64>() - self.c0 * x.ln()).exp()
    }

    fn from_unknowns(unknowns: &[f64]) -> Self {
        let mut breaks: Vec<Break> =
            unknowns[3..].chunks(3).map(|k| Break { d: k[0].exp(), c: k[1], f: k[2].exp() }).collect();
        breaks.sort_by(|a, b| a.d.total_cmp(&b.d));
        Self { a: unknowns[0].exp(), b: unknowns[1].exp(), c0: unknowns[2], breaks }
    }
}

/// ln(1 + e^x) without overflow.
fn softplus(x: f64) -> f64 {
    if x > 30.0 { x } else { x.exp().ln_1p() }
}

/// A fit with its error, the root of the mean squared residual in log y.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BrokenFit {
    /// The law.
    pub law: Broken,
    /// Root of the mean squared residual in log y.
    pub rms: f64,
    /// Whether the solver finished.
    pub converged: bool,
}

/// Fits a law with 0, 1 or 2 breaks to positive `x` and `y`; nothing where there are no more points than unknowns, or
/// for more breaks.
pub fn fit(x: &[f64], y: &[f64], breaks: usize) -> Option<BrokenFit> {
    let data = Data::new(x, y);
    if x.len() <= 3 + 3 * breaks || x.len() != y.len() {
        return None;
    }
    let simpler = breaks.checked_sub(1).and_then(|fewer| fit(x, y, fewer)).map(|fit| fit.law);
    match breaks {
        0 => data.solve::<3>(None),
        1 => data.solve::<6>(simpler.as_ref()),
        2 => data.solve::<9>(simpler.as_ref()),
        _ => None,
    }
}

/// The law with as many breaks as `law`, refitted from there: for resamples, which need no search.
pub fn refine(x: &[f64], y: &[f64], law: &Broken) -> Broken {
    let data = Data::new(x, y);
    match law.breaks.len() {
        0 => data.refine::<3>(law),
        1 => data.refine::<6>(law),
        _ => data.refine::<9>(law),
    }
}

struct Data {
    ln_x: Vec<f64>,
    ln_y: Vec<f64>,
}

impl Data {
    fn new(x: &[f64], y: &[f64]) -> Self {
        Self { ln_x: x.iter().map(|x| x.ln()).collect(), ln_y: y.iter().map(|y| y.ln()).collect() }
    }

    fn refine<const P: usize>(&self, law: &Broken) -> Broken {
        Broken::from_unknowns(&least_squares(|u| self.rows(u), self.unknowns::<P>(law), REFINE).x)
    }

    /// A law with at most as many breaks as unknowns; those without a break are zero.
    fn unknowns<const P: usize>(&self, law: &Broken) -> [f64; P] {
        // A floor that vanished is far below the least y, and finite.
        let least = self.ln_y.iter().copied().fold(f64::MAX, f64::min);
        let mut start = [0.0; P];
        (start[0], start[1], start[2]) = (law.a.ln().max(least - 30.0), law.b.ln(), law.c0);
        for (unknowns, broken) in start[3..].chunks_mut(3).zip(&law.breaks) {
            unknowns.copy_from_slice(&[broken.d.ln(), broken.c, broken.f.ln()]);
        }
        start
    }

    /// The best of many starts: a short search of all of them on an even share of the points, the best few taken
    /// further on all points, the best one to the end. `simpler` is the law with one break less, which lies within
    /// this one.
    fn solve<const P: usize>(&self, simpler: Option<&Broken>) -> Option<BrokenFit> {
        let thin = self.thin();
        let mut starts = self.starts::<P>();
        starts.extend(simpler.into_iter().flat_map(|law| self.within::<P>(law)));
        let search = |start: [f64; P]| least_squares(|u| thin.rows(u), start, SEARCH);
        let finite = |stop: &Stop<P>| stop.value.is_finite() && stop.x.iter().all(|u| u.is_finite());
        let mut ends: Vec<Stop<P>> = starts.into_par_iter().map(search).filter(finite).collect();
        ends.sort_by(|a, b| a.value.total_cmp(&b.value));
        let further = ends.into_par_iter().take(KEPT).map(|end| least_squares(|u| self.rows(u), end.x, 400));
        let further: Vec<Stop<P>> = further.filter(finite).collect();
        let best = further.into_iter().min_by(|a, b| a.value.total_cmp(&b.value))?;
        // A valley along which place and steepness of a break trade against each other takes many short steps.
        let best = least_squares(|u| self.rows(u), best.x, 20_000);
        let rms = (2.0 * best.value / self.ln_x.len() as f64).sqrt();
        Some(BrokenFit { law: Broken::from_unknowns(&best.x), rms, converged: best.converged })
    }

    /// Every second, third, ... point in the order of x.
    fn thin(&self) -> Self {
        let mut order: Vec<usize> = (0..self.ln_x.len()).collect();
        order.sort_by(|&i, &j| self.ln_x[i].total_cmp(&self.ln_x[j]).then(self.ln_y[i].total_cmp(&self.ln_y[j])));
        let kept: Vec<usize> = order.into_iter().step_by(self.ln_x.len().div_ceil(ENOUGH).max(1)).collect();
        let take = |from: &[f64]| kept.iter().map(|&i| from[i]).collect();
        Self { ln_x: take(&self.ln_x), ln_y: take(&self.ln_y) }
    }

    /// Starts at the law with one break less, with a faint break more at some places.
    fn within<const P: usize>(&self, law: &Broken) -> Vec<[f64; P]> {
        let (low, high) = self.ln_x.iter().fold((f64::MAX, f64::MIN), |(l, h), x| (l.min(*x), h.max(*x)));
        let start = self.unknowns::<P>(law);
        let places = (1..=8).map(|k| low + (high - low) * f64::from(k) / 9.0);
        let faint = |place: f64| {
            [-0.05, 0.05].map(|c| {
                let mut start = start;
                (start[P - 3], start[P - 2], start[P - 1]) = (place, c, 0.3_f64.ln());
                start
            })
        };
        places.flat_map(faint).collect()
    }

    /// Floors below the least y, slopes of several steepness through the first point, breaks from the first x to four
    /// times the last, sharp and gradual.
    fn starts<const P: usize>(&self) -> Vec<[f64; P]> {
        let (low, high) = self.ln_x.iter().fold((f64::MAX, f64::MIN), |(l, h), x| (l.min(*x), h.max(*x)));
        let least = self.ln_y.iter().copied().fold(f64::MAX, f64::min);
        let first = self.ln_y[(0..self.ln_x.len()).min_by(|&i, &j| self.ln_x[i].total_cmp(&self.ln_x[j])).unwrap_or(0)];
        let mut starts = Vec::new();
        for share in [0.05, 0.5, 0.9] {
            for c0 in [0.0, 0.05, 0.2, 0.6] {
                let mut start = [0.0; P];
                start[0] = least + f64::ln(share);
                start[1] = (first.exp() - start[0].exp()).max(1e-3 * first.exp()).ln() + c0 * low;
                start[2] = c0;
                starts.push(start);
            }
        }
        let places: Vec<f64> = (1..=8).map(|k| low + (high + 4_f64.ln() - low) * f64::from(k) / 8.0).collect();
        for break_index in 0..(P - 3) / 3 {
            let offset = 3 + 3 * break_index;
            starts = starts
                .iter()
                .flat_map(|start| {
                    // Breaks in ascending order, so that no pair is tried twice.
                    let after = if break_index == 0 { f64::MIN } else { start[offset - 3] };
                    let shapes: &[(f64, f64)] =
                        if P > 6 { &[(0.4, 0.2)] } else { &[(0.5, 0.05), (0.5, 0.5), (3.0, 0.1)] };
                    let place = places.iter().filter(move |place| **place > after);
                    place.flat_map(move |place| {
                        shapes.iter().map(move |(c, f)| {
                            let mut next = *start;
                            (next[offset], next[offset + 1], next[offset + 2]) = (*place, *c, f.ln());
                            next
                        })
                    })
                })
                .collect();
        }
        starts
    }

    /// Residuals in log y and their derivatives.
    fn rows<const P: usize>(&self, unknowns: &[f64; P]) -> Vec<Row<P>> {
        let floor = unknowns[0].exp();
        let row = |(ln_x, ln_y): (&f64, &f64)| {
            let mut slope = [0.0; P];
            let mut ln_s = unknowns[1] - unknowns[2] * ln_x;
            (slope[1], slope[2]) = (1.0, -ln_x);
            for k in (3..P).step_by(3) {
                let (ln_d, c, f) = (unknowns[k], unknowns[k + 1], unknowns[k + 2].exp());
                let distance = (ln_x - ln_d) / f;
                let soft = softplus(distance);
                let share = 1.0 / (1.0 + (-distance).exp());
                ln_s -= c * f * soft;
                slope[k] = c * share;
                slope[k + 1] = -f * soft;
                slope[k + 2] = -c * f * (soft - distance * share);
            }
            let s = ln_s.exp();
            let y = floor + s;
            let mut scaled = slope.map(|slope| slope * s / y);
            scaled[0] = floor / y;
            (y.ln() - ln_y, scaled)
        };
        self.ln_x.iter().zip(&self.ln_y).map(row).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_constants_come_back_from_a_noiseless_series() {
        let truth = Broken {
            a: 0.413_884_53,
            b: 2.277_272_29,
            c0: 0.055_077_35,
            breaks: vec![Break { d: 612.583_617, c: 5.662_903_82, f: 0.059_193_04 }],
        };
        let x: Vec<f64> = (1..=404).map(f64::from).collect();
        let y: Vec<f64> = x.iter().map(|x| truth.at(*x)).collect();
        let found = fit(&x, &y, 1).unwrap();
        let law = found.law;
        for (value, expected) in [
            (law.a, truth.a),
            (law.b, truth.b),
            (law.c0, truth.c0),
            (law.breaks[0].d, truth.breaks[0].d),
            (law.breaks[0].c, truth.breaks[0].c),
            (law.breaks[0].f, truth.breaks[0].f),
        ] {
            assert!((value / expected - 1.0).abs() < 1e-3, "{value} and not {expected}; rms {:e}", found.rms);
        }
    }

    #[test]
    fn two_breaks_are_found() {
        let truth = Broken {
            a: 0.1,
            b: 5.0,
            c0: 0.1,
            breaks: vec![Break { d: 1e2, c: 0.5, f: 0.2 }, Break { d: 1e4, c: -0.4, f: 0.3 }],
        };
        let x: Vec<f64> = (0..80).map(|i| 10_f64.powf(f64::from(i) / 13.0)).collect();
        let y: Vec<f64> = x.iter().map(|x| truth.at(*x)).collect();
        let found = fit(&x, &y, 2).unwrap();
        assert!(found.rms < 1e-6, "{found:?}");
        assert!((found.law.breaks[0].d.ln() - 1e2_f64.ln()).abs() < 0.01, "{found:?}");
        assert!(fit(&x, &y, 0).unwrap().rms > 1e-2);
    }

    #[test]
    fn a_break_of_any_sharpness_has_a_value() {
        let law = |c, f| Broken { a: 0.1, b: 2.0, c0: 0.1, breaks: vec![Break { d: 10.0, c, f }] };
        for c in [-0.05, 0.5] {
            let sharp = law(c, 1e-6).at(1e4);
            let expected = 0.1 + 2.0 * 1e4_f64.powf(-0.1) * 1e3_f64.powf(-c);
            assert!((sharp / expected - 1.0).abs() < 1e-5, "{sharp} and not {expected}");
            let formula = 0.1 + 2.0 * 7_f64.powf(-0.1) * (1.0 + 0.7_f64.powf(2.0)).powf(-c * 0.5);
            assert!((law(c, 0.5).at(7.0) / formula - 1.0).abs() < 1e-12);
        }
    }

    #[test]
    fn too_few_points_or_too_many_breaks_give_nothing() {
        assert!(fit(&[1.0, 2.0, 3.0], &[3.0, 2.0, 1.5], 0).is_none());
        let x: Vec<f64> = (1..50).map(f64::from).collect();
        assert!(fit(&x, &x, 3).is_none());
    }
}
