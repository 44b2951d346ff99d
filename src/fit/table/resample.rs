//! Which rows a resample draws together.

use std::collections::HashMap;

use clap::ValueEnum;
use rand::{Rng, RngExt};

use super::budgets::by_budget;

/// What is drawn with replacement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Resample {
    /// Single runs, repeats of one of them together.
    #[value(help = "Single runs (approach 1: whole curves; approach 2: losses at fixed sizes)")]
    #[default]
    Runs,
    /// Whole budgets: where the runs of one budget err together, single runs would give intervals too narrow.
    #[value(help = "Whole budgets")]
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
    /// Units of rows by their budgets in FLOPs, or by their places: the values of what the law depends on.
    pub fn new<P: AsRef<[f64]>>(resample: Resample, budgets: &[f64], places: impl IntoIterator<Item = P>) -> Self {
        match resample {
            Resample::Runs => Self::of_repeats(places),
            Resample::Budgets => Self { resample, members: by_budget(budgets) },
        }
    }

    /// Units of rows that stand at one place, in the order in which these come. Seeds of one size and length share what the law
    /// misses there: drawn one by one they would count as so many places, and intervals would be too narrow.
    pub fn of_repeats<P: AsRef<[f64]>>(places: impl IntoIterator<Item = P>) -> Self {
        let mut units: HashMap<Vec<u64>, usize> = HashMap::new();
        let mut members: Vec<Vec<usize>> = Vec::new();
        for (row, place) in places.into_iter().enumerate() {
            let place = place.as_ref().iter().map(|value| value.to_bits()).collect();
            let unit = *units.entry(place).or_insert(members.len());
            if unit == members.len() {
                members.push(Vec::new());
            }
            members[unit].push(row);
        }
        Self { resample: Resample::Runs, members }
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
    use crate::fit::table::budgets::count;

    #[test]
    fn whole_budgets_are_drawn_together() {
        let budgets = [1e18, 1e19, 1.005e18, 1e19, 1e20];
        let units = Units::new(Resample::Budgets, &budgets, [[0.0]; 5]);
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for _ in 0..50 {
            let drawn: Vec<usize> = units.draw(&mut rng).collect();
            let times = |row| drawn.iter().filter(|other| **other == row).count();
            assert_eq!((times(0), times(1)), (times(2), times(3)));
            assert_eq!(times(0) + times(1) + times(4), 3);
        }
        assert_eq!((units.count(), count(&budgets)), (3, 3));
    }

    #[test]
    fn repeats_of_one_place_are_drawn_together_and_others_one_by_one() {
        // Seeds of the first place stand apart; the last two differ in tokens alone.
        let places = [[1e6, 2e7], [3e6, 2e7], [1e6, 2e7], [5e6, 1e7], [5e6, 2e7]];
        let units = Units::new(Resample::Runs, &[1.0; 5], places);
        assert_eq!(units.count(), 4);
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut apart = false;
        for _ in 0..50 {
            let drawn: Vec<usize> = units.draw(&mut rng).collect();
            let times = |row| drawn.iter().filter(|other| **other == row).count();
            assert_eq!(times(0), times(2));
            assert_eq!(times(0) + times(1) + times(3) + times(4), 4);
            apart |= times(3) != times(4);
        }
        assert!(apart);
    }
}
