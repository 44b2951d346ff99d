//! What the composition of the data changes: the best mixture at each size, whether mixtures differ by an offset or in slope, and
//! whether the best of small models is the best of large ones.
//!
//! The loss on each part follows the law of mixtures (Ye et al. 2024, arXiv 2403.16952, equation 8) at each size by itself. The
//! best mixture is the lowest point of the mean of these laws, among the shares that were trained. Mixtures that differ by
//! the same number of nats at all sizes differ by an offset; ranks are compared as by Liu et al. 2024 (`RegMix`, arXiv 2407.01492).

use std::fmt::Write as _;

use rand::RngExt;
use serde::{Deserialize, Serialize};

use crate::columns::SHARE;
use crate::fit::formula::{self, Data, Formula, Law, Measure, Residual};
use crate::fit::laws::forms::mixtures;
use crate::fit::numerics::bootstrap::Bootstrap;
use crate::fit::numerics::chance::{student, widening};
use crate::fit::numerics::ranks::spearman;
use crate::fit::{Estimate, Status};

/// One run.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// The share of each part.
    pub shares: Vec<f64>,
    /// Parameters.
    pub params: f64,
    /// Training tokens.
    pub tokens: f64,
    /// The loss on each part, or one that is all that is known.
    pub losses: Vec<f64>,
}

/// A mixture that was trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mixture {
    /// Its shares in words.
    pub name: String,
    /// The share of each part.
    pub shares: Vec<f64>,
}

/// A size, with its tokens.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Size {
    /// Parameters.
    pub params: f64,
    /// Training tokens.
    pub tokens: f64,
}

/// The best mixture of one size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// Whether it lies inside of the shares that were trained, and is known.
    pub status: Status,
    /// The share of each part; nothing where there are too few mixtures for the law.
    pub shares: Vec<Estimate>,
    /// Loss there by the law, in nats per token.
    pub loss: Option<Estimate>,
    /// The best of those that were trained.
    pub trained: Option<usize>,
}

/// What a mixture is measured on: all parts alike, or one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Target {
    /// Its name.
    pub name: String,
    /// Losses by size and mixture, means over seeds.
    pub losses: Vec<Vec<Option<f64>>>,
    /// The best mixture of each size.
    pub best: Vec<Best>,
    /// Nats between two mixtures at the largest size for each nat between them at the smallest: 1 where mixtures differ by an
    /// offset; nothing where the runs do not tell.
    pub growth: Option<Estimate>,
    /// Rank correlation of the mixtures between the smallest and the largest size.
    pub rank: Option<Estimate>,
    /// Nats that the best mixture of the smallest size loses at the largest, against the best there.
    pub lost: Option<Estimate>,
}

/// What the composition changes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Composition {
    /// Whether the best mixtures for all parts alike may be used.
    pub status: Status,
    /// Runs used.
    pub points: usize,
    /// The parts.
    pub parts: Vec<String>,
    /// The mixtures, in the order of the table.
    pub mixtures: Vec<Mixture>,
    /// The sizes, from the cheapest.
    pub sizes: Vec<Size>,
    /// All parts alike, then each by itself.
    pub targets: Vec<Target>,
    /// What may be concluded, in a sentence.
    pub conclusion: String,
}

/// What all parts alike are called.
const ALL: &str = "all parts";
/// Starts of the law of each part.
const STARTS: usize = 24;

/// Compares mixtures of `parts`, measured on what `measured` names. It never fails: what the data do not decide is a status.
pub fn fit(parts: &[String], measured: &[String], runs: &[Run], bootstrap: &Bootstrap) -> Composition {
    let grid = Grid::of(parts, runs);
    let several = measured.len() > 1;
    // What each target is the mean of.
    let all = (ALL.to_owned(), (0..measured.len()).collect::<Vec<_>>());
    let each = measured.iter().enumerate().map(|(at, name)| (name.clone(), vec![at]));
    let wanted: Vec<(String, Vec<usize>)> = several.then_some(all).into_iter().chain(each).collect();
    let best: Vec<Vec<Best>> =
        (0..grid.sizes.len()).map(|size| best(&grid, size, (parts, measured.len()), &wanted, bootstrap)).collect();
    let target = |(at, (name, of)): (usize, &(String, Vec<usize>))| {
        let losses: Vec<Vec<Option<f64>>> = (0..grid.sizes.len()).map(|size| grid.means(size, of)).collect();
        let ends = [losses.first(), losses.last()].map(|losses| losses.map_or(&[][..], Vec::as_slice));
        let pairs: Vec<[f64; 2]> =
            ends[0].iter().zip(ends[1]).filter_map(|(small, large)| Some([(*small)?, (*large)?])).collect();
        let pairs = if grid.sizes.len() > 1 { pairs } else { Vec::new() };
        let over = |of: fn(&[[f64; 2]]) -> Option<f64>| over_mixtures(&pairs, of, bootstrap);
        Target {
            name: name.clone(),
            best: best.iter().map(|size| size[at].clone()).collect(),
            growth: growth(&pairs),
            rank: over(spearman),
            lost: over(lost),
            losses,
        }
    };
    let targets: Vec<Target> = wanted.iter().enumerate().map(target).collect();
    let first = targets.first().map_or(&[][..], |target| &target.best);
    let worst = first.iter().map(|best| best.status).find(|status| *status != Status::Converged);
    let status = if first.is_empty() { Status::TooFewPoints } else { worst.unwrap_or(Status::Converged) };
    let conclusion = conclusion(parts, &grid.sizes, status, targets.first());
    let Grid { mixtures, sizes, .. } = grid;
    Composition { status, points: runs.len(), parts: parts.to_vec(), mixtures, sizes, targets, conclusion }
}

/// Runs by size and mixture.
struct Grid {
    mixtures: Vec<Mixture>,
    sizes: Vec<Size>,
    /// Mean losses of each size and mixture; nothing where none was trained.
    losses: Vec<Vec<Vec<f64>>>,
}

impl Grid {
    fn of(parts: &[String], runs: &[Run]) -> Self {
        let same = |a: f64, b: f64| (a - b).abs() <= 1e-6 * a.abs().max(b.abs());
        let alike = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-6);
        let (mut mixtures, mut sizes) = (Vec::<Mixture>::new(), Vec::<Size>::new());
        for run in runs {
            if !mixtures.iter().any(|mixture| alike(&mixture.shares, &run.shares)) {
                mixtures.push(Mixture { name: words(parts, &run.shares), shares: run.shares.clone() });
            }
            if !sizes.iter().any(|size| same(size.params, run.params) && same(size.tokens, run.tokens)) {
                sizes.push(Size { params: run.params, tokens: run.tokens });
            }
        }
        sizes.sort_by(|a, b| (a.params * a.tokens).total_cmp(&(b.params * b.tokens)));
        let mean = |size: &Size, mixture: &Mixture| {
            let here = runs.iter().filter(|run| {
                same(size.params, run.params) && same(size.tokens, run.tokens) && alike(&mixture.shares, &run.shares)
            });
            let repeats: Vec<&Vec<f64>> = here.map(|run| &run.losses).collect();
            let of = |at: usize| repeats.iter().map(|losses| losses[at]).sum::<f64>() / repeats.len() as f64;
            repeats.first().map_or(Vec::new(), |first| (0..first.len()).map(of).collect())
        };
        let losses = sizes.iter().map(|size| mixtures.iter().map(|mixture| mean(size, mixture)).collect()).collect();
        Self { mixtures, sizes, losses }
    }

    /// The mean of some losses for each mixture of a size.
    fn means(&self, size: usize, of: &[usize]) -> Vec<Option<f64>> {
        let mean = |losses: &Vec<f64>| {
            (!losses.is_empty()).then(|| of.iter().map(|at| losses[*at]).sum::<f64>() / of.len() as f64)
        };
        self.losses[size].iter().map(mean).collect()
    }
}

/// Shares in words.
fn words(parts: &[String], shares: &[f64]) -> String {
    let part = |(name, share): (&String, &f64)| format!("{name} {share:.2}");
    parts.iter().zip(shares).map(part).collect::<Vec<_>>().join(", ")
}

/// The law of one part at one size, with what it leaves.
struct PartLaw {
    law: Law,
    data: Data,
    values: Vec<f64>,
    predicted: Vec<f64>,
    residuals: Vec<f64>,
}

const MEASURE: Measure = Measure { residual: Residual::Plain, delta: f64::INFINITY, above: 1.0 };

impl PartLaw {
    /// Nothing where the law is no number from any start.
    fn fit(parts: &[String], shares: &[&Vec<f64>], losses: Vec<f64>, seed: u64) -> Option<Self> {
        let columns: Vec<String> = parts.iter().map(|part| format!("{SHARE}{part}")).collect();
        let formula = Formula::parse(&mixtures::formula(&columns, true)?).ok()?;
        let law = formula.law(&|name| columns.iter().any(|column| column == name), &[]).ok()?;
        let column = |at: usize| shares.iter().map(|shares| shares[at]).collect::<Vec<f64>>();
        let columns = columns.iter().enumerate().map(|(at, name)| (name.clone(), column(at))).collect();
        let data = Data { columns, loss: losses, ..Data::default() };
        let (values, predicted) = {
            let bound = law.bind(&data).ok()?;
            let found = formula::solve(&bound, MEASURE, STARTS, seed)?;
            let predicted = bound.predict(&found.values);
            (found.values, predicted)
        };
        // Widened by the freedom that the fit took, and from percentiles of the normal distribution to Student's.
        let freedom = data.len().saturating_sub(values.len()).max(1);
        let widened = (data.len() as f64 / freedom as f64).sqrt() * widening(freedom);
        let residuals = data.loss.iter().zip(&predicted).map(|(loss, law)| widened * (loss - law)).collect();
        Some(Self { law, data, values, predicted, residuals })
    }

    /// The law of a copy of the runs, each with the residual of another.
    fn again(&self, drawn: &[usize]) -> Option<Vec<f64>> {
        let loss = self.predicted.iter().zip(drawn).map(|(law, row)| law + self.residuals[*row]).collect();
        let copy = Data { loss, ..self.data.clone() };
        let bound = self.law.bind(&copy).ok()?;
        formula::again(&bound, MEASURE, &bound.even(), &[&self.values])
    }
}

/// c + k exp(sum of t times share) by its numbers in the order of the formula.
fn loss_at(values: &[f64], shares: &[f64]) -> f64 {
    let exponent: f64 = values[2..].iter().zip(shares).map(|(t, share)| t * share).sum();
    values[0] + values[1] * exponent.exp()
}

/// The best mixture of a size for each target, with intervals from copies of its runs.
fn best(
    grid: &Grid,
    size: usize,
    (parts, measured): (&[String], usize),
    wanted: &[(String, Vec<usize>)],
    bootstrap: &Bootstrap,
) -> Vec<Best> {
    let here: Vec<usize> = (0..grid.mixtures.len()).filter(|mixture| !grid.losses[size][*mixture].is_empty()).collect();
    let shares: Vec<&Vec<f64>> = here.iter().map(|mixture| &grid.mixtures[*mixture].shares).collect();
    let losses = |at: usize| here.iter().map(|mixture| grid.losses[size][*mixture][at]).collect::<Vec<f64>>();
    let enough = here.len() >= parts.len() + 3;
    let law = |at: usize| PartLaw::fit(parts, &shares, losses(at), bootstrap.seed);
    let laws: Option<Vec<PartLaw>> = if enough { (0..measured).map(law).collect() } else { None };
    let trained = |of: &[usize]| {
        let means = grid.means(size, of);
        let known = means.iter().enumerate().filter_map(|(mixture, loss)| Some((mixture, (*loss)?)));
        known.min_by(|a, b| a.1.total_cmp(&b.1)).map(|(mixture, _)| mixture)
    };
    let unknown = |of: &[usize]| {
        let status = if enough { Status::NotIdentified } else { Status::TooFewPoints };
        Best { status, shares: Vec::new(), loss: None, trained: trained(of) }
    };
    let Some(laws) = laws else { return wanted.iter().map(|(_, of)| unknown(of)).collect() };
    let range = Range::of(&shares);
    let lowest = |values: &[Vec<f64>], of: &[usize]| {
        range.lowest(&|shares| of.iter().map(|at| loss_at(&values[*at], shares)).sum::<f64>() / of.len() as f64)
    };
    let found: Vec<Vec<f64>> = laws.iter().map(|law| law.values.clone()).collect();
    let draws: Vec<Vec<(Vec<f64>, f64)>> = bootstrap.draws(|rng| {
        // One draw for all parts: the residuals of a run go together.
        let drawn: Vec<usize> = here.iter().map(|_| rng.random_range(0..here.len())).collect();
        let values: Option<Vec<Vec<f64>>> = laws.iter().map(|law| law.again(&drawn)).collect();
        values.map_or(Vec::new(), |values| wanted.iter().map(|(_, of)| lowest(&values, of)).collect())
    });
    let of_target = |(at, (_, of)): (usize, &(String, Vec<usize>))| {
        let (shares, loss) = lowest(&found, of);
        let drawn = || draws.iter().filter_map(|draw| draw.get(at));
        let share = |part: usize| Estimate::from_draws(shares[part], drawn().map(|(shares, _)| shares[part]));
        let estimates: Vec<Estimate> = (0..shares.len()).map(share).collect();
        let loss = Estimate::from_draws(loss, drawn().map(|(_, loss)| *loss));
        let status = range.status(&estimates);
        Best { status, shares: estimates, loss: Some(loss), trained: trained(of) }
    };
    wanted.iter().enumerate().map(of_target).collect()
}

/// The shares that were trained of each part, least and greatest.
struct Range {
    low: Vec<f64>,
    high: Vec<f64>,
    /// The mean of all mixtures, from which the search begins.
    middle: Vec<f64>,
}

/// The first and the last step of the search, in shares.
const STEPS: [f64; 2] = [0.125, 1e-4];

impl Range {
    fn of(shares: &[&Vec<f64>]) -> Self {
        let column = |part: usize| shares.iter().map(move |shares| shares[part]);
        let parts = 0..shares.first().map_or(0, |shares| shares.len());
        Self {
            low: parts.clone().map(|part| column(part).fold(f64::INFINITY, f64::min)).collect(),
            high: parts.clone().map(|part| column(part).fold(0.0, f64::max)).collect(),
            middle: parts.map(|part| column(part).sum::<f64>() / shares.len() as f64).collect(),
        }
    }

    /// Where a function of shares is least: shares go from part to part in steps that halve when none helps.
    fn lowest(&self, value: &dyn Fn(&[f64]) -> f64) -> (Vec<f64>, f64) {
        let (mut at, mut least) = (self.middle.clone(), value(&self.middle));
        let parts = at.len();
        let mut step = STEPS[0];
        while step >= STEPS[1] {
            let mut moved = false;
            for (from, to) in (0..parts).flat_map(|from| (0..parts).map(move |to| (from, to))) {
                let step = step.min(at[from] - self.low[from]).min(self.high[to] - at[to]);
                if from == to || step <= 0.0 {
                    continue;
                }
                let mut next = at.clone();
                (next[from], next[to]) = (at[from] - step, at[to] + step);
                let there = value(&next);
                if there < least - 1e-12 {
                    (at, least, moved) = (next, there, true);
                }
            }
            if !moved {
                step /= 2.0;
            }
        }
        (at, least)
    }

    fn status(&self, shares: &[Estimate]) -> Status {
        let near = |x: f64, edge: f64| (x - edge).abs() < 10.0 * STEPS[1];
        let parts = || shares.iter().enumerate();
        if parts().any(|(part, share)| near(share.low, self.low[part]) && near(share.high, self.high[part])) {
            return Status::NotIdentified;
        }
        let at_edge =
            parts().any(|(part, share)| near(share.value, self.low[part]) || near(share.value, self.high[part]));
        if at_edge { Status::EdgeMinimum } else { Status::Converged }
    }
}

/// Nats between two mixtures at the largest size for each nat at the smallest. Both are measured with an error, which a regression
/// takes for a lower slope: the value is that of equal errors in both (Deming), and the interval reaches from Student's lower end of
/// the regression of the largest on the smallest to the other one's upper end. Nothing where that is open: then the differences at
/// the smallest size may be errors alone.
fn growth(pairs: &[[f64; 2]]) -> Option<Estimate> {
    let forward = slope(pairs)?;
    let turned: Vec<[f64; 2]> = pairs.iter().map(|[x, y]| [*y, *x]).collect();
    let backward = slope(&turned)?;
    // With sxx, syy, sxy: forward is sxy/sxx, backward sxy/syy, and Deming's slope (syy - sxx + |(syy - sxx, 2 sxy)|) / (2 sxy).
    let tilt = (1.0 / backward.value - 1.0 / forward.value) / 2.0;
    let value = tilt + tilt.hypot(1.0);
    (backward.low > 0.0 && value.is_finite()).then(|| Estimate { value, low: forward.low, high: 1.0 / backward.low })
}

/// The slope of the second of each pair in the first, with Student's interval.
fn slope(pairs: &[[f64; 2]]) -> Option<Estimate> {
    let n = pairs.len();
    let middle = [0, 1].map(|at| pairs.iter().map(|pair| pair[at]).sum::<f64>() / n as f64);
    let from_middle = || pairs.iter().map(|[x, y]| (x - middle[0], y - middle[1]));
    let spread: f64 = from_middle().map(|(x, _)| x * x).sum();
    let value = from_middle().map(|(x, y)| x * y).sum::<f64>() / spread;
    if n < 3 || !value.is_finite() {
        return None;
    }
    let left: f64 = from_middle().map(|(x, y)| (y - value * x).powi(2)).sum();
    let half = student(n - 2) * (left / (n - 2) as f64 / spread).sqrt();
    Some(Estimate { value, low: value - half, high: value + half })
}

/// What the best of the smallest size loses at the largest.
fn lost(pairs: &[[f64; 2]]) -> Option<f64> {
    let chosen = pairs.iter().min_by(|a, b| a[0].total_cmp(&b[0]))?;
    let best = pairs.iter().map(|pair| pair[1]).fold(f64::INFINITY, f64::min);
    Some(chosen[1] - best)
}

/// A number of all mixtures, with its interval over resampled ones.
fn over_mixtures(pairs: &[[f64; 2]], of: fn(&[[f64; 2]]) -> Option<f64>, bootstrap: &Bootstrap) -> Option<Estimate> {
    let value = of(pairs).filter(|_| pairs.len() > 2)?;
    let draws = bootstrap.draws(|rng| {
        let drawn: Vec<[f64; 2]> = pairs.iter().map(|_| pairs[rng.random_range(0..pairs.len())]).collect();
        of(&drawn).unwrap_or(f64::NAN)
    });
    Some(Estimate::from_draws(value, draws))
}

fn conclusion(parts: &[String], sizes: &[Size], status: Status, target: Option<&Target>) -> String {
    let (Some(target), false) = (target, status == Status::TooFewPoints) else {
        return format!("The best of {} parts needs at least {} mixtures of each size.", parts.len(), parts.len() + 3);
    };
    let at = |best: &Best, size: &Size| {
        let share = |(name, share): (&String, &Estimate)| {
            format!("{name} {:.2} ({:.2} to {:.2})", share.value, share.low, share.high)
        };
        let shares: Vec<String> = parts.iter().zip(&best.shares).map(share).collect();
        let edge = match best.status {
            Status::EdgeMinimum => ", at the edge of the shares that were trained",
            Status::NotIdentified => ", which the runs do not decide",
            _ => "",
        };
        format!("{} at {:.3e} parameters{edge}", shares.join(", "), size.params)
    };
    let each: Vec<String> = target.best.iter().zip(sizes).map(|(best, size)| at(best, size)).collect();
    let ends = match each.as_slice() {
        [first, .., last] => format!("{first}; {last}"),
        each => each.concat(),
    };
    let mut text = format!("The best mixture for {}: {ends}.", target.name);
    if let Some(growth) = target.growth {
        let Estimate { value, low, high } = growth;
        let kind = match () {
            () if growth.holds(1.0) => "an offset, as far as these runs tell",
            () if high < 1.0 => "a slope: mixtures come closer as models grow",
            () => "a slope: mixtures part as models grow",
        };
        let _ = write!(
            text,
            " A nat between two mixtures of the smallest model is {value:.2} ({low:.2} to {high:.2}) nats of the largest: {kind}."
        );
    }
    if target.rank.is_some() && target.growth.is_none() {
        text += " Whether mixtures differ by an offset or in slope is not told: their differences at the smallest size may be errors \
                 alone.";
    }
    if let (Some(rank), Some(lost)) = (target.rank, target.lost) {
        let _ = write!(
            text,
            " The ranks of mixtures agree by {:.2} ({:.2} to {:.2}), and the best of the smallest loses {:.4} nats ({:.4} to \
             {:.4}) at the largest.",
            rank.value, rank.low, rank.high, lost.value, lost.low, lost.high
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOTSTRAP: Bootstrap = Bootstrap { resamples: 100, seed: 1 };

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    /// Two parts in shares of tenths, at sizes whose mixtures differ by these factors; a little noise that repeats itself.
    fn runs(factors: &[f64], shares: &[i32]) -> Vec<Run> {
        let run = |(at, factor): (i32, &f64), tenths: i32| {
            let share = f64::from(tenths) / 10.0;
            let noise = 1e-4 * f64::from((tenths * 7 + at * 3) % 5 - 2);
            let loss = |share: f64, rate: f64| 3.0 - f64::from(at) + factor * (-rate * share).exp() + noise;
            Run {
                shares: vec![share, 1.0 - share],
                params: 1e5 * 4.0_f64.powi(at),
                tokens: 1e6,
                losses: vec![loss(share, 2.0), loss(1.0 - share, 5.0)],
            }
        };
        (0..).zip(factors).flat_map(|size| shares.iter().map(move |tenths| run(size, *tenths))).collect()
    }

    #[test]
    fn mixtures_that_come_closer_with_size_are_a_slope_and_the_best_is_between() {
        let found =
            fit(&names(&["a", "b"]), &names(&["a", "b"]), &runs(&[1.0, 0.5], &[1, 2, 3, 4, 5, 6, 7, 8, 9]), &BOOTSTRAP);
        let all = &found.targets[0];
        assert_eq!((found.status, found.mixtures.len(), found.sizes.len()), (Status::Converged, 9, 2), "{found:?}");
        // Where 2 exp(-2 s) is 5 exp(-5 (1 - s)).
        let planted = (5.0 - 2.5_f64.ln()) / 7.0;
        for best in &all.best {
            assert!(
                (best.shares[0].value - planted).abs() < 0.01 && best.shares[0].high - best.shares[0].low < 0.01,
                "{best:?}"
            );
            assert!((best.shares[0].value + best.shares[1].value - 1.0).abs() < 1e-9);
        }
        let growth = all.growth.unwrap();
        assert!((growth.value - 0.5).abs() < 0.01 && growth.high < 1.0, "{growth:?}");
        assert!(found.conclusion.contains("mixtures come closer as models grow"), "{}", found.conclusion);
        // Alone each part wants as much of itself as was trained.
        assert_eq!(
            (found.targets[1].best[0].status, found.targets[2].best[0].status),
            (Status::EdgeMinimum, Status::EdgeMinimum)
        );
        assert!(all.rank.unwrap().value > 0.99 && all.lost.unwrap().value < 1e-3, "{all:?}");
    }

    #[test]
    fn errors_of_the_smallest_size_make_no_slope() {
        // The same differences at both sizes, and errors as large at each: three patterns of signs that say nothing of each other.
        let sign = |at: i32, bit: i32| 0.03 * f64::from(1 - 2 * (at >> bit & 1));
        let pairs: Vec<[f64; 2]> = (0..32).map(|at| [sign(at, 0) + sign(at, 1), sign(at, 0) + sign(at, 2)]).collect();
        assert!(slope(&pairs).unwrap().high < 0.9, "a regression alone says that mixtures come closer");
        let growth = growth(&pairs).unwrap();
        assert!((growth.value - 1.0).abs() < 1e-9 && growth.low < 0.5 && growth.high > 2.0, "{growth:?}");
        // Errors alone say nothing.
        let alone: Vec<[f64; 2]> = (0..32).map(|at| [sign(at, 1), sign(at, 2)]).collect();
        assert_eq!(super::growth(&alone), None);
    }

    #[test]
    fn one_size_has_a_best_mixture_and_too_few_mixtures_say_how_many_are_needed() {
        let one = fit(&names(&["a", "b"]), &names(&["a", "b"]), &runs(&[1.0], &[1, 3, 5, 7, 9]), &BOOTSTRAP);
        assert_eq!((one.status, one.targets[0].growth, one.targets[0].rank), (Status::Converged, None, None));
        let few = fit(&names(&["a", "b"]), &names(&["a", "b"]), &runs(&[1.0, 1.0], &[1, 5, 9]), &BOOTSTRAP);
        assert_eq!(few.status, Status::TooFewPoints);
        assert!(few.conclusion.contains("at least 5 mixtures of each size"), "{}", few.conclusion);
        assert_eq!(few.targets[0].best[0].trained, Some(1), "the best that was trained is known all the same");
        let none = fit(&names(&["a", "b"]), &names(&["a", "b"]), &[], &BOOTSTRAP);
        assert_eq!((none.status, none.points), (Status::TooFewPoints, 0));
    }
}
