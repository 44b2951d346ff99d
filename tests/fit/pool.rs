//! `runner choose`: a planted surface whose expensive end is predicted from a tenth of the pool's cost, and what is refused.

use std::fmt::Write as _;

use assert_cmd::assert::OutputAssertExt as _;
use predicates::prelude::PredicateBooleanExt as _;
use predicates::str::contains;
use serde_json::Value;

use crate::common::Place;

const SURFACE: &str = "loss = E + A/N^alpha + B/D^beta";
const KNOWN: [&str; 5] = ["E in 0..4", "A in 1..1e5", "alpha in 0.05..1", "B in 1..1e5", "beta in 0.05..1"];

/// Sizes and lengths of a surface, each twice the one before.
fn runs(n: f64, d: f64, count: i32, group: &str) -> String {
    let mut csv = "N,D,group,loss\n".to_owned();
    for i in 0..count * count {
        let (n, d) = (n * 2_f64.powi(i / count), d * 2_f64.powi(i % count));
        let wobble = 1.0 + 1e-3 * (f64::from(i * 7919 % 13) / 6.0 - 1.0);
        let loss = (1.69 + 406.4 / n.powf(0.34) + 410.7 / d.powf(0.28)) * wobble;
        writeln!(csv, "{n},{d},{group},{loss}").unwrap();
    }
    csv
}

fn place() -> Place {
    let place = Place::new();
    place.write("pool.csv", runs(1e7, 1e8, 8, "all"));
    place.write("target.csv", runs(4e9, 4e10, 3, "all"));
    place
}

fn choose<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let known = KNOWN.iter().flat_map(|text| ["--unknown", *text]);
    let base = ["choose", "pool.csv", "--target", "target.csv", "--formula", SURFACE, "--cost", "6*N*D"];
    base.into_iter().chain(known).chain(more.iter().copied()).collect()
}

#[test]
fn a_tenth_of_a_pool_predicts_beyond_all_of_it() {
    let place = place();
    let said = place.run(&choose(&["--budget", "1%,10%,100%", "--repeats", "2", "--json"])).assert().success();
    let text = String::from_utf8(said.get_output().stdout.clone()).unwrap();
    let played: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(played.len(), 6);
    for one in &played {
        let (r2, spent, rows) = (&one["r2"], one["spent"].as_f64().unwrap(), one["rows"].as_u64().unwrap());
        let share = one["budget"].as_str().unwrap().trim_end_matches('%').parse::<f64>().unwrap() / 100.0;
        assert!(spent <= share + 1e-9 && rows >= 5, "{one}");
        assert!(share < 0.05 || r2.as_f64().unwrap() > 0.9, "{one}");
        assert_eq!(one["schema_version"], 1);
        let mut bought: Vec<u64> = serde_json::from_value(one["bought"][0]["rows"].clone()).unwrap();
        bought.sort_unstable();
        bought.dedup();
        assert!(bought.len() as u64 == rows && bought.iter().all(|row| (1..=64).contains(row)), "{one}");
    }
    let table = place.run(&choose(&["--budget", "10%"])).assert().success();
    table.stdout(contains("budget").and(contains("R2")));
}

#[test]
fn what_cannot_be_chosen_is_refused() {
    let place = place();
    place.write("other.csv", runs(4e9, 4e10, 3, "muon"));
    for (more, word) in [
        (&["--budget", "150%"][..], "write a share such as 10%"),
        (&["--budget", "10%,5%"], "ascending"),
        (&["--budget", "nothing"], "an amount such as 3e19"),
        (&["--target", "other.csv", "--by", "group"], "no rows of the group 'all'"),
        (&["--cost", "6*N*Q"], "'Q' is no column"),
        (&["--unknown", "gamma any"], "no such unknown"),
    ] {
        let mut all: Vec<&str> = choose(&[]);
        if let Some(at) = all.iter().position(|flag| *flag == more[0]).filter(|_| more[0] != "--unknown") {
            all[at + 1] = more[1];
            all.extend(&more[2..]);
        } else {
            all.extend(more);
        }
        place.run(&all).assert().code(2).stderr(contains(word));
    }
    let tokens = ["choose", "pool.csv", "--target", "target.csv", "--law", "tokens"];
    place.run(&tokens).assert().code(2).stderr(contains("laws that are formulas"));
}

#[test]
fn a_target_needs_no_losses_and_no_cost_and_one_row_has_no_r2() {
    let place = place();
    let table = |text: &str, keep: usize, loss: bool| -> String {
        let cut = |line: &str| if loss { line.to_owned() } else { line.rsplit_once(',').unwrap().0.to_owned() };
        text.lines().take(keep).map(|line| cut(line) + "\n").collect()
    };
    // The cost is that of the pool: the target has no such column.
    let pool: String = runs(1e7, 1e8, 8, "all")
        .lines()
        .enumerate()
        .map(|(at, line)| if at == 0 { format!("{line},price\n") } else { format!("{line},{at}\n") })
        .collect();
    place.write("pool.csv", pool);
    let target = runs(4e9, 4e10, 3, "all");
    let with = |budget: &'static str| {
        let known = KNOWN.iter().flat_map(|text| ["--unknown", *text]);
        let base = ["choose", "pool.csv", "--target", "target.csv", "--formula", SURFACE, "--cost", "price"];
        base.into_iter().chain(known).chain(["--budget", budget, "--json"]).collect::<Vec<&str>>()
    };
    let one = |budget| -> Value {
        let said = place.run(&with(budget)).assert().success();
        serde_json::from_slice(&said.get_output().stdout).unwrap()
    };
    assert!(one("20%")["r2"].as_f64().unwrap() > 0.9);
    place.write("target.csv", table(&target, 2, true));
    let single = one("20%");
    assert!(single["r2"].is_null() && single["rms"].as_f64().unwrap() < 0.1, "{single}");
    place.write("target.csv", table(&target, 10, false));
    let unknown = one("20%");
    assert!(["r2", "rms", "covered"].iter().all(|key| unknown[*key].is_null()), "{unknown}");
    // Three rows tell no five unknowns.
    let few = one("0.5%");
    assert!(few["doubts"][0].as_str().unwrap().contains("at least 7 rows are needed"), "{few}");
}

#[test]
fn a_law_that_misses_the_target_by_more_than_its_intervals_is_told() {
    let place = place();
    // Losses that turn up beyond the pool, which no row of it shows.
    let target: String = runs(4e9, 4e10, 4, "all")
        .lines()
        .map(|line| match line.rsplit_once(',') {
            Some((start, loss)) => {
                format!("{start},{}\n", loss.parse::<f64>().map_or(loss.to_owned(), |x| (x + 1.0).to_string()))
            }
            None => String::new(),
        })
        .collect();
    place.write("target.csv", target);
    let said = place.run(&choose(&["--budget", "50%"])).assert().success();
    said.stdout(contains("at 50%: the 95% intervals hold 0 of 16 losses of the target: the law misses it by more"));
}

#[test]
fn a_pool_with_empty_losses_is_refused_without_flags_that_choose_does_not_have() {
    let place = place();
    let pool = runs(1e7, 1e8, 8, "all") + "1e9,1e9,all,\n";
    place.write("pool.csv", pool);
    let said = place.run(&choose(&[])).assert().code(2);
    said.stderr(contains("take such rows out of the table").and(contains("--skip-incomplete").not()));
}
