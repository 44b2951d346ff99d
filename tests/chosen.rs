//! Sweeps that choose their runs, in a rehearsal: limits, stop rule, resuming, and what they refuse.

use std::fs;
use std::process::Stdio;

use runner::execute::rehearsal::{BEST_RATE, NOISE, RATE_CURVATURE};

use crate::common::{Place, QUICKSTART, assert_code, assert_refused, edited, signal, text, wait_for};

/// Candidates: 9 sizes of 4 budgets, with 2 seeds.
fn spec(more: &[&str]) -> String {
    let shape = ["data.vocab=512", "model.context=4", "model.head_dim=16", "model.aspect_ratio=16.0"];
    let training = ["optimizer.learning_rate=0.01", "optimizer.batch_tokens=1024", "eval.curve_points=10"];
    let grid = ["name=chosen", "sweep.budgets=[1e12,1e13,1e14,1e15]", "sweep.sizes=9", "sweep.seeds=[1,2]"];
    let choose = ["sweep.choose=\"adaptive\"", "sweep.goal=\"tokens_per_param at 1e15\""];
    later_wins(&[&shape[..], &training, &grid, &choose, more].concat())
}

/// The quickstart with these keys set, each as it was said last.
fn later_wins(set: &[&str]) -> String {
    let key = |set: &str| set.split('=').next().unwrap().to_owned();
    let last = |at: &usize| set[at + 1..].iter().all(|later| key(later) != key(set[*at]));
    edited(QUICKSTART, &(0..set.len()).filter(last).map(|at| set[at]).collect::<Vec<_>>())
}

fn choices(place: &Place) -> Vec<serde_json::Value> {
    place.read("out/choices.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What was known of the goal: value, low, high.
fn interval(choice: &serde_json::Value) -> [f64; 3] {
    serde_json::from_value(choice["known"].clone()).unwrap()
}

#[test]
fn a_plan_says_that_its_runs_are_candidates_and_when_the_sweep_ends() {
    let place = Place::with(&spec(&["sweep.limit_flops=3e15", "sweep.stop_width=1.5"]));
    let planned = || text(&place.run(&["plan", "spec.toml", "--flops-per-second", "1e12"]).stderr);
    let said = planned();
    for words in ["candidates", "tokens_per_param at 1e15", "sweep.limit_flops = 3e15", "sweep.stop_width = 1.5"] {
        assert!(said.contains(words), "{words} is not in {said}");
    }
    // Of a tuned sweep the runs are shown that its points begin with.
    place.write("spec.toml", edited(QUICKSTART, &["sweep.tune=[\"learning_rate\", \"weight_decay\"]"]));
    let plan = place.run(&["plan", "spec.toml", "--flops-per-second", "1e12"]);
    assert!(text(&plan.stderr).contains("runs are candidates") && text(&plan.stderr).contains("5 runs a point"));
    let shown =
        text(&plan.stdout).lines().filter(|line| line.contains("value = 0.01 ") && line.contains("  0.1  ")).count();
    assert!(shown == 21 && !text(&plan.stdout).contains("Left out"), "{shown} of 21: {}", text(&plan.stdout));
    let told = text(&place.run(&["plan", "spec.toml", "--flops-per-second", "1e12", "--json"]).stdout);
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    let first = told["runs"].as_array().unwrap().iter().filter(|run| run["first"] == true).count();
    assert_eq!(first, 21);
    // How many of them are trained nobody knows before, so that no grid can be cut down to hours.
    let cut = ["plan", "spec.toml", "--flops-per-second", "1e12", "--budget-hours", "1"];
    assert_refused(&place.run(&cut), &["--budget-hours", "sweep.limit_flops"]);
    place.write("spec.toml", QUICKSTART);
    assert!(!planned().contains("candidates"));
}

#[test]
fn a_sweep_that_chooses_stops_at_its_width_and_tells_each_reason() {
    let place = Place::with(&spec(&["sweep.stop_width=1.5"]));
    let output = place.sweep("rehearsal", &["--slots", "1"]).output().unwrap();
    assert_code(&output, 0);
    let said = text(&output.stderr);
    assert!(
        said.contains("chosen: run") && said.contains("No more runs are chosen: the interval is as narrow"),
        "{said}"
    );
    let choices = choices(&place);
    let [.., last] = &choices[..] else { panic!("no choices") };
    let [value, low, high] = interval(last);
    assert!(high / low <= 1.5 && low < value && value < high, "{last}");
    assert!(last.get("run").is_none() && choices[0]["reason"].as_str().unwrap().contains("first"));
    // Every result was chosen, and fewer than half of the candidates were.
    let results = place.results().len();
    assert_eq!(results, choices.len() - 1);
    assert!(results < 36, "{results}");
    let table = place.read("out/figures/choices.csv");
    assert!(table.lines().count() == choices.len() + 1 && table.contains("takes"), "{table}");
    assert!(place.read("out/report.html").contains("What was known of tokens_per_param at 1e15"));
    // It ends with the number that the runs were chosen for, and so does the list of sweeps.
    let goal = format!("tokens_per_param at 1e15 is {value:.1} (");
    let closing = said.split("No more runs are chosen").last().unwrap();
    assert!(closing.contains(&goal), "{closing}");
    assert!(place.read("out/fits.json").contains(&goal));
    assert!(place.says(&["ls", "."]).contains(&goal));
    // Nothing is left to do.
    let again = place.sweep("rehearsal", &["--slots", "1"]).output().unwrap();
    assert_code(&again, 0);
    assert_eq!((place.results().len(), self::choices(&place).len()), (results, choices.len()));
}

#[test]
fn a_sweep_that_is_killed_goes_on_with_the_choices_it_would_have_made() {
    let more = ["sweep.limit_flops=5e14"];
    let whole = Place::with(&spec(&more));
    assert_code(&whole.sweep("rehearsal", &["--slots", "1"]).output().unwrap(), 0);
    let flops = |choice: &serde_json::Value| choice["flops"].as_f64().unwrap();
    let spent = choices(&whole).last().map(flops).unwrap();
    assert!(spent <= 5e14 && spent > 2e14, "{spent:e}");
    let place = Place::with(&spec(&more));
    let sweep = || place.sweep("rehearsal", &["--slots", "1"]);
    let mut child = sweep().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_for("results", || place.results().len() >= 7);
    signal("KILL", &[child.id()]);
    child.wait().unwrap();
    assert_code(&sweep().output().unwrap(), 0);
    assert_eq!(choices(&place), choices(&whole));
    assert_eq!(place.tables(), whole.tables());
    // A higher limit goes on from there.
    place.write("spec.toml", spec(&["sweep.limit_flops=8e14"]));
    assert_code(&sweep().output().unwrap(), 0);
    let after = choices(&place).last().map(flops).unwrap();
    assert!(after > spent && after <= 8e14, "{after:e}");
}

#[test]
fn two_slots_get_different_runs_and_every_candidate_can_be_trained() {
    let place = Place::with(&spec(&["sweep.budgets=[1e12,1e13]", "sweep.sizes=7", "sweep.stop_width=1.0000001"]));
    let output = place.sweep("rehearsal", &["--slots", "2"]).output().unwrap();
    assert_code(&output, 0);
    assert!(text(&output.stderr).contains("every candidate has been trained"), "{}", text(&output.stderr));
    let mut runs: Vec<String> = choices(&place).iter().filter_map(|c| c["run"].as_str().map(str::to_owned)).collect();
    let count = runs.len();
    runs.sort();
    runs.dedup();
    assert_eq!((runs.len(), place.results().len()), (count, count));
}

#[test]
fn what_cannot_be_chosen_is_refused_before_anything_is_written() {
    let refused = |more: &[&str], words: &[&str]| {
        let place = Place::with(&spec(more));
        assert_refused(&place.rehearse(), words);
        assert!(!place.path("out").exists(), "{more:?}");
    };
    refused(&["sweep.limit_flops=1e9"], &["sweep.limit_flops", "the cheapest takes"]);
    refused(&["sweep.limit_flops=1e15", "sweep.goal=\"loss at 1e25\""], &["cannot be told", "1e25"]);
    refused(
        &["sweep.limit_flops=1e15", "sweep.goal=\"exponent of N\"", "sweep.budgets=[1e13]"],
        &["cannot be told", "factor of 2"],
    );
    refused(&[], &["write when to stop"]);
    let axis = "sweep.axes={\"optimizer.beta2\"=[0.95,0.99]}";
    refused(&["sweep.limit_flops=1e15", axis], &["optimizer.beta2", "sweep.choose knows"]);
    let place = Place::with(QUICKSTART);
    let set = ["sweep", "spec.toml", "--device", "rehearsal", "--set", "sweep.goal=\"exponent of N\""];
    assert_refused(&place.run(&set), &["sweep.goal", "sweep.choose"]);
    let set = ["sweep", "spec.toml", "--device", "rehearsal", "--set", "sweep.goal=\"what to do\""];
    assert_refused(&place.run(&set), &["sweep.goal", "is no goal", "exponent of N"]);
}

/// Seven sizes at two budgets, each with its own best rate.
fn tuned(more: &[&str]) -> String {
    let shape = ["name=tuned", "data.vocab=512", "model.context=4", "model.head_dim=16", "model.aspect_ratio=16.0"];
    let training = ["optimizer.learning_rate=0.03", "optimizer.batch_tokens=1024", "sweep.tune=[\"learning_rate\"]"];
    let grid = ["sweep.budgets=[1e12,1e13]", "sweep.sizes=7", "sweep.seeds=[1]", "eval.curve_points=10"];
    later_wins(&[&shape[..], &training, &grid, more].concat())
}

#[test]
fn each_point_is_tuned_until_its_best_rate_lies_between_two_worse_ones() {
    let place = Place::with(&tuned(&[]));
    let output = place.sweep("rehearsal", &["--slots", "2"]).output().unwrap();
    assert_code(&output, 0);
    let said = text(&output.stderr).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("13 points have their best settings between two worse ones"), "{said}");
    // Far fewer than the whole lattice of 9 rates.
    let results = place.results().len();
    assert!((13 * 3..13 * 8).contains(&results), "{results}");
    let table = place.read("out/runs.csv");
    let mut reader = csv::Reader::from_reader(table.as_bytes());
    let rows: Vec<std::collections::BTreeMap<String, String>> = reader.deserialize().map(Result::unwrap).collect();
    let mut by_size: std::collections::BTreeMap<(String, String), Vec<(f64, f64)>> = std::collections::BTreeMap::new();
    for row in &rows {
        let pair = (row["learning_rate"].parse().unwrap(), row["val_loss"].parse().unwrap());
        // Rehearsals count the parameters so.
        let params = row["params_blocks_and_unembedding"].clone();
        by_size.entry((row["flop_budget"].clone(), params)).or_default().push(pair);
    }
    let [at_1e5, exponent] = BEST_RATE;
    // In octaves, 0.78: half a step of the lattice, whose rates are a factor of 2 apart, and what noise adds. Rates 0.5 - x and
    // 0.5 + x from the optimum differ by 2x times RATE_CURVATURE; four standard deviations of the noise of two runs hide that.
    let off_by = 0.5 + 4.0 * NOISE * 2_f64.sqrt() / (2.0 * RATE_CURVATURE);
    for ((budget, params), mut pairs) in by_size {
        pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
        let best = (0..pairs.len()).min_by(|&i, &j| pairs[i].1.total_cmp(&pairs[j].1)).unwrap();
        assert!(best > 0 && best + 1 < pairs.len(), "{budget} {params}: {pairs:?}");
        let expected = at_1e5 * (params.parse::<f64>().unwrap() / 1e5).powf(exponent);
        let octaves = (pairs[best].0 / expected).log2();
        assert!(octaves.abs() < off_by, "{params}: {} is {octaves} octaves from {expected}", pairs[best].0);
    }
    // The curves are of what was tuned, and a second call has nothing to do.
    assert!(place.read("out/fits.json").contains("the best of what was tuned"));
    assert_code(&place.sweep("rehearsal", &["--slots", "2"]).output().unwrap(), 0);
    assert_eq!(place.results().len(), results);
}

/// Batches below one sequence come to one sequence, so that a point has fewer of them than the lattice.
#[test]
fn a_point_begins_with_the_settings_of_its_spec() {
    let batch =
        ["optimizer.batch_tokens=16", "sweep.tune=[\"learning_rate\", \"batch_tokens\"]", "sweep.limit_flops=3e12"];
    let place = Place::with(&tuned(&batch));
    assert_code(&place.sweep("rehearsal", &["--slots", "1"]).output().unwrap(), 0);
    let first = choices(&place).into_iter().next().unwrap();
    assert!(first["reason"].as_str().unwrap().ends_with("optimizer.batch_tokens 1.600e1"), "{first}");
}

/// A fault that all points of a sweep have is not that of the settings of one.
#[test]
fn a_fault_of_every_point_is_told_without_settings_that_nobody_wrote() {
    let place = Place::with(&tuned(&[]));
    let said = place.refusal(&["plan", "spec.toml", "--set", "sweep.sizes=5"]);
    assert!(said.contains("sweep.sizes: 5 sizes do not show a minimum; write 7"), "{said}");
    let axis = "sweep.axes={\"optimizer.beta1\"=[0.9, 1.5]}";
    let said = place.refusal(&["plan", "spec.toml", "--set", axis]);
    assert!(said.contains("where") && said.contains("optimizer.beta1 = 1.5"), "{said}");
}

#[test]
fn tuning_keeps_to_its_limit_and_refuses_what_makes_no_sense() {
    let place = Place::with(&tuned(&["sweep.limit_flops=3e13"]));
    let output = place.sweep("rehearsal", &["--slots", "1"]).output().unwrap();
    assert_code(&output, 0);
    let said = text(&output.stderr).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("not done, as another run would exceed the limit"), "{said}");
    // A limit below the cheapest run would choose nothing, however the runs are chosen.
    for spec in [tuned(&[]), spec(&[])] {
        let place = Place::with(&spec);
        let all = ["sweep", "spec.toml", "--out", "out", "--device", "rehearsal", "--set", "sweep.limit_flops=1e6"];
        assert_refused(&place.run(&all), &["sweep.limit_flops = 1e6", "the cheapest takes"]);
        assert!(!place.path("out").exists());
    }
    for (more, words) in [
        (&["sweep.tune=[\"learning_rate\", \"learning_rate\"]"][..], &["sweep.tune", "twice"][..]),
        (&["sweep.tune=[\"width\"]"], &["sweep.tune", "learning_rate"]),
        (&["sweep.axes={\"optimizer.learning_rate\"=[0.01, 0.02]}"], &["sweep.tune", "an axis too"]),
        (
            &["sweep.choose=\"adaptive\"", "sweep.goal=\"exponent of N\"", "sweep.limit_flops=1e14"],
            &["sweep.tune", "remove one"],
        ),
        (&["sweep.stop_width=1.2"], &["sweep.stop_width", "sweep.choose"]),
    ] {
        let place = Place::with(&tuned(&[]));
        let set: Vec<&str> = more.iter().flat_map(|set| ["--set", *set]).collect();
        let all = [&["sweep", "spec.toml", "--device", "rehearsal"][..], &set].concat();
        assert_refused(&place.run(&all), words);
    }
}

/// Two sweeps of one surface: all runs of the three lower budgets, then choosing among those of the highest.
#[test]
fn choosing_begins_with_what_was_trained_before() {
    let place = Place::with("");
    let sweep = |name: &str, spec: String| {
        place.write(&format!("{name}.toml"), spec);
        let file = format!("{name}.toml");
        let output = place.run(&["sweep", &file, "--device", "rehearsal", "--slots", "1", "--out", name]);
        assert_code(&output, 0);
        text(&output.stderr)
    };
    let grid = ["data.vocab=512", "model.context=4", "model.head_dim=16", "model.aspect_ratio=16.0", "sweep.sizes=9"];
    let before = ["sweep.budgets=[1e12,1e13,1e14]", "optimizer.learning_rate=0.01", "optimizer.batch_tokens=1024"];
    sweep("old", later_wins(&[&grid[..], &before, &["eval.curve_points=10", "sweep.seeds=[1]"]].concat()));
    // Of one budget alone no run could be chosen for an exponent, and the first five would tell of no budget.
    let goal = ["sweep.budgets=[1e15]", "sweep.goal=\"exponent of N\"", "sweep.limit_flops=6e15"];
    place.write("out.toml", spec(&goal));
    assert_refused(&place.run(&["sweep", "out.toml", "--device", "rehearsal", "--out", "out"]), &["cannot be told"]);
    let said = sweep("out", spec(&[&goal[..], &["sweep.known=[\"old\"]"]].concat()));
    assert!(said.contains("known already: 26 runs of old, from 1e12 to 1e14 FLOPs"), "{said}");
    // A run counts once, whatever its table is called.
    fs::copy(place.path("old/runs.csv"), place.path("copy.csv")).unwrap();
    let said = sweep("twice", spec(&[&goal[..], &["sweep.known=[\"old\", \"copy.csv\"]"]].concat()));
    assert!(said.contains("copy.csv: 26 of them are in a table that is named before"), "{said}");
    assert_eq!(place.read("twice/choices.jsonl"), place.read("out/choices.jsonl"));
    let choices = choices(&place);
    // What the first run would tell was known before it.
    let [_, low, high] = interval(&choices[0]);
    assert!(choices[0]["gain"].is_number() && low < high, "{}", choices[0]);
    let [value, low, high] = interval(choices.last().unwrap());
    assert!(low < 0.5 && 0.4 < high && high - low < 0.2, "{value} ({low} to {high})");
    assert_eq!(fs::read_to_string(place.path("out/runs.csv")).unwrap().lines().count(), choices.len());
    // Both as one: the runs of the first sweep and those that were chosen.
    assert_code(&place.run(&["merge", "both", "old", "out"]), 0);
    assert_eq!(place.read("both/runs.csv").lines().count(), 26 + choices.len());
}

#[test]
fn what_is_known_must_be_a_table_of_other_runs() {
    let place = Place::with("");
    let refused = |known: &str, words: &[&str]| {
        place.write("spec.toml", spec(&["sweep.limit_flops=1e15", &format!("sweep.known={known}")]));
        assert_refused(&place.rehearse(), words);
        assert!(!place.path("out").exists(), "{known}");
    };
    refused("[\"none.csv\"]", &["sweep.known", "none.csv"]);
    place.write("losses.csv", "params,tokens\n1e5,2e6\n");
    refused("[\"losses.csv\"]", &["sweep.known", "losses.csv", "loss"]);
    place.write("blocks.csv", "params_non_embedding,tokens,loss\n1e5,2e6,4.0\n");
    refused("[\"blocks.csv\"]", &["sweep.known", "blocks.csv", "non_embedding", "params"]);
    place.write("good.csv", "params,tokens,loss\n1e5,2e6,4.0\n2e5,2e6,3.9\n");
    let axis = "sweep.axes={\"optimizer.learning_rate\"=[0.01,0.02]}";
    place.write("spec.toml", spec(&["sweep.limit_flops=1e15", "sweep.known=[\"good.csv\"]", axis]));
    assert_refused(&place.rehearse(), &["sweep.known", "good.csv", "optimizer.learning_rate", "learning_rate"]);
    place.write("spec.toml", edited(QUICKSTART, &["sweep.known=[\"good.csv\"]"]));
    assert_refused(&place.rehearse(), &["sweep.known", "sweep.choose"]);
    // Its own folder.
    place.write("spec.toml", spec(&["sweep.limit_flops=1e13", "sweep.budgets=[1e12,1e13]"]));
    assert_code(&place.rehearse(), 0);
    place.write("spec.toml", spec(&["sweep.limit_flops=1e13", "sweep.budgets=[1e12,1e13]", "sweep.known=[\"./out\"]"]));
    assert_refused(&place.rehearse(), &["sweep.known", "./out", "this sweep's own"]);
}
