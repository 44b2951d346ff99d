//! Really trained runs that are stopped, killed, and whose checkpoints are damaged.

use std::fs;
use std::process::Child;
use std::sync::OnceLock;

use super::{Place, signal, spec};
use crate::common::{self, assert_code, assert_said, wait_for};

const CHECKPOINTS: [&str; 2] = ["checkpoint.safetensors", "checkpoint-previous.safetensors"];

/// One run of a few seconds.
fn place() -> Place {
    Place::with(&spec(1).replace("flops = 3e10", "flops = 1.5e11"))
}

fn sweep(place: &Place) -> Child {
    place.sweep("cpu", &["--slots", "1", "--checkpoint-every", "0"]).spawn().unwrap()
}

/// Loss and curve of the run that nobody disturbs.
fn undisturbed() -> &'static [String; 2] {
    static UNDISTURBED: OnceLock<[String; 2]> = OnceLock::new();
    UNDISTURBED.get_or_init(|| {
        let place = place();
        assert_code(&sweep(&place).wait_with_output().unwrap(), 0);
        tables(&place)
    })
}

/// The tables without the columns of runs that depend on the clock: the last two.
fn tables(place: &Place) -> [String; 2] {
    let [runs, curves] = place.tables();
    let untimed = |line: &str| line.rsplitn(3, ',').nth(2).unwrap().to_owned();
    [runs.lines().map(untimed).collect::<Vec<_>>().join("\n"), curves]
}

/// Kills the sweep with all its workers once there are this many checkpoints of the run.
fn kill_with_checkpoints(place: &Place, count: usize) {
    let mut child = sweep(place);
    wait_for("checkpoints", || CHECKPOINTS[..count].iter().all(|name| place.files("out/runs", name).len() == 1));
    common::signal("-9", &common::children(child.id()));
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(place.results().is_empty(), "killed too late to mean anything");
}

#[test]
fn a_run_that_is_stopped_again_and_again_ends_with_the_same_loss_and_curve() {
    let place = place();
    for name in ["-TERM", "-USR1", "-INT"] {
        let before = place.files("out/runs", CHECKPOINTS[0]);
        let child = sweep(&place);
        // Each attempt leaves its own, in a folder of its own, from its first step on; soon those of before are gone.
        let checkpoints = || place.files("out/runs", CHECKPOINTS[0]);
        wait_for("a checkpoint of this attempt", || checkpoints().iter().any(|path| !before.contains(path)));
        signal(name, &child);
        let output = child.wait_with_output().unwrap();
        assert_code(&output, 75);
        assert_said(&output, &["stopped after step"]);
    }
    assert_code(&sweep(&place).wait_with_output().unwrap(), 0);
    assert_eq!(&tables(&place), undisturbed());
    assert!(place.files("out/runs", CHECKPOINTS[0]).is_empty(), "no checkpoint outlives its run");
}

#[test]
fn a_run_whose_newest_checkpoint_is_damaged_goes_on_from_the_one_before() {
    let place = place();
    kill_with_checkpoints(&place, 2);
    let newest = place.files("out/runs", CHECKPOINTS[0]).remove(0);
    let mut bytes = fs::read(&newest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&newest, bytes).unwrap();
    let output = sweep(&place).wait_with_output().unwrap();
    assert_code(&output, 0);
    assert_said(&output, &[CHECKPOINTS[0], "checksum", "the one before it is used"]);
    assert_eq!(&tables(&place), undisturbed());
}

#[test]
fn a_run_whose_checkpoints_are_all_torn_begins_anew() {
    let place = place();
    kill_with_checkpoints(&place, 1);
    for path in CHECKPOINTS.iter().flat_map(|name| place.files("out/runs", name)) {
        let length = path.metadata().unwrap().len();
        fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(length - 512).unwrap();
    }
    let output = sweep(&place).wait_with_output().unwrap();
    assert_code(&output, 0);
    assert_said(&output, &["bytes instead of", "the run starts again from step 0"]);
    assert_eq!(&tables(&place), undisturbed());
}
