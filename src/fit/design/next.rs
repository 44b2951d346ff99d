//! The next runs of a sweep that chooses, and how well its goal is known.

use std::fmt;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::fit::Estimate;
use crate::fit::design::belief::{Belief, Draw};
use crate::fit::design::ensemble::Ensemble;
use crate::fit::design::features::Features;
use crate::fit::design::{Candidate, Stand};
use crate::fit::numerics::order::ends;
use crate::fit::numerics::regress::distinct;
use crate::goal::Goal;

/// Runs that are chosen by where they lie before losses decide.
const FIRST: usize = 5;
/// Powers of FLOPs that gains are weighed by. By the first power the cheapest runs win as long as they tell anything at
/// all, and what they cannot tell is bought late; by small ones the largest win.
const PER_FLOP: [f64; 4] = [0.3, 0.5, 0.7, 0.9];
/// Runs that a forecast looks ahead, and the share of today's variance that it aims at, where no less is wanted.
const AHEAD: usize = 24;
const HALVED: f64 = 0.5;
/// Sizes at which a curve of one budget is looked at for its minimum.
const SIZES: usize = 32;
/// How far beyond the largest budget a goal may lie.
const FARTHEST: f64 = 1e3;

/// How to choose.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// What is to be known.
    pub goal: Goal,
    /// Draws of what may be true.
    pub draws: usize,
    /// Seed of the draws.
    pub seed: u64,
    /// Width of the goal's interval that would be enough.
    pub enough: Option<f64>,
}

impl Options {
    /// With as many draws as a sweep uses.
    pub fn new(goal: Goal) -> Self {
        Self { goal, draws: 1200, seed: 0, enough: None }
    }
}

/// Why nothing can be chosen.
#[derive(Debug, Error, PartialEq)]
pub enum GoalError {
    /// The candidates cannot tell it.
    #[error("{goal} cannot be told by these candidates: {reason}")]
    Untellable {
        /// The goal.
        goal: Goal,
        /// What is missing.
        reason: String,
    },
}

/// What is known, and what to train next.
#[derive(Clone, Debug)]
pub struct Look {
    /// The goal with its 95% interval; none before there are losses enough.
    pub goal: Option<Estimate>,
    /// Probability that the surface alone is not enough to describe the losses.
    pub misfit: f64,
    /// Runs to train next, the first one first.
    pub chosen: Vec<Chosen>,
}

/// A run to train, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Chosen {
    /// Its place among the candidates.
    pub candidate: usize,
    /// Share of the goal's variance that it is expected to take away; none before there are losses enough.
    pub gain: Option<f64>,
    /// Candidates that it was chosen among.
    pub among: usize,
}

impl fmt::Display for Chosen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { gain, among, .. } = self;
        match gain {
            Some(gain) => {
                let percent = 100.0 * gain;
                write!(f, "takes {percent:.1}% of the goal's variance away, most for its FLOPs of {among} candidates")
            }
            None => write!(f, "one of the first {FIRST}, which are spread over the cheap candidates"),
        }
    }
}

/// Fails where no losses of the candidates would tell the goal.
pub fn check(candidates: &[Candidate], goal: Goal) -> Result<(), GoalError> {
    let fail = |reason: String| Err(GoalError::Untellable { goal, reason });
    let count = |of: fn(&Candidate) -> f64| distinct(candidates.iter().map(|candidate| of(candidate).ln()));
    let (sizes, lengths) = (count(|candidate| candidate.params), count(|candidate| candidate.tokens));
    if sizes < 3 || lengths < 3 {
        return fail(format!("they have {sizes} sizes and {lengths} lengths, and it takes 3 of each at least"));
    }
    let (low, high) = ends(candidates.iter().map(|candidate| candidate.flops));
    match goal.budget() {
        Some(budget) if budget > high * FARTHEST || budget < low / FARTHEST => fail(format!(
            "they train from {low:.1e} to {high:.1e} FLOPs, and {budget:.1e} is more than a factor of {FARTHEST} away"
        )),
        None if high < 2.0 * low => {
            fail(format!("they train from {low:.1e} to {high:.1e} FLOPs, and an exponent needs a factor of 2 at least"))
        }
        _ => Ok(()),
    }
}

/// Looks at the candidates and chooses up to `count` runs among those that are free, no two of one place.
pub fn look(candidates: &[Candidate], options: Options, count: usize) -> Look {
    let runs: Vec<(usize, f64)> = candidates
        .iter()
        .enumerate()
        .filter_map(|(i, candidate)| match candidate.stand {
            Stand::Finished(loss) if loss.is_finite() => Some((i, loss)),
            _ => None,
        })
        .collect();
    let features = Features::of(candidates);
    let belief = (runs.len() >= FIRST).then(|| Belief::of(&features, &runs, options.draws, options.seed)).flatten();
    let Some(belief) = belief else {
        return Look { goal: None, misfit: f64::NAN, chosen: spread(candidates, count) };
    };
    let (low, high) = ends(candidates.iter().map(|candidate| candidate.flops));
    let goals: Vec<f64> = belief.draws.iter().map(|draw| value(&features, draw, options.goal, [low, high])).collect();
    let ratio = matches!(options.goal, Goal::TokensPerParam(_));
    // A 95% interval is 3.92 standard deviations wide.
    let wanted = options.enough.map(|width| (if ratio { width.ln() } else { width } / 3.92).powi(2));
    let chosen = informative(candidates, (&features, &belief, &goals), (wanted, count));
    let mut sorted = goals;
    sorted.sort_by(f64::total_cmp);
    let middle = crate::fit::numerics::averages::quantile(&sorted, 0.5);
    let estimate = Estimate::from_draws(middle, sorted);
    Look { goal: Some(if ratio { estimate.map(f64::exp) } else { estimate }), misfit: belief.misfit, chosen }
}

/// The goal in one draw: the logarithm of a ratio, other goals as they are.
fn value(features: &Features, draw: &Draw, goal: Goal, [low, high]: [f64; 2]) -> f64 {
    let slope = |of: usize| {
        let [a, b] = [low, high].map(|flops| optimum(features, draw, flops));
        (b[of] - a[of]) / (high / low).ln()
    };
    match goal {
        Goal::TokensPerParam(flops) => {
            let [ln_n, ln_d, _] = optimum(features, draw, flops);
            ln_d - ln_n
        }
        Goal::Loss(flops) => optimum(features, draw, flops)[2],
        Goal::NExponent => slope(0),
        Goal::DExponent => slope(1),
    }
}

/// ln N, ln D and loss of the best model that a budget trains: the least on a grid, and the parabola through it and its
/// neighbours.
fn optimum(features: &Features, draw: &Draw, flops: f64) -> [f64; 3] {
    let [low, high] = features.sizes(flops);
    let step = (high - low) / (SIZES - 1) as f64;
    let length = |ln_n: f64| flops.ln() - features.cost.per_token(ln_n.exp()).ln();
    let loss = |ln_n: f64| features.loss([ln_n, length(ln_n)], draw.exponents, &draw.weights);
    let losses: Vec<f64> = (0..SIZES).map(|i| loss(low + step * i as f64)).collect();
    let best = (0..SIZES).min_by(|&i, &j| losses[i].total_cmp(&losses[j])).unwrap_or(0);
    let ln_n = match best {
        0 => low,
        best if best == SIZES - 1 => high,
        best => {
            let [left, middle, right] = [losses[best - 1], losses[best], losses[best + 1]];
            let bend = left - 2.0 * middle + right;
            let offset = if bend > 0.0 { 0.5 * (left - right) / bend } else { 0.0 };
            low + step * (best as f64 + offset)
        }
    };
    [ln_n, length(ln_n), loss(ln_n)]
}

/// The next runs: of several powers of their FLOPs to weigh gains by, the one that by its own forecast comes to the wanted
/// variance for the least FLOPs.
fn informative(
    candidates: &[Candidate],
    (features, belief, goals): (&Features, &Belief, &[f64]),
    (wanted, count): (Option<f64>, usize),
) -> Vec<Chosen> {
    let is_open = |i: &usize| matches!(candidates[*i].stand, Stand::Free | Stand::UnderWay);
    let open: Vec<usize> = (0..candidates.len()).filter(is_open).collect();
    let predicted = |i: &usize| {
        let of = |draw: &Draw| {
            let row = features.row(*i, draw.exponents);
            row.iter().zip(&draw.weights).map(|(column, weight)| column * weight).sum()
        };
        belief.draws.iter().map(of).collect()
    };
    let predictions: Vec<Vec<f64>> = open.par_iter().map(predicted).collect();
    let mut ensemble = Ensemble::new(vec![goals.to_vec()], predictions, vec![belief.noise; open.len()]);
    for at in (0..open.len()).filter(|at| candidates[open[*at]].stand == Stand::UnderWay) {
        ensemble.observe(at);
    }
    let wanted = wanted.unwrap_or(f64::INFINITY).min(HALVED * ensemble.variance());
    let forecasts =
        PER_FLOP.par_iter().map(|power| forecast(candidates, &open, ensemble.clone(), (wanted, *power, count)));
    let forecasts: Vec<(f64, Vec<Chosen>)> = forecasts.collect();
    let best = forecasts.into_iter().min_by(|a, b| a.0.total_cmp(&b.0));
    best.map_or_else(Vec::new, |(_, mut chosen)| {
        chosen.truncate(count);
        chosen
    })
}

/// FLOPs to the wanted variance, choosing greedily, and the runs on the way. Where it is not reached within so many runs,
/// as many times the FLOPs as would be needed at the rate so far.
fn forecast(
    candidates: &[Candidate],
    open: &[usize],
    mut ensemble: Ensemble,
    (wanted, power, count): (f64, f64, usize),
) -> (f64, Vec<Chosen>) {
    let under_way = |i: &&usize| candidates[**i].stand == Stand::UnderWay;
    let mut taken: Vec<usize> = open.iter().filter(under_way).copied().collect();
    let (begin, mut flops, mut chosen) = (ensemble.variance(), 0.0, Vec::new());
    while chosen.len() < count || ensemble.variance() > wanted && chosen.len() < AHEAD.max(count) {
        let variance = ensemble.variance();
        let first = chosen.len() < count;
        let free = open.iter().enumerate().filter(|(_, i)| {
            let alike = |other: &usize| if first { alike(&candidates[*other], &candidates[**i]) } else { other == *i };
            candidates[**i].stand == Stand::Free && !taken.iter().any(alike)
        });
        let scored: Vec<(usize, usize, f64)> =
            free.map(|(at, i)| (at, *i, ensemble.gain(at) / variance)).filter(|row| row.2.is_finite()).collect();
        let score = |row: &(usize, usize, f64)| -(-row.2.min(0.999_999)).ln_1p() / candidates[row.1].flops.powf(power);
        let Some((at, candidate, gain)) = scored.iter().copied().max_by(|a, b| score(a).total_cmp(&score(b))) else {
            break;
        };
        chosen.push(Chosen { candidate, gain: Some(gain), among: scored.len() });
        flops += candidates[candidate].flops;
        ensemble.observe(at);
        taken.push(candidate);
    }
    let left = (ensemble.variance() / wanted).max(1.0);
    (flops * (1.0 + left.ln() / (begin / ensemble.variance()).max(1.0 + 1e-9).ln()), chosen)
}

/// Whether two candidates differ in nothing but their seed.
fn alike(a: &Candidate, b: &Candidate) -> bool {
    let same = |a: f64, b: f64| (a - b).abs() <= 1e-9 * b.abs();
    same(a.params, b.params) && same(a.tokens, b.tokens) && a.tuned.iter().zip(&b.tuned).all(|(a, b)| same(*a, *b))
}

/// Before losses can decide: the cheapest run, then each time the one that is farthest from all chosen for its FLOPs.
fn spread(candidates: &[Candidate], count: usize) -> Vec<Chosen> {
    let place = |candidate: &Candidate| -> Vec<f64> {
        let own = [candidate.params.ln(), candidate.tokens.ln()];
        own.into_iter().chain(candidate.tuned.iter().map(|value| value.ln())).collect()
    };
    let places: Vec<Vec<f64>> = candidates.iter().map(place).collect();
    let distance = |i: usize, j: usize| -> f64 { places[i].iter().zip(&places[j]).map(|(a, b)| (a - b).powi(2)).sum() };
    let taken_already =
        (0..candidates.len()).filter(|i| matches!(candidates[*i].stand, Stand::UnderWay | Stand::Finished(_)));
    let mut taken: Vec<usize> = taken_already.collect();
    let mut chosen = Vec::new();
    // No more of them than are needed: what comes after is chosen by losses.
    let in_hand = candidates.iter().filter(|candidate| !matches!(candidate.stand, Stand::Free | Stand::Closed)).count();
    while chosen.len() < count.min(FIRST.saturating_sub(in_hand).max(1)) {
        let free: Vec<usize> =
            (0..candidates.len()).filter(|i| candidates[*i].stand == Stand::Free && !taken.contains(i)).collect();
        let score = |i: usize| {
            let nearest = taken.iter().map(|j| distance(i, *j)).fold(f64::INFINITY, f64::min).min(1e3);
            nearest / candidates[i].flops
        };
        let best = free.iter().copied().max_by(|&i, &j| score(i).total_cmp(&score(j)));
        let Some(candidate) = best else { break };
        chosen.push(Chosen { candidate, gain: None, among: free.len() });
        taken.push(candidate);
    }
    chosen
}
