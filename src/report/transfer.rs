//! The figures of a sweep of learning rate and width: the curves of each parameterization side by side, and how their
//! optima move.

use std::collections::BTreeMap;

use super::figure::{Axis, Color, Figure, Mark, Point, Series, Shape, Table, Unit, cell, cells, interval};
use super::words;
use crate::fit::numerics::order::by_first_difference;
use crate::fit::transfer::rates::{Group, Run, WidthOptimum};

/// Loss against learning rate, a panel for each parameterization and a curve for each width.
pub fn curves(groups: &[Group]) -> Figure {
    let rows = groups.iter().flat_map(|group| {
        let row =
            |run: &Run| vec![group.parameterization.clone(), cell(run.width), cell(run.learning_rate), cell(run.loss)];
        sorted(&group.runs).iter().map(row).collect::<Vec<_>>()
    });
    Figure {
        id: "transfer".to_owned(),
        title: "Loss against learning rate, by width".to_owned(),
        note: "Filled: single runs. Line: through the mean of the seeds. Hollow: the optimum, with its 95% interval. \
               If the learning rate transfers, the optima are above each other."
            .to_owned(),
        x: learning_rate(),
        y: loss(),
        series: Vec::new(),
        panels: groups.iter().map(panel).collect(),
        table: Table { header: &["parameterization", "width", "learning_rate", "loss"], rows: rows.collect() },
    }
}

fn learning_rate() -> Axis {
    Axis::new("peak learning rate at the base shape", Unit::Count)
}

fn loss() -> Axis {
    Axis::new("validation loss (nats per token)", Unit::Loss)
}

fn sorted(runs: &[Run]) -> Vec<Run> {
    let mut runs = runs.to_vec();
    let key = |run: &Run| [run.width, run.learning_rate, run.loss];
    runs.sort_by(|a, b| by_first_difference(&key(a), &key(b)));
    runs
}

fn panel(group: &Group) -> Figure {
    let widths = &group.transfer.widths;
    let series = widths.iter().enumerate().map(|(i, width)| curve(group, width, i, widths.len()));
    Figure {
        id: format!("transfer_{}", group.parameterization),
        title: group.parameterization.clone(),
        note: group.transfer.conclusion.clone(),
        x: learning_rate(),
        y: loss(),
        series: series.collect(),
        panels: Vec::new(),
        table: Table::default(),
    }
}

fn curve(group: &Group, optimum: &WidthOptimum, index: usize, count: usize) -> Series {
    let width = optimum.width;
    let runs: Vec<Run> = sorted(&group.runs)
        .into_iter()
        .filter(|run| run.width.total_cmp(&width).is_eq() && run.loss.is_finite())
        .collect();
    let mut means: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
    for run in &runs {
        // Positive numbers order as their bits do.
        means.entry(run.learning_rate.to_bits()).or_default().push(run.loss);
    }
    let mean = |losses: &Vec<f64>| losses.iter().sum::<f64>() / losses.len() as f64;
    let line = means.iter().map(|(rate, losses)| [f64::from_bits(*rate), mean(losses)]).collect();
    let dot = |run: &Run| {
        let title = format!("width {width}, learning rate {}: {:.4}", words::amount(run.learning_rate), run.loss);
        Point { x: run.learning_rate, y: run.loss, x_interval: None, y_interval: None, title }
    };
    let mut marks = vec![Mark::Line { points: line, dashed: false }, Mark::Runs(runs.iter().map(dot).collect())];
    if let (Some(rate), Some(loss)) = (optimum.learning_rate, optimum.loss) {
        let title = format!("width {width}: best learning rate {}", words::estimate(rate, words::amount));
        let point = Point { x: rate.value, y: loss.value, x_interval: interval(rate), y_interval: None, title };
        marks.push(Mark::Estimates(vec![point]));
    }
    let label = format!("width {width}");
    Series::new(label.clone(), Color::budget(index, count), Shape::of(index), marks).of_group(label)
}

/// The best learning rate against width, one line for each parameterization.
pub fn optima(groups: &[Group]) -> Figure {
    let drawn = |(index, group): (usize, &Group)| {
        let known = || group.transfer.widths.iter().filter_map(|width| Some((width.width, width.learning_rate?)));
        let point = |(x, rate): (f64, crate::fit::Estimate)| {
            let title = format!("{} at width {x}: {}", group.parameterization, words::estimate(rate, words::amount));
            Point { x, y: rate.value, x_interval: None, y_interval: interval(rate), title }
        };
        let line = Mark::Line { points: known().map(|(x, rate)| [x, rate.value]).collect(), dashed: false };
        let drift = group.transfer.drift.map_or_else(
            || "drift not determined".to_owned(),
            |drift| format!("{} octaves per doubling", words::estimate(drift, |x| format!("{x:+.2}"))),
        );
        let marks = vec![line, Mark::Estimates(known().map(point).collect())];
        let label = format!("{}: {drift}", group.parameterization);
        Series::new(label, Color::budget(index, groups.len()), Shape::of(index), marks)
    };
    let rows = groups.iter().flat_map(|group| {
        group.transfer.widths.iter().map(|width| {
            let mut row = vec![group.parameterization.clone(), cell(width.width)];
            row.push(width.status.key().to_owned());
            row.extend(cells(width.learning_rate));
            row.extend(cells(width.loss));
            row.extend(cells(width.lost));
            row
        })
    });
    Figure {
        id: "best_learning_rate".to_owned(),
        title: "The best learning rate against width".to_owned(),
        note: "Hollow: the optimum of each width, with its 95% interval. A level line means perfect transfer."
            .to_owned(),
        x: Axis::new("width", Unit::Count),
        y: Axis::new("best peak learning rate at the base shape", Unit::Count),
        series: groups.iter().enumerate().map(drawn).collect(),
        panels: Vec::new(),
        table: Table {
            header: &[
                "parameterization",
                "width",
                "status",
                "best_lr",
                "low",
                "high",
                "loss",
                "loss_low",
                "loss_high",
                "lost",
                "lost_low",
                "lost_high",
            ],
            rows: rows.collect(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fit::Bootstrap;
    use crate::fit::transfer::rates::fit;
    use crate::report::page::tables::{base_of_transfers, transfers};
    use crate::report::{ReportInput, RunTable, render};

    /// Four widths, six rates, two seeds; the optimum drifts by so many octaves a doubling.
    fn group(name: &str, drift: f64) -> Group {
        let mut runs = Vec::new();
        for doubling in 0..4_i32 {
            for octave in 0..6 {
                for seed in [-1.0, 1.0] {
                    let off = f64::from(octave) - 2.5 - drift * f64::from(doubling);
                    let loss = 4.0 - 0.1 * f64::from(doubling) + 0.05 * off * off + 0.002 * seed;
                    let learning_rate = 0.002 * f64::from(octave).exp2();
                    runs.push(Run { width: 32.0 * f64::from(doubling).exp2(), learning_rate, loss });
                }
            }
        }
        let transfer = fit(&runs, &Bootstrap { resamples: 100, seed: 1 });
        Group { parameterization: name.to_owned(), runs, transfer }
    }

    #[test]
    fn the_curves_of_each_parameterization_stand_side_by_side_with_all_runs_in_the_table() {
        let figure = curves(&[group("standard", -0.5), group("mup", 0.0)]);
        assert_eq!(figure.panels.len(), 2);
        assert!(figure.panels.iter().all(|panel| panel.series.len() == 4));
        assert_eq!(figure.table.rows.len(), 2 * 4 * 6 * 2);
        assert!(figure.csv().unwrap().starts_with("parameterization,width,learning_rate,loss\nstandard,32,0.002,"));
        let optima = optima(&[group("mup", 0.0)]);
        assert_eq!(optima.table.rows.len(), 4);
        assert!(optima.series[0].label.contains("octaves per doubling"), "{}", optima.series[0].label);
    }

    #[test]
    fn the_page_of_a_transfer_sweep_holds_its_verdicts_optima_and_figures() {
        let groups = [group("standard", -0.6), group("mup", 0.0)];
        let dir = tempfile::tempdir().unwrap();
        let input = ReportInput {
            name: "mup-transfer",
            spec: "",
            observations: &[],
            approach2: &[],
            approaches: &[],
            held_out: &[],
            curves: &[],
            transfer: &groups,
            savings: &[],
            isoflop_groups: &[],
            choices: None,
            question: None,
            entropy: None,
            runs: &RunTable::default(),
            left_out: &[],
            failed: &[],
            provenance: &[],
            progress: None,
            evaluated: &[],
            shared: None,
            stopped: None,
        };
        assert_eq!(render(&input).unwrap().write(dir.path()).unwrap().len(), 5);
        let page = std::fs::read_to_string(dir.path().join("report.html")).unwrap();
        assert!(page.contains("moves with width") && page.contains("transfers"), "verdicts");
        assert!(page.contains("Best learning rate by width") && !page.contains("Approach 2"));
        assert!(page.contains("with the best rate of the narrowest width (nats)"));
        let drawing = std::fs::read_to_string(dir.path().join("figures/transfer.svg")).unwrap();
        let svg = roxmltree::Document::parse(&drawing).unwrap();
        let headings = svg.descendants().filter(|node| node.attribute("class") == Some("heading"));
        assert_eq!(headings.filter_map(|node| node.text()).skip(1).collect::<Vec<_>>(), ["standard", "mup"]);
    }

    #[test]
    fn a_width_is_not_compared_with_itself_and_the_one_that_stands_in_for_the_narrowest_is_named() {
        // All but the widest, whose rates are shifted, have their lowest loss at an end.
        let mut lone = group("mup", 0.0);
        lone.runs.iter_mut().filter(|run| run.width < 256.0).for_each(|run| run.loss = 4.0 + run.learning_rate);
        lone.transfer = fit(&lone.runs, &Bootstrap { resamples: 100, seed: 1 });
        assert_eq!((lone.transfer.base(), lone.transfer.gap()), (Some(256.0), None), "{:?}", lone.transfer);
        let cells = |group: &Group| transfers(group).into_iter().map(|row| row.cells[2].clone()).collect::<Vec<_>>();
        assert_eq!(cells(&lone), ["–"; 4]);
        assert_eq!(base_of_transfers(std::slice::from_ref(&lone)), "width 256");
        let whole = group("standard", -0.5);
        assert_eq!(cells(&whole)[0], "–");
        assert!(cells(&whole)[1..].iter().all(|cell| cell != "–"), "{:?}", cells(&whole));
        assert!(whole.transfer.gap().unwrap().value > 0.0);
        assert_eq!(base_of_transfers(std::slice::from_ref(&whole)), "the narrowest width");
        assert_eq!(base_of_transfers(&[whole, lone]), "the narrowest width for standard, width 256 for mup");
    }
}
