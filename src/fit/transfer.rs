//! Whether a learning rate tuned on a small model holds on a wide one (Yang et al. 2022, arXiv 2203.03466, figure 1).
//!
//! At each width a cubic of the loss in log2 of the learning rate, through the lowest rate, its neighbours and the next
//! on the lower side: a U ends in divergence on one side, and a parabola through rates a factor of 2 apart misses the
//! minimum of such by 0.15 octaves, the cubic by 0.05. The drift is the slope of the optima in log2 of width, in octaves
//! for each doubling: 0 is perfect transfer, -1 halves the best rate with each doubling. What reuse costs is the loss of
//! each width at the narrowest one's optimum, above its own minimum.
//!
//! Intervals come from resamples that add the scatter between seeds to every run and draw the side of the fourth rate
//! too: the two cubics miss the minimum to either side.

use rand::RngExt;
use serde::{Deserialize, Serialize};

use super::bootstrap::Bootstrap;
use super::regress::Design;
use super::{Estimate, Status};

/// A drift of at most this many octaves for each doubling counts as transfer: half of the usual step of a sweep.
pub const HALF_A_STEP: f64 = 0.5;

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
    /// Loss lost by using the narrowest width's optimum here, in nats; absent where that lies outside the rates trained.
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

impl Transfer {
    /// Loss lost at the widest model by using the narrowest one's best learning rate, in nats.
    pub fn gap(&self) -> Option<Estimate> {
        self.widths.last().and_then(|widest| widest.lost)
    }
}

/// The runs that belong together, such as those of one parameterization, and what they say.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// Name of the parameterization, with the values of whatever else the sweep varies.
    pub parameterization: String,
    /// The runs.
    pub runs: Vec<Run>,
    /// Their optima and drift.
    pub transfer: Transfer,
}

/// What `fits.json` holds of a [`Group`]: lists by width, with nothing where there is no optimum.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
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

impl From<&Group> for Summary {
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

/// The losses of one width, by learning rate.
struct Sweep {
    width: f64,
    /// log2 of each rate, ascending, with the losses of its seeds.
    rates: Vec<(f64, Vec<f64>)>,
    /// The rate of the lowest mean loss.
    lowest: usize,
}

/// Fits the optima and their drift. It never fails: what the data do not decide is a status.
pub fn fit(runs: &[Run], bootstrap: &Bootstrap) -> Transfer {
    let sweeps = split(runs);
    let usable: Vec<&Sweep> = sweeps.iter().filter(|sweep| sweep.status() == Status::Converged).collect();
    let pool = scatter(&usable);
    let original: Vec<Optimum> = optima(&usable, Sweep::window, |loss| loss);
    let draws: Vec<Vec<Optimum>> = bootstrap.draws(|rng| {
        let mut sides = (0..usable.len()).map(|_| rng.random_range(0..2)).collect::<Vec<usize>>().into_iter();
        let noise = |loss: f64| if pool.is_empty() { loss } else { loss + pool[rng.random_range(0..pool.len())] };
        optima(&usable, |sweep| sweep.windows()[sides.next().expect("one for each width")], noise)
    });
    let estimate =
        |of: &dyn Fn(&[Optimum]) -> f64| Estimate::from_draws(of(&original), draws.iter().map(|draw| of(draw)));
    let mut next = 0..usable.len();
    let widths = sweeps
        .iter()
        .map(|sweep| {
            let status = sweep.status();
            let place = (status == Status::Converged).then(|| next.next().expect("one for each usable width"));
            WidthOptimum {
                width: sweep.width,
                status,
                learning_rate: place.map(|k| estimate(&|o| o[k].vertex).map(f64::exp2)),
                loss: place.map(|k| estimate(&|o| o[k].loss)),
                lost: place.map(|k| estimate(&|o| o[k].lost)).filter(|lost| lost.value.is_finite()),
            }
        })
        .collect();
    let drift = (usable.len() >= 2).then(|| {
        let design = Design::new(&usable.iter().map(|sweep| sweep.width.log2()).collect::<Vec<_>>());
        estimate(&|o| design.line(&o.iter().map(|o| o.vertex).collect::<Vec<_>>()).slope)
    });
    let status = match usable.len() {
        3.. => Status::Converged,
        1 | 2 => Status::TooFewPoints,
        _ => sweeps.first().map_or(Status::TooFewPoints, Sweep::status),
    };
    Transfer { status, conclusion: conclusion(status, drift), widths, drift }
}

/// What one (re)sample says of a width.
struct Optimum {
    /// log2 of the best rate.
    vertex: f64,
    loss: f64,
    /// NaN where the narrowest width's optimum lies outside the rates of this one.
    lost: f64,
}

fn optima(
    sweeps: &[&Sweep],
    mut window: impl FnMut(&Sweep) -> [usize; 2],
    mut noise: impl FnMut(f64) -> f64,
) -> Vec<Optimum> {
    let mut narrowest = None;
    let of = |sweep: &&Sweep| {
        let noisy: Vec<[f64; 2]> = sweep
            .rates
            .iter()
            .map(|(x, losses)| [*x, losses.iter().map(|loss| noise(*loss)).sum::<f64>() / losses.len() as f64])
            .collect();
        let [from, to] = window(sweep);
        let curve = |x: f64| interpolate(&noisy[from..to], x);
        let vertex = lowest(curve, noisy[sweep.lowest - 1][0], noisy[sweep.lowest + 1][0]);
        let loss = curve(vertex);
        let reused = *narrowest.get_or_insert(vertex);
        let near = reused >= noisy[from][0] && reused <= noisy[to - 1][0];
        // Far from the optimum, the cubic through the rates around the place asked for.
        let lost =
            if near { Some(curve(reused)) } else { around(&noisy, reused).map(|four| interpolate(four, reused)) };
        Optimum { vertex, loss, lost: lost.map_or(f64::NAN, |lost| lost - loss) }
    };
    sweeps.iter().map(of).collect()
}

/// The polynomial through all points, at `x` (Lagrange's form).
fn interpolate(points: &[[f64; 2]], x: f64) -> f64 {
    let weight = |i: usize| -> f64 {
        let others = points.iter().enumerate().filter(|(j, _)| *j != i);
        others.map(|(_, other)| (x - other[0]) / (points[i][0] - other[0])).product()
    };
    points.iter().enumerate().map(|(i, point)| point[1] * weight(i)).sum()
}

/// Where a function with one minimum between `low` and `high` has it, as closely as rounding tells a flat bottom.
fn lowest(f: impl Fn(f64) -> f64, mut low: f64, mut high: f64) -> f64 {
    for _ in 0..52 {
        let third = (high - low) / 3.0;
        if f(low + third) < f(high - third) { high -= third } else { low += third }
    }
    f64::midpoint(low, high)
}

/// The four rates around `x`, two to either side where there are; nothing outside the rates.
fn around(rates: &[[f64; 2]], x: f64) -> Option<&[[f64; 2]]> {
    let above = rates.iter().position(|rate| rate[0] >= x)?;
    let inside = above > 0 || rates[0][0] <= x;
    let from = above.saturating_sub(2).min(rates.len().saturating_sub(4));
    inside.then(|| &rates[from..(from + 4).min(rates.len())])
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
        let rates: Vec<(f64, Vec<f64>)> = rows
            .chunk_by(|a, b| a[1].total_cmp(&b[1]).is_eq())
            .map(|same| (same[0][1], same.iter().map(|row| row[2]).collect()))
            .collect();
        let lowest = (0..rates.len()).min_by(|&i, &j| mean(&rates[i].1).total_cmp(&mean(&rates[j].1))).unwrap_or(0);
        Self { width: rows[0][0], rates, lowest }
    }

    fn status(&self) -> Status {
        if self.rates.len() < 3 {
            Status::TooFewPoints
        } else if self.lowest == 0 || self.lowest == self.rates.len() - 1 {
            // All the same also ends here, at the first.
            let first = self.rates[0].1[0];
            let flat = self.rates.iter().flat_map(|rate| &rate.1).all(|loss| (loss - first).abs() <= 1e-12 * first);
            if flat { Status::NotIdentified } else { Status::EdgeMinimum }
        } else {
            Status::Converged
        }
    }

    /// The rates of the cubic, as a range: the fourth lies on the side of the lower neighbour, if it was trained.
    fn window(&self) -> [usize; 2] {
        let [left, right] = [self.lowest - 1, self.lowest + 1].map(|i| mean(&self.rates[i].1));
        self.windows()[usize::from(right < left)]
    }

    /// The lowest rate, its neighbours, and the next to the left or to the right, if it was trained.
    fn windows(&self) -> [[usize; 2]; 2] {
        let (from, to) = (self.lowest - 1, self.lowest + 2);
        [[from.saturating_sub(1), to], [from, (to + 1).min(self.rates.len())]]
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// How far a run lies from what it would be on average: from the mean of its seeds, over all rates of all cubics, as
/// each alone has only a few. Without repeats, from parabolas through the four rates, whose misfit then counts as
/// scatter.
fn scatter(sweeps: &[&Sweep]) -> Vec<f64> {
    let mut pool = Vec::new();
    for sweep in sweeps {
        let [from, to] = sweep.window();
        for (_, losses) in sweep.rates[from..to].iter().filter(|rate| rate.1.len() > 1) {
            let (n, mean) = (losses.len() as f64, mean(losses));
            pool.extend(losses.iter().map(|loss| (loss - mean) * (n / (n - 1.0)).sqrt()));
        }
    }
    if !pool.is_empty() {
        return pool;
    }
    for sweep in sweeps {
        for [from, to] in sweep.windows() {
            let (x, losses): (Vec<f64>, Vec<f64>) =
                sweep.rates[from..to].iter().map(|rate| (rate.0, rate.1[0])).unzip();
            let design = Design::new(&x);
            let parabola = design.parabola(&losses);
            let residual = |i: usize| (losses[i] - parabola.at(x[i])) / (1.0 - design.leverage(i)).max(0.05).sqrt();
            pool.extend((0..x.len()).map(residual));
        }
    }
    let centre = mean(&pool);
    pool.iter().map(|residual| residual - centre).collect()
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
    let says = if drift.high < -HALF_A_STEP || drift.low > HALF_A_STEP {
        "the best learning rate moves with width"
    } else if drift.low < -HALF_A_STEP || drift.high > HALF_A_STEP {
        "the data do not tell whether the best learning rate moves by more than half a step"
    } else if drift.holds(0.0) {
        "the best learning rate transfers"
    } else {
        "the best learning rate transfers within half a step, but it does move"
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
        assert!((drift.value + 1.0).abs() < 1e-6, "{drift:?}");
        assert_eq!(result.status, Status::Converged);
        // Three octaves away at the widest: 0.02 x 9.
        assert!((result.widths[3].lost.unwrap().value - 0.18).abs() < 1e-6, "{:?}", result.widths);
        assert!((result.widths[0].learning_rate.unwrap().value.log2() + 8.0).abs() < 1e-6);
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
        assert!((fit(&runs, &BOOTSTRAP).drift.unwrap().value + 0.5).abs() < 1e-6);
        assert_eq!(fit(&runs[..2], &BOOTSTRAP).status, Status::TooFewPoints);
        assert_eq!(fit(&[], &BOOTSTRAP).status, Status::TooFewPoints);
    }

    /// An asymmetric U, as measured.
    #[test]
    fn the_interval_holds_the_optimum_of_an_asymmetric_u() {
        for phase in [0.0, 0.25, 0.5, 0.75] {
            let run = |i: i32| {
                let x = f64::from(i % 8) - 10.0;
                let off = x - (-6.5 + phase);
                let noise = 0.004 * (f64::from((i * 7919) % 13) / 6.0 - 1.0);
                let loss = 4.4 + 0.06 * (1.3 * off).exp2() - 0.06 * 1.3 * std::f64::consts::LN_2 * off;
                Run { width: 64.0 * f64::from(1 << (i / 16)), learning_rate: x.exp2(), loss: loss + noise }
            };
            let result = fit(&(0..64).map(run).collect::<Vec<_>>(), &BOOTSTRAP);
            assert!(result.drift.unwrap().holds(0.0), "{phase}: {result:?}");
            for width in &result.widths {
                let rate = width.learning_rate.unwrap().map(f64::log2);
                assert!(rate.holds(-6.5 + phase), "{phase}: {rate:?}");
                assert!(rate.high - rate.low < 1.0, "{rate:?}");
            }
        }
    }

    #[test]
    fn more_scatter_between_seeds_makes_wider_intervals() {
        let twice = |noise: f64| {
            let mut runs = sweep(0.0, 0.0);
            let second: Vec<Run> = runs.iter().map(|run| Run { loss: run.loss + noise, ..*run }).collect();
            runs.extend(second);
            let drift = fit(&runs, &BOOTSTRAP).drift.unwrap();
            drift.high - drift.low
        };
        assert!(twice(0.02) > 3.0 * twice(0.002));
    }
}
