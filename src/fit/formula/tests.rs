use std::collections::BTreeMap;

use super::testing::shared;
use super::*;

/// A law whose columns are those of `data`.
pub(super) fn law(formula: &str, data: &Data, asked: &[&str]) -> Law {
    let asked: Vec<Asked> = asked.iter().map(|text| Asked::parse(text).unwrap()).collect();
    let formula = Formula::parse(formula).unwrap_or_else(|error| panic!("{error}"));
    formula.law(&|name| data.columns.contains_key(name), &asked).unwrap_or_else(|error| panic!("{error}"))
}

/// Data of columns x and y by a function.
fn over(rows: impl Iterator<Item = [f64; 2]>, loss: impl Fn(f64, f64) -> f64) -> Data {
    let rows: Vec<[f64; 2]> = rows.collect();
    Data {
        columns: BTreeMap::from([
            ("N".to_owned(), rows.iter().map(|row| row[0]).collect()),
            ("D".to_owned(), rows.iter().map(|row| row[1]).collect()),
        ]),
        loss: rows.iter().map(|[n, d]| loss(*n, *d)).collect(),
        ..Data::default()
    }
}

fn grid() -> impl Iterator<Item = [f64; 2]> {
    (0..8).flat_map(|i| (0..8).map(move |j| [1e7 * 2_f64.powi(i), 1e9 * 2_f64.powi(j)]))
}

#[test]
fn formulas_mean_what_mathematics_means() {
    let data = over(std::iter::once([3.0, 2.0]), |_, _| 1.0);
    for (text, expected) in [
        ("-N^2", -9.0),
        ("(-N)^2", 9.0),
        ("2^N^D", 512.0),
        ("2**-N", 0.125),
        ("N - D - 1", 0.0),
        ("N / D / 2", 0.75),
        ("-N*-D", 6.0),
        ("1e-1*N + .5", 0.8),
        ("exp(-N^2) + max(N, min(D, 7))", 3.0 + (-9.0_f64).exp()),
        ("log10(1e3)+log2(8)+ln(exp(1))+sqrt(4)", 9.0),
        ("2*N^2/ (1+1)", 9.0),
        ("+N", 3.0),
        ("-2^2*N", -12.0),
    ] {
        let law = law(&format!("loss = {text} + 0*k*N"), &data, &[]);
        let got = law.bind(&data).unwrap().predict(&[0.0])[0];
        assert!((got - expected).abs() < 1e-12, "{text} is {got} and not {expected}");
    }
}

#[test]
fn what_cannot_be_read_is_told_with_its_place() {
    for (text, place, what) in [
        ("loss = E + A/N^", 15..15, "ends where"),
        ("loss = E + (A/N", 11..12, "never closed"),
        ("loss = E + A)/N", 12..13, "never opened"),
        ("loss = E + 2N", 12..13, "operator"),
        ("loss = E + * N", 11..12, "should stand here"),
        ("loss = N(1+E)", 7..8, "N*("),
        ("loss = max(E)", 7..13, "2 and not 1"),
        ("loss = E $ N", 9..10, "'$'"),
        ("E + A/N", 0..7, "equation"),
        ("loss = E = N", 9..10, "equation"),
        ("log(loss) = E", 0..9, "exp(...)"),
        ("loss = E + loss", 11..15, "both sides"),
        ("loss = 1..2 + E*N", 7..11, "'1..2' is no number"),
    ] {
        let error = Formula::parse(text).unwrap_err();
        assert_eq!((error.place.clone(), error.what.contains(what)), (place, true), "{text}: {error}");
        assert!(error.to_string().contains(text) && error.to_string().contains('^'));
    }
}

#[test]
fn derivatives_are_those_of_finite_differences() {
    let mut data = over(grid(), |_, _| 1.0);
    let labels = (0..64).map(|i| if i % 3 == 0 { "adam" } else { "muon" });
    data.groups.insert("optimizer".to_owned(), Grouping::of(labels));
    let text = "loss = E + A{optimizer}/N^alpha + (B/D)^beta*tanh(c) + exp(-q*log2(D)/N^.1) + sqrt(abs(E*c)) \
                + min(c, N/1e8)*max(q, D/1e10) + (c+q)^(alpha+1) - ln(A{optimizer})^2 + (E-c)^3/log10(7*c)";
    let law = law(text, &data, &[]);
    let bound = law.bind(&data).unwrap();
    let labels: Vec<&str> = bound.numbers.iter().map(|number| number.label.as_str()).collect();
    assert_eq!(labels, ["E", "A[adam]", "A[muon]", "alpha", "B", "beta", "c", "q"]);
    let at = [1.7, 40.0, 55.0, 0.3, 1e7, 0.4, 0.6, 0.21];
    let mut slopes = Vec::new();
    bound.slopes(&at, &mut slopes);
    for (k, slope) in slopes.iter().enumerate() {
        let step = 1e-6 * at[k];
        let moved = |step: f64| {
            let mut moved = at;
            moved[k] += step;
            bound.predict(&moved)
        };
        for ((up, down), exact) in moved(step).iter().zip(moved(-step)).zip(slope) {
            let difference = (up - down) / (2.0 * step);
            assert!((difference - exact).abs() < 1e-6 * (1.0 + exact.abs()), "{}: {difference} {exact}", labels[k]);
        }
    }
}

#[test]
fn a_surface_is_recovered_without_being_told_anything() {
    let data = over(grid(), |n, d| 1.69 + 406.4 / n.powf(0.34) + 410.7 / d.powf(0.28));
    let law = law("loss = E + A/N^alpha + B/D^beta", &data, &[]);
    let bound = law.bind(&data).unwrap();
    let found = solve(&bound, Measure::default(), 24, 0).unwrap();
    for (value, planted) in found.values.iter().zip([1.69, 406.4, 0.34, 410.7, 0.28]) {
        assert!((value / planted - 1.0).abs() < 1e-4, "{found:?}");
    }
}

#[test]
fn the_huber_optimum_of_besiroglu_is_reached() {
    let columns = [("N", "Model Size"), ("C", "Training FLOP")];
    let Some(all) = shared("epoch_chinchilla_245.csv", &columns, "loss") else { return };
    let mut order: Vec<usize> = (0..all.len()).collect();
    order.sort_by(|&i, &j| all.loss[i].total_cmp(&all.loss[j]));
    let data = all.select(&order[..240]);
    let law = law("loss = E + A/N^alpha + B/(C/(6*N))^beta", &data, &[]);
    let bound = law.bind(&data).unwrap();
    let measure = Measure { delta: 1e-3, ..Measure::default() };
    let found = solve(&bound, measure, 24, 0).unwrap();
    assert!(found.objective <= 1.018_274_1e-3, "{found:?}");
    for (value, best) in found.values.iter().zip([1.817_218, 477.826, 0.347_310_5, 2143.417, 0.367_172_4]) {
        assert!((value / best - 1.0).abs() < 2e-3, "{found:?}");
    }
}
