//! Real training through the real binary: the same bits for any number of threads, after a kill, and for every
//! parameterization at the base shape.

use std::fs;
use std::process::Command;

use crate::common::{Place, TINY, assert_code, assert_refused, files, text, wait_for, with_data};
use crate::data::documents_of_words;

/// A small sweep of four runs, about a second each.
const SWEEP: &str = "[sweep]\nmin_steps = 50\nseeds = [1, 2, 3, 4]\n";

/// `runner COMMAND spec.toml --out OUT --device cpu ...`.
fn runner(place: &Place, command: &str, out: &str, flags: &[&str]) -> Command {
    place.runner(&[&[command, "spec.toml", "--out", out, "--device", "cpu"], flags].concat())
}

#[track_caller]
fn trained(place: &Place, command: &str, out: &str, flags: &[&str]) {
    assert_code(&runner(place, command, out, flags).output().unwrap(), 0);
}

/// The rows of runs.csv without the two columns at the end that depend on time, and without those in `dropped`.
fn runs(place: &Place, out: &str, dropped: &[&str]) -> Vec<Vec<String>> {
    let table = place.read(&format!("{out}/runs.csv"));
    let mut reader = csv::Reader::from_reader(table.as_bytes());
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
    let place = Place::with(TINY);
    for threads in ["1", "3"] {
        trained(&place, "train", threads, &["--threads", threads]);
    }
    let [one, three] = ["1", "3"].map(|out| runs(&place, out, &["threads"]));
    assert_eq!(one.len(), 1);
    assert_eq!(one, three);
}

#[test]
#[cfg(unix)]
fn a_process_that_trains_by_itself_keeps_its_pages_unless_it_is_told_otherwise() {
    let place = Place::with(TINY);
    for (asked, told) in [(None, "'purge_delay': -1"), (Some("10"), "'purge_delay': 10")] {
        let mut train = place.runner(&["train", "spec.toml", "--device", "rehearsal", "--out", "out"]);
        // mimalloc tells its options.
        train.env("MIMALLOC_VERBOSE", "1").envs(asked.map(|delay| ("MIMALLOC_PURGE_DELAY", delay)));
        let output = train.output().unwrap();
        assert_code(&output, 0);
        assert!(text(&output.stderr).contains(told), "{}", text(&output.stderr));
    }
}

#[test]
fn a_killed_sweep_ends_with_the_same_runs_as_an_undisturbed_one() {
    let place = Place::with(&format!("{TINY}{SWEEP}"));
    trained(&place, "sweep", "undisturbed", &["--slots", "2"]);

    let mut sweep = runner(&place, "sweep", "killed", &["--slots", "2"]).spawn().unwrap();
    let finished = || place.files("killed/runs", "result.json").len();
    wait_for("a result", || finished() >= 1);
    sweep.kill().unwrap();
    sweep.wait().unwrap();
    let before = finished();
    assert!((1..4).contains(&before), "{before} of 4 runs had finished");

    trained(&place, "sweep", "killed", &["--slots", "2"]);
    assert_eq!(runs(&place, "killed", &[]), runs(&place, "undisturbed", &[]));
}

#[test]
fn every_parameterization_is_the_same_model_at_the_base_shape() {
    let [standard, mup, completep] = ["standard", "mup", "completep"].map(|parameterization| {
        let place = Place::with(&TINY.replace("\"standard\"", &format!("{parameterization:?}")));
        trained(&place, "train", "out", &[]);
        runs(&place, "out", &["id", "parameterization"])
    });
    assert_eq!(standard, mup);
    assert_eq!(standard, completep);
}

const WIDTHS: &str = "[sweep]\nmin_steps = 50\nseeds = [1, 2, 3, 4]\n[sweep.axes]\n\"model.width\" = [32, 64, 128]\n";

#[test]
fn a_coordinate_check_passes_mup_fails_the_standard_parameterization_and_writes_its_figures() {
    let spec = TINY.replace("flops = 3e10", "tokens = 5e5").replace("rate = 0.01", "rate = 0.006") + WIDTHS;
    let standard = Place::with(&spec);
    let mup = Place::with(&spec.replace("\"standard\"", "\"mup\""));
    let check = |place: &Place| {
        let output = runner(place, "coord-check", "out", &["--steps", "8"]).output().unwrap();
        let figures = files(&place.path("out/figures"));
        assert_eq!(figures.len(), 4, "{figures:?}");
        (output.status.code(), text(&output.stdout))
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
    let zipped = "[sweep]\nmin_steps = 50\nseeds = [1]\n[[sweep.zip]]\n\"model.width\" = [32, 64]\n\"optimizer.learning_rate\" = [0.01, 0.1]\n";
    let with_width =
        |key: &str| format!("[sweep]\nmin_steps = 50\nseeds = [1]\n[[sweep.zip]]\n\"model.width\" = [32, 64]\n{key}\n");
    let bases = long.replace("\"standard\"", "\"mup\"") + &with_width("\"model.base_width\" = [32, 64]");
    let starts = long.clone() + &with_width("\"model.zero_init_query\" = [false, true]");
    let parts = long.clone() + &with_width("\"model.norm_place\" = [\"before\", \"after\"]");
    let program = "[train]\ncommand = [\"true\", \"{config}\"]\n";
    let cases = [
        (long.clone() + zipped, "has another learning rate"),
        (bases, "has another base shape"),
        (starts, "has another initialization"),
        (parts, "has other parts"),
        (long.clone() + WIDTHS + program, "look into our own model only"),
        (long.clone(), "have the same shape"),
        (long.clone() + &depths, "varies width and depth"),
        (long + &rates, "needs one training recipe"),
        (TINY.to_owned() + WIDTHS, "cannot include"),
    ];
    for (spec, told) in cases {
        let place = Place::with(&spec);
        assert_refused(&runner(&place, "coord-check", "out", &[]).output().unwrap(), &[told]);
    }
}

#[test]
fn a_sweep_keeps_its_models_when_asked_and_they_change_no_result() {
    let place = Place::with(&format!("{TINY}{SWEEP}"));
    trained(&place, "sweep", "plain", &[]);
    trained(&place, "sweep", "kept", &["--keep-models"]);
    let timeless = ["plain", "kept"].map(|out| runs(&place, out, &[]));
    assert_eq!(timeless[0], timeless[1]);
    let export = |out: &str, run: &str| place.run(&["export", "transformers", out, "--run", run, "--out", "model"]);
    for entry in fs::read_dir(place.path("kept/runs")).unwrap() {
        let run = entry.unwrap().file_name().into_string().unwrap();
        assert_code(&export("kept", &run), 0);
        let config = place.read("model/config.json");
        assert!(config.contains("\"ArceeForCausalLM\""), "{config}");
        assert_refused(&export("plain", &run), &["were not kept", "--keep-models"]);
    }
}

#[test]
fn documents_are_scored_by_a_model_that_was_kept_and_chosen_by_their_scores() {
    let place = Place::new();
    let phrase = |at: usize| format!("the same words again {at} ").repeat(10);
    let mixed: Vec<String> =
        documents_of_words(300).into_iter().enumerate().flat_map(|(at, own)| [own, phrase(at)]).collect();
    place.write("text.txt", mixed.join("\n\n"));
    let table =
        "source = \"text\"\npath = \"text.txt\"\nvocab = 256\nvalidation_fraction = 0.1\nmax_epochs = 99.0\nseed = 1\n";
    place.write("spec.toml", with_data(TINY, table));
    trained(&place, "train", "model", &["--keep-models"]);
    trained(&place, "train", "forgotten", &[]);
    let score = |dir: &str| place.run(&["data", "score", dir, "--out", "scores.txt"]);
    assert_refused(&score("forgotten"), &["were not kept", "--keep-models"]);
    let flags = |flags: &[&str]| place.run(&[&["data", "score", "model"], flags].concat());
    assert_refused(&flags(&["--out", "scores.txt", "--threads", "0"]), &["'0' for '--threads", "1 or more"]);
    assert_refused(&place.run(&["bench", "--threads", "0"]), &["'0' for '--threads", "1 or more"]);
    assert_refused(&place.run(&["bench", "--threads", "1000000"]), &["--threads 1000000", "at most"]);
    let runs = place.read("model/runs.csv");
    assert_refused(&flags(&["--out", "model/runs.csv"]), &["model/runs.csv belongs to the results"]);
    assert_eq!(place.read("model/runs.csv"), runs);
    assert_refused(&flags(&["--out", "no/scores.txt"]), &["cannot write no/scores.txt"]);
    assert_refused(&flags(&["--out", "scores.txt", "--run", "zzz"]), &["no run's id begins with"]);
    assert_refused(&flags(&["--out", "scores.txt", "--device", "rehearsal"]), &["no such device"]);
    let told = score("model");
    assert_code(&told, 0);
    let scores: Vec<f64> = place.read("scores.txt").lines().map(|line| line.parse().unwrap()).collect();
    assert!(text(&told.stderr).contains(&format!("{} documents", scores.len())), "{}", text(&told.stderr));
    assert!(scores.len() > 500 && scores.iter().all(|score| *score > 0.0 && *score < 256_f64.ln() + 1.0));
    let printed = flags(&["--out", "-"]);
    assert_code(&printed, 0);
    assert!(text(&printed.stdout) == place.read("scores.txt") && !place.path("-").exists());
    // What is said ten times over is expected sooner: of the lower half nearly all documents are of that kind.
    let keep = "keep = 0.3\nkeep_by = \"file\"\nkeep_file = \"scores.txt\"\nkeep_scores = \"low\"\n";
    place.write("pruned.toml", with_data(TINY, &format!("{table}{keep}")));
    let prepared = place.run(&["data", "prepare", "pruned.toml", "--json"]);
    assert_code(&prepared, 0);
    let facts: serde_json::Value = serde_json::from_str(&text(&prepared.stdout)).unwrap();
    let folder = place.path("cache").join(facts["fingerprint"].as_str().unwrap());
    let bytes = fs::read(folder.join("train.u16")).unwrap();
    let kept: String = bytes.chunks_exact(2).map(|pair| char::from(pair[0])).collect();
    let kept: Vec<&str> = kept.split('\0').filter(|document| !document.is_empty()).collect();
    let phrases = kept.iter().filter(|document| document.starts_with("the same")).count();
    assert!(phrases as f64 > 0.9 * kept.len() as f64, "{phrases} of {}", kept.len());
    // Scores of a part of the documents would be no scores of all.
    place.write("spec.toml", with_data(TINY, &format!("{table}{keep}")));
    trained(&place, "train", "part", &["--keep-models"]);
    assert_refused(&score("part"), &["a part of the documents was kept"]);
}
