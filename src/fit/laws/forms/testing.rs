//! What the tests of forms share: a form over made data must give its numbers back.

use std::collections::BTreeMap;

use super::form::Form;
use crate::fit::formula::{Asked, Data, Formula, Grouping, Law, Measure, Residual, solve};

/// The law of a form where these names are columns.
pub(super) fn law(formula: &str, unknowns: &[&str], columns: &[&str]) -> Law {
    let asked: Vec<Asked> = unknowns.iter().map(|text| Asked::parse(text).unwrap()).collect();
    let formula = Formula::parse(formula).unwrap_or_else(|error| panic!("{error}"));
    formula.law(&|name| columns.contains(&name), &asked).unwrap_or_else(|error| panic!("{error}"))
}

/// Rows of columns, the last of which may be a group, with losses by the law itself.
pub(super) fn made(law: &Law, columns: &[(&str, Vec<f64>)], groups: Option<Vec<&str>>, planted: &[f64]) -> Data {
    let rows = columns[0].1.len();
    let mut data = Data {
        columns: columns.iter().map(|(name, values)| ((*name).to_owned(), values.clone())).collect::<BTreeMap<_, _>>(),
        loss: vec![1.0; rows],
        ..Data::default()
    };
    if let Some(groups) = groups {
        data.groups.insert("group".to_owned(), Grouping::of(groups.into_iter()));
    }
    data.loss = law.bind(&data).unwrap().predict(planted);
    data
}

/// Asserts that a fit to what the form says with `planted` numbers gives them back, within a share.
pub(super) fn recovers(
    form: &Form,
    columns: &[(&str, Vec<f64>)],
    groups: Option<Vec<&str>>,
    planted: &[f64],
    share: f64,
) {
    let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
    let law = law(form.formula, form.unknowns, &names);
    let data = made(&law, columns, groups, planted);
    let bound = law.bind(&data).unwrap();
    let found = solve(&bound, Measure::default(), 48, 0).unwrap();
    for ((number, value), planted) in bound.numbers.iter().zip(&found.values).zip(planted) {
        assert!((value / planted - 1.0).abs() < share, "{}: {value} and not {planted}; {found:?}", number.label);
    }
}

/// Every pair of some sizes and numbers of tokens.
pub(super) fn grid(sizes: usize, tokens: usize) -> (Vec<f64>, Vec<f64>) {
    let pair = |i: usize| (1e7 * 2_f64.powf((i / tokens) as f64), 1e9 * 2_f64.powf((i % tokens) as f64));
    (0..sizes * tokens).map(pair).unzip()
}

/// R2 on `test` of a fit to `train` by plain least squares, as the benchmark of arXiv 2604.22753 scores.
pub(super) fn score(law: &Law, train: &Data, test: &Data, seed: u64) -> f64 {
    let measure = Measure { residual: Residual::Plain, ..Measure::default() };
    let found = solve(&law.bind(train).unwrap(), measure, 24, seed).unwrap();
    let predicted = law.bind(test).unwrap().predict(&found.values);
    let mean = test.loss.iter().sum::<f64>() / test.len() as f64;
    let squares = |of: &dyn Fn(usize) -> f64| (0..test.len()).map(|row| of(row).powi(2)).sum::<f64>();
    1.0 - squares(&|row| predicted[row] - test.loss[row]) / squares(&|row| test.loss[row] - mean)
}
