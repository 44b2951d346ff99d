//! `runner fit --law`: every law but the surface.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{bail, ensure};

use super::composition::{self, Compared};
use super::formula::{self, Alone, Won};
use super::request::{Request, require_budgets};
use super::rows::{Group, Made, groups};
use super::told::Told;
use super::{fields, measures};
use crate::cli::Residuals;
use crate::fit::Status;
use crate::fit::approaches::approach3;
use crate::fit::laws::critical_batch;
use crate::fit::laws::critical_batch::{AgainstLoss, NormPair};
use crate::fit::laws::{compare, contrast, kaplan, power, pruning, repetition};
use crate::fit::named::{Dot, Fitted, Law};
use crate::fit::table;
use crate::fit::table::budgets::Resample;
use crate::fit::table::budgets::Units;
use crate::fit::table::named;
use crate::fit::table::named::Wanted;
use crate::fit::table::{Field, TableError};
use crate::fit::transfer::{optimum, tuning};
use crate::observation::{Counting, Observation};

/// Fits one law to each group of rows.
pub(super) fn run(request: &Request, law: Law) -> anyhow::Result<Vec<Told>> {
    refuse(request, law)?;
    let mut told = Vec::new();
    match law {
        Law::Params => single(request, &mut told, fields::SIZE, "parameters")?,
        Law::Tokens => single(request, &mut told, fields::LENGTH, "tokens")?,
        Law::Flops => single(request, &mut told, fields::COMPUTE, "compute")?,
        Law::Kaplan => joint(request, &mut told)?,
        Law::KaplanSteps => kaplan_steps_law(request, &mut told)?,
        Law::Repetition => repetition_law(request, &mut told)?,
        Law::CriticalBatch => critical_batch_law(request, &mut told)?,
        Law::GradientNoise => gradient_noise_law(request, &mut told)?,
        Law::Tuning => tuning_law(request, &mut told)?,
        Law::Pruning => pruning_law(request, &mut told)?,
        Law::Contrast => contrast_law(request, &mut told)?,
        Law::Optimum => optimum_law(request, &mut told)?,
        Law::Rank => measures::rank_law(request, &mut told)?,
        Law::Emergence => measures::emergence_law(request, &mut told)?,
        Law::Composition => {
            let one = |one: Compared| Told::new(one.group, Fitted::Composition(one.fit), &one.made, one.points);
            told.extend(composition::fits(request)?.into_iter().map(one));
        }
        law => told.extend(written(request, Some(law))?),
    }
    Ok(told)
}

/// Fits a formula to each group of rows: one of the literature, or that of the request; or all, of which the best follows their
/// ranking.
pub(super) fn written(request: &Request, law: Option<Law>) -> anyhow::Result<Vec<Told>> {
    let mut told = Vec::new();
    for Alone { group, fit, made, points, columns, won } in formula::alone(request, law)? {
        let mut one = Told::new(group.clone(), Fitted::Written(Box::new(fit)), &made, points);
        one.columns = Some(columns);
        one.plain = request.args.formula.residuals == Residuals::Plain;
        if let Some(Won { ranking, name, rivals }) = won {
            let mut ranked = Told::new(group, Fitted::Ranking(ranking), &made, Vec::new());
            ranked.called = Some("ranking");
            told.push(ranked);
            one.called = Some("formula");
            one.further = vec![("name", name.into()), ("rivals", serde_json::to_value(rivals)?)];
        }
        told.push(one);
    }
    Ok(told)
}

/// Kaplan's L(N, S), from steps as they are or turned into the least steps.
fn kaplan_steps_law(request: &Request, told: &mut Vec<Told>) -> anyhow::Result<()> {
    let fit = |rows: Vec<[f64; 3]>| {
        let units = Units::new(Resample::Runs, &vec![1.0; rows.len()]);
        Fitted::Law(kaplan::params_and_steps(&rows, &units, &request.bootstrap))
    };
    if let [b_star, alpha_b] = request.args.critical_batch[..] {
        let law = AgainstLoss { b_star, alpha_b };
        let least = |[n, s, batch, loss]: [f64; 4]| [n, law.least_steps(s, batch, loss), loss];
        let [params, steps, loss] = fields::KAPLAN_STEPS;
        let fields = [params, steps, &[Field::Batch], loss];
        let fit = |rows: Vec<[f64; 4]>| fit(rows.into_iter().map(least).collect());
        let draw = |[params, x, _, loss]: &[f64; 4]| Dot { x: *x, loss: *loss, series: Some(*params) };
        each(request, told, fields, |_| None, fit, draw)
    } else {
        eprintln!("note: steps are taken as they are; --critical-batch B,ALPHA turns them into the least steps");
        let draw = |[params, x, loss]: &[f64; 3]| Dot { x: *x, loss: *loss, series: Some(*params) };
        each(request, told, fields::KAPLAN_STEPS, |_| None, fit, draw)
    }
}

/// The surface that knows how data wear out.
fn repetition_law(request: &Request, told: &mut Vec<Told>) -> anyhow::Result<()> {
    let unique = fields::unique(request)?;
    let by_epochs = unique == [Field::Epochs];
    if by_epochs {
        eprintln!(
            "note: no column of unique tokens: they are tokens / epochs, and all tokens where epochs are below 1"
        );
    }
    let fields = [fields::SIZE, fields::LENGTH, unique, fields::LOSS];
    let options = approach3::Options {
        delta: request.args.delta.unwrap_or(approach3::DELTA),
        starts: request.starts.clone(),
        bootstrap: request.bootstrap,
        resample: Resample::Runs,
    };
    let run = |[params, tokens, unique, loss]: [f64; 4]| {
        let unique_tokens = if by_epochs { tokens / unique.max(1.0) } else { unique };
        repetition::Run { params, tokens, unique_tokens, loss }
    };
    let fit =
        |rows: Vec<[f64; 4]>| Fitted::Law(repetition::fit(&rows.into_iter().map(run).collect::<Vec<_>>(), &options));
    let draw = |[params, x, _, loss]: &[f64; 4]| Dot { x: *x, loss: *loss, series: Some(*params) };
    each(request, told, fields, |_| None, fit, draw)
}

/// The critical batch from runs at several batch sizes.
fn critical_batch_law(request: &Request, told: &mut Vec<Told>) -> anyhow::Result<()> {
    let targets = &request.args.target_loss;
    let fit =
        |rows: Vec<[f64; 3]>| Fitted::CriticalBatch(critical_batch::runs::fit(&rows, targets, &request.bootstrap));
    let draw = |[batch, x, loss]: &[f64; 3]| Dot { x: *x, loss: *loss, series: Some(*batch) };
    each(request, told, fields::CRITICAL_BATCH, |_| None, fit, draw)
}

/// The noise scale from norms of gradients at two batch sizes.
fn gradient_noise_law(request: &Request, told: &mut Vec<Told>) -> anyhow::Result<()> {
    let fields = [&[Field::SmallBatch][..], &[Field::SmallNorm], &[Field::BigBatch], &[Field::BigNorm]];
    let check = |[small, _, big, _]: &[f64; 4]| {
        (small >= big).then(|| (2, format!("{big} is not above the small batch of {small}")))
    };
    let pair = |[small_batch, small, big_batch, big]: [f64; 4]| NormPair { small_batch, small, big_batch, big };
    let fit = |rows: Vec<[f64; 4]>| {
        let pairs: Vec<NormPair> = rows.into_iter().map(pair).collect();
        Fitted::Law(critical_batch::gradient_noise(&pairs, &request.bootstrap))
    };
    let draw = |[x, norm, ..]: &[f64; 4]| Dot { x: *x, loss: *norm, series: None };
    each(request, told, fields, check, fit, draw)
}

/// Rules of learning rate and batch.
fn tuning_law(request: &Request, told: &mut Vec<Told>) -> anyhow::Result<()> {
    let run = |[params, tokens, learning_rate, batch, loss]: [f64; 5]| tuning::Run {
        params,
        tokens,
        learning_rate,
        batch,
        loss,
    };
    let fit = |rows: Vec<[f64; 5]>| {
        Fitted::Tuning(tuning::fit(&rows.into_iter().map(run).collect::<Vec<_>>(), &request.bootstrap))
    };
    let draw = |[params, _, x, _, loss]: &[f64; 5]| Dot { x: *x, loss: *loss, series: Some(*params) };
    each(request, told, fields::TUNING, |_| None, fit, draw)
}

/// Laws of pruned data for each way of pruning, and those ways against each other.
fn pruning_law(request: &Request, told: &mut Vec<Told>) -> anyhow::Result<()> {
    let args = request.args;
    let check = |[keep, ..]: &[f64; 3]| {
        (*keep > 1.0).then(|| (0, format!("{keep} is not a share: write a number above 0 and up to 1")))
    };
    let table = table::numbers(&args.runs, &request.columns, fields::PRUNING, &request.table, check)?;
    let mut groups = groups(table, &args.runs, args.drop_highest, |[.., loss]| *loss)?;
    // Runs that keep everything are those without pruning, whatever they would have been pruned by.
    let is_whole = |[keep, ..]: &[f64; 3]| *keep >= 1.0;
    let whole: Vec<[f64; 3]> =
        groups.iter().flat_map(|group| &group.rows).filter(|row| is_whole(row)).copied().collect();
    for group in groups.iter_mut().filter(|group| !group.rows.iter().any(is_whole)) {
        group.rows.extend(&whole);
    }
    let several = groups.len() > 1;
    for Group { name, rows, made, .. } in groups {
        let points = rows.iter().map(|[keep, x, loss]| Dot { x: *x, loss: *loss, series: Some(*keep) }).collect();
        let runs: Vec<pruning::Run> =
            rows.into_iter().map(|[keep, tokens, loss]| pruning::Run { keep, tokens, loss }).collect();
        told.push(Told::new(name, Fitted::Pruning(pruning::fit(&runs, &request.bootstrap)), &made, points));
    }
    if several {
        let against = settings(request)?;
        told.extend(
            against
                .map(|(settings, made)| Told::new(None, Fitted::Contrast(contrast::fit(&settings)), &made, Vec::new())),
        );
    }
    Ok(())
}

/// Flags that the law would ignore.
pub(super) fn refuse(request: &Request, law: Law) -> anyhow::Result<()> {
    let args = request.args;
    let single = matches!(law, Law::Params | Law::Tokens | Law::Flops);
    let unused = [
        ("--against", args.against.is_some() && !single),
        ("--target-loss", !args.target_loss.is_empty() && law != Law::CriticalBatch),
        ("--resample budgets", request.resample == Resample::Budgets && law != Law::Kaplan),
        ("--budget-tolerance", args.budget_tolerance.is_some() && law != Law::Kaplan),
        ("--tokens-from-flops", args.tokens_from_flops && law != Law::Kaplan),
        ("--starts", !args.starts.is_empty() && law != Law::Repetition),
        ("--delta", args.delta.is_some() && law != Law::Repetition),
        ("--critical-batch", !args.critical_batch.is_empty() && law != Law::KaplanSteps),
        ("--drop-highest", args.drop_highest > 0 && law == Law::GradientNoise),
    ];
    for (flag, given) in unused {
        ensure!(!given, "{flag} means nothing with --law {}: leave it out", law.name());
    }
    let above_zero = |loss: &f64| loss.is_finite() && *loss > 0.0;
    ensure!(args.target_loss.iter().all(above_zero), "--target-loss: write losses above zero");
    ensure!(
        [0, 2].contains(&args.critical_batch.len()) && args.critical_batch.iter().all(above_zero),
        "--critical-batch: write a number of tokens and an exponent, B,ALPHA, both above zero"
    );
    Ok(())
}

/// Factor by which another variable may differ over the runs of a law of one variable.
const VARIES: f64 = 3.0;

/// A law over plain columns, group by group; `draw` says which columns are drawn, as x and what tells series apart.
fn each<const K: usize>(
    request: &Request,
    told: &mut Vec<Told>,
    fields: [&[Field]; K],
    check: impl Fn(&[f64; K]) -> Option<(usize, String)>,
    fit: impl Fn(Vec<[f64; K]>) -> Fitted,
    draw: impl Fn(&[f64; K]) -> Dot,
) -> anyhow::Result<()> {
    let args = request.args;
    let table = table::numbers(&args.runs, &request.columns, fields, &request.table, check)?;
    for Group { name, rows, made, .. } in groups(table, &args.runs, args.drop_highest, |row| row[K - 1])? {
        let points = rows.iter().map(&draw).collect();
        told.push(Told::new(name, fit(rows), &made, points));
    }
    Ok(())
}

/// Runs by the setting that they have in the column of `--by`.
type Settings = Vec<(String, Vec<table::Placed>)>;

fn settings(request: &Request) -> anyhow::Result<Option<(Settings, Made)>> {
    let args = request.args;
    let table = table::placed(&args.runs, &request.columns, &request.table)?;
    let groups = groups(table, &args.runs, args.drop_highest, |run| run.loss)?;
    let Some(made) = groups.first().map(|group| group.made.clone()) else { return Ok(None) };
    let settings = groups.into_iter().map(|group| (group.name.unwrap_or_default(), group.rows)).collect();
    Ok(Some((settings, made)))
}

/// The settings of one column against the first of them.
fn contrast_law(request: &Request, told: &mut Vec<Told>) -> anyhow::Result<()> {
    ensure!(request.args.by.is_some(), "--law contrast compares the values of a column: name it with --by COLUMN");
    let Some((settings, made)) = settings(request)? else { return Ok(()) };
    let drawn = |(at, (name, runs)): (usize, &(String, Vec<table::Placed>))| {
        // A setting that is no number stands at its place in the list.
        let x = name.parse().ok().filter(|x: &f64| *x > 0.0 && x.is_finite()).unwrap_or(at as f64 + 1.0);
        runs.iter().map(move |run| Dot { x, loss: run.loss, series: None }).collect::<Vec<_>>()
    };
    let points = settings.iter().enumerate().flat_map(drawn).collect();
    told.push(Told::new(None, Fitted::Contrast(contrast::fit(&settings)), &made, points));
    Ok(())
}

/// The columns of the law of optima: that with which the best value moves, and that of the setting.
fn optimum_columns<'a>(request: &Request<'a>) -> anyhow::Result<[&'a String; 2]> {
    let (Some(by), [of]) = (&request.args.by, &request.args.tuned[..]) else {
        bail!(
            "--law optimum needs the column of the setting and the column that it moves with: --tuned \
             axis.optimizer.weight_decay --by axis.schedule.tokens"
        );
    };
    Ok([by, of])
}

/// The table as the law of optima reads it.
pub(super) fn optimum_table(request: &Request) -> anyhow::Result<named::Read> {
    let args = request.args;
    let names = optimum_columns(request)?.map(String::clone).to_vec();
    let wanted = Wanted { target: "L".to_owned(), names, ..Wanted::default() };
    // All values of the setting count, not the best alone, and the other column is a number, not a name of groups: these are
    // the values of another axis, where there is one.
    let read = |by: Option<String>| {
        let options = table::Options { by, tuned: Vec::new(), ..request.table.clone() };
        named::read(&args.runs, &request.columns, &wanted, &options)
    };
    let read = read(another_axis(&args.runs, &wanted.names, &read)?)?;
    if let Some(missing) = wanted.names.iter().find(|name| !read.found.contains(name)) {
        bail!("{} has no column {missing:?}; it has {}", args.runs.display(), read.headers.join(", "));
    }
    Ok(read)
}

/// The best value of what was tuned, and how it moves with another column.
fn optimum_law(request: &Request, told: &mut Vec<Told>) -> anyhow::Result<()> {
    let args = request.args;
    let [by, of] = optimum_columns(request)?;
    let read = optimum_table(request)?;
    let place = |name: &String| read.found.iter().position(|found| found == name).expect("found above");
    let (by_at, of_at) = (place(by), place(of));
    for Group { name, rows, made, .. } in groups(read.table, &args.runs, args.drop_highest, |row| row.target)? {
        let all: Vec<[f64; 3]> = rows.iter().map(|row| [row.numbers[by_at], row.numbers[of_at], row.target]).collect();
        let above: Vec<[f64; 3]> = all.iter().filter(|[by, of, _]| *by > 0.0 && *of > 0.0).copied().collect();
        if above.len() < all.len() {
            eprintln!(
                "note: {} of {} rows have no logarithm of {of} and {by}, as these are not above zero, and are left out",
                all.len() - above.len(),
                all.len()
            );
        }
        let plain = |column: &str| column.strip_prefix("axis.").unwrap_or(column).to_owned();
        let points = above.iter().map(|&[by, x, loss]| Dot { x, loss, series: Some(by) }).collect();
        let fit = optimum::fit(&plain(of), &plain(by), &above, &request.bootstrap);
        told.push(Told::new(name, Fitted::Optimum(fit), &made, points));
    }
    Ok(())
}

/// The axis of a sweep's table beside those that the law is about, the first of which is what the optimum moves with, in which
/// rows differ that have this in common; its values are groups.
fn another_axis(
    path: &Path,
    known: &[String],
    read: &dyn Fn(Option<String>) -> Result<named::Read, TableError>,
) -> anyhow::Result<Option<String>> {
    let mut differing = Vec::new();
    for axis in named::headers(path)?.into_iter().filter(|name| name.starts_with("axis.") && !known.contains(name)) {
        let read = read(Some(axis.clone()))?;
        let Some(by) = read.found.iter().position(|found| *found == known[0]) else { continue };
        let mut seen = BTreeSet::new();
        // An axis that goes along with it makes no groups.
        for (_, rows) in read.table.groups.split(read.table.rows) {
            let places: BTreeSet<u64> = rows.iter().map(|row| row.numbers[by].to_bits()).collect();
            if places.iter().any(|place| !seen.insert(*place)) {
                differing.push(axis);
                break;
            }
        }
    }
    ensure!(
        differing.len() <= 1,
        "rows of {} differ in {} beside what the law is about, and at most one of these may vary: split the table by the others",
        path.display(),
        differing.join(" and ")
    );
    Ok(differing.pop())
}

/// Kaplan's L(N, D) under every convention of counting that the table tells.
fn joint(request: &Request, told: &mut Vec<Told>) -> anyhow::Result<()> {
    let args = request.args;
    let table = table::read(&args.runs, &request.columns, &request.table)?;
    for mut group in groups(table, &args.runs, args.drop_highest, |run| run.loss)? {
        group.share_budgets(request);
        let countings: Vec<Counting> = group.countings().collect();
        let Group { name, rows: mut runs, made, .. } = group;
        if runs.len() > power::MOST {
            eprintln!("note: the law is fitted to an even share of at most {} of the {} rows", power::MOST, runs.len());
        }
        require_budgets(request, runs.iter().map(Observation::budget))?;
        runs.sort_by(|a, b| a.flops.total_cmp(&b.flops).then(a.params.total_cmp(&b.params)));
        let share = runs.len().div_ceil(power::MOST).max(1);
        for counting in countings {
            let counted = runs.iter().step_by(share).filter_map(|run| Some((run.params_by(counting)?, run)));
            let (points_of_law, budgets): (Vec<kaplan::Point>, Vec<f64>) =
                counted.map(|(params, run)| ([params, run.tokens, run.loss], run.budget())).unzip();
            let units = Units::new(request.resample, &budgets);
            let points =
                runs.iter().map(|run| Dot { x: run.tokens, loss: run.loss, series: Some(run.params) }).collect();
            let fit = Fitted::Law(kaplan::params_and_tokens(&points_of_law, &units, &request.bootstrap));
            let mut one = Told::new(name.clone(), fit, &made, points);
            one.labels.push(("counting", Some(counting.name().to_owned())));
            one.title = format!("Parameters counted as {}\n", counting.name());
            told.push(one);
        }
    }
    Ok(())
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
    if factor > VARIES {
        eprintln!(
            "warning: {other} differ by a factor of {factor:.1} in this table: a law in {noun} alone mixes runs that they hold \
             back with runs that they do not, and its numbers mean little; split it with --by, or fit the surface"
        );
    }
}

/// Columns whose values have validation losses on other tokens.
const OTHER_LOSSES: [&str; 4] = ["data.vocab", "data.source", "data.path", "data.tokenizer"];

/// A law of one variable for each group, and each group compared with the first.
fn single(request: &Request, told: &mut Vec<Told>, axis: &[Field], noun: &'static str) -> anyhow::Result<()> {
    let args = request.args;
    let read = |path: &Path| -> anyhow::Result<Vec<Group<[f64; 2]>>> {
        let table = table::numbers(path, &request.columns, [axis, &[Field::Loss]], &request.table, |_| None)?;
        groups(table, path, args.drop_highest, |row| row[1])
    };
    let mut curves = read(&args.runs)?;
    if let Some(other) = &args.against {
        curves.extend(read(other)?);
        for (curve, path) in curves.iter_mut().zip([&args.runs, other]) {
            curve.name = Some(path.display().to_string());
        }
    }
    tell_what_else_varies(request, axis[0], noun);
    for Group { name, rows, made, .. } in &curves {
        if rows.len() > power::MOST {
            eprintln!("note: laws are fitted to an even share of at most {} of the {} rows", power::MOST, rows.len());
        }
        let (x, y): (Vec<f64>, Vec<f64>) = rows.iter().map(|[x, y]| (*x, *y)).unzip();
        let selection = power::select(&x, &y, &request.bootstrap);
        let points = rows.iter().map(|[x, loss]| Dot { x: *x, loss: *loss, series: None }).collect();
        let mut one = Told::new(name.clone(), Fitted::Selection(selection), made, points);
        one.of = noun;
        told.push(one);
    }
    let Some((Group { name: first, rows: base, .. }, others)) = curves.split_first() else { return Ok(()) };
    for Group { name, rows, made, .. } in others {
        let curve = |rows: &[[f64; 2]]| -> Vec<(f64, f64)> {
            let mut pairs: Vec<(f64, f64)> = rows.iter().map(|[x, y]| (*x, *y)).collect();
            pairs.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
            pairs.iter().step_by(pairs.len().div_ceil(power::MOST).max(1)).copied().collect()
        };
        let by = args.by.as_deref().map(|by| by.strip_prefix("axis.").unwrap_or(by));
        let other_losses = by.filter(|by| OTHER_LOSSES.contains(by));
        let fitted = match other_losses {
            Some(by) => Fitted::NoComparison {
                status: Status::NotIdentified,
                conclusion: format!(
                    "With another {by} a loss is a mean over other tokens: no factor between the curves is told, only the \
                     exponent of each."
                ),
            },
            None => compare::compare(&curve(base), &curve(rows), noun, &request.bootstrap).map_or_else(
                || {
                    let conclusion =
                        "Each curve needs at least 5 runs of 3 different values to be compared.".to_owned();
                    Fitted::NoComparison { status: Status::TooFewPoints, conclusion }
                },
                Fitted::Comparison,
            ),
        };
        let title = format!("'{}' against '{}'", name.as_deref().unwrap_or(""), first.as_deref().unwrap_or(""));
        let mut one = Told::new(None, fitted, made, Vec::new());
        one.labels = vec![("compared", first.clone()), ("with", name.clone())];
        one.title =
            if matches!(one.fitted, Fitted::Comparison(_)) { format!("{title}\n") } else { format!("{title}: ") };
        one.of = noun;
        told.push(one);
    }
    Ok(())
}
