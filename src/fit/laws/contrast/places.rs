//! The mean of differences over places, and how they change from place to place.
//!
//! Where differences differ between places by more than seeds scatter at one, the seeds of a place share what is its own: then
//! places are the units of the interval, not pairs. As Bancroft (1964) has it for such a choice, the test is at 25%, so that pairs
//! count only where nothing speaks against it.

use serde::{Deserialize, Serialize};

use crate::fit::Estimate;
use crate::fit::numerics::averages;
use crate::fit::numerics::chance::{beyond_f, beyond_t, student};

/// Chance below which seeds of one place do not count as pairs of their own.
const POOLED: f64 = 0.25;
/// Chance below which differences are told to change.
const CHANGES: f64 = 0.01;
/// Fewest values over which a trend is looked for.
const FEWEST: usize = 4;

/// A difference at one end of a column, by the straight line through all in its logarithm, or by a parabola where these bend.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct End {
    /// The value of the column.
    pub at: f64,
    /// The difference there, with its 95% interval.
    pub difference: Estimate,
}

/// How the difference changes with a column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trend {
    /// The column.
    pub with: String,
    /// At its smallest and its largest value.
    pub ends: [End; 2],
    /// Whether a straight line in the logarithm misses them. Not written where it does not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub bends: bool,
}

/// The mean over pairs, with what tells its scatter.
pub(super) struct Mean {
    pub(super) difference: Estimate,
    pub(super) freedom: usize,
    /// Whether places differ by more than seeds scatter.
    pub(super) scattered: bool,
}

/// Each place with the differences at it, which come in the order of places.
fn by_place<'a, 'b>(pairs: &'a [(Vec<&'b str>, f64)]) -> impl Iterator<Item = (&'a Vec<&'b str>, Vec<f64>)> {
    pairs.chunk_by(|a, b| a.0 == b.0).map(|same| (&same[0].0, same.iter().map(|pair| pair.1).collect()))
}

/// The mean of differences, each with its place, which come in the order of places.
pub(super) fn mean_of(pairs: &[(Vec<&str>, f64)]) -> Option<Mean> {
    let all: Vec<f64> = pairs.iter().map(|pair| pair.1).collect();
    let places: Vec<Vec<f64>> = by_place(pairs).map(|(_, values)| values).collect();
    let means: Vec<f64> = places.iter().map(|values| averages::mean(values)).collect();
    let value = averages::mean(&all);
    let within: f64 = places.iter().zip(&means).map(|(values, mean)| squares(values, *mean)).sum();
    let between: f64 = places.iter().zip(&means).map(|(v, mean)| v.len() as f64 * (mean - value).powi(2)).sum();
    let (above, below) = (places.len().saturating_sub(1), all.len() - places.len());
    let chance =
        if between > 0.0 { beyond_f(between / above as f64 / (within / below as f64), above, below) } else { f64::NAN };
    let counted = if chance < POOLED { &means } else { &all };
    let difference = mean(counted)?;
    Some(Mean { difference, freedom: counted.len() - 1, scattered: chance < CHANGES })
}

/// The mean with Student's interval; of one value without an end.
pub fn mean(values: &[f64]) -> Option<Estimate> {
    let n = values.len();
    let value = (n > 0).then(|| averages::mean(values))?;
    let half = match n {
        1 => f64::NAN,
        _ => student(n - 1) * (squares(values, value) / (n - 1) as f64 / n as f64).sqrt(),
    };
    Some(Estimate { value, low: value - half, high: value + half })
}

pub(super) fn squares(values: &[f64], mean: f64) -> f64 {
    values.iter().map(|value| (value - mean).powi(2)).sum()
}

/// The clearest trend of differences with a column, each a name and its place in the key; nothing where none is shown.
pub(super) fn trend(pairs: &[(Vec<&str>, f64)], columns: &[&str]) -> Option<Trend> {
    let places: Vec<(&Vec<&str>, f64)> =
        by_place(pairs).map(|(place, values)| (place, averages::mean(&values))).collect();
    let along = |(at, name): (usize, &&str)| {
        let x = |place: &Vec<&str>| Some(place.get(at)?.parse().ok().filter(|x: &f64| *x > 0.0)?.ln());
        let points: Vec<[f64; 2]> = places.iter().map(|(place, y)| Some([x(place)?, *y])).collect::<Option<_>>()?;
        course(&points).map(|(chance, ends, bends)| (chance, Trend { with: (*name).to_owned(), ends, bends }))
    };
    let found: Vec<(f64, Trend)> = columns.iter().enumerate().filter_map(along).collect();
    let limit = CHANGES / found.len().max(1) as f64;
    found.into_iter().filter(|(chance, _)| *chance < limit).min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, trend)| trend)
}

/// The chance of a slope so steep where there is none, the straight line at its ends, or the parabola there where one is shown, and
/// whether it is.
fn course(points: &[[f64; 2]]) -> Option<(f64, [End; 2], bool)> {
    let mut x: Vec<f64> = points.iter().map(|point| point[0]).collect();
    let n = points.len() as f64;
    let (centre, level) = (averages::mean(&x), points.iter().map(|point| point[1]).sum::<f64>() / n);
    let spread = squares(&x, centre);
    // What of a square is neither level nor slope, so that each of the three is told by itself.
    let lean = x.iter().map(|x| (x - centre).powi(3)).sum::<f64>() / spread;
    let curved = |x: f64| (x - centre).powi(2) - lean * (x - centre) - spread / n;
    let width = x.iter().map(|x| curved(*x).powi(2)).sum::<f64>();
    x.sort_by(f64::total_cmp);
    x.dedup_by(|a, b| (*a - *b).abs() < 1e-9);
    if x.len() < FEWEST {
        return None;
    }
    let slope = points.iter().map(|[x, y]| (x - centre) * (y - level)).sum::<f64>() / spread;
    let bend = points.iter().map(|[x, y]| curved(*x) * (y - level)).sum::<f64>() / width;
    let scatter_beside = |bend: f64, freedom: usize| {
        let off = |[x, y]: &[f64; 2]| (y - level - slope * (x - centre) - bend * curved(*x)).powi(2);
        (points.iter().map(off).sum::<f64>() / freedom as f64).sqrt()
    };
    // Points on their line leave nothing but rounding.
    let chance =
        |size: f64, scatter: f64, width: f64, freedom| beyond_t(size / (scatter / width.sqrt()).max(1e-12), freedom);
    let [straight, parabola] = [points.len() - 2, points.len() - 3];
    let bends = parabola > 0 && chance(bend, scatter_beside(bend, parabola), width, parabola) < CHANGES;
    let (bend, freedom) = if bends { (bend, parabola) } else { (0.0, straight) };
    let scatter = scatter_beside(bend, freedom);
    let end = |x: f64| {
        let value = level + slope * (x - centre) + bend * curved(x);
        let of_bend = if bends { curved(x).powi(2) / width } else { 0.0 };
        let half = student(freedom) * scatter * (1.0 / n + (x - centre).powi(2) / spread + of_bend).sqrt();
        End { at: x.exp(), difference: Estimate { value, low: value - half, high: value + half } }
    };
    Some((chance(slope, scatter, spread, freedom), [end(x[0]), end(x[x.len() - 1])], bends))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_those_of_a_parabola_where_a_line_misses_the_differences_and_of_a_line_where_it_does_not() {
        let points = |y: fn(f64) -> f64| -> Vec<[f64; 2]> {
            (0..14)
                .map(|i| (f64::from(i / 2), i))
                .map(|(x, i)| [x, y(x) + if i % 2 == 0 { 0.002 } else { -0.002 }])
                .collect()
        };
        let (chance, [from, to], bends) = course(&points(|x| 0.4 * (-0.3 * x).exp())).unwrap();
        assert!(bends && chance < 1e-6);
        assert!(
            (from.difference.value - 0.4).abs() < 0.015 && (to.difference.value - 0.0661).abs() < 0.015,
            "{from:?} {to:?}"
        );
        let (_, [from, to], bends) = course(&points(|x| 0.4 - 0.05 * x)).unwrap();
        assert!(!bends && from.difference.holds(0.4) && to.difference.holds(0.1), "{from:?} {to:?}");
        // Values that lie unevenly: what bends is told apart from what leans.
        let skewed: Vec<[f64; 2]> =
            [0.0_f64, 0.1, 0.3, 0.7, 2.0, 6.0].map(|x| [x, 0.1 + 0.02 * x - 0.003 * x * x]).to_vec();
        let (_, [from, to], bends) = course(&skewed).unwrap();
        assert!(bends && (from.difference.value - 0.1).abs() < 1e-9 && (to.difference.value - 0.112).abs() < 1e-9);
    }
}
