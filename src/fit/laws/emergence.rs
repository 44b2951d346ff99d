//! Whether a skill comes at once: how fast its measures rise with training, and whether the jump of one follows from the
//! smooth rise of another.
//!
//! An answer of k tokens is right where every token is: with a share p of right tokens, p^k of the answers. So exact match
//! jumps where the accuracy of tokens only grows (Schaeffer et al. 2023, arXiv 2304.15004). Each measure goes from its value
//! after the least training to its best one; told is the factor of tokens over which it goes from a tenth to nine tenths of
//! that way, by straight lines over ln tokens between the means of the runs of each length.

use std::collections::BTreeMap;

use rand::{Rng, RngExt};

use crate::fit::estimate::too_many_lost;
use crate::fit::laws::law::{LawFit, Parameter};
use crate::fit::numerics::bootstrap::Bootstrap;
use crate::fit::numerics::chance::widening;
use crate::fit::numerics::minimize::search;
use crate::fit::numerics::residuals::Residuals;
use crate::fit::{Estimate, Status};

/// Measures of a task that are needed, in the order of a row after its tokens.
pub const MEASURES: [&str; 3] = ["exact_match", "token_accuracy", "log_likelihood"];

/// A run: its tokens and its [`MEASURES`].
pub type Row = [f64; 4];

/// Fewest lengths over which a rise can be told.
const LENGTHS: usize = 4;
/// Fewest seeds of each length: the interval of a mean of two would be six times as wide as a normal one.
const SEEDS: usize = 3;
/// A measure that rises by less has not shown that the skill is there.
const LEAST_RISE: f64 = 0.5;
/// The largest power that is looked for.
const MOST: f64 = 100.0;

/// Runs of one length each, in the order of their tokens.
type Lengths = Vec<Vec<Row>>;

/// Measures the rises. It never fails: what the runs do not decide is a status.
pub fn fit(task: &str, rows: &[Row], bootstrap: &Bootstrap) -> LawFit {
    let law = format!("{task}: exact match = (token accuracy)^k");
    let refuse = |status, sentence: &str| LawFit::without_numbers(&law, status, rows.len(), sentence);
    let lengths = lengths(rows);
    if lengths.len() < LENGTHS {
        return refuse(Status::TooFewPoints, &format!("A rise needs runs of at least {LENGTHS} lengths."));
    }
    if lengths.iter().any(|runs| runs.len() < SEEDS) {
        let sentence =
            format!("Each length needs at least {SEEDS} seeds: nothing else tells how far runs of one length differ.");
        return refuse(Status::TooFewPoints, &sentence);
    }
    let value = numbers(&lengths);
    let means = means(&lengths);
    let rise = means.iter().map(|row| row[1]).fold(f64::MIN, f64::max) - means[0][1];
    if rise < LEAST_RISE {
        let sentence = format!("Exact match rises by {rise:.2} only: the skill is not there yet; train longer.");
        return refuse(Status::NotIdentified, &sentence);
    }
    let draws = bootstrap.draws(|rng| {
        let drawn = |(runs, mean): (&Vec<Row>, &Row)| resample(runs, mean, rng);
        numbers(&lengths.iter().zip(&means).map(drawn).collect())
    });
    let lost = draws.iter().filter(|draw| draw.iter().any(|x| !x.is_finite())).count();
    let lost = too_many_lost(lost, draws.len()) || value.iter().any(|x| !x.is_finite());
    let status = if lost { Status::NotIdentified } else { Status::Converged };
    let estimate = |k: usize| Estimate::from_draws(value[k], draws.iter().map(|draw| draw[k]));
    let named = |(k, (name, meaning)): (usize, &(&str, &str))| Parameter::new(name, meaning, estimate(k));
    let residuals = rows.iter().map(|row| row[1] - row[2].clamp(0.0, 1.0).powf(value[4]));
    LawFit {
        formula: law,
        status,
        points: rows.len(),
        parameters: NUMBERS.iter().enumerate().map(named).collect(),
        residuals: Some(Residuals::of(residuals.clone())),
        resampled: "seeds of each length".to_owned(),
        conclusion: match status {
            Status::Converged => {
                let error = (residuals.map(|r| r * r).sum::<f64>() / rows.len() as f64).sqrt();
                conclusion(task, std::array::from_fn(estimate), error)
            }
            _ => "Not identified: a measure does not go its way from a tenth to nine tenths in too many resamples."
                .to_owned(),
        },
    }
}

/// As many runs of a length, drawn with replacement. How far their mean stands from that of all is widened: a resample of n runs
/// scatters by (n - 1)/n of their variance, and its percentiles are normal ones where Student's are due.
fn resample(runs: &[Row], mean: &Row, rng: &mut impl Rng) -> Vec<Row> {
    let n = runs.len();
    let wider = (n as f64 / (n - 1) as f64).sqrt() * widening(n - 1);
    let drawn: Vec<Row> = (0..n).map(|_| runs[rng.random_range(0..n)]).collect();
    let middle = middle(&drawn);
    let further = |row: &Row| std::array::from_fn(|k| row[k] + (wider - 1.0) * (middle[k] - mean[k]));
    drawn.iter().map(further).collect()
}

/// What is reported, in the order of [`numbers`].
const NUMBERS: [(&str, &str); 5] = [
    ("t_exact", "tokens at which exact match has gone half its way"),
    ("w_exact", "factor of tokens from a tenth to nine tenths of its way"),
    ("w_accuracy", "the same of the accuracy of tokens"),
    ("w_likelihood", "the same of the log likelihood of a token"),
    ("k", "power of the accuracy of tokens that is nearest to exact match"),
];

fn conclusion(task: &str, [half, exact, accuracy, likelihood, k]: [Estimate; 5], error: f64) -> String {
    let factor = |x: Estimate| format!("{:.1} ({:.1} to {:.1})", x.value, x.low, x.high);
    let sharper = match () {
        () if exact.high < likelihood.low => "Exact match is the sharper one",
        () if likelihood.high < exact.low => "The log likelihood is the sharper one",
        () => "Which is sharper is not told",
    };
    format!(
        "{task}: exact match goes from a tenth to nine tenths of its way over a factor {} of the tokens, half of it at \
         {:.2e}; the accuracy of tokens over {}, their log likelihood over {}. {sharper}. Exact match is the accuracy of \
         tokens to the power {}, to within {error:.3}.",
        factor(exact),
        half.value,
        factor(accuracy),
        factor(likelihood),
        factor(k)
    )
}

fn lengths(rows: &[Row]) -> Lengths {
    let mut by_tokens: BTreeMap<u64, Vec<Row>> = BTreeMap::new();
    for row in rows.iter().filter(|row| row[0] > 0.0 && row.iter().all(|x| x.is_finite())) {
        // Positive numbers are in the order of their bits.
        by_tokens.entry(row[0].to_bits()).or_default().push(*row);
    }
    by_tokens.into_values().collect()
}

fn means(lengths: &Lengths) -> Vec<Row> {
    lengths.iter().map(|runs| middle(runs)).collect()
}

/// The mean of some runs, measure by measure.
fn middle(runs: &[Row]) -> Row {
    std::array::from_fn(|k| runs.iter().map(|row| row[k]).sum::<f64>() / runs.len() as f64)
}

fn numbers(lengths: &Lengths) -> [f64; 5] {
    let means = means(lengths);
    let place = |k: usize, share: f64| crossing(&means, k, share);
    let width = |k: usize| (place(k, 0.9) - place(k, 0.1)).exp();
    [place(1, 0.5).exp(), width(1), width(2), width(3), power(lengths)]
}

/// ln tokens at which a measure has first gone a share of its way from the first length to its best value.
fn crossing(means: &[Row], k: usize, share: f64) -> f64 {
    let first = means[0][k];
    let best = means.iter().map(|row| row[k]).fold(first, f64::max);
    let wanted = first + share * (best - first);
    let crosses = |pair: &&[Row]| pair[0][k] < wanted && pair[1][k] >= wanted;
    means.windows(2).find(|pair| crosses(pair)).map_or(f64::NAN, |pair| {
        let [from, to] = [pair[0][0].ln(), pair[1][0].ln()];
        from + (to - from) * (wanted - pair[0][k]) / (pair[1][k] - pair[0][k])
    })
}

/// The power of the accuracy of tokens that is nearest to exact match, by least squares.
fn power(lengths: &Lengths) -> f64 {
    let error = |ln_k: f64| -> f64 {
        let k = ln_k.exp();
        lengths.iter().flatten().map(|row| (row[1] - row[2].clamp(0.0, 1.0).powf(k)).powi(2)).sum()
    };
    search(error, 0.0, MOST.ln(), 61).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOTSTRAP: Bootstrap = Bootstrap { resamples: 200, seed: 1 };

    /// The share of right tokens rises as a logistic function of ln tokens from a tenth to all, the likelihood with its
    /// logarithm, and exact match is its k-th power.
    fn rows(k: f64, seeds: usize) -> Vec<Row> {
        let at = |length: i32, seed: usize| {
            let tokens = 1e5 * 2_f64.powi(length);
            let delay = 0.05 * (seed as f64 - (seeds - 1) as f64 / 2.0);
            let p = 0.1 + 0.9 / (1.0 + (-1.5 * ((tokens / 3.2e6).ln() - delay)).exp());
            [tokens, p.powf(k), p, p.ln()]
        };
        (0..12).flat_map(|length| (0..seeds).map(move |seed| at(length, seed))).collect()
    }

    #[test]
    fn a_power_of_a_smooth_rise_is_the_sharper_one_and_its_power_comes_back() {
        let found = fit("addition.4", &rows(5.0, 3), &BOOTSTRAP);
        assert_eq!(found.status, Status::Converged, "{}", found.conclusion);
        assert!((found.get("k").unwrap().value - 5.0).abs() < 0.05, "{found:?}");
        let [exact, likelihood] = ["w_exact", "w_likelihood"].map(|name| found.get(name).unwrap());
        assert!(
            exact.high < likelihood.low && found.conclusion.contains("Exact match is the sharper one"),
            "{found:?}"
        );
        // From a tenth to nine tenths, a logistic rise of slope 1.5 takes e^(2 ln 9 / 1.5), a factor of 18.7.
        assert!((found.get("w_accuracy").unwrap().value / 18.7 - 1.0).abs() < 0.1, "{found:?}");
    }

    #[test]
    fn the_mean_of_three_seeds_has_students_interval() {
        let runs: Vec<Row> = [1.0, 2.0, 4.0].map(|x| [1e6, x, 0.0, 0.0]).to_vec();
        let mean = [1e6, 7.0 / 3.0, 0.0, 0.0];
        let middle = |runs: Vec<Row>| runs.iter().map(|row| row[1]).sum::<f64>() / 3.0;
        let means = Bootstrap { resamples: 4000, seed: 1 }.draws(|rng| middle(resample(&runs, &mean, rng)));
        let spread = (means.iter().map(|x| (x - mean[1]).powi(2)).sum::<f64>() / 4000.0).sqrt();
        // The standard error, sqrt(7/3/3), by Student's 4.303 over the normal 1.96.
        assert!((spread / ((7.0_f64 / 9.0).sqrt() * 4.303 / 1.96) - 1.0).abs() < 0.05, "{spread}");
    }

    #[test]
    fn what_is_measured_once_or_not_there_yet_has_no_numbers() {
        assert_eq!(fit("copy.4", &rows(5.0, 2), &BOOTSTRAP).status, Status::TooFewPoints);
        let early: Vec<Row> = rows(5.0, 3).into_iter().filter(|row| row[0] < 2e6).collect();
        let found = fit("copy.4", &early, &BOOTSTRAP);
        assert_eq!(found.status, Status::NotIdentified);
        assert!(found.parameters.is_empty() && found.conclusion.contains("train longer"), "{found:?}");
        assert_eq!(fit("copy.4", &early[..4], &BOOTSTRAP).status, Status::TooFewPoints);
    }
}
