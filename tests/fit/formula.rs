//! Laws that users write: what comes back, what they predict, and what is refused with its place in the formula.

use std::fmt::Write as _;

use assert_cmd::assert::{Assert, OutputAssertExt as _};
use predicates::prelude::PredicateBooleanExt as _;
use predicates::str::contains;
use serde_json::Value;

use super::shared;
use crate::common::{Place, assert_refused};

const SURFACE: &str = "loss = E + A/N^alpha + B/D^beta";

/// A factor near 1 that is no law of anything.
fn wobble(i: i32) -> f64 {
    1.0 + 2e-4 * (f64::from(i * 7919 % 13) / 6.0 - 1.0)
}

/// 64 runs of a surface, with an optimizer that makes tokens worth `muon` times as many.
fn runs(muon: f64) -> String {
    let mut csv = "params,tokens,optimizer,loss\n".to_owned();
    for i in 0..64 {
        let (n, d) = (1e7 * 2_f64.powi(i / 8), 1e9 * 2_f64.powi(i % 8));
        let (optimizer, worth) = if (i / 8 + i) % 2 == 0 { ("adamw", 1.0) } else { ("muon", muon) };
        let loss = (1.69 + 406.4 / n.powf(0.34) + 410.7 / (worth * d).powf(0.28)) * wobble(i);
        writeln!(csv, "{n},{d},{optimizer},{loss}").unwrap();
    }
    csv
}

fn fit(place: &Place, flags: &[&str]) -> Assert {
    place.run(&[&["fit", "runs.csv", "--bootstrap", "100", "--multistart", "24"], flags].concat()).assert()
}

fn objects(said: &Assert) -> Vec<Value> {
    let text = String::from_utf8(said.get_output().stdout.clone()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A number of a law, whose interval holds what was planted.
fn holds(object: &Value, name: &str, planted: f64, relative: f64) {
    let all = object["parameters"].as_array().unwrap();
    let found = all.iter().find(|one| one["name"] == name).unwrap_or_else(|| panic!("{name}: {object}"));
    let [value, low, high] = ["value", "low", "high"].map(|end| found[end].as_f64().unwrap());
    assert!(low <= planted && planted <= high && (value / planted - 1.0).abs() < relative, "{found} and not {planted}");
}

#[test]
fn a_formula_gives_a_surface_back_and_predicts_and_allocates() {
    let place = Place::new();
    place.write("runs.csv", runs(1.0));
    let said = fit(&place, &["--formula", SURFACE, "--json", "--figure", "residuals.svg"]).success();
    let objects = objects(&said);
    let law = &objects[0];
    assert_eq!(law["status"], "converged", "{law}");
    for (name, planted) in [("E", 1.69), ("alpha", 0.34), ("beta", 0.28), ("A", 406.4), ("B", 410.7)] {
        holds(law, name, planted, 0.1);
    }
    assert!(law["held_out"]["rms"].as_f64().unwrap() < 0.01, "{law}");
    assert_eq!(objects[1]["law"], "ranking");
    assert!(place.read("residuals.svg").contains("<svg") && place.read("residuals.csv").lines().count() == 65);
    // Beyond the most expensive row the bands of resamples and of laws are drawn.
    assert_eq!(place.read("residuals-beyond.csv").lines().count(), 82);
    assert!(place.read("residuals-beyond.svg").contains("spread of laws"));

    place.write("law.json", said.get_output().stdout.clone());
    let predict = ["predict", "--fit", "law.json", "--at", "N=1e10,D=2e11"];
    let text = place.run(&predict).assert().success().stdout(contains("N 0.89 decades above"));
    text.stdout(contains("outside of the rows"));
    let inside = ["predict", "--fit", "law.json", "--params", "1e8", "--tokens", "1e10", "--json"];
    let said: Value = serde_json::from_slice(&place.run(&inside).assert().success().get_output().stdout).unwrap();
    let truth = 1.69 + 406.4 / 1e8_f64.powf(0.34) + 410.7 / 1e10_f64.powf(0.28);
    assert!((said["loss"]["value"].as_f64().unwrap() - truth).abs() < 2e-3, "{said}");

    let allocate = ["allocate", "--fit", "law.json", "--flops", "1e19", "--json"];
    let said: Value = serde_json::from_slice(&place.run(&allocate).assert().success().get_output().stdout).unwrap();
    // G (C/6)^a with a = beta/(alpha+beta).
    let g = (0.34 * 406.4 / (0.28 * 410.7_f64)).powf(1.0 / 0.62);
    let n_opt = g * (1e19_f64 / 6.0).powf(0.28 / 0.62);
    assert!((said["params"]["value"].as_f64().unwrap() / n_opt - 1.0).abs() < 0.1, "{said} and not {n_opt}");
    let dear = ["allocate", "--fit", "law.json", "--flops", "1e19", "--json", "--cost", "6*N*D + 2*N*1e11"];
    let served: Value = serde_json::from_slice(&place.run(&dear).assert().success().get_output().stdout).unwrap();
    assert!(served["params"]["value"].as_f64() < said["params"]["value"].as_f64(), "{served}");
}

#[test]
fn columns_that_only_other_laws_need_may_be_empty() {
    let place = Place::new();
    let rows = runs(1.0);
    let with = |(i, line): (usize, &str)| match i {
        0 => format!("{line},learning_rate,batch,experts\n"),
        7 => format!("{line},,1e5,many\n"),
        _ => format!("{line},0.001,1e5,8\n"),
    };
    place.write("runs.csv", rows.lines().enumerate().map(with).collect::<String>());
    let said = fit(&place, &["--formula", SURFACE, "--json"]).success();
    assert_eq!(objects(&said)[0]["points"], 64);
    fit(&place, &["--law", "experts"]).failure().code(2).stderr(contains("'many' is not a number"));
}

#[test]
fn groups_have_numbers_of_their_own() {
    let place = Place::new();
    place.write("runs.csv", runs(1.5));
    let said = fit(&place, &["--formula", "loss = E + A/N^alpha + B{optimizer}/D^beta", "--json"]).success();
    let law = &objects(&said)[0];
    holds(law, "B[adamw]", 410.7, 0.2);
    holds(law, "B[muon]", 410.7 / 1.5_f64.powf(0.28), 0.2);
    let said = fit(&place, &["--law", "efficiencies", "--by", "optimizer", "--json"]).success();
    let law = &objects(&said)[0];
    holds(law, "rho_D[muon]", 1.5, 0.1);
    holds(law, "rho_N[muon]", 1.0, 0.1);
}

#[test]
fn objectives_differ_as_they_should() {
    let place = Place::new();
    // Every fifth run was tuned badly.
    let rows = runs(1.0);
    let spoiled: String = rows
        .lines()
        .enumerate()
        .map(|(i, line)| match line.rsplit_once(',') {
            Some((rest, loss)) if i % 5 == 3 => format!("{rest},{}\n", loss.parse::<f64>().unwrap() * 1.1),
            _ => format!("{line}\n"),
        })
        .collect();
    place.write("runs.csv", spoiled);
    let e = |flags: &[&str]| {
        let said = fit(&place, &[&["--formula", SURFACE, "--json"], flags].concat()).success();
        let law = objects(&said)[0].clone();
        law["residuals"]["median"].as_f64().unwrap()
    };
    let squares = e(&[]);
    for robust in [&["--objective", "huber"][..], &["--overestimates", "100"]] {
        let robust = e(robust);
        assert!(robust < 0.3 * squares, "{robust} {squares}");
    }
    let plain = e(&["--residuals", "plain"]);
    assert!((plain / squares - 1.0).abs() > 0.01, "{plain} {squares}");
}

#[test]
fn laws_are_ranked_by_runs_that_they_have_not_seen() {
    let place = Place::new();
    place.write("runs.csv", runs(1.0));
    let other = "loss = A/N^alpha + B/D^beta";
    let said = fit(&place, &["--formula", other, "--formula", SURFACE, "--json"]).success();
    let ranking = &objects(&said)[0];
    let names: Vec<&str> =
        ranking["laws"].as_array().unwrap().iter().map(|law| law["name"].as_str().unwrap()).collect();
    let at = |name: &str| names.iter().position(|other| *other == name).unwrap();
    assert!(at("formula 2") < at("formula 1"), "{names:?}");
    assert!(ranking["conclusion"].as_str().unwrap().contains("fitted without the"), "{ranking}");
    fit(&place, &["--law", "all"]).success().stdout(contains("chinchilla wins: fitted without"));
}

#[test]
fn what_is_wrong_is_told_with_its_place_in_the_formula() {
    let place = Place::new();
    place.write("runs.csv", runs(1.0));
    let names: Vec<String> = (0..70).map(|i| format!("k{i}*N^-{}", f64::from(i) / 70.0)).collect();
    let many = format!("loss = {}", names.join(" + "));
    for (formula, place_told, what) in [
        ("loss = E + A/tokns^a", "character 14", "'tokens' meant"),
        ("loss = E + A/Params^a", "character 14", "'params' meant"),
        ("loss = E + A/n^a", "character 14", "'N' meant"),
        ("loss = E + A/(N - 1e7)", "character 14", "division by zero in row 1"),
        ("loss = E + A/(N - 1.5e7)", "character 14", "goes through zero"),
        ("loss = E + exp(a*N)", "character 12", "no finite number"),
        (many.as_str(), "character 8", "70 unknowns"),
        ("loss = E + A*optimizer", "character 14", "'adamw' is not a number"),
        ("loss = E + A{recipe}/N", "character 12", "'recipe' is no column"),
        ("valloss = E + A/N", "character 1", "no column 'valloss'"),
        ("loss = E + A/N^", "character 16", "ends where"),
        ("loss = params + tokens", "character 8", "no unknown"),
        ("loss = E + A", "character 8", "no name is a column"),
        ("loss = E + A*L", "character 14", "'L' and 'loss' are one column"),
        ("loss = E + A{}/N", "character 13", "the name of a column"),
        ("loss = E + A{ `` }/N", "character 13", "the name of a column"),
        ("loss = E + A{optimizer/N", "character 13", "this brace is never closed"),
        ("loss = E + A optimizer}/N", "character 23", "this brace was never opened"),
        ("loss = E + {optimizer}/N", "character 12", "right behind the name"),
        ("loss = E + A{op{tim}izer}/N", "character 16", "has no index itself"),
        ("loss = E + `N", "character 12", "this backtick is never closed"),
        ("loss = E + A*1.2.3/N", "character 14", "'1.2.3' is no number"),
        ("loss = E + A/N + 1e999", "character 18", "too large"),
        ("loss = E + A\u{b7}N", "character 13", "for a product write *"),
        ("loss = E + A/N\u{b2}", "character 15", "for a power write ^"),
        ("loss = E \u{2212} A/N", "character 10", "for a difference write -"),
    ] {
        let said = fit(&place, &["--formula", formula]).failure().code(2);
        said.stderr(contains(place_told)).stderr(contains(what));
    }
    fit(&place, &["--unknown", "alpha > 0"]).failure().code(2).stderr(contains("belongs to --formula"));
    fit(&place, &["--formula", SURFACE, "--delta", "0.1"])
        .failure()
        .code(2)
        .stderr(contains("write --objective huber"));
    fit(&place, &["--formula", SURFACE, "--starts", "alpha=1"]).failure().code(2).stderr(contains("means nothing"));
    fit(&place, &["--formula", SURFACE, "--exclude-outliers"]).failure().code(2).stderr(contains("means nothing"));
    let twice = ["--formula", SURFACE, "--unknown", "alpha = 0.3", "--unknown", "alpha = 0.5"];
    fit(&place, &twice).failure().code(2).stderr(contains("said twice"));
    let same = ["--formula", SURFACE, "--formula", "loss = c + b/D^q + a/N^p"];
    fit(&place, &same).failure().code(2).stderr(contains("with other names"));
    for (unknown, what) in [
        ("alpha in 2..0", "2 is above 0"),
        ("gamma in 0..1", "no such unknown"),
        ("alpha in zero..1", "'zero' is not a number"),
        ("N > 0", "column"),
        ("A relative", "index"),
        ("alpha in 0..1 from 3", "not within"),
        ("alpha in 0...1", "a range has two dots"),
    ] {
        fit(&place, &["--formula", SURFACE, "--unknown", unknown]).failure().code(2).stderr(contains(what));
    }
}

#[test]
fn any_name_of_a_law_may_be_another_column() {
    let place = Place::new();
    place.write("runs.csv", runs(1.0).replace("params,tokens", "size,seen").replace("optimizer", "recipe"));
    let renamed = ["--columns", "params=size,tokens=seen,k=seen", "--formula", "loss = E + A/N^alpha + B/k^beta"];
    let law = objects(&fit(&place, &[&renamed[..], &["--json", "--by", "recipe"]].concat()).success())[0].clone();
    holds(&law, "beta", 0.28, 0.2);
    let missing = ["--columns", "experts=nowhere", "--law", "experts"];
    fit(&place, &missing).failure().code(2).stderr(contains("'nowhere', which --columns takes for experts"));
    fit(&place, &["--law", "experts"]).failure().code(2).stderr(contains("--columns N=NAME says which"));
}

#[test]
fn a_column_may_be_called_anything() {
    let place = Place::new();
    place.write("runs.csv", runs(1.5).replace("params", "n (all").replace("optimizer", "the=recipe {x"));
    let formula = "loss = E + A/`n (all`^alpha + B{`the=recipe {x`}/D^beta";
    let law = objects(&fit(&place, &["--formula", formula, "--json"]).success())[0].clone();
    holds(&law, "alpha", 0.34, 0.1);
    holds(&law, "B[adamw]", 410.7, 0.2);
    let told = ["--formula", "loss = E + A.of/D^beta.d", "--unknown", "beta.d in 0..1", "--json"];
    fit(&place, &told).success();
}

#[test]
fn places_take_amounts_and_each_name_once() {
    let place = Place::new();
    place.write("runs.csv", runs(1.0));
    let said = fit(&place, &["--formula", SURFACE, "--json"]).success();
    place.write("law.json", said.get_output().stdout.clone());
    let predict = |at: &[&str]| place.run(&[&["predict", "--fit", "law.json", "--json"], at].concat());
    let plain = predict(&["--at", "N=1e10,D=2e11"]);
    assert_eq!(plain.stdout, predict(&["--at", "N=10B,D=200B"]).stdout);
    assert_eq!(plain.stdout, predict(&["--params", "10B", "--at", "D=200000M"]).stdout);
    assert_refused(&predict(&["--at", "N=1e10,D=many"]), &["--at D=many: 'many' is no number"]);
    assert_refused(&predict(&["--at", "N=1e10,D=inf"]), &["--at D=inf"]);
    assert_refused(&predict(&["--at", "N=1e10,D=2e11,N=1e9"]), &["N is given twice"]);
    assert_refused(&predict(&["--params", "1e9", "--at", "N=1e10,D=2e11"]), &["--params and --at N=VALUE"]);
    for sought in ["N=1e9", "D=1B"] {
        let allocated = place.run(&["allocate", "--fit", "law.json", "--flops", "1e19", "--at", sought]);
        assert_refused(&allocated, &["allocate looks for N and D itself", "runner predict"]);
    }
}

#[test]
fn a_budget_far_beyond_the_rows_still_has_its_optimum() {
    let place = Place::new();
    place.write("runs.csv", runs(1.0));
    let said = fit(&place, &["--formula", SURFACE, "--json"]).success();
    place.write("law.json", said.get_output().stdout.clone());
    // The surface's own optimum, G (C/6)^(beta / (alpha + beta)).
    let best = |flops: f64| {
        let (a, b) = (0.34_f64, 0.28_f64);
        (a * 406.4 / (b * 410.7)).powf(1.0 / (a + b)) * (flops / 6.0).powf(b / (a + b))
    };
    for flops in [1e24, 1e30] {
        let asked = place.run(&["allocate", "--fit", "law.json", "--flops", &format!("{flops:e}"), "--json"]);
        let text = String::from_utf8(asked.stdout).unwrap();
        let found: Value = serde_json::from_str(text.trim()).unwrap_or_else(|_| panic!("{text}"));
        let params = found["params"]["value"].as_f64().unwrap();
        assert!((params / best(flops)).ln().abs() < 0.2, "{params:e} and not {:e}", best(flops));
    }
}

#[test]
fn a_figure_never_takes_the_place_of_a_table() {
    let place = Place::new();
    let table = runs(1.0);
    for name in ["runs.csv", "runs-beyond.csv"] {
        place.write(name, &table);
    }
    place.write("other.csv", "a,b\n1,2\n");
    for (flags, what) in [
        (["fit", "runs.csv", "runs.svg"], "which is the table"),
        (["fit", "runs-beyond.csv", "runs.svg"], "which is the table"),
        (["fit", "runs.csv", "drawn.csv"], "ends in .svg"),
        (["fit", "runs.csv", "other.svg"], "there is another table"),
    ] {
        let [command, runs, figure] = flags;
        let flags = ["--formula", SURFACE, "--by", "optimizer", "--bootstrap", "100", "--figure", figure];
        let output = place.run(&[&[command, runs][..], &flags].concat());
        assert_refused(&output, &[what]);
    }
    assert_eq!((place.read("runs.csv"), place.read("runs-beyond.csv")), (table.clone(), table));
    assert_eq!(place.read("other.csv"), "a,b\n1,2\n");
}

#[test]
fn a_formula_of_something_else_than_a_loss_stands_alone() {
    let place = Place::new();
    place.write("runs.csv", runs(1.0));
    let said = fit(&place, &["--formula", "N = a*D^b", "--by", "optimizer"]).success();
    let text = String::from_utf8_lossy(&said.get_output().stdout).into_owned();
    assert!(!text.contains("nats") && !text.contains("farseer"), "{text}");
}

#[test]
fn what_rows_do_not_tell_is_a_status() {
    let place = Place::new();
    place.write("runs.csv", runs(1.0));
    for (formula, status, what) in [
        ("loss = E + F + A/N^alpha + B/D^beta", "not_identified", "'E' (character 8"),
        ("loss = E + A/N^alpha + B/D^beta + 0*k", "not_identified", "no row tells 'k' (character 37"),
    ] {
        let said = fit(&place, &["--formula", formula, "--json"]).success();
        let law = objects(&said)[0].clone();
        assert_eq!(law["status"], status, "{law}");
        assert!(law["conclusion"].as_str().unwrap().contains(what), "{law}");
    }
    let said = fit(&place, &["--formula", SURFACE, "--unknown", "alpha in 0..0.2", "--json"]).success();
    assert_eq!(objects(&said)[0]["status"], "bound_hit");
}

#[test]
fn a_table_that_cannot_tell_an_unknown_is_no_error() {
    let place = Place::new();
    for noise in [1e-9, 2e-4] {
        // One size, one number of tokens, one of each; small runs as well as large ones.
        for (sizes, lengths) in [(1, 8), (8, 1), (1, 1)] {
            for (n, d) in [(1e5, 2e6), (1e9, 2e10)] {
                let mut csv = "params,tokens,optimizer,loss\n".to_owned();
                for i in 0..32 {
                    let (n, d) = (n * 2_f64.powi(i / 2 % sizes), d * 2_f64.powi(i / 2 % lengths));
                    let (optimizer, worth) = if i % 2 == 0 { ("adamw", 1.0) } else { ("muon", 1.5) };
                    let wobble = 1.0 + noise * (f64::from(i * 7919 % 13) / 6.0 - 1.0);
                    let loss = (1.69 + 406.4 / n.powf(0.34) + 410.7 / (worth * d).powf(0.28)) * wobble;
                    writeln!(csv, "{n},{d},{optimizer},{loss}").unwrap();
                }
                place.write("runs.csv", csv);
                for law in [
                    &["--law", "efficiencies", "--by", "optimizer"][..],
                    &["--law", "farseer"],
                    &["--formula", SURFACE],
                    &["--formula", "loss = E + A/N^alpha*D^beta{optimizer}"],
                ] {
                    let said = fit(&place, &[law, &["--json"]].concat()).success();
                    let status = objects(&said)[0]["status"].clone();
                    assert!(
                        status != "converged",
                        "{sizes} {lengths} {n} {noise} {law:?}: {}",
                        objects(&said)[0]["conclusion"]
                    );
                }
            }
        }
    }
}

/// 80 runs whose tokens are repeated up to 40 times.
fn repeated() -> String {
    let law = runner::fit::laws::repetition::Repetition {
        surface: runner::fit::approaches::surface::Surface { e: 1.9, a: 520.0, b: 1500.0, alpha: 0.35, beta: 0.35 },
        r_d: 15.4,
        r_n: 5.3,
    };
    let mut csv = "params,tokens,unique_tokens,flops,loss\n".to_owned();
    for i in 0..80 {
        let (n, d) = (1e7 * 2_f64.powi(i / 10), 1e9 * 2_f64.powi(i % 10));
        let unique = d / [1.0, 1.0, 4.0, 12.0, 40.0][(i % 5) as usize];
        let (loss, flops) = (law.loss(n, d, unique) * wobble(i), 6.0 * n * d);
        writeln!(csv, "{n},{d},{unique},{flops},{loss}").unwrap();
    }
    csv
}

#[test]
fn every_law_that_predicts_a_loss_takes_part_where_its_columns_are_there() {
    let place = Place::new();
    let ranked = |runs: String| {
        place.write("runs.csv", runs);
        let said = objects(&fit(&place, &["--law", "all", "--json"]).success());
        said[0]["laws"].as_array().unwrap().clone()
    };
    let with_repeats = ranked(repeated());
    let find = |laws: &[Value], name: &str| laws.iter().find(|law| law["name"] == name).cloned();
    assert_eq!(with_repeats[0]["name"], "repetition", "{}", with_repeats[0]);
    for of in ["params", "tokens", "flops"] {
        for form in ["power", "broken"] {
            let law = find(&with_repeats, &format!("{form}-{of}")).unwrap();
            // Held out, and once more inside, as the others.
            assert!(law["held_out"]["rms"].is_f64() && law["inner"].is_f64(), "{law}");
        }
    }
    // Where the columns are not there, or nothing is repeated, the law does not take part.
    let once = ranked(runs(1.0));
    assert!(find(&once, "repetition").is_none() && find(&once, "power-flops").is_none());
    assert!(find(&once, "power-params").is_some());
    let mut never = String::new();
    for line in repeated().lines() {
        let cells: Vec<&str> = line.split(',').collect();
        let unique = if cells[2] == "unique_tokens" { cells[2] } else { cells[1] };
        writeln!(never, "{},{},{unique},{},{}", cells[0], cells[1], cells[3], cells[4]).unwrap();
    }
    let never = ranked(never);
    let repetition = find(&never, "repetition").unwrap();
    assert_eq!(repetition["failure"], "no row tells R_D", "{repetition}");
}

#[test]
fn a_row_without_a_group_belongs_to_none() {
    let place = Place::new();
    let table: String = runs(1.5)
        .lines()
        .enumerate()
        .map(|(i, line)| if [4, 9].contains(&i) { line.replace("adamw", "").replace("muon", " ") } else { line.to_owned() } + "\n")
        .collect();
    place.write("runs.csv", table);
    for law in [
        &["--formula", "loss = E + A/N^alpha + B{optimizer}/D^beta"][..],
        &["--law", "efficiencies", "--by", "optimizer"],
    ] {
        let refused = fit(&place, law).failure().code(2);
        refused.stderr(contains("runs.csv:5: column 'optimizer': is empty")).stderr(contains("line 10 too"));
        let said = fit(&place, &[law, &["--skip-incomplete", "--json"]].concat()).success();
        let fitted = objects(&said)[0].clone();
        assert_eq!((fitted["points"].as_u64(), fitted["rows"]["incomplete"].as_u64()), (Some(62), Some(2)));
        assert_eq!(fitted["labels"][0]["labels"], serde_json::json!(["adamw", "muon"]));
    }
}

#[test]
fn a_law_of_nine_unknowns_predicts_the_runs_of_its_paper() {
    let Some(train) = shared::data("scalebench/farseer_train.csv") else { return };
    let place = Place::new();
    place.write("runs.csv", std::fs::read(train).unwrap());
    let said = fit(&place, &["--law", "farseer", "--json", "--columns", "params=N,tokens=D"]).success();
    let law = objects(&said)[0].clone();
    assert!(law["held_out"]["rms"].as_f64().unwrap() < 0.01, "{law}");
}

#[test]
fn a_column_that_matters_and_that_the_law_does_not_use_is_noted() {
    let place = Place::new();
    // Tokens vary, and L(N, P) knows nothing of them.
    let mut csv = "params,parallel_size,tokens,loss\n".to_owned();
    for i in 0..48 {
        let (n, p, d) = (5e8 * 1.5_f64.powi(i / 8), 2_f64.powi(i % 4), 2e10 * 2_f64.powi(i / 4 % 2));
        let loss = 1.29 + (1.1e9 / (n * (0.39 * p.ln() + 1.0))).powf(0.19) + 400.0 / d.powf(0.28);
        writeln!(csv, "{n},{p},{d},{}", loss * wobble(i)).unwrap();
    }
    place.write("runs.csv", csv);
    let note = "tokens: rows differ in it and are fitted as one curve, because the law does not use it";
    fit(&place, &["--law", "parallel"]).success().stderr(contains(note));
    let by = fit(&place, &["--law", "parallel", "--by", "tokens"]).success();
    by.stderr(contains("rows differ").not());
    // One rate or two at the same size and length.
    let rates = |rate: fn(i32) -> f64| {
        let mut csv = "params,tokens,learning_rate,loss\n".to_owned();
        for i in 0..64 {
            let (n, d) = (1e7 * 2_f64.powi(i / 16), 1e9 * 2_f64.powi(i / 2 % 8));
            let loss = (1.69 + 406.4 / n.powf(0.34) + 410.7 / d.powf(0.28)) * wobble(i);
            writeln!(csv, "{n},{d},{},{loss}", rate(i)).unwrap();
        }
        csv
    };
    place.write("runs.csv", rates(|i| 1e-3 / f64::from(i / 16 + 1)));
    fit(&place, &["--formula", SURFACE]).success().stderr(contains("rows differ").not());
    place.write("runs.csv", rates(|i| 1e-3 * f64::from(i % 2 + 1)));
    fit(&place, &["--formula", SURFACE]).success().stderr(contains("learning_rate: rows differ"));
}

#[test]
fn a_share_is_left_out_only_where_all_of_them_add_up() {
    let place = Place::new();
    let table = |with_books: bool| {
        let mut csv = format!("share_web,share_code,{}loss\n", if with_books { "share_books," } else { "" });
        for i in 0..36 {
            let web = 0.1 + 0.15 * f64::from(i / 6);
            let code = (0.9 - 0.15 * f64::from(i / 6)) * f64::from(i % 6) / 6.0;
            let books = if with_books { format!("{},", 1.0 - web - code) } else { String::new() };
            let loss = (1.5 + 1.2 * (-0.8 * web - 2.5 * code).exp()) * wobble(i);
            writeln!(csv, "{web},{code},{books}{loss}").unwrap();
        }
        csv
    };
    for with_books in [true, false] {
        place.write("runs.csv", table(with_books));
        let said = fit(&place, &["--law", "mixtures", "--json"]).success();
        let one = &objects(&said)[0];
        // The factor repeats, so that the intervals may be narrower than what it shifts.
        for (name, planted) in [("t_web", -0.8), ("t_code", -2.5)] {
            let found = one["parameters"].as_array().unwrap().iter().find(|one| one["name"] == name).unwrap();
            assert!((found["value"].as_f64().unwrap() / planted - 1.0).abs() < 0.01, "{found}");
        }
        let note = contains("so that share_books tells nothing that the others do not");
        if with_books {
            said.stderr(note)
        } else {
            said.stderr(note.not())
        };
    }
}

#[test]
fn laws_of_experts_take_the_dense_model_of_a_table_of_this_program() {
    let place = Place::new();
    let mut csv = "axis.model.experts.count,params,params_active,tokens,val_loss\n".to_owned();
    for i in 0..40 {
        let (n, experts) = (1e7 * 3_f64.powi(i / 8), 2_f64.powi(i % 8));
        let law = 1.4 + 1.3 * experts.powf(-0.06) * (n / 1e8).powf(-0.17 + 0.004 * experts.ln());
        writeln!(csv, "{experts},{},{n},1e9,{}", n * (0.4 + 0.6 * experts), law * wobble(i)).unwrap();
    }
    place.write("runs.csv", &csv);
    let said = fit(&place, &["--law", "joint-experts", "--json"]).success();
    let one = &objects(&said)[0];
    for (name, planted) in [("c", 1.4), ("a", 1.3), ("alpha", -0.17)] {
        holds(one, name, planted, 0.1);
    }
    said.stderr(contains("N of this law counts the dense model").and(contains("it is the column params_active")));
    // Totals alone are warned of.
    let totals = csv.replace("params_active", "other").replace("axis.model.experts.count", "experts");
    place.write("runs.csv", totals);
    let said = fit(&place, &["--law", "joint-experts"]).success();
    said.stderr(contains("warning: no size N has runs with different numbers of experts"));
}

#[test]
fn a_row_that_the_others_contradict_is_named_and_stays() {
    let place = Place::new();
    let table = runs(1.0);
    let blown_up: Vec<String> = table
        .lines()
        .enumerate()
        .map(|(at, line)| match line.rsplit_once(',') {
            Some((start, _)) if at == 21 => format!("{start},1e6"),
            _ => line.to_owned(),
        })
        .collect();
    place.write("runs.csv", blown_up.join("\n") + "\n");
    let said = fit(&place, &["--formula", SURFACE]).success();
    said.stderr(contains(
        "warning: 1 of 64 rows contradict the others: N 4.000e7, D 1.600e10: loss 1.000e6 where the others say",
    ));
    place.write("runs.csv", table);
    fit(&place, &["--formula", SURFACE]).success().stderr(contains("contradict").not());
}
