//! Two who want the same.

use std::fs;

use super::{Place, signal};
use crate::common::{assert_code, assert_said, text, wait_for};

#[test]
fn the_lock_of_a_sweep_that_was_killed_is_taken_over_at_once() {
    let place = Place::of_runs(400);
    let mut first = place.sweep("rehearsal", &["--slots", "1"]).stderr(std::process::Stdio::null()).spawn().unwrap();
    wait_for("results", || !place.results().is_empty());
    signal("-STOP", &first);
    let second = place.rehearse();
    assert_code(&second, 2);
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let words = ["another process runs the sweep", &format!("process {} on {}", first.id(), host.trim()), "--out"];
    assert_said(&second, &words);
    // The first is not disturbed: it goes on where it stood.
    let before = place.results().len();
    signal("-CONT", &first);
    wait_for("more results", || place.results().len() > before + 5);
    first.kill().unwrap();
    first.wait().unwrap();
    assert!(fs::metadata(place.path("out/lock")).unwrap().len() > 0, "it had no time to clean up");
    assert_code(&place.rehearse(), 0);
}

#[test]
fn several_workers_on_one_folder_share_its_runs_and_train_none_twice() {
    let place = Place::of_runs(200);
    let mut sweep = place.sweep("rehearsal", &["--slots", "1"]).spawn().unwrap();
    wait_for("a result", || !place.results().is_empty());
    sweep.kill().unwrap();
    sweep.wait().unwrap();
    let before = place.results().len();
    let worker = || place.runner(&["worker", "--sweep", "out", "--device", "rehearsal"]).spawn().unwrap();
    let workers = [worker(), worker(), worker()];
    let outputs = workers.map(|worker| worker.wait_with_output().unwrap());
    let ended: usize =
        outputs.iter().map(|output| text(&output.stdout).matches("\"event\":\"finished\"").count()).sum();
    for output in &outputs {
        assert_code(output, 0);
    }
    assert_eq!(place.results().len(), 200);
    // The worker of the killed sweep may have ended one more run, of which nobody heard.
    assert!((199 - before..=200 - before).contains(&ended), "{ended} runs were trained where {before} were done");
    assert_code(&place.rehearse(), 0);
    let all = text(&place.run(&["ledger", "check", "out"]).stdout);
    assert!(all.contains("200 results of 200 runs are whole (checksums match), 0 conflicts"), "{all}");
}

#[test]
fn two_processes_that_train_one_run_give_one_result_and_no_conflict() {
    let place = Place::of_runs(1);
    assert_code(&place.rehearse(), 0);
    let tables = place.tables();
    let result = place.results().remove(0);
    for _ in 0..5 {
        fs::remove_file(&result).unwrap();
        let worker = || {
            // As on machines without common locks: each takes the lease.
            fs::remove_file(result.with_file_name("lock")).unwrap_or_default();
            place.runner(&["worker", "--sweep", "out", "--device", "rehearsal"]).spawn().unwrap()
        };
        for worker in [worker(), worker(), worker(), worker()] {
            assert_code(&worker.wait_with_output().unwrap(), 0);
        }
        assert_code(&place.run(&["ledger", "check", "out"]), 0);
    }
    assert_code(&place.rehearse(), 0);
    assert_eq!(place.tables(), tables);
}
