//! One IsoFLOP curve: its runs, its two parabolas, and its resamples. With a steep end, cubics take the place of parabolas
//! ([`super::steep`] says when and how).

use rand::{Rng, RngExt};

use crate::fit::Status;
use crate::fit::approaches::approach2::steep::{self, Steep};
use crate::fit::approaches::least::CURVE_SIZES;
use crate::fit::approaches::surface::Surface;
use crate::fit::estimate::too_many_lost;
use crate::fit::numerics::chance::widening;
use crate::fit::numerics::minimize::search;
use crate::fit::numerics::order::ends;
use crate::fit::numerics::regress::{Cubic, CubicDesign, Design, distinct_logarithms};
use crate::fit::table::budgets::{geometric_mean, same_budget};
use crate::observation::{Counting, Observation};

/// Rows above which every second, third, ... in the order of budget and size is taken.
pub const MOST: usize = 100_000;
/// Least curvature, as a share of the loss, that is not rounding: all losses equal is no minimum.
const ROUNDING: f64 = 1e-12;

/// Number of parameters and number of tokens: each has a parabola of its own.
pub(super) const AXES: [usize; 2] = [0, 1];

/// The runs of one budget with what was fitted to them.
pub(super) struct Curve {
    /// Geometric mean of the budget's FLOPs.
    pub(super) budget: f64,
    points: Vec<Point>,
    fitted: Option<Fitted>,
    /// Runs that a steep end leaves out of the fit; nothing where no end is steep.
    steep: Option<usize>,
}

struct Point {
    x: [f64; 2],
    loss: f64,
    /// Proportional to 1/variance of the loss.
    weight: f64,
    /// How much it counts for how near it is to the bottom of the curve: 1 where no end is steep.
    near: f64,
    /// Runs of the same size and tokens, as a range of points: repeats that differ in their seed.
    repeats: std::ops::Range<usize>,
}

impl Point {
    fn repeats_of(&self, other: &Self) -> bool {
        AXES.iter().all(|&axis| self.x[axis].total_cmp(&other.x[axis]).is_eq())
    }
}

/// How the curve is drawn through its runs.
enum Form {
    Parabola(Design),
    Cubic(CubicDesign),
}

impl Form {
    fn through(&self, losses: &[f64]) -> Cubic {
        match self {
            Self::Parabola(design) => design.parabola(losses).into(),
            Self::Cubic(design) => design.cubic(losses),
        }
    }

    fn leverage(&self, i: usize) -> f64 {
        match self {
            Self::Parabola(design) => design.leverage(i),
            Self::Cubic(design) => design.leverage(i),
        }
    }
}

struct Fitted {
    forms: [Form; 2],
    curves: [Cubic; 2],
    /// Residuals of each curve, of weight 1, corrected for leverage and centred.
    residuals: [Vec<f64>; 2],
    /// Mean loss of the run's repeats, and the run's deviation from it corrected for their small number.
    means: Vec<(f64, f64)>,
    /// Of repeated runs whose means lie about the curves by more than repeats scatter: residuals of the sizes' means, corrected
    /// and centred likewise.
    misfit: Option<[Vec<f64>; 2]>,
}

/// Where one fit, or one resample of it, has its minimum.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Minimum {
    /// log10 of parameters and of tokens at the vertex, where the curve has one that is lowest.
    pub(super) x: [Option<f64>; 2],
    /// Loss at the vertex in parameters.
    pub(super) loss: f64,
    /// Whether both vertices lie within the sizes trained.
    pub(super) interior: bool,
}

/// Sorts observations into curves, by ascending budget; those without a count of this kind are left out.
///
/// The budget is the column `flop_budget`, or the FLOPs where it is absent. With `weighted` a run counts by one over the
/// square of its standard error, where all have one.
pub(super) fn split(observations: &[Observation], counting: Counting, weighted: bool) -> Vec<Curve> {
    let error = |run: &Observation| run.loss_se.filter(|error| *error > 0.0);
    let weighted = weighted && observations.iter().all(|run| error(run).is_some());
    let mut rows: Vec<(f64, Point)> = observations
        .iter()
        .filter_map(|run| {
            let x = [run.params_by(counting)?.log10(), run.tokens.log10()];
            let weight = error(run).filter(|_| weighted).map_or(1.0, |error| error.powi(-2));
            Some((run.budget(), Point { x, loss: run.loss, weight, near: 1.0, repeats: 0..0 }))
        })
        .collect();
    rows.sort_by(|(a, p), (b, q)| a.total_cmp(b).then(p.x[0].total_cmp(&q.x[0])).then(p.loss.total_cmp(&q.loss)));
    let share = rows.len().div_ceil(MOST);
    let rows = rows.into_iter().step_by(share.max(1));
    let mut clusters: Vec<(Vec<f64>, Vec<Point>)> = Vec::new();
    for (budget, point) in rows {
        match clusters.last_mut() {
            Some((budgets, points)) if same_budget(budgets[0], budget) => {
                budgets.push(budget);
                points.push(point);
            }
            _ => clusters.push((vec![budget], vec![point])),
        }
    }
    // One run alone whose budget no column names is no curve: a table of training curves has thousands of those.
    let named = observations.iter().any(|run| run.flop_budget.is_some());
    clusters.retain(|(_, points)| named || points.len() > 1);
    clusters.into_iter().map(|(budgets, points)| Curve::new(geometric_mean(&budgets), points)).collect()
}

impl Curve {
    fn new(budget: f64, mut points: Vec<Point>) -> Self {
        // One order whatever the order of the rows, so that resamples and sums are the same to the bit.
        points
            .sort_by(|a, b| a.x[0].total_cmp(&b.x[0]).then(a.x[1].total_cmp(&b.x[1])).then(a.loss.total_cmp(&b.loss)));
        let steep = steep::weigh(&means(&points)).map(|near| {
            let (sizes, before) = (points.chunk_by(Point::repeats_of).map(<[Point]>::len), points.len());
            let near: Vec<f64> = sizes.zip(near).flat_map(|(runs, near)| std::iter::repeat_n(near, runs)).collect();
            points.iter_mut().zip(near).for_each(|(point, near)| point.near = near);
            points.retain(|point| point.near > 0.0);
            before - points.len()
        });
        let mut start = 0;
        for i in 1..=points.len() {
            if i == points.len() || !points[i].repeats_of(&points[start]) {
                points[start..i].iter_mut().for_each(|point| point.repeats = start..i);
                start = i;
            }
        }
        let enough =
            AXES.iter().all(|&axis| distinct_logarithms(points.iter().map(|point| point.x[axis])) >= CURVE_SIZES);
        let fitted = enough.then(|| Fitted::new(&points, steep.is_some()));
        Self { budget, points, fitted, steep }
    }

    /// Number of runs.
    pub(super) fn points(&self) -> usize {
        self.points.len() + self.steep.unwrap_or(0)
    }

    /// Coefficients of both parabolas, where there are enough sizes for them; with a steep end, of the terms of the
    /// cubics below the third.
    pub(super) fn coefficients(&self) -> Option<[[f64; 3]; 2]> {
        self.fitted.as_ref().map(|fitted| fitted.curves.map(|curve| curve.coefficients()).map(|[_, p, q, r]| [p, q, r]))
    }

    /// Most runs of one size.
    pub(super) fn seeds(&self) -> usize {
        self.points.iter().map(|point| point.repeats.len()).max().unwrap_or(0)
    }

    /// Sizes below the minimum and above it.
    pub(super) fn sides(&self) -> [usize; 2] {
        let Some(x) = self.minimum().x[0] else { return [0; 2] };
        let sizes = || self.points.chunk_by(Point::repeats_of).map(|size| size[0].x[0]);
        [sizes().filter(|size| *size < x).count(), sizes().filter(|size| *size > x).count()]
    }

    /// What a steep end made of the curve.
    pub(super) fn steep(&self) -> Option<Steep> {
        let fitted = self.fitted.as_ref()?;
        let [params, tokens] = AXES.map(|axis| {
            let (low, high) = ends(self.points.iter().map(|point| point.x[axis]));
            [low, high].map(|x| 10_f64.powf(x))
        });
        let cubic = fitted.curves.map(|curve| curve.coefficients()[0]);
        Some(Steep { left_out: self.steep?, cubic, params, tokens })
    }

    /// The minimum of the runs themselves.
    pub(super) fn minimum(&self) -> Minimum {
        self.fitted.as_ref().map_or_else(Minimum::default, |fitted| self.locate(&fitted.curves))
    }

    /// log10 of parameters and tokens where a surface is least along this curve, whose tokens are interpolated by a
    /// parabola in log N.
    pub(super) fn minimum_of(&self, surface: &Surface) -> Option<[f64; 2]> {
        let fitted = self.fitted.as_ref()?;
        let (low, high) = ends(self.points.iter().map(|point| point.x[0]));
        let tokens = fitted.forms[0].through(&self.points.iter().map(|point| point.x[1]).collect::<Vec<_>>());
        let loss = |x: f64| surface.loss(10_f64.powf(x), 10_f64.powf(tokens.at(x)));
        let x = search(loss, low, high, 33);
        Some([x, tokens.at(x)])
    }

    /// ln of parameters and of tokens, and mean loss, of each size.
    pub(super) fn means(&self) -> Vec<([f64; 2], f64)> {
        means(&self.points).into_iter().map(|(x, loss)| (x.map(|x| x * std::f64::consts::LN_10), loss)).collect()
    }

    /// The minimum of one resample.
    ///
    /// The sizes stay as they are, because they were chosen and not drawn: seven sizes drawn with replacement are
    /// three or fewer different ones in one draw of twelve, and no parabola then. What is resampled is the loss. A
    /// size with several runs gives the mean of its runs plus the deviation of one of them, drawn with replacement
    /// and widened by sqrt(R/(R-1)) for R runs, so that each size keeps the noise of its own seeds. A size with one
    /// run gives its fitted value plus a residual drawn from the whole curve, corrected for leverage (Davison and
    /// Hinkley 1997, section 6.3.2): what the parabola fails to follow counts as noise there. So it does for sizes with
    /// several runs where it is more than their seeds tell: then each size gets its fitted value plus the residual of the
    /// mean of one of them.
    ///
    /// Both are widened once more, by Student's t over the normal quantile, because the noise of a curve is known from
    /// a handful of residuals: without it 89 of 100 intervals held the truth in simulation, with it 95.
    pub(super) fn resample(&self, rng: &mut impl Rng) -> Minimum {
        let Some(fitted) = &self.fitted else { return Minimum::default() };
        let mut losses = [Vec::with_capacity(self.points.len()), Vec::with_capacity(self.points.len())];
        if let Some(misfit) = &fitted.misfit {
            for size in self.points.chunk_by(Point::repeats_of) {
                let donor = rng.random_range(0..misfit[0].len());
                for (axis, point) in AXES.iter().flat_map(|axis| size.iter().map(move |point| (*axis, point))) {
                    losses[axis].push(fitted.curves[axis].at(point.x[axis]) + misfit[axis][donor]);
                }
            }
            return self.locate(&AXES.map(|axis| fitted.forms[axis].through(&losses[axis])));
        }
        for point in &self.points {
            let seeds = &point.repeats;
            let donor =
                if seeds.len() > 1 { rng.random_range(seeds.clone()) } else { rng.random_range(0..self.points.len()) };
            for axis in AXES {
                losses[axis].push(if seeds.len() > 1 {
                    fitted.means[donor].0 + fitted.means[donor].1
                } else {
                    fitted.curves[axis].at(point.x[axis]) + fitted.residuals[axis][donor] / point.weight.sqrt()
                });
            }
        }
        self.locate(&AXES.map(|axis| fitted.forms[axis].through(&losses[axis])))
    }

    fn locate(&self, curves: &[Cubic; 2]) -> Minimum {
        let mut interior = true;
        let x = AXES.map(|axis| {
            let (low, high) = ends(self.points.iter().map(|point| point.x[axis]));
            let curve = &curves[axis];
            let rise = curve.curvature() * (high - low).powi(2) / 4.0;
            let level = curve.at(f64::midpoint(low, high)).abs();
            let vertex = (rise > ROUNDING * level).then(|| curve.vertex());
            // A cubic may fall again on the other side of a bump.
            let lowest = |x: f64| self.steep.is_none() || curve.at(x) <= curve.at(low).min(curve.at(high));
            interior &= vertex.is_some_and(|x| low < x && x < high && lowest(x));
            vertex
        });
        Minimum { x, loss: x[0].map_or(f64::NAN, |x| curves[0].at(x)), interior }
    }

    /// Whether the minimum may be used, given the minima of the resamples.
    pub(super) fn status(&self, resamples: impl Iterator<Item = Minimum>) -> Status {
        let minimum = self.minimum();
        if self.fitted.is_none() {
            Status::TooFewPoints
        } else if minimum.x.iter().any(Option::is_none) {
            Status::NotIdentified
        } else if !minimum.interior {
            Status::EdgeMinimum
        } else {
            let interior: Vec<bool> = resamples.map(|resample| resample.interior).collect();
            let lost = interior.iter().filter(|interior| !**interior).count();
            if too_many_lost(lost, interior.len()) { Status::NotIdentified } else { Status::Converged }
        }
    }
}

impl Fitted {
    fn new(points: &[Point], is_steep: bool) -> Self {
        let losses: Vec<f64> = points.iter().map(|point| point.loss).collect();
        let weights: Vec<f64> = points.iter().map(|point| point.weight * point.near).collect();
        let sizes = points.chunk_by(Point::repeats_of).count();
        let is_cubic = is_steep && sizes >= steep::CUBIC_SIZES;
        let forms = AXES.map(|axis| {
            let x: Vec<f64> = points.iter().map(|point| point.x[axis]).collect();
            if is_cubic {
                Form::Cubic(CubicDesign::weighted(&x, &weights))
            } else {
                Form::Parabola(Design::weighted(&x, &weights))
            }
        });
        let curves = AXES.map(|axis| forms[axis].through(&losses));
        let residuals = AXES.map(|axis| {
            let corrected: Vec<f64> = points
                .iter()
                .enumerate()
                // Above a leverage of 0.95 the residual says too little of the noise to be blown up further.
                .map(|(i, point)| {
                    let freedom = (1.0 - forms[axis].leverage(i)).max(0.05);
                    (point.loss - curves[axis].at(point.x[axis])) * (point.weight * point.near / freedom).sqrt()
                })
                .collect();
            let mean = corrected.iter().sum::<f64>() / corrected.len() as f64;
            let wider = widening(points.len() - if is_cubic { 4 } else { 3 });
            corrected.into_iter().map(|residual| wider * (residual - mean)).collect()
        });
        let misfit = misfit(points, &forms, &curves, sizes.saturating_sub(if is_cubic { 4 } else { 3 }));
        let wider = widening((points.len() - sizes).max(1));
        let means: Vec<(f64, f64)> = points
            .iter()
            .map(|point| {
                let runs = point.repeats.len() as f64;
                let mean = losses[point.repeats.clone()].iter().sum::<f64>() / runs;
                (mean, wider * (point.loss - mean) * (runs / (runs - 1.0).max(1.0)).sqrt())
            })
            .collect();
        Self { forms, curves, residuals, means, misfit }
    }
}

/// The residuals of the means of sizes, where some are repeated and the means lie further from the curve in parameters than
/// repeats would put them: the lack of fit, of so much `freedom`, over the pure error.
fn misfit(points: &[Point], forms: &[Form; 2], curves: &[Cubic; 2], freedom: usize) -> Option<[Vec<f64>; 2]> {
    let sizes: Vec<&[Point]> = points.chunk_by(Point::repeats_of).collect();
    if freedom == 0 || sizes.len() == points.len() || points.iter().any(|point| point.weight.total_cmp(&1.0).is_ne()) {
        return None;
    }
    let means = means(points);
    let off = |axis: usize, size: usize| means[size].1 - curves[axis].at(means[size].0[axis]);
    let all = 0..sizes.len();
    let lack = all.clone().map(|k| sizes[k].len() as f64 * off(0, k).powi(2)).sum::<f64>() / freedom as f64;
    let scatter = |k: usize| sizes[k].iter().map(|run| (run.loss - means[k].1).powi(2)).sum::<f64>();
    let pure = all.clone().map(scatter).sum::<f64>() / (points.len() - sizes.len()) as f64;
    (lack > pure).then(|| {
        let wider = widening(freedom);
        AXES.map(|axis| {
            let corrected: Vec<f64> = all
                .clone()
                .map(|k| {
                    let leverage: f64 = sizes[k][0].repeats.clone().map(|i| forms[axis].leverage(i)).sum();
                    off(axis, k) * (sizes[k][0].near / (1.0 - leverage).max(0.05)).sqrt()
                })
                .collect();
            let centre = corrected.iter().sum::<f64>() / corrected.len() as f64;
            corrected.into_iter().map(|residual| wider * (residual - centre)).collect()
        })
    })
}

/// log10 of parameters and of tokens, and mean loss, of each size.
fn means(points: &[Point]) -> Vec<([f64; 2], f64)> {
    let mean = |group: &[Point]| {
        let loss = group.iter().map(|point| point.loss).sum::<f64>() / group.len() as f64;
        (group[0].x, loss)
    };
    points.chunk_by(Point::repeats_of).map(mean).collect()
}
