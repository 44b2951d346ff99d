//! VPNLS by recovery, and against approach 3.

use super::shared;
use super::surface::{CHINCHILLA, Runs as _, noisy};
use runner::fit::approaches::{approach3, vpnls};
use runner::fit::{Bootstrap, Status};
use runner::observation::{Counting, Observation};

fn fit(runs: &[Observation], resamples: usize) -> runner::fit::approaches::parametric::SurfaceFit {
    vpnls::fit(runs, Counting::All, &Bootstrap { resamples, seed: 2 })
}

/// Twelve runs at three budgets whose optimum lies at the smallest sizes: parameters, tokens, FLOPs, loss.
const TWELVE: [[f64; 4]; 12] = [
    [2452.0, 99680.0, 1e9, 2.5751],
    [5672.0, 40512.0, 1e9, 2.6697],
    [9660.0, 22752.0, 1e9, 2.7349],
    [2452.0, 199_296.0, 2e9, 2.5519],
    [5672.0, 81120.0, 2e9, 2.5074],
    [9660.0, 45568.0, 2e9, 2.6015],
    [14416.0, 29472.0, 2e9, 2.6633],
    [2452.0, 398_848.0, 4e9, 2.5197],
    [5672.0, 162_048.0, 4e9, 2.3869],
    [9660.0, 91040.0, 4e9, 2.4479],
    [14416.0, 59008.0, 4e9, 2.5164],
    [19940.0, 41600.0, 4e9, 2.5292],
];

#[test]
fn a_ratio_that_may_be_anything_or_an_exponent_at_its_end_is_no_answer() {
    let run = |[params, tokens, flops, loss]: [f64; 4]| Observation {
        flops,
        flop_budget: Some(flops),
        ..Observation::of(params, tokens, loss)
    };
    let runs = TWELVE.map(run);
    let result = fit(&runs, 1000);
    let ratio = result.tokens_per_param.iter().find(|row| (row.flops / 4e9 - 1.0).abs() < 1e-9).unwrap().ratio;
    assert!(ratio.high > 100.0 * ratio.low, "{ratio:?}");
    assert_eq!(result.status, Status::NotIdentified, "{}", result.conclusion);
    assert!(
        result.conclusion.contains("tokens per parameter at 4e9 FLOPs may be anything from"),
        "{}",
        result.conclusion
    );
    // The same losses without their scatter tell it.
    let surface = result.surface.unwrap();
    let clean = runs.map(|run| Observation { loss: surface.loss(run.params, run.tokens), ..run });
    assert_eq!(fit(&clean, 100).status, Status::Converged);
}

fn close(value: f64, expected: f64, relative: f64) {
    assert!((value / expected - 1.0).abs() < relative, "{value} and not {expected}");
}

/// The self-test of the method's authors: 8 budgets from 1e17 to 1e22, 16 sizes, no noise.
#[test]
fn a_noiseless_surface_is_recovered_exactly() {
    let budgets: Vec<f64> = (0..8).map(|i| 10_f64.powf(17.0 + 5.0 * f64::from(i) / 7.0)).collect();
    let result = fit(&CHINCHILLA.grid(&budgets, 16, 8.0), 0);
    let surface = result.surface.unwrap();
    close(surface.alpha, CHINCHILLA.alpha, 1e-6);
    close(surface.beta, CHINCHILLA.beta, 1e-6);
    close(surface.e, CHINCHILLA.e, 1e-6);
    close(surface.a, CHINCHILLA.a, 1e-5);
    close(surface.b, CHINCHILLA.b, 1e-5);
    assert_eq!(result.status, Status::Converged);
}

#[test]
fn a_coefficient_that_wants_to_be_negative_ends_at_zero_with_a_status() {
    let runs: Vec<_> = CHINCHILLA
        .grid(&[1e17, 1e18, 1e19, 1e20], 7, 8.0)
        .into_iter()
        .map(|run| Observation { loss: 1.0 + 1e5 * run.tokens.powf(-0.5) + 1e-10 * run.params, ..run })
        .collect();
    let result = fit(&runs, 0);
    assert_ne!(result.status, Status::Converged);
}

#[test]
fn the_start_grid_and_vpnls_agree_within_their_intervals() {
    let Some(runs) = shared::epoch_240() else { return };
    let projected = fit(&runs, 200);
    let options = approach3::Options { bootstrap: Bootstrap { resamples: 0, seed: 0 }, ..Default::default() };
    let huber = approach3::fit(&runs, Counting::All, &options).n_exponent.unwrap().value;
    let exponent = projected.n_exponent.unwrap();
    assert!(exponent.holds(huber), "{huber} {exponent:?} {:?}", projected.surface);
}

/// The same squared loss by two independent solvers: with a large delta approach 3 is least squares in log loss, and
/// on small residuals these are residuals in nats weighted by 1/loss^2.
#[test]
fn two_solvers_find_the_same_surface_when_the_noise_is_small() {
    let runs = noisy(CHINCHILLA.grid(&[1e18, 1e19, 1e20, 1e21], 9, 8.0), 1e-5, 4);
    let options =
        approach3::Options { delta: 10.0, bootstrap: Bootstrap { resamples: 0, seed: 0 }, ..Default::default() };
    let [first, second] =
        [approach3::fit(&runs, Counting::All, &options), fit(&runs, 0)].map(|fit| fit.surface.unwrap());
    close(first.alpha, second.alpha, 1e-3);
    close(first.beta, second.beta, 1e-3);
    close(first.e, second.e, 1e-3);
}

#[test]
fn neither_order_nor_threads_change_a_bit() {
    let runs = noisy(CHINCHILLA.grid(&[1e18, 1e19, 1e20], 9, 8.0), 0.01, 4);
    let mut reversed = runs.clone();
    reversed.reverse();
    let with_threads = |threads, runs: &[Observation]| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        serde_json::to_string(&pool.install(|| fit(runs, 60))).unwrap()
    };
    let one = with_threads(1, &runs);
    assert_eq!(one, with_threads(2, &runs));
    assert_eq!(one, with_threads(1, &reversed));
}
