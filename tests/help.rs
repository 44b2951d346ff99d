//! What `--help` says, for the program and each command. After a change of flags: `INSTA_UPDATE=always cargo test help`.

use clap::CommandFactory as _;
use runner::cli::Cli;

use crate::common::{Place, text};

/// The command and all below it that are shown, as they are typed.
fn commands(command: &clap::Command, typed: &[String], found: &mut Vec<Vec<String>>) {
    found.push(typed.to_vec());
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        commands(below, &[typed, &[below.get_name().to_owned()]].concat(), found);
    }
}

#[test]
fn help_of_the_program_and_of_each_command_is_as_reviewed() {
    let mut all = Vec::new();
    commands(&Cli::command(), &[], &mut all);
    let place = Place::new();
    for typed in all {
        let args: Vec<&str> = typed.iter().map(String::as_str).chain(["--help"]).collect();
        let output = place.runner(&args).env("COLUMNS", "100").output().unwrap();
        assert!(output.status.success(), "{args:?}");
        // Only with a device is there a `bench` to list.
        let lines =
            text(&output.stdout).lines().filter(|line| !line.starts_with("  bench ")).collect::<Vec<_>>().join("\n");
        insta::assert_snapshot!([&["help".to_owned()], typed.as_slice()].concat().join("-"), lines);
    }
}
