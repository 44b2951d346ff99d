//! Tables whose rows are points of learning curves, or runs and their retries.

use std::fmt::Write as _;

use predicates::prelude::PredicateBooleanExt as _;
use predicates::str::contains;

use super::surface::{CHINCHILLA, Runs as _, noisy};
use super::table::{fit, runs_csv};

/// Points of a run in [`logged`].
const POINTS: usize = 12;

/// A row for each of twelve points of a run, of which the last one is that of [`runs_csv`], in the columns of a logger.
fn logged(run: &str, step: &str) -> String {
    let mut text = format!("{run},{step},params,tokens,loss\n");
    for (at, run) in noisy(CHINCHILLA.grid(&[1e18, 1e19, 1e20], 7, 4.0), 0.002, 1).iter().enumerate() {
        for point in 1..=POINTS {
            let share = point as f64 / POINTS as f64;
            let (tokens, loss) = (run.tokens * share, run.loss + 0.1 * (1.0 - share));
            writeln!(text, "r{at},{},{},{tokens},{loss}", point * 100, run.params).unwrap();
        }
    }
    text
}

/// The header, and the rows that `keep` keeps, by their place in their run.
fn of_points(csv: &str, keep: impl Fn(usize) -> bool) -> String {
    let rows = csv.lines().enumerate().filter(|(at, _)| *at == 0 || keep((at - 1) % POINTS));
    rows.fold(String::new(), |text, (_, row)| text + row + "\n")
}

/// What a fit prints, and what it says beside it.
fn said(csv: &str, flags: &[&str]) -> (String, String) {
    let output = fit(csv, &[&["--bootstrap", "100"], flags].concat()).success().get_output().clone();
    (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
}

const VPNLS: [&str; 2] = ["--approach", "vpnls"];

#[test]
fn of_learning_curves_the_last_row_of_each_run_counts() {
    let all = logged("run", "_step");
    let ends = said(&of_points(&all, |point| point == POINTS - 1), &VPNLS).0;
    let told = "by 'run' and '_step': of 252 the last one of each of 21 runs counts";
    let (whole, notes) = said(&all, &VPNLS);
    assert!(whole == ends && notes.contains(told), "{notes}");
    // As loggers write it: steps with commas, one of them twice after a run went on, other rows without a loss of validation,
    // and an experiment that all runs share.
    let commas = all.replace(",1100,", ",\"1,100\",").replace(",1200,", ",\"1,200\",");
    assert_eq!(said(&commas, &VPNLS).0, ends);
    let resumed = all.lines().nth(3).unwrap();
    assert_eq!(said(&format!("{all}{resumed}\n"), &VPNLS).0, ends);
    let without = |loss: &str| {
        let rows = all.lines().enumerate().map(|(at, row)| match row.rsplit_once(',') {
            Some((rest, _)) if at > 0 && at % 2 == 1 => format!("{rest},{loss}\n"),
            _ => format!("{row}\n"),
        });
        rows.collect::<String>()
    };
    assert_eq!(said(&without(""), &VPNLS).0, ends);
    assert_eq!(said(&without("NaN"), &VPNLS).0, ends);
    let of_all = all.lines().enumerate().fold(String::new(), |text, (at, row)| {
        let experiment = if at == 0 { "run_name" } else { "sweep" };
        format!("{text}{experiment},{row}\n")
    });
    assert_eq!(said(&of_all, &VPNLS).0, ends);
}

#[test]
fn rows_that_may_be_finished_runs_all_count() {
    let all = logged("run", "step");
    // Approach 1 takes curves, and whoever writes a formula knows what the rows are.
    let (envelope, notes) = said(&all, &["--approach", "1"]);
    assert!(envelope.contains(" 252 ") && !notes.contains("learning curves"), "{notes}");
    let few = of_points(&all, |point| point % 3 == 2);
    let finished = all.lines().enumerate().fold(String::new(), |text, (at, row)| {
        format!("{text}{row},{}\n", if at == 0 { "status" } else { "finished" })
    });
    for (csv, rows) in
        [(few, " 84 "), (finished, " 252 "), (logged("run", "lr_now"), " 252 "), (logged("name", "step"), " 252 ")]
    {
        let (whole, told) = said(&csv, &VPNLS);
        assert!(whole.contains(rows) && told.contains("if these are points of learning curves"), "{told}");
    }
    // A number of the repeat beside the size.
    let repeats = all.lines().enumerate().fold(String::new(), |text, (at, row)| match row.split_once(',') {
        Some((_, rest)) if at > 0 => format!("{text}{},{rest}\n", at % 3),
        _ => format!("{text}{row}\n"),
    });
    assert!(!said(&repeats, &VPNLS).1.contains("learning curves"));
    // A later attempt that crashed is no end.
    let crashed =
        runs_csv().replacen("id,", "run,", 1).lines().enumerate().fold(String::new(), |text, (at, row)| match at {
            1 => format!("{text}r1{}\nr1{}\n", &row[1..], row[1..].replacen("finished", "crashed", 1)),
            2.. => format!("{text}r{at}{}\n", &row[1..]),
            _ => format!("{text}{row}\n"),
        });
    assert!(said(&crashed, &["--approach", "2"]).1.contains("are left out: 1 crashed, 1 diverged"), "{crashed}");
}

#[test]
fn a_run_and_its_retry_are_told() {
    let csv = runs_csv();
    let row = csv.lines().nth(1).unwrap();
    let loss = row.split(',').nth(3).unwrap();
    let retried = format!("{csv}{}\n", row.replace(loss, "3.5"));
    fit(retried, &["--bootstrap", "100", "--approach", "2"])
        .success()
        .stderr(contains("1 row has the size, tokens and seed of another row, and another loss"));
    fit(csv, &["--bootstrap", "100", "--approach", "2"]).success().stderr(contains("another loss").not());
}

#[test]
fn experiments_in_one_table_are_told_beside_a_rate_that_does_not_differ_and_not_beside_one_that_does() {
    // Each run once more, by another experiment, worse by a tenth.
    let twice = |rates: [&str; 2]| {
        let csv = runs_csv();
        let mut rows = csv.lines();
        let mut text = format!("{},experiment,lr\n", rows.next().unwrap());
        for row in rows {
            let loss = row.split(',').nth(3).unwrap();
            let worse = loss.parse::<f64>().map_or_else(|_| loss.to_owned(), |loss| (loss + 0.1).to_string());
            let other = row.replacen(loss, &worse, 1);
            write!(text, "{row},base,{}\n{other},ablation,{}\n", rates[0], rates[1]).unwrap();
        }
        text
    };
    let flags = ["--bootstrap", "100", "--approach", "2"];
    fit(twice(["6e-4", "6e-4"]), &flags).success().stderr(
        contains("rows have the size, tokens and seed of another row")
            .and(contains("the two of each pair differ in 'experiment', which --by experiment fits apart")),
    );
    fit(twice(["6e-4", "3e-4"]), &flags).success().stderr(contains("of another row").not());
}

#[test]
fn a_unit_that_a_header_tells_holds_where_its_column_is_asked_for() {
    let csv = runs_csv();
    let header = csv.lines().next().unwrap();
    let at = header.split(',').position(|name| name == "tokens" || name == "D").unwrap();
    let in_billions = csv.lines().enumerate().fold(String::new(), |text, (row, line)| {
        let cells = line.split(',').enumerate().map(|(column, cell)| match (row, column == at) {
            (0, true) => "seen_B".to_owned(),
            (_, true) => cell.parse::<f64>().map_or_else(|_| cell.to_owned(), |tokens| (tokens / 1e9).to_string()),
            _ => cell.to_owned(),
        });
        text + &cells.collect::<Vec<_>>().join(",") + "\n"
    });
    let flags = ["--bootstrap", "100", "--approach", "2"];
    let asked = [&flags[..], &["--columns", "tokens=seen_B"]].concat();
    let headline = |csv: String, flags: &[&str]| {
        let output = fit(csv, flags).success().get_output().clone();
        let said = String::from_utf8(output.stdout).unwrap();
        said.lines().find(|line| line.starts_with("Headline:")).unwrap().to_owned()
    };
    assert_eq!(headline(in_billions.clone(), &asked), headline(csv, &flags));
    fit(in_billions, &asked).success().stderr(contains("'seen_B' times 1000000000"));
}

#[test]
fn a_column_in_two_units_is_told() {
    let csv = runs_csv();
    let at = csv.lines().next().unwrap().split(',').position(|name| name == "tokens" || name == "D").unwrap();
    let mixed = csv.lines().enumerate().fold(String::new(), |text, (row, line)| {
        let cells = line.split(',').enumerate().map(|(column, cell)| match cell.parse::<f64>() {
            Ok(tokens) if column == at && row % 4 == 1 => (tokens / 1e9).to_string(),
            _ => cell.to_owned(),
        });
        text + &cells.collect::<Vec<_>>().join(",") + "\n"
    });
    fit(mixed, &["--bootstrap", "100", "--approach", "2"])
        .success()
        .stderr(contains("with less than a token for 1000 parameters").and(contains("has two units")));
}
