//! Single runs a few percent off what the others say.

use super::surface::{CHINCHILLA, Runs as _, noisy};
use runner::fit::approaches::outliers::{Why, find};
use runner::fit::table::{Columns, Options, read};
use runner::observation::Observation;

const BUDGETS: [f64; 4] = [1e17, 1e18, 1e19, 3e19];

/// `budgets` curves of so many sizes, with noise.
fn grid(budgets: usize, sizes: usize, sd: f64, seed: u64) -> Vec<Observation> {
    noisy(CHINCHILLA.grid(&BUDGETS[..budgets], sizes, 4.0), sd, seed)
}

/// The same with some losses too high.
fn with(mut runs: Vec<Observation>, bad: &[(usize, f64)]) -> Vec<Observation> {
    for (at, off) in bad {
        runs[*at].loss += off;
    }
    runs
}

fn named(runs: &[Observation]) -> Vec<usize> {
    find(runs).into_iter().map(|outlier| outlier.index).collect()
}

#[test]
fn one_run_off_by_a_few_percent_is_named_wherever_it_lies_with_what_the_others_say() {
    for at in 0..15 {
        let runs = with(grid(3, 5, 0.005, 40 + at as u64), &[(at, 0.3)]);
        let found = find(&runs);
        assert_eq!(found.iter().map(|outlier| outlier.index).collect::<Vec<_>>(), [at], "{found:?}");
        let expected = found[0].expected.unwrap();
        let truth = CHINCHILLA.loss(runs[at].params, runs[at].tokens);
        assert!(found[0].why == Why::OffSurface && (expected - truth).abs() < 0.1, "{expected} and not {truth}");
        // One that is too low looks like more tokens at some places.
        assert_eq!(named(&with(runs, &[(at, -0.6)])), [at]);
    }
}

#[test]
fn the_order_of_rows_does_not_count() {
    let runs = with(grid(3, 5, 0.01, 3), &[(7, 0.3)]);
    let mut mirrored = runs.clone();
    mirrored.reverse();
    assert_eq!((named(&runs), named(&mirrored)), (vec![7], vec![15 - 1 - 7]));
}

#[test]
fn tables_of_good_runs_accuse_nobody_and_most_bad_runs_are_seen_in_as_much_noise() {
    let mut clean = 0;
    for (budgets, sizes) in [(3, 4), (3, 5), (4, 7)] {
        for sd in [0.005, 0.02] {
            clean += (0..10).filter(|seed| !named(&grid(budgets, sizes, sd, 100 + seed)).is_empty()).count();
        }
    }
    assert_eq!(clean, 0, "tables of 60");
    let seen = |seed: u64| {
        let at = (7 * seed as usize + 3) % 15;
        named(&with(grid(3, 5, 0.01, 200 + seed), &[(at, 0.3)])) == [at]
    };
    let seen = (0..20).filter(|seed| seen(*seed)).count();
    assert!(seen >= 17, "{seen} of 20");
}

#[test]
fn two_bad_runs_do_not_hide_each_other() {
    let runs = with(grid(4, 7, 0.01, 9), &[(4, 0.3), (22, 0.3)]);
    assert_eq!(named(&runs), [4, 22]);
}

#[test]
fn in_one_budget_a_run_between_others_is_named_and_a_steep_end_is_not() {
    let curve = || noisy(CHINCHILLA.grid(&[1e18], 9, 4.0), 0.003, 2);
    assert!(named(&curve()).is_empty());
    assert_eq!(named(&with(curve(), &[(5, 0.3)])), [5]);
    assert!(named(&with(curve(), &[(8, 0.3)])).is_empty(), "a steep end has a cubic");
}

/// One budget, four sizes so near each other that they are one, and two others; `losses` of those four rise with their size.
fn nearly_one_size(apart: f64) -> Vec<Observation> {
    let sizes = [1.0, 1.0 + apart, 1.0 + 2.0 * apart, 1.0 + 3.0 * apart, 3.0, 9.0].map(|factor| 3e7 * factor);
    let losses = [3.640, 3.641, 3.642, 3.643, 3.535, 3.662];
    let run = |(params, loss): (f64, f64)| Observation { loss, ..CHINCHILLA.run(1e18, params) };
    sizes.into_iter().zip(losses).map(run).collect()
}

#[test]
fn a_size_alone_is_not_judged_by_others_that_are_nearly_one() {
    // A parabola through four that are one, and one at the end, may go anywhere between.
    for apart in [1e-10, 1e-7, 1e-4, 1e-2] {
        assert!(named(&nearly_one_size(apart)).is_empty(), "{apart}");
    }
}

#[test]
fn losses_in_small_units_are_told_with_their_digits() {
    let place = crate::common::Place::new();
    let mut runs = with(grid(3, 5, 0.01, 11), &[(7, 0.3)]);
    for run in &mut runs {
        run.loss *= 1e-6;
    }
    place.write("runs.csv", table(&runs));
    let output = place.run(&["fit", "runs.csv", "--approach", "2", "--bootstrap", "200"]);
    let said = crate::common::text(&output.stderr);
    assert!(said.contains("e-6 where the others say ") && !said.contains("0.000"), "{said}");
    let shown = crate::common::text(&output.stdout);
    let shown = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(shown.contains("e-7 nats above what the others say, "), "{shown}");
}

#[test]
fn no_run_of_the_committed_results_is_named_for_a_few_percent() {
    let results = crate::common::repository().join("results");
    let mut looked = 0;
    for dir in std::fs::read_dir(results).unwrap() {
        let runs = dir.unwrap().path().join("runs.csv");
        let Ok(table) = read(&runs, &Columns::default(), &Options::default()) else { continue };
        let few = |outlier: &runner::fit::approaches::outliers::Outlier| {
            outlier.expected.is_some_and(|expected| (outlier.loss / expected).ln().abs() < 0.1)
        };
        let found: Vec<_> = find(&table.rows).into_iter().filter(few).collect();
        assert!(found.is_empty(), "{}: {found:?}", runs.display());
        looked += 1;
    }
    assert!(looked > 40, "{looked}");
}

/// A table as `runner fit` reads it.
fn table(runs: &[Observation]) -> String {
    let row = |run: &Observation| format!("{},{},{},{}\n", run.params, run.tokens, run.flops, run.loss);
    "params,tokens,flop_budget,val_loss\n".to_owned() + &runs.iter().map(row).collect::<String>()
}

#[test]
fn where_one_run_costs_a_budget_its_optimum_it_is_named_and_no_more_runs_are_asked_for() {
    let place = crate::common::Place::new();
    place.write("runs.csv", table(&with(grid(3, 5, 0.01, 11), &[(7, 0.3)])));
    let asked = ["fit", "runs.csv", "--approach", "2", "--bootstrap", "200"];
    let output = place.run(&asked);
    let (shown, said) = (crate::common::text(&output.stdout), crate::common::text(&output.stderr));
    let shown = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        said.contains("warning: 1 of 15 runs contradict the others: 1 far from what the others agree on"),
        "{said}"
    );
    assert!(said.contains("approach 2 then finds the optimum of 3 of 3 budgets instead of 2"), "{said}");
    assert!(
        shown.contains("Left out 1e18: there the run of") && shown.contains("nats above what the others say"),
        "{shown}"
    );
    assert!(!shown.contains("more seeds") && !shown.contains("train a third budget"), "{shown}");
    let output = place.run(&[&asked[..], &["--exclude-outliers", "--json"]].concat());
    let fit: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&fit["status"], fit["points"].as_u64()), (&"converged".into(), Some(14)), "{fit}");
    assert!(fit["outliers"][0]["expected"].is_f64(), "{fit}");
    assert!(!fit["conclusion"].as_str().unwrap().contains("--exclude-outliers"), "{fit}");
}
