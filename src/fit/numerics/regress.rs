//! Weighted least squares for straight lines, parabolas and cubics, in closed form.
//!
//! Four unknowns at most, so orthogonal polynomials (Forsythe 1957) give the solution without a matrix: nothing is
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

/// A parabola with a term k t^3, whose sides may differ. Without that term every number is that of the parabola.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cubic {
    parabola: Parabola,
    k: f64,
}

/// A design with the cubic that is orthogonal to its other polynomials: phi3 = (t - shift) phi2 - carry t.
#[derive(Clone, Debug)]
pub struct CubicDesign {
    design: Design,
    shift: f64,
    carry: f64,
    basis: Vec<f64>,
    norm: f64,
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

impl CubicDesign {
    /// The design of `x` with weights, which are proportional to 1/variance.
    pub fn weighted(x: &[f64], weights: &[f64]) -> Self {
        let design = Design::weighted(x, weights);
        let [_, first, second] = design.norms;
        let rows = || design.basis.iter().zip(weights);
        let shift = rows().map(|(phi, w)| w * phi[1] * phi[2] * phi[2]).sum::<f64>() / second;
        let carry = second / first;
        let basis: Vec<f64> = design.basis.iter().map(|phi| (phi[1] - shift) * phi[2] - carry * phi[1]).collect();
        let norm = basis.iter().zip(weights).map(|(phi, w)| w * phi * phi).sum();
        Self { design, shift, carry, basis, norm }
    }

    /// The least-squares cubic through `y`. It needs at least four distinct x.
    pub fn cubic(&self, y: &[f64]) -> Cubic {
        let weights = &self.design.weights;
        let k = self.basis.iter().zip(weights).zip(y).map(|((phi, w), y)| w * phi * y).sum::<f64>() / self.norm;
        let Design { slope, offset, .. } = self.design;
        let flat = self.design.parabola(y);
        let parabola = Parabola {
            p: flat.p - k * (slope + self.shift),
            l: flat.l + k * (self.shift * slope - offset - self.carry),
            c: flat.c + k * self.shift * offset,
            ..flat
        };
        Cubic { parabola, k }
    }

    /// How much the cubic at point `i` follows the value at point `i`, from 0 to 1.
    pub fn leverage(&self, i: usize) -> f64 {
        self.design.leverage(i) + self.design.weights[i] * self.basis[i].powi(2) / self.norm
    }
}

impl From<Parabola> for Cubic {
    fn from(parabola: Parabola) -> Self {
        Self { parabola, k: 0.0 }
    }
}

impl Cubic {
    /// Coefficients [k, p, q, r] of y = k x^3 + p x^2 + q x + r.
    pub fn coefficients(&self) -> [f64; 4] {
        let (k, m, [p, q, r]) = (self.k, self.parabola.mean, self.parabola.coefficients());
        [k, p - 3.0 * k * m, q + 3.0 * k * m * m, r - k * m.powi(3)]
    }

    /// Value at x.
    pub fn at(&self, x: f64) -> f64 {
        self.k * (x - self.parabola.mean).powi(3) + self.parabola.at(x)
    }

    /// Half the second derivative at the minimum; not above zero, or not a number, where there is none.
    pub fn curvature(&self) -> f64 {
        let Parabola { p, l, .. } = self.parabola;
        if self.k == 0.0 { p } else { (p * p - 3.0 * self.k * l).sqrt() }
    }

    /// The x of the minimum.
    pub fn vertex(&self) -> f64 {
        let Parabola { mean, p, l, .. } = self.parabola;
        let root = self.curvature();
        if self.k == 0.0 {
            self.parabola.vertex()
        } else if p > 0.0 {
            // The same as below without the difference of nearly equal numbers.
            mean - l / (p + root)
        } else {
            mean + (root - p) / (3.0 * self.k)
        }
    }
}

impl Line {
    /// Value at x.
    pub fn at(&self, x: f64) -> f64 {
        self.intercept + self.slope * x
    }
}

/// How many of these logarithms differ.
pub fn distinct_logarithms(logarithms: impl Iterator<Item = f64>) -> usize {
    count_distinct(logarithms, |a, b| (a - b).abs() < 1e-9)
}

/// How many of these values differ by more than rounding.
pub fn distinct(values: impl Iterator<Item = f64>) -> usize {
    count_distinct(values, |a, b| (a - b).abs() <= 1e-9 * b.abs())
}

fn count_distinct(values: impl Iterator<Item = f64>, same: impl Fn(f64, f64) -> bool) -> usize {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    sorted.dedup_by(|a, b| same(*a, *b));
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
    fn a_cubic_is_recovered_with_its_minimum_and_without_its_term_is_the_parabola() {
        let x: Vec<f64> = (0..8).map(|i| 6.0 + 0.2 * f64::from(i)).collect();
        let weights: Vec<f64> = (0..8).map(|i| f64::from(1 + i % 3)).collect();
        let design = CubicDesign::weighted(&x, &weights);
        for k in [-0.4, 0.3, 1e-7] {
            let truth = |x: f64| k * (x - 6.6).powi(3) + 0.5 * (x - 6.6).powi(2) + 2.0;
            let y: Vec<f64> = x.iter().map(|x| truth(*x)).collect();
            let cubic = design.cubic(&y);
            assert!((cubic.vertex() - 6.6).abs() < 1e-9 && (cubic.curvature() - 0.5).abs() < 1e-9, "{cubic:?}");
            let [a, b, c, d] = cubic.coefficients();
            for x in [5.0_f64, 6.6, 9.0] {
                assert!((cubic.at(x) - truth(x)).abs() < 1e-9);
                assert!((((a * x + b) * x + c) * x + d - truth(x)).abs() < 1e-8);
            }
        }
        let downwards: Vec<f64> = x.iter().map(|x| -(x - 6.6).powi(2)).collect();
        let parabola = design.design.parabola(&downwards);
        assert!(!(Cubic::from(parabola).curvature() > 0.0) && Cubic::from(parabola).vertex() == parabola.vertex());
        let rising: Vec<f64> = x.iter().map(|x| x + x.powi(3)).collect();
        assert!(!(design.cubic(&rising).curvature() > 0.0), "a cubic that only rises has no minimum");
        let trace: f64 = (0..8).map(|i| design.leverage(i)).sum();
        assert!((trace - 4.0).abs() < 1e-9, "the hat matrix has trace 4, not {trace}");
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
