//! What `--help` says, for the program and each command. After a change of flags: `INSTA_UPDATE=always cargo test help`.

use assert_cmd::Command;

#[test]
fn help_of_the_program_and_of_each_command_is_as_reviewed() {
    let data = ["data", "data prepare", "data info"];
    let commands =
        ["", "sweep", "cancel", "plan", "train", "fit", "coord-check", "devices", "status", "watch", "ledger"];
    let comfort = ["init", "explain", "schema", "ls", "show", "compare", "completions", "man", "export"];
    for command in commands.into_iter().chain(data).chain(comfort) {
        let mut runner = Command::new(env!("CARGO_BIN_EXE_runner"));
        runner.args(command.split_whitespace()).arg("--help").env("COLUMNS", "100").env_remove("RUNNER_CACHE");
        let output = runner.assert().success().get_output().stdout.clone();
        let name = format!("help {command}").trim_end().replace(' ', "-");
        insta::assert_snapshot!(name, String::from_utf8(output).unwrap());
    }
}
