//! Damaged files: named, never believed, never silently left out.

use std::fs;

use super::Place;
use crate::common::{assert_code, assert_said, text};

#[test]
fn any_byte_of_a_result_that_is_altered_is_noticed_and_the_file_is_named() {
    let place = Place::of_runs(2);
    assert_code(&place.rehearse(), 0);
    let path = place.results().remove(0);
    let whole = fs::read(&path).unwrap();
    for at in (0..whole.len()).step_by(97).chain([0, whole.len() - 1]) {
        let mut altered = whole.clone();
        altered[at] ^= 1 << (at % 7);
        fs::write(&path, &altered).unwrap();
        let check = place.run(&["ledger", "check", "out"]);
        assert_code(&check, 1);
        assert_said(&check, &[path.file_name().unwrap().to_str().unwrap(), "is damaged", "1 damaged files"]);
    }
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let run = path.parent().unwrap();
    let words = ["is damaged", run.file_name().unwrap().to_str().unwrap(), "remove", "run the sweep again"];
    assert_said(&place.run(&["ledger", "rebuild", "out"]), &words);
    assert_code(&place.rehearse(), 2);
    // What it says to do.
    fs::remove_dir_all(run).unwrap();
    let again = place.rehearse();
    assert_code(&again, 0);
    assert_eq!(text(&again.stderr).lines().filter(|line| line.contains(" starts: ")).count(), 1);
    assert_code(&place.run(&["ledger", "check", "out"]), 0);
}

#[test]
fn a_damaged_plan_is_named_and_nothing_is_trained_by_it() {
    let place = Place::of_runs(2);
    assert_code(&place.rehearse(), 0);
    let plan = fs::read_to_string(place.path("out/plan.json")).unwrap();
    for altered in [plan.replace("\"seed\": 1", "\"seed\": 7"), plan[..plan.len() / 2].to_owned()] {
        fs::write(place.path("out/plan.json"), altered).unwrap();
        for args in [&["ledger", "check", "out"][..], &["status", "out"], &["worker", "--sweep", "out"]] {
            let output = place.run(args);
            assert_code(&output, 2);
            assert_said(&output, &["plan.json is damaged"]);
        }
    }
}

#[test]
fn tables_that_were_lost_or_altered_are_derived_again_to_the_same_bytes() {
    let place = Place::of_runs(3);
    assert_code(&place.rehearse(), 0);
    let tables = place.tables();
    fs::remove_file(place.path("out/runs.csv")).unwrap();
    fs::write(place.path("out/curves.csv"), "id,step\n").unwrap();
    assert_code(&place.run(&["ledger", "rebuild", "out"]), 0);
    assert_eq!(place.tables(), tables);
}

#[test]
fn status_counts_the_runs_and_its_json_says_the_same() {
    let place = Place::of_runs(3);
    assert_code(&place.rehearse(), 0);
    let output = place.run(&["status", "out"]);
    assert_code(&output, 0);
    assert!(text(&output.stdout).starts_with("3 runs: 3 finished, 0 diverged, 0 running, 0 waiting, 0 failed"));
    let run = place.results().remove(0);
    fs::remove_dir_all(run.parent().unwrap()).unwrap();
    let output = place.run(&["status", "out", "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&json["runs"], &json["finished"], &json["waiting"]), (&3.into(), &2.into(), &1.into()));
    assert_code(&place.run(&["status", "nowhere"]), 2);
}
