//! The figures of what else trained models were asked: the loss by position in the context, and tasks.

use std::collections::BTreeMap;

use super::curves::Key;
use super::figure::{Axis, Color, Figure, Mark, Point, Series, Shape, Table, Unit, cell};
use crate::columns::POSITION_LOSS;
use crate::fit::NORMAL_95;

/// Something measured of one trained model beside its loss.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluated {
    /// Name of the run.
    pub run: String,
    /// What tells its colour.
    pub key: Key,
    /// Number of all parameters.
    pub params: f64,
    /// Its training FLOPs.
    pub flops: f64,
    /// What was measured: `loss.4-7` or `copy.8.exact_match`.
    pub name: String,
    /// The mean.
    pub value: f64,
    /// Its standard error.
    pub standard_error: f64,
    /// What a model that knows nothing reaches, where that is known.
    pub chance: Option<f64>,
}

/// Measures that are shares from 0 to 1, which the figure of tasks draws; its table has the others too.
const SHARES: [&str; 3] = ["exact_match", "token_accuracy", "accuracy"];

impl Evaluated {
    /// The first and the last position of a loss by position, from 1.
    fn positions(&self) -> Option<[f64; 2]> {
        let places = self.name.strip_prefix(POSITION_LOSS)?;
        let (first, last) = places.split_once('-').unwrap_or((places, places));
        Some([first.parse().ok()?, last.parse().ok()?])
    }

    /// The task and the measure of `copy.8.exact_match`.
    fn task(&self) -> Option<(&str, &str)> {
        self.name.rsplit_once('.').filter(|_| self.positions().is_none())
    }

    fn cells(&self) -> Vec<String> {
        [self.value, self.standard_error].map(cell).to_vec()
    }
}

/// The loss against the position in the context, a line for each run; nothing where it was not asked for.
pub fn by_position(evaluated: &[Evaluated]) -> Option<Figure> {
    let asked: Vec<(&Evaluated, [f64; 2])> = evaluated.iter().filter_map(|one| Some((one, one.positions()?))).collect();
    let mut runs: BTreeMap<&str, Vec<(&Evaluated, [f64; 2])>> = BTreeMap::new();
    for at in &asked {
        runs.entry(&at.0.run).or_default().push(*at);
    }
    let line = |run: &Vec<(&Evaluated, [f64; 2])>| {
        let middle = |[first, last]: [f64; 2]| (first * last).sqrt();
        Mark::Line { points: run.iter().map(|(one, places)| [middle(*places), one.value]).collect(), dashed: false }
    };
    let lines: Vec<(Key, f64, Mark)> = runs.values().map(|run| (run[0].0.key, run[0].0.params, line(run))).collect();
    let rows = asked.iter().map(|(one, [first, last])| {
        let mut row = vec![one.run.clone(), cell(one.params), cell(one.flops), cell(*first), cell(*last)];
        row.extend(one.cells());
        row
    });
    (!asked.is_empty()).then(|| Figure {
        id: "loss_by_position".to_owned(),
        title: "Loss by position in the context".to_owned(),
        note:
            "Validation loss of tokens with so many tokens before them and with them, one line per run, each point the \
               mean over positions from one power of two to the next. Standard errors are in the table."
                .to_owned(),
        x: Axis::new("position in the context (tokens)", Unit::Count),
        y: Axis::new("validation loss (nats per token)", Unit::Loss),
        series: series(lines),
        panels: Vec::new(),
        table: Table {
            header: &["run", "params", "flops", "first_position", "last_position", "loss", "loss_se"],
            rows: rows.collect(),
        },
    })
}

/// What the models reach in each task against compute, a panel for each task, with chance; nothing where none was asked.
pub fn tasks(evaluated: &[Evaluated]) -> Option<Figure> {
    let asked: Vec<(&Evaluated, &str, &str)> =
        evaluated.iter().filter_map(|one| one.task().map(|(task, measure)| (one, task, measure))).collect();
    let mut names: Vec<&str> = Vec::new();
    for (one, _, measure) in &asked {
        if SHARES.contains(measure) && !names.contains(&one.name.as_str()) {
            names.push(&one.name);
        }
    }
    let panel = |name: &&str| {
        let of: Vec<&Evaluated> = asked.iter().map(|asked| asked.0).filter(|one| one.name == **name).collect();
        panel(&name.replace('_', " "), &of)
    };
    let rows = asked.iter().map(|(one, task, measure)| {
        let mut row = vec![one.run.clone(), cell(one.params), cell(one.flops)];
        row.extend([(*task).to_owned(), (*measure).to_owned()]);
        row.extend(one.cells());
        row.push(cell(one.chance));
        row
    });
    (!names.is_empty()).then(|| Figure {
        id: "tasks".to_owned(),
        title: "Tasks".to_owned(),
        note: "Share of answers that are right, one point per run with its 95% interval from the standard error over \
               questions. The level line is what a model that knows nothing reaches. The table has all measures."
            .to_owned(),
        panels: names.iter().map(panel).collect(),
        table: Table {
            header: &["run", "params", "flops", "task", "measure", "value", "value_se", "chance"],
            rows: rows.collect(),
        },
        ..axes("")
    })
}

fn axes(title: &str) -> Figure {
    Figure {
        id: String::new(),
        title: title.to_owned(),
        note: String::new(),
        x: Axis::new("training compute (FLOPs)", Unit::Flops),
        y: Axis::new("share of right answers", Unit::Loss),
        series: Vec::new(),
        panels: Vec::new(),
        table: Table::default(),
    }
}

/// One measure of one task.
fn panel(title: &str, runs: &[&Evaluated]) -> Figure {
    let point = |one: &Evaluated| {
        let half = NORMAL_95 * one.standard_error;
        let title = format!("{}: {:.3} ± {:.3}", one.run, one.value, one.standard_error);
        let y_interval = Some([(one.value - half).max(0.0), (one.value + half).min(1.0)]);
        Mark::Estimates(vec![Point { x: one.flops, y: one.value, x_interval: None, y_interval, title }])
    };
    let mut series = series(runs.iter().map(|one| (one.key, one.params, point(one))).collect());
    if let Some(chance) = runs.iter().find_map(|one| one.chance) {
        series.push(Series::new(format!("chance {chance:.3}"), Color::Muted, Shape::of(0), vec![Mark::Level(chance)]));
    }
    Figure { series, ..axes(title) }
}

/// One series for each key, rising, with the marks of its runs from the smallest on.
fn series(mut marks: Vec<(Key, f64, Mark)>) -> Vec<Series> {
    marks.sort_by(|a, b| a.0.value().total_cmp(&b.0.value()).then(a.1.total_cmp(&b.1)));
    let mut keys: Vec<Key> = marks.iter().map(|(key, ..)| *key).collect();
    keys.dedup();
    let one = |(at, key): (usize, &Key)| {
        let of = marks.iter().filter(|(other, ..)| other == key).map(|(.., mark)| mark.clone());
        Series::new(key.label(), Color::budget(at, keys.len()), Shape::of(at), of.collect()).of_group(key.label())
    };
    keys.iter().enumerate().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evaluated(run: &str, width: f64, name: &str, value: f64, chance: Option<f64>) -> Evaluated {
        let (key, params, flops) = (Key::Width(width), 100.0 * width, 1e9 * width);
        Evaluated {
            run: run.to_owned(),
            key,
            params,
            flops,
            name: name.to_owned(),
            value,
            standard_error: 0.05,
            chance,
        }
    }

    #[test]
    fn positions_make_a_line_for_each_run_and_tasks_a_panel_with_chance_for_each_share() {
        let mut all = Vec::new();
        for (run, width) in [("a", 32.0), ("b", 64.0)] {
            all.extend(
                [("loss.1", 5.0), ("loss.2-3", 4.0)].map(|(name, loss)| evaluated(run, width, name, loss, None)),
            );
            all.push(evaluated(run, width, "copy.8.exact_match", 0.5, Some(0.001)));
            all.push(evaluated(run, width, "copy.8.edit_distance", 3.0, Some(7.5)));
            all.push(evaluated(run, width, "cloze.8.accuracy", 0.98, Some(0.25)));
        }
        let positions = by_position(&all).unwrap();
        assert_eq!((positions.series.len(), positions.table.rows.len()), (2, 4));
        let Mark::Line { points, .. } = &positions.series[1].marks[0] else { panic!("a line") };
        assert!((points[1][0] - 6.0_f64.sqrt()).abs() < 1e-12 && (points[1][1] - 4.0).abs() < 1e-12, "{points:?}");
        let tasks = tasks(&all).unwrap();
        let titles: Vec<&str> = tasks.panels.iter().map(|panel| panel.title.as_str()).collect();
        assert_eq!(titles, ["copy.8.exact match", "cloze.8.accuracy"]);
        assert_eq!(tasks.table.rows.len(), 6, "the table has what is not drawn");
        let cloze = &tasks.panels[1].series;
        assert!(matches!(cloze[2].marks[..], [Mark::Level(chance)] if (chance - 0.25).abs() < 1e-12));
        let Mark::Estimates(points) = &cloze[0].marks[0] else { panic!("a point") };
        assert!(
            points[0].y_interval.is_some_and(|[low, high]| (low - 0.882).abs() < 1e-9 && (high - 1.0).abs() < 1e-9)
        );
        assert!(super::tasks(&all[..2]).is_none() && by_position(&all[2..3]).is_none());
    }
}
