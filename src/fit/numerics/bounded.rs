//! Levenberg-Marquardt for any number of unknowns, each within bounds, and for objectives that are nearly squares.
//!
//! Like [`super::least_squares`], which is for arrays of fixed size: linear problems are solved by reflections and not by
//! normal equations, which square the condition. An unknown at a bound stays there while the objective falls beyond it
//! (a projected active set, Kelley 1999, section 5.4).

/// Where a minimiser of any number of unknowns stopped.
#[derive(Clone, Debug, PartialEq)]
pub struct End {
    /// The unknowns.
    pub x: Vec<f64>,
    /// The objective there; infinite where no start gave a number.
    pub value: f64,
    /// Whether nothing below could be found, and iterations did not run out.
    pub converged: bool,
}

/// A sum of squares near some unknowns: each row is a residual with its derivatives, stored by unknown.
#[derive(Clone, Debug, Default)]
pub struct Linear {
    /// Derivatives of every residual by each unknown.
    pub slopes: Vec<Vec<f64>>,
    /// The residuals.
    pub residuals: Vec<f64>,
}

impl Linear {
    /// The same without some of the unknowns.
    #[must_use]
    pub fn without(&self, is_left_out: impl Fn(usize) -> bool) -> Self {
        let kept = self.slopes.iter().enumerate().filter(|(k, _)| !is_left_out(*k));
        Self { slopes: kept.map(|(_, slopes)| slopes.clone()).collect(), residuals: self.residuals.clone() }
    }
}

/// What is minimised.
pub trait Objective {
    /// Its value; anything but a finite number is refused.
    fn value(&self, x: &[f64]) -> f64;
    /// The sum of squares that it is like near `x`, with the same gradient: half the sum is as good as the value.
    fn linear(&self, x: &[f64], linear: &mut Linear);
}

/// How closely to look.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Most steps, refused ones included.
    pub iterations: usize,
    /// Relative gain of a step that counts as none.
    pub gain: f64,
}

/// Minimises from `start` within `bounds`.
pub fn minimize(objective: &impl Objective, bounds: &[(f64, f64)], start: &[f64], patience: Patience) -> End {
    let clamp = |x: f64, k: usize| x.max(bounds[k].0).min(bounds[k].1);
    let mut x: Vec<f64> = start.iter().enumerate().map(|(k, x)| clamp(*x, k)).collect();
    let mut value = objective.value(&x);
    if !value.is_finite() {
        return End { x, value: f64::INFINITY, converged: false };
    }
    let mut linear = Linear::default();
    objective.linear(&x, &mut linear);
    let mut triangle = Triangle::of(&mut linear, &x, bounds);
    let (mut damping, mut idle) = (1e-3, 0);
    for _ in 0..patience.iterations {
        let next = triangle.step(damping).map(|step| {
            let moved = x.iter().zip(&step).enumerate().map(|(k, (x, step))| clamp(x - step, k));
            moved.collect::<Vec<f64>>()
        });
        let lower = next.map(|next| (objective.value(&next), next)).filter(|(lower, _)| *lower < value);
        let Some((lower, next)) = lower else {
            if damping > 1e12 {
                return End { x, value, converged: true };
            }
            damping *= 8.0;
            continue;
        };
        idle = if value - lower <= patience.gain * value && damping < 1e-6 { idle + 1 } else { 0 };
        (x, value) = (next, lower);
        if idle >= 2 || value <= f64::MIN_POSITIVE {
            return End { x, value, converged: true };
        }
        damping = (damping * 0.1).max(1e-18);
        objective.linear(&x, &mut linear);
        triangle = Triangle::of(&mut linear, &x, bounds);
    }
    End { x, value, converged: false }
}

/// The rows of a linear problem reflected into an upper triangle, whose last column is the right-hand side.
struct Triangle {
    /// By column.
    upper: Vec<Vec<f64>>,
    /// Squared lengths of the columns.
    squares: Vec<f64>,
}

impl Triangle {
    /// Of the unknowns that may move.
    fn of(linear: &mut Linear, x: &[f64], bounds: &[(f64, f64)]) -> Self {
        let residuals = &linear.residuals;
        for (k, slopes) in linear.slopes.iter_mut().enumerate() {
            let downhill: f64 = -slopes.iter().zip(residuals).map(|(a, b)| a * b).sum::<f64>();
            let stuck = (x[k] <= bounds[k].0 && downhill < 0.0) || (x[k] >= bounds[k].1 && downhill > 0.0);
            if stuck || slopes.iter().any(|slope| !slope.is_finite()) {
                slopes.fill(0.0);
            }
        }
        let mut upper: Vec<Vec<f64>> = linear.slopes.clone();
        upper.push(residuals.clone());
        let squares = linear.slopes.iter().map(|column| column.iter().map(|a| a * a).sum()).collect();
        reflect(&mut upper);
        Self { upper, squares }
    }

    /// The step with each unknown held back in proportion to the length of its column; nothing where it is not finite.
    fn step(&self, damping: f64) -> Option<Vec<f64>> {
        let p = self.squares.len();
        let mut columns: Vec<Vec<f64>> = self.upper.clone();
        for (k, column) in columns.iter_mut().enumerate() {
            column.resize(2 * p, 0.0);
            if k < p {
                column[p + k] = (damping * self.squares[k].max(1e-300)).sqrt();
            }
        }
        reflect(&mut columns);
        let mut step = vec![0.0; p];
        for k in (0..p).rev() {
            let known: f64 = (k + 1..p).map(|j| columns[j][k] * step[j]).sum();
            // A column of nothing moves nothing.
            step[k] = if self.squares[k] > 0.0 { (columns[p][k] - known) / columns[k][k] } else { 0.0 };
        }
        step.iter().all(|step| step.is_finite()).then_some(step)
    }
}

/// Reflections that make the first columns an upper triangle (Householder 1958); what lies below is cut off.
fn reflect(columns: &mut [Vec<f64>]) {
    let p = columns.len() - 1;
    let rows = columns[p].len();
    for k in 0..p.min(rows) {
        let (done, rest) = columns.split_at_mut(k + 1);
        let pivot = &mut done[k];
        let length = pivot[k..].iter().map(|a| a * a).sum::<f64>().sqrt();
        if length == 0.0 {
            continue;
        }
        let head = if pivot[k] > 0.0 { -length } else { length };
        pivot[k] -= head;
        let square: f64 = pivot[k..].iter().map(|a| a * a).sum();
        for column in rest.iter_mut() {
            let share = 2.0 * pivot[k..].iter().zip(&column[k..]).map(|(a, b)| a * b).sum::<f64>() / square;
            column[k..].iter_mut().zip(&pivot[k..]).for_each(|(b, a)| *b -= share * a);
        }
        pivot[k] = head;
        pivot[k + 1..].fill(0.0);
    }
    columns.iter_mut().for_each(|column| column.resize(p, 0.0));
}

/// The linear least-squares solution with a slight pull towards zero, which decides between equal columns.
pub fn solve(linear: &Linear) -> Option<Vec<f64>> {
    let mut columns = linear.slopes.clone();
    let squares: Vec<f64> = columns.iter().map(|column| column.iter().map(|a| a * a).sum()).collect();
    columns.push(linear.residuals.clone());
    reflect(&mut columns);
    Triangle { upper: columns, squares }.step(1e-12)
}

/// Directions in which a linear problem says next to nothing: the smallest singular value of the columns scaled to length 1,
/// and the share of each unknown in that direction. By Jacobi's rotations of the columns (Hestenes 1958).
pub fn weakest(linear: &Linear) -> (f64, Vec<f64>) {
    let p = linear.slopes.len();
    let mut columns: Vec<Vec<f64>> = linear.slopes.clone();
    for column in &mut columns {
        let length = column.iter().map(|a| a * a).sum::<f64>().sqrt();
        column.iter_mut().for_each(|a| *a /= length.max(f64::MIN_POSITIVE));
    }
    columns.push(vec![0.0; linear.residuals.len()]);
    reflect(&mut columns);
    columns.pop();
    let mut turned: Vec<Vec<f64>> = (0..p).map(|k| (0..p).map(|j| f64::from(u8::from(j == k))).collect()).collect();
    for _ in 0..30 {
        let mut largest = 0.0_f64;
        for i in 0..p {
            for j in i + 1..p {
                let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
                let (a, b, c) =
                    (dot(&columns[i], &columns[i]), dot(&columns[j], &columns[j]), dot(&columns[i], &columns[j]));
                largest = largest.max(c.abs() / (a * b).sqrt().max(f64::MIN_POSITIVE));
                if c == 0.0 {
                    continue;
                }
                let tau = (b - a) / (2.0 * c);
                let t = tau.signum() / (tau.abs() + (1.0 + tau * tau).sqrt());
                let t = if tau == 0.0 { 1.0 } else { t };
                let cosine = 1.0 / (1.0 + t * t).sqrt();
                for list in [&mut columns, &mut turned] {
                    let (left, right) = list.split_at_mut(j);
                    for (x, y) in left[i].iter_mut().zip(&mut right[0]) {
                        (*x, *y) = (cosine * *x - cosine * t * *y, cosine * t * *x + cosine * *y);
                    }
                }
            }
        }
        if largest < 1e-12 {
            break;
        }
    }
    let lengths: Vec<f64> = columns.iter().map(|column| column.iter().map(|a| a * a).sum::<f64>().sqrt()).collect();
    let least = (0..p).min_by(|&i, &j| lengths[i].total_cmp(&lengths[j])).unwrap_or(0);
    match lengths.get(least) {
        Some(length) => (*length, turned[least].clone()),
        None => (1.0, Vec::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// y = a exp(-b t) at t = 0..9, from a = 3 and b = 0.4.
    struct Decay;

    impl Objective for Decay {
        fn value(&self, x: &[f64]) -> f64 {
            let mut linear = Linear::default();
            self.linear(x, &mut linear);
            0.5 * linear.residuals.iter().map(|r| r * r).sum::<f64>()
        }

        fn linear(&self, x: &[f64], linear: &mut Linear) {
            let t = || (0..10).map(f64::from);
            linear.residuals = t().map(|t| x[0] * (-x[1] * t).exp() - 3.0 * (-0.4 * t).exp()).collect();
            let by_a = t().map(|t| (-x[1] * t).exp()).collect();
            linear.slopes = vec![by_a, t().map(|t| -t * x[0] * (-x[1] * t).exp()).collect()];
        }
    }

    const PATIENCE: Patience = Patience { iterations: 200, gain: 1e-12 };

    #[test]
    fn a_decay_is_found_and_bounds_are_kept() {
        let free = [(f64::NEG_INFINITY, f64::INFINITY); 2];
        let end = minimize(&Decay, &free, &[1.0, 1.0], PATIENCE);
        assert!((end.x[0] - 3.0).abs() < 1e-7 && (end.x[1] - 0.4).abs() < 1e-7, "{end:?}");
        let end = minimize(&Decay, &[(0.0, 2.0), (0.0, 1.0)], &[1.0, 1.0], PATIENCE);
        assert!((end.x[0] - 2.0).abs() < 1e-12 && end.x[1] < 0.4 && end.converged, "{end:?}");
    }

    #[test]
    fn a_linear_problem_is_solved_at_once_and_its_weakest_direction_found() {
        let one = vec![1.0; 4];
        let t: Vec<f64> = (0..4).map(f64::from).collect();
        let residuals: Vec<f64> = t.iter().map(|t| 2.0 + 0.5 * t).collect();
        let line = Linear { slopes: vec![one.clone(), t.clone()], residuals: residuals.clone() };
        let x = solve(&line).unwrap();
        assert!((x[0] - 2.0).abs() < 1e-6 && (x[1] - 0.5).abs() < 1e-6, "{x:?}");
        assert!(weakest(&line).0 > 0.1);
        let same = Linear { slopes: vec![one.clone(), t, one], residuals };
        let (length, direction) = weakest(&same);
        assert!(length < 1e-12 && direction[1].abs() < 1e-9, "{length} {direction:?}");
        assert!((direction[0] + direction[2]).abs() < 1e-9, "the first and the third cancel: {direction:?}");
    }
}
