//! Signals that ask a sweep to end.

use super::{Place, signal};
use crate::common::{assert_code, assert_said, wait_for};

/// Runs of a sweep that lasts long enough to be disturbed.
const MANY: usize = 600;

#[test]
fn a_sweep_that_is_asked_to_stop_says_so_and_a_second_call_ends_with_the_same_bytes() {
    let undisturbed = Place::of_runs(MANY);
    assert_code(&undisturbed.rehearse(), 0);
    for name in ["-INT", "-TERM", "-HUP", "-USR1"] {
        let place = Place::of_runs(MANY);
        let sweep = place.sweep("rehearsal", &["--slots", "2"]).spawn().unwrap();
        wait_for("results", || place.results().len() > 20);
        signal(name, &sweep);
        let output = sweep.wait_with_output().unwrap();
        assert_code(&output, 75);
        assert_said(&output, &["Interrupted with", "Nothing is lost: they are kept in out", "To go on: "]);
        assert!(place.results().len() < MANY, "{name} came too late to mean anything");
        // Who looks before it goes on finds what has ended.
        let [runs, _] = place.tables();
        assert_eq!(runs.matches(",finished,").count(), place.results().len());
        assert_said(&output, &["What they say so far: runner fit out"]);
        // What follows is the same for all of them.
        if name == "-USR1" {
            assert_code(&place.rehearse(), 0);
            assert_eq!(place.tables(), undisturbed.tables());
        }
    }
}

#[test]
fn a_worker_alone_stops_with_the_code_that_asks_a_batch_system_to_requeue_it() {
    let place = Place::of_runs(MANY);
    let sweep = place.sweep("rehearsal", &["--slots", "1"]).spawn().unwrap();
    wait_for("results", || !place.results().is_empty());
    signal("-INT", &sweep);
    assert_code(&sweep.wait_with_output().unwrap(), 75);
    let args = ["worker", "--sweep", "out", "--device", "rehearsal"];
    for name in ["-TERM", "-USR1", "-INT"] {
        let before = place.results().len();
        let worker = place.runner(&args).stdout(std::process::Stdio::null()).spawn().unwrap();
        wait_for("results", || place.results().len() > before + 5);
        signal(name, &worker);
        assert_code(&worker.wait_with_output().unwrap(), 75);
    }
    assert_code(&place.run(&args), 0);
    assert_eq!(place.results().len(), MANY);
    let left: Vec<_> =
        place.files("out/runs", "lock").into_iter().filter(|lock| lock.metadata().unwrap().len() > 0).collect();
    assert!(left.is_empty(), "every claim is released: {left:?}");
}
