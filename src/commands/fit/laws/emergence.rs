//! `--law emergence`: how fast a skill comes with training.

use std::collections::BTreeMap;

use anyhow::Context as _;

use super::asked::{Asked, Reading};
use super::{draw, measured};
use crate::commands::fit::fit_of_rows::FitOfRows;
use crate::commands::fit::request::Request;
use crate::commands::fit::rows::{Group, groups};
use crate::fit::laws::emergence::{self, Row};
use crate::fit::named::{Dot, Law};
use crate::report::figure::{Axis, Color, Figure, Series, Shape, Unit};
use crate::units::Params;

pub(super) const LAW: Asked = Asked { takes: &[], read, draw: |told| vec![figure(told)] };

/// How fast a skill comes, size by size where there are several.
fn read<'a>(request: &'a Request<'a>) -> anyhow::Result<Reading<'a>> {
    let args = request.args;
    let task =
        args.by.as_ref().context("--law emergence looks at one task: name it with --by, such as --by addition.3")?;
    let measures = emergence::MEASURES.map(|measure| format!("{task}.{measure}"));
    let names = [&["N".to_owned(), "D".to_owned()][..], &measures].concat();
    let (read, places) = measured::read(request, Law::Emergence, &names, |_| false)?;
    Ok(Box::new(move || {
        let mut told = Vec::new();
        for Group { rows, made, .. } in groups(read.table, &args.runs, args.drop_highest, |row| row.target)? {
            let mut sizes: BTreeMap<u64, Vec<Row>> = BTreeMap::new();
            for row in rows {
                let number = |at: usize| row.numbers[places[at]];
                // Positive numbers are in the order of their bits.
                sizes.entry(number(0).to_bits()).or_default().push(std::array::from_fn(|k| number(k + 1)));
            }
            let several = sizes.len() > 1;
            for (size, runs) in sizes {
                let name = several.then(|| format!("{} parameters", Params(f64::from_bits(size))));
                let fit = emergence::fit(task, &runs, &request.bootstrap);
                told.push(FitOfRows::new(name, Box::new(fit), &made, runs.iter().flat_map(shares).collect()));
            }
        }
        Ok(told)
    }))
}

/// The measures of a run as shares: a series for each.
fn shares(run: &Row) -> [Dot; 3] {
    let [tokens, exact, accuracy, likelihood] = *run;
    [(1.0, exact), (2.0, accuracy), (3.0, likelihood.exp())].map(|(series, share)| Dot {
        x: tokens,
        loss: share,
        series: Some(series),
    })
}

/// What the series of [`shares`] are.
const SHARES: [&str; 3] = ["exact match", "accuracy of tokens", "likelihood of a token"];

/// The measures as shares against tokens; a panel for each size.
fn figure(told: &[&FitOfRows]) -> Figure {
    let title = "How the skill comes with training";
    let figure = |one: &FitOfRows| {
        let series = |(at, name): (usize, &&'static str)| {
            let is_own = |dot: &&Dot| dot.series.is_some_and(|series| series as usize == at + 1);
            let own: Vec<Dot> = one.points.iter().filter(is_own).copied().collect();
            Series::new(*name, Color::budget(at, SHARES.len()), Shape::of(at), vec![draw::dots(&own, name)])
        };
        Figure {
            title: one.name().unwrap_or_else(|| title.to_owned()),
            note: one.finding.conclusion().to_owned(),
            series: SHARES.iter().enumerate().map(series).collect(),
            ..draw::empty(draw::tokens(), Axis { log: false, ..Axis::new("share", Unit::Count) })
        }
    };
    draw::panels(title, told, figure)
}
