//! Where stdout goes wrong, and what is told on stderr.

use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

fn runner(cache: &TempDir, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_runner"));
    command.args(args).env("RUNNER_CACHE", cache.path()).current_dir(env!("CARGO_MANIFEST_DIR"));
    command
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

const COMMANDS: [&[&str]; 4] = [
    &["plan", "configs/small.toml", "--flops-per-second", "1e9"],
    &["plan", "configs/small.toml", "--csv"],
    &["data", "prepare", "configs/small.toml"],
    &["devices"],
];

#[test]
fn a_reader_that_has_gone_is_no_failure() {
    let cache = tempfile::tempdir().unwrap();
    for args in COMMANDS {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = runner(&cache, args).stdout(writer).output().unwrap();
        assert!(output.status.success() && !stderr(&output).contains("error"), "{args:?}: {}", stderr(&output));
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_below_stdout_is_an_error() {
    let cache = tempfile::tempdir().unwrap();
    for args in COMMANDS {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = runner(&cache, args).stdout(full).stderr(Stdio::piped()).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(stderr(&output).contains("No space left"), "{args:?}: {}", stderr(&output));
    }
}

#[test]
fn data_info_prepares_nothing_and_says_what_does() {
    let cache = tempfile::tempdir().unwrap();
    let output = runner(&cache, &["data", "info", "configs/small.toml"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("`runner data prepare configs/small.toml`"), "{}", stderr(&output));
    assert_eq!(std::fs::read_dir(cache.path()).unwrap().count(), 0);
    for what in ["prepare", "info"] {
        assert!(runner(&cache, &["data", what, "configs/small.toml"]).output().unwrap().status.success());
    }
}

#[test]
fn a_missing_corpus_is_told_once_with_the_script_that_makes_it() {
    let folder = tempfile::tempdir().unwrap();
    let spec = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/configs/rfc-small.toml")).unwrap();
    let path = folder.path().join("spec.toml");
    std::fs::write(&path, spec.replace("corpora/rfc.txt", "/nowhere/rfc.txt")).unwrap();
    let error = stderr(&runner(&folder, &["plan", path.to_str().unwrap()]).output().unwrap());
    assert!(error.contains("scripts/corpus-rfc.sh"), "{error}");
    assert_eq!(error.matches("os error 2").count(), 1, "{error}");
}
