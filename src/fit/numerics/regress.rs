//! Weighted least squares for straight lines and parabolas, in closed form.
//!
//! Three unknowns at most, so orthogonal polynomials (Forsythe 1957) give the solution without a matrix: nothing is
//! inverted, nothing can be ill-conditioned by the size of x, and a bootstrap that keeps x pays for the design once.

/// Values of x, with the polynomials that are orthogonal over them.
#[derive(Clone, Debug)]
pub struct Design {
    weights: Vec<f64>,
    mean: f64,
    /// phi1 = t, phi2 = t^2 - slope t - offset, with t = x - mean.
    slope: f64,
    offset: f64,
    basis: Vec<[f64; 3]>,
    norms: [f64; 3],
}

/// A parabola y = p t^2 + l t + c in t = x - mean.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parabola {
    mean: f64,
    p: f64,
    l: f64,
    c: f64,
}

/// A straight line y = intercept + slope x.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Line {
    /// Value at x = 0.
    pub intercept: f64,
    /// Change of y for each unit of x.
    pub slope: f64,
}

impl Design {
    /// The design of `x`, every point of the same weight.
    pub fn new(x: &[f64]) -> Self {
        Self::weighted(x, &vec![1.0; x.len()])
    }

    /// The design of `x` with weights, which are proportional to 1/variance.
    pub fn weighted(x: &[f64], weights: &[f64]) -> Self {
        let total: f64 = weights.iter().sum();
        let average = |f: &dyn Fn(f64) -> f64| x.iter().zip(weights).map(|(x, w)| w * f(*x)).sum::<f64>() / total;
        let mean = average(&|x| x);
        let offset = average(&|x| (x - mean).powi(2));
        let slope = if offset > 0.0 { average(&|x| (x - mean).powi(3)) / offset } else { 0.0 };
        let basis: Vec<[f64; 3]> = x
            .iter()
            .map(|x| {
                let t = x - mean;
                [1.0, t, t * t - slope * t - offset]
            })
            .collect();
        let norms = std::array::from_fn(|k| basis.iter().zip(weights).map(|(phi, w)| w * phi[k] * phi[k]).sum());
        Self { weights: weights.to_vec(), mean, slope, offset, basis, norms }
    }

    fn coefficient(&self, k: usize, y: &[f64]) -> f64 {
        let product: f64 = self.basis.iter().zip(&self.weights).zip(y).map(|((phi, w), y)| w * phi[k] * y).sum();
        product / self.norms[k]
    }

    /// The least-squares parabola through `y`. It needs at least three distinct x.
    pub fn parabola(&self, y: &[f64]) -> Parabola {
        let [c0, c1, p] = [0, 1, 2].map(|k| self.coefficient(k, y));
        Parabola { mean: self.mean, p, l: c1 - p * self.slope, c: c0 - p * self.offset }
    }

    /// The least-squares straight line through `y`. It needs at least two distinct x.
    pub fn line(&self, y: &[f64]) -> Line {
        let [c0, slope] = [0, 1].map(|k| self.coefficient(k, y));
        Line { intercept: c0 - slope * self.mean, slope }
    }

    /// How much the parabola at point `i` follows the value at point `i`, from 0 to 1: the diagonal of the hat matrix.
    pub fn leverage(&self, i: usize) -> f64 {
        self.weights[i] * (0..3).map(|k| self.basis[i][k].powi(2) / self.norms[k]).sum::<f64>()
    }
}

impl Parabola {
    /// Coefficients [p, q, r] of y = p x^2 + q x + r.
    pub fn coefficients(&self) -> [f64; 3] {
        [self.p, self.l - 2.0 * self.p * self.mean, self.c - self.l * self.mean + self.p * self.mean.powi(2)]
    }

    /// Value at x.
    pub fn at(&self, x: f64) -> f64 {
        let t = x - self.mean;
        (self.p * t + self.l) * t + self.c
    }

    /// Coefficient of x^2: positive where there is a minimum.
    pub fn curvature(&self) -> f64 {
        self.p
    }

    /// The x of the vertex.
    pub fn vertex(&self) -> f64 {
        self.mean - self.l / (2.0 * self.p)
    }
}

impl Line {
    /// Value at x.
    pub fn at(&self, x: f64) -> f64 {
        self.intercept + self.slope * x
    }
}

/// How many of these logarithms differ.
pub fn distinct(logarithms: impl Iterator<Item = f64>) -> usize {
    let mut sorted: Vec<f64> = logarithms.collect();
    sorted.sort_by(f64::total_cmp);
    sorted.dedup_by(|a, b| (*a - *b).abs() < 1e-9);
    sorted.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parabola_far_from_the_origin_is_recovered() {
        let x: Vec<f64> = (0..9).map(|i| 1e3 + 0.1 * f64::from(i * i)).collect();
        let y: Vec<f64> = x.iter().map(|x| 2.0 * (x - 1002.5).powi(2) + 3.0).collect();
        let fit = Design::new(&x).parabola(&y);
        assert!((fit.curvature() - 2.0).abs() < 1e-9 && (fit.vertex() - 1002.5).abs() < 1e-9);
        assert!((fit.at(1002.5) - 3.0).abs() < 1e-9);
    }

    #[test]
    fn the_residuals_of_a_weighted_fit_are_orthogonal_to_its_basis() {
        let x = [0.0, 1.0, 2.5, 4.0, 4.5];
        let y = [1.0, 0.3, 0.9, 2.0, 5.0];
        let weights = [1.0, 4.0, 0.5, 2.0, 1.0];
        let design = Design::weighted(&x, &weights);
        let (parabola, line) = (design.parabola(&y), design.line(&y));
        for degree in 0..3 {
            let product = |fitted: &dyn Fn(f64) -> f64| -> f64 {
                (0..5).map(|i| weights[i] * x[i].powi(degree) * (y[i] - fitted(x[i]))).sum()
            };
            assert!(product(&|x| parabola.at(x)).abs() < 1e-10);
            assert!(degree == 2 || product(&|x| line.at(x)).abs() < 1e-10);
        }
        let trace: f64 = (0..5).map(|i| design.leverage(i)).sum();
        assert!((trace - 3.0).abs() < 1e-12, "the hat matrix has trace 3, not {trace}");
    }
}
