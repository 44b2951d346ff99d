//! Which rows share a budget, and which are drawn together by a resample.

use rand::{Rng, RngExt};

/// Whether two ascending budgets are one: achieved FLOPs differ from planned ones by up to 1% to either side.
pub fn same_budget(lower: f64, upper: f64) -> bool {
    upper <= lower * (1.01 / 0.99)
}

/// What is drawn with replacement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Resample {
    /// Single runs.
    #[default]
    Runs,
    /// Whole budgets: where the runs of one budget err together, single runs would give intervals too narrow.
    Budgets,
}

impl Resample {
    /// The name used in tables and files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Runs => "runs",
            Self::Budgets => "budgets",
        }
    }
}

/// Rows in the units that are drawn together.
#[derive(Clone, Debug)]
pub struct Units {
    /// What a unit is.
    pub resample: Resample,
    members: Vec<Vec<usize>>,
}

impl Units {
    /// Units of the rows whose budgets in FLOPs are `budgets`.
    pub fn new(resample: Resample, budgets: &[f64]) -> Self {
        let mut rows: Vec<usize> = (0..budgets.len()).collect();
        if resample == Resample::Runs {
            return Self { resample, members: rows.into_iter().map(|row| vec![row]).collect() };
        }
        rows.sort_by(|&i, &j| budgets[i].total_cmp(&budgets[j]));
        let mut units: Vec<Vec<usize>> = Vec::new();
        for row in rows {
            match units.last_mut() {
                Some(unit) if same_budget(budgets[unit[0]], budgets[row]) => unit.push(row),
                _ => units.push(vec![row]),
            }
        }
        Self { resample, members: units }
    }

    /// How many units there are.
    pub fn count(&self) -> usize {
        self.members.len()
    }

    /// Rows of as many units as there are, drawn with replacement.
    pub fn draw(&self, rng: &mut impl Rng) -> impl Iterator<Item = usize> {
        let drawn: Vec<usize> = self.members.iter().map(|_| rng.random_range(0..self.members.len())).collect();
        drawn.into_iter().flat_map(|unit| self.members[unit].iter().copied())
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn whole_budgets_are_drawn_together() {
        let budgets = [1e18, 1e19, 1.005e18, 1e19, 1e20];
        let units = Units::new(Resample::Budgets, &budgets);
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for _ in 0..50 {
            let drawn: Vec<usize> = units.draw(&mut rng).collect();
            let count = |row| drawn.iter().filter(|other| **other == row).count();
            assert_eq!((count(0), count(1)), (count(2), count(3)));
            assert_eq!(count(0) + count(1) + count(4), 3);
        }
        assert_eq!(Units::new(Resample::Runs, &budgets).draw(&mut rng).count(), 5);
    }
}
