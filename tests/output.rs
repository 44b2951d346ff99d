//! Where stdout goes wrong, and what is told on stderr.

use crate::common::{Place, QUICKSTART, SMALL, assert_code, assert_needs_no_reader, assert_refused};

const COMMANDS: [&[&str]; 4] = [
    &["plan", "spec.toml", "--flops-per-second", "1e9"],
    &["plan", "spec.toml", "--csv"],
    &["data", "prepare", "spec.toml"],
    &["devices"],
];

#[test]
fn a_reader_that_has_gone_is_no_failure() {
    let place = Place::with(SMALL);
    for args in COMMANDS {
        assert_needs_no_reader(place.runner(args));
    }
}

/// As behind `2>&1 | head`.
#[test]
fn a_reader_of_standard_error_that_has_gone_ends_no_sweep() {
    let place = Place::with(QUICKSTART);
    for mut command in [place.runner(COMMANDS[0]), place.sweep("rehearsal", &["--slots", "2"])] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        assert_code(&command.stderr(writer).output().unwrap(), 0);
    }
    assert!(place.path("out/fits.json").exists());
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_below_stdout_is_an_error() {
    let place = Place::with(SMALL);
    for args in COMMANDS {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        assert_refused(&place.runner(args).stdout(full).output().unwrap(), &["No space left"]);
    }
}

#[test]
fn data_info_prepares_nothing_and_says_what_does() {
    let place = Place::with(SMALL);
    assert_refused(&place.run(&["data", "info", "spec.toml"]), &["`runner data prepare spec.toml`"]);
    assert!(!place.path("cache").exists());
    for what in ["prepare", "info"] {
        assert_code(&place.run(&["data", what, "spec.toml"]), 0);
    }
}

#[test]
fn a_missing_corpus_is_told_once_with_the_script_that_makes_it() {
    let spec = include_str!("../configs/rfc-small.toml").replace("corpora/rfc.txt", "/nowhere/rfc.txt");
    let error = Place::with(&spec).refusal(&["plan", "spec.toml"]);
    assert!(error.contains("scripts/corpus-rfc.sh"), "{error}");
    assert_eq!(error.matches("os error 2").count(), 1, "{error}");
}
