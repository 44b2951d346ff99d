//! What pruning of data changes: the error against the number of examples kept, at the best share to keep (Sorscher et
//! al. 2022, arXiv 2206.14486).
//!
//! Runs that keep a share f of their data, the rest pruned by some score, give one curve for each f. Their lower envelope
//! is what pruning can reach. Without pruning it is a power law; where the score knows which examples teach, it may fall
//! like an exponential, and the best share falls as data grow. The lowest of some noisy losses is not yet the best share, so
//! each share is also compared with the largest one, at equal numbers of examples, with an interval.

use serde::{Deserialize, Serialize};

use crate::fit::Status;
use crate::fit::laws::contrast::{self, Contrast, End, Setting};
use crate::fit::laws::power::{Form, Law, Selection, select};
use crate::fit::numerics::bootstrap::Bootstrap;
use crate::fit::numerics::regress::distinct;
use crate::fit::table::{Placed, PlacedBy};

/// One run on pruned data.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Run {
    /// Share of the data that was kept, up to 1.
    pub keep: f64,
    /// Examples or tokens that were kept.
    pub tokens: f64,
    /// Loss or error.
    pub loss: f64,
}

/// A point of the envelope.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// Examples or tokens kept.
    pub tokens: f64,
    /// The share to keep.
    pub keep: f64,
    /// Loss there.
    pub loss: f64,
}

/// What pruning changes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pruning {
    /// Whether the envelope may be used.
    pub status: Status,
    /// Rows used.
    pub points: usize,
    /// The best share at each number of examples kept.
    pub envelope: Vec<Best>,
    /// Each share against the largest, at equal numbers of examples.
    pub shares: Contrast,
    /// Laws of the envelope.
    pub pruned: Selection,
    /// Laws of the largest share kept, which is nearest to no pruning.
    pub unpruned: Selection,
    /// What may be concluded, in a sentence.
    pub conclusion: String,
}

/// ln of tokens and of loss, ascending, of one share.
struct Curve {
    keep: f64,
    points: Vec<[f64; 2]>,
}

/// Fits the laws of the envelope and of the largest share. It never fails: what the data do not decide is a status.
pub fn fit(runs: &[Run], bootstrap: &Bootstrap) -> Pruning {
    let curves = curves(runs);
    let envelope = envelope(&curves);
    let (tokens, losses): (Vec<f64>, Vec<f64>) = envelope.iter().map(|best| (best.tokens, best.loss)).unzip();
    let pruned = select(&tokens, &losses, bootstrap);
    let whole = curves.last().map_or(&[][..], |curve| &curve.points);
    let (tokens, losses): (Vec<f64>, Vec<f64>) = whole.iter().map(|[x, y]| (x.exp(), y.exp())).unzip();
    let unpruned = select(&tokens, &losses, bootstrap);
    let status =
        if distinct(runs.iter().map(|run| run.keep)) < 2 { Status::TooFewPoints } else { of_preferred(&pruned) };
    let shares = against_largest(runs);
    let conclusion = conclusion(status, &envelope, &shares, &pruned);
    Pruning { status, points: runs.len(), envelope, shares, pruned, unpruned, conclusion }
}

/// One curve for each share, the largest last; repeats are averaged in the logarithm.
fn curves(runs: &[Run]) -> Vec<Curve> {
    let mut sorted = runs.to_vec();
    sorted
        .sort_by(|a, b| a.keep.total_cmp(&b.keep).then(a.tokens.total_cmp(&b.tokens)).then(a.loss.total_cmp(&b.loss)));
    let same = |a: f64, b: f64| a.total_cmp(&b).is_eq();
    let mean = |repeats: &[Run]| {
        let ln_loss = repeats.iter().map(|run| run.loss.ln()).sum::<f64>() / repeats.len() as f64;
        [repeats[0].tokens.ln(), ln_loss]
    };
    let curve = |runs: &[Run]| Curve {
        keep: runs[0].keep,
        points: runs.chunk_by(|a, b| same(a.tokens, b.tokens)).map(mean).collect(),
    };
    sorted.chunk_by(|a, b| same(a.keep, b.keep)).map(curve).collect()
}

impl Curve {
    /// ln of the loss, straight between neighbours; nothing outside the curve.
    fn at(&self, ln_tokens: f64) -> Option<f64> {
        let after = self.points.partition_point(|point| point[0] < ln_tokens);
        let right = self.points.get(after)?;
        if right[0] - ln_tokens < 1e-9 {
            return Some(right[1]);
        }
        let left = self.points.get(after.checked_sub(1)?)?;
        Some(left[1] + (ln_tokens - left[0]) / (right[0] - left[0]) * (right[1] - left[1]))
    }
}

/// The best share at every number of tokens that any curve has, where at least two shares can be compared.
fn envelope(curves: &[Curve]) -> Vec<Best> {
    let mut places: Vec<f64> = curves.iter().flat_map(|curve| curve.points.iter().map(|point| point[0])).collect();
    places.sort_by(f64::total_cmp);
    places.dedup_by(|a, b| (*a - *b).abs() < 1e-9);
    let best = |ln_tokens: &f64| {
        let there: Vec<(f64, f64)> =
            curves.iter().filter_map(|curve| Some((curve.keep, curve.at(*ln_tokens)?))).collect();
        let (keep, ln_loss) = there.iter().copied().min_by(|a, b| a.1.total_cmp(&b.1)).filter(|_| there.len() > 1)?;
        Some(Best { tokens: ln_tokens.exp(), keep, loss: ln_loss.exp() })
    };
    places.iter().filter_map(best).collect()
}

/// What keeping less costs at equal numbers of examples, whatever that number is.
fn against_largest(runs: &[Run]) -> Contrast {
    let mut sorted = runs.to_vec();
    sorted.sort_by(|a, b| b.keep.total_cmp(&a.keep));
    let placed = |run: &Run| Placed { loss: run.loss, place: vec![run.tokens.to_string()], ..Placed::default() };
    let shares = sorted.chunk_by(|a, b| a.keep.total_cmp(&b.keep).is_eq());
    contrast::fit(
        &shares.map(|runs| (of_share(runs[0].keep), runs.iter().map(placed).collect())).collect::<Vec<_>>(),
        &PlacedBy { place: vec!["examples kept".to_owned()], tuned: Vec::new() },
    )
}

/// The best share at a number of examples, where the contrast of shares shows there that it is: the lowest of some noisy losses
/// is that of some share everywhere.
fn lowest(best: &Best, shares: &Contrast) -> Option<String> {
    let there = |setting: &Setting| match &setting.trend {
        Some(trend) => {
            let is_there = |end: &&End| (end.at / best.tokens - 1.0).abs() < 1e-6;
            trend.ends.iter().find(is_there).map(|end| end.difference)
        }
        None => setting.difference.filter(|_| setting.shown),
    };
    let name = of_share(best.keep);
    let (largest, others) = shares.settings.split_first()?;
    let is_shown = if largest.name == name {
        others.iter().all(|other| there(other).is_some_and(|difference| difference.low > 0.0))
    } else {
        others.iter().any(|other| other.name == name && there(other).is_some_and(|difference| difference.high < 0.0))
    };
    is_shown.then(|| format!("of {name} at {:.3e}", best.tokens))
}

/// What a share is called.
fn of_share(keep: f64) -> String {
    format!("keeping {keep}")
}

fn conclusion(status: Status, envelope: &[Best], shares: &Contrast, pruned: &Selection) -> String {
    if status == Status::TooFewPoints {
        return "Pruning needs at least two shares kept, and 4 numbers of examples at which they can be compared."
            .to_owned();
    }
    let ends = [envelope.first(), envelope.last()];
    let shown: Vec<String> = ends.into_iter().flatten().filter_map(|best| lowest(best, shares)).collect();
    let lowest = match &shown[..] {
        [] => String::new(),
        shown => format!(" The lowest loss is that {} examples.", shown.join(", and ")),
    };
    let law = match exponential(pruned) {
        Some(true) => "At the best share the loss falls like an exponential rather than a power law",
        Some(false) => "At the best share the loss falls like a power law rather than an exponential",
        None => "The data do not show whether the loss at the best share falls like an exponential or a power law",
    };
    format!("{}{lowest} {law}. Of all forms: {}", shares.conclusion, pruned.conclusion)
}

/// The status of the preferred law. Which of two power laws it is, with a floor or without, does not matter here.
fn of_preferred(pruned: &Selection) -> Status {
    pruned.preferred().map_or(pruned.status, |law| law.status)
}

/// Whether an exponential describes the loss better than a power law with or without a floor; nothing where their `AICc` differ
/// by less than 2, or where the correction for few rows alone decides: it charges an unknown of the exponential more than any fit
/// could gain.
pub fn exponential(selection: &Selection) -> Option<bool> {
    let law = |form| selection.laws.iter().find(|law| law.curve.form == form && law.aicc.is_finite());
    let [pure, offset, exponential] = [law(Form::Pure)?, law(Form::Offset)?, law(Form::Exponential)?];
    let lead = |of: &dyn Fn(&Law) -> f64| of(pure).min(of(offset)) - of(exponential);
    let [corrected, plain] = [lead(&|law| law.aicc), lead(&|law| law.aic(selection.points))];
    let agree = corrected.signum().total_cmp(&plain.signum()).is_eq();
    (agree && corrected.abs().min(plain.abs()) >= 2.0).then_some(corrected > 0.0)
}
