//! What is believed of the loss over sizes and lengths from a few runs, as draws.
//!
//! ```text
//! loss = E + A N^-alpha + B D^-beta + misfit(N, D) + valley(tuned settings) + noise
//! ```
//!
//! The surface is that of Hoffmann et al. 2022. A sweep that trusted it alone would buy the cheapest runs and be sure of
//! what it never saw, so that the misfit, polynomials in compute and in tokens per parameter, stands for what the surface
//! cannot say: how large it is, nothing included, is as unknown as the exponents, and the runs tell. For given exponents,
//! noise and misfit all that is left is a linear model, with evidence and posterior in closed form; those four are summed
//! over a grid that closes in on where the evidence is. No solver, no starting point: the same runs give the same draws.

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use crate::fit::design::features::{Features, LAW, MISFIT};
use crate::fit::numerics::gaussian::{Moments, Posterior, Prior};
use crate::fit::numerics::order::ends;

/// Median of either exponent before anything was seen, and the standard deviation of its logarithm.
const EXPONENT: (f64, f64) = (0.35, 0.45);
/// Ends of the grid of exponents, its steps, and how often it closes in.
const RANGE: (f64, f64) = (0.06, 1.8);
const STEPS: usize = 10;
const PASSES: usize = 4;
/// Cells whose evidence is by more than this in the logarithm below the best one do not count.
const FAR: f64 = 9.0;
/// Standard deviations of the noise, as shares of the loss, with the median and the standard deviation of the logarithm
/// that are expected: repeated seeds of small models scatter by 0.1 to 0.3%.
const NOISE: [f64; 6] = [2e-4, 5e-4, 1e-3, 2e-3, 4e-3, 1e-2];
const NOISE_EXPECTED: (f64, f64) = (1.5e-3, 0.8);
/// Size of the misfit at the edge of the candidates, as a share of the loss, and how probable each is.
const MISFITS: [(f64, f64); 5] = [(1e-6, 0.4), (1e-3, 0.2), (3e-3, 0.2), (8e-3, 0.15), (2e-2, 0.05)];
/// What each further degree of the misfit has of the one before, and of it each degree in compute: a loss is smooth, and
/// its shape changes slowly with compute. All of these were chosen on planted surfaces: docs/log.md.
const SMOOTH: f64 = 0.5;
const DRIFT: f64 = 0.6;
/// Tries to draw weights that mean a falling surface.
const TRIES: usize = 30;

/// Draws of what may be true.
#[derive(Clone, Debug)]
pub struct Belief {
    /// Each draw.
    pub draws: Vec<Draw>,
    /// Mean variance of the noise of a run.
    pub noise: f64,
    /// Probability that the surface has a misfit that can be seen.
    pub misfit: f64,
}

/// One of them.
#[derive(Clone, Debug)]
pub struct Draw {
    /// alpha and beta.
    pub exponents: [f64; 2],
    /// Weights of the columns.
    pub weights: Vec<f64>,
}

/// A cell of the grid.
struct Cell {
    exponents: [f64; 2],
    noise: f64,
    misfit: f64,
    ln_weight: f64,
    posterior: Posterior,
}

impl Belief {
    /// From the features and losses of the runs that have ended. Nothing where there is none.
    pub fn of(features: &Features, runs: &[(usize, f64)], draws: usize, seed: u64) -> Option<Self> {
        let least = runs.iter().map(|(_, loss)| *loss).fold(f64::INFINITY, f64::min);
        if !least.is_finite() || least <= 0.0 {
            return None;
        }
        let grid = Grid { features, runs, least };
        let mut range = [[RANGE.0.ln(), RANGE.1.ln()]; 2];
        let mut cells = grid.cells(range);
        for _ in 1..PASSES {
            let closer = closing(&cells, range);
            let narrowed = (0..2).any(|k| closer[k][1] - closer[k][0] < 0.7 * (range[k][1] - range[k][0]));
            if !narrowed {
                break;
            }
            range = closer;
            cells = grid.cells(range);
        }
        sample(&cells, draws, seed)
    }
}

/// The box of exponents outside of which no cell counts.
fn closing(cells: &[Cell], range: [[f64; 2]; 2]) -> [[f64; 2]; 2] {
    let best = cells.iter().map(|cell| cell.ln_weight).fold(f64::NEG_INFINITY, f64::max);
    std::array::from_fn(|k| {
        let near = cells.iter().filter(|cell| cell.ln_weight > best - FAR).map(|cell| cell.exponents[k].ln());
        let (low, high) = ends(near);
        let step = (range[k][1] - range[k][0]) / (STEPS - 1) as f64;
        [(low - step).max(range[k][0]), (high + step).min(range[k][1])]
    })
}

/// What the evidence is computed from.
struct Grid<'a> {
    features: &'a Features,
    runs: &'a [(usize, f64)],
    least: f64,
}

impl Grid<'_> {
    fn cells(&self, range: [[f64; 2]; 2]) -> Vec<Cell> {
        let at = |k: usize, i: usize| (range[k][0] + (range[k][1] - range[k][0]) * i as f64 / (STEPS - 1) as f64).exp();
        let pairs = (0..STEPS * STEPS).into_par_iter();
        pairs.flat_map_iter(|i| self.column([at(0, i / STEPS), at(1, i % STEPS)])).collect()
    }

    /// Every noise and misfit at one pair of exponents.
    fn column(&self, exponents: [f64; 2]) -> Vec<Cell> {
        let mut moments = Moments::new(self.features.columns());
        for (run, loss) in self.runs {
            moments.add(&self.features.row(*run, exponents), *loss);
        }
        let of = |x: f64, (median, spread): (f64, f64)| -0.5 * ((x / median).ln() / spread).powi(2);
        let expected: f64 = exponents.iter().map(|x| of(*x, EXPONENT)).sum();
        let mut cells = Vec::with_capacity(NOISE.len() * MISFITS.len());
        for (misfit, share) in MISFITS {
            let prior = self.prior(misfit * self.least);
            for noise in NOISE {
                let Some(posterior) = moments.posterior(&prior, noise * self.least) else { continue };
                let ln_weight = posterior.ln_evidence + expected + of(noise, NOISE_EXPECTED) + share.ln();
                cells.push(Cell { exponents, noise: noise * self.least, misfit, ln_weight, posterior });
            }
        }
        cells
    }

    /// E, A and B in nats in the middle of the candidates, then the misfit, then the valleys of what is tuned.
    fn prior(&self, misfit: f64) -> Vec<Prior> {
        let least = self.least;
        let law = [[0.6 * least, 0.5 * least], [0.25 * least, 0.4 * least], [0.25 * least, 0.4 * least]];
        let share = |[c, r]: &[usize; 2]| SMOOTH.powf((c + r) as f64 - 2.0) * DRIFT.powf(*c as f64);
        let misfits = MISFIT.iter().map(|degrees| [0.0, share(degrees) * misfit]);
        let valley = [[0.0, 0.1 * least], [0.1 * least, 0.1 * least], [0.0, 0.05 * least], [0.0, 0.05 * least]];
        let valleys = std::iter::repeat_n(valley, self.features.tuned()).flatten();
        law.into_iter().chain(misfits).chain(valleys).collect()
    }
}

/// Draws in proportion to the cells' weights, evenly spread over them; those whose surface does not fall are drawn again.
fn sample(cells: &[Cell], draws: usize, seed: u64) -> Option<Belief> {
    let best = cells.iter().map(|cell| cell.ln_weight).fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = cells.iter().map(|cell| (cell.ln_weight - best).exp()).collect();
    let total: f64 = weights.iter().sum();
    if !total.is_finite() || total <= 0.0 {
        return None;
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let start: f64 = rng.random_range(0.0..1.0);
    let (mut belief, mut passed, mut at) = (Belief { draws: Vec::new(), noise: 0.0, misfit: 0.0 }, 0.0, 0);
    for draw in 0..draws {
        let wanted = (draw as f64 + start) / draws as f64 * total;
        while at + 1 < cells.len() && passed + weights[at] < wanted {
            passed += weights[at];
            at += 1;
        }
        let cell = &cells[at];
        belief.noise += cell.noise * cell.noise / draws as f64;
        belief.misfit += f64::from(u8::from(cell.misfit > MISFITS[0].0)) / draws as f64;
        let falls = |weights: &Vec<f64>| weights[..LAW].iter().all(|weight| *weight > 0.0);
        if let Some(weights) = (0..TRIES).map(|_| cell.posterior.draw(&mut rng)).find(falls) {
            belief.draws.push(Draw { exponents: cell.exponents, weights });
        }
    }
    (belief.draws.len() >= 2).then_some(belief)
}
