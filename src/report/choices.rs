//! The figure of a sweep that chose its runs: how well its goal was known after each of them.

use super::figure::{Axis, Color, Figure, Mark, Point, Series, Shape, Table, Unit, cell, cells, interval};
use super::words;
use crate::fit::Estimate;
use crate::goal::Goal;
use crate::units::{Flops, Ratio};

/// A run that was chosen, or the end of choosing.
#[derive(Clone, Debug, PartialEq)]
pub struct ChoiceStep {
    /// The run; none at the end.
    pub run: Option<String>,
    /// Why this run, or why no more.
    pub reason: String,
    /// FLOPs of all runs that had been chosen before.
    pub flops: f64,
    /// What was known of the goal.
    pub known: Option<Estimate>,
    /// Share of the goal's variance that the run was expected to take away.
    pub gain: Option<f64>,
}

/// What is known of the goal after the last choice, in a sentence; nothing before there is anything.
pub fn sentence(goal: Goal, steps: &[ChoiceStep]) -> Option<String> {
    let last = steps.last()?;
    let number = words::estimate(last.known?, |value| Ratio(value).to_string());
    let end = if last.run.is_none() { format!("; no more runs are chosen: {}", last.reason) } else { String::new() };
    Some(format!("{goal} is {number}, with the 95% interval in brackets{end}."))
}

/// The goal with its interval against the FLOPs spent.
pub fn choices(goal: Goal, steps: &[ChoiceStep]) -> Figure {
    let known = || steps.iter().filter_map(|step| Some((step, step.known?)));
    let unit = if matches!(goal, Goal::TokensPerParam(_)) { Unit::Count } else { Unit::Loss };
    let point = |(step, estimate): (&ChoiceStep, Estimate)| {
        let what = step.run.as_ref().map_or_else(|| "end".to_owned(), |run| format!("run {run}"));
        let known = words::estimate(estimate, |value| unit.print(value));
        let title = format!("{} FLOPs: {known}; {what}: {}", Flops(step.flops), step.reason);
        Point { x: step.flops, y: estimate.value, x_interval: None, y_interval: interval(estimate), title }
    };
    // Before the first losses decide, the interval is as wide as one cares to draw.
    let last = known().next_back().map_or(f64::INFINITY, |(_, last)| goal.width(last.low, last.high).abs());
    let drawable = |estimate: &Estimate| match goal {
        Goal::TokensPerParam(_) => goal.width(estimate.low, estimate.high) < 30.0 * last,
        _ => goal.width(estimate.low, estimate.high) < 60.0 * last,
    };
    let marks = vec![
        Mark::Line { points: known().map(|(step, known)| [step.flops, known.value]).collect(), dashed: false },
        Mark::Estimates(known().filter(|(_, known)| drawable(known)).map(point).collect()),
    ];
    let row = |step: &ChoiceStep| {
        let mut row = vec![step.run.clone().unwrap_or_default(), cell(step.flops)];
        row.extend(cells(step.known));
        row.extend([cell(step.gain), step.reason.clone()]);
        row
    };
    Figure {
        id: "choices".to_owned(),
        title: format!("What was known of {goal} after each chosen run"),
        note: "Each point is the goal with its 95% interval by the runs that had finished when the next one was chosen. The \
               reasons are in the table."
            .to_owned(),
        x: Axis::new("training compute of all runs chosen before (FLOPs)", Unit::Flops),
        y: Axis::new(goal.to_string(), unit),
        series: vec![Series::new(goal.to_string(), Color::Params, Shape::Circle, marks)],
        panels: Vec::new(),
        table: Table {
            header: &["run", "flops_before", "goal", "goal_low", "goal_high", "gain", "reason"],
            rows: steps.iter().map(row).collect(),
        },
    }
}
