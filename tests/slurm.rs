//! A sweep under Slurm, with commands that play Slurm: shell scripts that leave their words in files and start tasks
//! as plain processes. The real one is in `scripts/check-slurm.sh`.

use std::fs;
use std::process::{Command, Output, Stdio};

use crate::common::{Place, QUICKSTART, assert_code, assert_refused, signal, text, wait_for};

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

impl Place {
    /// With a sweep for Slurm as `spec.toml`, the same for here as `local.toml`, and a Slurm of its own.
    fn of_cluster() -> Self {
        let place = Self::with(&format!("{QUICKSTART}\n[launcher]\nkind = \"slurm\"\nworkers = 2\n"));
        place.write("local.toml", QUICKSTART);
        fs::create_dir(place.path("bin")).unwrap();
        for (name, body) in [("sbatch", SBATCH), ("squeue", SQUEUE), ("scontrol", SCONTROL), ("scancel", "")] {
            place.program(name, body);
        }
        place
    }

    fn program(&self, name: &str, body: &str) {
        let head = format!("#!/bin/bash\ncd \"$(dirname \"$0\")\"\necho {name} \"$@\" >>calls\n");
        let (path, text) = (self.path(&format!("bin/{name}")), self.write("text", head + body));
        // Written here, it would be open for writing in whatever another test starts just now, and "busy".
        assert!(Command::new("install").args(["-m", "755"]).args([text, path]).status().unwrap().success());
    }

    /// How often a command was called with arguments that begin so.
    fn calls(&self, start: &str) -> usize {
        let calls = fs::read_to_string(self.path("bin/calls")).unwrap_or_default();
        calls.lines().filter(|line| line.starts_with(start)).count()
    }

    /// The sweep, submitted or reported.
    fn submit(&self, flags: &[&str]) -> Output {
        self.sweep("rehearsal", flags).output().unwrap()
    }

    /// What squeue prints of job 41 from now on, in these states.
    fn queue(&self, states: &[&str]) {
        let record: serde_json::Value = serde_json::from_str(&self.read("out/slurm/submission.json")).unwrap();
        let name = record["name"].as_str().unwrap();
        let lines = states.iter().map(|state| format!("41|{state}|N/A|None|{name}\n"));
        self.write("bin/queue", lines.collect::<String>());
    }
}

#[test]
fn an_array_trains_what_a_local_sweep_trains_and_the_next_call_reports() {
    let place = Place::of_cluster();
    let submitted = place.submit(&[]);
    assert_code(&submitted, 0);
    assert_eq!(text(&submitted.stdout), "41\n");
    assert!(text(&submitted.stderr).contains("submitted array 41 of 2 workers"));
    let reported = place.submit(&[]);
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
    assert_code(&place.run(&["sweep", "spec.toml", "--device", "rehearsal", "--out", "local"]), 0);
    assert_code(&place.submit(&["--launcher", "local"]), 0);
    assert_eq!(place.calls("sbatch"), 1);
}

#[test]
fn while_the_array_lives_nothing_is_submitted_and_when_it_is_gone_the_rest_is() {
    let place = Place::of_cluster();
    place.write("bin/do-nothing", "");
    assert_code(&place.submit(&[]), 0);
    place.queue(&["RUNNING", "PENDING"]);
    let again = place.submit(&[]);
    assert_eq!(text(&again.stdout), "41\n");
    assert!(text(&again.stderr).contains("array 41 of an earlier call goes on: 1 task running, 1 pending"));
    place.program("squeue", "echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1");
    assert_eq!(text(&place.submit(&[]).stdout), "42\n");
    assert_eq!(place.calls("sbatch"), 2);
}

#[test]
fn another_cluster_that_does_not_know_the_job_is_no_reason_to_submit_again() {
    let place = Place::of_cluster();
    place.write("bin/do-nothing", "");
    assert_code(&place.submit(&[]), 0);
    place.program("scontrol", "echo 'ClusterName = elsewhere'");
    assert_refused(&place.submit(&[]), &["submitted on cluster here", "Nothing is submitted a second time"]);
    assert_eq!(place.calls("sbatch"), 1);
}

#[test]
fn a_submission_that_died_before_it_had_its_number_is_found_by_name() {
    let place = Place::of_cluster();
    place.write("bin/do-nothing", "");
    assert_code(&place.submit(&[]), 0);
    place.queue(&["RUNNING"]);
    let record = place.read("out/slurm/submission.json");
    place.write("out/slurm/submission.json", record.replace("\"job\": 41", "\"job\": null"));
    place.program("squeue", "case \"$*\" in *--name=*) echo 41 ;; *) cat queue ;; esac");
    assert_eq!(text(&place.submit(&[]).stdout), "41\n");
    assert_eq!(place.read("out/slurm/submission.json"), record, "the number is recorded");
    assert_eq!(place.calls("sbatch"), 1);
}

#[test]
fn waiting_ends_with_the_report_and_an_array_that_ends_no_run_is_not_repeated_for_ever() {
    let place = Place::of_cluster();
    let waited = place.submit(&["--wait"]);
    assert_code(&waited, 0);
    assert!(text(&waited.stdout).contains("N_opt"));
    let idle = Place::of_cluster();
    idle.write("bin/do-nothing", "");
    let given_up = idle.submit(&["--wait"]);
    assert_code(&given_up, 1);
    assert!(text(&given_up.stderr).contains("the last array ended none"), "{}", text(&given_up.stderr));
    assert_eq!(idle.calls("sbatch"), 1);
}

#[test]
fn runs_that_failed_are_reported_once_and_tried_again_by_the_call_after() {
    let place = Place::of_cluster();
    assert_code(&place.submit(&[]), 0);
    let run = fs::read_dir(place.path("out/runs")).unwrap().next().unwrap().unwrap().path();
    fs::remove_file(run.join("result.json")).unwrap();
    fs::write(run.join("failed.json"), r#"{"class": "crash", "message": "it was unlucky"}"#).unwrap();
    let reported = place.submit(&[]);
    assert_code(&reported, 1);
    assert!(text(&reported.stderr).contains("it was unlucky") && place.calls("sbatch") == 1);
    let again = place.submit(&[]);
    assert_eq!(text(&again.stdout), "42\n", "{}", text(&again.stderr));
    assert!(text(&again.stderr).contains("1 run to train; submitted array 42 of 1 worker"));
    assert_code(&place.submit(&[]), 0);
    assert_eq!(place.calls("sbatch"), 2);
}

#[test]
fn cancelling_is_recorded_before_slurm_is_told() {
    let place = Place::of_cluster();
    assert_refused(&place.run(&["cancel", "out"]), &["out holds no sweep"]);
    place.write("bin/do-nothing", "");
    assert_code(&place.submit(&[]), 0);
    place.queue(&["RUNNING", "PENDING"]);
    place.program("scancel", "grep -q '\"cancelled\": true' ../out/slurm/submission.json || exit 1");
    let cancelled = place.run(&["cancel", "out"]);
    assert_code(&cancelled, 0);
    assert!(text(&cancelled.stderr).contains("0 of "), "{}", text(&cancelled.stderr));
    assert_eq!(place.calls("scancel 41"), 1);
    place.queue(&["CANCELLED", "CANCELLED"]);
    assert_eq!(text(&place.submit(&[]).stdout), "42\n", "a call after that goes on");
}

#[test]
fn a_dry_run_prints_the_script_and_writes_nothing() {
    let place = Place::of_cluster();
    let output = place.submit(&["--dry-run"]);
    assert_code(&output, 0);
    let script = text(&output.stdout);
    assert!(script.starts_with("#!/bin/bash\n") && script.contains("#SBATCH --array=0-1\n"), "{script}");
    assert!(text(&output.stderr).contains("Job 7 to start at"));
    assert!(!place.path("out").exists());
}

#[test]
fn flags_and_places_that_make_no_sense_are_refused() {
    let place = Place::of_cluster();
    let local = |more: &[&str]| place.run(&[&["sweep", "local.toml", "--device", "rehearsal"], more].concat());
    assert_refused(&local(&["--launcher", "slurm"]), &["has no [launcher]", "workers"]);
    assert_refused(&local(&["--wait"]), &["--launcher slurm"]);
    assert_refused(&local(&["--dry-run"]), &["runner plan"]);
    assert_refused(&place.submit(&["--wait", "--dry-run"]), &["cannot be used with"]);
    assert_refused(&place.submit(&["--slots", "2"]), &["--slots", "workers"]);
    assert_refused(&place.submit(&["--threads", "0"]), &["'0' for '--threads", "1 or more"]);
    assert_refused(&place.run(&["sweep", "spec.toml", "--device", "abacus"]), &["abacus", "no such device"]);
    let quoted = place.run(&["sweep", "spec.toml", "--device", "rehearsal", "--out", "it's"]);
    assert_refused(&quoted, &["it's", "cannot stand in a batch script"]);
    let bare = place.runner(&["sweep", "spec.toml", "--device", "rehearsal"]).env("PATH", "/nowhere").output().unwrap();
    assert_refused(&bare, &["cannot start scontrol", "--launcher local"]);
    assert_eq!(place.calls("sbatch"), 0);
}

#[test]
fn status_says_how_the_array_stands() {
    let place = Place::of_cluster();
    place.write("bin/do-nothing", "");
    assert_code(&place.submit(&[]), 0);
    place.queue(&["RUNNING", "PENDING"]);
    let status = place.run(&["status", "out"]);
    assert_code(&status, 0);
    assert!(text(&status.stdout).contains("Slurm: 1 task running, 1 pending"), "{}", text(&status.stdout));
    let status: serde_json::Value = serde_json::from_slice(&place.run(&["status", "out", "--json"]).stdout).unwrap();
    assert_eq!(status["slurm"], "1 task running, 1 pending");
}

#[test]
fn a_damaged_record_is_named() {
    let place = Place::of_cluster();
    assert_code(&place.submit(&[]), 0);
    place.write("out/slurm/submission.json", "{\"name\": ");
    assert_refused(&place.submit(&[]), &["submission.json is damaged"]);
    assert_eq!(place.calls("sbatch"), 1);
}

/// Runs a task of a sweep of many runs, sends it a signal while it trains, and returns its exit code and words.
fn stopped(place: &Place, name: &str, restarts: &str) -> (Option<i32>, String) {
    let seeds: Vec<String> = (0..400).map(|seed| seed.to_string()).collect();
    let many = place.read("spec.toml").replace("seeds = [1]", &format!("seeds = [{}]", seeds.join(",")));
    place.write("spec.toml", &many);
    place.write("bin/do-nothing", "");
    assert_code(&place.submit(&[]), 0);
    let mut task = place.runner(&["slurm-task", "--sweep", "out", "--device", "rehearsal", "--requeue-limit", "3"]);
    task.env("SLURM_ARRAY_JOB_ID", "41").env("SLURM_ARRAY_TASK_ID", "1").env("SLURM_RESTART_COUNT", restarts);
    let task = task.stdout(Stdio::null()).spawn().unwrap();
    wait_for("runs that end", || place.results().len() > 5);
    assert!(signal(name, &[task.id()]), "it had ended");
    let output = task.wait_with_output().unwrap();
    (output.status.code(), text(&output.stderr))
}

#[test]
fn a_task_near_its_time_limit_is_queued_again_by_array_and_index() {
    let place = Place::of_cluster();
    let (code, said) = stopped(&place, "-USR1", "2");
    assert_eq!(code, Some(75), "{said}");
    assert!(said.contains("task 41_1 on ") && said.contains("queued again as 41_1"), "{said}");
    assert_eq!(place.calls("scontrol requeue 41_1"), 1);
}

#[test]
fn a_task_that_was_queued_again_too_often_or_is_cancelled_is_not_queued_again() {
    let place = Place::of_cluster();
    let (code, said) = stopped(&place, "-USR1", "3");
    assert!(code == Some(75) && said.contains("not queued again: the requeue_limit of [launcher] is 3"), "{said}");
    let place = Place::of_cluster();
    let (code, said) = stopped(&place, "-TERM", "0");
    assert!(code == Some(75) && said.contains("stopped by signal 15"), "{said}");
    assert_eq!(place.calls("scontrol requeue"), 0);
}
