//! How far a question lies outside of the data, and what other laws that fit as well would answer.

use serde::{Deserialize, Serialize};

use super::ranking::{Ranked, Ranking};
use super::{Span, Written};
use crate::fit::formula::Data;
use crate::fit::numerics::order::ends;

/// How far one column of a question lies from the rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Distance {
    /// The column.
    pub name: String,
    /// Factors of ten above the greatest value, or below the least one if negative; zero within the rows.
    pub decades: f64,
}

/// How far each column that is asked about lies outside of what was measured.
pub fn distances(spans: &[Span], asked: &[(String, f64)]) -> Vec<Distance> {
    let of = |(name, value): &(String, f64)| {
        let span = spans.iter().find(|span| span.name == *name)?;
        let decades = if *value > span.high && span.high > 0.0 {
            (value / span.high).log10()
        } else if *value < span.low && *value > 0.0 {
            (value / span.low).log10()
        } else {
            0.0
        };
        Some(Distance { name: name.clone(), decades })
    };
    asked.iter().filter_map(of).collect()
}

/// A law that fits as well as another, by its formula and numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rival {
    /// Its name.
    pub name: String,
    /// Its formula.
    pub formula: String,
    /// The columns that it needs.
    pub columns: Vec<String>,
    /// Its numbers.
    pub values: Vec<f64>,
}

/// Residuals up to this factor of those of the law in question are as good.
const AS_GOOD: f64 = 1.15;

/// The laws of a ranking that fit as well as `fit`, which is called `name`.
pub fn rivals(fit: &Written, name: &str, ranking: &Ranking) -> Vec<Rival> {
    let own = fit.law.residuals.map_or(f64::NAN, |residuals| residuals.rms);
    let as_good = |law: &&Ranked| law.name != name && law.rms.is_some_and(|rms| rms <= AS_GOOD * own);
    let rival = |law: &Ranked| Rival {
        name: law.name.clone(),
        formula: law.formula.clone(),
        columns: law.columns.clone(),
        values: law.values.clone(),
    };
    ranking.laws.iter().filter(as_good).map(rival).collect()
}

/// Places on a straight line in logarithms from the cheapest row through the most expensive one, and as many decades of cost
/// beyond it: what a figure draws a law along. Columns that are not above zero, and groups, stay those of the most
/// expensive row. Nothing where costs are not known or do not differ.
pub fn beyond(data: &Data, decades: f64, count: usize) -> Option<Data> {
    let cost = data.cost.as_ref()?;
    let order = |a: &usize, b: &usize| cost[*a].total_cmp(&cost[*b]);
    let (cheap, dear) = ((0..data.len()).min_by(order)?, (0..data.len()).max_by(order)?);
    let span = (cost[dear] / cost[cheap]).log10();
    if !span.is_finite() || span <= 0.0 {
        return None;
    }
    let last = 1.0 + decades / span;
    let shares: Vec<f64> = (0..count).map(|at| last * at as f64 / (count - 1) as f64).collect();
    let along = |values: &Vec<f64>| -> Vec<f64> {
        let (from, to) = (values[cheap], values[dear]);
        if from > 0.0 && to > 0.0 {
            shares.iter().map(|share| (from.ln() + share * (to.ln() - from.ln())).exp()).collect()
        } else {
            vec![to; count]
        }
    };
    Some(Data {
        columns: data.columns.iter().map(|(name, values)| (name.clone(), along(values))).collect(),
        loss: vec![1.0; count],
        cost: Some(along(cost)),
        ..data.select(&vec![dear; count])
    })
}

/// The least and the greatest of some answers; nothing where there is none.
pub fn spread(answers: &[f64]) -> Option<[f64; 2]> {
    let finite = || answers.iter().copied().filter(|answer| answer.is_finite());
    let (low, high) = ends(finite());
    (low <= high).then_some([low, high])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_a_figure_goes_from_the_cheapest_row_to_decades_beyond_the_dearest() {
        let data = Data {
            columns: [("N".to_owned(), vec![1e8, 1e6, 1e7])].into(),
            loss: vec![2.0, 4.0, 3.0],
            cost: Some(vec![1e19, 1e15, 1e17]),
            ..Data::default()
        };
        let line = beyond(&data, 2.0, 4).unwrap();
        let cost = line.cost.as_ref().unwrap();
        for (got, expected) in cost.iter().zip([1e15, 1e17, 1e19, 1e21]) {
            assert!((got / expected - 1.0).abs() < 1e-9, "{cost:?}");
        }
        assert!((line.columns["N"][3] / 1e9 - 1.0).abs() < 1e-9);
        assert!(beyond(&Data { cost: None, ..data }, 2.0, 4).is_none());
    }

    #[test]
    fn distances_are_decades_beyond_the_nearest_end() {
        let spans = [Span { name: "N".to_owned(), low: 1e6, high: 1e8 }];
        let asked = |value: f64| distances(&spans, &[("N".to_owned(), value)])[0].decades;
        assert!((asked(1e10) - 2.0).abs() < 1e-12 && (asked(1e5) + 1.0).abs() < 1e-12);
        assert!(asked(1e7).abs() < 1e-12);
        assert_eq!(spread(&[2.0, f64::NAN, 1.0]), Some([1.0, 2.0]));
        assert_eq!(spread(&[f64::NAN]), None);
    }
}
