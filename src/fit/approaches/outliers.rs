//! Runs that the rest of a table contradicts: a robust first look, before anything is fitted.
//!
//! Four signs, from the one that assumes least:
//! 1. *Slipped.* FLOPs per parameter and token that are thirty times off the median of the table are a wrong unit.
//! 2. *Stuck.* A run is dominated where two others with no more parameters and no more tokens have a loss that is lower
//!    by a tenth or more: loss falls with both. Losses of three or more sizes that agree within 1% are stuck at one loss,
//!    such as that of the unigrams, if two of them are dominated and there are fewer other runs within 5%. A dominated run
//!    elsewhere has diverged or was trained badly.
//! 3. *Off the surface.* Least trimmed squares (Rousseeuw 1984) fit the surface to the three quarters of the other runs that
//!    agree best. A run is off it where its log loss errs by more than 0.1 and by more than eight times the robust scatter;
//!    a factor of a thousand in tokens or parameters, or a loss in bits, that would explain it is named.
//! 4. *Apart.* A fit without the run is better by far more than chance (`apart.rs`): of the surface, or of the parabola of its
//!    budget. This sees errors of a few percent, and at the ends of a grid.
//!
//! Where the third sign would take more than a quarter of the runs, it is the surface that does not fit, and it accuses
//! nobody. The fourth takes a sixth at the most.

mod apart;

use std::cell::OnceCell;

use serde::{Deserialize, Serialize};

use crate::fit::approaches::least::CONTRADICTING;
use crate::fit::approaches::points;
use crate::fit::approaches::surface::Surface;
use crate::fit::approaches::vpnls;
use crate::fit::numerics::averages::median;
use crate::fit::numerics::residuals::far_off;
use crate::observation::{Counting, Observation};

/// Share by which a smaller run is better before a run counts as dominated.
const WORSE: f64 = 0.10;
/// Width of a plateau of losses, as a share.
const PLATEAU: f64 = 0.01;
/// Share to either side of a plateau within which it must have more runs than there are others.
const AROUND: f64 = 0.05;
/// Sizes that make a plateau.
const MEMBERS: usize = 3;
/// How far FLOPs per parameter and token may be off the median of the table.
const SLIP: f64 = 30.0;

/// Why a run is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// One of several with the same loss whatever their size.
    Stuck,
    /// Worse than a run with no more parameters and tokens.
    Dominated,
    /// FLOPs do not belong to its parameters and tokens.
    Flops,
    /// Tokens look a thousand or a million times off.
    Tokens,
    /// Parameters look a thousand or a million times off.
    Params,
    /// The loss looks like bits per token.
    Bits,
    /// Far from what the others agree on.
    OffSurface,
}

/// A run that the rest contradicts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outlier {
    /// Its place among the runs.
    #[serde(skip)]
    pub index: usize,
    /// Parameters.
    pub params: f64,
    /// Tokens.
    pub tokens: f64,
    /// Loss, in nats per token.
    pub loss: f64,
    /// Why it is not believed.
    pub why: Why,
    /// The loss that the others say it has, where they say one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<f64>,
}

/// The runs that the rest of a table contradicts, found once for all fits to it, and not before one asks.
#[derive(Debug)]
pub struct Suspects<'a> {
    runs: &'a [Observation],
    found: OnceCell<Vec<Outlier>>,
}

impl<'a> Suspects<'a> {
    /// Those of a table that nobody has looked at.
    pub fn of(runs: &'a [Observation]) -> Self {
        Self { runs, found: OnceCell::new() }
    }

    /// Those that [`find`] has found among these runs.
    pub fn known(runs: &'a [Observation], found: Vec<Outlier>) -> Self {
        Self { runs, found: OnceCell::from(found) }
    }

    /// The runs of the table.
    pub(in crate::fit) fn runs(&self) -> &'a [Observation] {
        self.runs
    }

    /// As [`find`] finds them.
    pub(in crate::fit) fn found(&self) -> &[Outlier] {
        self.found.get_or_init(|| find(self.runs))
    }
}

/// The runs that the rest contradicts, in the order of the table; none in tables so long that they are training curves,
/// whose early points are no failed runs.
pub fn find(runs: &[Observation]) -> Vec<Outlier> {
    if runs.len() > points::MOST {
        return Vec::new();
    }
    let mut why: Vec<Option<Why>> = vec![None; runs.len()];
    let mut expected: Vec<Option<f64>> = vec![None; runs.len()];
    mark_slipped(runs, &mut why);
    mark_stuck(runs, &mut why);
    mark_off_surface(runs, &mut why, &mut expected);
    mark_apart(runs, &mut why, &mut expected);
    let outlier = |(index, why): (usize, Option<Why>)| {
        let Observation { params, tokens, loss, .. } = runs[index];
        Some(Outlier { index, params, tokens, loss, why: why?, expected: expected[index] })
    };
    why.into_iter().enumerate().filter_map(outlier).collect()
}

/// For each run, whether two others with no more parameters and no more tokens are better by a tenth. Two, because one
/// with a wrong unit would accuse its neighbours.
fn dominated(runs: &[Observation], why: &[Option<Why>]) -> Vec<bool> {
    let trusted: Vec<&Observation> =
        runs.iter().zip(why).filter(|(_, why)| why.is_none()).map(|(run, _)| run).collect();
    let is_dominated = |run: &Observation| {
        let better = |other: &&&Observation| {
            other.params <= run.params && other.tokens <= run.tokens && other.loss < run.loss * (1.0 - WORSE)
        };
        trusted.iter().filter(better).nth(1).is_some()
    };
    runs.iter().map(is_dominated).collect()
}

fn mark_stuck(runs: &[Observation], why: &mut [Option<Why>]) {
    let dominated = dominated(runs, why);
    let mut order: Vec<usize> = (0..runs.len()).collect();
    order.sort_by(|&i, &j| runs[i].loss.total_cmp(&runs[j].loss));
    let mut from = 0;
    for to in 1..=order.len() {
        while runs[order[to - 1]].loss > runs[order[from]].loss * (1.0 + PLATEAU) {
            from += 1;
        }
        let members = &order[from..to];
        let bad = members.iter().filter(|i| dominated[**i]).count();
        let mut sizes: Vec<f64> = members.iter().map(|i| runs[*i].params).collect();
        sizes.sort_by(f64::total_cmp);
        sizes.dedup();
        let (low, high) = (runs[order[from]].loss / (1.0 + AROUND), runs[order[to - 1]].loss * (1.0 + AROUND));
        let around = runs.iter().filter(|run| (low..=high).contains(&run.loss)).count();
        if sizes.len() >= MEMBERS && bad >= 2 && 2 * members.len() > around {
            for i in members {
                why[*i].get_or_insert(Why::Stuck);
            }
        }
    }
    for (why, _) in why.iter_mut().zip(dominated).filter(|(_, dominated)| *dominated) {
        why.get_or_insert(Why::Dominated);
    }
}

fn mark_slipped(runs: &[Observation], why: &mut [Option<Why>]) {
    let excess = |run: &Observation| (run.flops / (run.params * run.tokens)).ln();
    let middle = median(runs.iter().map(excess).collect());
    for (run, why) in runs.iter().zip(why) {
        if (excess(run) - middle).abs() > SLIP.ln() {
            *why = Some(Why::Flops);
        }
    }
}

fn mark_off_surface(runs: &[Observation], why: &mut [Option<Why>], expected: &mut [Option<f64>]) {
    let (kept, others) = trusted(runs, why);
    if kept.len() < CONTRADICTING {
        return;
    }
    let Some(surface) = vpnls::trimmed(&others, Counting::All) else { return };
    let error = |run: &Observation| (run.loss / surface.loss(run.params, run.tokens)).ln().abs();
    let (off, scatter) = far_off(&others.iter().map(error).collect::<Vec<f64>>());
    for i in off.into_iter().map(|at| kept[at]) {
        let reason = explain(&runs[i], &surface, (3.0 * scatter).max(0.02));
        why[i] = Some(reason);
        expected[i] = Some(surface.loss(runs[i].params, runs[i].tokens)).filter(|_| reason == Why::OffSurface);
    }
}

fn mark_apart(runs: &[Observation], why: &mut [Option<Why>], expected: &mut [Option<f64>]) {
    for look in [apart::of_surface, apart::of_budgets] {
        let (kept, others) = trusted(runs, why);
        for found in look(&others) {
            why[kept[found.index]] = Some(Why::OffSurface);
            expected[kept[found.index]] = Some(found.expected);
        }
    }
}

/// The runs that nothing is said of so far, by their places and by themselves.
fn trusted(runs: &[Observation], why: &[Option<Why>]) -> (Vec<usize>, Vec<Observation>) {
    let kept = (0..runs.len()).filter(|i| why[*i].is_none());
    kept.map(|i| (i, runs[i].clone())).unzip()
}

/// What would bring a run onto the surface.
fn explain(run: &Observation, surface: &Surface, near: f64) -> Why {
    let fits = |loss: f64, params: f64, tokens: f64| (loss / surface.loss(params, tokens)).ln().abs() < near;
    let by_thousands = |fits: &dyn Fn(f64) -> bool| [1e-6, 1e-3, 1e3, 1e6].into_iter().any(fits);
    if fits(run.loss * std::f64::consts::LN_2, run.params, run.tokens) {
        Why::Bits
    } else if by_thousands(&|factor| fits(run.loss, run.params, run.tokens * factor)) {
        Why::Tokens
    } else if by_thousands(&|factor| fits(run.loss, run.params * factor, run.tokens)) {
        Why::Params
    } else {
        Why::OffSurface
    }
}
