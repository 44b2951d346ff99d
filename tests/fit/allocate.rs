//! `runner allocate` and `runner predict` on what `runner fit --json` printed.

use std::fmt::Write as _;
use std::path::Path;

use assert_cmd::Command;
use predicates::prelude::PredicateBooleanExt as _;
use predicates::str::contains;

use super::surface::{CHINCHILLA, Runs as _, noisy};

fn runner(folder: &Path, arguments: &[&str]) -> assert_cmd::assert::Assert {
    Command::cargo_bin("runner").unwrap().current_dir(folder).args(arguments).assert()
}

/// A folder with fits.json from noisy runs of a known surface.
fn fitted() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut csv = "params,tokens,flop_budget,loss\n".to_owned();
    for run in noisy(CHINCHILLA.grid(&[1e19, 1e20, 1e21], 7, 8.0), 0.001, 1) {
        writeln!(csv, "{},{},{},{}", run.params, run.tokens, run.flops, run.loss).unwrap();
    }
    std::fs::write(folder.path().join("runs.csv"), csv).unwrap();
    let output = runner(folder.path(), &["fit", "runs.csv", "--json", "--bootstrap", "100"]).success();
    std::fs::write(folder.path().join("fits.json"), &output.get_output().stdout).unwrap();
    folder
}

#[test]
fn a_fitted_surface_allocates_and_predicts_near_the_truth() {
    let folder = fitted();
    let json = |arguments: &[&str]| -> serde_json::Value {
        let output = runner(folder.path(), arguments).success();
        serde_json::from_slice(&output.get_output().stdout).unwrap()
    };
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
    let folder = fitted();
    runner(folder.path(), &["allocate", "--fit", "fits.json", "--flops", "1e20", "--max-tokens", "1e9"])
        .success()
        .stdout(contains("0.5 x the parameters"))
        .stdout(contains("bind"))
        .stdout(contains("Chinchilla 70B"))
        .stdout(contains("Llama 3 405B").not())
        .stderr("");
    runner(
        folder.path(),
        &["predict", "--fit", "fits.json", "--params", "1e8", "--tokens", "2e10", "--approach", "vpnls"],
    )
    .success()
    .stdout(contains("nats per token"));
}

#[test]
fn what_lies_beyond_the_runs_is_warned_of_and_far_beyond_other_models_are_not_spoken_of() {
    let folder = fitted();
    let allocate = |flops: &str| runner(folder.path(), &["allocate", "--fit", "fits.json", "--flops", flops]).success();
    allocate("1e24").stderr(contains("a factor of 1000 beyond the largest behind this surface, 1e21"));
    allocate("1e18").stderr(contains("beyond the smallest behind this surface, 1e19"));
    let predict = ["predict", "--fit", "fits.json", "--params", "1e12", "--tokens", "2e10"];
    runner(folder.path(), &predict).success().stderr(contains("1T parameters are a factor of"));
    // As small a budget as two cores train: nothing is said of GPT-3.
    let text = std::fs::read_to_string(folder.path().join("fits.json")).unwrap();
    let small = text.replace("\"flops\":[1e19,1e21]", "\"flops\":[1e12,3e13]");
    assert_ne!(small, text);
    std::fs::write(folder.path().join("fits.json"), small).unwrap();
    allocate("1e13").stdout(contains("Other models").not());
}

#[test]
fn a_surface_is_chosen_by_its_counting() {
    let folder = fitted();
    let predict = ["predict", "--fit", "fits.json", "--params", "1e8", "--tokens", "2e10", "--counting"];
    let by = |counting| runner(folder.path(), &[&predict[..], &[counting]].concat());
    by("all").success().stdout(contains("approach 3, all parameters, FLOPs 6ND"));
    by("non-embedding").code(2).stderr(contains("no fitted surface"));
}

#[test]
fn wrong_numbers_and_wrong_files_are_refused() {
    let folder = fitted();
    for (arguments, message) in [
        (&["allocate", "--fit", "fits.json", "--flops", "0"][..], "--flops 0"),
        (&["allocate", "--fit", "fits.json", "--flops", "NaN"], "--flops NaN"),
        (&["allocate", "--fit", "fits.json", "--flops", "1e20", "--max-tokens=-1"], "--max-tokens -1"),
        (&["predict", "--fit", "fits.json", "--params", "0", "--tokens", "1"], "--params 0"),
        (&["predict", "--fit", "nowhere.json", "--params", "1", "--tokens", "1"], "nowhere.json"),
        (&["predict", "--fit", "runs.csv", "--params", "1", "--tokens", "1"], "is not what"),
        (&["predict", "--fit", "fits.json", "--approach", "2", "--params", "1", "--tokens", "1"], "no fitted surface"),
    ] {
        runner(folder.path(), arguments).code(2).stderr(contains(message)).stdout("");
    }
    std::fs::write(folder.path().join("empty.json"), "").unwrap();
    runner(folder.path(), &["allocate", "--fit", "empty.json", "--flops", "1e20"]).code(2).stderr(contains("no fit"));
}

#[test]
fn a_reader_that_has_gone_is_no_failure() {
    let folder = fitted();
    for arguments in [
        &["allocate", "--flops", "1e20"][..],
        &["allocate", "--flops", "1e20", "--json"],
        &["predict", "--params", "1e8", "--tokens", "2e10"],
        &["predict", "--params", "1e8", "--tokens", "2e10", "--json"],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_runner"));
        command.current_dir(folder.path()).args(arguments).args(["--fit", "fits.json"]);
        let output = command.stdout(writer).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && !told.contains("error") && !told.contains("panic"), "{arguments:?}: {told}");
    }
}
