//! `runner fit --law`: every law but the surface.

use std::path::Path;

use anyhow::ensure;
use serde::Serialize;

use super::request::{Request, require_budgets};
use super::rows::{Group, Made, groups};
use super::{print, print_law};
use crate::cli::Law;
use crate::commands::shared::json;
use crate::commands::shared::sheet::Room;
use crate::fit::Status;
use crate::fit::approaches::approach3;
use crate::fit::laws::critical_batch;
use crate::fit::laws::critical_batch::{AgainstLoss, NormPair};
use crate::fit::laws::law::LawFit;
use crate::fit::laws::{compare, kaplan, power, pruning, repetition};
use crate::fit::table;
use crate::fit::table::Field;
use crate::fit::table::budgets::Resample;
use crate::fit::table::budgets::Units;
use crate::fit::transfer::tuning;
use crate::observation::{Counting, Observation};

/// Fits one law and returns what is to be printed.
pub(super) fn run(request: &Request, law: Law) -> anyhow::Result<String> {
    refuse(request, law)?;
    let mut said = Said { text: String::new(), json: request.args.json, law: name(law) };
    match law {
        Law::Params => single(request, &mut said, &[Field::Params], "parameters")?,
        Law::Tokens => single(request, &mut said, &[Field::Tokens], "tokens")?,
        Law::Flops => single(request, &mut said, &[Field::Flops, Field::FlopBudget], "compute")?,
        Law::Kaplan => joint(request, &mut said)?,
        Law::KaplanSteps => kaplan_steps_law(request, &mut said)?,
        Law::Repetition => repetition_law(request, &mut said)?,
        Law::CriticalBatch => critical_batch_law(request, &mut said)?,
        Law::GradientNoise => gradient_noise_law(request, &mut said)?,
        Law::Tuning => tuning_law(request, &mut said)?,
        Law::Pruning => pruning_law(request, &mut said)?,
    }
    Ok(said.text)
}

/// Kaplan's L(N, S), from steps as they are or turned into the least steps.
fn kaplan_steps_law(request: &Request, said: &mut Said) -> anyhow::Result<()> {
    let params = &[Field::ParamsNonEmbedding, Field::Params][..];
    let fit = |rows: Vec<[f64; 3]>| {
        let units = Units::new(Resample::Runs, &vec![1.0; rows.len()]);
        kaplan::params_and_steps(&rows, &units, &request.bootstrap)
    };
    if let [b_star, alpha_b] = request.args.critical_batch[..] {
        let law = AgainstLoss { b_star, alpha_b };
        let least = |[n, s, batch, loss]: [f64; 4]| [n, law.least_steps(s, batch, loss), loss];
        let fields = [params, &[Field::Steps], &[Field::Batch], &[Field::Loss]];
        let fit = |rows: Vec<[f64; 4]>| fit(rows.into_iter().map(least).collect());
        each(request, said, fields, |_| None, fit, print_law::law)
    } else {
        eprintln!("note: steps are taken as they are; --critical-batch B,ALPHA turns them into the least steps");
        let fields = [params, &[Field::Steps], &[Field::Loss]];
        each(request, said, fields, |_| None, fit, print_law::law)
    }
}

/// The surface that knows how data wear out.
fn repetition_law(request: &Request, said: &mut Said) -> anyhow::Result<()> {
    let fields = [&[Field::Params][..], &[Field::Tokens], &[Field::UniqueTokens], &[Field::Loss]];
    let options = approach3::Options {
        delta: request.args.delta,
        starts: request.starts.clone(),
        bootstrap: request.bootstrap,
        resample: Resample::Runs,
    };
    let run = |[params, tokens, unique_tokens, loss]: [f64; 4]| repetition::Run { params, tokens, unique_tokens, loss };
    let fit = |rows: Vec<[f64; 4]>| repetition::fit(&rows.into_iter().map(run).collect::<Vec<_>>(), &options);
    each(request, said, fields, |_| None, fit, print_law::law)
}

/// The critical batch from runs at several batch sizes.
fn critical_batch_law(request: &Request, said: &mut Said) -> anyhow::Result<()> {
    let fields = [&[Field::Batch][..], &[Field::Steps], &[Field::Loss]];
    let targets = &request.args.target_loss;
    let fit = |rows: Vec<[f64; 3]>| critical_batch::runs::fit(&rows, targets, &request.bootstrap);
    each(request, said, fields, |_| None, fit, print_law::critical_batch)
}

/// The noise scale from norms of gradients at two batch sizes.
fn gradient_noise_law(request: &Request, said: &mut Said) -> anyhow::Result<()> {
    let fields = [&[Field::SmallBatch][..], &[Field::SmallNorm], &[Field::BigBatch], &[Field::BigNorm]];
    let check = |[small, _, big, _]: &[f64; 4]| {
        (small >= big).then(|| (2, format!("{big} is not above the small batch of {small}")))
    };
    let pair = |[small_batch, small, big_batch, big]: [f64; 4]| NormPair { small_batch, small, big_batch, big };
    let fit = |rows: Vec<[f64; 4]>| {
        let pairs: Vec<NormPair> = rows.into_iter().map(pair).collect();
        critical_batch::gradient_noise(&pairs, &request.bootstrap)
    };
    each(request, said, fields, check, fit, print_law::law)
}

/// Rules of learning rate and batch.
fn tuning_law(request: &Request, said: &mut Said) -> anyhow::Result<()> {
    // The rules of a spec follow parameters of blocks and unembedding.
    let size = &[Field::ParamsBlocksAndUnembedding, Field::Params][..];
    let fields = [size, &[Field::Tokens], &[Field::LearningRate], &[Field::Batch], &[Field::Loss]];
    let run = |[params, tokens, learning_rate, batch, loss]: [f64; 5]| tuning::Run {
        params,
        tokens,
        learning_rate,
        batch,
        loss,
    };
    let fit = |rows: Vec<[f64; 5]>| tuning::fit(&rows.into_iter().map(run).collect::<Vec<_>>(), &request.bootstrap);
    each(request, said, fields, |_| None, fit, print_law::tuning)
}

/// Laws of pruned data.
fn pruning_law(request: &Request, said: &mut Said) -> anyhow::Result<()> {
    let fields = [&[Field::Keep][..], &[Field::Tokens], &[Field::Loss]];
    let check = |[keep, ..]: &[f64; 3]| {
        (*keep > 1.0).then(|| (0, format!("{keep} is not a share: write a number above 0 and up to 1")))
    };
    let run = |[keep, tokens, loss]: [f64; 3]| pruning::Run { keep, tokens, loss };
    let fit = |rows: Vec<[f64; 3]>| pruning::fit(&rows.into_iter().map(run).collect::<Vec<_>>(), &request.bootstrap);
    each(request, said, fields, check, fit, print_law::pruning)
}

fn name(law: Law) -> &'static str {
    match law {
        Law::Params => "params",
        Law::Tokens => "tokens",
        Law::Flops => "flops",
        Law::Kaplan => "kaplan",
        Law::KaplanSteps => "kaplan-steps",
        Law::Repetition => "repetition",
        Law::CriticalBatch => "critical-batch",
        Law::GradientNoise => "gradient-noise",
        Law::Tuning => "tuning",
        Law::Pruning => "pruning",
    }
}

/// Flags that the law would ignore.
fn refuse(request: &Request, law: Law) -> anyhow::Result<()> {
    let args = request.args;
    let single = matches!(law, Law::Params | Law::Tokens | Law::Flops);
    let unused = [
        ("--against", args.against.is_some() && !single),
        ("--target-loss", !args.target_loss.is_empty() && law != Law::CriticalBatch),
        ("--resample budgets", request.resample == Resample::Budgets && law != Law::Kaplan),
        ("--budget-tolerance", args.budget_tolerance.is_some() && law != Law::Kaplan),
        ("--tokens-from-flops", args.tokens_from_flops && law != Law::Kaplan),
        ("--starts", !args.starts.is_empty() && law != Law::Repetition),
        ("--critical-batch", !args.critical_batch.is_empty() && law != Law::KaplanSteps),
        ("--drop-highest", args.drop_highest > 0 && law == Law::GradientNoise),
    ];
    for (flag, given) in unused {
        ensure!(!given, "{flag} means nothing with --law {}: leave it out", name(law));
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

/// What is printed, in words or as JSON.
struct Said {
    text: String,
    json: bool,
    law: &'static str,
}

impl Said {
    /// One object, or its tables.
    fn say<T: Serialize>(
        &mut self,
        labels: &[(&str, Option<&str>)],
        fit: &T,
        made: &Made,
        words: &str,
    ) -> anyhow::Result<()> {
        if !self.json {
            self.text += words;
            return Ok(());
        }
        let version = ("schema_version".to_owned(), json::SCHEMA_VERSION.into());
        let mut object = serde_json::Map::from_iter([version, ("law".to_owned(), self.law.into())]);
        object.extend(labels.iter().filter_map(|(name, value)| Some(((*name).to_owned(), (*value)?.into()))));
        for part in [serde_json::to_value(fit)?, serde_json::to_value(made)?] {
            if let serde_json::Value::Object(fields) = part {
                object.extend(fields);
            }
        }
        self.text += &serde_json::to_string(&object)?;
        self.text.push('\n');
        Ok(())
    }

    fn heading(&mut self, group: Option<&str>) {
        if let (Some(group), false) = (group, self.json) {
            self.text += &print::heading(group);
        }
    }
}

/// A law over plain columns, group by group.
fn each<T: Serialize, const K: usize>(
    request: &Request,
    said: &mut Said,
    fields: [&[Field]; K],
    check: impl Fn(&[f64; K]) -> Option<(usize, String)>,
    fit: impl Fn(Vec<[f64; K]>) -> T,
    words: fn(&T, Room) -> String,
) -> anyhow::Result<()> {
    let args = request.args;
    let table = table::numbers(&args.runs, &request.columns, fields, &request.table, check)?;
    for Group { name, rows, made, .. } in groups(table, &args.runs, args.drop_highest, |row| row[K - 1])? {
        said.heading(name.as_deref());
        let fitted = fit(rows);
        said.say(&[("group", name.as_deref())], &fitted, &made, &words(&fitted, request.room))?;
    }
    Ok(())
}

/// Kaplan's L(N, D) under every convention of counting that the table tells.
fn joint(request: &Request, said: &mut Said) -> anyhow::Result<()> {
    let args = request.args;
    let table = table::read(&args.runs, &request.columns, &request.table)?;
    for mut group in groups(table, &args.runs, args.drop_highest, |run| run.loss)? {
        group.share_budgets(request);
        let countings: Vec<Counting> = group.countings().collect();
        let Group { name, rows: mut runs, made, .. } = group;
        said.heading(name.as_deref());
        if runs.len() > power::MOST {
            eprintln!("note: the law is fitted to an even share of at most {} of the {} rows", power::MOST, runs.len());
        }
        require_budgets(request, runs.iter().map(Observation::budget))?;
        runs.sort_by(|a, b| a.flops.total_cmp(&b.flops).then(a.params.total_cmp(&b.params)));
        let share = runs.len().div_ceil(power::MOST).max(1);
        for counting in countings {
            let counted = runs.iter().step_by(share).filter_map(|run| Some((run.params_by(counting)?, run)));
            let (points, budgets): (Vec<kaplan::Point>, Vec<f64>) =
                counted.map(|(params, run)| ([params, run.tokens, run.loss], run.budget())).unzip();
            let units = Units::new(request.resample, &budgets);
            let fit: LawFit = kaplan::params_and_tokens(&points, &units, &request.bootstrap);
            let labels = [("group", name.as_deref()), ("counting", Some(counting.name()))];
            said.say(
                &labels,
                &fit,
                &made,
                &format!("Parameters counted as {}\n{}", counting.name(), print_law::law(&fit, request.room)),
            )?;
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

/// A law of one variable for each group, and each group compared with the first.
fn single(request: &Request, said: &mut Said, axis: &[Field], noun: &'static str) -> anyhow::Result<()> {
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
        said.heading(name.as_deref());
        if rows.len() > power::MOST {
            eprintln!("note: laws are fitted to an even share of at most {} of the {} rows", power::MOST, rows.len());
        }
        let (x, y): (Vec<f64>, Vec<f64>) = rows.iter().map(|[x, y]| (*x, *y)).unzip();
        let selection = power::select(&x, &y, &request.bootstrap);
        said.say(
            &[("group", name.as_deref())],
            &selection,
            made,
            &print_law::selection(&selection, noun, request.room),
        )?;
    }
    let Some((Group { name: first, rows: base, .. }, others)) = curves.split_first() else { return Ok(()) };
    for Group { name, rows, made, .. } in others {
        let curve = |rows: &[[f64; 2]]| -> Vec<(f64, f64)> {
            let mut pairs: Vec<(f64, f64)> = rows.iter().map(|[x, y]| (*x, *y)).collect();
            pairs.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
            pairs.iter().step_by(pairs.len().div_ceil(power::MOST).max(1)).copied().collect()
        };
        let found = compare::compare(&curve(base), &curve(rows), noun, &request.bootstrap);
        let labels = [("compared", first.as_deref()), ("with", name.as_deref())];
        let title = format!("'{}' against '{}'", name.as_deref().unwrap_or(""), first.as_deref().unwrap_or(""));
        if let Some(found) = found {
            said.say(&labels, &found, made, &print_law::comparison(&title, &found, noun, request.room))?;
        } else {
            let conclusion = "Each curve needs at least 5 runs of 3 different values to be compared.";
            let object = serde_json::json!({ "status": Status::TooFewPoints, "conclusion": conclusion });
            said.say(&labels, &object, made, &format!("{title}: {}. {conclusion}\n", Status::TooFewPoints.name()))?;
        }
    }
    Ok(())
}
