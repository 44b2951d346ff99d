//! What a program tells of one run, and what is made of it: whether it came to its end, by which names, and how it ended.

use std::fs;
use std::process::Stdio;

use crate::common::{Place, assert_code, children, signal, text, wait_for};
use crate::program::{GOOD, place, python, row, small, sweep};

/// One run, whose curve has 20 points.
fn one(program: &str, more: &[&str]) -> Place {
    place(&small("sweep.seeds=[1]", &[&["eval.curve_points=20"], more].concat()), program)
}

/// A trainer with a checkpoint after each step: it trains to a share of its steps, tells every so many of them, and then its result.
const TRAINER: &str = r#"
state = os.path.join(run["folder"], "state")
first = int(open(state).read()) if os.path.exists(state) else 0
def train(share, every, result=lambda last: dict(val_loss=loss(last * d / run["steps"]))):
    last = int(run["steps"] * share)
    for step in range(first + 1, last + 1):
        if (step - 1) % every == 0:
            say(step=step, loss=loss(step * d / run["steps"]))
    open(state, "w").write(str(last))
    say(**result(last))
"#;

/// A number of the only row of `runs.csv`, as short as it can be written.
fn number(place: &Place, name: &str) -> String {
    row(place)[name].parse::<f64>().unwrap().to_string()
}

fn trainer(call: &str) -> String {
    format!("{TRAINER}{call}\n")
}

#[test]
fn a_run_that_stopped_early_is_refused_however_often_it_is_tried_again() {
    if !python() {
        return;
    }
    let share = |share: f64| format!("1 if os.path.exists('go') else {share}");
    for call in [
        format!("train({}, 1)", share(0.5)),
        format!("train({}, 10)", share(0.9)),
        format!("train({}, 10, lambda last: dict(eval_loss=4.0))", share(0.5)),
    ] {
        let place = one(&trainer(&call), &[]);
        for again in [false, true] {
            let output = sweep(&place);
            assert_code(&output, 1);
            let told = text(&output.stderr);
            assert!(told.contains("it ended at ") && told.contains("and the run has "), "{call}: {told}");
            assert_eq!(told.contains("by what an earlier attempt told"), again, "{call}: {told}");
            assert!(place.results().is_empty(), "{call}");
        }
        // Trained from there to its end, it is finished.
        place.write("go", "");
        assert_code(&sweep(&place), 0);
    }
}

#[test]
fn a_run_whose_next_line_would_come_after_its_end_is_finished() {
    if !python() {
        return;
    }
    for every in [1, 7, 10, 40] {
        let place = one(&trainer(&format!("train(1, {every})")), &[]);
        assert_code(&sweep(&place), 0);
        let curve = place.read("out/curves.csv");
        assert!(curve.lines().count() > 3, "{every}: {curve}");
    }
    // Lines that are too rare tell no interval; the step beside the result does.
    let place = one(&trainer("train(1, run['steps'] * 3 // 4)"), &[]);
    let told = text(&sweep(&place).stderr);
    assert!(told.contains("let it tell its last step, as in {\"step\": "), "{told}");
    let place = one(&trainer("train(1, run['steps'] * 3 // 4, lambda last: dict(step=last, val_loss=3.0))"), &[]);
    assert_code(&sweep(&place), 0);
}

#[test]
fn the_last_loss_of_validation_counts_and_is_that_of_the_end() {
    if !python() {
        return;
    }
    let way = "for i in range(1, 21):\n    say(step=run['steps'] * i // 20, loss=loss(d * i / 20))\n    if i % 5 == 0 and i < LAST: \
               say(PLACEval_loss=5 - i / 10)\n";
    let program = |last: &str, place: &str| way.replace("LAST", last).replace("PLACE", place);
    for told_place in ["", "step=run['steps'] * i // 20, "] {
        let place = one(&program("21", told_place), &[]);
        assert_code(&sweep(&place), 0);
        assert_eq!(number(&place, "val_loss"), "3");
        let place = one(&program("20", told_place), &[]);
        let told = text(&sweep(&place).stderr);
        let said = if told_place.is_empty() { "losses of later steps follow it" } else { "measure it once more after" };
        assert!(told.contains(said) && place.results().is_empty(), "{told}");
    }
    let place = one("say(step=run['steps'] // 2, tokens=d // 2, val_loss=3.0)\n", &[]);
    assert!(text(&sweep(&place).stderr).contains("its last val_loss is that of "));
    // Without steps nothing is known of its end.
    let place = one("say(val_loss=3.0)\n", &[]);
    let output = sweep(&place);
    assert_code(&output, 0);
    assert!(text(&output.stderr).contains("the program told val_loss and no step"), "{}", text(&output.stderr));
}

#[test]
fn losses_are_taken_by_the_names_that_people_use_and_behind_bars_and_prefixes() {
    if !python() {
        return;
    }
    let told = |train: &str, end: &str| {
        format!("for i in range(1, 21):\n    step = run['steps'] * i // 20\n    {train}\n{end}\n")
    };
    let plain = "say(step=step, loss=4.0)";
    for (train, end) in [
        ("say(**{'iter': step, 'train/loss': 4.0, 'eval_loss': 3.0 + (20 - i)})", "pass"),
        ("say(global_step=step, train=dict(loss=4.0))", "say(metrics=dict(val_loss=3.0))"),
        (plain, "say(**{'val/loss': 3.0})"),
        (plain, "say(**{'val.loss': 3.0, 'train_loss': 9.0})"),
        (
            "print('\\r%d/20 [##]' % i + json.dumps(dict(step=step, loss=4.0)))",
            "print('\\r100%\\r{\"val_loss\": 3.0}')",
        ),
        ("print('[default0]:' + json.dumps(dict(step=step, loss=4.0)))", "print('[default0]: {\"val_loss\": 3.0}')"),
    ] {
        let place = one(&told(train, end), &[]);
        let output = sweep(&place);
        assert_code(&output, 0);
        let losses = ["val_loss", "train_loss"].map(|name| number(&place, name));
        assert_eq!(losses, ["3", "4"], "{train}");
        assert_eq!(place.read("out/curves.csv").lines().count() - 1, 20, "{train}");
    }
    for (end, said) in [
        ("say(eval_loss=3.0, test_loss=4.0)", "it told eval_loss, test_loss and no val_loss"),
        ("say(nll=3.0, accuracy=0.5)", "The keys that it told are accuracy, nll"),
        ("print('{\"val_loss\": 3.0}', file=sys.stderr)", "1 lines on standard error look as if they told a loss"),
        ("print('result {\"val_loss\": 3.0} of all')", "is no JSON object at the end of a line"),
    ] {
        let place = one(&told(plain, end), &[]);
        let told = text(&sweep(&place).stderr);
        assert!(told.contains(said) && place.results().is_empty(), "{end}: {told}");
    }
}

#[test]
fn a_result_that_was_told_counts_where_the_program_fails_after_it() {
    if !python() {
        return;
    }
    for (end, said) in [
        ("os.kill(os.getpid(), signal.SIGSEGV)", "was ended by signal 11 after it had told its result"),
        ("sys.exit(1)", "ended with exit code 1 after it had told its result"),
        ("time.sleep(1000)", "printed nothing for 10 s and was stopped after it had told its result"),
    ] {
        let patience = if end.contains("sleep") { "train.patience_seconds=10" } else { "train.patience_seconds=100" };
        let place = one(&format!("open('begun', 'a').write('x')\n{GOOD}{end}\n"), &[patience]);
        let output = sweep(&place);
        assert_code(&output, 0);
        let told = text(&output.stderr);
        assert!(told.contains(said), "{end}: {told}");
        assert_eq!(place.read("out/curves.csv").lines().count() - 1, 20, "{end}");
    }
    // One that told its result in the middle of its steps has not told all.
    let place = one("say(step=1, loss=5.0)\nsay(val_loss=3.0)\nsys.exit(1)\n", &[]);
    assert_code(&sweep(&place), 1);
    assert!(place.results().is_empty());
}

#[test]
fn ends_that_came_further_than_before_are_no_failed_tries() {
    if !python() {
        return;
    }
    let program = r#"
state = os.path.join(run["folder"], "state")
first = int(open(state).read()) if os.path.exists(state) else 0
open("attempts", "a").write("x")
for i in range(first + 1, 21):
    say(step=run["steps"] * i // 20, loss=loss(d * i / 20))
    open(state, "w").write(str(i))
    if i == first + 4:
        sys.exit("a node fell off the bus")
say(val_loss=loss(d))
"#;
    let place = one(program, &[]);
    let output = sweep(&place);
    assert_code(&output, 0);
    assert_eq!(place.read("attempts").len(), 6, "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("further than before, and is tried again"), "{}", text(&output.stderr));
    // One that comes no further is given up.
    let place = one(&program.replace("first = int", "first = 0 * int"), &[]);
    assert_code(&sweep(&place), 1);
    assert_eq!(place.read("attempts").len(), 4);
}

#[test]
fn a_program_that_was_asked_to_stop_together_with_the_sweep_has_not_failed() {
    if !python() {
        return;
    }
    let program = format!(
        "if not os.path.exists('waiting'):\n    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\n    say(step=1, loss=5.0)\n    \
         open('waiting', 'w').write(str(os.getpid()))\n    time.sleep(1000)\n{GOOD}"
    );
    let place = one(&program, &[]);
    let mut running = place.sweep("cpu", &["--slots", "1"]);
    let mut running = running.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_for("the program", || fs::read_to_string(place.path("waiting")).is_ok_and(|pid| !pid.is_empty()));
    let program: u32 = place.read("waiting").parse().unwrap();
    let worker = children(running.id())[0];
    signal("-TERM", &[program, running.id(), worker]);
    assert_eq!(running.wait().unwrap().code(), Some(75));
    assert!(place.files("out/runs", "failed.json").is_empty());
    assert_code(&sweep(&place), 0);
}

#[test]
fn a_loss_in_another_unit_is_told() {
    if !python() {
        return;
    }
    for (factor, said) in
        [("1 / math.log(2)", Some("a loss in bits")), ("200", Some("is one of them a sum")), ("1.05", None)]
    {
        let program = GOOD.replace("val_loss=loss(d)", &format!("val_loss=loss(d) * {factor}"));
        let place = one(&format!("import math\n{program}"), &[]);
        let output = sweep(&place);
        assert_code(&output, 0);
        let told = text(&output.stderr);
        assert_eq!(told.contains("times the last loss of training"), said.is_some(), "{factor}: {told}");
        assert!(told.contains(said.unwrap_or_default()), "{factor}: {told}");
    }
}

#[test]
fn a_progress_bar_is_a_sign_of_life() {
    if !python() {
        return;
    }
    let bar =
        "for i in range(40):\n    time.sleep(0.2)\n    sys.stderr.write('\\r%d/40' % i)\n    sys.stderr.flush()\n";
    let place = one(&format!("{bar}{GOOD}"), &["train.patience_seconds=5"]);
    assert_code(&sweep(&place), 0);
}

#[test]
fn a_sweep_whose_first_three_runs_have_no_result_for_one_reason_begins_no_more() {
    if !python() {
        return;
    }
    let program = "open('attempts', 'a').write('x')\nsay(step=run['steps'], loss=4.0)\nsay(nll=3.0)\n";
    let place = place_of_six(program);
    let output = place.sweep("auto", &["--slots", "1", "--threads", "1"]).output().unwrap();
    assert_code(&output, 1);
    let told = text(&output.stderr);
    assert!(told.contains("3 runs were not trained: the first three had no result"), "{told}");
    assert!(told.contains("The keys that it told are nll"), "{told}");
    // One more may have been begun when the third had ended.
    assert!((3..=4).contains(&place.read("attempts").len()), "{told}");
    // Where the first one succeeds all are trained.
    let place = place_of_six(&format!(
        "open('attempts', 'a').write('x')\nif run['seed'] != 1:\n    say(nll=3.0)\n    sys.exit(0)\n{GOOD}"
    ));
    let output = place.sweep("auto", &["--slots", "1", "--threads", "1"]).output().unwrap();
    assert_code(&output, 1);
    assert_eq!(place.read("attempts").len(), 6, "{}", text(&output.stderr));
}

fn place_of_six(program: &str) -> Place {
    place(&small("sweep.seeds=[1, 2, 3, 4, 5, 6]", &[]), program)
}
