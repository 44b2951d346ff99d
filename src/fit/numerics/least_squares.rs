//! Levenberg-Marquardt for the nonlinear laws with up to a dozen unknowns (Marquardt 1963, his diagonal scaling).
//!
//! On arrays of fixed size like [`super::minimize`]. The linear problems are solved by orthogonal rotations and not by
//! normal equations, which square the condition: a break beyond the data is known from digits that they lose. It asks
//! for derivatives.

use crate::fit::numerics::minimize::Stop;

/// One residual with its derivatives.
pub type Row<const P: usize> = (f64, [f64; P]);

/// Minimises half the sum of squared residuals; `rows` gives them at some values of the unknowns.
pub fn least_squares<const P: usize>(
    rows: impl Fn(&[f64; P]) -> Vec<Row<P>>,
    start: [f64; P],
    max_iterations: usize,
) -> Stop<P> {
    let cost = |rows: &[Row<P>]| 0.5 * rows.iter().map(|(r, _)| r * r).sum::<f64>();
    let mut x = start;
    let at = rows(&x);
    let mut value = cost(&at);
    let mut linear = Triangle::of(&at);
    let mut damping = 1e-3;
    let mut idle = 0;
    for _ in 0..max_iterations {
        let next = linear.damped(damping).solve().map(|step| std::array::from_fn(|i| x[i] - step[i]));
        let tried = next.map(|next| (next, rows(&next)));
        match tried {
            Some((next, lower)) if cost(&lower) < value => {
                let gain = value - cost(&lower);
                (x, linear) = (next, Triangle::of(&lower));
                // Along a valley nothing is gained until damping is below the square of its slope.
                idle = if gain <= 1e-12 * value && damping < 1e-15 { idle + 1 } else { 0 };
                value -= gain;
                damping = (damping * 0.1).max(1e-20);
                if value <= f64::MIN_POSITIVE || idle >= 3 {
                    return Stop { x, value, converged: true };
                }
            }
            _ if damping > 1e10 => return Stop { x, value, converged: true },
            _ => damping *= 5.0,
        }
    }
    Stop { x, value, converged: false }
}

/// The rows of a linear problem, rotated into an upper triangle and its right-hand side.
#[derive(Clone)]
struct Triangle<const P: usize> {
    upper: [[f64; P]; P],
    right: [f64; P],
}

impl<const P: usize> Triangle<P> {
    fn of(rows: &[Row<P>]) -> Self {
        let mut triangle = Self { upper: [[0.0; P]; P], right: [0.0; P] };
        for (value, slope) in rows {
            triangle.add(*value, *slope);
        }
        triangle
    }

    /// Rotates one row in (Givens 1958).
    fn add(&mut self, mut value: f64, mut row: [f64; P]) {
        for k in 0..P {
            if row[k] == 0.0 {
                continue;
            }
            let length = (self.upper[k][k] * self.upper[k][k] + row[k] * row[k]).sqrt();
            let (cosine, sine) = (self.upper[k][k] / length, row[k] / length);
            for (above, below) in self.upper[k][k..].iter_mut().zip(&mut row[k..]) {
                (*above, *below) = (cosine * *above + sine * *below, cosine * *below - sine * *above);
            }
            (self.right[k], value) = (cosine * self.right[k] + sine * value, cosine * value - sine * self.right[k]);
        }
    }

    /// With rows that hold each unknown back, in proportion to the length of its column.
    fn damped(&self, damping: f64) -> Self {
        let mut damped = self.clone();
        for k in 0..P {
            let square: f64 = (0..=k).map(|i| self.upper[i][k].powi(2)).sum();
            let mut row = [0.0; P];
            row[k] = (damping * square.max(1e-300)).sqrt();
            damped.add(0.0, row);
        }
        damped
    }

    /// The least-squares solution; nothing where a column has no length or is not finite.
    fn solve(&self) -> Option<[f64; P]> {
        let mut x = [0.0; P];
        for k in (0..P).rev() {
            let known: f64 = (k + 1..P).map(|j| self.upper[k][j] * x[j]).sum();
            x[k] = (self.right[k] - known) / self.upper[k][k];
        }
        x.iter().all(|x| x.is_finite()).then_some(x)
    }
}

/// The best of several starts.
pub fn best_of<const P: usize>(
    rows: impl Fn(&[f64; P]) -> Vec<Row<P>>,
    starts: impl IntoIterator<Item = [f64; P]>,
    max_iterations: usize,
) -> Option<Stop<P>> {
    let stops = starts.into_iter().map(|start| least_squares(&rows, start, max_iterations));
    stops.filter(|stop| stop.value.is_finite()).min_by(|a, b| a.value.total_cmp(&b.value))
}
