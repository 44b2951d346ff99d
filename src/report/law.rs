//! The figures of a sweep that asks for a law: its runs along the law's axis with the fitted curve, or settings against
//! each other, or the critical batch size against the loss.

use std::collections::BTreeMap;

use super::figure::{Axis, Color, Figure, Mark, Point, Series, Shape, Table, Unit, cell, cells, interval};
use super::{composition, words};
use crate::fit::laws::contrast::{Contrast, Setting};
use crate::fit::laws::critical_batch::runs::CriticalBatch;
use crate::fit::laws::power::Selection;
use crate::fit::named::{Dot, Fitted, Law};
use crate::fit::transfer::optimum::Optimum;
use crate::fit::{Estimate, Status};

/// What a spec asks by `[fit]`, with what its runs say.
#[derive(Clone, Debug)]
pub struct Question {
    /// The law that is asked for; none where it is a formula.
    pub law: Option<Law>,
    /// The columns of a formula that tell series apart and places along its axis.
    pub columns: Option<[String; 2]>,
    /// A fit for each group of runs, and the comparisons of groups.
    pub answers: Vec<LawAnswer>,
    /// Why there is no answer, where there is none.
    pub problem: Option<String>,
}

/// One fit.
#[derive(Clone, Debug)]
pub struct LawAnswer {
    /// The group of runs, where there are several.
    pub name: Option<String>,
    /// The fit.
    pub fitted: Fitted,
    /// Its runs.
    pub points: Vec<Dot>,
}

impl Question {
    fn name(&self) -> &'static str {
        self.law.map_or("formula", Law::name)
    }

    /// The conclusions, each with the group that it is of.
    pub(super) fn conclusions(&self) -> Vec<(String, String)> {
        let name = |answer: &LawAnswer| answer.name.clone().unwrap_or_else(|| self.name().to_owned());
        self.answers.iter().map(|answer| (name(answer), answer.fitted.conclusion().to_owned())).collect()
    }

    /// Fits whose numbers may not be used.
    pub(super) fn warnings(&self) -> Vec<String> {
        let open = self.answers.iter().filter(|answer| answer.fitted.status() != Status::Converged);
        let told = open.map(|answer| {
            let name = answer.name.as_deref().unwrap_or(self.name());
            format!("{name}: {}.", answer.fitted.status().words())
        });
        told.chain(self.problem.clone()).collect()
    }
}

/// The figures of a question.
pub fn figures(question: &Question) -> Vec<Figure> {
    let drawn: Vec<&LawAnswer> = question.answers.iter().filter(|answer| !answer.points.is_empty()).collect();
    if drawn.is_empty() {
        return Vec::new();
    }
    if let Fitted::Composition(fit) = &drawn[0].fitted {
        return composition::figures(fit);
    }
    let mut figures = vec![match question.law {
        Some(Law::Contrast) => match &drawn[0].fitted {
            Fitted::Contrast(fit) => contrast(fit),
            _ => return Vec::new(),
        },
        Some(law @ (Law::Params | Law::Tokens | Law::Flops)) => one_variable(law, &drawn),
        Some(law @ (Law::Rank | Law::Emergence)) => measures(law, &drawn),
        law => runs((along(law, question.columns.as_ref()), series_of(law, question.columns.as_ref())), &drawn),
    }];
    let batches: Vec<(&LawAnswer, &CriticalBatch)> = drawn
        .iter()
        .filter_map(|answer| match &answer.fitted {
            Fitted::CriticalBatch(fit) => Some((*answer, fit)),
            _ => None,
        })
        .collect();
    if !batches.is_empty() {
        figures.push(critical_batch(&batches));
    }
    figures.extend(drawn.iter().filter_map(|answer| match &answer.fitted {
        Fitted::Optimum(fit) => Some(best_values(fit)),
        _ => None,
    }));
    figures
}

fn axis(law: Law) -> Axis {
    let (label, unit) = match law {
        Law::Params | Law::Experts | Law::JointExperts | Law::Parallel => ("parameters", Unit::Count),
        Law::Flops => ("training compute (FLOPs)", Unit::Flops),
        Law::Tokens
        | Law::Kaplan
        | Law::Repetition
        | Law::Pruning
        | Law::Farseer
        | Law::Efficiencies
        | Law::Granularity
        | Law::RateBatch
        | Law::Emergence
        | Law::All => ("training tokens", Unit::Count),
        Law::KaplanSteps | Law::CriticalBatch => ("steps", Unit::Count),
        Law::Tuning => ("peak learning rate", Unit::Count),
        Law::GradientNoise => ("batch size", Unit::Count),
        Law::Contrast => ("setting", Unit::Count),
        Law::Optimum => ("what was tuned", Unit::Count),
        Law::Rank => ("loss, nats per token", Unit::Count),
        Law::Vocabulary => ("characters", Unit::Count),
        Law::Mixtures | Law::Composition => ("share of the data", Unit::Count),
    };
    Axis::new(label, unit)
}

/// The axis of a law, or of the column that a formula is drawn against.
fn along(law: Option<Law>, columns: Option<&[String; 2]>) -> Axis {
    let named = law.filter(|law| *law != Law::All);
    named.map_or_else(|| Axis::new(columns.map_or("x", |[_, x]| noun(x)), Unit::Count), axis)
}

/// A column in words.
fn noun(column: &str) -> &str {
    match column {
        "N" | "params" => "parameters",
        "D" | "tokens" => "training tokens",
        "C" | "flops" => "training compute (FLOPs)",
        other => other,
    }
}

/// What tells the series of a figure of runs apart.
fn series_of(law: Option<Law>, columns: Option<&[String; 2]>) -> String {
    let name = match law {
        Some(Law::CriticalBatch) => "batch",
        Some(Law::Pruning) => "share kept",
        Some(Law::Optimum) => "of what it moves with",
        Some(law) if law != Law::All => "parameters",
        _ => columns.map_or("parameters", |[series, _]| noun(series)),
    };
    name.to_owned()
}

fn loss() -> Axis {
    Axis::new("validation loss (nats per token)", Unit::Loss).switchable()
}

const HEADER: &[&str] = &["group", "series", "x", "loss"];

fn table(answers: &[&LawAnswer]) -> Table {
    let rows = answers.iter().flat_map(|answer| {
        let name = answer.name.clone().unwrap_or_default();
        answer.points.iter().map(move |dot| vec![name.clone(), cell(dot.series), cell(dot.x), cell(dot.loss)])
    });
    Table { header: HEADER, rows: rows.collect() }
}

fn dots(points: &[Dot], name: &str) -> Mark {
    let dot = |dot: &Dot| {
        let title = format!("{name} at {}: {:.4}", words::amount(dot.x), dot.loss);
        Point { x: dot.x, y: dot.loss, x_interval: None, y_interval: None, title }
    };
    Mark::Runs(points.iter().map(dot).collect())
}

/// Vertices of a fitted curve.
const VERTICES: usize = 60;

/// The runs of each group with the law that is preferred.
fn one_variable(law: Law, answers: &[&LawAnswer]) -> Figure {
    let series = answers.iter().enumerate().map(|(at, answer)| {
        let name = answer.name.as_deref().unwrap_or("runs");
        let mut marks = vec![dots(&answer.points, name)];
        if let Fitted::Selection(fit) = &answer.fitted {
            marks.extend(curve(fit, &answer.points));
        }
        Series::new(name, Color::budget(at, answers.len()), Shape::of(at), marks)
    });
    Figure {
        id: "law".to_owned(),
        title: format!("Loss against {}", axis(law).label),
        note: "Points: single runs. Line: the simplest law that the data do not contradict. A pure power law is a straight \
               line where both axes are logarithmic; a floor bends it upward."
            .to_owned(),
        x: axis(law),
        y: loss(),
        series: series.collect(),
        panels: Vec::new(),
        table: table(answers),
    }
}

fn curve(fit: &Selection, points: &[Dot]) -> Option<Mark> {
    let law = fit.laws.iter().find(|law| Some(law.curve.form) == fit.by_criterion)?;
    let (low, high) =
        points.iter().fold((f64::INFINITY, 0.0_f64), |(low, high), dot| (low.min(dot.x), high.max(dot.x)));
    let at = |step: usize| low * (high / low).powf(step as f64 / (VERTICES - 1) as f64);
    let points = (0..VERTICES).map(at).map(|x| [x, law.curve.at(x)]).filter(|[_, y]| y.is_finite()).collect();
    Some(Mark::Line { points, dashed: law.status != Status::Converged })
}

/// The runs of a law of several variables, joined where they are of one series; a panel for each group.
fn runs((axis, series): (Axis, String), answers: &[&LawAnswer]) -> Figure {
    let title = format!("Loss against {}", axis.label);
    let figure = |answer: &LawAnswer| Figure {
        id: "law".to_owned(),
        title: answer.name.clone().unwrap_or_else(|| title.clone()),
        note: answer.fitted.conclusion().to_owned(),
        x: axis.clone(),
        y: loss(),
        series: joined(&series, &answer.points),
        panels: Vec::new(),
        table: Table::default(),
    };
    let mut whole = figure(answers[0]);
    if answers.len() > 1 {
        whole.series = Vec::new();
        whole.panels = answers.iter().map(|answer| figure(answer)).collect();
    }
    whole.title.clone_from(&title);
    whole.note = format!("Points: single runs. Lines join runs of equal {series}.");
    whole.table = table(answers);
    whole
}

fn joined(what: &str, points: &[Dot]) -> Vec<Series> {
    let mut series: BTreeMap<u64, Vec<Dot>> = BTreeMap::new();
    for dot in points {
        // Positive numbers order as their bits do.
        series.entry(dot.series.map_or(0, f64::to_bits)).or_default().push(*dot);
    }
    let count = series.len();
    let one = |(at, (key, mut dots_of)): (usize, (u64, Vec<Dot>))| {
        dots_of.sort_by(|a, b| a.x.total_cmp(&b.x).then(a.loss.total_cmp(&b.loss)));
        let name = match key {
            0 => "runs".to_owned(),
            key => format!("{} {what}", words::amount(f64::from_bits(key))),
        };
        let mut points: Vec<[f64; 2]> = dots_of.iter().map(|dot| [dot.x, dot.loss]).collect();
        points.dedup_by(|next, kept| (next[0] - kept[0]).abs() <= 1e-9 * kept[0]);
        let marks = vec![Mark::Line { points, dashed: false }, dots(&dots_of, &name)];
        Series::new(name, Color::budget(at, count), Shape::of(at), marks)
    };
    series.into_iter().enumerate().map(one).collect()
}

/// Measures of tasks: one against the loss, or those of one task against tokens, as shares; a panel for each group.
fn measures(law: Law, answers: &[&LawAnswer]) -> Figure {
    let skill = law == Law::Emergence;
    let title = if skill { "How the skill comes with training" } else { "The measure against the loss" };
    let names: &[&str] =
        if skill { &["exact match", "accuracy of tokens", "likelihood of a token"] } else { &["runs"] };
    let figure = |answer: &LawAnswer| {
        let one = |(at, name): (usize, &&'static str)| {
            let is_own = |dot: &&Dot| !skill || dot.series.is_some_and(|series| series as usize == at + 1);
            let own: Vec<Dot> = answer.points.iter().filter(is_own).copied().collect();
            Series::new(*name, Color::budget(at, names.len()), Shape::of(at), vec![dots(&own, name)])
        };
        Figure {
            id: "law".to_owned(),
            title: answer.name.clone().unwrap_or_else(|| title.to_owned()),
            note: answer.fitted.conclusion().to_owned(),
            x: if skill { axis(law) } else { Axis::new("validation loss (nats per token)", Unit::Loss) },
            y: Axis { log: false, ..Axis::new(if skill { "share" } else { "measure" }, Unit::Count) },
            series: names.iter().enumerate().map(one).collect(),
            panels: Vec::new(),
            table: Table::default(),
        }
    };
    let mut whole = figure(answers[0]);
    if answers.len() > 1 {
        whole.series = Vec::new();
        whole.panels = answers.iter().map(|answer| figure(answer)).collect();
        title.clone_into(&mut whole.title);
    }
    whole.table = table(answers);
    whole
}

/// How much worse than the first each setting is.
fn contrast(fit: &Contrast) -> Figure {
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
            vec![setting.name.clone(), setting.runs.to_string(), cell(setting.mean), setting.pairs.to_string()];
        row.extend(cells(setting.difference));
        row
    });
    Figure {
        id: "law".to_owned(),
        title: format!("Loss of each setting against {}", fit.reference),
        note: "Mean difference over pairs of runs that differ in nothing else, with its 95% interval. Above zero is worse."
            .to_owned(),
        x: Axis { log: false, ..Axis::new("setting, in the order of the spec", Unit::Count) },
        y: Axis::new("difference of loss (nats per token)", Unit::Difference),
        series: vec![Series::new("settings", Color::Params, Shape::Circle, marks)],
        panels: Vec::new(),
        table: Table {
            header: &["setting", "runs", "mean_loss", "pairs", "difference", "difference_low", "difference_high"],
            rows: rows.collect(),
        },
    }
}

/// The best value of a setting against what it moves with.
fn best_values(fit: &Optimum) -> Figure {
    let known = fit.optima.iter().filter_map(|one| Some((one.at, one.best?)));
    let point = |(at, best): (f64, Estimate)| Point {
        x: at,
        y: best.value,
        x_interval: None,
        y_interval: interval(best),
        title: format!("at {} {}: {}", fit.by, words::amount(at), words::estimate(best, |x| format!("{x:.3e}"))),
    };
    let marks = vec![Mark::Estimates(known.map(point).collect())];
    let rows = fit.optima.iter().map(|one| {
        let mut row = vec![cell(one.at), one.status.key().to_owned()];
        row.extend(cells(one.best));
        row
    });
    Figure {
        id: "optimum".to_owned(),
        title: format!("The best {} against {}", fit.of, fit.by),
        note: "The lowest point of each curve of losses, with its 95% interval. A power law is a straight line."
            .to_owned(),
        x: Axis::new(fit.by.clone(), Unit::Count),
        y: Axis::new(format!("best {}", fit.of), Unit::Count),
        series: vec![Series::new("best values", Color::Params, Shape::Circle, marks)],
        panels: Vec::new(),
        table: Table { header: &["at", "status", "best", "best_low", "best_high"], rows: rows.collect() },
    }
}

/// The critical batch against the loss.
fn critical_batch(fits: &[(&LawAnswer, &CriticalBatch)]) -> Figure {
    let series = fits.iter().enumerate().map(|(at, (answer, fit))| {
        let known = fit.targets.iter().filter_map(|target| Some((target.loss, target.critical_batch?)));
        let point = |(loss, batch): (f64, Estimate)| Point {
            x: loss,
            y: batch.value,
            x_interval: None,
            y_interval: interval(batch),
            title: format!("at a loss of {loss:.3}: {}", words::estimate(batch, words::amount)),
        };
        let name = answer.name.as_deref().unwrap_or("critical batch");
        Series::new(
            name,
            Color::budget(at, fits.len()),
            Shape::of(at),
            vec![Mark::Estimates(known.map(point).collect())],
        )
    });
    let rows = fits.iter().flat_map(|(answer, fit)| {
        fit.targets.iter().map(|target| {
            let mut row = vec![answer.name.clone().unwrap_or_default(), cell(target.loss)];
            row.push(target.status.key().to_owned());
            row.extend(cells(target.critical_batch));
            row
        })
    });
    Figure {
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
    }
}
