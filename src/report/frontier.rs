//! The figure of a comparison of parameterizations: the least loss of each budget.

use super::figure::{Axis, Color, Figure, Mark, Point, Series, Shape, Table, Unit, cell, cells, interval};
use super::words;
use crate::fit::Estimate;
use crate::fit::transfer::frontier::{BudgetSaving, Comparison};
use crate::units::Flops;

/// Least loss against budget, the reference and every other way.
pub fn frontier(comparisons: &[Comparison]) -> Figure {
    let count = comparisons.len() + 1;
    let reference = comparisons.first().map(|c| series(c, &c.reference, |b| b.reference_loss, 0, count));
    let others = comparisons.iter().enumerate().map(|(i, c)| series(c, &c.other, |b| b.loss, i + 1, count));
    let rows = comparisons.iter().flat_map(|comparison| {
        comparison.budgets.iter().map(|b| {
            let mut row = vec![comparison.reference.clone(), comparison.other.clone(), cell(b.budget)];
            row.push(b.status.key().to_owned());
            for estimate in [b.reference_loss, b.loss, b.saving, b.saving_with_tuning] {
                row.extend(cells(estimate));
            }
            row
        })
    });
    Figure {
        id: "frontier".to_owned(),
        title: "Lowest loss against compute".to_owned(),
        note: "Each point is the minimum of an IsoFLOP curve with its 95% interval. Standard uses the best of several \
               learning rates at each size, the others use the learning rate of the base width."
            .to_owned(),
        x: Axis::new("training compute of one model (FLOPs)", Unit::Flops),
        y: Axis::new("validation loss (nats per token)", Unit::Loss),
        series: reference.into_iter().chain(others).collect(),
        panels: Vec::new(),
        table: Table {
            header: &[
                "reference",
                "other",
                "flop_budget",
                "status",
                "reference_loss",
                "reference_loss_low",
                "reference_loss_high",
                "loss",
                "loss_low",
                "loss_high",
                "saving",
                "saving_low",
                "saving_high",
                "saving_with_tuning",
                "saving_with_tuning_low",
                "saving_with_tuning_high",
            ],
            rows: rows.collect(),
        },
    }
}

fn series(
    comparison: &Comparison,
    name: &str,
    loss: fn(&BudgetSaving) -> Option<Estimate>,
    index: usize,
    count: usize,
) -> Series {
    let known = || comparison.budgets.iter().filter_map(|b| Some((b.budget, loss(b)?)));
    let point = |(x, loss): (f64, Estimate)| {
        let title = format!("{name} at {}: {}", Flops(x), words::estimate(loss, words::decimal));
        Point { x, y: loss.value, x_interval: None, y_interval: interval(loss), title }
    };
    let line = Mark::Line { points: known().map(|(x, loss)| [x, loss.value]).collect(), dashed: false };
    let marks = vec![line, Mark::Estimates(known().map(point).collect())];
    Series::new(name, Color::budget(index, count), Shape::of(index), marks)
}
