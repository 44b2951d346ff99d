//! A U-shaped curve of the loss over one tuned quantity, such as the learning rate, and its lowest point.
//!
//! In log2 of the quantity, a cubic through the lowest value, its neighbours and the next on the lower side: a U ends in
//! divergence on one side, and a parabola through values a factor of 2 apart misses the minimum of such by 0.15
//! octaves, the cubic by 0.05. The two possible cubics miss it to either side, so resamples draw the side.

use crate::fit::Status;
use crate::fit::numerics::averages::mean;
use crate::fit::numerics::interpolate::lagrange;
use crate::fit::numerics::regress::Design;

/// The losses of one curve, by the tuned quantity.
pub(in crate::fit) struct Valley {
    /// log2 of each value, ascending, with the losses of its seeds.
    points: Vec<(f64, Vec<f64>)>,
    /// Which of them has the lowest mean loss.
    lowest: usize,
}

impl Valley {
    /// The curve through pairs of log2 of the quantity and loss, in any order.
    pub(in crate::fit) fn new(mut rows: Vec<[f64; 2]>) -> Self {
        rows.sort_by(|a, b| a[0].total_cmp(&b[0]).then(a[1].total_cmp(&b[1])));
        let points: Vec<(f64, Vec<f64>)> = rows
            .chunk_by(|a, b| a[0].total_cmp(&b[0]).is_eq())
            .map(|same| (same[0][0], same.iter().map(|row| row[1]).collect()))
            .collect();
        let lowest = (0..points.len()).min_by(|&i, &j| mean(&points[i].1).total_cmp(&mean(&points[j].1))).unwrap_or(0);
        Self { points, lowest }
    }

    /// Whether nothing was trained.
    pub(in crate::fit) fn is_empty(&self) -> bool {
        self.points.is_empty()
    }

    /// The end of the values at which the lowest point lies; nothing where it lies inside.
    pub(in crate::fit) fn end(&self) -> Option<End> {
        if self.lowest + 1 >= self.points.len() { Some(End::Last) } else { (self.lowest == 0).then_some(End::First) }
    }

    /// Whether the lowest point lies inside.
    pub(in crate::fit) fn status(&self) -> Status {
        if self.points.len() < 3 {
            Status::TooFewPoints
        } else if self.lowest == 0 || self.lowest == self.points.len() - 1 {
            // All the same also ends here, at the first.
            let first = self.points[0].1[0];
            let flat = self.points.iter().flat_map(|point| &point.1).all(|loss| (loss - first).abs() <= 1e-12 * first);
            if flat { Status::NotIdentified } else { Status::EdgeMinimum }
        } else {
            Status::Converged
        }
    }

    /// Place and mean loss of the lowest of the points themselves.
    pub(in crate::fit) fn lowest_point(&self) -> [f64; 2] {
        let (x, losses) = &self.points[self.lowest];
        [*x, mean(losses)]
    }

    /// The curve of one resample, `noise` added to each run: its lowest point may be another one.
    pub(in crate::fit) fn drawn(&self, mut noise: impl FnMut(f64) -> f64) -> Self {
        let of = |(x, losses): &(f64, Vec<f64>)| {
            [*x, losses.iter().map(|loss| noise(*loss)).sum::<f64>() / losses.len() as f64]
        };
        Self::new(self.points.iter().map(of).collect())
    }

    /// The points of the cubic, as a range: the lowest one, its neighbours, and the next on the side, if it was trained.
    fn window(&self, side: Side) -> [usize; 2] {
        let (from, to) = (self.lowest - 1, self.lowest + 2);
        let [left, right] = [self.lowest - 1, self.lowest + 1].map(|i| mean(&self.points[i].1));
        match side {
            Side::Left => [from.saturating_sub(1), to],
            Side::Right => [from, (to + 1).min(self.points.len())],
            Side::Lower => self.window(if right < left { Side::Right } else { Side::Left }),
        }
    }

    fn means(&self) -> Vec<[f64; 2]> {
        self.points.iter().map(|(x, losses)| [*x, mean(losses)]).collect()
    }

    /// Place and loss of the lowest point of the curve, which must lie inside, by the cubic.
    pub(in crate::fit) fn bottom(&self, side: Side) -> [f64; 2] {
        let (means, [from, to]) = (self.means(), self.window(side));
        let curve = |x: f64| lagrange(&means[from..to], x);
        let x = lowest(curve, means[self.lowest - 1][0], means[self.lowest + 1][0]);
        [x, curve(x)]
    }

    /// The same, or where the lowest point lies at an end, that end.
    pub(in crate::fit) fn bottom_or_end(&self, side: Side) -> [f64; 2] {
        if self.status() == Status::Converged { self.bottom(side) } else { self.lowest_point() }
    }

    /// The curve at `x`: through the window where `x` lies in it, elsewhere by the cubic through the four points around it;
    /// NaN outside of what was trained.
    pub(in crate::fit) fn at(&self, side: Side, x: f64) -> f64 {
        let means = self.means();
        if self.status() == Status::Converged {
            let [from, to] = self.window(side);
            if x >= means[from][0] && x <= means[to - 1][0] {
                return lagrange(&means[from..to], x);
            }
        }
        around(&means, x).map_or(f64::NAN, |four| lagrange(four, x))
    }
}

/// An end of the values of a curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::fit) enum End {
    /// The least value.
    First,
    /// The greatest.
    Last,
}

/// The side of the lowest point on which the fourth one lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::fit) enum Side {
    /// That of the lower neighbour.
    Lower,
    /// Below it.
    Left,
    /// Above it.
    Right,
}

/// Where a function with one minimum between `low` and `high` has it, as closely as rounding tells a flat bottom.
fn lowest(f: impl Fn(f64) -> f64, mut low: f64, mut high: f64) -> f64 {
    for _ in 0..52 {
        let third = (high - low) / 3.0;
        if f(low + third) < f(high - third) { high -= third } else { low += third }
    }
    f64::midpoint(low, high)
}

/// The four points around `x`, two to either side where there are; nothing outside of them.
fn around(points: &[[f64; 2]], x: f64) -> Option<&[[f64; 2]]> {
    let above = points.iter().position(|point| point[0] >= x)?;
    let inside = above > 0 || points[0][0] <= x;
    let from = above.saturating_sub(2).min(points.len().saturating_sub(4));
    inside.then(|| &points[from..(from + 4).min(points.len())])
}

/// How far a run lies from what it would be on average: from the mean of its seeds, over all points of all cubics, as
/// each alone has only a few. Without repeats, from parabolas through the four points, whose misfit then counts as
/// scatter. Three points lie on their parabola and tell none: the list is empty where there is nothing else.
pub(in crate::fit) fn scatter<'a>(valleys: impl Iterator<Item = &'a Valley> + Clone) -> Vec<f64> {
    let inside = valleys.filter(|valley| valley.status() == Status::Converged);
    let mut pool = Vec::new();
    for valley in inside.clone() {
        let [from, to] = valley.window(Side::Lower);
        for (_, losses) in valley.points[from..to].iter().filter(|point| point.1.len() > 1) {
            let (n, mean) = (losses.len() as f64, mean(losses));
            pool.extend(losses.iter().map(|loss| (loss - mean) * (n / (n - 1.0)).sqrt()));
        }
    }
    if !pool.is_empty() {
        return pool;
    }
    for valley in inside {
        for [from, to] in [Side::Left, Side::Right].map(|side| valley.window(side)) {
            if to - from < 4 {
                continue;
            }
            let (x, losses): (Vec<f64>, Vec<f64>) =
                valley.points[from..to].iter().map(|point| (point.0, point.1[0])).unzip();
            let design = Design::new(&x);
            let parabola = design.parabola(&losses);
            let residual = |i: usize| (losses[i] - parabola.at(x[i])) / (1.0 - design.leverage(i)).max(0.05).sqrt();
            pool.extend((0..x.len()).map(residual));
        }
    }
    if pool.is_empty() {
        return pool;
    }
    let centre = mean(&pool);
    pool.iter().map(|residual| residual - centre).collect()
}

/// What is said where [`scatter`] tells nothing.
pub(in crate::fit) const NO_SCATTER: &str =
    "three values and one seed tell no noise: train a fourth value, or another seed";
