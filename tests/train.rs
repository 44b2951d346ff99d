//! Real training through the real binary: the same bits for any number of threads, after a kill, and for every
//! parameterization at the base shape.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::common::{TINY, wait_for};

/// A small sweep of four runs, about a second each.
const SWEEP: &str = "[sweep]\nmin_steps = 50\nseeds = [1, 2, 3, 4]\n";

struct Place(TempDir);

impl Place {
    fn new(spec: &str) -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        fs::write(place.path("spec.toml"), spec).unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// `runner COMMAND spec.toml --out OUT --device cpu ...` in this folder.
    fn runner(&self, command: &str, out: &str, flags: &[&str]) -> Command {
        let mut runner = Command::new(env!("CARGO_BIN_EXE_runner"));
        runner.current_dir(self.0.path()).args([command, "spec.toml", "--out", out, "--device", "cpu"]).args(flags);
        runner.stdout(Stdio::null()).stderr(Stdio::null());
        runner
    }
}

/// The rows of runs.csv without the two columns at the end that depend on time, and without those in `dropped`.
fn runs(folder: &Path, dropped: &[&str]) -> Vec<Vec<String>> {
    let mut reader = csv::Reader::from_path(folder.join("runs.csv")).unwrap();
    let header = reader.headers().unwrap().clone();
    let timed = ["tokens_per_second", "seconds"];
    let kept = |record: &csv::StringRecord| {
        let columns = header.iter().zip(record).filter(|(name, _)| !timed.contains(name) && !dropped.contains(name));
        columns.map(|(_, value)| value.to_owned()).collect()
    };
    reader.records().map(|record| kept(&record.unwrap())).collect()
}

#[test]
fn losses_are_the_same_bits_for_any_number_of_threads() {
    let place = Place::new(TINY);
    for threads in ["1", "3"] {
        assert!(place.runner("train", threads, &["--threads", threads]).status().unwrap().success());
    }
    let [one, three] = ["1", "3"].map(|out| runs(&place.path(out), &["threads"]));
    assert_eq!(one.len(), 1);
    assert_eq!(one, three);
}

#[test]
fn a_killed_sweep_ends_with_the_same_runs_as_an_undisturbed_one() {
    let place = Place::new(&format!("{TINY}{SWEEP}"));
    assert!(place.runner("sweep", "undisturbed", &["--slots", "2"]).status().unwrap().success());

    let mut sweep = place.runner("sweep", "killed", &["--slots", "2"]).spawn().unwrap();
    let folder = place.path("killed/runs");
    let finished = || {
        let runs = fs::read_dir(&folder).into_iter().flatten().flatten();
        runs.filter(|run| run.path().join("result.json").exists()).count()
    };
    wait_for("a result", || finished() >= 1);
    sweep.kill().unwrap();
    sweep.wait().unwrap();
    let before = finished();
    assert!((1..4).contains(&before), "{before} of 4 runs had finished");

    assert!(place.runner("sweep", "killed", &["--slots", "2"]).status().unwrap().success());
    assert_eq!(runs(&place.path("killed"), &[]), runs(&place.path("undisturbed"), &[]));
}

#[test]
fn every_parameterization_is_the_same_model_at_the_base_shape() {
    let [standard, mup, completep] = ["standard", "mup", "completep"].map(|parameterization| {
        let place = Place::new(&TINY.replace("\"standard\"", &format!("{parameterization:?}")));
        assert!(place.runner("train", "out", &[]).status().unwrap().success());
        runs(&place.path("out"), &["id", "parameterization"])
    });
    assert_eq!(standard, mup);
    assert_eq!(standard, completep);
}

const WIDTHS: &str = "[sweep]\nmin_steps = 50\nseeds = [1, 2, 3, 4]\n[sweep.axes]\n\"model.width\" = [32, 64, 128]\n";

#[test]
fn a_coordinate_check_passes_mup_fails_the_standard_parameterization_and_writes_its_figures() {
    let spec = TINY.replace("flops = 3e10", "tokens = 5e5").replace("rate = 0.01", "rate = 0.006") + WIDTHS;
    let standard = Place::new(&spec);
    let mup = Place::new(&spec.replace("\"standard\"", "\"mup\""));
    let check = |place: &Place| {
        let output = place.runner("coord-check", "out", &["--steps", "8"]).stdout(Stdio::piped()).output().unwrap();
        let files: Vec<String> = fs::read_dir(place.path("out/figures"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        assert_eq!(files.len(), 4, "{files:?}");
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, table) = check(&mup);
    assert_eq!(code, Some(0), "{table}");
    let (code, table) = check(&standard);
    assert_eq!(code, Some(1), "{table}");
    assert!(table.contains("grows"), "{table}");
}

#[test]
fn a_coordinate_check_of_one_shape_or_of_more_than_shapes_says_what_to_write() {
    let depths = WIDTHS.to_owned() + "\"model.depth\" = [2, 4]\n";
    let rates = WIDTHS.to_owned() + "\"optimizer.learning_rate\" = [0.01, 0.02]\n";
    let long = TINY.replace("flops = 3e10", "tokens = 5e5");
    let cases = [
        (long.clone(), "of one shape"),
        (long.clone() + &depths, "varies width and depth"),
        (long + &rates, "of one recipe"),
        (TINY.to_owned() + WIDTHS, "would lack"),
    ];
    for (spec, told) in cases {
        let place = Place::new(&spec);
        let output = place.runner("coord-check", "out", &[]).stderr(Stdio::piped()).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(stderr.contains(told), "{stderr}");
    }
}

#[test]
fn a_sweep_keeps_its_models_when_asked_and_they_change_no_result() {
    let place = Place::new(&format!("{TINY}{SWEEP}"));
    assert!(place.runner("sweep", "plain", &[]).status().unwrap().success());
    assert!(place.runner("sweep", "kept", &["--keep-models"]).status().unwrap().success());
    let losses = |folder: &str| -> Vec<String> {
        let mut reader = csv::Reader::from_path(place.path(folder).join("runs.csv")).unwrap();
        let column = reader.headers().unwrap().iter().position(|name| name == "val_loss").unwrap();
        reader.records().map(|row| row.unwrap()[column].to_owned()).collect()
    };
    assert_eq!(losses("plain"), losses("kept"));
    let export = |folder: &str, run: &str| {
        let mut runner = Command::new(env!("CARGO_BIN_EXE_runner"));
        runner.args(["export", "transformers"]).arg(place.path(folder)).args(["--run", run, "--out"]);
        runner.arg(place.path("model")).output().unwrap()
    };
    for entry in fs::read_dir(place.path("kept").join("runs")).unwrap() {
        let run = entry.unwrap().file_name().into_string().unwrap();
        assert!(export("kept", &run).status.success());
        let config = fs::read_to_string(place.path("model").join("config.json")).unwrap();
        assert!(config.contains("\"ArceeForCausalLM\""), "{config}");
        let refused = export("plain", &run);
        let said = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(2));
        assert!(said.contains("were not kept") && said.contains("--keep-models"), "{said}");
    }
}
