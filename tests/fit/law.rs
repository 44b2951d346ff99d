//! Laws other than the surface, from the command line: what each recovers, and what each refuses.

use std::fmt::Write as _;

use assert_cmd::assert::{Assert, OutputAssertExt as _};
use predicates::prelude::PredicateBooleanExt as _;
use predicates::str::contains;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use runner::fit::laws::kaplan::{ParamsAndSteps, ParamsAndTokens};
use runner::fit::laws::repetition::Repetition;
use runner::observation::Observation;
use serde_json::Value;

use super::surface::{CHINCHILLA, Runs as _};
use crate::common::{Place, assert_needs_no_reader};

/// Fits `csv`, with another table beside it for `--against`.
fn fit_beside(csv: &str, other: &str, flags: &[&str]) -> Assert {
    let place = Place::new();
    place.write("runs.csv", csv);
    place.write("other.csv", other);
    place.run(&[&["fit", "runs.csv", "--bootstrap", "100"], flags].concat()).assert()
}

fn fit(csv: &str, flags: &[&str]) -> Assert {
    fit_beside(csv, "", flags)
}

fn objects(said: &Assert) -> Vec<Value> {
    let text = String::from_utf8(said.get_output().stdout.clone()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What every fit prints: status, points, what was resampled, and a sentence.
fn complete(object: &Value) {
    assert!(object["status"].is_string() && object["points"].is_u64(), "{object}");
    assert!(object["resampled"].as_str().is_none_or(|text| !text.is_empty()), "{object}");
    assert!(object["conclusion"].as_str().unwrap().len() > 10, "{object}");
}

/// A parameter of a law with its interval, which holds it.
fn parameter(object: &Value, name: &str) -> f64 {
    let all = object["parameters"].as_array().unwrap();
    let found = all.iter().find(|parameter| parameter["name"] == name).unwrap();
    let [value, low, high] = ["value", "low", "high"].map(|end| found[end].as_f64().unwrap());
    assert!(low <= value && value <= high, "{found}");
    value
}

fn close(value: f64, truth: f64, relative: f64) {
    assert!((value / truth - 1.0).abs() < relative, "{value} and not {truth}");
}

#[test]
fn a_loss_by_any_name_of_its_column_ranks_runs_as_losses_do() {
    for column in ["loss.4-7", "eval.loss.4-7.value", "val_loss_rfc", "eval.copy.8.edit_distance.value"] {
        let row = |i: i32| {
            format!("{},1e9,{},{}\n", 1e6 * f64::from(i + 1), 5.0 - 0.1 * f64::from(i), 4.0 - 0.1 * f64::from(i))
        };
        let csv = format!("params,tokens,val_loss,{column}\n{}", (0..8).map(row).collect::<String>());
        let told = objects(&fit(&csv, &["--law", "rank", "--by", column, "--json"]).success());
        close(parameter(&told[0], "rho"), 1.0, 1e-12);
    }
}

/// A factor near 1 that is no law of anything.
fn wobble(i: i32) -> f64 {
    1.0 + 2e-4 * (f64::from(i * 7919 % 13) / 6.0 - 1.0)
}

fn grid(header: &str, row: impl Fn(i32, i32) -> String) -> String {
    let rows: Vec<String> = (0..36).map(|i| row(i / 6, i % 6)).collect();
    format!("{header}\n{}\n", rows.join("\n"))
}

#[test]
fn both_joint_laws_of_kaplan_come_back_from_a_table() {
    let truth = ParamsAndTokens { n_c: 6.4e13, d_c: 1.8e13, alpha_n: 0.076, alpha_d: 0.103 };
    let csv = grid("params,tokens,loss,flop_budget", |i, k| {
        let (n, d) = (1e6 * 4_f64.powi(i), 1e8 * 5_f64.powi(k));
        format!("{n},{d},{},{}", truth.loss(n, d) * wobble(6 * i + k), 10_f64.powi(15 + i))
    });
    let found = &objects(&fit(&csv, &["--law", "kaplan", "--json"]).success())[0];
    complete(found);
    assert_eq!((&found["law"], &found["counting"]), (&"kaplan".into(), &"all".into()));
    close(parameter(found, "alpha_N"), 0.076, 0.01);
    close(parameter(found, "alpha_D"), 0.103, 0.01);
    assert!(found["residuals"]["rms"].as_f64().unwrap() < 2e-4);
    let budgets = &objects(&fit(&csv, &["--law", "kaplan", "--resample", "budgets", "--json"]).success())[0];
    assert_eq!(budgets["resampled"], "budgets");
    assert_ne!(budgets["parameters"], found["parameters"]);

    let truth = ParamsAndSteps { n_c: 6.5e13, s_c: 2.1e3, alpha_n: 0.077, alpha_s: 0.76 };
    let csv = grid("params_non_embedding,steps,val_loss", |i, k| {
        let (n, s) = (1e6 * 4_f64.powi(i), 1e3 * 5_f64.powi(k));
        format!("{n},{s},{}", truth.loss(n, s) * wobble(6 * i + k))
    });
    let said = fit(&csv, &["--law", "kaplan-steps", "--json"]).success();
    close(parameter(&objects(&said)[0], "alpha_S"), 0.76, 0.02);
    fit(&csv, &["--law", "kaplan-steps"]).success().stdout(contains("S_c")).stdout(contains("status converged"));

    // Steps at batches about the critical one, 2e8/L^(1/0.21) tokens, are turned into the least ones.
    let csv = grid("params_non_embedding,steps,batch_tokens,val_loss", |i, k| {
        let (n, s, batch) = (1e6 * 4_f64.powi(i), 1e3 * 5_f64.powi(k), 1e5 * 3_f64.powi((i + k) % 4));
        let loss = truth.loss(n, s) * wobble(6 * i + k);
        format!("{n},{},{batch},{loss}", s * (1.0 + 2e8 / loss.powf(1.0 / 0.21) / batch))
    });
    let law = &["--law", "kaplan-steps", "--json", "--critical-batch"];
    let said = fit(&csv, &[&law[..], &["2e8,0.21"]].concat()).success();
    close(parameter(&objects(&said)[0], "alpha_S"), 0.76, 0.02);
    for wrong in ["2e8", "2e8,0", "2e8,0.21,3"] {
        fit(&csv, &[&law[..], &[wrong]].concat()).code(2).stderr(contains("write a number of tokens and an exponent"));
    }
}

#[test]
fn a_law_of_tokens_from_a_grid_of_sizes_is_warned_of() {
    let grid = CHINCHILLA.grid(&[1e18, 1e19, 1e20], 7, 8.0);
    let row = |run: &Observation| format!("{},{},{},{}\n", run.params, run.tokens, run.flops, run.loss);
    let csv = "params,tokens,flops,loss\n".to_owned() + &grid.iter().map(row).collect::<String>();
    fit(&csv, &["--law", "tokens"]).success().stderr(contains("warning: parameters differ by a factor of"));
    fit(&csv, &["--law", "params"]).success().stderr(contains("warning: tokens differ by a factor of"));
    fit(&csv, &["--law", "flops"]).success().stderr(contains("warning: tokens per parameter differ"));
    // Where budgets are told, the best run of each counts.
    let row = |run: &Observation| format!("{},{},{:e},{}\n", run.params, run.tokens, run.budget(), run.loss);
    let budgets = "params,tokens,flop_budget,loss\n".to_owned() + &grid.iter().map(row).collect::<String>();
    let said = fit(&budgets, &["--law", "flops", "--json"]).success().stderr(contains("3 of 21 rows count"));
    assert_eq!(objects(&said)[0]["points"], 3);
    let optimal = |flops: f64| {
        let [n, d] = [CHINCHILLA.n_opt(flops), CHINCHILLA.d_opt(flops)];
        format!("{n},{d},{flops},{}\n", CHINCHILLA.loss(n, d))
    };
    let csv = "params,tokens,flops,loss\n".to_owned() + &[1e17, 1e18, 3e18, 1e19, 1e20].map(optimal).concat();
    fit(&csv, &["--law", "flops"]).success().stderr("");
}

#[test]
fn half_lives_of_repeated_data_come_back_from_a_table() {
    let law = Repetition { surface: CHINCHILLA, r_d: 15.0, r_n: 5.0 };
    let mut csv = "params,tokens,unique_tokens,loss\n".to_owned();
    for i in 0..8 {
        for k in 0..8 {
            let (params, tokens) = (1e7 * 3_f64.powi(i), 1e9 * 2_f64.powi(k));
            for unique in [tokens, tokens / 4.0, tokens / 30.0] {
                let loss = law.loss(params, tokens, unique) * wobble(8 * i + k);
                writeln!(csv, "{params},{tokens},{unique},{loss}").unwrap();
            }
        }
    }
    let found = &objects(&fit(&csv, &["--law", "repetition", "--json"]).success())[0];
    complete(found);
    for (name, truth) in [("R_D*", 15.0), ("R_N*", 5.0)] {
        let all = found["parameters"].as_array().unwrap();
        let interval = all.iter().find(|parameter| parameter["name"] == name).unwrap();
        assert!(interval["low"].as_f64() < Some(truth) && interval["high"].as_f64() > Some(truth), "{interval}");
        close(parameter(found, name), truth, 0.1);
    }
    close(parameter(found, "alpha"), CHINCHILLA.alpha, 0.02);
    fit(&csv, &["--law", "repetition"]).success().stdout(contains("4 epochs are worth"));
    let once = "params,tokens,unique_tokens,loss\n1e7,1e9,1e9,3\n2e7,1e9,1e9,2.9\n";
    fit(once, &["--law", "repetition"]).success().stdout(contains("too few points"));
}

#[test]
fn the_critical_batch_comes_back_from_training_curves_and_from_steps_to_a_loss() {
    let (mut curves, mut to_loss) = ("batch,steps,loss\n".to_owned(), "batch_tokens,step,loss\n".to_owned());
    for i in 0..8 {
        let batch = 1e3 * 4_f64.powi(i);
        let steps = |loss: f64| 300.0 / (loss - 1.5) * (1.0 + 2e6 / loss.powf(1.0 / 0.3) / batch);
        for k in 0..40 {
            let loss = 4.0 - 0.05 * f64::from(k);
            writeln!(curves, "{batch},{},{loss}", steps(loss) * wobble(i)).unwrap();
        }
        writeln!(to_loss, "{batch},{},3.0", steps(3.0) * wobble(i)).unwrap();
    }
    let flags = ["--law", "critical-batch", "--json"];
    let found = &objects(&fit(&curves, &[&flags[..], &["--target-loss", "3.5,3.0,2.6"]].concat()).success())[0];
    complete(found);
    let truth = 2e6 / 3_f64.powf(1.0 / 0.3);
    close(found["targets"][1]["critical_batch"]["value"].as_f64().unwrap(), truth, 0.01);
    close(found["against_loss"]["alpha_b"]["value"].as_f64().unwrap(), 0.3, 0.02);
    assert!(found["against_examples"]["exponent"]["value"].as_f64().unwrap() > 0.0);
    let one = &objects(&fit(&to_loss, &flags).success())[0];
    close(one["targets"][0]["critical_batch"]["value"].as_f64().unwrap(), truth, 0.01);
    fit(&to_loss, &["--law", "critical-batch"]).success().stdout(contains("twice the least steps"));
    fit(&curves, &["--law", "critical-batch", "--target-loss", "1.0"]).success().stdout(contains("too few points"));
}

#[test]
fn the_gradient_noise_scale_is_read_from_a_table_of_norms() {
    let mut csv = "small_batch,small_norm2,big_batch,big_norm2\n".to_owned();
    for i in 0..50 {
        // |G|^2 = 0.5 and tr(Sigma) = 50: a noise scale of 100.
        let (small, big) = (0.5 + 50.0 / 32.0, 0.5 + 50.0 / 512.0);
        writeln!(csv, "32,{},512,{}", small * wobble(i), big * wobble(i + 3)).unwrap();
    }
    let found = &objects(&fit(&csv, &["--law", "gradient-noise", "--json"]).success())[0];
    complete(found);
    close(parameter(found, "B_simple"), 100.0, 0.01);
    let few = csv.lines().take(10).collect::<Vec<_>>().join("\n");
    fit(&few, &["--law", "gradient-noise"]).success().stdout(contains("at least 10 pairs"));
    let swapped = "small_batch,small_norm2,big_batch,big_norm2\n32,1,512,0.5\n512,1,32,0.5\n";
    fit(swapped, &["--law", "gradient-noise"])
        .code(2)
        .stderr(contains("runs.csv:3: column 'big_batch': 32 is not above the small batch of 512"));
}

/// L = E + (x/c)^-alpha at 24 values of x from 1e15.
fn curve(e: f64, factor: f64, alpha: f64, salt: i32) -> Vec<(f64, f64)> {
    (0..24)
        .map(|i| (1e15 * 2_f64.powi(i), i))
        .map(|(x, i)| (x, (e + (x / 1e17 / factor).powf(-alpha)) * wobble(i + salt)))
        .collect()
}

fn table(curves: &[(&str, Vec<(f64, f64)>)]) -> String {
    let mut csv = "flops,loss,optimizer\n".to_owned();
    for (name, points) in curves {
        for (x, loss) in points {
            writeln!(csv, "{x},{loss},{name}").unwrap();
        }
    }
    csv
}

#[test]
fn two_groups_of_one_table_and_two_tables_are_compared() {
    let (first, slower) = (curve(2.0, 1.0, 0.15, 0), curve(2.0, 2.0, 0.15, 5));
    let both = table(&[("adamw", first.clone()), ("sgd", slower.clone())]);
    let said = fit(&both, &["--law", "flops", "--by", "optimizer", "--json"]).success();
    let [one, two, compared] = &objects(&said)[..] else { panic!("two laws and a comparison") };
    assert_eq!((&one["group"], &two["group"]), (&"adamw".into(), &"sgd".into()));
    for object in [one, two, compared] {
        complete(object);
    }
    assert_eq!((&compared["compared"], &compared["with"]), (&"adamw".into(), &"sgd".into()));
    assert_eq!(compared["difference"], "factor");
    close(compared["factor"]["value"].as_f64().unwrap(), 2.0, 0.05);
    assert!(compared["offset"]["low"].is_f64() && compared["slope"]["high"].is_f64());
    fit_beside(&table(&[("", first)]), &table(&[("", slower)]), &["--law", "flops", "--against", "other.csv"])
        .success()
        .stdout(contains("'other.csv' against 'runs.csv'"))
        .stdout(contains("times the compute of the first"));
    let few = table(&[("a", curve(2.0, 1.0, 0.15, 0)), ("b", curve(2.0, 1.0, 0.15, 0)[..4].to_vec())]);
    fit(&few, &["--law", "flops", "--by", "optimizer"]).success().stdout(contains("too few points"));
}

#[test]
fn laws_of_one_variable_show_intervals_dimension_and_status() {
    let mut csv = "tokens,loss\n".to_owned();
    for i in 0..30 {
        let tokens = 1e7 * 1.7_f64.powi(i);
        writeln!(csv, "{tokens},{}", (1.7 + 400.0 * tokens.powf(-0.25)) * wobble(i)).unwrap();
    }
    let found = &objects(&fit(&csv, &["--law", "tokens", "--json"]).success())[0];
    complete(found);
    assert_eq!((&found["by_criterion"], &found["status"]), (&"offset".into(), &"converged".into()));
    let offset = &found["laws"][1];
    let [low, high] = [0, 1].map(|end| offset["intervals"]["alpha"][end].as_f64().unwrap());
    assert!(low < 0.25 && 0.25 < high && offset["residuals"]["rms"].is_f64(), "{offset}");
    fit(&csv, &["--law", "tokens"]).success().stdout(contains("1/alpha to 4/alpha")).stdout(contains("4.0 to 16.0"));
    // Of few rows the intervals of two unknowns are too narrow, and how wide they should be is said: t over the normal quantile.
    let rows = |count: usize| csv.lines().take(1 + count).collect::<Vec<_>>().join("\n") + "\n";
    fit(&rows(6), &["--law", "tokens"])
        .success()
        .stdout(contains("of the pure law hold the truth in about 89 of 100 tables; 1.4 times"));
    fit(&rows(9), &["--law", "tokens"]).success().stdout(contains("of the pure law hold").not());
    // Of five rows AICc judges one form, which is no preference.
    let found = &objects(&fit(&rows(5), &["--law", "tokens", "--json"]).success())[0];
    assert_eq!((&found["by_criterion"], &found["status"]), (&serde_json::Value::Null, &"too_few_points".into()));
    assert!(found["conclusion"].as_str().unwrap().contains("too few to tell which form"), "{found}");
    fit("tokens,loss\n1,3\n2,3\n3,3\n4,3\n5,3\n", &["--law", "tokens"])
        .success()
        .stdout(contains("all losses are equal"));
    fit("tokens,loss\n1,3\n2,2\n", &["--law", "tokens"]).success().stdout(contains("too few points"));
    fit("tokens,loss\n7,3\n7,2\n7,1\n7,3\n7,2\n", &["--law", "tokens"]).success().stdout(contains("too few points"));
}

#[test]
fn many_seeds_of_few_sizes_are_no_more_than_these_sizes() {
    // Three sizes of five seeds: a law of three numbers goes through them, and every resample would find it again.
    let mut table = "params,tokens,loss\n".to_owned();
    for (size, seed) in (0..3).flat_map(|size| (0..5).map(move |seed| (size, seed))) {
        let params = 1e6 * 8_f64.powi(size);
        let loss = (1.5 + 40.0 * params.powf(-0.3)) * wobble(5 * size + seed);
        writeln!(table, "{params},1e9,{loss}").unwrap();
    }
    let of_one = &objects(&fit(&table, &["--law", "params", "--json"]))[0];
    assert_eq!(of_one["status"], "too_few_points", "{of_one}");
    let formula = ["--formula", "loss = E + A/N^alpha", "--json"];
    let own = &objects(&fit(&table, &formula))[0];
    assert_eq!(own["status"], "not_identified", "{own}");
    assert!(own["conclusion"].as_str().unwrap().contains("at 3 places only"), "{own}");
}

#[test]
fn a_table_is_fitted_group_by_group() {
    let mut csv = "params,tokens,flop_budget,loss,axis.parameterization\n".to_owned();
    for (name, factor) in [("standard", 1.0), ("mup", 1.02)] {
        use super::surface::Runs as _;
        for run in CHINCHILLA.grid(&[1e18, 1e19, 1e20], 7, 4.0) {
            writeln!(csv, "{},{},{},{},{name}", run.params, run.tokens, run.flops, run.loss * factor).unwrap();
        }
    }
    let flags = ["--by", "axis.parameterization"];
    let said = fit(&csv, &[&flags[..], &["--json"]].concat()).success();
    let groups: Vec<(String, String, u64)> = objects(&said)
        .iter()
        .map(|object| {
            let text = |name: &str| object[name].as_str().unwrap().to_owned();
            (text("group"), text("approach"), object["points"].as_u64().unwrap())
        })
        .collect();
    assert_eq!(groups.len(), 8);
    assert!(groups.iter().all(|(_, _, points)| *points == 21), "{groups:?}");
    assert_eq!((groups[0].0.as_str(), groups[7].0.as_str()), ("standard", "mup"));
    fit(&csv, &flags).success().stdout(contains("== mup ==")).stderr(contains("differ in it").count(0));
    fit(&csv, &[]).success().stderr(contains("--by COLUMN"));
    fit(&csv, &["--by", "nowhere"]).code(2).stderr(contains("runs.csv:1: there is no column 'nowhere' for --by"));
    fit(&csv, &["--by", "loss"]).success();
    fit(&csv, &[&flags[..], &["--drop-highest", "21"]].concat()).code(2).stderr(contains("in the group 'standard'"));
}

#[test]
fn flags_that_a_law_would_ignore_and_columns_it_lacks_are_refused() {
    let csv = "params,tokens,loss\n1,2,3\n";
    for (flags, message) in [
        (&["--law", "tokens", "--approach", "3"][..], "cannot be used with"),
        (&["--law", "kaplan", "--delta", "1e-3"], "--delta means nothing with --law kaplan"),
        (&["--law", "kaplan", "--against", "other.csv"], "--against means nothing with --law kaplan"),
        (&["--law", "tokens", "--target-loss", "3"], "--target-loss means nothing"),
        (&["--law", "tokens", "--resample", "budgets"], "--resample budgets means nothing"),
        (&["--law", "critical-batch", "--target-loss=-1"], "--target-loss: write losses above zero"),
        (&["--against", "other.csv"], "say which with --law"),
        (&["--target-loss", "3"], "belongs to --law critical-batch"),
        (&["--weighted"], "--weighted needs a standard error"),
        (&["--resample", "budgets"], "--resample budgets needs at least 3 budgets"),
        (&["--law", "kaplan", "--resample", "budgets"], "--resample budgets needs at least 3 budgets"),
        (&["--starts", "gamma=1"], "write NAME=VALUE"),
        (&["--starts", "alpha=fast"], "write NAME=VALUE"),
        (&["--law", "repetition"], "runs.csv:1: there is no column 'unique_tokens'"),
        (&["--law", "critical-batch"], "no column 'batch'"),
        (&["--law", "kaplan-steps"], "no column 'steps'"),
        (&["--law", "gradient-noise"], "no column 'small_batch'"),
        (&["--law", "pruning"], "no column 'keep'"),
        (&["--law", "flops"], "no column 'flops'"),
    ] {
        fit(csv, flags).code(2).stderr(contains(message)).stdout("");
    }
    let shares = "keep,tokens,loss\n0.5,10,3\n1.5,10,3\n";
    fit(shares, &["--law", "pruning"]).code(2).stderr(contains("runs.csv:3: column 'keep': 1.5 is not a share"));
    let mut csv = "loss,tokens\n".to_owned();
    for i in 1..=150 {
        writeln!(csv, "{},{i}", 3.0 - 0.001 * f64::from(i)).unwrap();
    }
    fit(&csv, &["--law", "tokens", "--by", "tokens"]).code(2).stderr(contains("more than 100 different values"));
}

#[test]
fn a_reader_that_has_gone_is_no_failure() {
    let place = Place::new();
    let rows: Vec<(f64, f64)> = curve(2.0, 1.0, 0.15, 0);
    place.write("runs.csv", table(&[("a", rows)]));
    assert_needs_no_reader(place.runner(&["fit", "runs.csv", "--law", "flops", "--bootstrap", "100"]));
}

#[test]
fn a_loss_beyond_a_unigram_model_may_be_below_zero() {
    let mut csv = "params_non_vocabulary,params_vocabulary,characters,loss\n".to_owned();
    for i in 0..60_i32 {
        let (n, v, h) = (1e6 * 2_f64.powi(i % 5), 1e5 * 3_f64.powi(i % 4), 1e9 * 4_f64.powi(i % 3));
        let loss = -5.5 + 8.0 * n.powf(-0.15) + 4.0 * v.powf(-0.2) + 2000.0 * h.powf(-0.42);
        writeln!(csv, "{n},{v},{h},{}", loss + 2e-4 * wobble(i)).unwrap();
    }
    let found = &objects(&fit(&csv, &["--law", "vocabulary", "--json"]).success())[0];
    assert!(
        found["parameters"][0]["value"].as_f64().or(found["parameters"][0]["estimate"]["value"].as_f64()).unwrap()
            < 0.0,
        "{found}"
    );
}

#[test]
fn a_number_that_resamples_put_at_the_end_of_its_range_is_not_told() {
    // Without a limit of experts there is no E_max.
    let mut csv = "params,experts,loss\n".to_owned();
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    for size in 0..6 {
        for doubling in 0..7 {
            let (n, e) = (1e7 * 3_f64.powi(size), 2_f64.powi(doubling));
            let (size, experts) = ((n / 1e8).ln(), (e + 0.9).ln());
            let log = 1.1 - 0.082 * size - 0.108 * experts + 0.009 * size * experts;
            let noise = 0.006 * (rng.random::<f64>() + rng.random::<f64>() - 1.0);
            writeln!(csv, "{n},{e},{}", (log + noise).exp()).unwrap();
        }
    }
    let found = &objects(&fit(&csv, &["--law", "experts", "--json"]).success())[0];
    assert_ne!(found["status"], "converged", "{found}");
}
