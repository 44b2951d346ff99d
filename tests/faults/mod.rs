//! Faults on purpose: processes that die, files that are damaged, two who want the same. What takes long is in
//! `scripts/check-faults.sh`.

#[cfg(feature = "cpu")]
mod checkpoints;
#[cfg(feature = "failpoints")]
mod failpoints;
mod names;
mod owners;
mod records;
mod signals;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use tempfile::TempDir;

use crate::common::TINY;

/// A sweep of so many runs, small enough to be really trained in about half a second each, and rehearsed in no time.
fn spec(runs: usize) -> String {
    let seeds: Vec<usize> = (1..=runs).collect();
    format!("{TINY}[sweep]\nmin_steps = 50\nseeds = {seeds:?}\n")
}

/// A folder to work in.
struct Place(TempDir);

impl Place {
    fn new(runs: usize) -> Self {
        Self::of(&spec(runs))
    }

    fn of(spec: &str) -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        fs::write(place.path("spec.toml"), spec).unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn runner(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_runner"));
        command.args(args).current_dir(self.0.path()).env_remove("RUNNER_CACHE");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// `runner sweep` on a device into `out`, with flags.
    fn sweep(&self, device: &str, flags: &[&str]) -> Command {
        self.runner(&[&["sweep", "spec.toml", "--out", "out", "--device", device], flags].concat())
    }

    fn run(&self, args: &[&str]) -> Output {
        self.runner(args).output().unwrap()
    }

    fn rehearse(&self) -> Output {
        self.sweep("rehearsal", &["--slots", "2"]).output().unwrap()
    }

    /// `runs.csv` and `curves.csv`.
    fn tables(&self) -> [String; 2] {
        ["runs.csv", "curves.csv"].map(|name| fs::read_to_string(self.path("out").join(name)).unwrap())
    }

    /// Files of this name in the folders of runs, and below.
    fn files(&self, name: &str) -> Vec<PathBuf> {
        fn walk(dir: &Path, name: &str, found: &mut Vec<PathBuf>) {
            for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    walk(&path, name, found);
                } else if path.ends_with(name) {
                    found.push(path);
                }
            }
        }
        let mut found = Vec::new();
        walk(&self.path("out/runs"), name, &mut found);
        found.sort();
        found
    }
}

/// `runs.csv` without the columns that depend on the clock: the last two.
#[cfg(feature = "cpu")]
fn untimed(runs: &str) -> String {
    let row = |line: &str| line.rsplitn(3, ',').nth(2).unwrap().to_owned();
    runs.lines().map(row).collect::<Vec<_>>().join("\n")
}

fn signal(name: &str, child: &Child) {
    let status = Command::new("kill").args([name, &child.id().to_string()]).status().unwrap();
    assert!(status.success(), "it had ended");
}
