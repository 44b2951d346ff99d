//! Linear models whose weights and noise are normal: their evidence, their posterior, and draws from it (MacKay 1992,
//! "Bayesian interpolation").

use rand::Rng;
use rand_distr::{Distribution as _, StandardNormal};

/// A weight before anything was seen: its mean and standard deviation.
pub type Prior = [f64; 2];

/// Sums over the rows of a linear model, which are all that its posterior needs.
#[derive(Clone, Debug)]
pub struct Moments {
    /// Sums of products of the columns.
    gram: Matrix,
    /// Sums of products of each column with what was observed.
    right: Vec<f64>,
    /// Sum of the squares of what was observed.
    square: f64,
    rows: usize,
}

/// What is known of the weights.
#[derive(Clone, Debug)]
pub struct Posterior {
    /// Their means.
    pub mean: Vec<f64>,
    /// Lower triangle of the precision's factor.
    factor: Matrix,
    /// Logarithm of the probability of what was observed, under the prior and the noise.
    pub ln_evidence: f64,
}

/// A square matrix, row by row.
#[derive(Clone, Debug)]
struct Matrix {
    side: usize,
    cells: Vec<f64>,
}

impl Matrix {
    fn zero(side: usize) -> Self {
        Self { side, cells: vec![0.0; side * side] }
    }

    fn row(&self, i: usize) -> &[f64] {
        &self.cells[i * self.side..(i + 1) * self.side]
    }

    /// The lower triangle L of a positive matrix L L^T, by Cholesky; nothing where it is not positive.
    fn factor(mut self) -> Option<Self> {
        for i in 0..self.side {
            for j in 0..=i {
                let (above, below) = self.cells.split_at(i * self.side);
                let known = if i == j { &below[..j] } else { &above[j * self.side..j * self.side + j] };
                let rest = below[j] - dot(&below[..j], known);
                let cell = if i == j { rest.sqrt() } else { rest / above[j * self.side + j] };
                if !cell.is_finite() || i == j && cell <= 0.0 {
                    return None;
                }
                self.cells[i * self.side + j] = cell;
            }
        }
        Some(self)
    }

    /// Solves L x = b in place, for a lower triangle.
    fn forward(&self, x: &mut [f64]) {
        for i in 0..self.side {
            let (known, rest) = x.split_at_mut(i);
            rest[0] = (rest[0] - dot(&self.row(i)[..i], known)) / self.row(i)[i];
        }
    }

    /// Solves L^T x = b in place, for a lower triangle.
    fn backward(&self, x: &mut [f64]) {
        for i in (0..self.side).rev() {
            let known: f64 = (i + 1..self.side).map(|k| self.row(k)[i] * x[k]).sum();
            x[i] = (x[i] - known) / self.row(i)[i];
        }
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

impl Moments {
    /// No rows yet.
    pub fn new(columns: usize) -> Self {
        Self { gram: Matrix::zero(columns), right: vec![0.0; columns], square: 0.0, rows: 0 }
    }

    /// Adds a row of columns and what was observed there.
    pub fn add(&mut self, columns: &[f64], observed: f64) {
        let side = self.gram.side;
        for (i, a) in columns.iter().enumerate() {
            for (cell, b) in self.gram.cells[i * side..].iter_mut().zip(columns) {
                *cell += a * b;
            }
            self.right[i] += a * observed;
        }
        self.square += observed * observed;
        self.rows += 1;
    }

    /// The posterior under independent priors of the weights and noise of a standard deviation. Nothing where the numbers
    /// do not allow one.
    pub fn posterior(&self, prior: &[Prior], noise: f64) -> Option<Posterior> {
        let side = self.gram.side;
        let precision = 1.0 / (noise * noise);
        let mut matrix = self.gram.clone();
        matrix.cells.iter_mut().for_each(|cell| *cell *= precision);
        // What was observed, less what the priors' means explain.
        let means: Vec<f64> = prior.iter().map(|[mean, _]| *mean).collect();
        let explained: Vec<f64> = (0..side).map(|i| dot(self.gram.row(i), &means)).collect();
        let square = self.square - 2.0 * dot(&means, &self.right) + dot(&means, &explained);
        let mut shift: Vec<f64> = (0..side).map(|i| precision * (self.right[i] - explained[i])).collect();
        let mut ln_evidence = -(self.rows as f64) * (noise.ln() + 0.5 * std::f64::consts::TAU.ln());
        for (i, [_, deviation]) in prior.iter().enumerate() {
            matrix.cells[i * side + i] += 1.0 / (deviation * deviation);
            ln_evidence -= deviation.ln();
        }
        let factor = matrix.factor()?;
        factor.forward(&mut shift);
        ln_evidence -= (0..side).map(|i| factor.row(i)[i].ln()).sum::<f64>();
        ln_evidence -= 0.5 * (square * precision - dot(&shift, &shift));
        factor.backward(&mut shift);
        let mean = means.iter().zip(&shift).map(|(mean, shift)| mean + shift).collect();
        ln_evidence.is_finite().then_some(Posterior { mean, factor, ln_evidence })
    }
}

impl Posterior {
    /// One draw of the weights.
    pub fn draw(&self, rng: &mut impl Rng) -> Vec<f64> {
        let mut weights: Vec<f64> = self.mean.iter().map(|_| StandardNormal.sample(rng)).collect();
        self.factor.backward(&mut weights);
        weights.iter().zip(&self.mean).map(|(offset, mean)| mean + offset).collect()
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn one_weight_has_the_posterior_that_a_formula_gives() {
        let mut moments = Moments::new(1);
        let (observed, noise, prior) = ([1.2, 0.7, 1.9], 0.5, [0.3, 2.0]);
        observed.iter().for_each(|y| moments.add(&[1.0], *y));
        let posterior = moments.posterior(&[prior], noise).unwrap();
        let precision = 3.0 / 0.25 + 1.0 / 4.0;
        let mean = (3.8 / 0.25 + 0.3 / 4.0) / precision;
        assert!((posterior.mean[0] - mean).abs() < 1e-12);
        // The evidence is a normal density with covariance noise^2 + deviation^2 between all rows.
        let residuals = observed.map(|y| y - prior[0]);
        let (sum, squares) = (residuals.iter().sum::<f64>(), residuals.iter().map(|r| r * r).sum::<f64>());
        let (v, t) = (0.25, 4.0);
        let quadratic = (squares - t * sum * sum / (v + 3.0 * t)) / v;
        let ln_determinant = 2.0 * f64::ln(v) + f64::ln(v + 3.0 * t);
        let expected = -0.5 * (3.0 * std::f64::consts::TAU.ln() + ln_determinant + quadratic);
        assert!((posterior.ln_evidence - expected).abs() < 1e-12, "{} and not {expected}", posterior.ln_evidence);
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let draws: Vec<f64> = (0..20_000).map(|_| posterior.draw(&mut rng)[0]).collect();
        let average = draws.iter().sum::<f64>() / draws.len() as f64;
        let variance = draws.iter().map(|x| (x - average).powi(2)).sum::<f64>() / draws.len() as f64;
        assert!((average - mean).abs() < 0.01 && (variance * precision - 1.0).abs() < 0.05);
    }

    #[test]
    fn many_rows_and_a_wide_prior_give_the_line_through_them() {
        let mut moments = Moments::new(2);
        (0..20).for_each(|i| moments.add(&[1.0, f64::from(i)], 3.0 - 0.5 * f64::from(i)));
        let posterior = moments.posterior(&[[0.0, 1e3], [0.0, 1e3]], 1e-3).unwrap();
        assert!((posterior.mean[0] - 3.0).abs() < 1e-6 && (posterior.mean[1] + 0.5).abs() < 1e-6);
    }

    #[test]
    fn numbers_that_are_none_have_no_posterior() {
        let mut moments = Moments::new(1);
        moments.add(&[f64::NAN], 1.0);
        assert!(moments.posterior(&[[0.0, 1.0]], 0.1).is_none());
    }
}
