//! Several runs in one worker: what happens to one of them, and what that is to the others.

use std::fs;
use std::process::{Child, Command, Output};

use super::{Place, signal};
use crate::common::{self, assert_code, assert_refused, assert_said, children, wait_for};

/// A sweep of three runs side by side in one process, with failures on demand.
fn command(place: &Place, failpoint: &str, flags: &[&str]) -> Command {
    let together = ["--slots", "3", "--share-process"];
    let mut command = place.sweep("rehearsal", &[&together[..], flags].concat());
    command.env("RUNNER_FAILPOINT", failpoint);
    command
}

/// That sweep, with a failure that strikes so many times while the runs take their time, and not before all are under way.
fn sweep(place: &Place, kind: &str, times: usize, flags: &[&str]) -> Output {
    let [first, count] = ["first", "count"].map(|name| place.path(name).display().to_string());
    command(place, &format!("slow:6:{first};{kind}:{times}:{count};slow"), flags).output().unwrap()
}

/// So many runs that take three seconds each where they are slow: long enough to be met on a loaded machine.
fn long(runs: usize) -> Place {
    Place::with(&super::spec(runs).replace("curve_points = 10", "curve_points = 30"))
}

/// The failures that were recorded, as JSON.
fn failures(place: &Place) -> Vec<String> {
    place.files("out/runs", "error.json").iter().map(|path| fs::read_to_string(path).unwrap()).collect()
}

/// What must come out of a sweep of so many runs.
fn undisturbed(runs: usize) -> [String; 2] {
    outcome(&Place::of_runs(runs))
}

fn outcome(place: &Place) -> [String; 2] {
    assert_code(&place.rehearse(), 0);
    place.tables()
}

/// Starts the sweep and waits until its one worker has told that three runs are under way. What is said goes to a file.
fn started(place: &Place) -> Child {
    let said = fs::File::create(place.path("said")).unwrap();
    let sweep = command(place, "slow", &[]).stderr(said).spawn().unwrap();
    wait_for("three runs under way", || place.read("said").matches(" starts: ").count() == 3);
    assert_eq!(children(sweep.id()).len(), 1, "one process for all");
    sweep
}

#[test]
fn runs_side_by_side_in_one_process_give_the_bytes_of_runs_alone() {
    let place = Place::of_runs(7);
    let sweep = started(&place);
    assert_code(&sweep.wait_with_output().unwrap(), 0);
    assert!(place.read("said").contains("3 slots on rehearsal"));
    assert_eq!(place.tables(), undisturbed(7));
    assert_eq!(failures(&place), Vec::<String>::new());
}

#[test]
fn a_run_that_panics_is_tried_again_and_its_neighbours_go_on() {
    let place = Place::of_runs(4);
    let output = sweep(&place, "panic", 1, &[]);
    assert_code(&output, 0);
    let [failure] = failures(&place).try_into().unwrap();
    assert!(failure.contains("crash") && failure.contains("a failpoint panicked"), "{failure}");
    assert_eq!(place.tables(), undisturbed(4));
}

#[test]
fn a_process_that_dies_costs_each_of_its_runs_an_attempt_and_is_nobodys_fault() {
    for kind in ["abort", "lost"] {
        let place = Place::of_runs(4);
        let output = sweep(&place, kind, 1, &[]);
        assert_code(&output, 0);
        assert_said(&output, &["is tried again"]);
        let failures = failures(&place);
        // What is lost is lost at the end of a run, when others may have ended just before.
        assert!((if kind == "abort" { 2 } else { 1 }..=3).contains(&failures.len()), "{kind}: {failures:?}");
        assert!(failures.iter().all(|failure| failure.contains("\"shared\"")), "{kind}: {failures:?}");
        let words = if kind == "abort" { "SIGABRT" } else { "CUDA_ERROR_ILLEGAL_ADDRESS" };
        assert!(failures.iter().all(|failure| failure.contains(words)), "{kind}: {failures:?}");
        assert_eq!(place.tables(), undisturbed(4), "{kind}");
    }
}

#[test]
fn a_killed_worker_loses_nothing_but_time() {
    let place = long(5);
    let sweep = started(&place);
    assert!(common::signal("-9", &children(sweep.id())));
    assert_code(&sweep.wait_with_output().unwrap(), 0);
    assert_eq!(failures(&place).len(), 3);
    assert_eq!(place.tables(), outcome(&long(5)));
}

#[test]
fn a_run_for_which_there_is_no_room_waits_until_others_have_gone() {
    let place = Place::of_runs(4);
    let output = sweep(&place, "full", 1, &[]);
    assert_code(&output, 0);
    assert_said(&output, &["is tried again later: out of memory"]);
    assert_eq!((failures(&place).len(), place.tables()), (0, undisturbed(4)), "no smaller micro-batches");
}

#[test]
fn a_run_that_hangs_ends_its_process_and_all_go_on() {
    let place = Place::of_runs(3);
    let output = sweep(&place, "hang", 1, &["--hang-after", "5"]);
    assert_code(&output, 0);
    let failures = failures(&place);
    assert!(failures.iter().any(|failure| failure.contains("nothing was heard of")), "{failures:?}");
    assert_eq!(place.tables(), undisturbed(3));
}

#[test]
fn a_run_that_ruins_its_neighbours_is_found_alone_and_given_up_and_they_are_trained() {
    let spec =
        super::spec(2).replace("\ndepth = 2\n", "\n").replace("[sweep]\n", "[sweep]\naxes.\"model.depth\" = [1, 2]\n");
    let place = Place::with(&spec);
    let output = command(&place, "abort@2;slow", &[]).output().unwrap();
    assert_code(&output, 1);
    assert_said(&output, &["2 runs failed", "crash on rehearsal", "SIGABRT"]);
    assert_eq!(place.results().len(), 2);
}

#[test]
fn a_device_that_fails_everything_is_quarantined_in_company_too() {
    for kind in ["panic", "lost"] {
        let place = Place::of_runs(9);
        let output = sweep(&place, kind, 1000, &[]);
        assert_code(&output, 1);
        assert_said(
            &output,
            &["device rehearsal failed several runs in a row", "were not trained, since no device was left"],
        );
    }
}

#[test]
fn a_signal_checkpoints_all_of_them_and_the_next_call_goes_on() {
    let place = long(5);
    let sweep = started(&place);
    signal("-TERM", &sweep);
    assert_code(&sweep.wait_with_output().unwrap(), 75);
    let stopped = place.read("said").matches("stopped after step").count();
    assert_eq!((stopped, place.files("out/runs", "checkpoint.safetensors").len()), (3, 3));
    assert_eq!(outcome(&place), outcome(&long(5)));
}

#[test]
fn before_the_first_step_there_is_a_sign_of_life_and_a_signal_is_answered() {
    for (slots, stopped) in [("1", 1), ("3", 3)] {
        let place = Place::of_runs(3);
        let mut command = place.sweep("rehearsal", &["--slots", slots, "--share-process"]);
        command.env("RUNNER_FAILPOINT", "compile").stderr(fs::File::create(place.path("said")).unwrap());
        let sweep = command.spawn().unwrap();
        let read = || place.read("said");
        wait_for("a sign of life", || read().matches("getting ready, 2 s").count() == stopped);
        signal("-TERM", &sweep);
        assert_code(&sweep.wait_with_output().unwrap(), 75);
        assert_eq!(read().matches("stopped before its first step").count(), stopped, "{}", read());
        assert_eq!(failures(&place), Vec::<String>::new());
        assert_eq!(outcome(&place), undisturbed(3));
    }
}

#[test]
fn only_cuda_and_rehearsals_share_a_process() {
    let place = Place::of_runs(1);
    assert_refused(&place.sweep("cpu", &["--share-process"]).output().unwrap(), &["cpu"]);
    assert_refused(&place.sweep("rehearsal", &["--share-process=perhaps"]).output().unwrap(), &["perhaps"]);
    let worker = ["worker", "--sweep", "out", "--device", "rehearsal", "--runs", "0"];
    assert_refused(&place.run(&worker), &["0 is not in 1..=64"]);
}
