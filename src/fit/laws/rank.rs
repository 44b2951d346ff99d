//! Whether a measure of runs follows their loss: do tasks put models in the order in which the loss puts them?
//!
//! Losses of tasks and accuracies have other units and other shapes than the validation loss, so only orders are compared:
//! Spearman's correlation of ranks, and the share of pairs of runs that both put in the same order (as arXiv 2504.11393
//! does for corpora). Pairs that are close in loss are those that a choice depends on.

use crate::fit::laws::law::{LawFit, Parameter};
use crate::fit::numerics::bootstrap::Bootstrap;
use crate::fit::{Estimate, Status};

/// Fewest runs whose order tells anything.
const FEWEST: usize = 5;
/// Share of all pairs that count as close.
const CLOSE: f64 = 0.25;

/// A run: its loss, and the measure.
pub type Row = [f64; 2];

/// Compares the orders. `better` says whether a larger measure is better, as an accuracy is and an edit distance is not.
pub fn fit(measure: &str, better: bool, rows: &[Row], bootstrap: &Bootstrap) -> LawFit {
    let law = format!("the order of runs by {measure} against that by loss");
    if rows.len() < FEWEST {
        let sentence = format!("An order needs at least {FEWEST} runs to be compared.");
        return LawFit::without_numbers(&law, Status::TooFewPoints, rows.len(), &sentence);
    }
    let sign = if better { -1.0 } else { 1.0 };
    let rows: Vec<Row> = rows.iter().map(|[loss, measure]| [*loss, sign * measure]).collect();
    let value = numbers(&rows);
    let draws = bootstrap.draws(|rng| {
        use rand::RngExt;
        numbers(&rows.iter().map(|_| rows[rng.random_range(0..rows.len())]).collect::<Vec<_>>())
    });
    let estimate = |k: usize| Estimate::from_draws(value[k], draws.iter().map(|draw| draw[k]));
    let [rho, alike, close] = [estimate(0), estimate(1), estimate(2)];
    let status = if value.iter().all(|x| x.is_finite()) { Status::Converged } else { Status::NotIdentified };
    let conclusion = match status {
        Status::Converged => conclusion(measure, [rho, alike, close]),
        _ => format!("All runs have the same loss, or the same {measure}: they have no order."),
    };
    LawFit {
        formula: law,
        status,
        points: rows.len(),
        parameters: vec![
            Parameter::new("rho", "Spearman's correlation of the ranks", rho),
            Parameter::new("alike", "share of pairs of runs in the same order, ties counted by half", alike),
            Parameter::new("close", "the same of the quarter of pairs that is closest in loss", close),
        ],
        residuals: None,
        resampled: "runs".to_owned(),
        conclusion,
    }
}

fn conclusion(measure: &str, [rho, alike, close]: [Estimate; 3]) -> String {
    let percent = |x: Estimate| format!("{:.0}% ({:.0} to {:.0})", 100.0 * x.value, 100.0 * x.low, 100.0 * x.high);
    let follows = if rho.low > 0.0 { "follows" } else { "is not shown to follow" };
    format!(
        "{measure} {follows} the loss: the ranks correlate by {:.2} ({:.2} to {:.2}). It puts {} of all pairs of runs in \
         the order of their losses, and {} of those that are closest in loss.",
        rho.value,
        rho.low,
        rho.high,
        percent(alike),
        percent(close)
    )
}

/// Correlation of ranks, and the shares of pairs in the same order: of all, and of the closest.
fn numbers(rows: &[Row]) -> [f64; 3] {
    let [by_loss, by_measure] = [0, 1].map(|k| ranks(&rows.iter().map(|row| row[k]).collect::<Vec<_>>()));
    let mut pairs: Vec<(f64, f64)> = Vec::with_capacity(rows.len() * rows.len() / 2);
    for (i, a) in rows.iter().enumerate() {
        for b in &rows[..i] {
            let [loss, measure] = [a[0] - b[0], a[1] - b[1]];
            // A run that was drawn twice, and runs of one loss, have no order.
            if loss.abs() > 0.0 {
                let same = if measure.abs() > 0.0 { f64::from(u8::from(loss * measure > 0.0)) } else { 0.5 };
                pairs.push((loss.abs(), same));
            }
        }
    }
    pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
    let share = |pairs: &[(f64, f64)]| pairs.iter().map(|(_, same)| same).sum::<f64>() / pairs.len() as f64;
    let close = ((pairs.len() as f64 * CLOSE).ceil() as usize).min(pairs.len());
    [correlation(&by_loss, &by_measure), share(&pairs), share(&pairs[..close])]
}

/// Ranks from 0, the mean of those that equal values share.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0.0; values.len()];
    let mut first = 0;
    for group in order.chunk_by(|a, b| values[*a].total_cmp(&values[*b]).is_eq()) {
        for at in group {
            ranks[*at] = first as f64 + (group.len() - 1) as f64 / 2.0;
        }
        first += group.len();
    }
    ranks
}

/// Pearson's correlation; not a number where one of them is constant.
fn correlation(x: &[f64], y: &[f64]) -> f64 {
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (mx, my) = (mean(x), mean(y));
    let product =
        |a: &[f64], ma: f64, b: &[f64], mb: f64| -> f64 { a.iter().zip(b).map(|(a, b)| (a - ma) * (b - mb)).sum() };
    product(x, mx, y, my) / (product(x, mx, x, mx) * product(y, my, y, my)).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOTSTRAP: Bootstrap = Bootstrap { resamples: 200, seed: 1 };

    #[test]
    fn equal_values_share_the_mean_of_their_ranks() {
        assert_eq!(ranks(&[3.0, 1.0, 3.0, 2.0]), [2.5, 0.0, 2.5, 1.0]);
        // By SciPy 1.16: spearmanr([1, 2, 3, 4, 5], [5, 6, 7, 8, 7]) is 0.8207826816681233.
        let by = |values: &[f64]| ranks(values);
        let rho = correlation(&by(&[1.0, 2.0, 3.0, 4.0, 5.0]), &by(&[5.0, 6.0, 7.0, 8.0, 7.0]));
        assert!((rho - 0.820_782_681_668_123_3).abs() < 1e-12, "{rho}");
    }

    #[test]
    fn an_accuracy_that_follows_the_loss_says_so_and_noise_does_not() {
        let rows: Vec<Row> = (0..20).map(|i| [3.0 - 0.05 * f64::from(i), 0.3 + 0.02 * f64::from(i)]).collect();
        let found = fit("accuracy", true, &rows, &BOOTSTRAP);
        assert_eq!(found.status, Status::Converged);
        assert!(["rho", "alike", "close"].iter().all(|name| (found.get(name).unwrap().value - 1.0).abs() < 1e-12));
        let other = fit("edits", false, &rows, &BOOTSTRAP);
        assert!((other.get("rho").unwrap().value + 1.0).abs() < 1e-12 && other.conclusion.contains("not shown"));
        let noise: Vec<Row> = (0..20).map(|i| [3.0 - 0.05 * f64::from(i), f64::from(i * 7 % 20)]).collect();
        let found = fit("accuracy", true, &noise, &BOOTSTRAP);
        assert!(found.get("rho").unwrap().holds(0.0) && found.conclusion.contains("not shown"), "{found:?}");
    }

    #[test]
    fn too_few_runs_and_runs_without_an_order_are_said() {
        assert_eq!(fit("accuracy", true, &[[1.0, 2.0]; 4], &BOOTSTRAP).status, Status::TooFewPoints);
        assert_eq!(fit("accuracy", true, &[[1.0, 2.0]; 8], &BOOTSTRAP).status, Status::NotIdentified);
    }
}
