//! Repeats of one run as one: the fewest steps are meant for what was tuned, and the best of several seeds is lower by chance
//! alone.

use std::collections::BTreeMap;

use super::runs::Row;
use crate::fit::numerics::averages;
use crate::fit::table::Placed;

/// A row with where it stands, where the table tells seeds.
pub type Seeded = (Row, Option<Placed>);

/// Place of a run, its batch and its steps or loss, in bits.
type Key<'a> = (&'a [String], [u64; 2]);

/// What each seed came to.
type Seeds<'a> = BTreeMap<&'a [String], f64>;

/// Rows in which those that differ in their seed alone are one: at equal steps by the mean of their losses, or, where steps to
/// given losses are told, at equal losses by the geometric mean of their steps. Of rows of one seed the best counts.
pub fn averaged(rows: &[Seeded]) -> Vec<Row> {
    let at_steps = merged(rows, 1, averages::mean);
    if at_steps.len() < rows.len() {
        return at_steps;
    }
    merged(rows, 2, |seeds| (seeds.iter().map(|steps| steps.ln()).sum::<f64>() / seeds.len() as f64).exp())
}

/// Rows that agree in place, batch and the number at `same`, with the mean over seeds of the other number.
fn merged(rows: &[Seeded], same: usize, mean: impl Fn(&[f64]) -> f64) -> Vec<Row> {
    let other = 3 - same;
    let mut alike: BTreeMap<Key, Seeds> = BTreeMap::new();
    let mut alone = Vec::new();
    for (row, placed) in rows {
        let Some(placed) = placed.as_ref().filter(|placed| !placed.seed.is_empty()) else {
            alone.push(*row);
            continue;
        };
        let seeds = alike.entry((&placed.place[..], [row[0], row[same]].map(f64::to_bits))).or_default();
        let best = seeds.entry(&placed.seed[..]).or_insert(f64::INFINITY);
        *best = best.min(row[other]);
    }
    let one = |((_, same_as), seeds): (Key, Seeds)| {
        let mut row = [0.0; 3];
        [row[0], row[same]] = same_as.map(f64::from_bits);
        row[other] = mean(&seeds.into_values().collect::<Vec<_>>());
        row
    };
    alone.into_iter().chain(alike.into_iter().map(one)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seeded(row: Row, rate: &str, seed: &str) -> Seeded {
        let cells = |cell: &str| vec![cell.to_owned()];
        (row, Some(Placed { loss: row[2], place: cells(rate), seed: cells(seed), tuned: Vec::new() }))
    }

    #[test]
    fn seeds_are_averaged_and_other_settings_are_not() {
        let rows = [
            seeded([8.0, 100.0, 3.0], "1e-3", "0"),
            seeded([8.0, 100.0, 3.2], "1e-3", "1"),
            seeded([8.0, 100.0, 2.9], "2e-3", "0"),
            seeded([8.0, 200.0, 2.5], "1e-3", "0"),
        ];
        let mut found = averaged(&rows);
        found.sort_by(|a, b| a[2].total_cmp(&b[2]));
        assert_eq!(found, [[8.0, 200.0, 2.5], [8.0, 100.0, 2.9], [8.0, 100.0, 3.1]]);
        let plain: Vec<Seeded> = rows.iter().map(|(row, _)| (*row, None)).collect();
        assert_eq!(averaged(&plain).len(), 4);
    }

    #[test]
    fn steps_to_a_loss_are_averaged_in_the_logarithm() {
        let rows = [seeded([8.0, 100.0, 3.0], "1e-3", "0"), seeded([8.0, 400.0, 3.0], "1e-3", "1")];
        let found = averaged(&rows);
        assert!(found.len() == 1 && (found[0][1] - 200.0).abs() < 1e-9, "{found:?}");
    }
}
