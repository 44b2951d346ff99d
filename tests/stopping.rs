//! Runs of a tuning grid that are stopped early (`sweep.stop_early`): what is saved, what is kept, and what is refused.

use std::collections::BTreeMap;
use std::process::Stdio;

use serde_json::Value;

use crate::common::{
    Place, QUICKSTART, assert_code, assert_refused, assert_said, edited, repository, signal, wait_for,
};
use crate::program::python;

const RATES: &str = "sweep.axes.\"optimizer.learning_rate\"=[0.0003, 0.00125, 0.005, 0.02, 0.08]";
const RULE: &str = "sweep.stop_early={margin = 1.5, after = 0.2}";

/// Eight sizes, five rates each, and the best of each size counts.
fn spec(more: &[&str]) -> String {
    let alone = ["sweep.budgets=", "sweep.sizes=", "sweep.spread=", "sweep.expected_tokens_per_param="];
    let shape = ["name=stopping", "model.aspect_ratio=", "model.width=64", "model.depth=2", "schedule.tokens=1e8"];
    let sizes = ["sweep.axes.\"model.width\"=[64, 128, 256, 512]", "sweep.axes.\"model.depth\"=[1, 2]", RATES];
    let fit = ["fit.law=params", "fit.tuned=[\"optimizer.learning_rate\"]"];
    edited(&edited(QUICKSTART, &[&alone[..], &shape, &sizes, &fit].concat()), more)
}

/// The rows of `runs.csv`.
fn rows(place: &Place) -> Vec<BTreeMap<String, String>> {
    csv::Reader::from_reader(place.read("out/runs.csv").as_bytes()).deserialize().map(Result::unwrap).collect()
}

fn count(place: &Place, status: &str) -> usize {
    rows(place).iter().filter(|row| row["status"] == status).count()
}

/// The least loss of each size.
fn best(place: &Place) -> BTreeMap<[String; 2], String> {
    let mut best = BTreeMap::<[String; 2], f64>::new();
    for row in rows(place).iter().filter(|row| row["status"] == "finished") {
        let loss = best.entry(["width", "depth"].map(|name| row[name].clone())).or_insert(f64::INFINITY);
        *loss = loss.min(row["val_loss"].parse().unwrap());
    }
    best.into_iter().map(|(size, loss)| (size, loss.to_string())).collect()
}

fn one_slot(place: &Place) -> std::process::Output {
    let output = place.sweep("rehearsal", &["--slots", "1"]).output().unwrap();
    assert_code(&output, 0);
    output
}

fn fits(place: &Place) -> Value {
    serde_json::from_str(&place.read("out/fits.json")).unwrap()
}

#[test]
fn bad_runs_are_stopped_no_best_one_is_and_everybody_knows() {
    let whole = Place::with(&spec(&[]));
    one_slot(&whole);
    let place = Place::with(&spec(&[RULE]));
    let output = one_slot(&place);
    let (finished, stopped) = (count(&place, "finished"), count(&place, "stopped"));
    assert!(stopped >= 16 && finished >= 16 && finished + stopped == 40, "{finished} finished, {stopped} stopped");
    assert_eq!(best(&place), best(&whole));
    assert_said(&output, &["stopped early after", "nats behind run", &format!("{stopped} runs stopped early")]);
    assert_said(&output, &["FLOPs saved", "it would have stopped the best run of 0 of 8 groups (0%, 0% to 32%)"]);
    let told = fits(&place)["stopped_early"].clone();
    assert_eq!((told["stopped"].as_u64(), told["regret"]["wrong"].as_u64()), (Some(stopped as u64), Some(0)));
    let saved = told["flops_saved"].as_f64().unwrap() / told["flops"].as_f64().unwrap();
    assert!(saved > 0.2 && saved < 0.8, "{saved}");
    assert!(place.read("out/report.html").contains("Stopped early: "));
    // A loss on the way is no final loss.
    let row = rows(&place).into_iter().find(|row| row["status"] == "stopped").unwrap();
    assert!(row["val_loss"].is_empty() && !row["train_loss"].is_empty(), "{row:?}");
    let [share, at] = ["tokens", "stopped_at_tokens"].map(|name| row[name].parse::<f64>().unwrap());
    assert!(at / share >= 0.2 && at / share < 1.0, "{at} of {share}");
    assert_eq!(fits(&place)["laws"][0]["laws"], fits(&whole)["laws"][0]["laws"], "the same answer");
    // All who look at the folder.
    let id = &row["id"];
    assert!(place.says(&["status", "out"]).contains(&format!("{stopped} stopped early, 0 running, 0 waiting")));
    assert!(place.says(&["ls", "out", "--json"]).contains(&format!("\"stopped\":{stopped}")));
    assert!(place.says(&["ls", "out"]).contains("stopped early"));
    assert!(place.says(&["show", &format!("out/{id}")]).contains("nats behind run"));
    assert!(place.says(&["ledger", "check", "out"]).starts_with(&format!("{finished} results of 40 runs are whole")));
    let before = place.tables();
    place.says(&["ledger", "rebuild", "out"]);
    assert_eq!(place.tables(), before);
    place.says(&["merge", "all", "out"]);
    assert_eq!(place.read("all/runs.csv"), before[0]);
    // Tables alone tell the same.
    std::fs::remove_dir_all(place.path("out/runs")).unwrap();
    assert!(place.says(&["ls", "out"]).contains("stopped early"));
    assert!(place.says(&["show", &format!("out/{id}")]).contains("nats behind run"));
}

#[test]
fn without_the_key_stopped_runs_go_on_to_the_results_that_they_would_have_had() {
    let whole = Place::with(&spec(&[]));
    one_slot(&whole);
    let place = Place::with(&spec(&[RULE]));
    one_slot(&place);
    let stopped = count(&place, "stopped");
    // Another rule judges them again; the plan is the same.
    place.write("spec.toml", spec(&["sweep.stop_early={margin = 100.0, after = 0.2}"]));
    let again = one_slot(&place);
    let going_on = match stopped {
        1 => "1 run that was stopped early goes on from its checkpoint".to_owned(),
        stopped => format!("{stopped} runs that were stopped early go on from their checkpoints"),
    };
    assert_said(&again, &[&going_on]);
    assert!(place.read("out/spec.toml").contains("margin = 100.0"));
    place.write("spec.toml", spec(&[]));
    one_slot(&place);
    assert_eq!(place.tables(), whole.tables());
    assert!(!place.read("out/spec.toml").contains("stop_early"));
}

#[test]
fn a_sweep_that_is_killed_again_and_again_stops_the_same_runs() {
    let whole = Place::with(&spec(&[RULE]));
    one_slot(&whole);
    let place = Place::with(&spec(&[RULE]));
    for ends in [3, 13, 17, 22] {
        let mut sweep = place.sweep("rehearsal", &["--slots", "1"]);
        let mut child = sweep.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let over = || place.results().len() + place.files("out/runs", "stopped.json").len();
        wait_for("runs to end", || over() >= ends);
        signal("-KILL", &[child.id()]);
        child.wait().unwrap();
    }
    one_slot(&place);
    assert_eq!(place.tables(), whole.tables());
}

#[test]
fn nothing_is_stopped_where_too_little_can_be_known() {
    let place = Place::with(&spec(&["sweep.axes.\"model.width\"=", "sweep.axes.\"model.depth\"=", RULE]));
    let output = one_slot(&place);
    assert_said(&output, &["no run can be stopped before 8 have finished beside the best", "this grid has 4"]);
    assert_eq!((count(&place, "finished"), count(&place, "stopped")), (5, 0));
    assert_said(&output, &["Stopped early: 0 of 5 runs", "cannot be measured"]);
}

#[test]
fn grids_whose_runs_all_count_are_refused_with_what_to_write() {
    let refusal = |more: &[&str]| {
        let place = Place::with(&edited(&spec(&[RULE]), more));
        place.refusal(&["plan", "spec.toml"])
    };
    let isoflop = Place::with(&edited(QUICKSTART, &[RULE])).refusal(&["sweep", "spec.toml"]);
    assert!(isoflop.contains("spec.toml:") && isoflop.contains("sweep.stop_early: does not belong here"), "{isoflop}");
    assert!(isoflop.contains("points of an IsoFLOP curve"), "{isoflop}");
    for (more, words) in [
        (&["fit="][..], "fit.tuned names nothing"),
        (&["fit.law=optimum", "fit.by=model.width"], "both sides of the best value"),
        (&["schedule.flops=1e12", "schedule.tokens="], "points of an IsoFLOP curve"),
        (&["sweep.tune=[\"weight_decay\"]"], "sweep.tune needs"),
        (&["sweep.share_trunk=true", "schedule.kind=wsd", "schedule.decay_fraction=0.2"], "sweep.share_trunk"),
        (&["sweep.axes.\"optimizer.learning_rate\"=[0.01]"], "no two runs differ in optimizer.learning_rate alone"),
        (&["sweep.stop_early.margin=-1.5"], "-1.5 is not a multiple of what was measured"),
        (&["sweep.stop_early.margin=nan"], "NaN is not a multiple"),
        (&["sweep.stop_early.margin=0.5"], "from 1 to 100"),
        (&["sweep.stop_early.after=1.0"], "1 is not a share of a run"),
        (&["sweep.stop_early.after=-0.1"], "write a number from 0 to below 1"),
        (&["sweep.stop_early={margin = 1.5}"], "after"),
    ] {
        let said = refusal(more);
        assert!(said.contains(words), "{words:?} is not in {said}");
    }
    let adaptive = ["sweep.choose=adaptive", "sweep.goal=\"loss at 1e13\"", "sweep.limit_flops=1e14"];
    let chosen = Place::with(&edited(QUICKSTART, &[&[RULE][..], &adaptive].concat()));
    assert_refused(&chosen.run(&["plan", "spec.toml"]), &["sweep.choose learns from the final loss"]);
}

/// A program whose rates are bad from the start, and which keeps its place when it is asked to stop.
const PROGRAM: &str = r#"
import json, math, os, signal, sys
run = json.load(open(sys.argv[1]))
d, state = run["tokens"], os.path.join(run["folder"], "state")
rate = float(run["axes"]["optimizer.learning_rate"])
loss = lambda d: 2 + 100 / d**0.3 + 0.05 * math.log(rate / 0.005)**2
first = int(open(state).read()) if os.path.exists(state) else 0
stop = []
signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
if first:
    open(os.path.join(run["folder"], "went-on"), "w").close()
for i in range(first + 1, 21):
    print(json.dumps(dict(step=run["steps"] * i // 20, loss=loss(d * i / 20))), flush=True)
    open(state, "w").write(str(i))
    if i < 20:
        signal.sigtimedwait([signal.SIGUSR1], 0.02)
    if stop:
        sys.exit(75)
print(json.dumps(dict(val_loss=loss(d))), flush=True)
"#;

#[test]
fn a_program_is_asked_to_stop_and_goes_on_from_its_own_checkpoint() {
    if !python() {
        return;
    }
    let command = ["train.command=[\"python3\", \"train.py\", \"{config}\"]", "train.inputs=[\"train.py\"]"];
    let grid = ["sweep.axes.\"model.width\"=[64, 128, 256]", "sweep.axes.\"model.depth\"=", "eval.curve_points=20"];
    let of = |more: &[&str]| spec(&[&command[..], &grid, more].concat());
    let place = Place::with(&of(&[RULE]));
    place.write("train.py", PROGRAM);
    assert_code(&place.sweep("cpu", &["--slots", "2", "--threads", "1"]).output().unwrap(), 0);
    let stopped = count(&place, "stopped");
    assert!(stopped > 0 && count(&place, "finished") + stopped == 15, "{stopped}");
    place.write("spec.toml", of(&[]));
    assert_code(&place.sweep("cpu", &["--slots", "2", "--threads", "1"]).output().unwrap(), 0);
    assert_eq!(count(&place, "finished"), 15);
    assert_eq!(place.files("out/runs", "went-on").len(), stopped);
}

/// A run that is stopped by a point that an earlier attempt told: nothing of its speed is known then.
#[test]
fn a_program_is_stopped_by_what_it_told_before_it_was_interrupted() {
    if !python() {
        return;
    }
    let command = ["train.command=[\"python3\", \"train.py\", \"{config}\"]", "train.inputs=[\"train.py\"]"];
    let grid = ["sweep.axes.\"model.width\"=[64, 128, 256]", "sweep.axes.\"model.depth\"=", "eval.curve_points=20"];
    let of = |more: &[&str]| spec(&[&command[..], &grid, more].concat());
    let place = Place::with(&of(&[]));
    let waits = "    if i == 10 and not first and rate == 0.08 and run[\"axes\"][\"model.width\"] == \"64\":\n        \
                 open(\"waiting\", \"w\").close()\n        signal.pause()\n    if stop:";
    place.write("train.py", PROGRAM.replace("    if stop:", waits));
    let mut first = place.sweep("cpu", &["--slots", "2", "--threads", "1"]);
    let mut first = first.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_for("all runs but one", || place.path("waiting").exists() && place.results().len() == 14);
    signal("-INT", &[first.id()]);
    assert_eq!(first.wait().unwrap().code(), Some(75));
    place.write("spec.toml", of(&[RULE]));
    for _ in 0..2 {
        assert_code(&place.sweep("cpu", &["--slots", "2", "--threads", "1"]).output().unwrap(), 0);
        assert_eq!((count(&place, "finished"), count(&place, "stopped")), (14, 1));
    }
    let [file] = &place.files("out/runs", "stopped.json")[..] else { panic!("one run is stopped") };
    let stopped: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    // What the attempt before had taken up to there counts.
    let curve = std::fs::read_to_string(file.with_file_name("program").join("curve.jsonl")).unwrap();
    let points = curve.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let kept = points.filter(|kept| kept["step"] == stopped["step"]).map(|kept| kept["seconds"].as_f64().unwrap());
    let [kept] = kept.collect::<Vec<_>>()[..] else { panic!("the point is kept: {curve}") };
    assert!(kept > 0.0 && stopped["seconds"].as_f64().is_some_and(|seconds| seconds >= kept), "{kept}: {stopped}");
}

#[test]
fn what_stopping_would_have_saved_on_published_grids_stands_in_the_docs() {
    let docs = std::fs::read_to_string(repository().join("docs/choosing.md")).unwrap();
    let place = Place::new();
    let rate = "optimizer.learning_rate";
    for (sweep, tuned) in [
        ("laws-optimizer", &[rate][..]),
        ("mup-transfer", &[rate]),
        ("tune", &[rate]),
        ("tune", &[rate, "optimizer.batch_tokens"]),
    ] {
        let dir = repository().join("results").join(sweep);
        let flags = tuned.iter().flat_map(|axis| ["--tuned", axis]);
        let args: Vec<&str> =
            ["stop-early", dir.to_str().unwrap(), "--json", "--margin", "1.5"].into_iter().chain(flags).collect();
        let told: Value = serde_json::from_str(&place.says(&args)).unwrap();
        let of = |name: &str| told["tried"][0][name].clone();
        let share = |value: &Value| format!("{:.0}%", 100.0 * value.as_f64().unwrap());
        let fields: Vec<&str> = tuned.iter().map(|axis| axis.trim_start_matches("optimizer.")).collect();
        let regret = of("regret");
        let row = format!(
            "| [{sweep}](../results/{sweep}) | {} | {} of {} | {} | {} of {} | {} of {} ({} to {}) |",
            fields.join(", "),
            of("stopped"),
            of("runs"),
            share(&of("saved")),
            of("wrong"),
            of("groups"),
            regret["wrong"],
            regret["groups"],
            share(&regret["share"]["low"]),
            share(&regret["share"]["high"]),
        );
        assert!(docs.contains(&row), "docs/choosing.md lacks {row}");
    }
    let strange = place.refusal(&["stop-early", repository().join("results/tune").to_str().unwrap()]);
    assert!(
        strange.contains("has neither fit.tuned nor sweep.tune")
            && strange.contains("--tuned: its axes are model.depth"),
        "{strange}"
    );
}
