//! Sweeps whose runs somebody else's program trains, by `[train] command`: real programs, in Python, well-behaved and not.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Stdio};

use crate::common::{Place, QUICKSTART, assert_code, assert_refused, children, edited, signal, text, wait_for};

/// Whether programs can be written here. Tests that need them say so and pass where not, but not in CI.
pub fn python() -> bool {
    let there = Command::new("python3").arg("--version").output().is_ok_and(|output| output.status.success());
    if !there {
        assert!(std::env::var_os("CI").is_none(), "there is no python3, which tests in CI must not skip");
        println!("skipped: there is no python3");
    }
    there
}

const COMMAND: [&str; 2] = ["train.command=[\"python3\", \"train.py\", \"{config}\"]", "train.inputs=[\"train.py\"]"];

/// The beginning of every program: its run, and the loss that is planted.
pub const BEGIN: &str = r#"
import json, os, signal, sys, time
run = json.load(open(sys.argv[1]))
n, d = run["params_blocks_and_unembedding"], run["tokens"]
loss = lambda d: 1.8 + 73.9 / n**0.36 + 102.5 / d**0.30
say = lambda **what: print(json.dumps(what), flush=True)
"#;

/// A program that does what it should.
pub const GOOD: &str = r#"
print("loading", file=sys.stderr)
for i in range(1, 21):
    say(step=run["steps"] * i // 20, tokens=d * i // 20, loss=loss(d * i / 20), gpu_temperature=70)
say(val_loss=loss(d), val_loss_stderr=0.002, run=run["run"])
"#;

/// One small run, or as many as there are seeds.
pub fn small(seeds: &str, more: &[&str]) -> String {
    let alone = ["sweep.budgets=", "sweep.sizes=", "sweep.spread=", "sweep.expected_tokens_per_param="];
    let shape =
        ["name=foreign", "model.aspect_ratio=", "model.width=64", "model.depth=2", "schedule.tokens=1e6", seeds];
    edited(&edited(QUICKSTART, &[&alone[..], &shape, &COMMAND].concat()), more)
}

pub fn place(spec: &str, program: &str) -> Place {
    let place = Place::new();
    place.write("train.py", format!("{BEGIN}{program}"));
    place.write("spec.toml", spec);
    place
}

pub fn sweep(place: &Place) -> std::process::Output {
    place.sweep("auto", &["--slots", "2", "--threads", "1"]).output().unwrap()
}

#[test]
fn isoflop_curves_of_a_program_give_its_exponents_back() {
    if !python() {
        return;
    }
    let grid = ["data.vocab=512", "model.context=4", "model.head_dim=16", "model.aspect_ratio=16.0", "name=foreign"];
    let budgets = ["sweep.budgets=[1e12,1e13,1e14,1e15]", "sweep.sizes=9", "optimizer.learning_rate=0.01"];
    let spec = edited(QUICKSTART, &[&grid[..], &budgets, &["optimizer.batch_tokens=1024"], &COMMAND].concat());
    let place = place(&spec, GOOD);
    assert_code(&sweep(&place), 0);
    let fits: serde_json::Value = serde_json::from_str(&place.read("out/fits.json")).unwrap();
    let fit = fits["approach2"].as_array().unwrap().iter().find(|fit| fit["counting"] == "blocks_and_unembedding");
    let exponent = fit.unwrap()["n_opt"]["exponent"]["value"].as_f64().unwrap();
    assert!((exponent - 0.30 / 0.66).abs() < 0.02, "{exponent}");
    let [runs, curves] = place.tables();
    assert!(runs.contains(",program,python3 train.py {config},"), "{}", runs.lines().nth(1).unwrap());
    // Twenty points of each run, the last at its end.
    assert_eq!(curves.lines().count() - 1, 20 * (runs.lines().count() - 1));
    // The same again trains nothing; another program is another sweep.
    let before = place.results().len();
    assert_code(&sweep(&place), 0);
    assert_eq!(place.results().len(), before);
    place.write("train.py", format!("{BEGIN}{GOOD}# another\n"));
    let refused = text(&sweep(&place).stderr);
    assert!(
        refused.contains("another version of the program") && refused.contains("train.py has other content"),
        "{refused}"
    );
}

#[test]
fn an_interrupted_program_goes_on_from_its_own_checkpoint() {
    if !python() {
        return;
    }
    let program = r#"
state = os.path.join(run["folder"], "state")
first = int(open(state).read()) if os.path.exists(state) else 0
stop = []
signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
for i in range(first + 1, 21):
    say(step=run["steps"] * i // 20, loss=loss(d * i / 20))
    open(state, "w").write(str(i))
    if i == 6 and not first:
        time.sleep(0.6)
    if i == 8 and not first:
        open("waiting", "w").close()
        while not stop:
            time.sleep(0.02)
    if stop:
        sys.exit(75)
say(val_loss=loss(d))
"#;
    let place = place(&small("sweep.seeds=[1]", &["eval.curve_points=20"]), program);
    let mut first = place.sweep("cpu", &["--slots", "1"]);
    let mut first = first.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_for("eight steps", || place.path("waiting").exists());
    signal("-INT", &[first.id()]);
    assert_eq!(first.wait().unwrap().code(), Some(75));
    assert!(place.results().is_empty());
    assert_code(&sweep(&place), 0);
    let [runs, curves] = place.tables();
    assert!(runs.contains("finished"));
    let steps: Vec<&str> = curves.lines().skip(1).map(|line| line.split(',').nth(1).unwrap()).collect();
    assert_eq!(steps.len(), 20, "the points of both attempts, each once: {curves}");
    let result = fs::read_to_string(&place.results()[0]).unwrap();
    let result: serde_json::Value = serde_json::from_str(&result).unwrap();
    assert!(result["seconds"].as_f64().unwrap() >= 0.6, "the time of both attempts: {result}");
}

#[test]
fn a_program_that_had_trained_to_its_end_and_tells_its_result_alone_keeps_its_curve() {
    if !python() {
        return;
    }
    let program = r#"
if not os.path.exists("trained"):
    for i in range(1, 21):
        say(step=run["steps"] * i // 20, loss=loss(d * i / 20))
        if i == 19:
            time.sleep(0.6)
    open("trained", "w").close()
    os.kill(os.getpid(), signal.SIGKILL)
say(val_loss=loss(d))
"#;
    let place = place(&small("sweep.seeds=[1]", &["eval.curve_points=20"]), program);
    assert_code(&sweep(&place), 0);
    let [runs, curves] = place.tables();
    assert!(runs.contains("finished"));
    assert_eq!(curves.lines().count() - 1, 20, "the curve of the attempt that trained: {curves}");
    let result: serde_json::Value = serde_json::from_str(&fs::read_to_string(&place.results()[0]).unwrap()).unwrap();
    assert!(result["seconds"].as_f64().unwrap() >= 0.6, "the time of both attempts: {result}");
}

#[test]
fn what_a_program_does_wrong_is_told_and_the_sweep_goes_on() {
    if !python() {
        return;
    }
    // The first of two runs misbehaves, the other is trained.
    for (wrong, said) in [
        ("sys.exit(0)", &["ended without a result", "val_loss"][..]),
        (
            "print('so far so good'); sys.exit('no such file: tokens.bin')",
            &["exit code 1", "no such file: tokens.bin", "/program/printed.log"],
        ),
        ("print('{\"val_loss\": 3.', end='', flush=True)", &["line 1 of what it printed begins like JSON", "EOF"]),
        ("say(val_loss='3.0')", &["line 1 of what it printed begins like JSON", "a loss is a number"]),
        ("say(val_loss=3.0, text='x' * 100_000_000)", &["begins like JSON", "longer than 64 kB"]),
        ("say(val_loss=3.0, val_loss_stderr=-0.1)", &["line 1", "val_loss_stderr is -0.1", "not below 0"]),
        ("say(val_loss=-3.0)", &["line 1", "its val_loss is -3", "above 0"]),
        ("os.kill(os.getpid(), signal.SIGSEGV)", &["ended by signal 11"]),
        ("say(val_loss=3.0); say(val_loss=3.5)", &["line 2", "3.5 here and 3 on line 1"]),
        ("say(step=1, loss=5.0, tokens=1000); say(val_loss=3.0)", &["line 1", "it ended at 1000 tokens"]),
        ("say(step=1, loss=5.0, tokens=2 * d); say(val_loss=3.0)", &["line 1", "it ended at 1", "and the run has"]),
        ("say(run='0123456789abcdef', val_loss=3.0)", &["speaks of run", "0123456789abcdef"]),
        ("say(loss=5.0)", &["needs \\\"step\\\" or \\\"tokens\\\""]),
        ("sys.exit(75)", &["exit code 75 3 times in a row", "no step beyond step 0"]),
        ("say(step=5, loss=5.0); sys.exit(75)", &["exit code 75 3 times in a row", "no step beyond step 5"]),
        ("time.sleep(100)", &["printed nothing for 1 s", "train.patience_seconds"]),
        ("sys.stdout.buffer.write(bytes(range(256)) * 300000 + b'\\n'); sys.exit(3)", &["exit code 3"]),
    ] {
        let program = format!("if run['seed'] == 1:\n    {wrong}\n    sys.exit(0)\n{GOOD}");
        // Python itself may take its time on a machine under load.
        let patience = if wrong.contains("sleep") { "train.patience_seconds=1" } else { "train.patience_seconds=100" };
        let place = place(&small("sweep.seeds=[1, 2]", &[patience]), &program);
        let output = sweep(&place);
        let told = text(&output.stderr);
        for word in said {
            assert!(told.contains(&word.replace("\\\"", "\"")), "{wrong}: {word} is not in {told}");
        }
        let [runs, _] = place.tables();
        assert_eq!(runs.matches(",finished,").count(), 1, "{wrong}: {runs}");
        if let Some(line) = wrong.strip_prefix("print('so far so good')") {
            let logs: String =
                place.files("out/runs", "printed.log").iter().map(|log| fs::read_to_string(log).unwrap()).collect();
            assert!(logs.contains("out 1: so far so good") && logs.contains("err 1: no such file"), "{line}: {logs}");
        }
        assert_eq!(output.status.code(), Some(1), "{wrong}: {told}");
    }
}

/// A row of `runs.csv` by the names of its columns.
pub fn row(place: &Place) -> BTreeMap<String, String> {
    let runs = place.read("out/runs.csv");
    let mut table = csv::Reader::from_reader(runs.as_bytes());
    let headers = table.headers().unwrap().clone();
    let row = table.records().next().unwrap().unwrap();
    headers.iter().map(str::to_owned).zip(row.iter().map(str::to_owned)).collect()
}

#[test]
fn what_was_not_measured_is_no_divergence() {
    if !python() {
        return;
    }
    let program = r#"
for i in range(1, 21):
    say(step=run["steps"] * i // 20, loss=loss(d * i / 20), val_loss=None)
    say(step=run["steps"] * i // 20, loss=None, eval_loss=4.0)
say(val_loss=loss(d))
"#;
    let place = place(&small("sweep.seeds=[1]", &["eval.curve_points=20"]), program);
    assert_code(&sweep(&place), 0);
    assert_eq!(row(&place)["status"], "finished");
    assert_eq!(place.read("out/curves.csv").lines().count() - 1, 20);
    for none in ["say(step=3, loss=None)", "say(step=3, loss=float('nan'), val_loss=3.0)", "say(val_loss=None)"] {
        place.write("train.py", format!("{BEGIN}{none}\n"));
        let other = place.run(&["sweep", "spec.toml", "--slots", "1", "--out", "other"]);
        assert_code(&other, 1);
        assert!(place.read("other/runs.csv").contains(",diverged,"), "{none}");
        fs::remove_dir_all(place.path("other")).unwrap();
    }
}

#[test]
fn what_an_attempt_told_stays_and_what_is_told_again_counts_once() {
    if !python() {
        return;
    }
    let program = r#"
first = not os.path.exists("begun")
if first:
    open("begun", "w").close()
    say(dataset="c4", learning_rate=0.003)
steps = list(range(1, 13)) if first else list(range(13, 17)) + list(range(14, 21))
for i in steps:
    say(step=run["steps"] * i // 20, loss=loss(d * i / 20))
if first:
    sys.exit(75)
say(val_loss=loss(d))
"#;
    let place = place(&small("sweep.seeds=[1]", &["eval.curve_points=20"]), program);
    assert_code(&sweep(&place), 0);
    let row = row(&place);
    assert_eq!((row["told.dataset"].as_str(), row["told.learning_rate"].as_str()), ("c4", "0.003"));
    let curves = place.read("out/curves.csv");
    let losses: Vec<f64> =
        curves.lines().skip(1).map(|line| line.split(',').nth(4).unwrap().parse().unwrap()).collect();
    assert_eq!(losses.len(), 20, "{curves}");
    assert!(losses.is_sorted_by(|a, b| a > b), "each point is of its own steps alone: {losses:?}");
}

#[test]
fn without_a_curve_no_training_loss_is_told_and_lines_that_were_not_understood_are_counted() {
    if !python() {
        return;
    }
    let program = "for i in range(3):\n    say(step='one', loss=5.0)\nsay(val_loss=3.0)\n";
    let place = place(&small("sweep.seeds=[1]", &[]), program);
    let output = sweep(&place);
    assert_code(&output, 0);
    assert_eq!(row(&place)["train_loss"], "");
    let said = text(&output.stderr);
    assert!(said.contains("3 lines of what the program printed begin like JSON") && said.contains("line 1"), "{said}");
}

#[test]
fn odd_but_sound_output_is_understood() {
    if !python() {
        return;
    }
    let program = r#"
say(step=1.0, loss=4.0)
sys.stdout.write("x" * 100_000_000 + "\n")
sys.stdout.buffer.write(os.urandom(1 << 20) + b"\n")
for i in range(run["steps"] * 100):
    sys.stdout.write('{"step": %d, "loss": 4.0}\n' % (i // 100))
say(step=run["steps"], loss=4.0)
say(val_loss=3.0)
say(val_loss=3.0, val_loss_stderr=float("nan"))
sys.stdout.write("half a line")
"#;
    let place = place(&small("sweep.seeds=[1]", &["eval.curve_points=20"]), program);
    assert_code(&sweep(&place), 0);
    let [_, curves] = place.tables();
    assert_eq!(curves.lines().count() - 1, 20, "{curves}");
}

/// Programs that write where only the ledger does, or remove what is there.
#[test]
fn a_program_that_writes_in_the_folders_of_other_runs_fails_and_the_sweep_goes_on() {
    if !python() {
        return;
    }
    // The run of seed 1 is the last one, since all are of one size and seed 1 waits for the others.
    let begin = r#"
here = os.path.dirname(run["folder"])
others = [os.path.join(here, "..", name) for name in os.listdir(os.path.join(here, "..")) if name != run["run"]]
"#;
    for (wrong, said, finished) in [
        ("open(here + '/result.json', 'w').write('{}')", &["result.json was written by another", "checksum"][..], 2),
        ("[open(other + '/failed.json', 'w').write('no') for other in others]", &["stray-1-failed.json"], 2),
        (
            "open(others[0] + '/failed.json', 'w').write('{\"class\": \"configuration\", \"message\": \"x\"}')",
            &["stray-1-failed.json", "no attempt at its run failed so"],
            2,
        ),
        ("open(here + '/../../ledger.json', 'w').write('{}')", &["ledger.json was written by", "written again"], 2),
        ("open(here + '/../../plan.json', 'w').write('{}')", &["plan.json was written by", "checksum"], 2),
        ("open(here + '/../../spec.toml', 'w').write('junk = [')", &["spec.toml was written by", "not valid TOML"], 2),
        ("os.remove(here + '/../../spec.toml')", &["spec.toml was removed", "written again"], 2),
        ("[open(other + '/result.json', 'w').write('no') for other in others]", &["stray-1-result.json"], 2),
        ("[os.remove(other + '/result.json') for other in others]", &["result.json was removed"], 2),
        (
            "[os.replace(other + '/result.json', here + '/result.json') for other in others[:1]]",
            &["is the result of"],
            2,
        ),
        ("import shutil; shutil.rmtree(here, ignore_errors=True)", &["lock was removed"], 2),
    ] {
        let program = format!("{begin}if run['seed'] == 1:\n    {wrong}\n{GOOD}");
        let place = place(&small("sweep.seeds=[2, 3, 1]", &[]), &program);
        let output = place.sweep("auto", &["--slots", "1", "--threads", "1"]).output().unwrap();
        let told = text(&output.stderr);
        for word in [&["while the program ran", "may write in the folder"], said].concat() {
            assert!(told.contains(word), "{wrong}: {word} is not in {told}");
        }
        let [runs, _] = place.tables();
        assert_eq!(runs.matches(",finished,").count(), finished, "{wrong}: {runs}\n{told}");
        assert_eq!(output.status.code(), Some(1), "{wrong}: {told}");
        assert!(runs.lines().any(|row| row.contains(",failed,")), "{wrong}: {runs}");
    }
}

#[test]
fn a_failure_that_a_program_writes_for_a_run_that_waits_is_not_believed() {
    if !python() {
        return;
    }
    let program = format!(
        "if run['seed'] == 2:\n    runs = os.path.join(run['folder'], '..', '..')\n    for name in os.listdir(runs):\n        if name \
         != run['run']:\n            open(os.path.join(runs, name, 'failed.json'), 'w').write('{{\"class\": \"crash\", \"message\": \
         \"x\"}}')\n{GOOD}"
    );
    let place = place(&small("sweep.seeds=[2, 3, 1]", &[]), &program);
    let output = place.sweep("auto", &["--slots", "1", "--threads", "1"]).output().unwrap();
    let [runs, _] = place.tables();
    assert_eq!((runs.matches(",finished,").count(), runs.matches(",failed,").count()), (2, 1), "{runs}");
    assert!(text(&output.stderr).contains("stray-1-failed.json"), "{}", text(&output.stderr));
}

#[test]
fn runs_that_the_program_cannot_train_are_given_up_and_all_others_are_trained() {
    if !python() {
        return;
    }
    for (kept, finished) in [(5, 2), (9, 0)] {
        // As where it does not take the largest sizes, which come first.
        for end in ["sys.exit('AssertionError: n_embd too large')", "os.kill(os.getpid(), signal.SIGABRT)"] {
            let program = format!("if run['seed'] < {kept}:\n    {end}\n{GOOD}");
            let place = place(&small("sweep.seeds=[1, 2, 3, 4, 5, 6]", &[]), &program);
            let output = place.sweep("auto", &["--slots", "1", "--threads", "1"]).output().unwrap();
            assert_code(&output, 1);
            let (told, [runs, _]) = (text(&output.stderr), place.tables());
            assert_eq!(runs.matches(",finished,").count(), finished, "{told}");
            let failed = 6 - finished;
            assert_eq!(runs.matches(",failed,").count(), failed, "{told}");
            assert!(
                told.contains(&format!("{failed} runs failed:")) && !told.contains("several runs in a row"),
                "{told}"
            );
            let word = if end.contains("ABRT") { "ended by signal 6" } else { "n_embd too large" };
            assert!(told.contains(word), "{told}");
            let attempts = place.files("out/runs", "error.json").len();
            assert_eq!(attempts, 3 * failed, "each is tried three times");
        }
    }
}

/// A sweep of one run that is asked to stop when the program waits for it, and what the program does then.
fn stopped_in_the_middle(asked: &str) -> Place {
    let program = format!(
        "stop = []\nsignal.signal(signal.SIGTERM, lambda *_: stop.append(1))\nagain = os.path.exists('waiting')\n\
         say(step=1, loss=5.0)\nopen('waiting', 'w').close()\nwhile not stop and not again:\n    time.sleep(0.02)\n\
         if not again:\n    {asked}\n{GOOD}"
    );
    let place = place(&small("sweep.seeds=[1]", &["eval.curve_points=100"]), &program);
    let mut running =
        place.sweep("cpu", &["--slots", "1"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_for("the first step", || place.path("waiting").exists());
    signal("-INT", &[running.id()]);
    running.wait().unwrap();
    place
}

#[test]
fn what_a_program_tells_after_it_was_asked_to_stop_counts() {
    if !python() {
        return;
    }
    // It does not heed the request and comes to its end.
    let place = stopped_in_the_middle("pass");
    assert_eq!(place.results().len(), 1);
    assert_code(&sweep(&place), 0);
    let [runs, curves] = place.tables();
    assert!(runs.contains(",finished,") && curves.lines().count() > 20, "{runs}{curves}");
    // A step before its checkpoint is in the curve of the next attempt, which does not tell it again.
    let place = stopped_in_the_middle("say(step=run['steps'] // 30, loss=4.5); sys.exit(75)");
    assert!(place.results().is_empty());
    let kept = fs::read_to_string(&place.files("out/runs", "curve.jsonl")[0]).unwrap();
    // The mean of both, since the first step closes no point.
    assert!(kept.lines().any(|point| point.contains("\"train_loss\":4.75")), "{kept}");
    // Measured early because it was to stop, its loss is not that of the run.
    for early in
        ["say(val_loss=4.0); sys.exit(0)", "say(step=run['steps'] // 2, loss=4.5); say(val_loss=4.0); sys.exit(0)"]
    {
        let place = stopped_in_the_middle(early);
        assert!(place.results().is_empty(), "{early}");
        assert_code(&sweep(&place), 0);
    }
}

#[test]
fn the_plan_of_a_program_that_trains_our_shapes_measures_no_speed() {
    let place = place(&small("sweep.seeds=[1]", &["train.command=[\"no-such-program\", \"{config}\"]"]), GOOD);
    let output = place.run(&["plan", "spec.toml", "--device", "cpu"]);
    assert_code(&output, 0);
    let told = text(&output.stderr);
    assert!(told.contains("give --flops-per-second") && !told.contains("measured:"), "{told}");
    assert!(told.contains("\"no-such-program\" is not found on this machine"), "{told}");
    let typo = place.run(&["plan", "spec.toml", "--set", "train.command=[\"sh\", \"{rate}\", \"{config}\"]"]);
    let told = text(&typo.stderr);
    assert!(told.contains("\"{rate}\" reaches the program as it is written") && !told.contains("not found"), "{told}");
    // What such a program keeps is not known.
    let told = text(&output.stdout);
    assert!(told.contains("for results\n") && !told.contains("checkpoints"), "{told}");
    let sweep = |threads: &str| place.sweep("auto", &["--threads", threads]).output().unwrap();
    assert_refused(&sweep("0"), &["'0' for '--threads", "1 or more"]);
    assert_refused(&sweep("1000000"), &["--threads 1000000", "at most"]);
}

#[test]
fn a_loss_that_leaves_the_numbers_is_divergence() {
    if !python() {
        return;
    }
    let program = format!("if run['seed'] == 1:\n    say(step=10, loss=float('nan'))\n    time.sleep(100)\n{GOOD}");
    let place = place(&small("sweep.seeds=[1, 2]", &[]), &program);
    assert_code(&sweep(&place), 0);
    let [runs, _] = place.tables();
    assert!(runs.contains(",diverged,") && runs.contains(",finished,"), "{runs}");
}

#[test]
fn children_that_a_program_leaves_behind_are_ended() {
    if !python() {
        return;
    }
    // The second began a session of its own, as the workers of torchrun do.
    let program = format!(
        "import subprocess\nfor own in [False, True]:\n    child = subprocess.Popen(['sleep', '1000'], start_new_session=own)\n    \
         open('pids', 'a').write(f'{{child.pid}}\\n')\n{GOOD}"
    );
    let place = place(&small("sweep.seeds=[1]", &[]), &program);
    assert_code(&sweep(&place), 0);
    wait_for_the_end_of(&place);
}

/// Waits until no process is left whose number the program wrote.
fn wait_for_the_end_of(place: &Place) {
    for pid in place.read("pids").lines() {
        wait_for("the end of what the program started", || has_ended(pid));
    }
}

/// Whether a process is gone, or waits for somebody to notice that it is.
fn has_ended(pid: &str) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    status.is_empty() || status.contains(") Z ")
}

/// A program that is at work and has told nothing yet; when it is asked to stop it does what is said.
fn silent(asked: &str) -> String {
    format!(
        "def asked(*_):\n    open('asked', 'w').close()\n    {asked}\nsignal.signal(signal.SIGTERM, asked)\n\
         open('pids', 'a').write(f'{{os.getpid()}}\\n')\nwhile True:\n    time.sleep(0.02)\n"
    )
}

#[test]
fn a_program_that_has_told_nothing_yet_is_asked_to_stop_and_waited_for() {
    if !python() {
        return;
    }
    let asked = "time.sleep(0.5); open('checkpoint', 'w').close(); sys.exit(75)";
    let place = place(&small("sweep.seeds=[1]", &[]), &silent(asked));
    let mut running = place.sweep("auto", &["--slots", "1"]).stderr(Stdio::null()).spawn().unwrap();
    wait_for("the program", || place.path("pids").exists());
    signal("-INT", &[running.id()]);
    assert_eq!(running.wait().unwrap().code(), Some(75));
    assert!(place.path("checkpoint").exists());
    wait_for_the_end_of(&place);
}

#[test]
fn no_program_outlives_the_processes_that_watch_it() {
    if !python() {
        return;
    }
    // It does not heed SIGTERM: a second Ctrl-C ends it at once; so does the end of its worker, and the end of the sweep.
    for (signals, who, asked) in [
        (&["-INT", "-INT"][..], "sweep", "pass"),
        (&["-KILL"], "worker", "pass"),
        (&["-KILL"], "sweep", "sys.exit(75)"),
    ] {
        let place = place(&small("sweep.seeds=[1]", &[]), &silent(asked));
        let mut running = place.sweep("auto", &["--slots", "1"]).stderr(Stdio::null()).spawn().unwrap();
        wait_for("the program", || place.path("pids").exists());
        for sent in signals {
            let target = if who == "sweep" { running.id() } else { children(running.id())[0] };
            signal(sent, &[target]);
            if signals.len() > 1 {
                wait_for("the request to stop", || place.path("asked").exists());
            }
        }
        if who == "worker" {
            // The run is tried again, once nothing is left of the first attempt.
            wait_for("another attempt", || place.read("pids").lines().count() > 1);
            assert!(has_ended(place.read("pids").lines().next().unwrap()));
            signal("-INT", &[running.id()]);
            wait_for("the request to stop", || place.path("asked").exists());
            signal("-INT", &[running.id()]);
        }
        running.wait().unwrap();
        wait_for_the_end_of(&place);
    }
}

#[test]
fn a_program_that_cannot_be_started_is_told_once_for_all_runs() {
    let spec = small("sweep.seeds=[1]", &["train.command=[\"no-such-program\", \"{config}\"]", "train.inputs="]);
    let place = place(&spec, GOOD);
    let output = sweep(&place);
    let told = text(&output.stderr);
    assert!(told.contains("cannot start \"no-such-program\"") && told.contains("train.command names"), "{told}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn what_a_spec_says_wrong_of_a_program_is_refused() {
    for (set, said) in [
        (&["train.command=[\"train.py\"]", "train.inputs="][..], &["train.command", "{config}"][..]),
        (&["train.command=[\" \", \"{config}\"]", "train.inputs="], &["no program is named"]),
        (&["train.precision=\"bf16\""], &["train.precision", "has its own"]),
        (&["train.patience_seconds=-1"], &["train.patience_seconds"]),
        (&["train.patience_seconds=1e20"], &["train.patience_seconds", "more than a year"]),
        (&["train.command="], &["train.inputs", "only train.command"]),
    ] {
        let place = place(&small("sweep.seeds=[1]", &[]), GOOD);
        let flags: Vec<&str> = set.iter().flat_map(|key| ["--set", *key]).collect();
        assert_refused(&place.sweep("auto", &flags).output().unwrap(), said);
    }
    let place = place(&small("sweep.seeds=[1]", &["train.inputs=[\"absent.py\"]"]), GOOD);
    assert_refused(&sweep(&place), &["train.inputs: cannot read absent.py"]);
}

#[test]
fn a_rehearsal_starts_no_program() {
    let place = place(&small("sweep.seeds=[1]", &["train.command=[\"no-such-program\", \"{config}\"]"]), GOOD);
    assert_code(&place.rehearse(), 0);
}
