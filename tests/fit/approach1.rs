//! Approach 1 by recovery.

use super::surface::{CHINCHILLA, Runs as _, Surface};
use runner::fit::approaches::approach1::fit;
use runner::fit::{Bootstrap, Status};
use runner::observation::{Counting, Observation};

const BOOTSTRAP: Bootstrap = Bootstrap { resamples: 100, seed: 1 };

/// Curves of `sizes` sizes with `points` checkpoints each, from 1e17 to 1e21 FLOPs.
fn curves(surface: Surface, sizes: usize, points: usize) -> Vec<Observation> {
    let between = |low: f64, high: f64, i: usize, n: usize| low * (high / low).powf(i as f64 / (n - 1) as f64);
    (0..sizes)
        .flat_map(|i| {
            let params = between(1e7, 1e10, i, sizes);
            (0..points).map(move |k| surface.run(between(1e17, 1e21, k, points), params))
        })
        .map(|run| Observation { flop_budget: None, ..run })
        .collect()
}

#[test]
fn dense_curves_of_a_noiseless_surface_give_its_exponents() {
    let result = fit(&curves(CHINCHILLA, 60, 200), Counting::All, &BOOTSTRAP);
    assert_eq!(result.status, Status::Converged, "{}", result.conclusion);
    let (n, d) = (result.n_opt.unwrap().exponent, result.d_opt.unwrap().exponent);
    assert!((n.value - CHINCHILLA.n_exponent()).abs() < 0.01, "{n:?}");
    assert!((n.value + d.value - 1.0).abs() < 0.01, "{d:?}");
    assert!(n.holds(CHINCHILLA.n_exponent()), "{n:?}");
}

#[test]
fn curves_whose_best_size_is_always_the_largest_are_an_edge_minimum() {
    let small: Vec<_> = curves(CHINCHILLA, 60, 100).into_iter().filter(|run| run.params < 4e7).collect();
    let result = fit(&small, Counting::All, &BOOTSTRAP);
    assert_eq!(result.status, Status::EdgeMinimum, "{}", result.conclusion);
    assert!(result.n_opt.is_none() && result.tokens_per_param.is_empty());
}

#[test]
fn few_sizes_and_checkpoints_far_apart_give_a_status() {
    let few = fit(&curves(CHINCHILLA, 4, 100), Counting::All, &BOOTSTRAP);
    assert_eq!(few.status, Status::TooFewPoints);
    let empty = fit(&[], Counting::All, &BOOTSTRAP);
    assert_eq!(empty.status, Status::TooFewPoints);
    let flat: Vec<_> = curves(CHINCHILLA, 20, 50).into_iter().map(|run| Observation { loss: 3.0, ..run }).collect();
    assert_ne!(fit(&flat, Counting::All, &BOOTSTRAP).status, Status::Converged);
}
