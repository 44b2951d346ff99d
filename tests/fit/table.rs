//! `runner fit` on good and bad tables, from the command line.

use std::fmt::Write as _;

use assert_cmd::assert::{Assert, OutputAssertExt as _};
use predicates::prelude::PredicateBooleanExt as _;
use predicates::str::contains;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::shared::data;
use super::surface::{CHINCHILLA, Runs as _, noisy};
use crate::common::Place;

/// The columns of our own runs.csv, in another order, with columns of no interest between them.
pub fn runs_csv() -> String {
    let mut text =
        "id,status,loss_note,val_loss,flop_budget,params,tokens,flops,val_loss_se,seed,params_non_embedding,\
                    params_blocks_and_unembedding\n"
            .to_owned();
    for run in noisy(CHINCHILLA.grid(&[1e18, 1e19, 1e20], 7, 4.0), 0.002, 1) {
        let (n, d) = (run.params, run.tokens);
        writeln!(text, "x,finished,,{},{},{n},{d},{},0.001,1,{},{}", run.loss, run.flops, run.flops, n * 0.9, n * 0.95)
            .unwrap();
    }
    text + "y,diverged,,,1e18,1e6,1e9,1e18,,,,\n"
}

pub fn fit(csv: impl AsRef<[u8]>, flags: &[&str]) -> Assert {
    let place = Place::new();
    place.write("runs.csv", csv);
    place.run(&[&["fit", "runs.csv"], flags].concat()).assert()
}

#[test]
fn a_run_that_stands_twice_in_a_table_counts_once() {
    let table = runs_csv();
    let (header, rows) = table.split_once('\n').unwrap();
    let said = |csv: &str| {
        let output = fit(csv, &["--bootstrap", "100"]).success().get_output().clone();
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (once, quiet) = said(&table);
    let (twice, warned) = said(&format!("{header}\n{rows}{rows}"));
    assert_eq!(once, twice);
    assert!(!quiet.contains("exact cop") && warned.contains("21 rows are exact copies"), "{warned}");
}

#[test]
fn standard_input_is_a_table_however_often_a_law_opens_it() {
    let place = Place::new();
    place.write("runs.csv", runs_csv());
    let piped = |arguments: &[&str]| {
        let table = std::fs::File::open(place.path("runs.csv")).unwrap();
        let output = place.runner(arguments).stdin(table).output().unwrap();
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    for law in [&["--bootstrap", "100"][..], &["--law", "optimum", "--by", "flop_budget", "--tuned", "params"]] {
        let named = place.says(&[&["fit", "runs.csv"], law].concat());
        let (told, said) = piped(&[&["fit", "-"], law].concat());
        assert!(!told.is_empty(), "{said}");
        assert_eq!(told, named);
    }
    let (_, said) = piped(&["fit", "-", "--by", "nothing"]);
    assert!(said.contains("-:1: there is no column 'nothing'"), "{said}");
}

#[test]
fn our_own_table_prints_three_conventions_side_by_side() {
    fit(runs_csv(), &["--bootstrap", "100"])
        .success()
        .stdout(contains("exponent of N_opt"))
        .stdout(contains("blocks_and_unembedding"))
        .stdout(contains("x beyond"))
        .stderr(contains("1 of 22 rows are not finished and are left out: 1 diverged"));
}

#[test]
fn json_is_one_object_with_the_fields_that_were_promised() {
    let output = fit(runs_csv(), &["--json", "--approach", "2"]).success();
    let object: serde_json::Value = serde_json::from_slice(&output.get_output().stdout).unwrap();
    for field in ["approach", "status", "points", "E", "A", "B", "alpha", "beta", "objective", "delta"] {
        assert!(object.get(field).is_some(), "{field}");
    }
    let (n, d) = (object["n_exponent"].as_f64().unwrap(), object["d_exponent"].as_f64().unwrap());
    assert!((n - CHINCHILLA.n_exponent()).abs() < 0.05 && (n + d - 1.0).abs() < 0.01);
    let interval = object["intervals"]["n_exponent"].as_array().unwrap();
    assert!(interval[0].as_f64().unwrap() <= n && n <= interval[1].as_f64().unwrap());
    let ratio = &object["tokens_per_param"][0];
    assert!(["flops", "value", "low", "high"].iter().all(|field| ratio[field].as_f64().unwrap() > 0.0));
    let optimum = &object["optima"][0];
    assert!(["budget", "params", "tokens", "loss", "low", "high"].iter().all(|field| optimum[field].is_f64()));
    assert_eq!(optimum["status"], "converged");
    assert_eq!(object["other_countings"][1]["counting"], "blocks_and_unembedding");
}

#[test]
fn columns_are_renamed_and_missing_tokens_taken_from_flops_only_when_asked() {
    let mut csv = "Model Size,Training FLOP,loss\n".to_owned();
    for run in CHINCHILLA.grid(&[1e18, 1e19, 1e20], 7, 4.0) {
        writeln!(csv, "{},{},{}", run.params, run.flops, run.loss).unwrap();
    }
    let columns = ["--columns", "params=Model Size,flops=Training FLOP"];
    fit(&csv, &columns).code(2).stderr(contains("'tokens'")).stderr(contains("--tokens-from-flops"));
    fit(&csv, &[&columns[..], &["--tokens-from-flops", "--approach", "2"]].concat())
        .success()
        .stdout(contains("converged"))
        .stderr(contains("as asked"));
}

#[test]
fn bad_tables_name_file_line_and_column() {
    let header = "params,tokens,flop_budget,loss\n";
    let cases: [(&str, &str); 12] = [
        ("", "runs.csv"),
        (header, "no rows"),
        ("params,tokens,flop_budget\n1,2,3\n", "no column 'val_loss'"),
        ("params,params,tokens,loss\n1,1,2,3\n", "'params' appears twice"),
        ("params,tokens,flop_budget,loss\n1e6,2e6,1e15,3\n1e6,many,1e15,3\n", "runs.csv:3: column 'tokens': 'many'"),
        (
            "params,tokens,flop_budget,loss\n-1e6,2e6,1e15,3\n",
            "runs.csv:2: column 'params': -1000000 is not above zero",
        ),
        ("params,tokens,flop_budget,loss\n0,2e6,1e15,3\n", "column 'params': 0 is not above zero"),
        ("params,tokens,flop_budget,loss\n1e6,2e6,1e15,NaN\n", "column 'loss': NaN is not above zero and finite"),
        ("params,tokens,flop_budget,loss\n1e6,2e6,1e15,\n", "runs.csv:2: column 'loss': is empty"),
        ("params,tokens,flop_budget,loss\n1e6,2e6\n", "runs.csv:2: 2 cells"),
        ("params,tokens,loss,status\n1e6,2e6,3,failed\n", "none of its 1 rows"),
        ("params,tokens,loss,val_loss_se\n1e6,2e6,3,-1\n", "column 'val_loss_se': -1"),
    ];
    for (csv, message) in cases {
        fit(csv, &[]).code(2).stderr(contains(message)).stdout("");
    }
    fit(b"params,tokens,loss\n1,2,\xff\n", &[]).code(2).stderr(contains("UTF-8"));
    fit(runs_csv(), &["--columns", "size=N"]).code(2).stderr(contains("--columns size=N"));
    fit(runs_csv(), &["--columns", "params=N"]).code(2).stderr(contains("no column 'N'"));
}

#[test]
fn a_missing_file_is_an_error_and_a_byte_order_mark_is_not() {
    assert!(Place::new().refusal(&["fit", "nowhere.csv"]).contains("nowhere.csv"));
    let rows = "\u{feff}params,tokens,flop_budget,loss\n1e6,8e9,4.8e16,3\n";
    fit(rows, &[]).success().stdout(contains("too few points"));
}

#[test]
fn one_budget_one_size_and_equal_losses_are_statuses_and_not_errors() {
    let mut csv = "params,tokens,flop_budget,loss\n".to_owned();
    for (params, tokens) in [(1e6, 8e9), (2e6, 4e9), (4e6, 2e9), (8e6, 1e9), (1.6e7, 5e8)] {
        writeln!(csv, "{params},{tokens},4.8e16,3.0").unwrap();
    }
    fit(&csv, &[]).success().stdout(contains("not identified"));
    fit(b"params,tokens,flop_budget,loss\n1e6,8e9,4.8e16,3\n", &[]).success().stdout(contains("too few points"));
}

#[test]
fn every_approach_is_one_json_object_and_surfaces_have_constants() {
    let output = fit(runs_csv(), &["--json", "--bootstrap", "100"]).success();
    let lines = String::from_utf8(output.get_output().stdout.clone()).unwrap();
    let objects: Vec<serde_json::Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let approaches: Vec<&str> = objects.iter().map(|object| object["approach"].as_str().unwrap()).collect();
    assert_eq!(approaches, ["1", "2", "3", "vpnls"]);
    for surface in &objects[2..] {
        for name in ["E", "A", "B", "alpha", "beta", "n_exponent", "d_exponent"] {
            let value = surface[name].as_f64().unwrap();
            let [low, high] = [0, 1].map(|end| surface["intervals"][name][end].as_f64().unwrap());
            assert!(low <= value && value <= high, "{name}: {low} {value} {high}");
        }
        assert!((surface["alpha"].as_f64().unwrap() - CHINCHILLA.alpha).abs() < 0.03);
        assert!(surface["forecast"]["loss_rms"].as_f64().unwrap() < 0.02);
        assert!(surface["objective"].as_f64().unwrap() > 0.0);
    }
}

#[test]
fn flags_that_make_no_sense_are_refused() {
    let csv = runs_csv();
    for (flags, message) in [
        (&["--delta", "0"][..], "--delta 0"),
        (&["--delta", "NaN"], "--delta NaN"),
        (&["--drop-highest", "21"], "leaves none"),
        (&["--bootstrap", "5"], "100"),
        (&["--approach", "4"], "vpnls"),
        // Every size was trained once.
        (&["--recount", "non-embedding"], "several runs of each size"),
        (&["--recount", "kaplan"], "non-embedding"),
        (&["--recount", "all", "--law", "flops"], "cannot be used with"),
    ] {
        fit(&csv, flags).code(2).stderr(contains(message)).stdout("");
    }
}

/// Small models are mostly head: what the head costs decides which of them is the best at a budget.
#[test]
fn counting_the_head_changes_the_exponent_of_the_same_runs() {
    let mut csv = "params,params_non_embedding,params_blocks_and_unembedding,tokens,flop_budget,loss\n".to_owned();
    for budget in [5e10, 1e11, 2e11, 4e11, 8e11] {
        for i in 0..12 {
            let blocks = 1e4 * 1.4_f64.powi(i);
            let (counted, all) = (blocks + 2e4, blocks + 4e4);
            let tokens = budget / (6.0 * counted);
            let loss = 1.7 + 400.0 / blocks.powf(0.45) + 900.0 / tokens.powf(0.45);
            writeln!(csv, "{all},{blocks},{counted},{tokens},{budget},{loss}").unwrap();
        }
    }
    let exponent = |flags: &[&str], counting: &str| {
        let flags = [&["--approach", "2", "--json", "--bootstrap", "100"], flags].concat();
        let output = fit(&csv, &flags).success();
        let object: serde_json::Value = serde_json::from_slice(&output.get_output().stdout).unwrap();
        let others = object["other_countings"].as_array().unwrap();
        others.iter().find(|other| other["counting"] == counting).unwrap()["n_exponent"].as_f64().unwrap()
    };
    let recounted = exponent(&["--recount", "non-embedding"], "non_embedding");
    let as_trained = exponent(&[], "non_embedding");
    // The loss is a symmetric surface of the blocks: half of the budget's growth goes to them where only they cost.
    assert!((recounted - 0.5).abs() < 0.02, "{recounted}");
    assert!((as_trained - recounted).abs() > 0.02, "{as_trained} and {recounted}");
}

#[test]
fn laws_of_one_variable_are_compared_on_the_command_line() {
    let mut csv = "params,tokens,loss\n".to_owned();
    for i in 0..24 {
        let params = 1e6 * 10_f64.powf(f64::from(i) / 6.0);
        writeln!(csv, "{params},1e12,{}", 1.69 + 406.4 * params.powf(-0.34)).unwrap();
    }
    fit(&csv, &["--law", "params", "--bootstrap", "100"])
        .success()
        .stdout(contains("offset"))
        .stdout(contains("0.3400"));
    fit(&csv, &["--law", "tokens"]).success().stdout(contains("different values"));
}

#[test]
fn whole_budgets_weights_and_starts_change_the_fit_and_are_said() {
    let csv = runs_csv();
    let object = |flags: &[&str]| -> serde_json::Value {
        let output = fit(&csv, &[&["--json", "--bootstrap", "100"], flags].concat()).success();
        serde_json::from_slice(&output.get_output().stdout).unwrap()
    };
    let told = [
        ("2", "losses at fixed sizes", "budgets and losses within them"),
        ("3", "runs", "budgets"),
        ("vpnls", "runs", "budgets"),
    ];
    for (approach, runs, budgets) in told {
        let (plain, whole) =
            (object(&["--approach", approach]), object(&["--approach", approach, "--resample", "budgets"]));
        assert_eq!((&plain["resampled"], &whole["resampled"]), (&runs.into(), &budgets.into()));
        assert_eq!(plain["n_exponent"], whole["n_exponent"]);
        assert_ne!(plain["intervals"], whole["intervals"], "approach {approach}");
    }
    assert_eq!(object(&["--approach", "1"])["resampled"], "whole curves");
    let weighted = object(&["--approach", "2", "--weighted"]);
    assert!((weighted["n_exponent"].as_f64().unwrap() - CHINCHILLA.n_exponent()).abs() < 0.05);
    let all = object(&["--approach", "3"])["objective"].as_f64().unwrap();
    let starts =
        ["--approach", "3", "--starts", "alpha=0.3", "--starts", "beta=0.3", "--starts", "a=6", "--starts", "b=6"];
    let few = object(&starts)["objective"].as_f64().unwrap();
    assert!((few / all - 1.0).abs() < 1e-6, "{few} {all}");
}

/// FLOPs of 6ND in all parameters, of which a tenth of a power law are not counted: the other countings must say that
/// their FLOPs are no 6ND, and find the same optima as the parabolas.
#[test]
fn surfaces_take_flops_as_the_table_counts_them() {
    let mut csv = "params,params_non_embedding,tokens,flop_budget,loss\n".to_owned();
    for run in CHINCHILLA.grid(&[1e18, 1e19, 1e20], 9, 2.0) {
        let blocks = 0.02 * run.params.powf(1.2);
        // The loss is that of the parameters that are counted.
        let loss = CHINCHILLA.loss(blocks, run.tokens);
        writeln!(csv, "{},{blocks},{},{},{loss}", run.params, run.tokens, run.flops).unwrap();
    }
    let output = fit(&csv, &["--json", "--bootstrap", "100"]).success();
    let text = String::from_utf8(output.get_output().stdout.clone()).unwrap();
    let fits: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let counted = |k: usize| &fits[k]["other_countings"][0];
    let cost = &counted(2)["cost"];
    assert!((cost["exponent"].as_f64().unwrap() - 1.0 / 1.2).abs() < 1e-6, "{cost}");
    // N_opt of the blocks grows as C^(beta/(alpha + beta/1.2)).
    let expected = CHINCHILLA.beta / (CHINCHILLA.alpha + CHINCHILLA.beta / 1.2);
    for k in [1, 2, 3] {
        let exponent = counted(k)["n_exponent"].as_f64().unwrap();
        let tolerance = if k == 1 { 0.02 } else { 1e-4 };
        assert!((exponent - expected).abs() < tolerance, "{k}: {exponent} and not {expected}");
    }
    assert_eq!(fits[2]["cost"]["exponent"], 1.0);
    fit(&csv, &["--bootstrap", "100"]).success().stdout(contains("6ND")).stdout(contains("N^0.833 D"));
}

#[test]
fn rows_that_take_no_part_are_counted_in_words_and_in_json() {
    let csv = runs_csv() + "y,crashed,,,1e18,1e6,1e9,1e18,,,,\n" + "z,finished,,NaN,1e18,1e6,1e9,1e18,,,,\n";
    fit(&csv, &[]).code(2).stderr(contains("runs.csv:25: column 'val_loss': NaN is not above zero and finite"));
    let flags = ["--skip-incomplete", "--json", "--bootstrap", "100"];
    for law in [&["--approach", "2"][..], &["--law", "params"], &["--law", "kaplan"]] {
        let output = fit(&csv, &[&flags[..], law].concat())
            .success()
            .stderr(contains("2 of 24 rows are not finished"))
            .stderr(contains("1 of 24 rows lack a number"));
        let text = String::from_utf8(output.get_output().stdout.clone()).unwrap();
        let object: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        let expected = serde_json::json!({
            "read": 24, "used": 21, "not_finished": {"crashed": 1, "diverged": 1}, "incomplete": 1
        });
        assert_eq!(object["rows"], expected, "{law:?}");
        assert!(object.get("budgets").is_none(), "budgets that are exact are not put together");
    }
}

/// Four budgets of 12 sizes, FLOPs 3% to either side: 1% makes dozens of budgets of them.
#[test]
fn budgets_are_found_by_the_gaps_between_flops() {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let mut csv = "N,D,C,L\n".to_owned();
    for run in CHINCHILLA.grid(&[1e18, 3e18, 9e18, 2.7e19], 12, 4.0) {
        let tokens = run.tokens * (1.0 + 0.03 * (2.0 * rng.random::<f64>() - 1.0));
        writeln!(csv, "{},{tokens},{},{}", run.params, 6.0 * run.params * tokens, CHINCHILLA.loss(run.params, tokens))
            .unwrap();
    }
    let fits = |flags: &[&str]| -> (Vec<serde_json::Value>, String) {
        let output = fit(&csv, &[&["--json", "--bootstrap", "100"], flags].concat()).success();
        let [out, err] =
            [&output.get_output().stdout, &output.get_output().stderr].map(|bytes| String::from_utf8_lossy(bytes));
        (out.lines().map(|line| serde_json::from_str(line).unwrap()).collect(), err.into_owned())
    };
    let (found, said) = fits(&[]);
    assert!(said.contains("note: budgets within ") && said.contains("%: 4 groups, by the gaps"), "{said}");
    assert_eq!((&found[1]["budgets"]["groups"], found[1]["optima"].as_array().unwrap().len()), (&4.into(), 4));
    for fit in &found[1..] {
        let exponent = fit["n_exponent"].as_f64().unwrap();
        assert!((exponent - CHINCHILLA.n_exponent()).abs() < 0.02, "{exponent}");
    }
    // Surfaces know what each run costs by itself.
    assert_eq!(found[2]["cost"]["exponent"], 1.0);
    let (exact, said) = fits(&["--budget-tolerance", "0.01", "--approach", "2"]);
    assert!(said.contains("budgets within 1%"), "{said}");
    assert!(exact[0]["budgets"]["groups"].as_u64().unwrap() > 8);
    for share in ["0", "0.9", "nan"] {
        fit(&csv, &["--budget-tolerance", share]).code(2).stderr(contains("0.01 to 0.5"));
    }
    fit(&csv, &["--budget-tolerance", "0.1", "--law", "params"]).code(2).stderr(contains("means nothing"));
}

#[test]
fn what_was_taken_for_what_and_what_must_be_wrong_is_said() {
    let table = |of: fn(f64, f64) -> [f64; 2]| {
        let mut csv = "Model Size,tokens_seen,loss/val\n".to_owned();
        for run in CHINCHILLA.grid(&[1e18, 1e19, 1e20], 7, 4.0) {
            let [params, tokens] = of(run.params, run.tokens);
            writeln!(csv, "{params},{tokens},{}", run.loss).unwrap();
        }
        csv
    };
    let flags = ["--approach", "2", "--bootstrap", "100"];
    let said = "columns by their names: params = 'Model Size', val_loss = 'loss/val', tokens = 'tokens_seen'";
    fit(table(|n, d| [n, d]), &flags).success().stderr(contains(said)).stderr(contains("warning").not());
    let wrong = "for instance --columns \"params=Model Size[M],tokens=tokens_seen[B]\"";
    fit(table(|n, d| [n / 1e6, d / 1e9]), &flags)
        .success()
        .stderr(contains("warning: the median run"))
        .stderr(contains(wrong));
    let columns = ["--columns", "params=Model Size[M],tokens=tokens_seen[B]"];
    fit(table(|n, d| [n / 1e6, d / 1e9]), &[&flags[..], &columns].concat()).success().stderr(contains("warning").not());
}

/// A column that is named keeps the unit of its header, unless another one is said.
#[test]
fn a_named_column_keeps_the_unit_of_its_header() {
    let mut csv = "Big [M],N,D,loss\n".to_owned();
    for run in CHINCHILLA.grid(&[1e18, 1e19, 1e20], 7, 4.0) {
        writeln!(csv, "{},{},{},{}", run.params / 1e6, run.params * 3.0, run.tokens, run.loss).unwrap();
    }
    let flags = ["--approach", "2", "--bootstrap", "100", "--columns"];
    let fitted = |columns: &str| fit(csv.clone(), &[&flags[..], &[columns]].concat()).success();
    let kept = fitted("params=Big [M],loss=loss");
    let kept = kept.stderr(contains("params = 'Big [M]' times 1000000")).stderr(contains("warning").not());
    let said = fitted("params=Big [M][1000000],loss=loss");
    assert_eq!(kept.get_output().stdout, said.get_output().stdout);
}

/// Parameters without embeddings alone, as `OLMo` tells them: the fit counts those and says so.
#[test]
fn a_table_of_non_embedding_parameters_is_fitted_as_such() {
    let csv = runs_csv().replace(",params,", ",size,").replace("params_blocks_and_unembedding", "other");
    let output = fit(csv, &["--approach", "2", "--json", "--bootstrap", "100"])
        .success()
        .stderr(contains("'params_non_embedding' alone"));
    let object: serde_json::Value = serde_json::from_slice(&output.get_output().stdout).unwrap();
    assert_eq!(object["counting"], "non_embedding");
    assert!(object.get("other_countings").is_none());
}

/// What `runner export` writes is a table like any other.
#[test]
fn exports_of_this_program_are_fitted_to_the_same_numbers() {
    let place = Place::rehearsed(&[]);
    place.says(&["export", "jsonl", "out", "-o", "runs.jsonl"]);
    place.says(&["export", "parquet", "out", "-o", "runs.parquet"]);
    let fit = |table: &str| place.says(&["fit", table, "--bootstrap", "100", "--approach", "2", "--json"]);
    let expected = fit("out/runs.csv");
    for table in ["runs.jsonl", "runs.parquet", "out"] {
        assert_eq!(fit(table), expected, "{table}");
    }
}

#[test]
fn rows_that_a_sweep_set_out_to_tell_apart_are_noted_and_those_of_other_sizes_are_not() {
    let mut table = "axis.model.mlp,axis.model.width,params,tokens,loss\n".to_owned();
    for (seed, mlp) in [(1, "gelu"), (2, "swiglu")] {
        for (width, run) in noisy(CHINCHILLA.grid(&[1e18, 1e19, 1e20], 7, 4.0), 0.002, seed).into_iter().enumerate() {
            writeln!(table, "{mlp},{width},{},{},{}", run.params, run.tokens, run.loss).unwrap();
        }
    }
    let note = "axis.model.mlp: rows differ in it and are fitted as one curve";
    fit(&table, &["--bootstrap", "100"]).success().stderr(contains(note));
    fit(&table, &["--bootstrap", "100", "--by", "axis.model.mlp"]).success().stderr(contains("rows differ").not());
}

#[test]
fn the_parameterization_is_told_apart_once() {
    let mut table = "axis.model.parameterization,parameterization,params,tokens,loss\n".to_owned();
    for (seed, name) in [(1, "mup"), (2, "completep")] {
        for run in noisy(CHINCHILLA.grid(&[1e18, 1e19, 1e20], 7, 4.0), 0.002, seed) {
            writeln!(table, "{name},{name},{},{},{}", run.params, run.tokens, run.loss).unwrap();
        }
    }
    let by = ["--bootstrap", "100", "--by", "axis.model.parameterization"];
    fit(&table, &by).success().stderr(contains("rows differ").not());
    fit(&table, &by[..2]).success().stderr(contains("axis.model.parameterization: rows differ"));
    // A table without the axis has the column alone.
    let column = table.replacen("axis.model.parameterization", "recipe", 1);
    fit(&column, &by[..2]).success().stderr(contains("parameterization: rows differ"));
}

#[test]
fn splits_of_the_data_are_seeds_and_what_goes_with_them_needs_no_grouping() {
    let of = |file: fn(usize, u64) -> u64| {
        let mut table = "axis.data.seed,axis.data.keep_file,params,tokens,loss\n".to_owned();
        for seed in [1, 2] {
            for (at, run) in noisy(CHINCHILLA.grid(&[1e18, 1e19, 1e20], 7, 4.0), 0.002, seed).into_iter().enumerate() {
                writeln!(table, "{seed},scores-{}.txt,{},{},{}", file(at, seed), run.params, run.tokens, run.loss)
                    .unwrap();
            }
        }
        table
    };
    let one_for_each_split = of(|_, seed| seed);
    fit(&one_for_each_split, &["--bootstrap", "100"]).success().stderr(contains("rows differ").not());
    let two_in_each_split = of(|at, _| at as u64 % 2);
    let note = "axis.data.keep_file: rows differ in it and are fitted as one curve";
    fit(&two_in_each_split, &["--bootstrap", "100"]).success().stderr(contains(note));
}

#[test]
fn a_best_value_at_the_end_of_those_trained_is_warned_of() {
    // Rates 1 to 3 for each of six sizes; the best is 2 but for the largest size, where it is 3.
    let mut table = "params,tokens,lr,loss\n".to_owned();
    for size in 1..=6 {
        for rate in 1..=3 {
            let best = if size == 6 { 3 } else { 2 };
            let loss = 3.0 + 1.0 / f64::from(size) + 0.1 * f64::from(rate - best).abs();
            writeln!(table, "{size}e6,1e9,{rate},{loss}").unwrap();
        }
    }
    let flags = |rates: &'static str| ["--law", "params", "--bootstrap", "100", "--tuned", rates];
    fit(&table, &flags("lr")).success().stderr(contains("that was trained for lr in 1 of 6 points"));
    let inside = table.replace("6e6,1e9,3,3.1666666666666665", "6e6,1e9,3,4");
    fit(&inside, &flags("lr")).success().stderr(contains("in 0 of").not().and(contains("points:").not()));
}

#[test]
fn a_loss_per_byte_that_is_asked_for_gives_the_same_sizes_with_a_warning() {
    let (mut per_token, mut per_byte) = ("params,tokens,val_loss\n".to_owned(), "params,tokens,val_bpb\n".to_owned());
    for run in noisy(CHINCHILLA.grid(&[1e18, 1e19, 1e20], 7, 4.0), 0.002, 1) {
        // Four bytes a token; a quarter changes no digit of a binary number.
        writeln!(per_token, "{},{},{}", run.params, run.tokens, run.loss).unwrap();
        writeln!(per_byte, "{},{},{}", run.params, run.tokens, run.loss / 4.0).unwrap();
    }
    let exponents = |table: &str, flags: &[&str]| {
        let output = fit(table, &[&["--approach", "2", "--bootstrap", "100", "--json"], flags].concat()).success();
        let fits: serde_json::Value = serde_json::from_slice(&output.get_output().stdout).unwrap();
        ["n_exponent", "d_exponent"].map(|name| fits[name].as_f64().unwrap())
    };
    let asked = ["--columns", "val_loss=val_bpb"];
    for (token, byte) in exponents(&per_token, &[]).into_iter().zip(exponents(&per_byte, &asked)) {
        assert!((token / byte - 1.0).abs() < 1e-6, "{token} {byte}");
    }
    fit(&per_token, &[]).success().stderr(contains("no loss per token").not());
    fit(&per_byte, &asked).success().stderr(contains("'val_bpb' is by its name no loss per token"));
    fit(&per_byte, &[]).code(2).stderr(contains("--columns 'val_loss=val_bpb'"));
    let in_brackets = per_byte.replace("val_bpb", "val loss (bits/byte)");
    fit(&in_brackets, &["--columns", "val_loss=val loss (bits/byte)"]).success().stderr(contains("no loss per token"));
    let perplexity = per_token.replace("val_loss", "val_ppl");
    fit(&perplexity, &["--columns", "val_loss=val_ppl"]).code(2).stderr(contains("take its logarithm"));
    fit(&perplexity, &[])
        .code(2)
        .stderr(contains("convert it to nats per token").and(contains("--columns 'val").not()));
}

/// Tables that other people have published, where they are: as they are, read, or refused with what to do.
#[test]
fn published_tables_are_read_as_they_are() {
    let cases: [(&str, &[&str], Option<&str>); 18] = [
        ("epoch_chinchilla_245.csv", &["--tokens-from-flops"], None),
        ("gemstones_fitting_points.csv", &["--by", "subset"], None),
        ("nanochat_jan27_optima.csv", &["--by", "param_convention", "--columns", "val_loss=val_bpb"], None),
        ("olmo_ladder_c4_final.csv", &["--skip-incomplete"], None),
        ("porian_isoflop_points.csv", &["--by", "hparams"], None),
        ("porian_optimal_pairs.csv", &["--by", "hparams", "--skip-incomplete"], None),
        ("steplaw_dense_optima.csv", &[], None),
        ("scalebench/data_constrained_train.csv", &[], None),
        ("scalebench/data_constrained_test.csv", &[], None),
        ("scalebench/farseer_train.csv", &[], None),
        ("scalebench/farseer_test.csv", &[], None),
        ("epoch_chinchilla_245.csv", &[], Some("--tokens-from-flops")),
        ("nanochat_jan27_optima.csv", &["--by", "param_convention"], Some("--columns 'val_loss=val_bpb'")),
        ("bnsl_4digit_addition.csv", &[], Some("no column 'params'")),
        ("chinchilla_tables_3_A3.csv", &[], Some("no column 'val_loss'")),
        ("porian_published_fits.csv", &[], Some("no column 'params'")),
        ("scalebench/moe_train.csv", &[], Some("no column 'params'")),
        ("scalebench/parallel_train.csv", &[], Some("no column 'tokens'")),
    ];
    for (name, flags, refused) in cases {
        let Some(path) = data(name) else { return };
        let place = Place::new();
        let path = std::fs::canonicalize(path).unwrap();
        let all = ["fit", path.to_str().unwrap(), "--approach", "2", "--bootstrap", "100"];
        let output = place.run(&[&all[..], flags].concat()).assert();
        match refused {
            None => output.success().stdout(contains("Side by side")).stderr(contains("warning: the median").not()),
            Some(what) => output.code(2).stderr(contains(what)),
        };
    }
}

/// Rows as `i` counts them: checkpoints of 50 sizes.
fn long_table(rows: usize) -> String {
    let mut csv = "params,tokens,loss\n".to_owned();
    for i in 0..rows {
        let (params, tokens) = (1e7 * 1.1_f64.powf((i % 50) as f64), 1e8 * (1.0 + (i / 50) as f64));
        writeln!(csv, "{params},{tokens},{}", CHINCHILLA.loss(params, tokens)).unwrap();
    }
    csv
}

#[test]
fn a_long_table_is_fitted_to_an_even_share_and_says_so() {
    let csv = long_table(120_000);
    fit(&csv, &["--bootstrap", "100", "--approach", "2"]).success().stderr(contains("at most 100000"));
    fit(&csv, &["--bootstrap", "100", "--approach", "vpnls"]).success().stderr(contains("at most 5000"));
    fit(&csv, &["--bootstrap", "100", "--law", "tokens"]).success().stderr(contains("at most 1000"));
}

#[test]
fn a_count_that_lacks_its_unit_is_told_where_commas_begin_decimals() {
    let comma = |x: f64| format!("{x:.3}").replace('.', ",");
    let mut rows = String::new();
    for run in noisy(CHINCHILLA.grid(&[1e18, 1e19, 1e20], 7, 4.0), 0.002, 1) {
        let whole = format!("{:.0}", run.params);
        let parts: Vec<&[u8]> = whole.as_bytes().rchunks(3).rev().collect();
        let params = String::from_utf8(parts.join(&b'.')).unwrap();
        write!(rows, "{params};{};{}\r\n", comma(run.tokens / 1e9), comma(run.loss)).unwrap();
    }
    let table = |tokens: &str| format!("\u{feff}Parameter;{tokens};Verlust\r\n{rows}");
    let asked = |tokens: &str| format!("params=Parameter,val_loss=Verlust,tokens={tokens}");
    let flags = ["--bootstrap", "100", "--approach", "2", "--columns"];
    let unit = "say the unit of its column, as in --columns \"tokens=Tokens[B]\"";
    fit(table("Tokens"), &[&flags[..], &[&asked("Tokens")]].concat()).failure().stderr(contains(unit));
    fit(table("Tokens"), &[&flags[..], &[&asked("Tokens[B]")]].concat()).success();
    fit(table("Tokens (Mrd)"), &[&flags[..], &[&asked("Tokens (Mrd)")]].concat()).success();
}
