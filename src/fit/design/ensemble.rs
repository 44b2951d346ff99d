//! How much a run would tell, from draws of what may be true: each draw has a value of every target and a prediction of
//! every candidate.
//!
//! Targets and observations are taken as jointly normal with the draws' covariances. An observation of a candidate then
//! shrinks a target's variance by the square of their covariance over the variance of the observation, whatever it turns
//! out to be, so that a batch can be chosen before any of it is known (the square-root update of an ensemble Kalman
//! filter, Whitaker and Hamill 2002). Knows no law.

/// Draws of targets and candidates, as far as their covariances need them.
#[derive(Clone, Debug)]
pub struct Ensemble {
    /// Variance of each target.
    targets: Vec<f64>,
    /// For each candidate, its deviation from its mean in each draw.
    candidates: Vec<Vec<f64>>,
    /// For each candidate, its variance and its covariance with each target. They are kept and not computed anew, as a pool asks
    /// for all of them after each observation.
    variances: Vec<f64>,
    with_targets: Vec<Vec<f64>>,
    /// For each candidate, the variance of the noise of an observation.
    noise: Vec<f64>,
}

impl Ensemble {
    /// From a row of values, one a draw, for each target and each candidate, and the variance of each candidate's noise.
    pub fn new(targets: Vec<Vec<f64>>, candidates: Vec<Vec<f64>>, noise: Vec<f64>) -> Self {
        let centred = |mut row: Vec<f64>| {
            let mean = row.iter().sum::<f64>() / row.len() as f64;
            for value in &mut row {
                *value -= mean;
            }
            row
        };
        let centre = |rows: Vec<Vec<f64>>| rows.into_iter().map(centred).collect::<Vec<_>>();
        let (targets, candidates) = (centre(targets), centre(candidates));
        let with_targets = |row: &Vec<f64>| targets.iter().map(|target| covariance(target, row)).collect();
        Self {
            variances: candidates.iter().map(|row| covariance(row, row)).collect(),
            with_targets: candidates.iter().map(with_targets).collect(),
            targets: targets.iter().map(|row| covariance(row, row)).collect(),
            candidates,
            noise,
        }
    }

    /// Sum of the targets' variances.
    pub fn variance(&self) -> f64 {
        self.targets.iter().sum()
    }

    /// By how much an observation of a candidate would shrink the sum of the targets' variances. So few draws as there are
    /// make any two rows covary, by one over their number in the mean of squares; that is taken off.
    pub fn gain(&self, candidate: usize) -> f64 {
        let variance = self.variances[candidate];
        let by_chance = variance / (self.candidates[candidate].len() as f64 - 1.0);
        let of = |(target, with): (&f64, &f64)| (with.powi(2) - by_chance * target).max(0.0);
        let shrunk: f64 = self.targets.iter().zip(&self.with_targets[candidate]).map(of).sum();
        shrunk / (variance + self.noise[candidate])
    }

    /// Takes a candidate as observed.
    pub fn observe(&mut self, candidate: usize) {
        let row = self.candidates[candidate].clone();
        let with_row = self.with_targets[candidate].clone();
        let noise = self.noise[candidate];
        let total = self.variances[candidate] + noise;
        if total.is_nan() || total <= 0.0 {
            return;
        }
        for (target, with) in self.targets.iter_mut().zip(&with_row) {
            *target = (*target - with.powi(2) / total).max(0.0);
        }
        let half = 1.0 / (1.0 + (noise / total).sqrt());
        let others = self.candidates.iter_mut().zip(&mut self.variances).zip(&mut self.with_targets);
        for ((other, variance), with_targets) in others {
            let share = covariance(other, &row) / total;
            *variance = (*variance - share.powi(2) * total).max(0.0);
            with_targets.iter_mut().zip(&with_row).for_each(|(with, row)| *with -= share * row);
            other.iter_mut().zip(&row).for_each(|(value, deviation)| *value -= half * share * deviation);
        }
    }
}

fn covariance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>() / (a.len() as f64 - 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two independent unknowns of variance 1; the target is their sum.
    fn two_unknowns() -> Ensemble {
        let (x, y) = ([1.0, 1.0, -1.0, -1.0], [1.0, -1.0, 1.0, -1.0]);
        let [x, y] = [x, y].map(|row| row.map(|value| 5.0 + value).repeat(10_000));
        let target = x.iter().zip(&y).map(|(x, y)| x + y).collect();
        Ensemble::new(vec![target], vec![x, y], vec![0.25; 2])
    }

    #[test]
    fn the_gain_is_what_observing_takes_away() {
        let mut ensemble = two_unknowns();
        assert!((ensemble.variance() - 2.0).abs() < 1e-3);
        assert!((ensemble.gain(0) - 0.8).abs() < 1e-3, "1 / (1 + 0.25)");
        ensemble.observe(0);
        assert!((ensemble.variance() - 1.2).abs() < 1e-3);
        // What was observed has little left to tell, what was not has all of it.
        assert!((ensemble.gain(1) - 0.8).abs() < 1e-3);
        assert!(ensemble.gain(0) < 0.1, "{}", ensemble.gain(0));
    }

    #[test]
    fn what_two_rows_have_in_common_by_chance_is_no_gain() {
        use rand::{RngExt as _, SeedableRng as _};
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
        let mut row = || (0..200).map(|_| rng.random_range(-1.0..1.0)).collect::<Vec<f64>>();
        let candidates: Vec<Vec<f64>> = (0..400).map(|_| row()).collect();
        let ensemble = Ensemble::new(vec![row()], candidates, vec![0.0; 400]);
        let nothing = (0..400).filter(|candidate| ensemble.gain(*candidate) == 0.0).count();
        // Squares of normal numbers are below their mean in 68 of 100.
        assert!((230..320).contains(&nothing), "{nothing}");
    }

    #[test]
    fn without_noise_and_without_scatter_nothing_is_gained_or_lost() {
        let mut ensemble = Ensemble::new(vec![vec![1.0, 2.0]], vec![vec![3.0, 3.0]], vec![0.0]);
        ensemble.observe(0);
        assert!((ensemble.variance() - 0.5).abs() < 1e-12);
    }
}
