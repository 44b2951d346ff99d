//! The figures of mixtures of data: how far each is from the mean of all at each size, and the best shares against size.

use super::figure::{Axis, Color, Figure, Mark, Point, Series, Shape, Table, Unit, cell, cells, interval};
use super::words;
use crate::fit::laws::composition::{Best, Composition, Target};

/// Both figures.
pub fn figures(fit: &Composition) -> Vec<Figure> {
    vec![mixtures(fit), shares(fit)]
}

/// Losses against the mean of all mixtures, a panel for each target: parallel lines are offsets.
fn mixtures(fit: &Composition) -> Figure {
    let panel = |target: &Target| Figure {
        title: format!("on {}", target.name),
        series: (0..fit.mixtures.len()).map(|mixture| line(fit, target, mixture)).collect(),
        ..axes(Axis::new("loss above the mean of all mixtures (nats per token)", Unit::Difference))
    };
    let rows = fit.targets.iter().flat_map(|target| {
        fit.sizes.iter().zip(&target.losses).flat_map(move |(size, losses)| {
            let told = fit.mixtures.iter().zip(losses);
            told.filter_map(move |(mixture, loss)| {
                let place = [cell(size.params), cell(size.tokens)];
                Some([&[target.name.clone()][..], &place, &[mixture.name.clone(), cell((*loss)?)]].concat())
            })
        })
    });
    Figure {
        id: "law".to_owned(),
        title: "Loss of each mixture against size".to_owned(),
        note: "One line for each mixture: how far its loss is above the mean of all at that size. Where lines are level a mixture \
               changes the loss by an offset; where they close or open, it changes the slope."
            .to_owned(),
        panels: fit.targets.iter().map(panel).collect(),
        table: Table { header: &["target", "params", "tokens", "mixture", "loss"], rows: rows.collect() },
        ..axes(Axis::new("", Unit::Difference))
    }
}

fn axes(y: Axis) -> Figure {
    Figure {
        id: String::new(),
        title: String::new(),
        note: String::new(),
        x: Axis::new("parameters", Unit::Count),
        y,
        series: Vec::new(),
        panels: Vec::new(),
        table: Table::default(),
    }
}

/// One mixture at all sizes.
fn line(fit: &Composition, target: &Target, mixture: usize) -> Series {
    let name = &fit.mixtures[mixture].name;
    let place = |(size, losses): (usize, &Vec<Option<f64>>)| {
        let known: Vec<f64> = losses.iter().flatten().copied().collect();
        let mean = known.iter().sum::<f64>() / known.len() as f64;
        Some((fit.sizes[size].params, losses[mixture]?, losses[mixture]? - mean))
    };
    let places: Vec<(f64, f64, f64)> = target.losses.iter().enumerate().filter_map(place).collect();
    let point = |&(x, loss, y): &(f64, f64, f64)| {
        let title = format!("{name} at {}: {loss:.4}", words::amount(x));
        Point { x, y, x_interval: None, y_interval: None, title }
    };
    let marks = vec![
        Mark::Line { points: places.iter().map(|(x, _, y)| [*x, *y]).collect(), dashed: false },
        Mark::Runs(places.iter().map(point).collect()),
    ];
    Series::new(name, Color::budget(mixture, fit.mixtures.len()), Shape::of(mixture), marks).of_group(name)
}

/// The best share of each part against size, for the first target; the table has all.
fn shares(fit: &Composition) -> Figure {
    let first = fit.targets.first();
    let part = |(at, name): (usize, &String)| {
        let point = |(best, size): (&Best, f64)| {
            let share = *best.shares.get(at)?;
            let title = format!("{name} at {}: {}", words::amount(size), words::estimate(share, |x| format!("{x:.3}")));
            Some(Point { x: size, y: share.value, x_interval: None, y_interval: interval(share), title })
        };
        let sizes = fit.sizes.iter().map(|size| size.params);
        let points: Vec<Point> = first.iter().flat_map(|target| &target.best).zip(sizes).filter_map(point).collect();
        let line = Mark::Line { points: points.iter().map(|point| [point.x, point.y]).collect(), dashed: false };
        Series::new(name, Color::budget(at, fit.parts.len()), Shape::of(at), vec![line, Mark::Estimates(points)])
    };
    let rows = fit.targets.iter().flat_map(|target| {
        target.best.iter().zip(&fit.sizes).flat_map(move |(best, size)| {
            fit.parts.iter().enumerate().map(move |(at, part)| {
                let mut row = vec![target.name.clone(), cell(size.params), cell(size.tokens)];
                row.extend([best.status.key().to_owned(), part.clone()]);
                row.extend(cells(best.shares.get(at).copied()));
                row
            })
        })
    });
    let target = first.map_or("", |target| target.name.as_str());
    Figure {
        id: "best_mixture".to_owned(),
        title: format!("The best mixture for {target} against size"),
        note: "The share of each part where the law of mixtures is lowest among the shares that were trained, with its 95% \
               interval. The table has the best mixture for each part as well."
            .to_owned(),
        series: fit.parts.iter().enumerate().map(part).collect(),
        table: Table {
            header: &["target", "params", "tokens", "status", "part", "share", "share_low", "share_high"],
            rows: rows.collect(),
        },
        ..axes(Axis::new("share of the training tokens", Unit::Loss))
    }
}
