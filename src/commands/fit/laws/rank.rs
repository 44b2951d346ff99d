//! `--law rank`: whether a measure orders runs as their loss does.

use anyhow::Context as _;

use super::asked::{Asked, Reading};
use super::{draw, measured};
use crate::columns;
use crate::commands::fit::fit_of_rows::FitOfRows;
use crate::commands::fit::request::Request;
use crate::commands::fit::rows::{Group, groups};
use crate::fit::laws::rank::{self, Recipe};
use crate::fit::named::{Dot, Law};
use crate::fit::table::named::Named;
use crate::fit::table::{self, Placed};
use crate::report::figure::{Axis, Color, Figure, Series, Shape, Unit};

pub(super) const LAW: Asked = Asked { takes: &[], read, draw: |told| vec![figure(told)] };

fn read<'a>(request: &'a Request<'a>) -> anyhow::Result<Reading<'a>> {
    let args = request.args;
    let measure = args
        .by
        .as_ref()
        .context("--law rank compares the loss with a column: name it with --by, such as --by cloze.16.accuracy")?;
    let (read, places) = measured::read(request, Law::Rank, std::slice::from_ref(measure), is_recipe)?;
    let size = read.found.iter().position(|found| found == "N");
    let better = !columns::less_is_better(measure);
    // The measure is no name of groups.
    let options = table::Options { by: None, ..request.table.clone() };
    let table = read.table.beside(table::seeded(&args.runs, &request.columns, &options));
    Ok(Box::new(move || {
        let groups = groups(table, &args.runs, args.drop_highest, |(row, _)| row.target)?;
        let one = |Group { name, rows, made, .. }: Group<(Named, Option<Placed>)>| {
            let units = rank::units(&rows.iter().map(|(_, placed)| placed.as_ref()).collect::<Vec<_>>());
            let rows: Vec<Named> = rows.into_iter().map(|(row, _)| row).collect();
            let pairs: Vec<rank::Row> = rows.iter().map(|row| [row.target, row.numbers[places[0]]]).collect();
            let recipe = |row: &Named, at: usize| {
                (!row.labels.is_empty()).then(|| Recipe { name: row.labels.join(", "), params: row.numbers[at] })
            };
            let recipes: Vec<Recipe> =
                size.iter().flat_map(|at| rows.iter().filter_map(|row| recipe(row, *at))).collect();
            let points = pairs.iter().map(|[x, y]| Dot { x: *x, loss: *y, series: None }).collect();
            let fit = rank::fit(measure, better, &pairs, &recipes, &units, &request.bootstrap);
            FitOfRows::new(name, Box::new(fit), &made, points)
        };
        Ok(groups.into_iter().map(one).collect())
    }))
}

/// Whether a column tells recipes apart: an axis that sets neither the size of a model nor its length or seed.
fn is_recipe(header: &str) -> bool {
    let others = ["model.width", "model.depth", "model.head_dim", "data.seed"];
    columns::varied(header.trim()).is_some_and(|axis| !others.contains(&axis) && !axis.starts_with("schedule."))
}

/// The measure against the loss; a panel for each group.
fn figure(told: &[&FitOfRows]) -> Figure {
    let title = "The measure against the loss";
    let figure = |one: &FitOfRows| Figure {
        title: one.name().unwrap_or_else(|| title.to_owned()),
        note: one.finding.conclusion().to_owned(),
        series: vec![Series::new("runs", Color::budget(0, 1), Shape::of(0), vec![draw::dots(&one.points, "runs")])],
        ..draw::empty(draw::loss(), Axis { log: false, ..Axis::new("measure", Unit::Count) })
    };
    draw::panels(title, told, figure)
}
