//! The whole way in a rehearsal: plan, workers, ledger, fit, report, and everything that can end it early.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use tempfile::TempDir;

use crate::common::{assert_code, assert_refused, text, wait_for};

/// An IsoFLOP sweep with so many seeds. Its context is short, so that attention costs little and 6ND is nearly exact.
fn spec(seeds: usize) -> String {
    let seeds: Vec<usize> = (1..=seeds).collect();
    format!(
        r#"name = "grid"
[data]
source = "synthetic"
vocab = 512
max_epochs = 1.0
seed = 1
[model]
parameterization = "standard"
context = 4
head_dim = 16
aspect_ratio = 16.0
[optimizer]
kind = "adamw"
learning_rate = 0.01
batch_tokens = 1024
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
[eval]
tokens = 65536
curve_points = 10
[sweep]
budgets = [1e12, 1e13, 1e14, 1e15]
sizes = 9
spread = 3.0
expected_tokens_per_param = 20.0
min_steps = 100
seeds = {seeds:?}
"#
    )
}

/// A folder to work in, with a spec of so many seeds.
struct Place(TempDir);

impl Place {
    fn new(seeds: usize) -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        fs::write(place.path("grid.toml"), spec(seeds)).unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_runner"));
        command.args(args).current_dir(self.0.path()).env_remove("RUNNER_CACHE").stdin(Stdio::null());
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    fn rehearse(&self) -> Output {
        self.run(&REHEARSE)
    }

    /// Starts the sweep and waits until it has this many results.
    fn start(&self, results: usize) -> std::process::Child {
        let sweep = self.command(&REHEARSE).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        wait_for("results", || self.results() >= results);
        sweep
    }

    fn results(&self) -> usize {
        let Ok(runs) = fs::read_dir(self.path("results/grid-rehearsal/runs")) else { return 0 };
        runs.filter(|run| run.as_ref().unwrap().path().join("result.json").exists()).count()
    }

    /// What must not depend on how often the sweep was interrupted. The times of a rehearsal are notional.
    fn tables(&self) -> [String; 3] {
        ["runs.csv", "curves.csv", "fits.json"]
            .map(|name| fs::read_to_string(self.path("results/grid-rehearsal").join(name)).unwrap())
    }
}

/// Seeds of a sweep that is long enough to be disturbed.
const MANY: usize = 12;

/// The tables and the number of results of a sweep of so many seeds that nobody disturbs.
fn undisturbed() -> &'static ([String; 3], usize) {
    static UNDISTURBED: OnceLock<([String; 3], usize)> = OnceLock::new();
    UNDISTURBED.get_or_init(|| {
        let place = Place::new(MANY);
        assert_code(&place.rehearse(), 0);
        (place.tables(), place.results())
    })
}

const REHEARSE: [&str; 6] = ["sweep", "grid.toml", "--device", "rehearsal", "--slots", "2"];

fn kill(signal: &str, pids: &[u32]) {
    let pids = pids.iter().map(ToString::to_string);
    // Some may have ended by themselves.
    Command::new("kill").arg(signal).args(pids).stderr(Stdio::null()).status().unwrap();
}

/// Processes whose parent is `pid`.
fn children(pid: u32) -> Vec<u32> {
    let list = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    list.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

fn is_alive(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !status.is_empty() && !status.contains(") Z ")
}

#[test]
fn a_rehearsed_sweep_gives_the_planted_exponents_back() {
    let place = Place::new(2);
    let output = place.rehearse();
    assert_code(&output, 0);
    let fits: serde_json::Value = serde_json::from_str(&place.tables()[2]).unwrap();
    let all = fits["approach2"].as_array().unwrap();
    let fit = all.iter().find(|fit| fit["counting"] == "blocks_and_unembedding").unwrap();
    let surface = runner::execute::rehearsal::SURFACE;
    for (law, planted) in [("n_opt", surface.n_exponent()), ("d_opt", surface.d_exponent())] {
        let exponent = &fit[law]["exponent"];
        let [value, low, high] = ["value", "low", "high"].map(|key| exponent[key].as_f64().unwrap());
        assert!((value - planted).abs() < 0.02, "{law}: {value} for {planted}");
        assert!(low <= planted && planted <= high, "{law}: {planted} is outside {low} to {high}");
    }
    for row in fit["tokens_per_param"].as_array().unwrap().iter().take(4) {
        let (params, tokens) = surface.optimum(row["flops"].as_f64().unwrap());
        // Exact FLOPs count attention and unequal sides of the curve pull a parabola: a few per cent from the closed form.
        let measured = row["value"].as_f64().unwrap();
        assert!((measured / (tokens / params) - 1.0).abs() < 0.04, "{measured} for {}", tokens / params);
    }
    for name in ["spec.toml", "plan.csv", "plan.json", "report.html", "figures"] {
        assert!(place.path("results/grid-rehearsal").join(name).exists(), "{name}");
    }
}

#[test]
fn off_a_terminal_progress_is_plain_lines_on_stderr_and_stdout_is_the_table() {
    let place = Place::new(1);
    let output = place.rehearse();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(out.starts_with("REHEARSAL") && out.contains("N_opt") && !out.contains("slots"), "{out}");
    assert!(!err.contains('\u{1b}'), "no control sequences: {err}");
    let lines = |word: &str| err.lines().filter(|line| line.starts_with('[') && line.contains(word)).count();
    let runs = place.results();
    assert!(runs > 30);
    assert_eq!((lines(" starts: "), lines(" finished: loss ")), (runs, runs), "{err}");
    assert!(err.contains("[100%") && err.contains("REHEARSAL"), "{err}");
}

#[test]
fn a_second_call_trains_nothing_and_gives_the_same_tables() {
    let place = Place::new(1);
    let first = place.rehearse();
    let tables = place.tables();
    let second = place.rehearse();
    assert_code(&second, 0);
    assert!(!text(&second.stderr).contains(" starts: "));
    assert_eq!(text(&first.stdout), text(&second.stdout));
    assert_eq!(place.tables(), tables);
}

#[test]
fn killed_at_any_moment_and_called_again_it_ends_with_the_same_tables() {
    let (tables, total) = undisturbed();
    let place = Place::new(MANY);
    for (round, share) in [0.0, 0.05, 0.1, 0.2, 0.3, 0.5].into_iter().enumerate() {
        let mut sweep = place.start((share * *total as f64) as usize);
        let workers = children(sweep.id());
        // In turn the sweep alone, the sweep and then its workers, the workers and then the sweep.
        match round % 3 {
            0 => kill("-9", &[sweep.id()]),
            1 => kill("-9", &[&[sweep.id()], workers.as_slice()].concat()),
            _ => kill("-9", &[workers.as_slice(), &[sweep.id()]].concat()),
        }
        sweep.wait().unwrap();
        // Orphans end by themselves, because nobody reads what they say.
        wait_for("the workers' end", || !workers.iter().any(|pid| is_alive(*pid)));
        assert!(place.results() < *total, "round {round} was killed too late to mean anything");
    }
    assert_code(&place.rehearse(), 0);
    assert_eq!(&place.tables(), tables);
}

#[test]
fn a_killed_worker_costs_an_attempt_and_the_sweep_goes_on() {
    let (tables, _) = undisturbed();
    let place = Place::new(MANY);
    let mut sweep = place.start(40);
    let workers = children(sweep.id());
    assert_eq!(workers.len(), 2);
    kill("-9", &workers[..1]);
    wait_for("a new worker", || children(sweep.id()).iter().any(|pid| !workers.contains(pid)) || !is_alive(sweep.id()));
    assert_eq!(sweep.wait().unwrap().code(), Some(0));
    assert_eq!(&place.tables(), tables);
}

#[test]
fn ctrl_c_stops_the_workers_and_says_that_a_second_call_goes_on() {
    let (tables, _) = undisturbed();
    let place = Place::new(MANY);
    let sweep = place.command(&REHEARSE).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for("results", || place.results() >= 20);
    let workers = children(sweep.id());
    kill("-INT", &[sweep.id()]);
    let output = sweep.wait_with_output().unwrap();
    assert_code(&output, 75);
    assert!(text(&output.stderr).contains("Nothing is lost: the same command again"), "{}", text(&output.stderr));
    assert!(output.stdout.is_empty() && !workers.iter().any(|pid| is_alive(*pid)));
    let resumed = place.rehearse();
    assert_code(&resumed, 0);
    assert!(text(&resumed.stderr).contains("are done already"));
    assert_eq!(&place.tables(), tables);
}

#[test]
fn a_second_sweep_on_the_same_folder_is_refused_while_the_first_runs() {
    let place = Place::new(MANY);
    let mut first = place.start(10);
    kill("-STOP", &[first.id()]);
    let second = place.rehearse();
    kill("-CONT", &[first.id()]);
    assert_refused(&second, &["another process runs the sweep", &format!("process {}", first.id()), "--out"]);
    assert_eq!(first.wait().unwrap().code(), Some(0), "the first is not disturbed");
}

#[test]
fn the_folder_of_another_spec_is_refused_and_left_as_it_was() {
    let place = Place::new(1);
    place.rehearse();
    let tables = place.tables();
    fs::write(place.path("grid.toml"), spec(1).replace("weight_decay = 0.1", "weight_decay = 0.2")).unwrap();
    let words = ["another sweep", "optimizer.weight_decay is 0.1 there and 0.2 here", "--out", "move this one away"];
    assert_refused(&place.rehearse(), &words);
    assert_eq!(place.tables(), tables);
}

#[test]
fn a_folder_that_cannot_be_written_is_refused_before_anything_is_trained() {
    let place = Place::new(1);
    fs::write(place.path("file"), "").unwrap();
    for out in ["file", "file/below"] {
        let output = place.run(&[&REHEARSE[..], &["--out", out]].concat());
        assert_refused(&output, &["cannot create", out, "--out"]);
        assert!(!text(&output.stderr).contains(" starts: "));
    }
}

#[test]
fn a_folder_with_other_things_in_it_is_refused() {
    let place = Place::new(1);
    assert_refused(&place.run(&[&REHEARSE[..], &["--out", "."]].concat()), &["is no results folder", "--out"]);
}

#[test]
fn a_damaged_result_is_named_with_what_to_do() {
    let place = Place::new(1);
    place.rehearse();
    let run = fs::read_dir(place.path("results/grid-rehearsal/runs")).unwrap().next().unwrap().unwrap().path();
    fs::write(run.join("result.json"), "{\"id\": \"").unwrap();
    let run_name = run.file_name().unwrap().to_str().unwrap();
    assert_refused(&place.rehearse(), &["result.json is damaged", "remove", run_name]);
    fs::remove_dir_all(&run).unwrap();
    let output = place.rehearse();
    assert_code(&output, 0);
    assert_eq!(text(&output.stderr).lines().filter(|line| line.contains(" starts: ")).count(), 1);
}

#[test]
fn flags_and_specs_that_make_no_sense_are_refused() {
    let place = Place::new(1);
    let sweep = |more: &[&str]| place.run(&[&REHEARSE[..4], more].concat());
    assert_refused(&sweep(&["--slots", "0"]), &["--slots-per-device 0"]);
    assert_refused(&sweep(&["--threads", "0"]), &["--threads 0"]);
    assert_refused(&place.run(&["sweep", "nowhere.toml"]), &["nowhere.toml"]);
    assert_refused(&place.run(&["sweep", "grid.toml", "--device", "abacus"]), &["abacus"]);
    assert_refused(&place.run(&["worker", "--sweep", "nowhere"]), &["nowhere holds no sweep"]);
    assert!(!place.path("results").exists());
}

#[cfg(not(feature = "train"))]
#[test]
fn a_build_without_devices_says_how_to_get_one() {
    let place = Place::new(1);
    let output = place.run(&["sweep", "grid.toml", "--device", "cpu"]);
    assert_refused(&output, &["cannot train", "--features cpu", "--device rehearsal"]);
    assert!(text(&place.run(&["devices"]).stdout).contains("rehearsal"));
}

#[test]
fn trained_and_rehearsed_losses_never_share_a_folder() {
    let place = Place::new(1);
    place.rehearse();
    let kind = place.path("results/grid-rehearsal/ledger.json");
    let text = fs::read_to_string(&kind).unwrap();
    fs::write(&kind, text.replace("rehearsed", "trained")).unwrap();
    assert_refused(&place.rehearse(), &["its models were trained, and a rehearsal trains none"]);
    let worker = place.run(&["worker", "--sweep", "results/grid-rehearsal", "--device", "rehearsal"]);
    assert_refused(&worker, &["never mix"]);
}

fn single(place: &Path) {
    let config = spec(1).split("[sweep]").next().unwrap().replace("aspect_ratio = 16.0", "width = 64\ndepth = 2");
    let config = config.replace("[eval]", "tokens_per_param = 20.0\n[eval]").replace("\"grid\"", "\"one\"");
    fs::write(place, config).unwrap();
}

#[test]
fn train_runs_one_config_and_does_not_train_it_twice() {
    let place = Place::new(1);
    single(&place.path("one.toml"));
    let first = place.run(&["train", "one.toml", "--device", "rehearsal"]);
    assert_code(&first, 0);
    assert!(text(&first.stdout).contains("validation loss"), "{}", text(&first.stdout));
    assert!(text(&first.stderr).contains("[100%"));
    assert!(place.path("results/one-rehearsal/runs.csv").exists());
    let second = place.run(&["train", "one.toml", "--device", "rehearsal"]);
    assert!(text(&second.stderr).contains("already trained"));
    assert_eq!(text(&first.stdout), text(&second.stdout));
}

#[test]
fn train_and_sweep_send_each_others_specs_over() {
    let place = Place::new(1);
    single(&place.path("one.toml"));
    assert_refused(&place.run(&["train", "grid.toml", "--device", "rehearsal"]), &["runner sweep"]);
    assert_refused(&place.run(&["sweep", "one.toml", "--device", "rehearsal"]), &["runner train"]);
}
