//! What is printed fits the terminal: every command that prints a table, on committed results and on a rehearsal.

use std::path::Path;

use crate::common::{Place, SMALL, assert_code, repository, text};

/// Two terminals, and how a command is told of them.
const WIDTHS: [usize; 2] = [80, 120];

/// What a command prints in a terminal of so many columns; `coord-check` and others end with 1 where they find fault.
fn printed(place: &Place, folder: &Path, args: &[&str], columns: usize) -> String {
    let output = place.runner(args).current_dir(folder).env("COLUMNS", columns.to_string()).output().unwrap();
    assert_code(&output, 0);
    text(&output.stdout)
}

/// No line is longer than the terminal.
#[track_caller]
fn assert_fits(args: &[&str], printed: &str, columns: usize) {
    assert!(printed.lines().count() > 1, "{args:?} prints {printed:?}");
    let long: Vec<&str> = printed.lines().filter(|line| line.chars().count() > columns).collect();
    assert!(long.is_empty(), "{args:?} at {columns}: {long:#?}");
}

#[test]
fn every_command_that_prints_a_table_of_committed_results_fits_the_terminal() {
    let place = Place::new();
    let runs = std::fs::read_to_string(repository().join("results/isoflop/runs.csv")).unwrap();
    let run = |row: usize| format!("results/isoflop/{}", &runs.lines().nth(row).unwrap()[..16]);
    let (first, second) = (run(1), run(2));
    let surface = "results/isoflop/fits.json";
    let commands: [&[&str]; 15] = [
        &["ls"],
        &["ls", "results/isoflop"],
        &["show", &first],
        &["compare", &first, &second],
        &["compare", "results/isoflop", "results/isoflop-c"],
        &["compare", "results/mup-transfer", "results/isoflop-mup"],
        &["fit", "results/isoflop/runs.csv", "--approach", "vpnls", "--bootstrap", "100"],
        &["fit", "results/isoflop/runs.csv", "--approach", "2", "--bootstrap", "100"],
        &["fit", "results/isoflop/runs.csv", "--law", "params", "--bootstrap", "100"],
        &["fit", "results/isoflop/runs.csv", "--law", "kaplan", "--bootstrap", "100"],
        &["fit", "results/tune/runs.csv", "--law", "tuning", "--bootstrap", "100"],
        &["allocate", "--fit", surface, "--flops", "1e23"],
        &["predict", "--fit", surface, "--params", "1e6", "--tokens", "1e8"],
        &["plan", "sweeps/quickstart.toml", "--device", "rehearsal", "--flops-per-second", "1e9"],
        &["devices"],
    ];
    for args in commands {
        for columns in WIDTHS {
            assert_fits(args, &printed(&place, repository(), args, columns), columns);
        }
    }
}

#[test]
fn every_command_that_prints_a_table_of_a_rehearsal_fits_the_terminal() {
    let place = Place::rehearsed(&[]);
    place.write("small.toml", SMALL);
    place.says(&["data", "prepare", "small.toml"]);
    let here = place.path("");
    for columns in WIDTHS {
        let train = format!("trained-{columns}");
        let commands: [&[&str]; 5] = [
            &["sweep", "spec.toml", "--out", "out", "--device", "rehearsal"],
            &["status", "out"],
            &["ls", "out"],
            &["data", "info", "small.toml"],
            &["train", "small.toml", "--device", "rehearsal", "--out", &train],
        ];
        for args in commands {
            assert_fits(args, &printed(&place, &here, args, columns), columns);
        }
    }
}

#[test]
fn a_narrow_terminal_names_the_columns_that_it_has_no_room_for_and_wide_shows_them() {
    let place = Place::new();
    let plan = ["plan", "sweeps/quickstart.toml", "--device", "rehearsal", "--flops-per-second", "1e9"];
    let narrow = printed(&place, repository(), &plan, 80);
    assert!(narrow.contains("no room for:") && narrow.contains("(--wide"), "{narrow}");
    assert!(!narrow.contains(" unembed "), "{narrow}");
    let wide = printed(&place, repository(), &[&plan[..], &["--wide"]].concat(), 80);
    assert!(wide.contains(" unembed ") && !wide.contains("no room for:"), "{wide}");
    // Nobody sees a terminal: all columns, as before a pipe.
    let piped = place.runner(&plan).current_dir(repository()).output().unwrap();
    assert_eq!(text(&piped.stdout), wide);
}
