//! How the best value of a setting moves with something else: the best weight decay with the length of a run, the best
//! learning rate with depth.
//!
//! At each value of the other column the best is the lowest point of the loss over the logarithm of the setting, as for
//! learning rates over widths (`rates.rs`, which does the work). The best values then follow a power law.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::rates::{self, Open};
use crate::fit::numerics::bootstrap::Bootstrap;
use crate::fit::{Estimate, Status};

/// The best value at one place.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// The value of the other column.
    pub at: f64,
    /// Whether the numbers below may be used; they are absent where they may not.
    pub status: Status,
    /// The best value of the setting.
    pub best: Option<Estimate>,
    /// Loss there, in nats per token.
    pub loss: Option<Estimate>,
    /// Nats lost by using the best value of the first place here; absent where that was not trained here.
    pub lost: Option<Estimate>,
    /// Why there is no best value.
    #[serde(default)]
    pub open: Option<Open>,
}

/// The best values of a setting.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Optimum {
    /// Whether the exponent may be used.
    pub status: Status,
    /// Runs used.
    pub points: usize,
    /// The setting.
    pub of: String,
    /// The other column.
    pub by: String,
    /// One for each value of the other column, ascending.
    pub optima: Vec<Best>,
    /// The exponent: the best value is proportional to this power of the other column.
    pub exponent: Option<Estimate>,
    /// What may be concluded, in a sentence.
    pub conclusion: String,
}

/// Fits the best values of `of` and how they move with `by`, from runs as pairs of both, with their losses, infinite where a run
/// diverged, and not a number where it failed. It never fails: what the data do not decide is a status.
pub fn fit(of: &str, by: &str, runs: &[[f64; 3]], bootstrap: &Bootstrap) -> Optimum {
    let rows: Vec<rates::Run> =
        runs.iter().map(|&[width, learning_rate, loss]| rates::Run { width, learning_rate, loss }).collect();
    let found = rates::fit(&rows, bootstrap);
    let best = |one: &rates::WidthOptimum| Best {
        at: one.width,
        status: one.status,
        best: one.learning_rate,
        loss: one.loss,
        lost: one.lost,
        open: one.open,
    };
    let optima: Vec<Best> = found.widths.iter().map(best).collect();
    // How a best value moves is told by those that are known.
    let known = optima.iter().filter(|one| one.best.is_some()).count() >= 2;
    let exponent = found.drift.filter(|_| known);
    let status = if known || found.status != Status::Converged { found.status } else { Status::NotIdentified };
    let conclusion = conclusion(of, by, &optima, status, exponent);
    let (of, by) = (of.to_owned(), by.to_owned());
    let points = runs.iter().filter(|[_, _, loss]| loss.is_finite()).count();
    Optimum { status, points, of, by, optima, exponent, conclusion }
}

fn conclusion(of: &str, by: &str, optima: &[Best], status: Status, exponent: Option<Estimate>) -> String {
    let missing: Vec<&Best> = optima.iter().filter(|one| one.best.is_none()).collect();
    let why = |one: &&Best| one.open.unwrap_or(Open::Untold).words("value");
    let without = |one: &&Best| format!(" At {by} {} there is no best {of}: {}.", short(one.at), why(one));
    let without: String = missing.iter().map(without).collect();
    let Some(exponent) = exponent else {
        return format!(
            "Of {} values of {by} {} have a best {of} that is told and inside of those trained, and two are needed to tell how it \
             moves.{without}",
            optima.len(),
            optima.len() - missing.len(),
        );
    };
    let Estimate { value, low, high } = exponent;
    // An exponent that is printed as zero is one.
    let moves = if low.abs().max(high.abs()) < 0.005 {
        "it does not move"
    } else if exponent.holds(0.0) {
        "it is not shown to move"
    } else {
        match (status == Status::TooFewPoints, value < 0.0) {
            (true, true) => "it is lower at the second of two values",
            (true, false) => "it is higher at the second of two values",
            (false, true) => "it falls",
            (false, false) => "it grows",
        }
    };
    let mut text = format!("The best {of} goes as {by}^{value:.2} ({low:.2} to {high:.2}): {moves}");
    let largest = optima.iter().rfind(|one| one.best.is_some());
    if let Some(largest) = largest.filter(|_| optima.last().is_some_and(|last| last.best.is_none())) {
        let _ = write!(text, ", up to {by} {} alone", short(largest.at));
    }
    let first = optima.first().filter(|first| first.best.is_some());
    if let Some(Best { at, lost: Some(lost), .. }) = first.and(optima.iter().rfind(|one| one.lost.is_some())) {
        let _ = write!(
            text,
            ". The best of the first, used at {by} {}, loses {:.4} nats ({:.4} to {:.4})",
            short(*at),
            lost.value,
            lost.low,
            lost.high
        );
    }
    if status == Status::TooFewPoints {
        text += ". Two values tell no scatter about a power law, nor that there is one";
    }
    text + "." + &without
}

/// A number as a spec would have it.
fn short(x: f64) -> String {
    if (1e-3..1e5).contains(&x) { format!("{x}") } else { format!("{x:e}") }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt as _, SeedableRng as _};

    use super::*;

    const BOOTSTRAP: Bootstrap = Bootstrap { resamples: 200, seed: 1 };

    /// Seven values at each place; the best is `at^exponent`.
    fn runs(places: &[f64], exponent: f64) -> Vec<[f64; 3]> {
        let of = |at: f64| {
            (-3..4).map(move |octave| {
                let x = f64::from(octave).exp2();
                let off = (x / at.powf(exponent)).log2();
                [at, x, 3.0 + 1.0 / at + 0.02 * off * off]
            })
        };
        places.iter().flat_map(|at| of(*at)).collect()
    }

    #[test]
    fn a_planted_exponent_comes_back_with_what_reuse_costs() {
        let found = fit("weight_decay", "tokens", &runs(&[1.0, 2.0, 4.0], -0.5), &BOOTSTRAP);
        assert!((found.exponent.unwrap().value + 0.5).abs() < 1e-6, "{found:?}");
        assert_eq!(found.status, Status::Converged);
        assert!((found.optima[2].lost.unwrap().value - 0.02).abs() < 1e-6, "{found:?}");
        assert!(found.conclusion.contains("weight_decay goes as tokens^-0.50"), "{}", found.conclusion);
        assert!(found.conclusion.contains("it falls. The best of the first, used at tokens 4"), "{}", found.conclusion);
    }

    #[test]
    fn a_best_value_at_the_end_of_those_trained_is_left_out_and_counted() {
        let found = fit("decay", "tokens", &runs(&[1.0, 2.0, 4.0, 1024.0], -0.5), &BOOTSTRAP);
        assert!((found.exponent.unwrap().value + 0.5).abs() < 1e-6, "{found:?}");
        assert_eq!(found.optima[3].status, Status::EdgeMinimum);
        assert!(
            found
                .conclusion
                .contains("At tokens 1024 there is no best decay: the lowest loss is at 0.125, the lowest value")
                && found.conclusion.contains("it falls, up to tokens 4 alone."),
            "{}",
            found.conclusion
        );
    }

    #[test]
    fn places_whose_runs_diverged_or_failed_are_told_and_the_others_say_nothing_of_them() {
        let mut all = runs(&[1.0, 2.0, 4.0, 8.0, 16.0], 0.0);
        let lost = |at: f64| if at > 8.0 { Some(f64::NAN) } else { (at > 4.0).then_some(f64::INFINITY) };
        for [at, _, loss] in &mut all {
            *loss = lost(*at).unwrap_or(*loss);
        }
        let found = fit("rate", "width", &all, &BOOTSTRAP);
        assert_eq!((found.points, found.optima.len()), (21, 5));
        for told in [
            "it does not move, up to width 4 alone",
            "At width 8 there is no best rate: runs diverged at every value",
            "At width 16 there is no best rate: none of its runs has a loss",
        ] {
            assert!(found.conclusion.contains(told), "{}", found.conclusion);
        }
        assert_ne!(found.status, Status::Converged);
    }

    #[test]
    fn a_value_at_which_a_seed_diverged_is_no_best_one() {
        let all = runs(&[1.0, 2.0, 4.0], 0.0);
        let lost = all.iter().filter(|[_, x, _]| *x >= 1.0).map(|&[at, x, _]| [at, x, f64::INFINITY]);
        let found = fit("rate", "width", &all.iter().copied().chain(lost).collect::<Vec<_>>(), &BOOTSTRAP);
        assert_eq!((found.status, found.exponent), (Status::EdgeMinimum, None));
        assert!(
            found.conclusion.contains("at 0.5, and at 1 runs diverged: train values between"),
            "{}",
            found.conclusion
        );
    }

    #[test]
    fn two_places_tell_which_is_lower_and_no_law() {
        let found = fit("decay", "tokens", &runs(&[1.0, 4.0], -0.5), &BOOTSTRAP);
        assert_eq!(found.status, Status::TooFewPoints, "{found:?}");
        assert!(found.conclusion.contains("it is lower at the second of two values"), "{}", found.conclusion);
        assert!(found.conclusion.contains("Two values tell no scatter about a power law, nor that there is one"));
    }

    #[test]
    fn one_place_says_what_is_missing() {
        let found = fit("decay", "tokens", &runs(&[1.0], 0.0), &BOOTSTRAP);
        assert_eq!((found.status, found.exponent), (Status::TooFewPoints, None));
        assert!(found.conclusion.contains("Of 1 values of tokens 1 have"), "{}", found.conclusion);
    }

    #[test]
    fn runs_that_only_scatter_do_not_tell_how_the_best_value_moves() {
        for seed in 0..20 {
            let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
            let noise: Vec<[f64; 3]> = runs(&[1.0, 2.0, 4.0, 8.0, 16.0], 0.5)
                .into_iter()
                .map(|[at, x, _]| [at, x, 3.0 + 0.04 * rng.random::<f64>()])
                .collect();
            let found = fit("a", "b", &noise, &BOOTSTRAP);
            let known = found.optima.iter().filter(|one| one.best.is_some()).count();
            assert_eq!(found.exponent.is_some(), known >= 2, "{found:?}");
            assert!(known >= 2 || found.status != Status::Converged, "{found:?}");
            assert!(found.optima[0].best.is_some() || !found.conclusion.contains("best of the first"), "{found:?}");
        }
    }
}
