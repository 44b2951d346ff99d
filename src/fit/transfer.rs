//! Whether a hyper-parameter tuned on a small model holds on a wide one (Yang et al. 2022, arXiv 2203.03466, figure 1).
//!
//! At each width a parabola of the loss in log2 of the learning rate, through the points around the lowest one: far
//! from the optimum the loss is no parabola, on one side it diverges. The drift is the slope of the optima in log2 of
//! width, in octaves for each doubling: 0 is perfect transfer, -1 halves the best rate with each doubling. What reuse
//! costs is the loss of each width's parabola at the smallest width's optimum, above its own minimum. Intervals come
//! from resampled, leverage-corrected residuals, pooled over the widths because each has only a few.

use rand::RngExt;
use serde::{Deserialize, Serialize};

use super::bootstrap::Bootstrap;
use super::regress::{Design, Parabola};
use super::{Estimate, Status};

/// Different learning rates of the parabola: two to either side of the lowest.
const WINDOW: usize = 5;

/// One trained point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Run {
    /// Width of the model, or whatever is scaled.
    pub width: f64,
    /// Learning rate, or whatever is tuned.
    pub learning_rate: f64,
    /// Final loss in nats per token; runs that diverged are left out or infinite.
    pub loss: f64,
}

/// The optimum of one width.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct WidthOptimum {
    /// The width.
    pub width: f64,
    /// Whether the numbers below may be used; they are absent where they may not.
    pub status: Status,
    /// The best learning rate.
    pub learning_rate: Option<Estimate>,
    /// Loss lost by using the smallest width's optimum here, in nats.
    pub lost: Option<Estimate>,
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

/// The points of one width around its lowest loss.
struct Sweep {
    width: f64,
    x: Vec<f64>,
    losses: Vec<f64>,
    fitted: Option<(Design, Parabola)>,
}

/// Fits the optima and their drift. It never fails: what the data do not decide is a status.
pub fn fit(runs: &[Run], bootstrap: &Bootstrap) -> Transfer {
    let sweeps = split(runs);
    let usable: Vec<&Sweep> = sweeps.iter().filter(|sweep| sweep.status() == Status::Converged).collect();
    let pool = residuals(&usable);
    let original: Vec<Parabola> = usable.iter().filter_map(|sweep| Some(sweep.fitted.as_ref()?.1)).collect();
    let draws: Vec<Vec<Parabola>> = bootstrap.draws(|rng| {
        let resample = |sweep: &&Sweep| {
            let (design, parabola) = sweep.fitted.as_ref()?;
            let noisy: Vec<f64> =
                sweep.x.iter().map(|x| parabola.at(*x) + pool[rng.random_range(0..pool.len())]).collect();
            Some(design.parabola(&noisy))
        };
        usable.iter().filter_map(resample).collect()
    });
    let estimate =
        |of: &dyn Fn(&[Parabola]) -> f64| Estimate::from_draws(of(&original), draws.iter().map(|draw| of(draw)));
    let mut next = 0;
    let widths = sweeps
        .iter()
        .map(|sweep| {
            let status = sweep.status();
            let place = (status == Status::Converged).then(|| {
                next += 1;
                next - 1
            });
            WidthOptimum {
                width: sweep.width,
                status,
                learning_rate: place.map(|k| estimate(&|p| p[k].vertex()).map(f64::exp2)),
                lost: place.map(|k| estimate(&|p| p[k].at(p[0].vertex()) - p[k].at(p[k].vertex()))),
            }
        })
        .collect();
    let drift = (usable.len() >= 2).then(|| {
        let design = Design::new(&usable.iter().map(|sweep| sweep.width.log2()).collect::<Vec<_>>());
        estimate(&|p| design.line(&p.iter().map(Parabola::vertex).collect::<Vec<_>>()).slope)
    });
    let status = match usable.len() {
        3.. => Status::Converged,
        1 | 2 => Status::TooFewPoints,
        _ => sweeps.first().map_or(Status::TooFewPoints, Sweep::status),
    };
    Transfer { status, conclusion: conclusion(status, drift), widths, drift }
}

fn split(runs: &[Run]) -> Vec<Sweep> {
    let mut rows: Vec<[f64; 3]> = runs
        .iter()
        .filter(|run| run.loss.is_finite())
        .map(|run| [run.width, run.learning_rate.log2(), run.loss])
        .collect();
    rows.sort_by(|a, b| {
        (0..3).map(|k| a[k].total_cmp(&b[k])).find(|order| order.is_ne()).unwrap_or(std::cmp::Ordering::Equal)
    });
    rows.chunk_by(|a, b| a[0].total_cmp(&b[0]).is_eq()).map(Sweep::new).collect()
}

impl Sweep {
    fn new(rows: &[[f64; 3]]) -> Self {
        // Mean loss of each rate over its seeds says which rate is lowest.
        let rates: Vec<&[[f64; 3]]> = rows.chunk_by(|a, b| a[1].total_cmp(&b[1]).is_eq()).collect();
        let mean = |group: &&[[f64; 3]]| group.iter().map(|row| row[2]).sum::<f64>() / group.len() as f64;
        let lowest = (0..rates.len()).min_by(|&i, &j| mean(&rates[i]).total_cmp(&mean(&rates[j]))).unwrap_or(0);
        let first = lowest.saturating_sub(WINDOW / 2).min(rates.len().saturating_sub(WINDOW));
        let near = rates[first..(first + WINDOW).min(rates.len())].concat();
        let (x, losses): (Vec<f64>, Vec<f64>) = near.iter().map(|row| (row[1], row[2])).unzip();
        let fitted = (rates.len() >= 4).then(|| {
            let design = Design::new(&x);
            let parabola = design.parabola(&losses);
            (design, parabola)
        });
        Self { width: rows[0][0], x, losses, fitted }
    }

    fn status(&self) -> Status {
        let Some((_, parabola)) = &self.fitted else { return Status::TooFewPoints };
        let (low, high) = (self.x[0], self.x[self.x.len() - 1]);
        if parabola.curvature() * (high - low).powi(2) <= 1e-12 * self.losses[0].abs() {
            Status::NotIdentified
        } else if parabola.vertex() <= low || parabola.vertex() >= high {
            Status::EdgeMinimum
        } else {
            Status::Converged
        }
    }
}

fn residuals(sweeps: &[&Sweep]) -> Vec<f64> {
    let mut pool = Vec::new();
    for sweep in sweeps {
        let Some((design, parabola)) = &sweep.fitted else { continue };
        pool.extend(
            sweep
                .x
                .iter()
                .zip(&sweep.losses)
                .enumerate()
                .map(|(i, (x, loss))| (loss - parabola.at(*x)) / (1.0 - design.leverage(i)).max(0.05).sqrt()),
        );
    }
    let mean = pool.iter().sum::<f64>() / pool.len().max(1) as f64;
    pool.iter().map(|residual| residual - mean).collect()
}

fn conclusion(status: Status, drift: Option<Estimate>) -> String {
    let Some(drift) = drift else {
        return format!(
            "No drift can be told ({}): at least two widths need their best rate inside the sweep.",
            status.name()
        );
    };
    let octaves =
        format!("{:+.2} octaves per doubling of width ({:+.2} to {:+.2})", drift.value, drift.low, drift.high);
    let says = if !drift.holds(0.0) {
        "the best learning rate moves with width"
    } else if drift.high - drift.low < 0.5 {
        "the best learning rate transfers"
    } else {
        "the data do not tell whether the best learning rate moves"
    };
    let caution = if status == Status::TooFewPoints { ", from two widths only" } else { "" };
    format!("{octaves}: {says}{caution}.")
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOTSTRAP: Bootstrap = Bootstrap { resamples: 200, seed: 1 };

    /// Seven rates at four widths; the optimum starts at 2^-8 and moves by `drift` octaves a doubling.
    fn sweep(drift: f64, noise: f64) -> Vec<Run> {
        let run = |i: i32| {
            let (doubling, octave) = (i / 9, i % 9);
            let (x, best) = (f64::from(octave - 12), -8.0 + drift * f64::from(doubling));
            let wobble = noise * (f64::from((i * 7919) % 13) / 6.0 - 1.0);
            let loss = 3.0 - 0.1 * f64::from(doubling) + 0.02 * (x - best).powi(2) + wobble;
            Run { width: 64.0 * f64::from(1 << doubling), learning_rate: x.exp2(), loss }
        };
        (0..36).map(run).collect()
    }

    #[test]
    fn a_rate_that_halves_with_each_doubling_drifts_by_one_octave() {
        let result = fit(&sweep(-1.0, 0.0), &BOOTSTRAP);
        let drift = result.drift.unwrap();
        assert!((drift.value + 1.0).abs() < 1e-9, "{drift:?}");
        assert_eq!(result.status, Status::Converged);
        // Three octaves away at the widest: 0.02 x 9.
        assert!((result.widths[3].lost.unwrap().value - 0.18).abs() < 1e-9, "{:?}", result.widths);
        assert!((result.widths[0].learning_rate.unwrap().value.log2() + 8.0).abs() < 1e-9);
        assert!(result.conclusion.contains("moves with width"), "{}", result.conclusion);
    }

    #[test]
    fn a_rate_that_stays_transfers_and_the_interval_holds_zero() {
        let result = fit(&sweep(0.0, 0.003), &BOOTSTRAP);
        assert!(result.drift.unwrap().holds(0.0), "{result:?}");
        assert!(result.conclusion.contains("transfers"), "{}", result.conclusion);
        assert!(result.widths[3].lost.unwrap().value < 0.005);
    }

    #[test]
    fn a_best_rate_at_the_end_of_the_sweep_is_an_edge_minimum() {
        let falling: Vec<Run> =
            sweep(0.0, 0.0).into_iter().filter(|run| run.learning_rate < 1.1 * (-9.0_f64).exp2()).collect();
        let result = fit(&falling, &BOOTSTRAP);
        assert_eq!(result.status, Status::EdgeMinimum);
        assert!(result.drift.is_none() && result.widths.iter().all(|width| width.learning_rate.is_none()));
    }

    #[test]
    fn diverged_runs_are_passed_over_and_few_points_are_a_status() {
        let mut runs = sweep(-0.5, 0.0);
        let diverged = Run { loss: f64::INFINITY, learning_rate: 1.0, width: 64.0 };
        runs.push(diverged);
        assert!((fit(&runs, &BOOTSTRAP).drift.unwrap().value + 0.5).abs() < 1e-9);
        assert_eq!(fit(&runs[..3], &BOOTSTRAP).status, Status::TooFewPoints);
        assert_eq!(fit(&[], &BOOTSTRAP).status, Status::TooFewPoints);
    }
}
