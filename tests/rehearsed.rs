//! Losses that no training produced are told as such by whatever shows, fits or hands them on.

use std::process::Output;

use clap::CommandFactory as _;
use runner::cli::Cli;
use serde_json::Value;

use crate::common::{Place, assert_code, repository, text};

const SAID: &str = "REHEARSAL: no model is trained; every loss comes from a known surface and some noise";

/// Commands that meet results, each as it is typed where `out` is a rehearsed sweep, RUN one of its runs, and `fit.json` a fit to it.
const OF_RESULTS: [&str; 26] = [
    "fit out --approach 2 --bootstrap 100",
    "fit out/runs.csv --approach vpnls --bootstrap 100 --json",
    "fit copy.csv --law flops --bootstrap 100",
    "fit copy.csv --formula loss=E+B/D^beta --bootstrap 100",
    "fit out.jsonl --approach 2 --bootstrap 100",
    "allocate --fit out --flops 1e13",
    "allocate --fit out/fits.json --flops 1e13 --json",
    "predict --fit out --params 1e5 --tokens 2e6",
    "predict --fit fit.json --params 1e5 --tokens 2e6 --json",
    "choose copy.csv --target copy.csv --formula loss=E+B/D^beta --budget 50% --json",
    "status out",
    "show out",
    "show out/RUN",
    "compare out out",
    "compare out/RUN out/RUN",
    "stop-early out",
    "ledger check out",
    "ledger rebuild out",
    "merge merged out",
    "import copy.csv --out imported",
    "fit imported --approach 2 --bootstrap 100",
    "export jsonl out",
    "export parquet copy.csv --out out.parquet",
    "export tensorboard out --out events",
    "export mlflow out --out mlflow",
    "export wandb out --out wandb",
];

/// Commands that meet none, or that say so elsewhere: `ls` in its column, `watch` on its page, and sweeps and runs where they begin.
const OTHERS: [&str; 18] = [
    "init",
    "sweep",
    "cancel",
    "plan",
    "train",
    "coord-check",
    "data",
    "devices",
    "bench",
    "bench-slot",
    "ls",
    "watch",
    "explain",
    "schema",
    "completions",
    "man",
    "worker",
    "slurm-task",
];

/// A rehearsed sweep in `out`, with what other places have of it.
fn rehearsed() -> Place {
    let place = Place::rehearsed(&[]);
    std::fs::copy(place.path("out/runs.csv"), place.path("copy.csv")).unwrap();
    place.write("out.jsonl", place.says(&["export", "jsonl", "out"]));
    place.write("fit.json", place.says(&["fit", "copy.csv", "--approach", "vpnls", "--bootstrap", "100", "--json"]));
    place
}

fn run(place: &Place, typed: &str) -> Output {
    let id = place.read("out/runs.csv").lines().nth(1).unwrap()[..16].to_owned();
    let typed = typed.replace("RUN", &id);
    place.run(&typed.split(' ').collect::<Vec<_>>())
}

#[test]
fn every_command_that_meets_results_says_once_that_they_are_a_rehearsal() {
    let place = rehearsed();
    for typed in OF_RESULTS {
        let output = run(&place, typed);
        let said = text(&output.stderr);
        assert_eq!(said.matches(SAID).count(), 1, "{typed}: {said}");
        // Nothing was tuned here, so that there is nothing to stop early.
        if !typed.starts_with("stop-early") {
            assert_code(&output, 0);
        }
    }
    assert!(place.says(&["ls", "out"]).contains("rehearsed"));
    for command in Cli::command().get_subcommands().map(clap::Command::get_name) {
        let listed = OF_RESULTS.iter().any(|typed| typed.split(' ').next() == Some(command));
        assert!(listed || OTHERS.contains(&command), "does `{command}` meet losses? Then it says where they are from");
    }
}

#[test]
fn trained_results_are_not_called_a_rehearsal() {
    let place = Place::new();
    let dir = repository().join("results/isoflop").display().to_string();
    for typed in ["status DIR", "show DIR", "compare DIR DIR", "allocate --fit DIR --flops 1e13", "fit DIR --law flops"]
    {
        let typed = typed.replace("DIR", &dir);
        let output = place.run(&typed.split(' ').collect::<Vec<_>>());
        assert_code(&output, 0);
        assert!(!text(&output.stderr).contains("REHEARSAL"), "{typed}: {}", text(&output.stderr));
    }
}

#[test]
fn json_has_it_too_and_a_folder_tells_it_of_fits_that_do_not() {
    let place = rehearsed();
    let object = |typed: &str| -> Value { serde_json::from_str(&text(&run(&place, typed).stdout)).unwrap() };
    for typed in [
        "status out --json",
        "show out/RUN --json",
        "fit copy.csv --law flops --bootstrap 100 --json",
        "fit copy.csv --approach 2 --bootstrap 100 --json",
        "allocate --fit out --flops 1e13 --json",
        "predict --fit fit.json --params 1e5 --tokens 2e6 --json",
    ] {
        assert_eq!(object(typed)["rehearsed"], true, "{typed}");
    }
    assert_eq!(object("ls out --json")["sweeps"][0]["rehearsed"], true);
    assert_eq!(object("show out --json")["sweep"]["rehearsed"], true);
    let mut fits: Value = serde_json::from_str(&place.read("out/fits.json")).unwrap();
    assert_eq!(fits.as_object_mut().unwrap().remove("rehearsed"), Some(Value::Bool(true)));
    // As a version wrote it that did not tell.
    place.write("out/fits.json", fits.to_string());
    assert_eq!(object("allocate --fit out --flops 1e13 --json")["rehearsed"], true);
}

#[test]
fn rehearsed_runs_stay_so_where_they_are_imported_and_never_mix_with_others() {
    let place = rehearsed();
    assert_code(&place.run(&["import", "copy.csv", "--out", "in"]), 0);
    assert!(place.says(&["ls", "in"]).contains("rehearsed"));
    let mut lines: Vec<String> = place.read("copy.csv").lines().map(str::to_owned).collect();
    lines[1] = lines[1].replace(",rehearsal,", ",cpu,");
    place.write("mixed.csv", lines.join("\n"));
    let refused = place.refusal(&["import", "mixed.csv", "--out", "mixed"]);
    assert!(refused.contains("20 of its 21 runs were rehearsed"), "{refused}");
    assert!(!place.path("mixed").exists());
}
