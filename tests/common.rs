//! What tests of the whole program share: a place to run it in, outputs and their codes, patience, specs.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// The spec of the first minutes.
pub const QUICKSTART: &str = include_str!("../sweeps/quickstart.toml");
/// One run.
pub const SMALL: &str = include_str!("../configs/small.toml");
/// One run of a tiny model, trained in about half a second; a `[sweep]` may follow.
pub const TINY: &str = include_str!("fixtures/tiny.toml");

/// A folder to work in, gone when the test ends.
pub struct Place(TempDir);

impl Place {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// With this spec as `spec.toml`.
    pub fn with(spec: &str) -> Self {
        let place = Self::new();
        place.write("spec.toml", spec);
        place
    }

    /// With the quickstart rehearsed in `out`, some of its keys set otherwise.
    pub fn rehearsed(set: &[&str]) -> Self {
        let place = Self::with(&edited(QUICKSTART, set));
        assert_code(&place.rehearse(), 0);
        place
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    #[track_caller]
    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Paths of the files of this name below a folder, sorted.
    pub fn files(&self, folder: &str, name: &str) -> Vec<PathBuf> {
        files(&self.path(folder)).into_iter().filter(|path| path.ends_with(name)).collect()
    }

    /// `runner ARGS` in this folder, where programs in `bin` come first and the developer's own settings do not count.
    pub fn runner(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_runner"));
        command.args(args).current_dir(self.0.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let own = |name: &str| ["RUNNER_", "SLURM_"].iter().any(|start| name.starts_with(start));
        command.env_remove("COLUMNS");
        for (name, _) in std::env::vars_os().filter(|(name, _)| own(&name.to_string_lossy())) {
            command.env_remove(name);
        }
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{}:{path}", self.path("bin").display()));
        command
    }

    pub fn run(&self, args: &[&str]) -> Output {
        self.runner(args).output().unwrap()
    }

    /// What a command prints that ends well.
    #[track_caller]
    pub fn says(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert_code(&output, 0);
        text(&output.stdout)
    }

    /// The error of a command that is refused.
    #[track_caller]
    pub fn refusal(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert_code(&output, 2);
        text(&output.stderr)
    }

    /// `runner sweep` of `spec.toml` on a device into `out`.
    pub fn sweep(&self, device: &str, flags: &[&str]) -> Command {
        self.runner(&[&["sweep", "spec.toml", "--out", "out", "--device", device], flags].concat())
    }

    /// That sweep without training.
    pub fn rehearse(&self) -> Output {
        self.sweep("rehearsal", &["--slots", "2"]).output().unwrap()
    }

    /// Paths of the results so far in `out`.
    pub fn results(&self) -> Vec<PathBuf> {
        self.files("out/runs", "result.json")
    }

    /// `runs.csv` and `curves.csv`, which do not depend on how often the sweep was interrupted. The times of a rehearsal
    /// are notional.
    pub fn tables(&self) -> [String; 2] {
        ["runs.csv", "curves.csv"].map(|name| self.read(&format!("out/{name}")))
    }
}

/// All files below a folder, sorted; none where there is no such folder.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut found: Vec<PathBuf> =
        entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect();
    found.sort();
    found
}

pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A spec with keys set as on the command line.
#[track_caller]
pub fn edited(spec: &str, set: &[&str]) -> String {
    let set: Vec<String> = set.iter().map(|&key| key.to_owned()).collect();
    runner::spec::edit(spec, &set).unwrap()
}

/// A spec with another `[data]`.
pub fn with_data(spec: &str, data: &str) -> String {
    let (before, rest) = spec.split_once("[data]").unwrap();
    let (_, after) = rest.split_once("[model]").unwrap();
    format!("{before}[data]\n{data}\n[model]{after}")
}

/// What a program wrote, which must be text.
#[track_caller]
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The exit code; where it is another, all that was said.
#[track_caller]
pub fn assert_code(output: &Output, code: i32) {
    assert_eq!(output.status.code(), Some(code), "{}{}", text(&output.stdout), text(&output.stderr));
}

/// These words on standard error.
#[track_caller]
pub fn assert_said(output: &Output, words: &[&str]) {
    let said = text(&output.stderr);
    for word in words {
        assert!(said.contains(word), "{word:?} is not in {said}");
    }
}

/// A refusal: exit code 2 and these words on standard error.
#[track_caller]
pub fn assert_refused(output: &Output, words: &[&str]) {
    assert_code(output, 2);
    assert_said(output, words);
}

/// Success although nobody reads what the command prints, as after `| head`.
#[track_caller]
pub fn assert_needs_no_reader(mut command: Command) {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = command.stdout(writer).output().unwrap();
    assert_code(&output, 0);
    let said = text(&output.stderr);
    assert!(!said.contains("error") && !said.contains("panic"), "{said}");
}

/// Sends a signal to processes, of which some may have ended by themselves; whether all were there.
pub fn signal(name: &str, pids: &[u32]) -> bool {
    let pids = pids.iter().map(ToString::to_string);
    Command::new("kill").arg(name).args(pids).stderr(Stdio::null()).status().unwrap().success()
}

/// Processes whose parent is `pid`.
pub fn children(pid: u32) -> Vec<u32> {
    let list = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    list.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

/// Waits for what must come. It gives up after minutes, which a machine under load may well need.
pub fn wait_for(what: &str, mut come: impl FnMut() -> bool) {
    let started = Instant::now();
    while !come() {
        assert!(started.elapsed() < Duration::from_mins(5), "waited five minutes for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Every spec and config of the repository.
pub fn specs() -> Vec<PathBuf> {
    let found: Vec<PathBuf> = ["sweeps", "configs"].iter().flat_map(|name| files(&repository().join(name))).collect();
    assert!(found.len() >= 10, "{found:?}");
    found
}
