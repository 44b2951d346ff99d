//! How often 95% intervals hold the truth, over 200 simulated data sets of a known surface and noise.

use super::approach3::quick;
use super::surface::{CHINCHILLA, Runs as _, noisy};
use runner::fit::approaches::approach3::Options;
use runner::fit::approaches::{approach2, approach3, vpnls};
use runner::fit::{Bootstrap, Estimate};
use runner::observation::{Counting, Observation};

const DATA_SETS: u64 = 200;
const BUDGETS: [f64; 5] = [1e17, 1e18, 1e19, 1e20, 1e21];

/// Of 200 data sets, in how many the interval of the exponent of `N_opt` holds the truth.
fn covered(exponent: impl Fn(&[Observation], u64) -> Option<Estimate>, budgets: &[f64], sizes: usize, sd: f64) -> u32 {
    let held = (0..DATA_SETS).filter(|&seed| {
        let runs = noisy(CHINCHILLA.grid(budgets, sizes, 4.0), sd, 1000 + seed);
        exponent(&runs, seed).is_some_and(|estimate| estimate.holds(CHINCHILLA.n_exponent()))
    });
    held.count() as u32
}

fn within_bounds(name: &str, held: u32) {
    println!("{name}: {held} of {DATA_SETS} intervals hold the truth");
    assert!((180..=196).contains(&held), "{name}: {held} of {DATA_SETS}, which is not 90 to 98%");
}

#[test]
fn intervals_of_approach_2_hold_the_truth_as_often_as_they_say() {
    let exponent = |runs: &[Observation], seed| {
        let fit = approach2::fit(runs, Counting::All, &Bootstrap { resamples: 400, seed });
        fit.n_opt.map(|law| law.exponent)
    };
    within_bounds("approach 2, 5 budgets of 9 sizes", covered(exponent, &BUDGETS, 9, 0.005));
    within_bounds("approach 2, 3 budgets of 7 sizes", covered(exponent, &BUDGETS[..3], 7, 0.005));
}

#[test]
#[ignore = "takes a minute"]
fn intervals_of_approach_3_and_vpnls_hold_the_truth_as_often_as_they_say() {
    let huber = |runs: &[Observation], seed| {
        let bootstrap = Bootstrap { resamples: 400, seed };
        approach3::fit(runs, Counting::All, &Options { bootstrap, ..quick(400) }).n_exponent
    };
    let project =
        |runs: &[Observation], seed| vpnls::fit(runs, Counting::All, &Bootstrap { resamples: 400, seed }).n_exponent;
    within_bounds("approach 3, 5 budgets of 9 sizes", covered(huber, &BUDGETS, 9, 0.005));
    within_bounds("VPNLS, 5 budgets of 9 sizes", covered(project, &BUDGETS, 9, 0.005));
    // Two seeds that share most of their error, as where the law misses a size.
    let twice = |runs: &[Observation], seed| {
        let seeds = [1, 2].map(|of| noisy(runs.to_vec(), 0.002, 9000 + 2 * seed + of));
        project(&seeds.concat(), seed)
    };
    within_bounds("VPNLS, two seeds", covered(twice, &BUDGETS, 9, 0.005));
}
