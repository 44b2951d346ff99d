//! `--law critical-batch`: the batch size at which steps and data are both twice their minimum.

use std::fmt::Write as _;

use anyhow::ensure;

use super::asked::{Asked, BATCH, LOSS, Reading, STEPS, any};
use super::draw;
use crate::commands::fit::finding::{finding, foot, number};
use crate::commands::fit::fit_of_rows::FitOfRows;
use crate::commands::fit::print::cell;
use crate::commands::fit::request::Request;
use crate::commands::fit::rows::{Group, groups};
use crate::commands::shared::sheet::{Room, Sheet, Worth};
use crate::fit::Estimate;
use crate::fit::laws::critical_batch::repeats::{self, Seeded};
use crate::fit::laws::critical_batch::runs::{self, CriticalBatch};
use crate::fit::named::Dot;
use crate::fit::table;
use crate::report::figure::{
    Axis, Color, Figure, Mark, Point, Series, Shape, Table, Unit, cell as csv, cells, interval,
};
use crate::report::words;

pub(super) const LAW: Asked = Asked {
    takes: &["--target-loss"],
    read: |request| {
        let above_zero = |loss: &f64| loss.is_finite() && *loss > 0.0;
        ensure!(request.args.target_loss.iter().all(above_zero), "--target-loss: write losses above zero");
        read(request)
    },
    draw: |told| {
        let mut figures = vec![draw::runs(&Axis::new("steps", Unit::Count), "batch", told)];
        figures.extend(figure(told));
        figures
    },
};

/// The rows, those that differ in their seed alone as one.
fn read<'a>(request: &'a Request<'a>) -> anyhow::Result<Reading<'a>> {
    let args = request.args;
    let table = table::numbers(&args.runs, &request.columns, [BATCH, STEPS, LOSS], &request.table, any)?;
    let table = table.beside(table::seeded(&args.runs, &request.columns, &request.table));
    Ok(Box::new(move || {
        let groups = groups(table, &args.runs, args.drop_highest, |(row, _): &Seeded| row[2])?;
        let one = |Group { name, rows, made, .. }: Group<Seeded>| {
            let dot = |([batch, x, loss], _): &Seeded| Dot { x: *x, loss: *loss, series: Some(*batch) };
            let points = rows.iter().map(dot).collect();
            let averaged = repeats::averaged(&rows);
            if averaged.len() < rows.len() {
                let (all, left) = (rows.len(), averaged.len());
                tell!("note: {all} rows are {left} by the mean of those that differ in their seed alone");
            }
            let mut fit = runs::fit(&averaged, &args.target_loss, &request.bootstrap);
            fit.points = rows.len();
            FitOfRows::new(name, Box::new(fit), &made, points)
        };
        Ok(groups.into_iter().map(one).collect())
    }))
}

finding!(CriticalBatch, text);

/// The critical batch at each loss, and its laws.
fn text(fit: &CriticalBatch, room: Room) -> String {
    let mut text = "(S/S_min - 1)(E/E_min - 1) = 1, B_crit = E_min/S_min\n".to_owned();
    if !fit.targets.is_empty() {
        let mut table = Sheet::new([
            ("loss", Worth::Must),
            ("batches", Worth::More(4)),
            ("least steps", Worth::More(2)),
            ("least examples", Worth::More(3)),
            ("critical batch", Worth::Must),
            ("status", Worth::More(1)),
        ]);
        for target in &fit.targets {
            table.add_row([
                format!("{:.4}", target.loss),
                target.batches.to_string(),
                cell(target.min_steps, number),
                cell(target.min_examples, number),
                cell(target.critical_batch, number),
                target.status.name().to_owned(),
            ]);
        }
        text += &table.text(room);
    }
    let show = |estimate| cell(Some(estimate), number);
    if let Some(law) = fit.against_loss {
        let (b_star, alpha_b) = (show(law.b_star), show(law.alpha_b));
        let _ = writeln!(text, "against loss: B_crit = B*/L^(1/alpha_B), B* {b_star}, alpha_B {alpha_b}");
    }
    if let Some(law) = fit.against_examples {
        let (coefficient, exponent) = (show(law.coefficient), show(law.exponent));
        let _ = writeln!(text, "against data: B_crit = c D^p, c {coefficient}, p {exponent}");
    }
    text + &foot(fit.status, fit.points, fit.residuals, &fit.resampled, &fit.conclusion)
}

/// The critical batch against the loss.
fn figure(told: &[&FitOfRows]) -> Option<Figure> {
    let fits: Vec<(&FitOfRows, &CriticalBatch)> =
        told.iter().filter_map(|one| Some((*one, one.finding.is::<CriticalBatch>()?))).collect();
    if fits.is_empty() {
        return None;
    }
    let series = fits.iter().enumerate().map(|(at, (answer, fit))| {
        let known = fit.targets.iter().filter_map(|target| Some((target.loss, target.critical_batch?)));
        let point = |(loss, batch): (f64, Estimate)| Point {
            x: loss,
            y: batch.value,
            x_interval: None,
            y_interval: interval(batch),
            title: format!("at a loss of {loss:.3}: {}", words::estimate(batch, words::amount)),
        };
        let name = answer.name().unwrap_or_else(|| "critical batch".to_owned());
        Series::new(
            name,
            Color::budget(at, fits.len()),
            Shape::of(at),
            vec![Mark::Estimates(known.map(point).collect())],
        )
    });
    let rows = fits.iter().flat_map(|(answer, fit)| {
        fit.targets.iter().map(|target| {
            let mut row = vec![answer.name().unwrap_or_default(), csv(target.loss)];
            row.push(target.status.key().to_owned());
            row.extend(cells(target.critical_batch));
            row
        })
    });
    Some(Figure {
        id: "critical_batch".to_owned(),
        title: "The critical batch size against the loss".to_owned(),
        note: "The batch size at which a loss takes twice its least steps and twice its least data, with its 95% interval."
            .to_owned(),
        x: Axis::new("validation loss (nats per token)", Unit::Loss),
        y: Axis::new("critical batch (in the unit of the batch)", Unit::Count),
        series: series.collect(),
        panels: Vec::new(),
        table: Table {
            header: &["group", "loss", "status", "critical_batch", "critical_batch_low", "critical_batch_high"],
            rows: rows.collect(),
        },
    })
}
