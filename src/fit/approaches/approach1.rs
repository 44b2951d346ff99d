//! Approach 1, the envelope of training curves (Hoffmann et al. 2022, arXiv 2203.15556, section 3.1).
//!
//! A curve is the losses of one size at several numbers of tokens: the checkpoints of a run, or the ends of runs of
//! different length, which is the better table because each was decayed for its own length. At 1500 FLOP values,
//! evenly spaced in the logarithm, the size of least interpolated loss gives N and D; their logarithms are regressed on
//! that of the FLOPs.
//!
//! Smoothing and rejection are those of Porian et al. (arXiv 2406.19146): a long curve is averaged over a window of 5%
//! to either side, interpolation is straight in log loss against log FLOPs, and a FLOP value farther than 10% from the
//! nearest point of a curve does not use that curve. A value where the best size is the smallest or the largest of those
//! to choose from tells nothing of an optimum and is left out. Intervals resample whole curves.

use serde::{Deserialize, Serialize};

use crate::fit::approaches::optimal::BEYOND;
use crate::fit::approaches::optimal::{PowerLaw, TokensPerParam};
use crate::fit::estimate::{is_open, open, too_many_lost, words};
use crate::fit::numerics::bootstrap::Bootstrap;
use crate::fit::numerics::order;
use crate::fit::numerics::order::by_first_difference;
use crate::fit::numerics::regress::{Design, Line};
use crate::fit::{Estimate, Status};
use crate::observation::{Counting, Observation};

/// FLOP values at which the envelope is read.
const VALUES: usize = 1500;
/// Sizes above which every second, third, ... is taken.
const MOST_CURVES: usize = 1000;
/// Farthest distance in FLOPs to the nearest point of a curve, as a share.
const NEAREST: f64 = 0.10;
/// Half the smoothing window, as a share of the steps so far; it reaches the first neighbour after 20 points.
const WINDOW: f64 = 0.05;
/// Different sizes that must win somewhere.
const MIN_WINNERS: usize = 3;

/// The result of approach 1 under one convention of counting parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Approach1 {
    /// Which weights were counted.
    pub counting: Counting,
    /// Whether the laws may be used; they are absent where they may not.
    pub status: Status,
    /// Observations used.
    pub points: usize,
    /// FLOP values at which a size inside the range of sizes won.
    pub on_envelope: usize,
    /// FLOP values at which the smallest or the largest size won, left out.
    pub at_edge: usize,
    /// `N_opt` against compute.
    pub n_opt: Option<PowerLaw>,
    /// `D_opt` against compute.
    pub d_opt: Option<PowerLaw>,
    /// Tokens per parameter on the envelope and beyond.
    pub tokens_per_param: Vec<TokensPerParam>,
    /// What may be concluded, in a sentence.
    pub conclusion: String,
}

/// One size: logarithms of FLOPs, tokens and loss, by ascending FLOPs.
struct Curve {
    ln_n: f64,
    points: Vec<[f64; 3]>,
}

/// The best size at one FLOP value: ln C, ln N, ln D.
type Winner = [f64; 3];

/// Fits approach 1 to `observations`, counting parameters by `counting`. It never fails: what the data do not decide
/// is a status.
pub fn fit(observations: &[Observation], counting: Counting, bootstrap: &Bootstrap) -> Approach1 {
    let curves = split(observations, counting);
    let values = values(&curves);
    let (winners, at_edge) = envelope(&curves, &values, &vec![true; curves.len()]);
    let found = laws(&winners);
    let drawn: Vec<Option<[Line; 2]>> = bootstrap.draws(|rng| {
        use rand::RngExt;
        let mut chosen = vec![false; curves.len()];
        for _ in 0..curves.len() {
            chosen[rng.random_range(0..curves.len())] = true;
        }
        laws(&envelope(&curves, &values, &chosen).0)
    });
    let lost = drawn.iter().filter(|draw| draw.is_none()).count();
    let drawn: Vec<[Line; 2]> = drawn.into_iter().flatten().collect();
    let mut may_be_anything = None;
    let status = match found {
        _ if curves.len() < MIN_WINNERS + 2 => Status::TooFewPoints,
        None if at_edge > winners.len() => Status::EdgeMinimum,
        None => Status::NotIdentified,
        Some(_) if too_many_lost(lost, bootstrap.resamples) => Status::NotIdentified,
        Some(laws) => {
            let high = winners.last().map_or(f64::NAN, |winner| winner[0]);
            let ratio = |laws: &[Line; 2]| (laws[1].at(high) - laws[0].at(high)).exp();
            let known = Estimate::from_draws(ratio(&laws), drawn.iter().map(ratio));
            may_be_anything = is_open(known).then(|| open(high.exp(), known));
            if may_be_anything.is_some() { Status::NotIdentified } else { Status::Converged }
        }
    };
    let mut result = Approach1 {
        counting,
        status,
        points: curves.iter().map(|curve| curve.points.len()).sum(),
        on_envelope: winners.len(),
        at_edge,
        n_opt: None,
        d_opt: None,
        tokens_per_param: Vec::new(),
        conclusion: String::new(),
    };
    if let Some(laws) = found.filter(|_| status == Status::Converged) {
        let law = |axis: usize| PowerLaw {
            coefficient: laws[axis].intercept.exp(),
            exponent: Estimate::from_draws(laws[axis].slope, drawn.iter().map(|draw| draw[axis].slope)),
        };
        (result.n_opt, result.d_opt) = (Some(law(0)), Some(law(1)));
        let (low, high) = (winners[0][0].exp(), winners[winners.len() - 1][0].exp());
        let ratio = |laws: &[Line; 2], flops: f64| (laws[1].at(flops.ln()) - laws[0].at(flops.ln())).exp();
        result.tokens_per_param = [low, (low * high).sqrt(), high]
            .into_iter()
            .chain(BEYOND.map(|factor| factor * high))
            .map(|flops| TokensPerParam {
                flops,
                ratio: Estimate::from_draws(ratio(&laws, flops), drawn.iter().map(|draw| ratio(draw, flops))),
            })
            .collect();
    }
    let compared = values.iter().filter(|value| value.there.len() >= MIN_WINNERS).count();
    result.conclusion = conclusion(&result, may_be_anything.as_deref(), compared);
    result
}

/// Groups observations by size, sorts by FLOPs and smooths.
fn split(observations: &[Observation], counting: Counting) -> Vec<Curve> {
    let mut rows: Vec<[f64; 4]> = observations
        .iter()
        .filter_map(|run| Some([run.params_by(counting)?.ln(), run.flops.ln(), run.tokens.ln(), run.loss.ln()]))
        .collect();
    rows.sort_by(by_first_difference);
    let mut curves: Vec<Curve> = Vec::new();
    for [ln_n, ln_c, ln_d, ln_loss] in rows {
        match curves.last_mut() {
            Some(curve) if (curve.ln_n - ln_n).abs() < 1e-9 => curve.points.push([ln_c, ln_d, ln_loss]),
            _ => curves.push(Curve { ln_n, points: vec![[ln_c, ln_d, ln_loss]] }),
        }
    }
    let share = curves.len().div_ceil(MOST_CURVES).max(1);
    let mut curves: Vec<Curve> = curves.into_iter().step_by(share).collect();
    for curve in &mut curves {
        let losses: Vec<f64> = curve.points.iter().map(|point| point[2]).collect();
        for (i, point) in curve.points.iter_mut().enumerate() {
            let half = ((i as f64 * WINDOW) as usize).min(losses.len() - 1 - i);
            let window = &losses[i - half..=i + half];
            point[2] = window.iter().sum::<f64>() / window.len() as f64;
        }
    }
    curves
}

impl Curve {
    /// ln D and ln L at a FLOP value that has a point near enough.
    fn at(&self, ln_c: f64) -> Option<[f64; 2]> {
        let after = self.points.partition_point(|point| point[0] < ln_c);
        let (left, right) = (after.checked_sub(1).map(|i| self.points[i]), self.points.get(after).copied());
        let near = |point: Option<[f64; 3]>| point.filter(|point| (point[0] - ln_c).abs() <= NEAREST.ln_1p());
        near(left).or(near(right))?;
        match (left, right) {
            (Some(left), Some(right)) => {
                let share = (ln_c - left[0]) / (right[0] - left[0]);
                Some([1, 2].map(|k| left[k] + share * (right[k] - left[k])))
            }
            // Beyond the last point nothing is known; on it, to rounding, it is.
            (Some(end), None) | (None, Some(end)) => ((end[0] - ln_c).abs() < 1e-9).then_some([end[1], end[2]]),
            (None, None) => None,
        }
    }
}

/// One FLOP value: ln C, and of each curve that can be read there its place with ln D and ln L, by ascending size.
struct Value {
    ln_c: f64,
    there: Vec<(usize, [f64; 2])>,
}

/// Evenly spaced FLOP values over the range of all curves.
fn values(curves: &[Curve]) -> Vec<Value> {
    let ends = curves.iter().flat_map(|curve| curve.points.first().into_iter().chain(curve.points.last()));
    let (low, high) = order::ends(ends.map(|point| point[0]));
    let value = |i: usize| {
        let ln_c = low + (high - low) * i as f64 / (VALUES - 1) as f64;
        let there = curves.iter().enumerate().filter_map(|(k, curve)| Some((k, curve.at(ln_c)?)));
        Value { ln_c, there: there.collect() }
    };
    (0..VALUES).map(value).collect()
}

/// The winners at the FLOP values among the curves chosen, and how many were left out because the best size was an end
/// of the range.
fn envelope(curves: &[Curve], values: &[Value], chosen: &[bool]) -> (Vec<Winner>, usize) {
    let (mut winners, mut at_edge) = (Vec::new(), 0);
    for value in values {
        let there = || value.there.iter().filter(|(k, _)| chosen[*k]);
        let Some((best, [ln_d, _])) = there().min_by(|a, b| a.1[1].total_cmp(&b.1[1])) else { continue };
        let is_end = |end: Option<&(usize, [f64; 2])>| end.is_some_and(|(k, _)| k == best);
        if is_end(there().next()) || is_end(there().next_back()) {
            at_edge += 1;
        } else {
            winners.push([value.ln_c, curves[*best].ln_n, *ln_d]);
        }
    }
    (winners, at_edge)
}

/// Straight lines of ln N and ln D in ln C, where enough sizes have won.
fn laws(winners: &[Winner]) -> Option<[Line; 2]> {
    let mut sizes: Vec<f64> = winners.iter().map(|winner| winner[1]).collect();
    sizes.sort_by(f64::total_cmp);
    sizes.dedup();
    if sizes.len() < MIN_WINNERS {
        return None;
    }
    let column = |k: usize| winners.iter().map(|winner| winner[k]).collect::<Vec<_>>();
    let design = Design::new(&column(0));
    Some([design.line(&column(1)), design.line(&column(2))])
}

/// At `compared` FLOP values there are sizes enough to choose from; `open` says what may be anything.
fn conclusion(fit: &Approach1, open: Option<&str>, compared: usize) -> String {
    let (Some(n), Some(d)) = (&fit.n_opt, &fit.d_opt) else {
        return match fit.status {
            Status::TooFewPoints => "Approach 1 needs at least 5 sizes.".to_owned(),
            _ if open.is_some() => format!("Not identified: {}.", open.unwrap_or_default()),
            Status::EdgeMinimum => {
                "At most FLOP values the smallest or the largest size is best: the optimum is outside the range of \
                 sizes."
                    .to_owned()
            }
            _ if 10 * compared < VALUES => format!(
                "Not identified: only at {compared} of {VALUES} FLOP values can {MIN_WINNERS} or more sizes be \
                 compared. An envelope needs each size at many numbers of tokens; an IsoFLOP grid does not have them."
            ),
            _ => "Not identified: fewer than 3 sizes inside the range are the best one at any FLOP value, in the data \
                 or in too many resamples."
                .to_owned(),
        };
    };
    format!(
        "On the envelope N_opt grows as C^{} and D_opt as C^{}. The envelope has few different sizes; the intervals \
         show this only in part.",
        words(n.exponent),
        words(d.exponent)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_anything_is_told_as_that_and_not_as_too_few_sizes() {
        let fit = Approach1 {
            counting: Counting::All,
            status: Status::NotIdentified,
            points: 90,
            on_envelope: 1000,
            at_edge: 0,
            n_opt: None,
            d_opt: None,
            tokens_per_param: Vec::new(),
            conclusion: String::new(),
        };
        let known = open(1e18, Estimate { value: 20.0, low: 1.0, high: 400.0 });
        let told = conclusion(&fit, Some(&known), VALUES);
        assert_eq!(told, "Not identified: tokens per parameter at 1e18 FLOPs may be anything from 1.00 to 400.");
        assert!(conclusion(&fit, None, VALUES).contains("fewer than 3 sizes"));
    }
}
