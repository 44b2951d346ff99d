//! Minimisers for a handful of unknowns: BFGS, damped Newton, and a search in one dimension.
//!
//! Own code on arrays of fixed size. With five unknowns the whole inverse Hessian is 25 numbers, so L-BFGS, which
//! exists to avoid storing it, has nothing to save and BFGS is its limit of long memory. `argmin` 0.11 (no release for
//! a year) was tried on every tenth start of approach 3's grid, on the 240 points of Besiroglu et al.: its L-BFGS with
//! the search of More and Thuente reached the global minimum from 5% of the starts at 0.67 ms a start, with that of
//! Hager and Zhang it did not come back; the code here reaches it from 21% at 0.44 ms. It would do, but a second solver
//! of a damped Newton kind is needed beside it for small delta, and nothing of the rest of such a library is.

/// Where a minimiser stopped.
#[derive(Clone, Copy, Debug)]
pub struct Stop<const P: usize> {
    /// The unknowns.
    pub x: [f64; P],
    /// What was minimised, there.
    pub value: f64,
    /// Whether it stopped because nothing below could be found, and not because it ran out of iterations.
    pub converged: bool,
}

type Matrix<const P: usize> = [[f64; P]; P];

fn dot<const P: usize>(a: &[f64; P], b: &[f64; P]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn along<const P: usize>(x: &[f64; P], step: f64, direction: &[f64; P]) -> [f64; P] {
    std::array::from_fn(|i| x[i] + step * direction[i])
}

/// BFGS with a weak Wolfe line search by bisection, which also holds where the gradient jumps (Lewis and Overton 2013,
/// algorithm 4.6). `f` returns value and gradient. It stops when an iteration gains less than `tolerance`, relative to
/// the value.
pub fn bfgs<const P: usize>(
    mut f: impl FnMut(&[f64; P]) -> (f64, [f64; P]),
    start: [f64; P],
    tolerance: f64,
    max_iterations: usize,
) -> Stop<P> {
    let mut x = start;
    let (mut value, mut gradient) = f(&x);
    let mut inverse = identity(1.0 / dot(&gradient, &gradient).sqrt().max(f64::MIN_POSITIVE));
    let mut idle = 0;
    for iteration in 0..max_iterations {
        let mut direction: [f64; P] = std::array::from_fn(|i| -dot(&inverse[i], &gradient));
        let mut slope = dot(&direction, &gradient);
        if slope.is_nan() || slope >= 0.0 {
            let length = dot(&gradient, &gradient).sqrt();
            if length.is_nan() || length <= f64::MIN_POSITIVE {
                return Stop { x, value, converged: true };
            }
            inverse = identity(1.0 / length);
            direction = gradient.map(|g| -g / length);
            slope = -length;
        }
        let Some((step, next, next_gradient)) = wolfe(&mut f, &x, value, &direction, slope) else {
            return Stop { x, value, converged: true };
        };
        let s = direction.map(|d| step * d);
        let y: [f64; P] = std::array::from_fn(|i| next_gradient[i] - gradient[i]);
        let curvature = dot(&s, &y);
        if curvature > 0.0 {
            if iteration == 0 {
                inverse = identity(curvature / dot(&y, &y));
            }
            update(&mut inverse, &s, &y, curvature);
        }
        let gain = value - next;
        x = along(&x, step, &direction);
        (value, gradient) = (next, next_gradient);
        idle = if gain <= tolerance * value.abs() { idle + 1 } else { 0 };
        if idle >= 2 {
            return Stop { x, value, converged: true };
        }
    }
    Stop { x, value, converged: false }
}

fn identity<const P: usize>(scale: f64) -> Matrix<P> {
    std::array::from_fn(|i| std::array::from_fn(|j| if i == j { scale } else { 0.0 }))
}

fn update<const P: usize>(inverse: &mut Matrix<P>, s: &[f64; P], y: &[f64; P], curvature: f64) {
    let hy: [f64; P] = std::array::from_fn(|i| dot(&inverse[i], y));
    let scale = (1.0 + dot(y, &hy) / curvature) / curvature;
    for i in 0..P {
        for j in 0..P {
            inverse[i][j] += scale * s[i] * s[j] - (hy[i] * s[j] + s[i] * hy[j]) / curvature;
        }
    }
}

/// A step that lowers the value enough and flattens the slope enough; nothing where there is none to be found.
fn wolfe<const P: usize>(
    f: &mut impl FnMut(&[f64; P]) -> (f64, [f64; P]),
    x: &[f64; P],
    value: f64,
    direction: &[f64; P],
    slope: f64,
) -> Option<(f64, f64, [f64; P])> {
    const DECREASE: f64 = 1e-4;
    const FLATTEN: f64 = 0.9;
    let (mut low, mut high, mut step) = (0.0, f64::INFINITY, 1.0);
    let mut best = None;
    for _ in 0..40 {
        let (next, gradient) = f(&along(x, step, direction));
        if next.is_nan() || next > value + DECREASE * step * slope {
            high = step;
        } else {
            if next < value {
                best = Some((step, next, gradient));
            }
            if dot(&gradient, direction) >= FLATTEN * slope {
                return best;
            }
            low = step;
        }
        step = if high.is_finite() { f64::midpoint(low, high) } else { 2.0 * step };
    }
    best
}

/// Newton's method with Levenberg's damping, so that it descends where the Hessian is not positive. `f` returns value,
/// gradient and Hessian.
pub fn newton<const P: usize>(
    mut f: impl FnMut(&[f64; P]) -> (f64, [f64; P], Matrix<P>),
    start: [f64; P],
    max_iterations: usize,
) -> Stop<P> {
    let mut x = start;
    let (mut value, mut gradient, mut hessian) = f(&x);
    let mut damping = 1e-3;
    for _ in 0..max_iterations {
        let size = (0..P).map(|i| hessian[i][i].abs()).fold(f64::MIN_POSITIVE, f64::max);
        let mut damped = hessian;
        for (i, row) in damped.iter_mut().enumerate() {
            row[i] += damping * size;
        }
        let next = solve_positive(&damped, &gradient).map(|step| along(&x, -1.0, &step)).map(|next| (next, f(&next)));
        match next {
            Some((next, (lower, next_gradient, next_hessian))) if lower < value => {
                let gain = value - lower;
                (x, value, gradient, hessian) = (next, lower, next_gradient, next_hessian);
                damping = (damping * 0.1).max(1e-15);
                if gain <= 1e-15 * value.abs() {
                    return Stop { x, value, converged: true };
                }
            }
            // Nothing lower even along the gradient, one step of rounding away.
            _ if damping > 1e12 => return Stop { x, value, converged: true },
            Some((_, (same, ..))) if (same - value).abs() <= 1e-15 * value.abs() => {
                return Stop { x, value, converged: true };
            }
            _ => damping *= 10.0,
        }
    }
    Stop { x, value, converged: false }
}

/// Solves a symmetric positive definite system by Cholesky's factorisation; nothing where it is not positive definite.
pub fn solve_positive<const P: usize>(matrix: &Matrix<P>, right: &[f64; P]) -> Option<[f64; P]> {
    let mut lower = [[0.0; P]; P];
    for i in 0..P {
        for j in 0..=i {
            let rest = matrix[i][j] - (0..j).map(|k| lower[i][k] * lower[j][k]).sum::<f64>();
            if i == j {
                if rest.is_nan() || rest <= 1e-16 * matrix[i][i].abs() {
                    return None;
                }
                lower[i][i] = rest.sqrt();
            } else {
                lower[i][j] = rest / lower[j][j];
            }
        }
    }
    let mut x = *right;
    for i in 0..P {
        x[i] = (x[i] - (0..i).map(|k| lower[i][k] * x[k]).sum::<f64>()) / lower[i][i];
    }
    for i in (0..P).rev() {
        x[i] = (x[i] - (i + 1..P).map(|k| lower[k][i] * x[k]).sum::<f64>()) / lower[i][i];
    }
    Some(x)
}

/// The x of the least value in an interval: the best of `points` even ones, then golden sections around it.
pub fn search(mut f: impl FnMut(f64) -> f64, low: f64, high: f64, points: usize) -> f64 {
    const GOLDEN: f64 = 0.618_033_988_749_894_9;
    let step = (high - low) / (points - 1) as f64;
    let values: Vec<f64> = (0..points).map(|i| f(low + step * i as f64)).collect();
    let best = (0..points).min_by(|&i, &j| values[i].total_cmp(&values[j])).unwrap_or(0) as f64;
    let (mut left, mut right) = ((low + step * (best - 1.0)).max(low), (low + step * (best + 1.0)).min(high));
    let inner = |left: f64, right: f64| (right - GOLDEN * (right - left), left + GOLDEN * (right - left));
    let (mut a, mut b) = inner(left, right);
    let (mut at_a, mut at_b) = (f(a), f(b));
    while right - left > 1e-12 * (left.abs() + right.abs()).max(1e-300) {
        if at_a <= at_b {
            (right, b, at_b) = (b, a, at_a);
            a = inner(left, right).0;
            at_a = f(a);
        } else {
            (left, a, at_a) = (a, b, at_b);
            b = inner(left, right).1;
            at_b = f(b);
        }
        if !(left < a && a < b && b < right) {
            break;
        }
    }
    f64::midpoint(left, right)
}

/// Where a falling function of one variable crosses zero: bisection around `near`, to the last bit but a few.
pub fn root(f: impl Fn(f64) -> f64, near: f64) -> f64 {
    let mut width = 1.0;
    while width < 1e6 && (f(near - width) < 0.0 || f(near + width) > 0.0) {
        width *= 2.0;
    }
    let (mut low, mut high) = (near - width, near + width);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if f(middle) > 0.0 { low = middle } else { high = middle }
    }
    f64::midpoint(low, high)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rosenbrock 1960.
    fn valley([x, y]: &[f64; 2]) -> (f64, [f64; 2], [[f64; 2]; 2]) {
        let rise = y - x * x;
        (
            (1.0 - x).powi(2) + 100.0 * rise * rise,
            [-2.0 * (1.0 - x) - 400.0 * x * rise, 200.0 * rise],
            [[2.0 - 400.0 * (rise - 2.0 * x * x), -400.0 * x], [-400.0 * x, 200.0]],
        )
    }

    #[test]
    fn both_minimisers_reach_the_end_of_the_curved_valley() {
        let by_bfgs = bfgs(|x| (valley(x).0, valley(x).1), [-1.2, 1.0], 0.0, 500);
        let by_newton = newton(valley, [-1.2, 1.0], 500);
        for stop in [by_bfgs, by_newton] {
            assert!(stop.converged && stop.x.iter().all(|x| (x - 1.0).abs() < 1e-6), "{stop:?}");
        }
    }

    #[test]
    fn bfgs_descends_where_the_gradient_jumps() {
        let f = |[x, y]: &[f64; 2]| {
            ((x - 1.0).abs() + 3.0 * (y + x).abs(), {
                let (first, second) = ((x - 1.0).signum(), 3.0 * (y + x).signum());
                [first + second, second]
            })
        };
        let stop = bfgs(f, [4.0, 3.0], 0.0, 300);
        assert!(stop.value < 1e-6, "{stop:?}");
    }

    #[test]
    fn a_system_that_is_not_positive_definite_has_no_solution_here() {
        let x = solve_positive(&[[4.0, 1.0], [1.0, 3.0]], &[1.0, 2.0]).unwrap();
        assert!((x[0] - 1.0 / 11.0).abs() < 1e-14 && (x[1] - 7.0 / 11.0).abs() < 1e-14);
        assert!(solve_positive(&[[1.0, 2.0], [2.0, 1.0]], &[1.0, 1.0]).is_none());
    }

    #[test]
    fn a_root_is_found_near_and_far() {
        for near in [1.0, -300.0] {
            assert!((root(|x| 8.0 - x * x * x, near) - 2.0).abs() < 1e-12);
        }
    }

    #[test]
    fn the_search_finds_the_lower_of_two_minima() {
        let x = search(|x: f64| (x * x - 1.0).powi(2) + 0.1 * x, -2.0, 2.0, 21);
        assert!((x + 1.012_3).abs() < 1e-3, "{x}");
    }
}
