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
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// A sweep of so many runs, small enough to be really trained in about half a second each, and rehearsed in no time.
fn spec(runs: usize) -> String {
    let seeds: Vec<usize> = (1..=runs).collect();
    format!(
        r#"name = "faults"
[data]
source = "synthetic"
vocab = 256
max_epochs = 1.0
seed = 3
[model]
parameterization = "standard"
context = 32
head_dim = 8
width = 32
depth = 2
base_width = 32
[optimizer]
kind = "adamw"
learning_rate = 0.01
batch_tokens = 2560
beta1 = 0.9
beta2 = 0.99
epsilon = 1e-8
weight_decay = 0.1
clip_norm = 1.0
[schedule]
kind = "cosine"
floor = 0.1
warmup_tokens_per_param = 1.0
warmup_max_fraction = 0.2
flops = 3e10
[eval]
tokens = 8192
curve_points = 10
[sweep]
min_steps = 50
seeds = {seeds:?}
"#
    )
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

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[track_caller]
fn assert_code(output: &Output, code: i32) {
    assert_eq!(output.status.code(), Some(code), "{}{}", text(&output.stdout), text(&output.stderr));
}

#[track_caller]
fn assert_said(output: &Output, words: &[&str]) {
    let said = text(&output.stderr);
    for word in words {
        assert!(said.contains(word), "{word:?} is not in {said}");
    }
}

fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < Duration::from_mins(2), "waited two minutes for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn signal(name: &str, child: &Child) {
    let status = Command::new("kill").args([name, &child.id().to_string()]).status().unwrap();
    assert!(status.success(), "it had ended");
}
