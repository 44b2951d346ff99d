//! The fitted surface that `runner allocate` and `runner predict` work on.

use anyhow::{Context, bail, ensure};
use serde_json::Value;

use crate::cli::SurfaceArgs;
use crate::fit::cost::Priced;
use crate::fit::summary::Summary;
use crate::fit::surface::Surface;
use crate::fit::{Estimate, Status};

/// A surface with the resamples that give intervals.
pub struct Fitted {
    /// Where it comes from, for the first line that is printed.
    pub summary: Summary,
    /// The fit itself, and what training costs on it.
    pub priced: Priced,
}

impl Fitted {
    /// A quantity of the surface with its 95% interval.
    pub fn estimate(&self, of: impl Fn(&Priced) -> f64) -> Estimate {
        let drawn = |surface: &Surface| of(&Priced { surface: *surface, ..self.priced });
        Estimate::from_draws(of(&self.priced), self.summary.draws.iter().map(drawn))
    }
}

/// Reads what `runner fit --json` printed, objects one after another or lists of them, or the `fits.json` of a sweep,
/// which keeps no resamples. Objects that are no fits of `runner` are passed over.
pub fn read(args: &SurfaceArgs) -> anyhow::Result<Fitted> {
    let path = args.fit.display();
    let text = std::fs::read_to_string(&args.fit).with_context(|| format!("{path}: cannot be read"))?;
    let mut found = Vec::new();
    for value in serde_json::Deserializer::from_str(&text).into_iter::<Value>() {
        let value = value.with_context(|| format!("{path}: is not what `runner fit --json` prints"))?;
        let values = match value {
            Value::Array(values) => values,
            Value::Object(mut sweep) => match sweep.remove("approaches") {
                Some(Value::Array(values)) => values,
                _ => vec![Value::Object(sweep)],
            },
            value => vec![value],
        };
        found.extend(values.into_iter().filter_map(|value| serde_json::from_value::<Summary>(value).ok()));
    }
    ensure!(!found.is_empty(), "{path}: has no fit in it; write one with `runner fit RUNS.csv --json`");
    let asked = |fit: &Summary| args.approach.as_ref().is_none_or(|approach| *approach == fit.approach);
    let mut surfaces: Vec<Summary> = found.into_iter().filter(|fit| asked(fit) && fit.surface().is_some()).collect();
    surfaces.sort_by_key(|fit| fit.status != Status::Converged);
    let Some(summary) = surfaces.into_iter().next() else {
        bail!("{path}: has no fitted surface of that kind; write one with `runner fit RUNS.csv --approach 3 --json`");
    };
    let priced = summary.priced().context("a surface without constants")?;
    let surface = priced.surface;
    ensure!(surface.is_proper(), "{path}: {surface:?} is no surface: all of A, B, alpha, beta must be above zero");
    if summary.status != Status::Converged {
        eprintln!("warning: the status of this fit is '{}': {}", summary.status.name(), summary.conclusion);
    }
    Ok(Fitted { summary, priced })
}

/// A value with its interval, or alone where the file has no resamples.
pub fn show(estimate: Estimate, print: impl Fn(f64) -> String) -> String {
    if estimate.low.is_nan() {
        return print(estimate.value);
    }
    format!("{} ({} to {})", print(estimate.value), print(estimate.low), print(estimate.high))
}
