//! `--law params`, `--law tokens` and `--law flops`: the loss against one variable, and curves against each other.

use std::path::Path;

use serde::Serialize;

use super::asked::{Asked, LENGTH, LOSS, Reading, SIZE, any};
use super::draw::{self, dots};
use crate::columns;
use crate::commands::fit::finding::{Finding, foot, number};
use crate::commands::fit::fit_of_rows::FitOfRows;
use crate::commands::fit::print::cell;
use crate::commands::fit::request::Request;
use crate::commands::fit::rows::{Group, groups};
use crate::commands::shared::sheet::{Room, Sheet, Worth};
use crate::fit::laws::compare::{self, Comparison};
use crate::fit::laws::power::{self, Form, Narrow, Selection};
use crate::fit::named::Dot;
use crate::fit::table::{self, Field};
use crate::fit::{Estimate, Status};
use crate::observation::Observation;
use crate::report::figure::{Axis, Color, Figure, Mark, Series, Shape, Unit};

pub(super) const PARAMS: Asked = Asked {
    takes: &["--against"],
    read: |request| read(request, SIZE, "parameters"),
    draw: |told| vec![figure(&Axis::new("parameters", Unit::Count), told)],
};
pub(super) const TOKENS: Asked = Asked {
    takes: &["--against"],
    read: |request| read(request, LENGTH, "tokens"),
    draw: |told| vec![figure(&draw::tokens(), told)],
};
pub(super) const FLOPS: Asked = Asked {
    takes: &["--against"],
    read: |request| read(request, &[Field::Flops, Field::FlopBudget], "compute"),
    draw: |told| vec![figure(&Axis::new("training compute (FLOPs)", Unit::Flops), told)],
};

/// Factor by which another variable may differ over the runs of a law of one variable.
const VARIES: f64 = 3.0;

/// Columns whose values have validation losses on other tokens.
const OTHER_LOSSES: [&str; 4] = ["data.vocab", "data.source", "data.path", "data.tokenizer"];

/// Columns that tell the variable, and the loss, of each row.
type Curves = Vec<Group<[f64; 2]>>;

/// A law of one variable for each group, and each group compared with the first.
fn read<'a>(request: &'a Request<'a>, axis: &'static [Field], noun: &'static str) -> anyhow::Result<Reading<'a>> {
    let args = request.args;
    let read = |path: &Path| table::numbers(path, &request.columns, [axis, LOSS], &request.table, any);
    let of = read(&args.runs)?;
    let other = args.against.as_deref().map(|path| Ok::<_, anyhow::Error>((path, read(path)?))).transpose()?;
    Ok(Box::new(move || {
        let mut curves = groups(of, &args.runs, args.drop_highest, |row| row[1])?;
        if let Some((path, other)) = other {
            curves.extend(groups(other, path, args.drop_highest, |row| row[1])?);
            for (curve, path) in curves.iter_mut().zip([&*args.runs, path]) {
                curve.name = Some(path.display().to_string());
            }
        }
        tell_what_else_varies(request, axis[0], noun);
        let mut told: Vec<FitOfRows> = curves.iter().map(|curve| alone(request, curve, noun)).collect();
        told.extend(against_the_first(request, &curves, noun));
        Ok(told)
    }))
}

/// The law of one curve.
fn alone(request: &Request, Group { name, rows, made, .. }: &Group<[f64; 2]>, of: &'static str) -> FitOfRows {
    if rows.len() > power::MOST {
        tell!("note: laws are fitted to an even share of at most {} of the {} rows", power::MOST, rows.len());
    }
    let (x, y): (Vec<f64>, Vec<f64>) = rows.iter().map(|[x, y]| (*x, *y)).unzip();
    let fit = Curve { fit: power::select(&x, &y, &request.bootstrap), of };
    let points = rows.iter().map(|[x, loss]| Dot { x: *x, loss: *loss, series: None }).collect();
    FitOfRows::new(name.clone(), Box::new(fit), made, points)
}

/// Each further curve against the first.
fn against_the_first(request: &Request, curves: &Curves, of: &'static str) -> Vec<FitOfRows> {
    let Some((Group { name: first, rows: base, .. }, others)) = curves.split_first() else { return Vec::new() };
    let by = request.args.by.as_deref().map(|by| columns::varied(by).unwrap_or(by));
    let other_losses = by.filter(|by| OTHER_LOSSES.contains(by));
    let one = |Group { name, rows, made, .. }: &Group<[f64; 2]>| {
        let title = format!("'{}' against '{}'", name.as_deref().unwrap_or(""), first.as_deref().unwrap_or(""));
        let found = match other_losses {
            Some(by) => Err(NoComparison {
                status: Status::NotIdentified,
                conclusion: format!(
                    "With another {by} a loss is a mean over other tokens: no factor between the curves is told, only the \
                     exponent of each."
                ),
            }),
            None => compare::compare(&even(base), &even(rows), of, &request.bootstrap).ok_or_else(|| NoComparison {
                status: Status::TooFewPoints,
                conclusion: "Each curve needs runs of at least 5 different values to be compared.".to_owned(),
            }),
        };
        let (title, finding): (_, Box<dyn Finding>) = match found {
            Ok(fit) => (format!("{title}\n"), Box::new(Curve { fit, of })),
            Err(none) => (format!("{title}: "), Box::new(none)),
        };
        let labels = vec![("compared", first.clone()), ("with", name.clone())];
        FitOfRows { labels, title, ..FitOfRows::new(None, finding, made, Vec::new()) }
    };
    others.iter().map(one).collect()
}

/// An even share of the points of a curve, in order.
fn even(rows: &[[f64; 2]]) -> Vec<(f64, f64)> {
    let mut pairs: Vec<(f64, f64)> = rows.iter().map(|[x, y]| (*x, *y)).collect();
    pairs.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    pairs.iter().step_by(pairs.len().div_ceil(power::MOST).max(1)).copied().collect()
}

/// A law of one variable holds where no other one limits, which a grid of several sizes and tokens is not.
fn tell_what_else_varies(request: &Request, axis: Field, noun: &str) {
    let Ok(table) = table::read(&request.args.runs, &request.columns, &request.table) else { return };
    let spread = |read: fn(&Observation) -> f64| {
        let values = || table.rows.iter().map(read);
        values().fold(0.0, f64::max) / values().fold(f64::INFINITY, f64::min)
    };
    let (other, factor) = match axis {
        Field::Tokens => ("parameters", spread(|run| run.params)),
        Field::Params => ("tokens", spread(|run| run.tokens)),
        // Along compute both grow; several sizes of one budget are no frontier.
        _ => ("tokens per parameter", spread(|run| run.tokens / run.params)),
    };
    // Several sizes at the same FLOPs are a budget, if the table says so.
    let budgets = if axis == Field::Flops { ", say with --columns budget=NAME which FLOPs are budgets" } else { "" };
    if factor > VARIES {
        tell!(
            "warning: {other} differ by a factor of {factor:.1} in this table: a law in {noun} alone mixes runs that they hold \
             back with runs that they do not, and its numbers mean little; split it with --by{budgets}, or fit the surface"
        );
    }
}

/// A fit with what it is a law of.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(super) struct Curve<T> {
    fit: T,
    #[serde(skip)]
    of: &'static str,
}

/// Two curves that cannot be compared.
#[derive(Debug, Serialize)]
struct NoComparison {
    /// Why not.
    status: Status,
    /// The same in a sentence.
    conclusion: String,
}

impl Finding for Curve<Selection> {
    fn status(&self) -> Status {
        self.fit.status
    }

    fn conclusion(&self) -> &str {
        &self.fit.conclusion
    }

    fn text(&self, room: Room) -> String {
        selection(&self.fit, self.of, room)
    }
}

impl Finding for Curve<Comparison> {
    fn status(&self) -> Status {
        self.fit.status
    }

    fn conclusion(&self) -> &str {
        &self.fit.conclusion
    }

    fn text(&self, room: Room) -> String {
        comparison(&self.fit, self.of, room)
    }
}

impl Finding for NoComparison {
    fn status(&self) -> Status {
        self.status
    }

    fn conclusion(&self) -> &str {
        &self.conclusion
    }

    fn text(&self, _: Room) -> String {
        format!("{}. {}\n", self.status.name(), self.conclusion)
    }
}

/// The laws of one variable with what speaks for each.
pub(super) fn selection(selection: &Selection, of: &str, room: Room) -> String {
    let dimension = of != "compute";
    let mut columns = vec![
        ("law", Worth::Must),
        ("status", Worth::Must),
        ("E", Worth::More(2)),
        ("A", Worth::More(4)),
        ("alpha", Worth::More(1)),
        ("x_c", Worth::More(5)),
        ("breaks at", Worth::More(6)),
        ("rms", Worth::More(5)),
        ("AICc", Worth::More(3)),
        ("held-out error", Worth::More(3)),
    ];
    if dimension {
        columns.insert(5, ("1/alpha to 4/alpha", Worth::More(6)));
    }
    let mut table = Sheet::new(columns);
    for law in &selection.laws {
        let curve = &law.curve;
        let [e, a, alpha] = law.estimates().map(|estimate| cell(Some(estimate), number));
        let power = curve.form != Form::Exponential;
        let breaks = law.places().into_iter().map(|place| cell(Some(place), number)).collect::<Vec<_>>().join(", ");
        let or_dash = |shown: bool, text: String| if shown { text } else { "-".to_owned() };
        let mut row = vec![
            curve.form.name().to_owned(),
            law.status.name().to_owned(),
            or_dash(curve.form != Form::Pure, e),
            a,
            alpha,
            or_dash(power, format!("{:.3e}", curve.critical())),
            or_dash(!breaks.is_empty(), breaks),
            format!("{:.5}", law.residuals.rms),
            format!("{:.1}", law.aicc),
            law.held_out.map_or_else(|| "-".to_owned(), |error| format!("{error:.5}")),
        ];
        if dimension {
            let [low, high] = curve.intrinsic_dimension();
            row.insert(5, or_dash(power && curve.breaks.is_empty(), format!("{low:.1} to {high:.1}")));
        }
        table.add_row(row);
    }
    let mut text = format!("Loss against {of}\n");
    if !selection.laws.is_empty() {
        text += &table.text(room);
    }
    let preferred = selection.preferred();
    let residuals = preferred.map(|law| law.residuals);
    text += &few_rows(selection);
    text + &foot(selection.status, selection.points, residuals, &selection.resampled, &selection.conclusion)
}

/// That intervals of the pure law are too narrow, where there are so few rows, and by what.
fn few_rows(selection: &Selection) -> String {
    selection.narrow().map_or_else(String::new, |Narrow { values, held, wider }| {
        format!(
            "With runs of {values} different values, 95% intervals of the pure law hold the truth in about {held} of 100 tables; {wider:.1} \
             times as wide they hold it in 95.\n"
        )
    })
}

/// Two curves of one law.
fn comparison(found: &Comparison, of: &str, room: Room) -> String {
    let mut table = Sheet::new([
        ("the second curve has", Worth::Must),
        ("value (95% interval)", Worth::Must),
        ("excess AICc if that were all", Worth::More(1)),
    ]);
    let excess = |name: &str| {
        let found = found.excess.iter().find(|(difference, _)| difference.name() == name);
        found.map_or_else(|| "-".to_owned(), |(_, excess)| format!("{excess:.1}"))
    };
    let rows: [(String, Option<Estimate>, &str); 5] = [
        ("no difference".to_owned(), None, "none"),
        (format!("a multiple of {of} for the same loss"), Some(found.numbers.factor), "factor"),
        ("another irreducible loss, by (nats)".to_owned(), Some(found.numbers.offset), "offset"),
        ("another exponent, by".to_owned(), Some(found.numbers.slope), "slope"),
        ("all of these".to_owned(), None, "everything"),
    ];
    for (what, estimate, name) in rows {
        table.add_row([what, cell(estimate, number), excess(name)]);
    }
    let foot = foot(found.status, found.points, Some(found.residuals), &found.resampled, &found.conclusion);
    format!("{}{foot}", table.text(room))
}

/// Vertices of a fitted curve.
const VERTICES: usize = 60;

/// The runs of each group with the law that is preferred.
fn figure(x: &Axis, told: &[&FitOfRows]) -> Figure {
    let series = told.iter().enumerate().map(|(at, one)| {
        let name = one.name().unwrap_or_else(|| "runs".to_owned());
        let mut marks = vec![dots(&one.points, &name)];
        marks.extend(one.finding.is::<Curve<Selection>>().and_then(|curve| line(&curve.fit, &one.points)));
        Series::new(name, Color::budget(at, told.len()), Shape::of(at), marks)
    });
    Figure {
        title: format!("Loss against {}", x.label),
        note: "Points: single runs. Line: the simplest law that the data do not contradict. A pure power law is a straight \
               line where both axes are logarithmic; a floor bends it upward."
            .to_owned(),
        series: series.collect(),
        table: draw::table(told),
        ..draw::empty(x.clone(), draw::loss().switchable())
    }
}

/// The fitted curve between its first and its last run.
fn line(fit: &Selection, points: &[Dot]) -> Option<Mark> {
    let law = fit.preferred()?;
    let (low, high) =
        points.iter().fold((f64::INFINITY, 0.0_f64), |(low, high), dot| (low.min(dot.x), high.max(dot.x)));
    let at = |step: usize| low * (high / low).powf(step as f64 / (VERTICES - 1) as f64);
    let points = (0..VERTICES).map(at).map(|x| [x, law.curve.at(x)]).filter(|[_, y]| y.is_finite()).collect();
    Some(Mark::Line { points, dashed: law.status != Status::Converged })
}
