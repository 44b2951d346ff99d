//! `[fit]`: what the sweep asks.

use crate::fit::named::Law;
use crate::spec::Spec;
use crate::spec::check::{Checked, absent, list, present, require};

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
    if let Some(by) = fit.by.as_deref() {
        require(axes.contains(&by) || COLUMNS.contains(&by), "fit.by", || {
            (format!("{by:?} is not an axis of this sweep"), listed())
        })?;
    }
    for field in &fit.tuned {
        require(axes.contains(&field.as_str()) && Some(field) != fit.by.as_ref(), "fit.tuned", || {
            (format!("{field:?} is not an axis of this sweep that runs can be tuned over"), listed())
        })?;
    }
    if fit.law == Law::Contrast {
        present("fit.by", fit.by.is_some(), "write the axis whose values are compared, such as \"model.depth\"")?;
    }
    if fit.law == Law::Optimum {
        present("fit.by", fit.by.is_some(), "write the axis with which the best value moves, such as \"model.depth\"")?;
        require(fit.tuned.len() == 1, "fit.tuned", || {
            (format!("{} settings", fit.tuned.len()), "write the one whose best value is asked for")
        })?;
    }
    require(fit.law != Law::GradientNoise, "fit.law", || {
        (
            "no run records the norms of its gradients",
            "fit it to a table of yours: runner fit TABLE --law gradient-noise",
        )
    })?;
    let recorded = !fit.law.is_formula() || matches!(fit.law, Law::Farseer | Law::Efficiencies | Law::RateBatch);
    require(recorded, "fit.law", || {
        let what = "the runs of a sweep lack the columns of this law";
        (what, "fit it to a table of yours: runner fit TABLE --law NAME")
    })?;
    if fit.law == Law::Efficiencies {
        present(
            "fit.by",
            fit.by.is_some(),
            "write the axis whose values have efficiencies, such as \"optimizer.kind\"",
        )?;
    }
    if !fit.target_loss.is_empty() {
        absent("fit.target_loss", fit.law != Law::CriticalBatch, "only the law \"critical-batch\" has targets")?;
        list("fit.target_loss", &fit.target_loss, 1e3, "loss", "write losses above 0, such as [3.5, 3.2]")?;
    }
    Ok(())
}
