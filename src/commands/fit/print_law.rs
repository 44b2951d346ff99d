//! The tables that `runner fit --law` prints.

use std::fmt::Write as _;

use super::print::cell;
use crate::commands::shared::sheet::{Room, Sheet, Worth};
use crate::fit::laws::compare::Comparison;
use crate::fit::laws::composition::Composition;
use crate::fit::laws::contrast::Contrast;
use crate::fit::laws::critical_batch::runs::CriticalBatch;
use crate::fit::laws::law::LawFit;
use crate::fit::laws::power::{Form, Selection};
use crate::fit::laws::pruning::Pruning;
use crate::fit::laws::written::ranking::Ranking;
use crate::fit::named::Fitted;
use crate::fit::numerics::residuals::Residuals;
use crate::fit::transfer::optimum::Optimum;
use crate::fit::transfer::tuning::Tuning;
use crate::fit::{Estimate, Status};

/// What residuals are of, and what they are called where they are differences of losses.
pub(super) const IN_LOGARITHM: &str = "residuals in the logarithm";
pub(super) const PLAIN: &str = "residuals";

/// Rows of the envelope of pruning.
const MOST_ROWS: usize = 20;

/// A fit of any law; `of` says what one of one variable is a law of.
pub(super) fn fitted(fitted: &Fitted, of: &str, room: Room) -> String {
    match fitted {
        Fitted::Law(fit) => law(fit, room),
        Fitted::Written(fit) => law(&fit.law, room),
        Fitted::Ranking(fit) => ranking(fit, room),
        Fitted::Selection(fit) => selection(fit, of, room),
        Fitted::Comparison(fit) => comparison(fit, of, room),
        Fitted::NoComparison { status, conclusion } => format!("{}. {conclusion}\n", status.name()),
        Fitted::CriticalBatch(fit) => critical_batch(fit, room),
        Fitted::Tuning(fit) => tuning(fit, room),
        Fitted::Pruning(fit) => pruning(fit, room),
        Fitted::Contrast(fit) => contrast(fit, room),
        Fitted::Optimum(fit) => optimum(fit, room),
        Fitted::Composition(fit) => composition(fit, room),
    }
}

/// Several laws, the best first.
pub(super) fn ranking(ranking: &Ranking, room: Room) -> String {
    let mut table = Sheet::new([
        ("law", Worth::Must),
        ("unknowns", Worth::More(3)),
        ("rms", Worth::More(2)),
        ("AICc", Worth::More(2)),
        ("error held out", Worth::Must),
        ("mean", Worth::More(4)),
        ("one step before", Worth::More(1)),
        ("at rest", Worth::More(1)),
    ]);
    let number = |x: Option<f64>, digits: usize| x.map_or_else(|| "-".to_owned(), |x| format!("{x:.digits$}"));
    for law in &ranking.laws {
        table.add_row([
            law.name.clone(),
            law.unknowns.to_string(),
            number(law.rms, 5),
            number(law.aicc, 1),
            number(law.held_out.map(|held_out| held_out.rms), 5),
            number(law.held_out.map(|held_out| held_out.mean), 5),
            number(law.inner, 5),
            if law.at_rest { "yes" } else { "no" }.to_owned(),
        ]);
    }
    let failures: String = ranking
        .laws
        .iter()
        .filter_map(|law| Some(format!("{} could not be fitted: {}\n", law.name, law.failure.as_ref()?)))
        .collect();
    let title = "Laws by their error on the most expensive rows, fitted to the others";
    format!("{title}\n{}{failures}{}\n\n", table.text(room), ranking.conclusion)
}

/// Settings against the first of them.
fn contrast(fit: &Contrast, room: Room) -> String {
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

/// The best value of a setting, place by place.
fn optimum(fit: &Optimum, room: Room) -> String {
    let best = format!("best {} (95% interval)", fit.of);
    let mut table = Sheet::new([
        (fit.by.as_str(), Worth::Must),
        (best.as_str(), Worth::Must),
        ("loss", Worth::More(1)),
        ("lost by the first one's, nats", Worth::More(2)),
        ("status", Worth::Must),
    ]);
    for one in &fit.optima {
        table.add_row([
            number(one.at),
            cell(one.best, number),
            cell(one.loss, |loss| format!("{loss:.4}")),
            cell(one.lost, |lost| format!("{lost:.4}")),
            one.status.name().to_owned(),
        ]);
    }
    let text = table.text(room);
    let resampled = "the scatter of runs and the window of the curve";
    text + &foot(fit.status, fit.points, None, resampled, &fit.conclusion)
}

/// The best mixture for each target and size, and how mixtures change with size.
fn composition(fit: &Composition, room: Room) -> String {
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

/// A law with its numbers, one a line.
pub(super) fn law(fit: &LawFit, room: Room) -> String {
    let mut text = format!("{}\n", fit.formula);
    if !fit.parameters.is_empty() {
        let mut table =
            Sheet::new([("", Worth::Must), ("value (95% interval)", Worth::Must), ("what it is", Worth::Must)])
                .with_prose();
        for parameter in &fit.parameters {
            table.add_row([parameter.name.clone(), cell(Some(parameter.estimate), number), parameter.meaning.clone()]);
        }
        text += &table.text(room);
    }
    text + &foot(fit.status, fit.points, fit.residuals, &fit.resampled, &fit.conclusion)
}

/// What stands below every law.
fn foot(status: Status, points: usize, residuals: Option<Residuals>, resampled: &str, conclusion: &str) -> String {
    let residuals = residuals.map_or_else(String::new, |residuals| {
        format!(", {IN_LOGARITHM} {:.5} (rms), {:.5} (largest)", residuals.rms, residuals.largest)
    });
    format!(
        "status {}, {points} points{residuals}; intervals: 95% percentiles, resampling {resampled}\n{conclusion}\n\n",
        status.name()
    )
}

/// The best learning rate and batch size of each size, and the rules as a spec takes them.
fn tuning(tuning: &Tuning, room: Room) -> String {
    let mut table = Sheet::new([
        ("params", Worth::Must),
        ("tokens", Worth::More(2)),
        ("best learning rate", Worth::Must),
        ("status", Worth::Must),
        ("best batch", Worth::More(1)),
        ("best trained", Worth::More(3)),
        ("status of batch", Worth::More(3)),
        ("loss", Worth::More(2)),
    ]);
    for size in &tuning.sizes {
        table.add_row([
            number(size.params),
            number(size.tokens),
            cell(size.learning_rate, number),
            size.status.name().to_owned(),
            cell(size.batch, number),
            size.batch_trained.map_or_else(|| "-".to_owned(), number),
            size.batch_status.name().to_owned(),
            cell(size.loss, |loss| format!("{loss:.4}")),
        ]);
    }
    let mut text = table.text(room);
    let rules = [("learning_rate", "at_params", tuning.learning_rate), ("batch_tokens", "at_tokens", tuning.batch)];
    for (key, at, rule) in rules.into_iter().filter_map(|(key, at, rule)| Some((key, at, rule?))) {
        let _ = writeln!(
            text,
            "{key} = {{ value = {:.3e}, {at} = {:.3e}, exponent = {:.3} }}",
            rule.value.value, rule.at, rule.exponent.value
        );
    }
    text + &format!("status {}\n{}\n\n", tuning.status.name(), tuning.conclusion)
}

/// The laws of one variable with what speaks for each.
fn selection(selection: &Selection, of: &str, room: Room) -> String {
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
    let preferred = selection.laws.iter().find(|law| Some(law.curve.form) == selection.by_criterion);
    let residuals = preferred.map(|law| law.residuals);
    text + &foot(selection.status, selection.points, residuals, &selection.resampled, &selection.conclusion)
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
        (format!("a multiple of {of} for the same loss"), Some(found.factor), "factor"),
        ("another irreducible loss, by (nats)".to_owned(), Some(found.offset), "offset"),
        ("another exponent, by".to_owned(), Some(found.slope), "slope"),
        ("all of these".to_owned(), None, "everything"),
    ];
    for (what, estimate, name) in rows {
        table.add_row([what, cell(estimate, number), excess(name)]);
    }
    let foot = foot(found.status, found.points, Some(found.residuals), &found.resampled, &found.conclusion);
    format!("{}{foot}", table.text(room))
}

/// The critical batch at each loss, and its laws.
fn critical_batch(fit: &CriticalBatch, room: Room) -> String {
    let mut text = "(S/S_min - 1)(E/E_min - 1) = 1, B_crit = E_min/S_min\n".to_owned();
    if !fit.targets.is_empty() {
        let mut table = Sheet::new([
            ("loss", Worth::Must),
            ("batches", Worth::More(4)),
            ("least steps", Worth::More(2)),
            ("least examples", Worth::More(3)),
            ("critical batch", Worth::Must),
            ("status", Worth::More(1)),
        ]);
        for target in &fit.targets {
            table.add_row([
                format!("{:.4}", target.loss),
                target.batches.to_string(),
                cell(target.min_steps, number),
                cell(target.min_examples, number),
                cell(target.critical_batch, number),
                target.status.name().to_owned(),
            ]);
        }
        text += &table.text(room);
    }
    let show = |estimate| cell(Some(estimate), number);
    if let Some(law) = fit.against_loss {
        let (b_star, alpha_b) = (show(law.b_star), show(law.alpha_b));
        let _ = writeln!(text, "against loss: B_crit = B*/L^(1/alpha_B), B* {b_star}, alpha_B {alpha_b}");
    }
    if let Some(law) = fit.against_examples {
        let (coefficient, exponent) = (show(law.coefficient), show(law.exponent));
        let _ = writeln!(text, "against data: B_crit = c D^p, c {coefficient}, p {exponent}");
    }
    text + &foot(fit.status, fit.points, fit.residuals, &fit.resampled, &fit.conclusion)
}

/// The best share to keep, with the laws at it and without pruning.
fn pruning(fit: &Pruning, room: Room) -> String {
    let mut text = String::new();
    if !fit.envelope.is_empty() {
        let mut table = Sheet::new(["examples kept", "best share to keep", "loss"].map(|name| (name, Worth::Must)));
        for best in fit.envelope.iter().step_by(fit.envelope.len().div_ceil(MOST_ROWS).max(1)) {
            table.add_row([number(best.tokens), number(best.keep), number(best.loss)]);
        }
        text += &table.text(room);
    }
    text += &contrast(&fit.shares, room);
    text += "At the best share. ";
    text += &selection(&fit.pruned, "examples kept", room);
    text += "At the largest share. ";
    text += &selection(&fit.unpruned, "examples kept", room);
    text + &foot(fit.status, fit.points, None, "points of the envelope", &fit.conclusion)
}

/// Four digits, with an exponent where the number is large or small.
fn number(x: f64) -> String {
    let size = x.abs();
    if x == 0.0 {
        "0".to_owned()
    } else if (1e-3..10.0).contains(&size) {
        format!("{x:.4}")
    } else if (10.0..1e4).contains(&size) {
        format!("{x:.1}")
    } else {
        format!("{x:.3e}")
    }
}
