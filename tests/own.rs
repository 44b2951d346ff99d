//! Sweeps over models of any shape, which a program makes from keys of its own: `[[sweep.models]]`.

use std::fmt::Write as _;

use crate::common::{Place, assert_code, assert_refused, text};

/// A program that knows its own models: the loss is planted in N and D, with N by its own count.
const PROGRAM: &str = r#"
import json, math, sys
run = json.load(open(sys.argv[-1]))
config = run["config"]
n = 12 * config["n_layer"] * config["n_embd"] ** 2
if "--count" in sys.argv:
    print("counting", file=sys.stderr)
    print(json.dumps({"params": n + 2 * run["vocab"] * config["n_embd"], "params_non_embedding": n, "flops_per_token": 6 * n}))
    sys.exit()
d = run["tokens"]
assert run["params_non_embedding"] == n, (run["params_non_embedding"], n)
for i in range(1, 11):
    print(json.dumps({"tokens": d * i / 10, "loss": 5.0 - i / 10, "grad_norm": 1.0 / i}))
loss = 1.8 + 400 / n**0.34 + 410 / d**0.28 + config.get("dropout", 0)
print(json.dumps({"val_loss": loss, "accuracy": 0.5, "note": "ok", "nothing": None}))
"#;

const HEAD: &str = r#"
name = "own"
[model]
context = 256
[data]
vocab = 1000
[optimizer]
batch_tokens = 256
[train]
command = ["python3", "train.py", "{config}"]
inputs = ["train.py"]
"#;

const FORMULAS: &str = r#"
[train.count]
params_non_embedding = "12 * n_layer * n_embd^2"
params = "params_non_embedding + 2 * vocab * n_embd"
flops_per_token = "6 * params_non_embedding"
"#;

const COMMAND: &str = "\n[train.count]\ncommand = [\"python3\", \"train.py\", \"--count\", \"{config}\"]\n";

/// Enough of the models around the optima.
const SPREAD: &str = "sizes = 7\nspread = 4.0\nexpected_tokens_per_param = 6.0\n";

const GRID: &str = "\n[sweep]\nbudgets = [1e12, 1e13, 1e14]\nmin_steps = 50\nseeds = [1]\n";

/// Models of width 8 times their depth and more.
fn models(count: usize) -> String {
    (0..count).fold(String::new(), |mut text, i| {
        let width = 32 + 16 * i;
        let _ = write!(text, "\n[[sweep.models]]\nconfig = {{ n_layer = {}, n_embd = {width} }}\n", 2 + i / 2);
        text
    })
}

fn place(parts: &[&str]) -> Place {
    let place = Place::with(&parts.concat());
    place.write("train.py", PROGRAM);
    place
}

fn sweep(place: &Place) -> std::process::Output {
    place.sweep("auto", &["--slots", "2", "--threads", "1"]).output().unwrap()
}

/// Cells of a column of `runs.csv`.
fn column(place: &Place, name: &str) -> Vec<String> {
    column_of(place, "runs.csv", name)
}

fn column_of(place: &Place, table: &str, name: &str) -> Vec<String> {
    let table = place.read(&format!("out/{table}"));
    let mut reader = csv::Reader::from_reader(table.as_bytes());
    let at = reader.headers().unwrap().iter().position(|header| header == name);
    let at = at.unwrap_or_else(|| panic!("no column {name} in {}", table.lines().next().unwrap()));
    reader.records().map(|row| row.unwrap()[at].to_owned()).collect()
}

#[test]
fn models_that_only_a_program_knows_are_planned_trained_and_fitted_by_its_own_counts() {
    if !crate::program::python() {
        return;
    }
    let place = place(&[HEAD, FORMULAS, GRID, SPREAD, &models(14)]);
    assert_code(&sweep(&place), 0);
    let fits: serde_json::Value = serde_json::from_str(&place.read("out/fits.json")).unwrap();
    let fits = fits["approach2"].as_array().unwrap();
    // What the program does not count is not fitted.
    let countings: Vec<&str> = fits.iter().map(|fit| fit["counting"].as_str().unwrap()).collect();
    assert_eq!(countings, ["all", "non_embedding"]);
    let exponent = fits[1]["n_opt"]["exponent"]["value"].as_f64().unwrap();
    assert!((exponent - 0.28 / 0.62).abs() < 0.05, "{exponent}");
    let at = column(&place, "config.n_embd").iter().position(|width| width == "64").unwrap();
    assert_eq!(column(&place, "model")[at], "n_embd=64 n_layer=3");
    assert_eq!(column(&place, "params_non_embedding")[at], "147456");
    assert_eq!(column(&place, "params")[at], (147_456 + 128_000).to_string());
    for empty in ["width", "depth", "params_blocks_and_unembedding", "flops_per_token_palm", "learning_rate"] {
        assert_eq!(column(&place, empty)[0], "", "{empty}");
    }
    assert!(column_of(&place, "curves.csv", "learning_rate").iter().all(String::is_empty));
    // Whatever else the program tells is a column, with its last value.
    assert_eq!(column(&place, "told.accuracy")[0], "0.5");
    assert_eq!(column(&place, "told.grad_norm")[0], "0.1");
    assert_eq!(column(&place, "told.note")[0], "ok");
    assert!(!place.read("out/runs.csv").contains("told.nothing"));
    let shown = place.says(&["show", &column(&place, "id")[0], "--in", "."]);
    assert!(shown.contains(&column(&place, "model")[0]), "{shown}");
    // What nobody told is not shown: it has a rate of its own, and told no standard error.
    assert!(!shown.contains("learning rate") && !shown.contains("±"), "{shown}");
    assert!(shown.contains("training loss") && shown.contains("256 tokens, "), "{shown}");
    // More budgets are more runs of the same sweep.
    let longer = GRID.replace("1e14", "1e14, 3e14");
    let before = place.results();
    place.write("spec.toml", [HEAD, FORMULAS, &longer, SPREAD, &models(14)].concat());
    assert_code(&sweep(&place), 0);
    assert!(place.results().len() > before.len() && before.iter().all(|path| path.exists()));
    // Another way to count is no other run. (Far other counts would ask for other models at a budget.)
    let recounted = FORMULAS.replace("2 * vocab", "2.001 * vocab");
    place.write("spec.toml", [HEAD, &recounted, &longer, SPREAD, &models(14)].concat());
    let again = sweep(&place);
    assert_code(&again, 0);
    let at = column(&place, "config.n_embd").iter().position(|width| width == "64").unwrap();
    assert_eq!(column(&place, "params")[at], (147_456 + 128_064).to_string());
}

/// Models of the same counts are different points where each has its own best setting.
#[test]
fn models_that_differ_in_a_key_of_the_program_alone_are_tuned_apart() {
    let twins = "\n[[sweep.models]]\nconfig = { n_layer = 2, n_embd = 64 }\n[[sweep.models]]\nconfig = { n_layer = 2, n_embd = 64, \
                 dropout = 0.1 }\n";
    let tune = "\n[sweep]\nbudgets = [1e12]\nmin_steps = 50\nseeds = [1]\ntune = [\"learning_rate\"]\n";
    let head = HEAD.replace("[optimizer]\n", "[optimizer]\nlearning_rate = 0.01\n");
    let place = place(&[&head, FORMULAS, tune, twins]);
    let output = place.run(&["plan", "spec.toml"]);
    assert!(text(&output.stderr).contains("18 runs are candidates"), "{}", text(&output.stderr));
    let shown = text(&output.stdout).lines().filter(|line| line.contains("n_embd=64")).count();
    assert_eq!(shown, 2, "{}", text(&output.stdout));
}

#[test]
fn a_question_may_go_by_a_key_that_models_differ_in() {
    let sweep = "\n[sweep]\nbudgets = [1e12]\nmin_steps = 50\nseeds = [1]\naxes = { \"optimizer.learning_rate\" = [0.01, 0.02] }\n";
    let refused = |by: &str| {
        let asked = format!("\n[fit]\nlaw = \"optimum\"\nby = \"{by}\"\ntuned = [\"optimizer.learning_rate\"]\n");
        let place = place(&[HEAD, FORMULAS, sweep, &models(2), &asked]);
        text(&place.run(&["plan", "spec.toml", "--device", "rehearsal"]).stderr)
            .contains("is not an axis of this sweep")
    };
    assert!(!refused("config.n_embd") && refused("config.n_heads") && refused("n_embd"));
}

#[test]
fn a_program_that_counts_its_models_is_asked_once_for_each() {
    if !crate::program::python() {
        return;
    }
    let place = place(&[HEAD, COMMAND, GRID, SPREAD, &models(14)]);
    let plan =
        place.says(&["plan", "spec.toml", "--device", "rehearsal", "--flops-per-second", "1e12", "--price", "2"]);
    assert!(plan.contains("n_embd=64 n_layer=3"), "{plan}");
    let output = sweep(&place);
    assert_code(&output, 0);
    assert!(text(&output.stderr).contains("for the counts of 14 models"), "{}", text(&output.stderr));
    assert_eq!(column(&place, "params_non_embedding").iter().filter(|count| count.is_empty()).count(), 0);
    let budgets = column(&place, "flop_budget");
    for budget in ["1000000000000", "10000000000000", "100000000000000"] {
        let sizes = budgets.iter().filter(|other| *other == budget).count();
        assert!((4..=7).contains(&sizes), "{sizes} sizes at {budget}");
    }
    // The counts are in the spec beside the results: nothing asks again.
    assert!(place.read("out/spec.toml").contains("flops_per_token = 884736.0"), "{}", place.read("out/spec.toml"));
    assert_code(&place.run(&["ledger", "rebuild", "out"]), 0);
}

#[test]
fn keys_of_the_program_are_axes() {
    if !crate::program::python() {
        return;
    }
    let axes = "axes = { \"train.config.dropout\" = [0.0, 0.1] }\n";
    let grid = GRID.replace("budgets = [1e12, 1e13, 1e14]\n", axes);
    let place = place(&[HEAD, FORMULAS, "[schedule]\ntokens = 1e6\n", &grid, &models(2)]);
    assert_code(&sweep(&place), 0);
    assert_eq!(column(&place, "axis.train.config.dropout"), ["0.0", "0.0", "0.1", "0.1"]);
    let losses: Vec<f64> = column(&place, "val_loss").iter().map(|loss| loss.parse().unwrap()).collect();
    assert!((losses[2] - losses[0] - 0.1).abs() < 1e-9, "{losses:?}");
}

#[test]
fn imported_runs_and_those_of_a_program_make_one_sweep() {
    if !crate::program::python() {
        return;
    }
    let grid = GRID.replace("budgets = [1e12, 1e13, 1e14]\n", "");
    let place = place(&[HEAD, FORMULAS, "[schedule]\ntokens = 1e6\n", &grid, &models(2)]);
    assert_code(&sweep(&place), 0);
    place.write("old.csv", "params,tokens,loss\n1e5,2e6,4.1\n2e5,2e6,3.9\n3e5,2e6,3.8\n");
    assert_code(&place.run(&["import", "old.csv", "--out", "old"]), 0);
    assert_code(&place.run(&["merge", "both", "old", "out"]), 0);
    assert_eq!(place.read("both/runs.csv").lines().count(), 1 + 3 + 2);
}

#[test]
fn the_plan_of_a_program_measures_no_speed_and_starts_nothing() {
    for head in [HEAD, &HEAD.replace("python3", "no-such-program")] {
        let place = place(&[head, FORMULAS, GRID, SPREAD, &models(14)]);
        let plan = ["plan", "spec.toml", "--device", "cpu"];
        let output = place.run(&plan);
        assert_code(&output, 0);
        assert!(text(&output.stderr).contains("speed of a program is not measured; give --flops-per-second"));
        assert_eq!(place.says(&plan), place.says(&["plan", "spec.toml", "--device", "rehearsal"]));
        let json: serde_json::Value = serde_json::from_str(&place.says(&[&plan[..], &["--json"]].concat())).unwrap();
        assert!(json["device_hours"].is_null(), "{json}");
        assert!(place.says(&[&plan[..], &["--flops-per-second", "1e12"]].concat()).contains("device hours"));
    }
}

#[test]
fn of_a_program_that_diverges_no_keys_are_told_that_its_spec_does_not_have() {
    if !crate::program::python() {
        return;
    }
    let place = place(&[
        HEAD,
        FORMULAS,
        "[schedule]\ntokens = 1e6\n",
        &GRID.replace("budgets = [1e12, 1e13, 1e14]\n", ""),
        &models(2),
    ]);
    let diverges = PROGRAM.replace("loss = 1.8", "loss = math.inf if config[\"n_embd\"] == 48 else 1.8");
    place.write("train.py", diverges);
    let output = sweep(&place);
    assert_code(&output, 0);
    let told = text(&output.stderr);
    assert!(told.contains("its loss was not a finite number. What to try is the program's own to set"), "{told}");
    for word in ["training loss", "optimizer.", "1.0e0", "Its rate"] {
        assert!(!told.contains(word), "{word} in {told}");
    }
}

#[test]
fn a_rehearsal_needs_no_program() {
    let place = place(&[&HEAD.replace("python3", "no-such-program"), FORMULAS, GRID, &models(10)]);
    assert_code(&place.rehearse(), 0);
}

#[test]
fn what_is_wrong_with_models_and_their_counts_is_told() {
    let two = models(2);
    let count = |formula: &str| format!("\n[train.count]\nparams = \"{formula}\"\nflops_per_token = \"6 * params\"\n");
    for (parts, said) in [
        ([HEAD, "", GRID, &two], &["sweep.models[0].params", "missing: nothing counts this model"][..]),
        ([HEAD, &count("12 * layers"), GRID, &two], &["train.count.params", "\"layers\" is no number", "n_embd"]),
        ([HEAD, &count("12 * * n_layer"), GRID, &two], &["train.count.params"]),
        ([HEAD, &count("n_layer - 100"), GRID, &two], &["sweep.models[0].params", "no number of parameters"]),
        ([HEAD, FORMULAS, GRID, &(models(1) + &models(1))], &["same config as another model"]),
        ([HEAD, &COMMAND.replace("{config}", "it"), GRID, &two], &["train.count.command", "{config}"]),
        ([HEAD.replace("context = 256", "context = 256\nwidth = 64").as_str(), FORMULAS, GRID, &two], &["model.width"]),
        ([&HEAD[..HEAD.find("[train]").unwrap()], "", GRID, &two], &["sweep.models", "train.command"]),
    ] {
        let place = place(&parts);
        let output = place.run(&["plan", "spec.toml", "--device", "rehearsal", "--flops-per-second", "1e12"]);
        assert_eq!(output.status.code(), Some(2), "{said:?}: {}", text(&output.stdout));
        let told = text(&output.stderr);
        for word in said {
            assert!(told.contains(word), "{word} in {told}");
        }
    }
}

#[test]
fn a_count_that_fails_names_the_model() {
    if !crate::program::python() {
        return;
    }
    for (program, said) in [
        ("import sys; sys.exit('no such layer')", &["sweep.models[0]", "n_embd=32", "no such layer"][..]),
        ("print('{\"parameters\": 3}')", &["printed no line such as", "parameters"]),
        ("print('{\"params\": 1e6}')", &["told no flops_per_token", "both params and flops_per_token"]),
        ("print('{\"params\": 0, \"flops_per_token\": 3}')", &["no number of parameters"]),
        ("import time; time.sleep(100)", &["printed nothing for 1 s"]),
    ] {
        // Python itself may take its time on a machine under load.
        let head = format!("{HEAD}patience_seconds = {}\n", if program.contains("sleep") { 1 } else { 100 });
        let place = place(&[&head, COMMAND, GRID, &models(2)]);
        place.write("train.py", program);
        assert_refused(&sweep(&place), said);
    }
}
