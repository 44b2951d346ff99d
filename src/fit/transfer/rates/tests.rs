//! Planted drifts, edges, and runs that have no loss.

use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;

use super::*;

const BOOTSTRAP: Bootstrap = Bootstrap { resamples: 200, seed: 1 };

/// Seven rates at four widths; the optimum starts at 2^-8 and moves by `drift` octaves a doubling.
fn sweep(drift: f64, noise: f64) -> Vec<Run> {
    let run = |i: i32| {
        let (doubling, octave) = (i / 9, i % 9);
        let (x, best) = (f64::from(octave - 12), -8.0 + drift * f64::from(doubling));
        let wobble = noise * (f64::from((i * 7919) % 13) / 6.0 - 1.0);
        let loss = 3.0 - 0.1 * f64::from(doubling) + 0.02 * (x - best).powi(2) + wobble;
        Run { width: 64.0 * f64::from(1 << doubling), learning_rate: x.exp2(), loss }
    };
    (0..36).map(run).collect()
}

#[test]
fn a_rate_that_halves_with_each_doubling_drifts_by_one_octave() {
    let result = fit(&sweep(-1.0, 0.0), &BOOTSTRAP);
    let drift = result.drift.unwrap();
    assert!((drift.value + 1.0).abs() < 1e-6, "{drift:?}");
    assert_eq!(result.status, Status::Converged);
    // Three octaves away at the widest: 0.02 x 9.
    assert!((result.widths[3].lost.unwrap().value - 0.18).abs() < 1e-6, "{:?}", result.widths);
    assert!((result.widths[0].learning_rate.unwrap().value.log2() + 8.0).abs() < 1e-6);
    assert!(result.conclusion.contains("moves with width"), "{}", result.conclusion);
}

#[test]
fn a_rate_that_stays_transfers_and_the_interval_holds_zero() {
    let result = fit(&sweep(0.0, 0.003), &BOOTSTRAP);
    assert!(result.drift.unwrap().holds(0.0), "{result:?}");
    assert!(result.conclusion.contains("transfers"), "{}", result.conclusion);
    assert!(result.widths[3].lost.unwrap().value < 0.005);
}

#[test]
fn a_best_rate_at_the_end_of_the_sweep_is_an_edge_minimum() {
    let falling: Vec<Run> =
        sweep(0.0, 0.0).into_iter().filter(|run| run.learning_rate < 1.1 * (-9.0_f64).exp2()).collect();
    let result = fit(&falling, &BOOTSTRAP);
    assert_eq!(result.status, Status::EdgeMinimum);
    assert!(result.drift.is_none() && result.widths.iter().all(|width| width.learning_rate.is_none()));
}

#[test]
fn diverged_runs_are_passed_over_and_few_points_are_a_status() {
    let mut runs = sweep(-0.5, 0.0);
    let diverged = Run { loss: f64::INFINITY, learning_rate: 1.0, width: 64.0 };
    runs.push(diverged);
    assert!((fit(&runs, &BOOTSTRAP).drift.unwrap().value + 0.5).abs() < 1e-6);
    assert_eq!(fit(&runs[..2], &BOOTSTRAP).status, Status::TooFewPoints);
    assert_eq!(fit(&[], &BOOTSTRAP).status, Status::TooFewPoints);
}

#[test]
fn a_widest_model_without_a_best_rate_transfers_nothing() {
    // The widest wants a rate below all that were trained.
    let mut runs = sweep(0.0, 0.003);
    for run in runs.iter_mut().filter(|run| run.width > 500.0) {
        run.loss = 3.0 + 0.02 * (run.learning_rate.log2() + 14.0).powi(2);
    }
    let found = fit(&runs, &BOOTSTRAP);
    assert_eq!((found.status, found.widths.len()), (Status::EdgeMinimum, 4));
    assert!(found.conclusion.contains("do not show whether the best learning rate transfers"), "{}", found.conclusion);
    assert!(
        found.conclusion.contains("Width 512 has no best rate: the lowest loss is at 2.44e-4, the lowest rate"),
        "{found:?}"
    );
    // It diverges at every rate.
    for run in runs.iter_mut().filter(|run| run.width > 500.0) {
        run.loss = f64::INFINITY;
    }
    let found = fit(&runs, &BOOTSTRAP);
    assert_eq!((found.widths.len(), found.widths[3].open), (4, Some(Open::AllDiverged)));
    assert!(found.conclusion.contains("runs diverged at every rate"), "{}", found.conclusion);
    assert!(
        found.status != Status::Converged && !found.conclusion.contains(": the best learning rate transfers"),
        "{found:?}"
    );
}

#[test]
fn a_width_whose_best_rate_may_lie_outside_is_not_in_the_drift() {
    // The narrowest is lowest at the second rate, by less than runs scatter.
    let mut runs = sweep(0.0, 0.005);
    for run in runs.iter_mut().filter(|run| run.width < 100.0) {
        let x = run.learning_rate.log2();
        run.loss += 0.02 * ((x + 11.45).powi(2) - (x + 8.0).powi(2));
    }
    let found = fit(&runs, &BOOTSTRAP);
    assert_eq!(found.widths[0].status, Status::NotIdentified, "{found:?}");
    assert!(found.widths[0].loss.is_none() && found.widths[0].lost.is_none());
    // With it the drift would be about an octave for each doubling.
    assert!(found.drift.unwrap().value.abs() < 0.2, "{found:?}");
    let without = runs.iter().copied().filter(|run| run.width > 100.0).collect::<Vec<_>>();
    assert!((fit(&without, &BOOTSTRAP).drift.unwrap().value - found.drift.unwrap().value).abs() < 1e-12);
    // Only two have none: nothing moves.
    let two: Vec<Run> = runs.into_iter().filter(|run| run.width < 200.0).collect();
    let found = fit(&two, &BOOTSTRAP);
    assert!(found.drift.is_none() && !found.conclusion.contains("NaN"), "{}", found.conclusion);
}

#[test]
fn a_rate_at_which_a_seed_diverged_is_no_best_one() {
    // The lowest loss is at 2^-8, where the second seed diverged, as at all rates above.
    let twice: Vec<Run> = sweep(0.0, 0.0).into_iter().flat_map(|run| [run, run]).collect();
    let lost = |(at, run): (usize, Run)| {
        let above = run.learning_rate > (-8.5_f64).exp2();
        Run { loss: if above && at % 2 == 1 { f64::INFINITY } else { run.loss }, ..run }
    };
    let found = fit(&twice.into_iter().enumerate().map(lost).collect::<Vec<_>>(), &BOOTSTRAP);
    assert_eq!(found.status, Status::EdgeMinimum);
    assert_eq!(found.widths[0].open, Some(Open::Diverged((-9.0_f64).exp2(), (-8.0_f64).exp2())));
    assert!(found.conclusion.contains("train rates between them"), "{}", found.conclusion);
}

#[test]
fn a_small_drift_over_many_doublings_is_told_in_all() {
    let result = fit(&sweep(-0.3, 0.0), &BOOTSTRAP);
    let told = "it does move: -0.90 octaves (-0.90 to -0.90) from width 64 to 512";
    assert!(result.conclusion.contains(told), "{}", result.conclusion);
}

#[test]
fn widths_without_any_loss_are_in_the_verdict() {
    let runs: Vec<Run> = sweep(0.0, 0.003)
        .into_iter()
        .map(|run| Run { loss: if run.width > 200.0 { f64::NAN } else { run.loss }, ..run })
        .collect();
    let found = fit(&runs, &BOOTSTRAP);
    assert_eq!((found.widths.len(), found.widths[2].open), (4, Some(Open::NoLoss)));
    assert!(found.conclusion.contains("up to width 128 alone"), "{}", found.conclusion);
    assert!(found.conclusion.contains("Width 512 has no best rate: none of its runs has a loss"), "{found:?}");
}

#[test]
fn a_drift_that_is_not_zero_moves_whether_or_not_it_reaches_half_an_octave() {
    let told = |drift| fit(&sweep(drift, 0.003), &BOOTSTRAP);
    let found = told(-0.5);
    assert!(found.drift.unwrap().holds(-NEAR), "{:?}", found.drift);
    assert!(found.conclusion.contains("the best learning rate moves: -1.5"), "{}", found.conclusion);
    assert!(found.conclusion.contains("do not show whether by more than half"), "{}", found.conclusion);
}

/// An asymmetric U, as measured.
#[test]
fn the_interval_holds_the_optimum_of_an_asymmetric_u() {
    for phase in [0.0, 0.25, 0.5, 0.75] {
        let run = |i: i32| {
            let x = f64::from(i % 8) - 10.0;
            let off = x - (-6.5 + phase);
            let noise = 0.004 * (f64::from((i * 7919) % 13) / 6.0 - 1.0);
            let loss = 4.4 + 0.06 * (1.3 * off).exp2() - 0.06 * 1.3 * std::f64::consts::LN_2 * off;
            Run { width: 64.0 * f64::from(1 << (i / 16)), learning_rate: x.exp2(), loss: loss + noise }
        };
        let result = fit(&(0..64).map(run).collect::<Vec<_>>(), &BOOTSTRAP);
        assert!(result.drift.unwrap().holds(0.0), "{phase}: {result:?}");
        for width in &result.widths {
            let rate = width.learning_rate.unwrap().map(f64::log2);
            assert!(rate.holds(-6.5 + phase), "{phase}: {rate:?}");
            assert!(rate.high - rate.low < 1.0, "{rate:?}");
        }
    }
}

#[test]
fn more_scatter_between_seeds_makes_wider_intervals() {
    let twice = |noise: f64| {
        let mut runs = sweep(0.0, 0.0);
        let second: Vec<Run> = runs.iter().map(|run| Run { loss: run.loss + noise, ..*run }).collect();
        runs.extend(second);
        let drift = fit(&runs, &BOOTSTRAP).drift.unwrap();
        drift.high - drift.low
    };
    assert!(twice(0.02) > 3.0 * twice(0.002));
}

/// One seed of curves that have no lowest point but by noise.
#[test]
fn flat_curves_are_rarely_said_to_move_and_few_of_their_rates_are_known() {
    let mut known = 0;
    let wrong = (0..40).filter(|seed| {
        let mut rng = ChaCha8Rng::seed_from_u64(*seed);
        let runs: Vec<Run> = (0..24)
            .map(|i| Run {
                width: 64.0 * f64::from(1 << (i / 6)),
                learning_rate: f64::from(i % 6 - 8).exp2(),
                loss: 4.0 + 0.01 * (0..12).map(|_| rng.random::<f64>() - 0.5).sum::<f64>(),
            })
            .collect();
        let result = fit(&runs, &BOOTSTRAP);
        known += result.widths.iter().filter(|width| width.learning_rate.is_some()).count();
        result.drift.is_some_and(|drift| !drift.holds(0.0))
    });
    let wrong = wrong.count();
    assert!(wrong <= 4 && known <= 16, "{wrong} of 40 intervals exclude no drift, {known} of 160 rates are known");
}

#[test]
fn three_rates_of_one_seed_tell_no_noise() {
    let near = |run: &Run| (-9.5..-6.5).contains(&run.learning_rate.log2());
    let three: Vec<Run> = sweep(0.0, 0.004).into_iter().filter(near).collect();
    let result = fit(&three, &BOOTSTRAP);
    assert!(result.status == Status::NotIdentified && result.drift.is_none(), "{result:?}");
    assert!(result.conclusion.contains("no noise"), "{}", result.conclusion);
    // A second seed tells it.
    let second = three.iter().map(|run| Run { loss: run.loss + 0.001, ..*run });
    assert!(fit(&three.iter().copied().chain(second).collect::<Vec<_>>(), &BOOTSTRAP).drift.is_some());
}
