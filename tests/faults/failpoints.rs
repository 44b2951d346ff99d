//! Failures on demand: `cargo test --release --no-default-features --features failpoints faults`.

use std::fs;

use super::Place;
use crate::common::{assert_code, assert_said, text};

/// Sweeps with a failpoint that strikes so many times.
fn sweep(place: &Place, kind: &str, times: usize, flags: &[&str]) -> std::process::Output {
    let count = place.path("count").display().to_string();
    let mut command = place.sweep("rehearsal", &[&["--slots", "1"], flags].concat());
    command.env("RUNNER_FAILPOINT", format!("{kind}:{times}:{count}")).output().unwrap()
}

#[test]
fn what_fails_once_is_tried_again_and_ends_with_the_same_bytes() {
    let undisturbed = Place::of_runs(3);
    assert_code(&undisturbed.rehearse(), 0);
    for kind in ["panic", "abort", "hang"] {
        let place = Place::of_runs(3);
        // Long enough for a loaded machine, where workers are slow to say their first word.
        let patience = if kind == "hang" { "5" } else { "900" };
        let output = sweep(&place, kind, 1, &["--hang-after", patience]);
        assert_code(&output, 0);
        assert_said(&output, &["is tried again"]);
        assert_eq!(place.tables(), undisturbed.tables(), "{kind}");
        let error = fs::read_to_string(place.files("out/runs", "error.json").remove(0)).unwrap();
        let class = if kind == "hang" { "hang" } else { "crash" };
        assert!(error.contains(class), "{error}");
    }
}

#[test]
fn a_lack_of_memory_halves_the_micro_batch_once_and_the_table_says_so() {
    let place = Place::of_runs(2);
    assert_code(&sweep(&place, "memory", 1, &[]), 0);
    let runs = place.tables()[0].clone();
    let mut reader = csv::Reader::from_reader(runs.as_bytes());
    let at = reader.headers().unwrap().iter().position(|name| name == "micro_batches").unwrap();
    let mut parts: Vec<String> = reader.records().map(|row| row.unwrap()[at].to_owned()).collect();
    parts.sort();
    assert_eq!(parts, ["1", "2"]);

    let place = Place::of_runs(1);
    let output = sweep(&place, "memory", 5, &[]);
    assert_code(&output, 1);
    assert_said(&output, &["1 run failed", "out of memory on rehearsal", "no run finished, so nothing is fitted"]);
    assert_eq!(place.files("out/runs", "error.json").len(), 2, "tried once more and given up");
}

#[test]
fn a_run_that_always_crashes_is_given_up_and_the_rest_is_trained() {
    let spec =
        super::spec(2).replace("\ndepth = 2\n", "\n").replace("[sweep]\n", "[sweep]\naxes.\"model.depth\" = [1, 2]\n");
    let place = Place::with(&spec);
    let mut command = place.sweep("rehearsal", &["--slots", "1"]);
    let output = command.env("RUNNER_FAILPOINT", "abort@2").output().unwrap();
    assert_code(&output, 1);
    assert_said(&output, &["2 runs failed", "crash on rehearsal", "SIGABRT"]);
    assert_eq!(place.results().len(), 2);
    let status = place.run(&["status", "out"]);
    assert_code(&status, 1);
    assert!(text(&status.stdout).contains("failed: crash on rehearsal"), "{}", text(&status.stdout));
    // The same command tries them again, so that it is not complete.
    let standing = |words: &str| assert!(place.says(&["ls", "out", "--wide"]).contains(words), "{words}");
    standing("ended, 2 failed, rehearsed");
    assert_code(&place.rehearse(), 0);
    standing("complete, rehearsed");
}

#[test]
fn a_device_that_fails_everything_is_quarantined_and_the_sweep_says_what_was_left() {
    let place = Place::of_runs(8);
    let output = sweep(&place, "panic", 1000, &[]);
    assert_code(&output, 1);
    assert_said(
        &output,
        &["device rehearsal failed several runs in a row", "were not trained, since no device was left"],
    );
}

#[test]
fn losses_that_are_no_numbers_are_results_and_a_sweep_of_nothing_else_fails() {
    let place = Place::of_runs(2);
    let output = place.sweep("rehearsal", &[]).env("RUNNER_FAILPOINT", "nan").output().unwrap();
    assert_code(&output, 1);
    assert_said(&output, &["diverged at step", "What to try", "0 runs finished, 2 runs diverged"]);
    let status = text(&place.run(&["status", "out"]).stdout);
    assert!(status.contains("0 finished, 2 diverged") && status.contains("diverged: its result"), "{status}");
    let listed = place.says(&["ls", "out"]);
    assert!(listed.contains('2') && listed.contains("diverged"), "{listed}");
}
