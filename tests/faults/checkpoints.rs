//! Really trained runs that are stopped, killed, and whose checkpoints are damaged.

use std::fs;
use std::process::{Child, Command};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::{Place, signal, spec};
use crate::common::{self, assert_code, assert_said, wait_for};

const CHECKPOINTS: [&str; 2] = ["checkpoint.safetensors", "checkpoint-previous.safetensors"];

/// A run that nobody disturbs.
struct Undisturbed {
    spec: String,
    tables: [String; 2],
}

/// One run that lasts long enough to be disturbed, however fast the machine is: a checkpoint comes each half a second.
fn undisturbed() -> &'static Undisturbed {
    static UNDISTURBED: OnceLock<Undisturbed> = OnceLock::new();
    UNDISTURBED.get_or_init(|| {
        let mut flops = 1.5e11;
        loop {
            let spec = spec(1).replace("flops = 3e10", &format!("flops = {flops:e}"));
            let place = Place::with(&spec);
            let begun = Instant::now();
            assert_code(&sweep(&place).wait_with_output().unwrap(), 0);
            if begun.elapsed() > Duration::from_secs(4) {
                return Undisturbed { tables: tables(&place), spec };
            }
            flops *= 3.0;
        }
    })
}

fn place() -> Place {
    Place::with(&undisturbed().spec)
}

fn command(place: &Place) -> Command {
    place.sweep("cpu", &["--slots", "1", "--checkpoint-every", "0"])
}

fn sweep(place: &Place) -> Child {
    command(place).spawn().unwrap()
}

/// Waits for what must come before the sweep ends.
fn wait_during(sweep: &mut Child, what: &str, mut come: impl FnMut() -> bool) {
    wait_for(what, || come() || sweep.try_wait().unwrap().is_some());
    assert!(sweep.try_wait().unwrap().is_none(), "the sweep ended before {what}");
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
    let have = || CHECKPOINTS[..count].iter().all(|name| place.files("out/runs", name).len() == 1);
    wait_during(&mut child, "its checkpoints", have);
    common::signal("-9", &common::children(child.id()));
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(place.results().is_empty(), "killed too late to mean anything");
}

#[test]
fn a_run_that_is_stopped_again_and_again_ends_with_the_same_loss_and_curve() {
    let place = place();
    for name in ["-TERM", "-USR1", "-INT"] {
        // A signal before the first step stops the sweep too, and leaves nothing: then it comes later in the next attempt.
        let stopped = (1..=20).any(|tenths| {
            let said = fs::File::create(place.path("said")).unwrap();
            let mut child = command(&place).stderr(said).spawn().unwrap();
            wait_during(&mut child, "the run begins", || place.read("said").contains(" starts: "));
            std::thread::sleep(Duration::from_millis(100 * tenths));
            signal(name, &child);
            assert_eq!(child.wait().unwrap().code(), Some(75), "{}", place.read("said"));
            place.read("said").contains("stopped after step")
        });
        assert!(stopped, "never in a step: {}", place.read("said"));
        assert!(!place.files("out/runs", CHECKPOINTS[0]).is_empty(), "it leaves a checkpoint: {}", place.read("said"));
    }
    assert_code(&sweep(&place).wait_with_output().unwrap(), 0);
    assert_eq!(tables(&place), undisturbed().tables);
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
    assert_eq!(tables(&place), undisturbed().tables);
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
    assert_eq!(tables(&place), undisturbed().tables);
}
