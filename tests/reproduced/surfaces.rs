//! Sentences of docs/reproduction.md about fitted surfaces: their exponents, floors and forecasts, and the language whose entropy is known.

use serde_json::Value;

use super::grids::span;
use super::prose::{between, number};
use super::{Cell, fits, rows, surface};
use crate::common::{Place, repository};

const SURFACES: [&str; 2] = ["3", "vpnls"];
const COUNTINGS: [&str; 3] = ["all", "blocks_and_unembedding", "non_embedding"];

fn value(fit: &Value, of: &str) -> f64 {
    fit[of].as_f64().unwrap_or_else(|| panic!("no {of}"))
}

/// The least and the most that the surfaces of some ways of counting have.
fn range(fits: &Value, countings: &[&str], of: &str) -> [f64; 2] {
    let pairs = SURFACES.iter().flat_map(|form| countings.iter().map(move |counting| (form, counting)));
    span(pairs.map(|(form, counting)| value(surface(fits, form, counting), of)))
}

/// The surfaces of the answer.
fn flagship(page: &str) -> Vec<Cell> {
    let fits = fits("isoflop");
    let [outer, blocks, beta] = [
        range(&fits, &COUNTINGS[..2], "alpha"),
        range(&fits, &COUNTINGS[2..], "alpha"),
        range(&fits, &COUNTINGS, "beta"),
    ];
    let [first, second, third] = [0, 1, 2].map(|at| range(&fits, &COUNTINGS[at..=at], "n_exponent"));
    let [third_form, vpnls] = SURFACES.map(|form| surface(&fits, form, "all"));
    let highest = |fit: &Value| fit["intervals"]["d_exponent"][1].as_f64().unwrap();
    let cost = value(&third_form["cost"], "exponent");
    let every = SURFACES.iter().flat_map(|form| COUNTINGS.map(|counting| surface(&fits, form, counting)));
    let missed = span(every.map(|fit| value(&fit["forecast"], "loss_mean")));
    let lines = fits["approaches"].as_array().unwrap();
    let lines = lines.iter().find(|fit| fit["approach"] == "2" && fit["counting"] == "all").unwrap();
    let [size, tokens] = ["n_opt_ratio", "d_opt_ratio"].map(|of| value(&lines["forecast"], of));
    let bias = [value(&lines["bias"], "n_exponent"), 100.0 * value(&lines["bias"], "tokens_at_largest")];
    let cell = |from: &str, to: &str, numbers: &[f64]| Cell::new(between(page, from, to), numbers.to_vec());
    vec![
        cell("The fitted surfaces have alpha", ": at this scale", &[outer, blocks, beta].concat()),
        cell("by the surfaces are, row by row,", ". ![", &[first[0], second[0], second[1], third[0], third[1]]),
        cell("all parameters counted FLOPs grow as N^", "and not one half", &[cost, 1.0 / (1.0 + cost)]),
        cell("that of approach 3, which reaches", ", holds it", &[highest(third_form)]),
        cell("(VPNLS ends at", ")", &[highest(vpnls)]),
        cell("approach 2 predicts", "that was measured", &[size, tokens]),
        cell("The surfaces predict losses", "nats above", &missed),
        cell("computed from the fitted surface, is", "in D_opt", &bias),
    ]
}

/// Root mean square of residuals in nats and the exponent of tokens, where the floor of the surface is this entropy.
fn floor_at_entropy(entropy: f64) -> [f64; 2] {
    let place = Place::new();
    let table = repository().join("results/synthetic/runs.csv").display().to_string();
    let formula = format!("val_loss = {entropy} + A / params_blocks_and_unembedding^alpha + B / tokens^beta");
    let printed = place.says(&["fit", &table, "--formula", &formula, "--residuals", "plain", "--json"]);
    let fit: Value = serde_json::from_str(printed.lines().next().unwrap()).unwrap();
    let beta = fit["parameters"].as_array().unwrap().iter().find(|unknown| unknown["name"] == "beta").unwrap();
    [value(&fit["residuals"], "rms"), value(beta, "value")]
}

/// The languages whose entropy is known: what floors the fits have, and what the grids come to.
fn languages(page: &str) -> Vec<Cell> {
    let [far, near] = ["synthetic", "synthetic-near"].map(fits);
    let least = |folder: &str| {
        let runs = rows(&format!("results/{folder}/runs.csv"));
        span(runs.iter().map(|run| number(run, "val_loss")))[0]
    };
    let entropy = |from: &str| between(page, from, "(standard error").trim().parse::<f64>().unwrap();
    let [of_far, of_near] = ["built-in language, whose entropy is", "at six distances up to 32: entropy"].map(entropy);
    let floors = range(&near, &COUNTINGS, "E");
    let of_vpnls = COUNTINGS.map(|counting| surface(&near, "vpnls", counting));
    let exponents = span(of_vpnls.iter().flat_map(|fit| [value(fit, "alpha"), value(fit, "beta")]));
    let outer = surface(&far, "vpnls", COUNTINGS[1]);
    let free = (value(outer, "objective") / value(outer, "points")).sqrt();
    let [fixed, beta] = floor_at_entropy(of_far);
    // One approach is named by its number.
    let told = |fits: &Value, countings: &[&str]| {
        let [third, vpnls] = SURFACES.map(|form| surface(fits, form, "all"));
        let estimate = |fit: &Value| {
            let ends = &fit["intervals"]["E"];
            vec![value(fit, "E"), ends[0].as_f64().unwrap(), ends[1].as_f64().unwrap()]
        };
        [vec![3.0], estimate(third), estimate(vpnls), range(fits, countings, "E").to_vec()].concat()
    };
    let cell = |from: &str, to: &str, numbers: &[f64]| Cell::new(between(page, from, to), numbers.to_vec());
    vec![
        cell("equal the entropy? **No.**", ". All are", &told(&far, &COUNTINGS[1..])),
        cell("parameters counted approach 3 gives E", ", and all six", &told(&near, &COUNTINGS)[1..]),
        cell(
            "The best of these models have a loss of",
            "above the entropy",
            &[least("synthetic"), least("synthetic") - of_far],
        ),
        cell("least squares (blocks and unembedding) are", "nats instead", &[fixed]),
        cell("nats instead of", ". The best", &[free, beta, value(outer, "beta")]),
        cell(
            "`sweeps/synthetic-near.toml`) ends at",
            "above the entropy",
            &[least("synthetic-near"), least("synthetic-near") - of_near],
        ),
        cell("The values are still", "too high", &floors.map(|floor| floor - of_near)),
        cell("exponents of tokens and parameters by VPNLS are", ". So", &exponents),
    ]
}

pub fn sentences(page: &str) -> Vec<Cell> {
    [flagship(page), languages(page)].into_iter().flatten().collect()
}
