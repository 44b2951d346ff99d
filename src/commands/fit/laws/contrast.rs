//! `--law contrast`: the values of one column against the first of them, run by run.

use anyhow::ensure;

use super::asked::{Asked, Reading};
use super::draw;
use crate::commands::fit::finding::finding;
use crate::commands::fit::fit_of_rows::FitOfRows;
use crate::commands::fit::print::cell;
use crate::commands::fit::request::Request;
use crate::commands::fit::rows::{Made, groups};
use crate::commands::shared::sheet::{Room, Sheet, Worth};
use crate::fit::Estimate;
use crate::fit::laws::contrast::{self, Contrast, Setting};
use crate::fit::named::Dot;
use crate::fit::table::{self, Placed, Table};
use crate::report::figure::{
    Axis, Color, Figure, Mark, Point, Series, Shape, Table as Behind, Unit, cell as csv, cells, interval,
};
use crate::report::words;

pub(super) const LAW: Asked =
    Asked { takes: &[], read, draw: |told| told[0].finding.is().map(figure).into_iter().collect() };

fn read<'a>(request: &'a Request<'a>) -> anyhow::Result<Reading<'a>> {
    let args = request.args;
    ensure!(args.by.is_some(), "--law contrast compares the values of a column: name it with --by COLUMN");
    let (table, names) = table::placed(&args.runs, &request.columns, &request.table)?;
    Ok(Box::new(move || {
        let Some((settings, made)) = against(request, table)? else { return Ok(Vec::new()) };
        let drawn = |(at, (name, runs)): (usize, &(String, Vec<Placed>))| {
            // A setting that is no number stands at its place in the list.
            let x = name.parse().ok().filter(|x: &f64| *x > 0.0 && x.is_finite()).unwrap_or(at as f64 + 1.0);
            contrast::best(runs).into_iter().map(|loss| Dot { x, loss, series: None }).collect::<Vec<_>>()
        };
        let points = settings.iter().enumerate().flat_map(drawn).collect();
        Ok(vec![FitOfRows::new(None, Box::new(contrast::fit(&settings, &names)), &made, points)])
    }))
}

/// Runs by the setting that they have in the column of `--by`.
type Settings = Vec<(String, Vec<Placed>)>;

/// The runs of a table by their setting.
pub(super) fn against(request: &Request, table: Table<Placed>) -> anyhow::Result<Option<(Settings, Made)>> {
    let groups = groups(table, &request.args.runs, request.args.drop_highest, |run| run.loss)?;
    let Some(made) = groups.first().map(|group| group.made.clone()) else { return Ok(None) };
    let mut settings: Settings = groups.into_iter().map(|group| (group.name.unwrap_or_default(), group.rows)).collect();
    // All of a setting's runs may have diverged.
    settings.retain(|(_, runs)| runs.iter().any(|run| run.loss.is_finite()));
    Ok(Some((settings, made)))
}

finding!(Contrast, text);

/// Settings against the first of them.
fn text(fit: &Contrast, room: Room) -> String {
    let mut table = Sheet::new([
        ("setting", Worth::Must),
        ("runs", Worth::More(2)),
        ("mean loss", Worth::Must),
        ("pairs", Worth::More(1)),
        ("against the first, nats (95% interval)", Worth::Must),
        ("status", Worth::More(3)),
    ]);
    for setting in &fit.settings {
        table.add_row([
            setting.name.clone(),
            setting.runs.to_string(),
            format!("{:.4}", setting.mean),
            setting.pairs.to_string(),
            setting.difference.map_or_else(|| "-".to_owned(), |d| cell(Some(d), |x| format!("{x:+.4}"))),
            setting.status.name().to_owned(),
        ]);
    }
    let resampled = if fit.paired { "pairs of runs (Student's)" } else { "runs (Welch's)" };
    let text = if fit.settings.is_empty() { String::new() } else { table.text(room) };
    format!(
        "{text}status {}, {} points; intervals: 95%, of the mean over {resampled}\n{}\n\n",
        fit.status.name(),
        fit.points,
        fit.conclusion
    )
}

/// How much worse than the first each setting is.
fn figure(fit: &Contrast) -> Figure {
    let place = |at: usize| at as f64 + 1.0;
    let known = fit.settings.iter().enumerate().filter_map(|(at, setting)| Some((at, setting, setting.difference?)));
    let point = |(at, setting, difference): (usize, &Setting, Estimate)| Point {
        x: place(at),
        y: difference.value,
        x_interval: None,
        y_interval: interval(difference),
        title: format!("{}: {}", setting.name, words::estimate(difference, |x| format!("{x:+.4}"))),
    };
    let points: Vec<Point> = known.map(point).collect();
    let top = points.iter().map(|point| point.y_interval.map_or(point.y, |[_, high]| high)).fold(0.0, f64::max);
    let name = |(at, setting): (usize, &Setting)| Mark::Text { at: [place(at), top], text: setting.name.clone() };
    let mut marks = vec![Mark::Level(0.0), Mark::Estimates(points)];
    marks.extend(fit.settings.iter().enumerate().map(name));
    let rows = fit.settings.iter().map(|setting| {
        let mut row =
            vec![setting.name.clone(), setting.runs.to_string(), csv(setting.mean), setting.pairs.to_string()];
        row.extend(cells(setting.difference));
        row
    });
    let x = Axis { log: false, ..Axis::new("setting, in the order of the spec", Unit::Count) };
    Figure {
        title: format!("Loss of each setting against {}", fit.reference),
        note: "Mean difference over pairs of runs that differ in nothing else, with its 95% interval. Above zero is worse."
            .to_owned(),
        series: vec![Series::new("settings", Color::Params, Shape::Circle, marks)],
        table: Behind {
            header: &["setting", "runs", "mean_loss", "pairs", "difference", "difference_low", "difference_high"],
            rows: rows.collect(),
        },
        ..draw::empty(x, Axis::new("difference of loss (nats per token)", Unit::Difference))
    }
}
