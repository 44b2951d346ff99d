//! `--law composition`: the best mixture of data at each size, and how it changes with size.

use anyhow::{bail, ensure};

use super::asked::{Asked, Reading};
use super::draw;
use crate::columns::{ERROR, PART_LOSS, SHARE};
use crate::commands::fit::finding::{finding, foot, number};
use crate::commands::fit::fit_of_rows::FitOfRows;
use crate::commands::fit::print::cell;
use crate::commands::fit::request::Request;
use crate::commands::fit::rows::{Group, groups};
use crate::commands::shared::sheet::{Room, Sheet, Worth};
use crate::fit::laws::composition::{self, Best, Composition, Run, Target};
use crate::fit::named::Dot;
use crate::fit::table::named::{self, Wanted};
use crate::fit::table::{self, Field};
use crate::report::figure::{
    Axis, Color, Figure, Mark, Point, Series, Shape, Table, Unit, cell as csv, cells, interval,
};
use crate::report::words;

pub(super) const LAW: Asked =
    Asked { takes: &[], read, draw: |told| told[0].finding.is().map_or_else(Vec::new, figures) };

/// A table of mixtures.
struct Mixtures {
    read: named::Read,
    /// Its columns of shares.
    shares: Vec<String>,
    /// Its columns of losses on parts.
    losses: Vec<String>,
    /// Whether a loss is that of all parts; else it is the first of `losses`.
    of_all: bool,
}

/// The table as this law reads it.
fn table(request: &Request) -> anyhow::Result<Mixtures> {
    let args = request.args;
    let headers = named::headers(&args.runs)?;
    let begin =
        |prefix: &str| -> Vec<String> { headers.iter().filter(|header| header.starts_with(prefix)).cloned().collect() };
    let shares = begin(SHARE);
    ensure!(
        shares.len() > 1,
        "{}: {} columns begin with '{SHARE}', and a mixture has two or more parts",
        args.runs.display(),
        shares.len()
    );
    let losses: Vec<String> = begin(PART_LOSS).into_iter().filter(|header| !header.ends_with(ERROR)).collect();
    let scale = ["N", "D"].map(str::to_owned);
    // What a law predicts is a column of its own: where no loss is that of all, the first part's.
    let of_all = match table::column(&args.runs, &request.columns, Field::Loss)? {
        _ if losses.is_empty() => true,
        column => column.is_some_and(|column| !losses.contains(&column)),
    };
    let (target, others) = match losses.split_first() {
        Some((first, others)) if !of_all => (first.as_str(), others),
        _ => ("L", &losses[..]),
    };
    let wanted =
        Wanted { target: target.to_owned(), names: [&scale[..], &shares, others].concat(), ..Wanted::default() };
    let options = table::Options { by: args.by.clone(), ..request.table.clone() };
    let read = named::read(&args.runs, &request.columns, &wanted, &options)?;
    let missing = scale.iter().zip(["params", "tokens"]).find(|(name, _)| !read.found.contains(name));
    ensure!(
        missing.is_none(),
        "{}: no column of {}, and mixtures are compared size by size; name it with --columns",
        args.runs.display(),
        missing.map_or("", |(_, noun)| noun)
    );
    Ok(Mixtures { read, shares, losses, of_all })
}

/// The best mixtures of each group of rows.
fn read<'a>(request: &'a Request<'a>) -> anyhow::Result<Reading<'a>> {
    let args = request.args;
    let Mixtures { read, shares, losses, of_all } = table(request)?;
    let plain = |columns: &[String], prefix: &str| -> Vec<String> {
        columns.iter().map(|column| column[prefix.len()..].to_owned()).collect()
    };
    let parts = plain(&shares, SHARE);
    let measured = if losses.is_empty() { vec!["the loss".to_owned()] } else { plain(&losses, PART_LOSS) };
    Ok(Box::new(move || {
        let mut told = Vec::new();
        for Group { name, rows, made, .. } in groups(read.table, &args.runs, args.drop_highest, |row| row.target)? {
            let runs: Vec<Run> = rows.iter().map(|row| run(row, parts.len(), of_all)).collect();
            let sums = runs.iter().map(|run| run.shares.iter().sum::<f64>());
            if let Some(sum) = sums.into_iter().find(|sum| (sum - 1.0).abs() > 1e-3) {
                bail!("{}: the shares of a row add up to {sum}; write shares that add up to 1", args.runs.display());
            }
            let points = rows.iter().map(|row| Dot { x: row.numbers[0], loss: row.target, series: None }).collect();
            let fit = composition::fit(&parts, &measured, &runs, &request.bootstrap);
            told.push(FitOfRows::new(name, Box::new(fit), &made, points));
        }
        Ok(told)
    }))
}

/// A row of so many parts; its only loss is that of all where no part has one of its own.
fn run(row: &named::Named, parts: usize, of_all: bool) -> Run {
    let (shares, losses) = row.numbers[2..].split_at(parts);
    let losses = if of_all { losses.to_vec() } else { [&[row.target], losses].concat() };
    Run {
        params: row.numbers[0],
        tokens: row.numbers[1],
        shares: shares.to_vec(),
        losses: if losses.is_empty() { vec![row.target] } else { losses },
    }
}

finding!(Composition, text);

/// The best mixture for each target and size, and how mixtures change with size.
fn text(fit: &Composition, room: Room) -> String {
    let mut columns = vec![("best for", Worth::Must), ("params", Worth::Must), ("tokens", Worth::More(4))];
    columns.extend(fit.parts.iter().map(|part| (part.as_str(), Worth::Must)));
    columns.extend([("loss", Worth::More(1)), ("status", Worth::More(2)), ("best trained", Worth::More(3))]);
    let mut table = Sheet::new(columns);
    for (target, (best, size)) in
        fit.targets.iter().flat_map(|target| target.best.iter().zip(&fit.sizes).map(move |at| (target, at)))
    {
        let mut row = vec![target.name.clone(), number(size.params), number(size.tokens)];
        let share = |part: usize| cell(best.shares.get(part).copied(), |share| format!("{share:.3}"));
        row.extend((0..fit.parts.len()).map(share));
        row.extend([cell(best.loss, |loss| format!("{loss:.4}")), best.status.name().to_owned()]);
        row.push(best.trained.map_or_else(|| "-".to_owned(), |at| fit.mixtures[at].name.clone()));
        table.add_row(row);
    }
    let mut text = if fit.sizes.is_empty() { String::new() } else { table.text(room) };
    let mut table = Sheet::new([
        ("on", Worth::Must),
        ("nats of the largest for one of the smallest", Worth::Must),
        ("rank correlation", Worth::Must),
        ("lost by the best of the smallest", Worth::More(1)),
    ]);
    for target in fit.targets.iter().filter(|target| target.growth.is_some()) {
        let told = |estimate| cell(estimate, |x| format!("{x:.3}"));
        table.add_row([
            target.name.clone(),
            told(target.growth),
            told(target.rank),
            cell(target.lost, |lost| format!("{lost:.4}")),
        ]);
    }
    if fit.sizes.len() > 1 {
        text += &table.text(room);
    }
    text + &foot(fit.status, fit.points, None, "the residuals of runs, and mixtures for ranks", &fit.conclusion)
}

/// Both figures.
fn figures(fit: &Composition) -> Vec<Figure> {
    vec![mixtures(fit), shares(fit)]
}

/// Losses against the mean of all mixtures, a panel for each target: parallel lines are offsets.
fn mixtures(fit: &Composition) -> Figure {
    let panel = |target: &Target| Figure {
        title: format!("on {}", target.name),
        series: (0..fit.mixtures.len()).map(|mixture| line(fit, target, mixture)).collect(),
        ..along(Axis::new("loss above the mean of all mixtures (nats per token)", Unit::Difference))
    };
    let rows = fit.targets.iter().flat_map(|target| {
        fit.sizes.iter().zip(&target.losses).flat_map(move |(size, losses)| {
            let told = fit.mixtures.iter().zip(losses);
            told.filter_map(move |(mixture, loss)| {
                let place = [csv(size.params), csv(size.tokens)];
                Some([&[target.name.clone()][..], &place, &[mixture.name.clone(), csv((*loss)?)]].concat())
            })
        })
    });
    Figure {
        title: "Loss of each mixture against size".to_owned(),
        note: "One line for each mixture: how far its loss is above the mean of all at that size. Where lines are level a mixture \
               changes the loss by an offset; where they close or open, it changes the slope."
            .to_owned(),
        panels: fit.targets.iter().map(panel).collect(),
        table: Table { header: &["target", "params", "tokens", "mixture", "loss"], rows: rows.collect() },
        ..along(Axis::new("", Unit::Difference))
    }
}

/// Along the sizes of models.
fn along(y: Axis) -> Figure {
    draw::empty(Axis::new("parameters", Unit::Count), y)
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
                let mut row = vec![target.name.clone(), csv(size.params), csv(size.tokens)];
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
        ..along(Axis::new("share of the training tokens", Unit::Loss))
    }
}
