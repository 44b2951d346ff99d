//! `runner allocate` and `runner predict` on what `runner fit --json` printed.

use std::fmt::Write as _;

use assert_cmd::assert::OutputAssertExt as _;
use predicates::prelude::PredicateBooleanExt as _;
use predicates::str::contains;

use runner::fit::Bootstrap;
use runner::fit::approaches::complete::{self, Options};
use runner::fit::approaches::forecast::BENT;
use runner::observation::{Counting, Observation};

use super::surface::{CHINCHILLA, Runs as _, noisy};
use crate::common::{Place, assert_needs_no_reader};

/// A place with fits.json from noisy runs of a known surface.
fn fitted() -> Place {
    fitted_to(&noisy(CHINCHILLA.grid(&[1e19, 1e20, 1e21], 7, 8.0), 0.001, 1))
}

fn fitted_to(runs: &[Observation]) -> Place {
    let place = Place::new();
    let mut csv = "params,tokens,flop_budget,loss\n".to_owned();
    for run in runs {
        writeln!(csv, "{},{},{},{}", run.params, run.tokens, run.flops, run.loss).unwrap();
    }
    place.write("runs.csv", csv);
    place.write("fits.json", place.says(&["fit", "runs.csv", "--json", "--bootstrap", "100"]));
    place
}

#[test]
fn a_fitted_surface_allocates_and_predicts_near_the_truth() {
    let place = fitted();
    let json = |arguments: &[&str]| -> serde_json::Value { serde_json::from_str(&place.says(arguments)).unwrap() };
    let allocated =
        json(&["allocate", "--fit", "fits.json", "--flops", "1e20", "--inference-tokens", "1e11", "--json"]);
    let params = allocated["params"]["value"].as_f64().unwrap();
    assert!((params / CHINCHILLA.n_opt(1e20)).ln().abs() < 0.2, "{params:e}");
    assert!(allocated["inference_aware"]["allocation"]["params"].as_f64().unwrap() < params);
    assert_eq!(allocated["landmarks"][2]["name"], "Chinchilla 70B");
    let predicted = json(&["predict", "--fit", "fits.json", "--params", "1e8", "--tokens", "2e10", "--json"]);
    let [low, high] = ["low", "high"].map(|end| predicted["loss"][end].as_f64().unwrap());
    let truth = CHINCHILLA.loss(1e8, 2e10);
    assert!(low - 0.01 < truth && truth < high + 0.01 && low < high, "{low} {truth} {high}");
}

#[test]
fn the_text_says_how_flat_the_optimum_is_and_when_data_bind() {
    let place = fitted();
    let allocated = place.says(&["allocate", "--fit", "fits.json", "--flops", "1e20", "--max-tokens", "1e9"]);
    for words in ["0.5 x the parameters", "limited by the number of tokens", "Chinchilla 70B"] {
        assert!(allocated.contains(words), "{words} is not in {allocated}");
    }
    assert!(!allocated.contains("Llama 3 405B"), "too far beyond: {allocated}");
    let predict = ["predict", "--fit", "fits.json", "--params", "1e8", "--tokens", "2e10", "--approach", "vpnls"];
    assert!(place.says(&predict).contains("nats per token"));
}

#[test]
fn what_lies_beyond_the_runs_is_warned_of_and_far_beyond_other_models_are_not_spoken_of() {
    let place = fitted();
    let allocate = |flops: &str| place.runner(&["allocate", "--fit", "fits.json", "--flops", flops]).assert().success();
    let chosen = contains("predicts the losses of the largest budget best").and(contains("warning").not());
    allocate("1e20").stderr(chosen);
    allocate("1e24").stderr(contains("a factor of 1000 beyond the largest behind this surface, 1e21"));
    allocate("1e18").stderr(contains("beyond the smallest behind this surface, 1e19"));
    let predict = ["predict", "--fit", "fits.json", "--params", "1e12", "--tokens", "2e10"];
    place.runner(&predict).assert().success().stderr(contains("1T parameters are a factor of"));
    // As small a budget as two cores train: nothing is said of GPT-3.
    let text = place.read("fits.json");
    let small = text.replace("\"flops\":[1e+19,1e+21]", "\"flops\":[1e12,3e13]");
    assert!(small != text, "the range of the budgets is not in the file");
    place.write("fits.json", small);
    assert!(!place.says(&["allocate", "--fit", "fits.json", "--flops", "1e13"]).contains("Other models"));
}

#[test]
fn a_loss_beyond_the_budgets_counts_what_the_surface_missed_of_the_last_one() {
    // A law that bends down by 0.05 nats with each tenfold of compute above 1e19 FLOPs.
    let mut runs = noisy(CHINCHILLA.grid(&[1e18, 3e18, 1e19, 3e19, 1e20], 7, 8.0), 0.001, 1);
    let bent = |flops: f64| 0.05 * (flops / 1e19).log10().max(0.0);
    for run in &mut runs {
        run.loss -= bent(run.flops);
    }
    let place = fitted_to(&runs);
    let at = |params: &str, tokens: &str| {
        let predict = ["predict", "--fit", "fits.json", "--params", params, "--tokens", tokens, "--json"];
        let output = place.runner(&predict).assert().success().get_output().clone();
        let loss = &serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()["loss"];
        (["low", "high"].map(|end| loss[end].as_f64().unwrap()), String::from_utf8(output.stderr).unwrap())
    };
    let (inside, said) = at("1e9", "1.6e10");
    assert!(!said.contains("without its largest budget"), "{said}");
    let (beyond, said) = at("4e9", "4.2e10");
    assert!(
        said.contains("fitted without its largest budget, 3.3") && said.contains("misses the losses there by"),
        "{said}"
    );
    assert!(
        said.contains("warning: the law bends: the surface of the smaller budgets lies above nearly all"),
        "{said}"
    );
    let width = |[low, high]: [f64; 2]| high - low;
    assert!(width(beyond) > 3.0 * width(inside), "{inside:?} {beyond:?}");
    let truth = CHINCHILLA.loss(4e9, 4.2e10) - bent(6.0 * 4e9 * 4.2e10);
    assert!(beyond[0] < truth && truth < beyond[1], "{truth} {beyond:?}");
}

#[test]
fn errors_on_one_side_are_called_a_bend_only_where_noise_does_not_explain_them() {
    // Extrapolated noise errs on one side as well: 40 tables of a law that does not bend, and 10 of one that does.
    let leaning = |seed: u64, bend: f64| {
        let mut runs = noisy(CHINCHILLA.grid(&[1e17, 1e18, 1e19], 7, 4.0), 0.005, seed);
        for run in &mut runs {
            run.loss += bend * (410.7 / run.tokens.powf(0.28)) * (run.params / 8e7).log10();
        }
        let options = Options { bootstrap: Bootstrap { resamples: 0, seed: 0 }, held_out: 0, ..Options::default() };
        let (fit, _) = complete::least_squares(&runs, Counting::All, &options);
        let (forecast, rms) = (fit.forecast?, fit.residuals?.rms);
        let loss = fit.priced()?.surface.loss(fit.priced()?.n_opt(1e19), fit.priced()?.d_opt(1e19));
        forecast.leaning(fit.points, rms, loss)
    };
    let count = |seeds: std::ops::Range<u64>, bend: f64| {
        let found: Vec<_> = seeds.filter_map(|seed| leaning(seed, bend)).collect();
        (found.len(), found.iter().filter(|leaning| leaning.chance < BENT).count())
    };
    let (one_sided, bent) = count(0..40, 0.0);
    assert!(one_sided >= 3 && bent <= 3, "{one_sided} one-sided, {bent} bent of 40");
    let (_, bent) = count(0..10, 0.15);
    assert!(bent >= 8, "{bent} of 10");
}

#[test]
fn a_surface_is_chosen_by_its_counting() {
    let place = fitted();
    let predict = ["predict", "--fit", "fits.json", "--params", "1e8", "--tokens", "2e10", "--counting"];
    let by = |counting| place.runner(&[&predict[..], &[counting]].concat()).assert();
    by("all").success().stdout(contains("VPNLS, all parameters, FLOPs 6ND"));
    by("non-embedding").code(2).stderr(contains("no fitted surface"));
}

#[test]
fn wrong_numbers_and_wrong_files_are_refused() {
    let place = fitted();
    for (arguments, message) in [
        (&["allocate", "--fit", "fits.json", "--flops", "0"][..], "--flops 0"),
        (&["allocate", "--fit", "fits.json", "--flops", "NaN"], "--flops NaN"),
        (&["allocate", "--fit", "fits.json", "--flops", "1e20", "--max-tokens=-1"], "--max-tokens -1"),
        (&["predict", "--fit", "fits.json", "--params", "0", "--tokens", "1"], "--params 0"),
        (&["predict", "--fit", "nowhere.json", "--params", "1", "--tokens", "1"], "nowhere.json"),
        (&["predict", "--fit", "runs.csv", "--params", "1", "--tokens", "1"], "is not what"),
        (&["predict", "--fit", "fits.json", "--approach", "2", "--params", "1", "--tokens", "1"], "no fitted surface"),
    ] {
        place.run(arguments).assert().code(2).stderr(contains(message)).stdout("");
    }
    place.write("empty.json", "");
    assert!(place.refusal(&["allocate", "--fit", "empty.json", "--flops", "1e20"]).contains("no fit"));
}

#[test]
fn a_reader_that_has_gone_is_no_failure() {
    let place = fitted();
    for arguments in [
        &["allocate", "--flops", "1e20"][..],
        &["allocate", "--flops", "1e20", "--json"],
        &["predict", "--params", "1e8", "--tokens", "2e10"],
        &["predict", "--params", "1e8", "--tokens", "2e10", "--json"],
    ] {
        assert_needs_no_reader(place.runner(&[arguments, &["--fit", "fits.json"]].concat()));
    }
}
