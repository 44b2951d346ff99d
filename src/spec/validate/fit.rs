//! `[fit]`: what the sweep asks.

use std::collections::BTreeSet;

use crate::columns::CONFIG;
use crate::fit::formula::{Asked, Formula};
use crate::fit::named::{Law, Objective};
use crate::spec::check::{Checked, absent, list, positive, present, require};
use crate::spec::{Fit, Spec, Task, flat};

/// Columns of `runs.csv` beside the axes by which runs may be told apart.
const COLUMNS: [&str; 6] = ["parameterization", "width", "depth", "seed", "flop_budget", "params"];

/// Checks `[fit]` against the axes of the sweep.
pub(in crate::spec) fn check(spec: &Spec) -> Checked {
    let Some(fit) = &spec.fit else { return Ok(()) };
    let Some(sweep) = &spec.sweep else {
        return absent("fit", true, "a single run answers no question about several");
    };
    let zipped = sweep.zip.iter().flatten().map(|(field, _)| field.as_str());
    let axes: Vec<&str> = sweep.axes.keys().map(String::as_str).chain(zipped).collect();
    let listed = || {
        if axes.is_empty() { "the sweep has no axes".to_owned() } else { format!("write one of {}", axes.join(", ")) }
    };
    let measures = fit.law.is_some_and(Law::is_of_measures);
    if let Some(by) = fit.by.as_deref().filter(|_| measures) {
        measure(spec, by)?;
    } else if let Some(by) = fit.by.as_deref() {
        let known = axes.contains(&by) || COLUMNS.contains(&by) || of_models(spec).iter().any(|column| column == by);
        let keys = of_models(spec);
        let or = if keys.is_empty() {
            String::new()
        } else {
            format!(", or of its models {}", keys.iter().map(String::as_str).collect::<Vec<_>>().join(", "))
        };
        require(known, "fit.by", || (format!("{by:?} is not an axis of this sweep"), listed() + &or))?;
    }
    for field in &fit.tuned {
        require(axes.contains(&field.as_str()) && Some(field) != fit.by.as_ref(), "fit.tuned", || {
            (format!("{field:?} is not an axis of this sweep that runs can be tuned over"), listed())
        })?;
    }
    if let Some(law) = fit.law {
        named(fit, law, axes.iter().any(|axis| axis.starts_with("data.weights")))?;
    }
    written(fit, &axes)?;
    minimised(fit)?;
    if !fit.target_loss.is_empty() {
        absent("fit.target_loss", fit.law != Some(Law::CriticalBatch), "only the law \"critical-batch\" has targets")?;
        list("fit.target_loss", &fit.target_loss, 1e3, "loss", "write losses above 0, such as [3.5, 3.2]")?;
    }
    Ok(())
}

/// The columns of the keys of the program's own models, such as `config.width`.
fn of_models(spec: &Spec) -> BTreeSet<String> {
    let models = spec.sweep.as_ref().map_or(&[][..], |sweep| &sweep.models);
    models.iter().flat_map(|model| flat(&model.config)).map(|(key, _)| format!("{CONFIG}{key}")).collect()
}

/// A measure of a task that the spec asks, or the task itself.
fn measure(spec: &Spec, by: &str) -> Checked {
    let tasks: Vec<String> = spec.eval.tasks.iter().map(Task::name).collect();
    let task = |name: &str| tasks.iter().any(|task| name == task || name.starts_with(&format!("{task}.")));
    let whole = spec.fit.as_ref().is_some_and(|fit| fit.law == Some(Law::Emergence));
    let known = if whole { tasks.iter().any(|task| task == by) } else { task(by) };
    require(known, "fit.by", || {
        let remedy = match tasks.first() {
            None => "write the task under [[eval.tasks]]".to_owned(),
            Some(task) if whole => format!("write the kind and the length of one of them, such as {task:?}"),
            Some(task) => format!("write a measure of one of them, such as \"{task}.accuracy\""),
        };
        (format!("{by:?} is not measured: it names no task of [[eval.tasks]]"), remedy)
    })
}

/// What a law of the literature needs; `mixes` says whether the sweep varies the weights of a mixture.
fn named(fit: &Fit, law: Law, mixes: bool) -> Checked {
    if law == Law::Contrast {
        present("fit.by", fit.by.is_some(), "write the axis whose values are compared, such as \"model.depth\"")?;
    }
    if law.is_of_measures() {
        present("fit.by", fit.by.is_some(), "write what is measured, such as \"addition.3\" or \"cloze.16.accuracy\"")?;
    }
    if law == Law::Optimum {
        present("fit.by", fit.by.is_some(), "write the axis with which the best value moves, such as \"model.depth\"")?;
        require(fit.tuned.len() == 1, "fit.tuned", || {
            (format!("{} settings", fit.tuned.len()), "write the one whose best value is asked for")
        })?;
    }
    require(law != Law::GradientNoise, "fit.law", || {
        (
            "no run records the norms of its gradients",
            "fit it to a table of yours: runner fit TABLE --law gradient-noise",
        )
    })?;
    let of_mixtures = matches!(law, Law::Mixtures | Law::Composition);
    require(mixes || !of_mixtures, "fit.law", || {
        (
            "the sweep has one mixture only",
            "write an axis data.weights: { \"data.weights\" = [{ a = 1.0 }, { b = 1.0 }] }",
        )
    })?;
    let recorded =
        !law.is_formula() || of_mixtures || matches!(law, Law::Farseer | Law::Efficiencies | Law::RateBatch | Law::All);
    require(recorded, "fit.law", || {
        let what = "the runs of a sweep lack the columns of this law";
        (what, "fit it to a table of yours: runner fit TABLE --law NAME")
    })?;
    if law == Law::Efficiencies {
        present(
            "fit.by",
            fit.by.is_some(),
            "write the axis whose values have efficiencies, such as \"optimizer.kind\"",
        )?;
    }
    Ok(())
}

/// Names of the loss in `runs.csv`.
const LOSSES: [&str; 3] = ["loss", "L", "val_loss"];

/// A law of one's own, beside which no other is asked for.
fn written(fit: &Fit, axes: &[&str]) -> Checked {
    let wrong = |key: &'static str, problem: String, remedy: &str| require(false, key, || (problem, remedy.to_owned()));
    let Some(text) = &fit.formula else {
        present("fit.law", fit.law.is_some(), "write a law, such as \"tokens\", or fit.formula")?;
        let one = fit.law.is_some_and(|law| law.is_formula() && law != Law::All);
        absent("fit.unknown", !fit.unknown.is_empty() && !one, "only a formula has unknowns: write fit.formula")?;
        return fit.unknown.iter().try_for_each(|text| match Asked::parse(text) {
            Ok(_) => Ok(()),
            Err(error) => wrong("fit.unknown", error, "write it as in \"alpha in 0..2\""),
        });
    };
    absent("fit.formula", fit.law.is_some(), "fit.law asks for another law: remove one of them")?;
    let example = "write it as in \"loss = E + A/N^alpha + B/D^beta\"";
    let formula = match Formula::parse(text) {
        Ok(formula) => formula,
        Err(error) => return wrong("fit.formula", error.to_string(), example),
    };
    let target = &formula.names.target;
    if !LOSSES.contains(&target.0.as_str()) {
        let error = formula.wrong(&target.1, "the runs of a sweep have one number to predict, loss");
        return wrong("fit.formula", error.to_string(), example);
    }
    let is_known = |index: &str| axes.contains(&index) || COLUMNS.contains(&index);
    if let Some((index, place)) = formula.names.indices.iter().find(|(index, _)| !is_known(index)) {
        let error = formula.wrong(place, format!("'{index}' is not an axis of this sweep"));
        return wrong("fit.formula", error.to_string(), "write an axis as the index");
    }
    fit.unknown.iter().try_for_each(|text| match Asked::parse(text) {
        Ok(asked) if formula.names.used.iter().any(|(name, _)| *name == asked.name) => Ok(()),
        Ok(asked) => wrong("fit.unknown", format!("the formula has no {:?}", asked.name), "write one of its names"),
        Err(error) => wrong("fit.unknown", error, "write it as in \"alpha in 0..2\""),
    })
}

/// What is minimised over the residuals of a formula.
fn minimised(fit: &Fit) -> Checked {
    let of_formulas = [
        ("fit.residuals", fit.residuals.is_some()),
        ("fit.objective", fit.objective.is_some()),
        ("fit.overestimates", fit.overestimates.is_some()),
        ("fit.multistart", fit.multistart.is_some()),
        ("fit.cost", fit.cost.is_some()),
    ];
    let is_formula = fit.formula.is_some() || fit.law.is_some_and(Law::is_formula);
    for (key, written) in of_formulas {
        absent(key, written && !is_formula, "it belongs to fit.formula, or to a law that is one, such as \"farseer\"")?;
    }
    let robust = if is_formula { fit.objective == Some(Objective::Huber) } else { fit.law == Some(Law::Repetition) };
    absent("fit.delta", fit.delta.is_some() && !robust, "only a Huber loss has it: write fit.objective = \"huber\"")?;
    fit.delta.map_or(Ok(()), |delta| positive("fit.delta", delta, "1e-3"))?;
    fit.overestimates.map_or(Ok(()), |weight| positive("fit.overestimates", weight, "10.0"))?;
    require(fit.multistart.is_none_or(|starts| (1..=10_000).contains(&starts)), "fit.multistart", || {
        (format!("{} starts", fit.multistart.unwrap_or_default()), "write a number from 1 to 10000, such as 64")
    })?;
    let Some(cost) = &fit.cost else { return Ok(()) };
    let read = Formula::of_cost(cost);
    require(read.is_ok(), "fit.cost", || {
        (read.err().map(|error| error.to_string()).unwrap_or_default(), "write it as in \"6*N*D\"")
    })
}
