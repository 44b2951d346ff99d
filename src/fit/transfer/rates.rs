//! Whether a learning rate tuned on a small model holds on a wide one (Yang et al. 2022, arXiv 2203.03466, figure 1).
//!
//! At each width the optimum is the lowest point of the loss over log2 of the learning rate (`fit/numerics/valley.rs`). The drift
//! is the slope of the optima in log2 of width, in octaves for each doubling: 0 is perfect transfer, -1 halves the best
//! rate with each doubling. What reuse costs is the loss of each width at the narrowest one's optimum, above its own
//! minimum.
//!
//! Intervals come from resamples that add the scatter between seeds to every run, look for the lowest one anew, and draw the side
//! of the fourth rate too: the two cubics miss the minimum to either side.

use rand::RngExt;
use serde::{Deserialize, Serialize};

use crate::fit::estimate::too_many_lost;
use crate::fit::numerics::bootstrap::Bootstrap;
use crate::fit::numerics::regress::Design;
use crate::fit::transfer::valley::{self, End, Side, Valley};
use crate::fit::{Estimate, Status};

/// A drift of at most this many octaves for each doubling counts as transfer.
pub const NEAR: f64 = 0.5;

/// One trained point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Run {
    /// Width of the model, or whatever is scaled.
    pub width: f64,
    /// Learning rate, or whatever is tuned.
    pub learning_rate: f64,
    /// Final loss in nats per token; infinite where the run diverged, and not a number where it has none, as it failed or has not
    /// ended.
    pub loss: f64,
}

/// The optimum of one width.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WidthOptimum {
    /// The width.
    pub width: f64,
    /// Whether the numbers below may be used; they are absent where they may not.
    pub status: Status,
    /// The best learning rate.
    pub learning_rate: Option<Estimate>,
    /// Loss at the best learning rate, in nats per token.
    pub loss: Option<Estimate>,
    /// Loss lost by using here the optimum of the narrowest width that has one, in nats, which is 0 at that width itself; absent where
    /// that optimum lies outside the rates trained.
    pub lost: Option<Estimate>,
    /// Why there is no optimum.
    pub open: Option<Open>,
}

/// Why a width has no best rate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Open {
    /// The lowest loss is at this rate, the lowest that was trained.
    AtMost(f64),
    /// The lowest loss is at this rate, the highest that was trained.
    AtLeast(f64),
    /// The lowest loss is at the first of these rates, and runs diverged at the other, the next.
    Diverged(f64, f64),
    /// Every rate has a run that diverged.
    AllDiverged,
    /// No run has a loss, and none diverged.
    NoLoss,
    /// Too few rates, or the scatter of runs is too large.
    Untold,
}

impl Open {
    /// In words, behind the width; `what` was tuned, such as a rate.
    pub fn words(self, what: &str) -> String {
        match self {
            Self::AtMost(rate) => format!("the lowest loss is at {}, the lowest {what}: train lower ones", short(rate)),
            Self::AtLeast(rate) => {
                format!("the lowest loss is at {}, the highest {what}: train higher ones", short(rate))
            }
            Self::Diverged(rate, next) => format!(
                "the lowest loss is at {}, and at {} runs diverged: train {what}s between them",
                short(rate),
                short(next)
            ),
            Self::AllDiverged => format!("runs diverged at every {what}: train lower ones"),
            Self::NoLoss => "none of its runs has a loss".to_owned(),
            Self::Untold => format!("too few {what}s, or runs scatter too much, to tell it"),
        }
    }
}

/// A rate in words, to three digits.
fn short(rate: f64) -> String {
    let rate: f64 = format!("{rate:.2e}").parse().unwrap_or(rate);
    if (1e-3..1e3).contains(&rate) { rate.to_string() } else { format!("{rate:e}") }
}

/// How the optimum moves with width.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Transfer {
    /// Whether the drift may be used; it is absent where it may not.
    pub status: Status,
    /// One for each width, ascending.
    pub widths: Vec<WidthOptimum>,
    /// Octaves of the best learning rate for each doubling of width.
    pub drift: Option<Estimate>,
    /// What may be concluded, in a sentence.
    pub conclusion: String,
}

impl Transfer {
    /// The width whose best learning rate the others are tried with: the narrowest that has one.
    pub fn base(&self) -> Option<f64> {
        self.widths.iter().find(|width| width.learning_rate.is_some()).map(|width| width.width)
    }

    /// Loss lost at a width by using the best learning rate of the base, in nats; nothing at the base itself, whose loss with its own
    /// rate tells nothing of transfer.
    pub fn lost(&self, width: &WidthOptimum) -> Option<Estimate> {
        width.lost.filter(|_| self.base().is_some_and(|base| base.total_cmp(&width.width).is_ne()))
    }

    /// The same at the widest model.
    pub fn gap(&self) -> Option<Estimate> {
        self.widths.last().and_then(|widest| self.lost(widest))
    }
}

/// The runs that belong together, such as those of one parameterization, and what they say.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// Name of the parameterization, with the values of whatever else the sweep varies.
    pub parameterization: String,
    /// The runs that have a loss, or diverged.
    pub runs: Vec<Run>,
    /// Their optima and drift.
    pub transfer: Transfer,
}

/// What `fits.json` holds of a [`Group`]: lists by width, with nothing where there is no optimum.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GroupSummary {
    /// Name of the parameterization, with the values of whatever else the sweep varies.
    pub parameterization: String,
    /// Whether the drift may be used.
    pub status: Status,
    /// Widths, ascending.
    pub widths: Vec<f64>,
    /// Whether each width has an optimum.
    pub statuses: Vec<Status>,
    /// Best learning rate of each width.
    pub best_lr: Vec<Option<f64>>,
    /// Lower end of its 95% interval.
    pub low: Vec<Option<f64>>,
    /// Upper end of its 95% interval.
    pub high: Vec<Option<f64>>,
    /// Loss of each width at its best learning rate, in nats per token.
    pub best_loss: Vec<Option<f64>>,
    /// Loss lost by each width at the narrowest one's best learning rate, in nats.
    pub lost: Vec<Option<Estimate>>,
    /// Octaves of the best learning rate for each doubling of width.
    pub drift_octaves_per_doubling: Option<Estimate>,
    /// Loss lost by the widest, in nats.
    pub transfer_loss_gap: Option<Estimate>,
    /// What may be concluded, in a sentence.
    pub conclusion: String,
}

impl From<&Group> for GroupSummary {
    fn from(group: &Group) -> Self {
        let Group { parameterization, transfer, .. } = group;
        let rates = |part: fn(Estimate) -> f64| {
            transfer.widths.iter().map(|width| width.learning_rate.map(part)).collect::<Vec<_>>()
        };
        Self {
            parameterization: parameterization.clone(),
            status: transfer.status,
            widths: transfer.widths.iter().map(|width| width.width).collect(),
            statuses: transfer.widths.iter().map(|width| width.status).collect(),
            best_lr: rates(|rate| rate.value),
            low: rates(|rate| rate.low),
            high: rates(|rate| rate.high),
            best_loss: transfer.widths.iter().map(|width| width.loss.map(|loss| loss.value)).collect(),
            lost: transfer.widths.iter().map(|width| width.lost).collect(),
            drift_octaves_per_doubling: transfer.drift,
            transfer_loss_gap: transfer.gap(),
            conclusion: transfer.conclusion.clone(),
        }
    }
}

/// The curve of one width.
struct Curve {
    width: f64,
    valley: Valley,
    /// Rates at which a run diverged.
    diverged: Vec<f64>,
}

impl Curve {
    /// Why it has no lowest point inside.
    fn open(&self) -> Option<Open> {
        let status = self.valley.status();
        if status == Status::Converged {
            return None;
        }
        if self.valley.is_empty() {
            return Some(if self.diverged.is_empty() { Open::NoLoss } else { Open::AllDiverged });
        }
        let rate = self.valley.lowest_point()[0].exp2();
        let next = self.diverged.iter().copied().filter(|other| *other > rate).fold(f64::INFINITY, f64::min);
        Some(match self.valley.end() {
            _ if status == Status::NotIdentified => Open::Untold,
            Some(End::Last) if next.is_finite() => Open::Diverged(rate, next),
            _ if status == Status::TooFewPoints => Open::Untold,
            Some(End::First) => Open::AtMost(rate),
            _ => Open::AtLeast(rate),
        })
    }
}

/// Fits the optima and their drift. It never fails: what the data do not decide is a status.
pub fn fit(runs: &[Run], bootstrap: &Bootstrap) -> Transfer {
    let curves = curves(runs);
    let usable: Vec<&Curve> = curves.iter().filter(|curve| curve.valley.status() == Status::Converged).collect();
    let pool = valley::scatter(usable.iter().map(|curve| &curve.valley));
    if pool.is_empty() && !usable.is_empty() {
        return without_scatter(&curves);
    }
    let mut told = usable.clone();
    // Where resamples end at the rates trained the best one may lie beyond these: such a width has none, and no other is compared
    // with it.
    let drawn = loop {
        let drawn = Drawn::of(&told, &pool, bootstrap);
        let kept: Vec<&Curve> = (0..told.len()).filter(|k| drawn.is_told(*k)).map(|k| told[k]).collect();
        if kept.len() == told.len() {
            break drawn;
        }
        told = kept;
    };
    let place = |curve: &Curve| told.iter().position(|other| other.width.total_cmp(&curve.width).is_eq());
    let width = |curve: &Curve| {
        let (own, place) = (curve.valley.status(), place(curve));
        WidthOptimum {
            width: curve.width,
            status: if own == Status::Converged && place.is_none() { Status::NotIdentified } else { own },
            learning_rate: place.map(|k| drawn.estimate(|o| o[k].vertex).map(f64::exp2)),
            loss: place.map(|k| drawn.estimate(|o| o[k].loss)),
            lost: place.map(|k| drawn.estimate(|o| o[k].lost)).filter(|lost| lost.value.is_finite()),
            open: curve.open().or_else(|| place.is_none().then_some(Open::Untold)),
        }
    };
    let widths: Vec<WidthOptimum> = curves.iter().map(width).collect();
    let drift = (told.len() >= 2).then(|| {
        let design = Design::new(&told.iter().map(|curve| curve.width.log2()).collect::<Vec<_>>());
        drawn.estimate(|o| design.line(&o.iter().map(|o| o.vertex).collect::<Vec<_>>()).slope)
    });
    let status = match told.len() {
        // What the widest does is the question.
        3.. => widths.last().map_or(Status::TooFewPoints, |widest| widest.status),
        1 | 2 => Status::TooFewPoints,
        _ if !usable.is_empty() => Status::NotIdentified,
        _ => curves.first().map_or(Status::TooFewPoints, |curve| curve.valley.status()),
    };
    let used: Vec<f64> = told.iter().map(|curve| curve.width).collect();
    Transfer { status, conclusion: conclusion(status, drift, &widths, &used), widths, drift }
}

/// What the runs and their resamples say of some widths.
struct Drawn {
    original: Vec<Optimum>,
    draws: Vec<Vec<Optimum>>,
}

impl Drawn {
    fn of(curves: &[&Curve], pool: &[f64], bootstrap: &Bootstrap) -> Self {
        let original = optima(curves, |valley| (Side::Lower, valley.drawn(|loss| loss)));
        let draws = bootstrap.draws(|rng| {
            optima(curves, |valley| {
                let side = if rng.random_range(0..2) == 0 { Side::Left } else { Side::Right };
                (side, valley.drawn(|loss| loss + pool[rng.random_range(0..pool.len())]))
            })
        });
        Self { original, draws }
    }

    fn estimate(&self, of: impl Fn(&[Optimum]) -> f64) -> Estimate {
        Estimate::from_draws(of(&self.original), self.draws.iter().map(|draw| of(draw)))
    }

    /// Whether the best rate of a width lies inside of those that were trained, in nearly all resamples.
    fn is_told(&self, k: usize) -> bool {
        let lost = self.draws.iter().filter(|draw| draw[k].at_end).count();
        !too_many_lost(lost, self.draws.len())
    }
}

/// Curves whose noise is not known: their lowest points could be anywhere.
fn without_scatter(curves: &[Curve]) -> Transfer {
    let width = |curve: &Curve| WidthOptimum {
        width: curve.width,
        status: match curve.valley.status() {
            Status::Converged => Status::NotIdentified,
            other => other,
        },
        learning_rate: None,
        loss: None,
        lost: None,
        open: Some(curve.open().unwrap_or(Open::Untold)),
    };
    Transfer {
        status: Status::NotIdentified,
        conclusion: format!("The drift is not determined: {}.", valley::NO_SCATTER),
        widths: curves.iter().map(width).collect(),
        drift: None,
    }
}

/// What one (re)sample says of a width.
struct Optimum {
    /// log2 of the best rate; where that is an end of the rates trained, this end.
    vertex: f64,
    at_end: bool,
    loss: f64,
    /// NaN where the narrowest width's optimum lies outside the rates of this one.
    lost: f64,
}

fn optima(curves: &[&Curve], mut draw: impl FnMut(&Valley) -> (Side, Valley)) -> Vec<Optimum> {
    let mut narrowest = None;
    let of = |curve: &&Curve| {
        let (side, valley) = draw(&curve.valley);
        let [vertex, loss] = valley.bottom_or_end(side);
        let reused = *narrowest.get_or_insert(vertex);
        let at_end = valley.status() != Status::Converged;
        Optimum { vertex, at_end, loss, lost: valley.at(side, reused) - loss }
    };
    curves.iter().map(of).collect()
}

/// One curve a width, ascending. A rate at which a run diverged is none that could be used, whatever its other seeds did.
fn curves(runs: &[Run]) -> Vec<Curve> {
    let mut sorted: Vec<&Run> = runs.iter().collect();
    sorted.sort_by(|a, b| a.width.total_cmp(&b.width));
    let curve = |same: &[&Run]| {
        let diverged: Vec<f64> =
            same.iter().filter(|run| run.loss.is_infinite()).map(|run| run.learning_rate).collect();
        let kept = same.iter().filter(|run| run.loss.is_finite() && !diverged.contains(&run.learning_rate));
        let valley = Valley::new(kept.map(|run| [run.learning_rate.log2(), run.loss]).collect());
        Curve { width: same[0].width, valley, diverged }
    };
    sorted.chunk_by(|a, b| a.width.total_cmp(&b.width).is_eq()).map(curve).collect()
}

/// `used` are the widths behind the drift.
fn conclusion(status: Status, drift: Option<Estimate>, widths: &[WidthOptimum], used: &[f64]) -> String {
    let open: Vec<&WidthOptimum> = widths.iter().filter(|one| one.learning_rate.is_none()).collect();
    let without = |one: &&WidthOptimum| {
        let why = one.open.unwrap_or(Open::Untold).words("rate");
        format!(" Width {} has no best rate: {why}.", one.width)
    };
    let without: String = open.iter().map(without).collect();
    let (Some(drift), [narrowest, .., widest]) = (drift, used) else {
        let needed = "at least two widths need their best learning rate inside the sweep";
        return format!("The drift is not determined ({}): {needed}.{without}", status.name());
    };
    let octaves =
        format!("{:+.2} octaves per doubling of width ({:+.2} to {:+.2})", drift.value, drift.low, drift.high);
    let doublings = (widest / narrowest).log2();
    let in_all = drift.map(|octaves| octaves * doublings);
    let in_all = format!(
        "{:+.2} octaves ({:+.2} to {:+.2}) from width {narrowest} to {widest}",
        in_all.value, in_all.low, in_all.high
    );
    let is_widest = widths.last().is_some_and(|one| one.learning_rate.is_none());
    let says = if drift.high < -NEAR || drift.low > NEAR {
        "the best learning rate moves with width".to_owned()
    } else if is_widest {
        format!("up to width {widest} alone, so that these runs do not show whether the best learning rate transfers")
    } else {
        let far = drift.low < -NEAR || drift.high > NEAR;
        let not_shown = "the data do not show whether";
        match (drift.holds(0.0), far) {
            (true, false) => "the best learning rate transfers".to_owned(),
            (true, true) => {
                format!("{not_shown} the best learning rate moves by more than half an octave per doubling")
            }
            (false, false) => {
                format!(
                    "the best learning rate transfers within half an octave per doubling, but it does move: {in_all}"
                )
            }
            (false, true) => {
                format!("the best learning rate moves: {in_all}; {not_shown} by more than half an octave per doubling")
            }
        }
    };
    let caution = if used.len() == 2 { ", from two widths only" } else { "" };
    format!("{octaves}: {says}{caution}.{without}")
}

#[cfg(test)]
mod tests;
