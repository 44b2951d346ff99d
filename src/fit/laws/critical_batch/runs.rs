//! The critical batch size from a table of runs or training curves: at each of several losses, the fewest steps that
//! every batch size needs, the hyperbola through them, and how its critical batch moves with loss and with data.
//!
//! Rows of one batch size may be checkpoints of several runs, of several learning rates say: the fewest steps to a loss
//! are read off their lower envelope, since each batch counts at its tuned learning rate; repeats are one run by then
//! (`repeats.rs`), or the batch with most seeds would need the fewest steps. Intervals resample the
//! residuals of batch sizes, one draw for all losses, because the same runs reach them all.

use std::fmt::Write as _;

use rand::RngExt;
use serde::{Deserialize, Serialize};

use crate::fit::estimate::{too_many_lost, words};
use crate::fit::laws::critical_batch::{Hyperbola, against_loss, hyperbola, power_law};
use crate::fit::laws::law::large;
use crate::fit::numerics::bootstrap::Bootstrap;
use crate::fit::numerics::chance::widening;
use crate::fit::numerics::regress::distinct;
use crate::fit::numerics::residuals::Residuals;
use crate::fit::{Estimate, Status};

/// Losses that are chosen where none is asked for.
const TARGETS: usize = 5;

/// Losses shared by batch sizes that are all taken.
const MOST_NAMED: usize = 12;

/// One row: batch size, steps, loss.
pub type Row = [f64; 3];

/// What one loss costs at each batch size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Target {
    /// The loss that is reached, in nats per token.
    pub loss: f64,
    /// Batch sizes that reach it.
    pub batches: usize,
    /// Whether the numbers may be used.
    pub status: Status,
    /// Least steps, with unlimited batch.
    pub min_steps: Option<Estimate>,
    /// Least examples, with the smallest batch, in the unit of the batch.
    pub min_examples: Option<Estimate>,
    /// Their ratio, the critical batch.
    pub critical_batch: Option<Estimate>,
}

/// Kaplan's law, `B_crit` = B* / `L^(1/alpha_B)`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LossLaw {
    /// The critical batch at a loss of one nat.
    pub b_star: Estimate,
    /// The exponent.
    pub alpha_b: Estimate,
}

/// `B_crit` as a power law in the least examples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct DataLaw {
    /// Batch at one example.
    pub coefficient: Estimate,
    /// The exponent.
    pub exponent: Estimate,
}

/// The critical batch size of a table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CriticalBatch {
    /// Whether there is a critical batch to use.
    pub status: Status,
    /// Rows used.
    pub points: usize,
    /// One for each loss, the highest first.
    pub targets: Vec<Target>,
    /// The critical batch against loss, where at least three losses have one that is known.
    pub against_loss: Option<LossLaw>,
    /// The critical batch against data, likewise.
    pub against_examples: Option<DataLaw>,
    /// Residuals in log steps.
    pub residuals: Option<Residuals>,
    /// What was drawn with replacement for the intervals, which are 95% percentiles.
    pub resampled: String,
    /// What may be concluded, in a sentence.
    pub conclusion: String,
}

/// A loss with the hyperbola through what each batch needs.
struct Fitted {
    loss: f64,
    /// Batch and steps.
    points: Vec<(f64, f64)>,
    law: Hyperbola,
    /// Residuals in log steps, widened for the two unknowns and the small number of batch sizes.
    residuals: Vec<f64>,
}

/// Fits the hyperbolas at the losses `targets`, or at losses that all batch sizes reach where there are none, and the
/// two laws of the critical batch. It never fails: what the data do not decide is a status.
pub fn fit(rows: &[Row], targets: &[f64], bootstrap: &Bootstrap) -> CriticalBatch {
    let curves = envelopes(rows);
    let mut losses = if targets.is_empty() { choose(&curves) } else { targets.to_vec() };
    losses.sort_by(|a, b| b.total_cmp(a));
    let fitted: Vec<Result<Fitted, Target>> = losses.iter().map(|&loss| fit_one(&curves, loss)).collect();
    let found: Vec<&Fitted> = fitted.iter().filter_map(|fitted| fitted.as_ref().ok()).collect();
    let draws: Vec<Vec<Hyperbola>> = bootstrap.draws(|rng| {
        let donors: Vec<f64> = curves.iter().map(|_| rng.random()).collect();
        found.iter().map(|fitted| fitted.resample(&donors)).collect()
    });
    let mut at = 0..;
    let mut target = |fitted: &Fitted| at.next().map(|at| fitted.target(&draws.iter().map(|draw| draw[at])));
    let targets: Vec<Target> = fitted
        .iter()
        .filter_map(|fitted| fitted.as_ref().map_or_else(|target| Some(target.clone()), &mut target))
        .collect();
    // A critical batch that is not identified says nothing of a law either.
    let known = |loss: f64| {
        targets.iter().any(|target| target.loss.total_cmp(&loss).is_eq() && target.status == Status::Converged)
    };
    let laws = |hyperbolas: &mut dyn Iterator<Item = Hyperbola>| {
        let all = found.iter().map(|fitted| fitted.loss).zip(hyperbolas);
        let all: Vec<(f64, Hyperbola)> = all.filter(|(loss, _)| known(*loss)).collect();
        let pairs = |of: fn(&(f64, Hyperbola)) -> f64| {
            all.iter().map(|pair| (of(pair), pair.1.critical_batch())).collect::<Vec<_>>()
        };
        // The exponent in the loss is -1/alpha_B: alpha_B itself goes through infinity where the critical batch is constant.
        let loss = against_loss(&pairs(|(loss, _)| *loss)).map(|law| [law.b_star, 1.0 / law.alpha_b]);
        let data =
            power_law(&pairs(|(_, law)| law.min_examples)).map(|(coefficient, exponent)| [coefficient, exponent]);
        [loss, data]
    };
    let value = laws(&mut found.iter().map(|fitted| fitted.law));
    let drawn: Vec<_> = draws.iter().map(|draw| laws(&mut draw.iter().copied())).collect();
    let all: Vec<f64> = found.iter().flat_map(|fitted| fitted.residuals.clone()).collect();
    let count = |status| targets.iter().filter(|target| target.status == status).count();
    let status = match () {
        () if count(Status::Converged) > 0 => Status::Converged,
        () if found.is_empty() => Status::TooFewPoints,
        () if count(Status::EdgeMinimum) > 0 => Status::EdgeMinimum,
        () => Status::NotIdentified,
    };
    let usable = status == Status::Converged;
    let law = |which: usize| {
        let value = value[which]?;
        let of = |k: usize| drawn.iter().filter_map(move |draw| Some(draw[which]?[k]));
        Some([0, 1].map(|k| Estimate::from_draws(value[k], of(k)))).filter(|_| usable)
    };
    let mut result = CriticalBatch {
        status,
        points: rows.len(),
        against_loss: law(0).and_then(|[b_star, inverse]| Some(LossLaw { b_star, alpha_b: reciprocal(inverse)? })),
        against_examples: law(1).map(|[coefficient, exponent]| DataLaw { coefficient, exponent }),
        residuals: (!all.is_empty()).then(|| Residuals::of(all.into_iter())),
        resampled: "residuals of batch sizes".to_owned(),
        conclusion: String::new(),
        targets,
    };
    result.conclusion = conclusion(&result);
    result
}

/// One over a number; nothing where that may be zero.
fn reciprocal(Estimate { value, low, high }: Estimate) -> Option<Estimate> {
    (low * high > 0.0).then(|| Estimate { value: 1.0 / value, low: 1.0 / high, high: 1.0 / low })
}

/// For each batch size the steps at which a new lowest loss is reached: batch, then (ln steps, ln loss).
fn envelopes(rows: &[Row]) -> Vec<(f64, Vec<[f64; 2]>)> {
    let mut sorted = rows.to_vec();
    sorted.sort_by(|a, b| a[0].total_cmp(&b[0]).then(a[1].total_cmp(&b[1])).then(a[2].total_cmp(&b[2])));
    let envelope = |rows: &[Row]| {
        let mut lowest = f64::INFINITY;
        let mut points = Vec::new();
        for [_, steps, loss] in rows {
            if *loss < lowest {
                lowest = *loss;
                points.push([steps.ln(), loss.ln()]);
            }
        }
        (rows[0][0], points)
    };
    sorted.chunk_by(|a, b| a[0].total_cmp(&b[0]).is_eq()).map(envelope).collect()
}

/// Losses that at least three batch sizes name exactly, or evenly spaced ones that all batch sizes pass.
fn choose(curves: &[(f64, Vec<[f64; 2]>)]) -> Vec<f64> {
    let mut named: Vec<f64> = curves.iter().flat_map(|(_, points)| points.iter().map(|point| point[1])).collect();
    named.sort_by(f64::total_cmp);
    let shared: Vec<f64> = named
        .chunk_by(|a, b| (a - b).abs() < 1e-12)
        .filter(|group| group.len() >= 3)
        .map(|group| group[0].exp())
        .collect();
    if !shared.is_empty() {
        // A table of checkpoints may share hundreds of them.
        let step = if shared.len() > MOST_NAMED { shared.len().div_ceil(TARGETS) } else { 1 };
        return shared.into_iter().step_by(step).collect();
    }
    let ends = |end: fn(&[[f64; 2]]) -> Option<&[f64; 2]>| curves.iter().filter_map(move |(_, p)| Some(end(p)?[1]));
    let high = ends(<[[f64; 2]]>::first).fold(f64::INFINITY, f64::min);
    let low = ends(<[[f64; 2]]>::last).fold(f64::NEG_INFINITY, f64::max);
    if low > high || !low.is_finite() {
        return Vec::new();
    }
    (0..TARGETS).map(|i| (low + (high - low) * i as f64 / (TARGETS - 1) as f64).exp()).collect()
}

/// Steps to a loss, straight in the logarithms between the points of an envelope.
fn steps_to(points: &[[f64; 2]], ln_loss: f64) -> Option<f64> {
    let after = points.iter().position(|point| point[1] <= ln_loss + 1e-12)?;
    let right = points[after];
    let Some(left) = after.checked_sub(1).map(|before| points[before]) else {
        // Reached before the first point: when is not known.
        return ((right[1] - ln_loss).abs() < 1e-9).then(|| right[0].exp());
    };
    let share = (left[1] - ln_loss) / (left[1] - right[1]);
    Some((left[0] + share * (right[0] - left[0])).exp())
}

fn fit_one(curves: &[(f64, Vec<[f64; 2]>)], loss: f64) -> Result<Fitted, Target> {
    let points: Vec<(f64, f64)> =
        curves.iter().filter_map(|(batch, points)| Some((*batch, steps_to(points, loss.ln())?))).collect();
    let Some(law) = hyperbola(&points).filter(|_| points.len() >= 4) else {
        let status = Status::TooFewPoints;
        let (min_steps, min_examples, critical_batch) = (None, None, None);
        return Err(Target { loss, batches: points.len(), status, min_steps, min_examples, critical_batch });
    };
    let freedom = points.len() - 2;
    let wider = widening(freedom) * (points.len() as f64 / freedom as f64).sqrt();
    let residuals = points.iter().map(|(batch, steps)| wider * (steps / law.steps(*batch)).ln()).collect();
    Ok(Fitted { loss, points, law, residuals })
}

impl Fitted {
    /// The hyperbola of steps that err as those of the batch sizes drawn by `donors`, numbers from 0 to 1.
    fn resample(&self, donors: &[f64]) -> Hyperbola {
        let count = self.points.len();
        let shaken: Vec<(f64, f64)> = self
            .points
            .iter()
            .zip(donors)
            .map(|((batch, _), donor)| {
                let donor = ((donor * count as f64) as usize).min(count - 1);
                (*batch, self.law.steps(*batch) * self.residuals[donor].exp())
            })
            .collect();
        hyperbola(&shaken).unwrap_or(self.law)
    }

    fn target(&self, draws: &(impl Iterator<Item = Hyperbola> + Clone)) -> Target {
        let batches = || self.points.iter().map(|(batch, _)| *batch);
        let (low, high) = batches().fold((f64::INFINITY, 0.0_f64), |(low, high), b| (low.min(b), high.max(b)));
        let inside = |law: &Hyperbola| (low / 10.0..high * 10.0).contains(&law.critical_batch());
        let (lost, count) = draws.clone().fold((0, 0), |(l, n), law| (l + usize::from(!inside(&law)), n + 1));
        let critical = self.law.critical_batch();
        let status = match () {
            () if too_many_lost(lost, count) => Status::NotIdentified,
            () if critical < low || critical > high => Status::EdgeMinimum,
            () => Status::Converged,
        };
        let estimate =
            |of: &dyn Fn(&Hyperbola) -> f64| Some(Estimate::from_draws(of(&self.law), draws.clone().map(|d| of(&d))));
        Target {
            loss: self.loss,
            batches: distinct(batches()),
            status,
            min_steps: estimate(&|law| law.min_steps),
            min_examples: estimate(&|law| law.min_examples),
            critical_batch: estimate(&Hyperbola::critical_batch),
        }
    }
}

fn conclusion(fit: &CriticalBatch) -> String {
    let found = fit.targets.iter().filter(|target| target.status == Status::Converged);
    let lowest = found.filter_map(|target| Some((target.loss, target.critical_batch?))).next_back();
    let Some((loss, batch)) = lowest else {
        return match fit.status {
            Status::EdgeMinimum => {
                "The critical batch size is outside the batch sizes that were trained: train smaller and larger \
                 batches."
            }
            Status::NotIdentified => {
                "Not identified: in too many resamples the critical batch size is more than tenfold outside the batch \
                 sizes trained."
            }
            _ => {
                "The fit needs at least 4 batch sizes that reach the same loss; choose losses with --target-loss, or \
                 train for longer."
            }
        }
        .to_owned();
    };
    let mut text = format!(
        "To reach a loss of {loss:.4}, a batch of {} costs twice the least steps and twice the least data.",
        large(batch)
    );
    if let Some(DataLaw { exponent, .. }) = fit.against_examples {
        text += &with_data(exponent);
    }
    match fit.against_loss {
        Some(LossLaw { alpha_b, .. }) => {
            let _ = write!(text, " Against loss alpha_B is {}", words(alpha_b));
            text += if alpha_b.high < 0.0 {
                ": below zero, so that the critical batch falls as the loss does, against Kaplan's law."
            } else {
                "."
            };
        }
        None if fit.against_examples.is_some() => {
            text += " That it changes with the loss is not shown: alpha_B is not identified.";
        }
        None => {}
    }
    text
}

/// How the critical batch goes with data.
fn with_data(exponent: Estimate) -> String {
    let law = format!("as D^{}", words(exponent));
    if exponent.low > 0.0 {
        format!(" The critical batch grows with data {law}.")
    } else if exponent.high < 0.0 {
        format!(" The critical batch falls as data grow, {law}.")
    } else {
        format!(
            " That the critical batch changes with data is not shown: it goes {law}, and the interval includes zero."
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOTSTRAP: Bootstrap = Bootstrap { resamples: 100, seed: 1 };

    /// Curves at eight batch sizes, whose critical batch is 2e6 / L^(1/0.3) and least steps 300 / (L - 1.5).
    fn curves(noise: f64) -> Vec<Row> {
        let mut rows = Vec::new();
        for i in 0..8_i32 {
            let batch = 1e3 * 4_f64.powi(i);
            for k in 0..60 {
                let loss = 4.0 - 0.04 * f64::from(k);
                let law = Hyperbola { min_steps: 300.0 / (loss - 1.5), min_examples: 0.0 };
                let critical = 2e6 / loss.powf(1.0 / 0.3);
                let wobble = 1.0 + noise * (f64::from(i * 7919 % 13) / 6.0 - 1.0);
                rows.push([batch, law.min_steps * (1.0 + critical / batch) * wobble, loss]);
            }
        }
        rows
    }

    #[test]
    fn the_critical_batch_and_its_law_of_the_loss_come_back() {
        let found = fit(&curves(0.0), &[3.5, 3.0, 2.5], &BOOTSTRAP);
        assert_eq!(found.status, Status::Converged, "{}", found.conclusion);
        for target in &found.targets {
            let truth = 2e6 / target.loss.powf(1.0 / 0.3);
            assert!((target.critical_batch.unwrap().value / truth - 1.0).abs() < 1e-3, "{target:?}");
        }
        let law = found.against_loss.unwrap();
        assert!((law.b_star.value / 2e6 - 1.0).abs() < 0.01 && (law.alpha_b.value - 0.3).abs() < 1e-3, "{law:?}");
        assert!(found.against_examples.unwrap().exponent.value > 0.0);
    }

    #[test]
    fn noise_gives_intervals_that_hold_the_truth_and_targets_are_found() {
        let found = fit(&curves(0.02), &[], &BOOTSTRAP);
        assert_eq!(found.targets.len(), TARGETS);
        for target in &found.targets {
            let batch = target.critical_batch.unwrap();
            let width = batch.high / batch.low;
            assert!((1.01..1.3).contains(&width), "{target:?}");
            // The noise is the same at every loss, so the intervals may miss together, by a little.
            let truth = 2e6 / target.loss.powf(1.0 / 0.3);
            assert!(truth > batch.low / width && truth < batch.high * width, "{target:?}");
        }
        assert!((found.against_loss.unwrap().alpha_b.value - 0.3).abs() < 0.02, "{found:?}");
    }

    #[test]
    fn a_critical_batch_that_does_not_change_has_no_exponent_in_the_loss() {
        // 3e4 at every loss, with a scatter of its own for each batch and loss.
        let mut rows = Vec::new();
        for (i, k) in (0..8_i32).flat_map(|i| (0..60).map(move |k| (i, k))) {
            let (batch, loss) = (1e3 * 4_f64.powi(i), 4.0 - 0.04 * f64::from(k));
            let wobble = 1.0 + 0.03 * (f64::from((i * 7919 + k / 10 * 104_729) % 13) / 6.0 - 1.0);
            rows.push([batch, 300.0 / (loss - 1.5) * (1.0 + 3e4 / batch) * wobble, loss]);
        }
        let found = fit(&rows, &[], &BOOTSTRAP);
        assert_eq!((found.status, found.against_loss), (Status::Converged, None), "{}", found.conclusion);
        assert!(found.conclusion.contains("alpha_B is not identified"), "{}", found.conclusion);
        assert_eq!(
            reciprocal(Estimate { value: 2.0, low: 1.0, high: 4.0 }).map(|x| [x.low, x.high]),
            Some([0.25, 1.0])
        );
    }

    #[test]
    fn an_exponent_of_data_is_said_to_be_above_zero_below_it_or_neither() {
        let said = |low, high| with_data(Estimate { value: f64::midpoint(low, high), low, high });
        assert_eq!(said(0.2, 0.4), " The critical batch grows with data as D^0.300 (0.200 to 0.400).");
        assert_eq!(said(-0.4, -0.2), " The critical batch falls as data grow, as D^-0.300 (-0.400 to -0.200).");
        assert!(said(-0.1, 0.3).contains("is not shown: it goes as D^0.100 (-0.100 to 0.300)"));
        // Critical batches that grow with the loss: 3e3 L^2, alpha_B -0.5.
        let mut rows = Vec::new();
        for (i, k) in (0..8_i32).flat_map(|i| (0..60).map(move |k| (i, k))) {
            let (batch, loss) = (1e3 * 4_f64.powi(i), 4.0 - 0.04 * f64::from(k));
            rows.push([batch, 300.0 / (loss - 1.5) * (1.0 + 3e3 * loss * loss / batch), loss]);
        }
        let found = fit(&rows, &[3.8, 3.0, 2.5, 2.0], &BOOTSTRAP);
        assert!((found.against_loss.unwrap().alpha_b.value + 0.5).abs() < 1e-3, "{found:?}");
        assert!(found.conclusion.contains("falls as the loss does, against Kaplan's law"), "{}", found.conclusion);
    }

    #[test]
    fn losses_whose_critical_batch_is_unknown_take_no_part_in_the_laws() {
        // Below 2.8 every batch costs the same data: the critical batch is far above all that were trained.
        let cut = |row: &Row| if row[2] < 2.8 { [row[0], 1e10 / row[0] / (row[2] - 1.5), row[2]] } else { *row };
        let rows: Vec<Row> = curves(0.0).iter().map(cut).collect();
        let found = fit(&rows, &[3.5, 2.5, 2.2, 2.0], &BOOTSTRAP);
        let statuses: Vec<Status> = found.targets.iter().map(|target| target.status).collect();
        assert_eq!(statuses.iter().filter(|status| **status == Status::Converged).count(), 1, "{statuses:?}");
        assert_eq!((found.status, found.against_loss), (Status::Converged, None), "one loss has no law");
        assert_eq!(found.against_examples, None);
    }

    #[test]
    fn few_batches_and_batches_far_below_the_critical_one_are_statuses() {
        let few: Vec<Row> = curves(0.0).into_iter().filter(|row| row[0] < 2e4).collect();
        assert_eq!(fit(&few, &[3.0], &BOOTSTRAP).status, Status::TooFewPoints);
        let small = |row: &Row| [row[0], 1e9 / row[0] / (row[2] - 1.5), row[2]];
        let small: Vec<Row> = curves(0.0).iter().filter(|row| row[0] < 1e6).map(small).collect();
        let found = fit(&small, &[3.0], &BOOTSTRAP);
        assert_ne!(found.status, Status::Converged, "{found:?}");
        assert_eq!(fit(&[], &[], &BOOTSTRAP).status, Status::TooFewPoints);
        assert_eq!(fit(&curves(0.0), &[1.0], &BOOTSTRAP).status, Status::TooFewPoints, "never reached");
    }
}
