//! Levenberg-Marquardt for the nonlinear laws with up to a dozen unknowns (Marquardt 1963, his diagonal scaling).
//!
//! On arrays of fixed size like [`super::minimize`], whose Cholesky solver it uses; it asks for analytic derivatives,
//! because differences lose the digits by which nearly unidentified laws are told apart.

use super::minimize::{Stop, solve_positive};

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
    let mut at = rows(&x);
    let mut value = cost(&at);
    let mut damping = 1e-3;
    let mut idle = 0;
    for _ in 0..max_iterations {
        let (gradient, normal) = equations(&at);
        let mut damped = normal;
        for (i, row) in damped.iter_mut().enumerate() {
            row[i] += damping * normal[i][i].max(1e-300);
        }
        let next = solve_positive(&damped, &gradient).map(|step| std::array::from_fn(|i| x[i] - step[i]));
        let tried = next.map(|next| (next, rows(&next)));
        match tried {
            Some((next, lower)) if cost(&lower) < value => {
                let gain = value - cost(&lower);
                (x, at) = (next, lower);
                idle = if gain <= 1e-12 * value { idle + 1 } else { 0 };
                value -= gain;
                damping = (damping * 0.2).max(1e-14);
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

fn equations<const P: usize>(rows: &[Row<P>]) -> ([f64; P], [[f64; P]; P]) {
    let (mut gradient, mut normal) = ([0.0; P], [[0.0; P]; P]);
    for (r, slope) in rows {
        for i in 0..P {
            gradient[i] += r * slope[i];
            for j in 0..P {
                normal[i][j] += slope[i] * slope[j];
            }
        }
    }
    (gradient, normal)
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
