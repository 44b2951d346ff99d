//! A lab's own trainer: the one to begin with.

use std::fs;
use std::process::Stdio;

use crate::common::{Place, assert_code, signal, wait_for};
use crate::program::{python, row};

/// What `runner init program` writes, as fast as a stand-in can pretend.
#[test]
fn the_spec_and_the_trainer_to_begin_with_come_to_a_fit_and_say_that_it_is_made_up() {
    if !python() {
        return;
    }
    let place = Place::new();
    place.says(&["init", "program"]);
    let trainer = place.read("train.py");
    let paced = |seconds: &str| trainer.replace("SECONDS = 1.0", &format!("SECONDS = {seconds}"));
    assert_ne!(paced("0.0"), trainer);
    place.write("train.py", paced("0.0"));
    place.says(&["plan", "program.toml"]);
    assert_code(&place.run(&["sweep", "program.toml", "--device", "cpu", "--out", "out"]), 0);
    let fits: serde_json::Value = serde_json::from_str(&place.read("out/fits.json")).unwrap();
    let optima = fits["approach2"][0]["n_opt"]["exponent"]["value"].as_f64().unwrap();
    // Of its surface the exponent is beta / (alpha + beta).
    assert!((optima - 0.3658 / 0.7136).abs() < 0.04, "{optima}");
    let row = row(&place);
    assert_eq!((row["told.stand_in"].as_str(), row["status"].as_str()), ("losses are made up", "finished"));

    // Stopped, it has a checkpoint and goes on from there.
    place.write("train.py", paced("5.0"));
    let one = ["sweep", "program.toml", "--device", "cpu", "--slots", "1", "--out", "one"];
    let one =
        [&one[..], &["--set", "sweep.budgets=", "--set", "schedule.tokens=1e9", "--set", "sweep.sizes=", "--set"]]
            .concat();
    let grid = ["sweep.spread=", "--set", "sweep.expected_tokens_per_param=", "--set"];
    let model = "sweep.models=[{ config = { n_layer = 4, n_embd = 256 } }]";
    let one = [&one[..], &grid, &[model]].concat();
    let mut running = place.runner(&one).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let printed = || place.files("one/runs", "printed.log").first().map(|log| fs::read_to_string(log).unwrap());
    wait_for("a step", || printed().is_some_and(|log| log.contains("\"step\"")));
    signal("-INT", &[running.id()]);
    assert_eq!(running.wait().unwrap().code(), Some(75));
    assert_eq!(place.files("one/runs", "checkpoint.json").len(), 1);
    assert_code(&place.run(&one), 0);
    assert_eq!(place.read("one/curves.csv").lines().count() - 1, 50, "each part once, of both attempts");
}
