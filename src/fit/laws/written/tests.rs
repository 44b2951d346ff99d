use std::collections::BTreeMap;

use super::*;
use crate::fit::formula::{Asked, Formula};
use ranking::Candidate;

/// A grid of sizes and tokens with losses by a function, off by a little that is no law of anything.
fn grid(loss: impl Fn(f64, f64) -> f64, noise: f64) -> Data {
    let rows: Vec<[f64; 2]> = (0..80).map(|i| [1e7 * 2_f64.powi(i / 10), 1e9 * 2_f64.powi(i % 10)]).collect();
    let wobble = |i: usize| 1.0 + noise * ((i * 7919 % 13) as f64 / 6.0 - 1.0);
    Data {
        columns: BTreeMap::from([
            ("N".to_owned(), rows.iter().map(|row| row[0]).collect()),
            ("D".to_owned(), rows.iter().map(|row| row[1]).collect()),
        ]),
        loss: rows.iter().enumerate().map(|(i, [n, d])| loss(*n, *d) * wobble(i)).collect(),
        cost: Some(rows.iter().map(|[n, d]| 6.0 * n * d).collect()),
        ..Data::default()
    }
}

fn surface(n: f64, d: f64) -> f64 {
    1.69 + 406.4 / n.powf(0.34) + 410.7 / d.powf(0.28)
}

fn law(text: &str, asked: &[&str]) -> Law {
    let asked: Vec<Asked> = asked.iter().map(|text| Asked::parse(text).unwrap()).collect();
    Formula::parse(text).unwrap().law(&|name| ["N", "D"].contains(&name), &asked).unwrap()
}

fn quick() -> Options {
    Options { starts: 24, bootstrap: Bootstrap { resamples: 100, seed: 1 }, ..Options::default() }
}

const SURFACE: &str = "loss = E + A/N^alpha + B/D^beta";

#[test]
fn intervals_hold_what_was_planted_and_runs_held_out_are_predicted() {
    let data = grid(surface, 1e-3);
    let fit = fit(&law(SURFACE, &[]), &data, &quick()).unwrap();
    assert_eq!(fit.law.status, Status::Converged, "{fit:?}");
    for (name, planted) in [("E", 1.69), ("A", 406.4), ("alpha", 0.34), ("B", 410.7), ("beta", 0.28)] {
        assert!(fit.law.get(name).unwrap().holds(planted), "{name} {:?}", fit.law.get(name));
    }
    let held_out = fit.held_out.unwrap();
    assert!(held_out.rms < 0.01 && held_out.factor > 3.0, "{held_out:?}");
    assert!(fit.starts.0 >= 1 && fit.draws.len() == 100);
}

#[test]
fn the_interval_of_a_wider_table_is_narrower() {
    let wide = grid(surface, 1e-2);
    let half: Vec<usize> = (0..80).filter(|row| row % 3 == 0).collect();
    let width = |data: &Data| {
        let alpha = fit(&law(SURFACE, &[]), data, &quick()).unwrap().law.get("alpha").unwrap();
        alpha.high - alpha.low
    };
    assert!(width(&wide) < width(&wide.select(&half)));
}

#[test]
fn what_cannot_be_told_is_a_status_with_its_place() {
    let data = grid(surface, 1e-3);
    for (text, asked, status, what) in [
        ("loss = E + F + A/N^alpha", &[][..], Status::NotIdentified, "'E' (character 8 of the formula) and 'F'"),
        ("loss = E + A/N^alpha + 0*k", &[], Status::NotIdentified, "no row tells 'k' (character 26"),
        (SURFACE, &["alpha in 0..0.2"], Status::BoundHit, "'alpha' (character 16"),
        (SURFACE, &["alpha = 0.34"], Status::Converged, "fitted without the"),
        (
            "loss = E + A/N^alpha + B/D^beta + F/N^2",
            &["F > 0"],
            Status::BoundHit,
            "'F' (character 35 of the formula) went to zero",
        ),
    ] {
        let fit = fit(&law(text, asked), &data, &quick()).unwrap();
        assert_eq!(fit.law.status, status, "{text}: {}", fit.law.conclusion);
        assert!(fit.law.conclusion.contains(what), "{text}: {}", fit.law.conclusion);
    }
    let few = data.select(&[0, 11, 22, 33, 44, 55]);
    assert!(
        fit(&law(SURFACE, &[]), &few, &quick())
            .unwrap_err()
            .what
            .contains("5 unknowns (E, A, alpha, B, beta) for 6 rows")
    );
    let wild = law("loss = E + exp(a*N)", &[]);
    let error = fit(&wild, &data, &quick()).unwrap_err();
    assert!(error.what.contains("no finite number") && error.place.start == 11, "{error}");
}

#[test]
fn the_law_that_made_the_losses_wins_and_the_choice_is_checked() {
    let data = grid(surface, 5e-4);
    let candidate = |name: &str, text: &str| Candidate { name: name.to_owned(), law: law(text, &[]) };
    let candidates = [
        candidate("pure", "loss = A/N^alpha + B/D^beta"),
        candidate("surface", SURFACE),
        candidate("size", "loss = E + A/N^alpha"),
        candidate("wild", "loss = E + A/(N - 1e7)"),
    ];
    let ranking = ranking::rank(&candidates, &data, &quick(), &quick());
    let names: Vec<&str> = ranking.laws.iter().map(|law| law.name.as_str()).collect();
    assert_eq!((names[0], names[3]), ("surface", "wild"), "{ranking:?}");
    assert!(ranking.laws[3].failure.as_ref().unwrap().contains("division by zero"));
    assert_eq!(ranking.nested.as_ref().unwrap().0, "surface");
    assert!(ranking.conclusion.contains("surface wins") && ranking.conclusion.contains("would have been the same"));
}

#[test]
fn no_law_wins_on_losses_that_are_noise() {
    let laws = [("surface", SURFACE), ("size", "loss = E + A/N^alpha")];
    let candidates = laws.map(|(name, text)| Candidate { name: name.to_owned(), law: law(text, &[]) });
    let ranking = ranking::rank(&candidates, &grid(|_, _| 3.0, 0.02), &quick(), &quick());
    let (mean, best) = (ranking.mean.unwrap(), ranking.laws[0].held_out.unwrap().rms);
    assert!((0.01..0.06).contains(&mean) && best > 0.9 * mean, "{ranking:?}");
    assert!(ranking.conclusion.starts_with("No law wins"), "{}", ranking.conclusion);
}

#[test]
fn the_most_expensive_rows_are_held_out_and_never_most_of_them() {
    let data = grid(surface, 0.0);
    let (seen, held) = split_by_cost(&data).unwrap();
    let cost = data.cost.as_ref().unwrap();
    let dearest = seen.iter().map(|&row| cost[row]).fold(0.0, f64::max);
    assert!(held.iter().all(|&row| cost[row] > dearest) && seen.len() > held.len() && !held.is_empty());
    // Seven sizes a budget, whose costs are rounded to whole batches: the last budget is held out whole.
    let cost = (0..21).map(|row| 10_f64.powi(row / 7) * (1.0 + 1e-3 * f64::from(row % 7 - 3)));
    let budgets = Data { cost: Some(cost.collect()), ..data.select(&(0..21).collect::<Vec<_>>()) };
    assert_eq!(split_by_cost(&budgets).unwrap().1.len(), 7);
    let even = Data { cost: Some(vec![1.0; 80]), ..data };
    assert!(split_by_cost(&even).is_none(), "equal costs tell nothing apart");
}
