//! Observations as the columns of logarithms that fits of a whole surface work on.

use rand::Rng;
use serde::{Deserialize, Serialize};

use crate::fit::approaches::cost::Cost;
use crate::fit::approaches::least::SURFACE;

use crate::fit::numerics::order::by_first_difference;
use crate::fit::numerics::order::ends;
use crate::fit::numerics::regress::distinct_logarithms;
use crate::fit::table::resample::{Resample, Units};
use crate::observation::{Counting, Observation};

/// Rows above which every second, third, ... row in sorted order is taken. Tables of that length are training curves,
/// whose neighbouring rows say the same, and the intervals of a whole surface would take hours.
pub const MOST: usize = 5000;
/// Rows above which a surface has no second minimum that a resample could fall into: resamples start from the best one
/// alone, and the start grid is searched on an even share of that many.
pub const ENOUGH: usize = 2000;

/// Logarithms of parameters, tokens and loss of the runs that tell parameters by one convention.
///
/// Sorted, so that nothing depends on the order of rows, and centred: ln N and ln D are given relative to their
/// means, which leaves the fitted surface as it is and makes its coefficients nearly independent of its exponents. A
/// change of units moves the means alone.
#[derive(Clone, Debug)]
pub struct Points {
    /// ln N - mean.
    pub ln_n: Vec<f64>,
    /// ln D - mean.
    pub ln_d: Vec<f64>,
    /// ln of the loss in nats per token.
    pub ln_loss: Vec<f64>,
    /// The loss in nats per token.
    pub loss: Vec<f64>,
    /// Training FLOPs of the runs, or their budgets where these are known.
    pub flops: Vec<f64>,
    /// The same of each run by itself, where runs share a budget: what its parameters and tokens cost.
    own_flops: Vec<f64>,
    /// Mean of ln N.
    pub mean_n: f64,
    /// Mean of ln D.
    pub mean_d: f64,
}

/// What the runs of a fit span, each from its least to its greatest: beyond it a surface is extrapolated.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trained {
    /// Parameters.
    pub params: [f64; 2],
    /// Tokens.
    pub tokens: [f64; 2],
    /// Training FLOPs, or budgets where these are known.
    pub flops: [f64; 2],
}

/// The numbers of a run by which `Points` are sorted; nothing where it tells no parameters by this convention.
pub(super) fn row(run: &Observation, counting: Counting) -> Option<[f64; 5]> {
    Some([run.params_by(counting)?, run.tokens, run.loss, run.budget(), run.own_budget()])
}

impl Points {
    /// The runs of `observations` that tell parameters by `counting`.
    pub fn new(observations: &[Observation], counting: Counting) -> Self {
        let mut rows: Vec<[f64; 5]> = observations.iter().filter_map(|run| row(run, counting)).collect();
        rows.sort_by(by_first_difference);
        let rows: Vec<[f64; 5]> = rows.iter().step_by(rows.len().div_ceil(MOST).max(1)).copied().collect();
        let mean = |k: usize| rows.iter().map(|row| row[k].ln()).sum::<f64>() / rows.len().max(1) as f64;
        let (mean_n, mean_d) = (mean(0), mean(1));
        Self {
            ln_n: rows.iter().map(|row| row[0].ln() - mean_n).collect(),
            ln_d: rows.iter().map(|row| row[1].ln() - mean_d).collect(),
            ln_loss: rows.iter().map(|row| row[2].ln()).collect(),
            loss: rows.iter().map(|row| row[2]).collect(),
            flops: rows.iter().map(|row| row[3]).collect(),
            own_flops: rows.iter().map(|row| row[4]).collect(),
            mean_n,
            mean_d,
        }
    }

    /// Number of runs.
    pub fn len(&self) -> usize {
        self.loss.len()
    }

    /// Whether there are no runs.
    pub fn is_empty(&self) -> bool {
        self.loss.is_empty()
    }

    /// The runs in the units that are drawn together.
    pub fn units(&self, resample: Resample) -> Units {
        Units::new(resample, &self.flops, self.ln_n.iter().zip(&self.ln_d).map(|(ln_n, ln_d)| [*ln_n, *ln_d]))
    }

    /// How often each run is drawn in one resample.
    pub fn resample(&self, units: &Units, rng: &mut impl Rng) -> Vec<f64> {
        let mut counts = vec![0.0; self.len()];
        for row in units.draw(rng) {
            counts[row] += 1.0;
        }
        counts
    }

    /// What the FLOPs or budgets of the runs say of the cost of training.
    pub fn cost(&self) -> Cost {
        let ln_n: Vec<f64> = self.ln_n.iter().map(|ln_n| ln_n + self.mean_n).collect();
        let per_token: Vec<f64> =
            self.own_flops.iter().zip(&self.ln_d).map(|(flops, ln_d)| flops.ln() - ln_d - self.mean_d).collect();
        Cost::fit(&ln_n, &per_token)
    }

    /// What the runs span.
    pub fn trained(&self) -> Option<Trained> {
        let span = |column: &[f64], ln_mean: Option<f64>| {
            let ends = <[f64; 2]>::from(ends(column.iter().copied()));
            ln_mean.map_or(ends, |mean| ends.map(|ln| (ln + mean).exp()))
        };
        (!self.is_empty()).then(|| Trained {
            params: span(&self.ln_n, Some(self.mean_n)),
            tokens: span(&self.ln_d, Some(self.mean_d)),
            flops: span(&self.flops, None),
        })
    }

    /// Whether there are fewer places, sizes or lengths than a surface needs.
    pub fn too_few(&self) -> bool {
        let [sizes, lengths] = [&self.ln_n, &self.ln_d].map(|column| distinct_logarithms(column.iter().copied()));
        // Repeats of one size and length are drawn together: they are no points of their own.
        [self.units(Resample::Runs).count(), sizes, lengths].iter().zip(SURFACE).any(|(there, least)| *there < least)
    }

    /// Whether the loss is the same everywhere.
    pub fn flat(&self) -> bool {
        let (low, high) = ends(self.ln_loss.iter().copied());
        high - low < 1e-9
    }
}
