//! Sweeps whose runs somebody else's program trains, by `[train] command`: real programs, in Python, well-behaved and not.

use std::process::{Command, Stdio};

use crate::common::{Place, QUICKSTART, assert_code, assert_refused, edited, signal, text, wait_for};

/// Whether programs can be written here; tests that need them say so and pass where not.
pub fn python() -> bool {
    let there = Command::new("python3").arg("--version").output().is_ok_and(|output| output.status.success());
    if !there {
        eprintln!("skipped: there is no python3");
    }
    there
}

const COMMAND: [&str; 2] = ["train.command=[\"python3\", \"train.py\", \"{config}\"]", "train.inputs=[\"train.py\"]"];

/// The beginning of every program: its run, and the loss that is planted.
const BEGIN: &str = r#"
import json, os, signal, sys, time
run = json.load(open(sys.argv[1]))
n, d = run["params_blocks_and_unembedding"], run["tokens"]
loss = lambda d: 1.8 + 73.9 / n**0.36 + 102.5 / d**0.30
say = lambda **what: print(json.dumps(what), flush=True)
"#;

/// A program that does what it should.
const GOOD: &str = r#"
print("loading", file=sys.stderr)
for i in range(1, 21):
    say(step=run["steps"] * i // 20, tokens=d * i // 20, loss=loss(d * i / 20), gpu_temperature=70)
say(val_loss=loss(d), val_loss_stderr=0.002, run=run["run"])
"#;

/// One small run, or as many as there are seeds.
fn small(seeds: &str, more: &[&str]) -> String {
    let alone = ["sweep.budgets=", "sweep.sizes=", "sweep.spread=", "sweep.expected_tokens_per_param="];
    let shape =
        ["name=foreign", "model.aspect_ratio=", "model.width=64", "model.depth=2", "schedule.tokens=1e6", seeds];
    edited(&edited(QUICKSTART, &[&alone[..], &shape, &COMMAND].concat()), more)
}

fn place(spec: &str, program: &str) -> Place {
    let place = Place::new();
    place.write("train.py", format!("{BEGIN}{program}"));
    place.write("spec.toml", spec);
    place
}

fn sweep(place: &Place) -> std::process::Output {
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
    assert!(text(&sweep(&place).stderr).contains("not all of them the same"));
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
}

#[test]
fn what_a_program_does_wrong_is_told_and_the_sweep_goes_on() {
    if !python() {
        return;
    }
    // The first of two runs misbehaves, the other is trained.
    for (wrong, said) in [
        ("sys.exit(0)", &["ended without a result", "val_loss"][..]),
        ("print('so far so good'); sys.exit('no such file: tokens.bin')", &["exit code 1", "no such file: tokens.bin"]),
        ("print('{\"val_loss\": 3.', end='', flush=True)", &["line 1 of what it printed looks like JSON and is none"]),
        ("os.kill(os.getpid(), signal.SIGSEGV)", &["ended by signal 11"]),
        ("say(val_loss=3.0); say(val_loss=3.5)", &["line 2", "3.5 here and 3 on line 1"]),
        ("say(step=1, loss=5.0, tokens=1000); say(val_loss=3.0)", &["tokens", "the last that it told of are 1000"]),
        ("say(run='0123456789abcdef', val_loss=3.0)", &["speaks of run", "0123456789abcdef"]),
        ("say(loss=5.0)", &["needs \\\"step\\\" or \\\"tokens\\\""]),
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
        assert_eq!(output.status.code(), Some(1), "{wrong}: {told}");
    }
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
    let program = format!(
        "import subprocess\nchild = subprocess.Popen(['sleep', '1000'])\nopen('child', 'w').write(str(child.pid))\n{GOOD}"
    );
    let place = place(&small("sweep.seeds=[1]", &[]), &program);
    assert_code(&sweep(&place), 0);
    let child = place.read("child");
    wait_for("the end of the child", || {
        let status = std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
        status.is_empty() || status.contains(") Z ")
    });
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
