//! The columns of the linear model that [`super::belief`] has for given exponents.

use crate::fit::approaches::cost::Cost;
use crate::fit::design::Candidate;
use crate::fit::numerics::minimize::root;
use crate::fit::numerics::order::ends;

/// Columns of the surface: E, A and B.
pub(super) const LAW: usize = 3;
/// Columns of the misfit: degrees of Legendre's polynomials in c, the logarithm of compute, and r, that of tokens per
/// parameter, each from -1 to 1 over the candidates.
pub(super) const MISFIT: [[usize; 2]; 12] =
    [[0, 2], [1, 1], [2, 0], [0, 3], [1, 2], [2, 1], [3, 0], [0, 4], [1, 3], [2, 2], [3, 1], [4, 0]];
/// How far beyond the candidates' tokens per parameter an optimum is looked for, in half widths.
const BEYOND: f64 = 1.15;
/// Columns of one tuned setting: a valley whose bottom moves with compute and tokens per parameter.
const VALLEY: usize = 4;

/// Where runs lie, in units of the candidates' range.
#[derive(Clone, Debug)]
pub struct Features {
    places: Vec<Place>,
    frame: Frame,
    /// What training costs.
    pub cost: Cost,
    tuned: usize,
}

/// A size, a length and tuned settings.
#[derive(Clone, Debug)]
struct Place {
    ln_n: f64,
    ln_d: f64,
    tuned: Vec<f64>,
}

/// Middles and half widths.
#[derive(Clone, Debug)]
struct Frame {
    n: [f64; 2],
    d: [f64; 2],
    compute: [f64; 2],
    ratio: [f64; 2],
    tuned: Vec<[f64; 2]>,
}

/// Middle and half of the range of some values; a half of one where they are all the same.
fn span(values: impl Iterator<Item = f64>) -> [f64; 2] {
    let (low, high) = ends(values);
    let half = 0.5 * (high - low);
    [f64::midpoint(low, high), if half > 1e-9 { half } else { 1.0 }]
}

fn within(x: f64, [middle, half]: [f64; 2]) -> f64 {
    (x - middle) / half
}

/// Legendre's polynomials up to degree 4.
fn legendre(x: f64) -> [f64; 5] {
    let square = x * x;
    [1.0, x, 1.5 * square - 0.5, (2.5 * square - 1.5) * x, (4.375 * square - 3.75) * square + 0.375]
}

impl Features {
    /// Of all candidates.
    pub fn of(candidates: &[Candidate]) -> Self {
        let tuned = candidates.first().map_or(0, |candidate| candidate.tuned.len());
        let place = |candidate: &Candidate| Place {
            ln_n: candidate.params.ln(),
            ln_d: candidate.tokens.ln(),
            tuned: candidate.tuned.iter().map(|value| value.ln()).collect(),
        };
        let places: Vec<Place> = candidates.iter().map(place).collect();
        let ln_n: Vec<f64> = places.iter().map(|place| place.ln_n).collect();
        let per_token: Vec<f64> =
            candidates.iter().map(|candidate| (candidate.flops / candidate.tokens).ln()).collect();
        let frame = Frame {
            n: span(ln_n.iter().copied()),
            d: span(places.iter().map(|place| place.ln_d)),
            compute: span(places.iter().map(|place| place.ln_n + place.ln_d)),
            ratio: span(places.iter().map(|place| place.ln_d - place.ln_n)),
            tuned: (0..tuned).map(|k| span(places.iter().map(|place| place.tuned[k]))).collect(),
        };
        Self { cost: Cost::fit(&ln_n, &per_token), places, frame, tuned }
    }

    /// Number of tuned settings.
    pub fn tuned(&self) -> usize {
        self.tuned
    }

    /// Number of columns.
    pub fn columns(&self) -> usize {
        LAW + MISFIT.len() + VALLEY * self.tuned
    }

    /// The range of ln N in which the optimum of a budget is looked for: where it has tokens per parameter like those of
    /// the candidates, as beyond them the misfit is anything.
    pub fn sizes(&self, flops: f64) -> [f64; 2] {
        let [middle, half] = self.frame.ratio;
        // ln D - ln N falls with N.
        let at =
            |ratio: f64| root(|ln_n| flops.ln() - self.cost.per_token(ln_n.exp()).ln() - ln_n - ratio, self.frame.n[0]);
        [at(middle + BEYOND * half), at(middle - BEYOND * half)]
    }

    /// The columns of a candidate.
    pub fn row(&self, candidate: usize, exponents: [f64; 2]) -> Vec<f64> {
        let Place { ln_n, ln_d, tuned } = &self.places[candidate];
        let mut row = Vec::with_capacity(self.columns());
        let [compute, ratio] = self.surface([*ln_n, *ln_d], exponents, &mut row);
        for (value, range) in tuned.iter().zip(&self.frame.tuned) {
            let z = within(*value, *range);
            row.extend([z, z * z, z * compute, z * ratio]);
        }
        row
    }

    /// The columns of a surface and its misfit at ln N and ln D, and where it lies in compute and tokens per parameter.
    fn surface(&self, [ln_n, ln_d]: [f64; 2], [alpha, beta]: [f64; 2], row: &mut Vec<f64>) -> [f64; 2] {
        let Frame { n, d, compute, ratio, .. } = &self.frame;
        row.extend([1.0, (-alpha * (ln_n - n[0])).exp(), (-beta * (ln_d - d[0])).exp()]);
        let (c, r) = (within(ln_n + ln_d, *compute), within(ln_d - ln_n, *ratio));
        let (in_compute, in_ratio) = (legendre(c), legendre(r));
        row.extend(MISFIT.map(|[i, j]| in_compute[i] * in_ratio[j]));
        [c, r]
    }

    /// The loss of a draw at ln N and ln D, what is tuned at its best within what the candidates span.
    pub fn loss(&self, place: [f64; 2], exponents: [f64; 2], weights: &[f64]) -> f64 {
        let mut row = Vec::with_capacity(LAW + MISFIT.len());
        let [c, r] = self.surface(place, exponents, &mut row);
        let surface: f64 = row.iter().zip(weights).map(|(column, weight)| column * weight).sum();
        let valley = |w: &[f64]| {
            let slope = w[0] + w[2] * c + w[3] * r;
            let at = |z: f64| slope * z + w[1] * z * z;
            let bottom = if w[1] > 0.0 { (-0.5 * slope / w[1]).clamp(-1.0, 1.0) } else { 1.0 };
            at(bottom).min(at(-1.0)).min(at(1.0))
        };
        surface + weights[LAW + MISFIT.len()..].chunks(VALLEY).map(valley).sum::<f64>()
    }
}
