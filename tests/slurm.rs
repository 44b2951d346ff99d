//! A sweep under Slurm, with commands that play Slurm: shell scripts that leave their words in files and start tasks
//! as plain processes. The real one is in `scripts/check-slurm.sh`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use crate::common::{assert_code, assert_refused, text, wait_for};

const QUICKSTART: &str = include_str!("../sweeps/quickstart.toml");

/// Runs every task of the script, one after the other, and answers with a number one above that of the last call.
const SBATCH: &str = r#"
[ "$1" = --test-only ] && { echo 'sbatch: Job 7 to start at 2026-11-22T06:33:56' >&2; exit 0; }
script=$OLDPWD/$2
job=$((41 + $(ls | grep -c '^job-')))
cp "$script" "job-$job" || exit 1
last=$(sed -n 's/^#SBATCH --array=0-//p' "$script")
cd "$(sed -n 's/^#SBATCH --chdir="\(.*\)"/\1/p' "$script")"
[ -e "$OLDPWD/do-nothing" ] || for task in $(seq 0 "$last"); do
    SLURM_ARRAY_JOB_ID=$job SLURM_ARRAY_TASK_ID=$task bash "$script" >"$OLDPWD/log-$job-$task" 2>&1
done
echo "$job;here"
"#;

/// Prints the file `queue`.
const SQUEUE: &str = "cat queue 2>/dev/null; exit 0";

const SCONTROL: &str = "[ \"$1\" = requeue ] || echo 'ClusterName = here'";

/// A folder with a spec and a Slurm of its own.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        let spec = QUICKSTART.replace("name = \"quickstart\"", "name = \"grid\"");
        place.write("local.toml", &spec);
        place.write("grid.toml", &format!("{spec}\n[launcher]\nkind = \"slurm\"\nworkers = 2\n"));
        fs::create_dir(place.path("bin")).unwrap();
        for (name, body) in [("sbatch", SBATCH), ("squeue", SQUEUE), ("scontrol", SCONTROL), ("scancel", "")] {
            place.program(name, body);
        }
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, content: &str) {
        fs::write(self.path(name), content).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    fn program(&self, name: &str, body: &str) {
        let path = self.path("bin").join(name);
        let head = format!("#!/bin/bash\ncd \"$(dirname \"$0\")\"\necho {name} \"$@\" >>calls\n");
        fs::write(&path, head + body).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// How often a command was called with arguments that begin so.
    fn calls(&self, start: &str) -> usize {
        self.read("bin/calls").lines().filter(|line| line.starts_with(start)).count()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_runner"));
        let path = format!("{}:{}", self.path("bin").display(), std::env::var("PATH").unwrap());
        command.args(args).current_dir(self.0.path()).env("PATH", path).stdin(Stdio::null());
        for (variable, _) in std::env::vars_os() {
            if variable.to_string_lossy().starts_with("SLURM_") || variable == "RUNNER_CACHE" {
                command.env_remove(variable);
            }
        }
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    fn sweep(&self, more: &[&str]) -> Output {
        self.run(&[&["sweep", "grid.toml", "--device", "rehearsal", "--out", "out"], more].concat())
    }

    /// What squeue prints of job 41 from now on, in these states.
    fn queue(&self, states: &[&str]) {
        let record: serde_json::Value = serde_json::from_str(&self.read("out/slurm/submission.json")).unwrap();
        let name = record["name"].as_str().unwrap();
        let lines = states.iter().map(|state| format!("41|{state}|N/A|None|{name}\n"));
        self.write("bin/queue", &lines.collect::<String>());
    }
}

#[test]
fn an_array_trains_what_a_local_sweep_trains_and_the_next_call_reports() {
    let place = Place::new();
    let submitted = place.sweep(&[]);
    assert_code(&submitted, 0);
    assert_eq!(text(&submitted.stdout), "41\n");
    assert!(text(&submitted.stderr).contains("submitted array 41 of 2 workers"));
    let reported = place.sweep(&[]);
    assert_code(&reported, 0);
    assert!(text(&reported.stdout).contains("N_opt"), "{}", text(&reported.stderr));
    let local = ["sweep", "local.toml", "--device", "rehearsal", "--out", "local"];
    assert_code(&place.run(&local), 0);
    for table in ["runs.csv", "curves.csv", "fits.json", "spec.toml"] {
        let there = place.read(&format!("out/{table}"));
        assert!(!there.is_empty() && there == place.read(&format!("local/{table}")), "{table}");
    }
    assert_eq!(place.calls("sbatch"), 1);
    // The launcher is no part of the sweep: with another one, or none, the folder is the same sweep's.
    assert_code(&place.run(&["sweep", "grid.toml", "--device", "rehearsal", "--out", "local"]), 0);
    assert_code(&place.sweep(&["--launcher", "local"]), 0);
    assert_eq!(place.calls("sbatch"), 1);
}

#[test]
fn while_the_array_lives_nothing_is_submitted_and_when_it_is_gone_the_rest_is() {
    let place = Place::new();
    place.write("bin/do-nothing", "");
    assert_code(&place.sweep(&[]), 0);
    place.queue(&["RUNNING", "PENDING"]);
    let again = place.sweep(&[]);
    assert_eq!(text(&again.stdout), "41\n");
    assert!(text(&again.stderr).contains("array 41 of an earlier call goes on: 1 tasks running, 1 pending"));
    place.program("squeue", "echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1");
    assert_eq!(text(&place.sweep(&[]).stdout), "42\n");
    assert_eq!(place.calls("sbatch"), 2);
}

#[test]
fn another_cluster_that_does_not_know_the_job_is_no_reason_to_submit_again() {
    let place = Place::new();
    place.write("bin/do-nothing", "");
    assert_code(&place.sweep(&[]), 0);
    place.program("scontrol", "echo 'ClusterName = elsewhere'");
    assert_refused(&place.sweep(&[]), &["submitted on cluster here", "Nothing is submitted a second time"]);
    assert_eq!(place.calls("sbatch"), 1);
}

#[test]
fn a_submission_that_died_before_it_had_its_number_is_found_by_name() {
    let place = Place::new();
    place.write("bin/do-nothing", "");
    assert_code(&place.sweep(&[]), 0);
    place.queue(&["RUNNING"]);
    let record = place.read("out/slurm/submission.json");
    place.write("out/slurm/submission.json", &record.replace("\"job\": 41", "\"job\": null"));
    place.program("squeue", "case \"$*\" in *--name=*) echo 41 ;; *) cat queue ;; esac");
    assert_eq!(text(&place.sweep(&[]).stdout), "41\n");
    assert_eq!(place.read("out/slurm/submission.json"), record, "the number is recorded");
    assert_eq!(place.calls("sbatch"), 1);
}

#[test]
fn waiting_ends_with_the_report_and_an_array_that_ends_no_run_is_not_repeated_for_ever() {
    let place = Place::new();
    let waited = place.sweep(&["--wait"]);
    assert_code(&waited, 0);
    assert!(text(&waited.stdout).contains("N_opt"));
    let idle = Place::new();
    idle.write("bin/do-nothing", "");
    let given_up = idle.sweep(&["--wait"]);
    assert_code(&given_up, 1);
    assert!(text(&given_up.stderr).contains("the last array ended none"), "{}", text(&given_up.stderr));
    assert_eq!(idle.calls("sbatch"), 1);
}

#[test]
fn runs_that_failed_are_reported_once_and_tried_again_by_the_call_after() {
    let place = Place::new();
    assert_code(&place.sweep(&[]), 0);
    let run = fs::read_dir(place.path("out/runs")).unwrap().next().unwrap().unwrap().path();
    fs::remove_file(run.join("result.json")).unwrap();
    fs::write(run.join("failed.json"), r#"{"class": "crash", "message": "it was unlucky"}"#).unwrap();
    let reported = place.sweep(&[]);
    assert_code(&reported, 1);
    assert!(text(&reported.stderr).contains("it was unlucky") && place.calls("sbatch") == 1);
    let again = place.sweep(&[]);
    assert_eq!(text(&again.stdout), "42\n", "{}", text(&again.stderr));
    assert!(text(&again.stderr).contains("1 runs to train; submitted array 42 of 1 workers"));
    assert_code(&place.sweep(&[]), 0);
    assert_eq!(place.calls("sbatch"), 2);
}

#[test]
fn cancelling_is_recorded_before_slurm_is_told() {
    let place = Place::new();
    assert_refused(&place.run(&["cancel", "out"]), &["out holds no sweep"]);
    place.write("bin/do-nothing", "");
    assert_code(&place.sweep(&[]), 0);
    place.queue(&["RUNNING", "PENDING"]);
    place.program("scancel", "grep -q '\"cancelled\": true' ../out/slurm/submission.json || exit 1");
    let cancelled = place.run(&["cancel", "out"]);
    assert_code(&cancelled, 0);
    assert!(text(&cancelled.stderr).contains("0 of "), "{}", text(&cancelled.stderr));
    assert_eq!(place.calls("scancel 41"), 1);
    place.queue(&["CANCELLED", "CANCELLED"]);
    assert_eq!(text(&place.sweep(&[]).stdout), "42\n", "a call after that goes on");
}

#[test]
fn a_dry_run_prints_the_script_and_writes_nothing() {
    let place = Place::new();
    let output = place.sweep(&["--dry-run"]);
    assert_code(&output, 0);
    let script = text(&output.stdout);
    assert!(script.starts_with("#!/bin/bash\n") && script.contains("#SBATCH --array=0-1\n"), "{script}");
    assert!(text(&output.stderr).contains("Job 7 to start at"));
    assert!(!place.path("out").exists());
}

#[test]
fn flags_and_places_that_make_no_sense_are_refused() {
    let place = Place::new();
    let local = |more: &[&str]| place.run(&[&["sweep", "local.toml", "--device", "rehearsal"], more].concat());
    assert_refused(&local(&["--launcher", "slurm"]), &["has no [launcher]", "workers"]);
    assert_refused(&local(&["--wait"]), &["--launcher slurm"]);
    assert_refused(&local(&["--dry-run"]), &["runner plan"]);
    assert_refused(&place.sweep(&["--wait", "--dry-run"]), &["cannot be used with"]);
    assert_refused(&place.sweep(&["--slots", "2"]), &["--slots", "workers"]);
    assert_refused(&place.sweep(&["--threads", "0"]), &["--threads 0"]);
    assert_refused(&place.run(&["sweep", "grid.toml", "--device", "abacus"]), &["abacus", "no such device"]);
    let quoted = place.run(&["sweep", "grid.toml", "--device", "rehearsal", "--out", "it's"]);
    assert_refused(&quoted, &["it's", "cannot stand in a batch script"]);
    let bare =
        place.command(&["sweep", "grid.toml", "--device", "rehearsal"]).env("PATH", "/nowhere").output().unwrap();
    assert_refused(&bare, &["cannot start scontrol", "--launcher local"]);
    assert_eq!(place.calls("sbatch"), 0);
}

#[test]
fn status_says_how_the_array_stands() {
    let place = Place::new();
    place.write("bin/do-nothing", "");
    assert_code(&place.sweep(&[]), 0);
    place.queue(&["RUNNING", "PENDING"]);
    let status = place.run(&["status", "out"]);
    assert_code(&status, 0);
    assert!(text(&status.stdout).contains("Slurm: 1 tasks running, 1 pending"), "{}", text(&status.stdout));
    let status: serde_json::Value = serde_json::from_slice(&place.run(&["status", "out", "--json"]).stdout).unwrap();
    assert_eq!(status["slurm"], "1 tasks running, 1 pending");
}

#[test]
fn a_damaged_record_is_named() {
    let place = Place::new();
    assert_code(&place.sweep(&[]), 0);
    place.write("out/slurm/submission.json", "{\"name\": ");
    assert_refused(&place.sweep(&[]), &["submission.json is damaged"]);
    assert_eq!(place.calls("sbatch"), 1);
}

/// Runs a task of a sweep of many runs, sends it a signal while it trains, and returns its exit code and words.
fn stopped(place: &Place, signal: &str, restarts: &str) -> (Option<i32>, String) {
    let seeds: Vec<String> = (0..400).map(|seed| seed.to_string()).collect();
    let many = place.read("grid.toml").replace("seeds = [1]", &format!("seeds = [{}]", seeds.join(",")));
    place.write("grid.toml", &many);
    place.write("bin/do-nothing", "");
    assert_code(&place.sweep(&[]), 0);
    let mut task = place.command(&["slurm-task", "--sweep", "out", "--device", "rehearsal", "--requeue-limit", "3"]);
    task.env("SLURM_ARRAY_JOB_ID", "41").env("SLURM_ARRAY_TASK_ID", "1").env("SLURM_RESTART_COUNT", restarts);
    let task = task.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let over = |run: &fs::DirEntry| run.path().join("result.json").exists();
    let begun = || fs::read_dir(place.path("out/runs")).unwrap().filter(|run| over(run.as_ref().unwrap())).count() > 5;
    wait_for("runs that end", begun);
    Command::new("kill").args([signal, &task.id().to_string()]).status().unwrap();
    let output = task.wait_with_output().unwrap();
    (output.status.code(), text(&output.stderr))
}

#[test]
fn a_task_near_its_time_limit_is_queued_again_by_array_and_index() {
    let place = Place::new();
    let (code, said) = stopped(&place, "-USR1", "2");
    assert_eq!(code, Some(75), "{said}");
    assert!(said.contains("task 41_1 on ") && said.contains("queued again as 41_1"), "{said}");
    assert_eq!(place.calls("scontrol requeue 41_1"), 1);
}

#[test]
fn a_task_that_was_queued_again_too_often_or_is_cancelled_is_not_queued_again() {
    let place = Place::new();
    let (code, said) = stopped(&place, "-USR1", "3");
    assert!(code == Some(75) && said.contains("not queued again: 3 times"), "{said}");
    let place = Place::new();
    let (code, said) = stopped(&place, "-TERM", "0");
    assert!(code == Some(75) && said.contains("stopped by signal 15"), "{said}");
    assert_eq!(place.calls("scontrol requeue"), 0);
}
