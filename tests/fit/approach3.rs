//! Approach 3 by recovery and against published data.

use super::shared;
use super::surface::{CHINCHILLA, Runs as _, noisy};
use runner::fit::approaches::approach3::{Options, StartGrid, fit};
use runner::fit::{Bootstrap, Status};
use runner::observation::{Counting, Observation};

fn options(delta: f64, resamples: usize) -> Options {
    Options { delta, bootstrap: Bootstrap { resamples, seed: 1 }, ..Options::default() }
}

/// A run from cells of parameters, tokens and loss.
fn of_cells(row: &[String]) -> Observation {
    let [params, tokens, loss] = [0, 1, 2].map(|k| row[k].parse().unwrap());
    Observation::of(params, tokens, loss)
}

fn close(value: f64, expected: f64, relative: f64) {
    assert!((value / expected - 1.0).abs() < relative, "{value} and not {expected}");
}

#[test]
fn the_240_points_of_epoch_reach_the_global_minimum() {
    let Some(runs) = shared::epoch_240() else { return };
    let result = fit(&runs, Counting::All, &options(1e-3, 200));
    let surface = result.surface.unwrap();
    assert!(result.objective.unwrap() <= 1.018_274_02e-3, "{:?}", result.objective);
    close(surface.alpha, 0.347_310_5, 1e-4);
    close(surface.beta, 0.367_172_4, 1e-4);
    close(surface.e, 1.817_218, 1e-4);
    close(surface.a, 477.826, 1e-3);
    close(surface.b, 2143.417, 1e-3);
    assert_eq!(result.status, Status::Converged);
    let exponent = result.n_exponent.unwrap();
    assert!((exponent.low - 0.479).abs() < 0.012 && (exponent.high - 0.556).abs() < 0.012, "{exponent:?}");
}

#[test]
fn a_small_delta_is_the_least_absolute_deviations_that_epoch_published() {
    let Some(runs) = shared::epoch_240() else { return };
    let result = fit(&runs, Counting::All, &options(1e-8, 0));
    let surface = result.surface.unwrap();
    close(surface.alpha, 0.34781, 2e-5);
    close(surface.beta, 0.365_85, 3e-5);
    close(surface.e, 1.816_86, 1e-5);
    assert!(result.objective.unwrap() <= 1.129_495e-8, "{:?}", result.objective);
}

#[test]
fn gemstones_reach_a_lower_minimum_than_the_published_one() {
    let Some(rows) = shared::columns("gemstones_fitting_points.csv", ["subset", "params_active", "tokens", "loss"])
    else {
        return;
    };
    for (subset, lowest) in [("hot", 2.075_052e-4), ("cool_end", 2.0478e-4)] {
        let runs: Vec<Observation> =
            rows.iter().filter(|row| row[0] == subset).map(|row| of_cells(&row[1..])).collect();
        let result = fit(&runs, Counting::All, &options(1e-4, 0));
        assert!(result.objective.unwrap() <= lowest, "{subset}: {:?}", result.objective);
    }
}

/// Options with a start grid small enough for tests that fit often.
pub(super) fn quick(resamples: usize) -> Options {
    let starts = StartGrid {
        a: vec![5.0, 10.0],
        b: vec![5.0, 10.0],
        e: vec![0.0, 0.5],
        alpha: vec![0.3, 0.6],
        beta: vec![0.3, 0.6],
    };
    Options { starts, ..options(1e-3, resamples) }
}

#[test]
fn a_noiseless_surface_is_recovered_exactly() {
    let result = fit(&CHINCHILLA.grid(&[1e17, 1e18, 1e19, 1e20], 7, 8.0), Counting::All, &quick(100));
    let surface = result.surface.unwrap();
    close(surface.alpha, CHINCHILLA.alpha, 1e-5);
    close(surface.beta, CHINCHILLA.beta, 1e-5);
    close(surface.a, CHINCHILLA.a, 1e-3);
    close(surface.b, CHINCHILLA.b, 1e-3);
    close(surface.e, CHINCHILLA.e, 1e-5);
    assert!(result.residuals.unwrap().largest < 1e-7);
    assert_eq!(result.status, Status::Converged);
}

#[test]
fn order_threads_and_units_change_nothing_that_they_should_not() {
    let runs = noisy(CHINCHILLA.grid(&[1e17, 1e18, 1e19, 1e20], 7, 8.0), 0.004, 9);
    let mut reversed = runs.clone();
    reversed.reverse();
    let with_threads = |threads, runs: &[Observation]| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        serde_json::to_string(&pool.install(|| fit(runs, Counting::All, &quick(50)))).unwrap()
    };
    let one = with_threads(1, &runs);
    assert_eq!(one, with_threads(2, &runs));
    assert_eq!(one, with_threads(1, &reversed));
    let millions: Vec<_> = runs.iter().map(|run| Observation { params: run.params * 1e-6, ..run.clone() }).collect();
    // The starts are in other units too, so the ends agree to the tolerance of the solver only.
    let [plain, scaled] = [&runs, &millions].map(|runs| fit(runs, Counting::All, &quick(0)).surface.unwrap());
    close(scaled.alpha, plain.alpha, 1e-6);
    close(scaled.a * 1e6_f64.powf(plain.alpha), plain.a, 1e-4);
    close(scaled.b, plain.b, 1e-4);
}

#[test]
fn what_cannot_be_fitted_is_a_status() {
    let grid = CHINCHILLA.grid(&[1e17, 1e18, 1e19, 1e20], 7, 8.0);
    let status = |runs: &[Observation]| {
        let result = fit(runs, Counting::All, &quick(100));
        assert!(!result.conclusion.is_empty());
        (result.status, result.surface.is_some())
    };
    assert_eq!(status(&[]), (Status::TooFewPoints, false));
    assert_eq!(status(&grid[..5]), (Status::TooFewPoints, false));
    let one_size: Vec<_> = (0..9).map(|i| CHINCHILLA.run(1e18 * f64::from(i + 1), 1e8)).collect();
    assert_eq!(status(&one_size), (Status::TooFewPoints, false));
    let flat: Vec<_> = grid.iter().map(|run| Observation { loss: 3.0, ..run.clone() }).collect();
    assert_eq!(status(&flat), (Status::NotIdentified, false));
    for seed in 0..5 {
        assert_ne!(status(&noisy(flat.clone(), 0.02, seed)).0, Status::Converged, "seed {seed}");
    }
}

#[test]
fn a_surface_without_a_floor_says_that_the_bound_at_zero_was_hit() {
    let bare = super::surface::Surface { e: 0.0, ..CHINCHILLA };
    let result = fit(&noisy(bare.grid(&[1e17, 1e18, 1e19, 1e20], 7, 8.0), 1e-5, 1), Counting::All, &quick(0));
    assert!([Status::BoundHit, Status::NotIdentified].contains(&result.status), "{:?}", result.status);
}

#[test]
fn the_flat_ladder_of_olmo_gets_wide_intervals_or_none() {
    let Some(rows) = shared::columns("olmo_ladder_c4_final.csv", ["n_params_nonemb_cfg", "tokens", "c4_val_ce"]) else {
        return;
    };
    let runs: Vec<Observation> =
        rows.iter().filter(|row| row.iter().all(|cell| !cell.is_empty())).map(|row| of_cells(row)).collect();
    let result = fit(&runs, Counting::All, &options(1e-3, 200));
    let exponent = result.n_exponent;
    assert!(exponent.is_none_or(|e| e.high - e.low > 0.1), "{:?} {exponent:?}", result.status);
}
