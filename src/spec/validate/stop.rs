//! `[sweep] stop_early`: the grids of which runs may be stopped before their end.

use std::collections::BTreeMap;

use crate::fit::named::Law;
use crate::goal::StopEarly;
use crate::spec::Spec;
use crate::spec::check::{Checked, absent, require};

const KEY: &str = "sweep.stop_early";

/// The key that makes each run a point of an IsoFLOP curve.
const BUDGET: &str = "schedule.flops";

/// Laws that are fitted to the runs around the best one.
const AROUND: [Law; 3] = [Law::Optimum, Law::Tuning, Law::RateBatch];

/// Checks the numbers, and that of each group of runs only the best is asked for.
pub(in crate::spec) fn check(spec: &Spec) -> Checked {
    let Some(sweep) = &spec.sweep else { return Ok(()) };
    let Some(StopEarly { margin, after }) = sweep.stop_early else { return Ok(()) };
    require((1.0..=100.0).contains(&margin), "sweep.stop_early.margin", || {
        (format!("{margin} is not a multiple of what was measured"), "write a number from 1 to 100, such as 1.5")
    })?;
    require((0.0..1.0).contains(&after), "sweep.stop_early.after", || {
        (format!("{after} is not a share of a run"), "write a number from 0 to below 1, such as 0.2")
    })?;
    absent(KEY, sweep.choose.is_some(), "sweep.choose learns from the final loss of each run that it chooses")?;
    absent(KEY, !sweep.tune.is_empty(), "sweep.tune needs the final losses on both sides of the best setting")?;
    absent(KEY, sweep.share_trunk, "runs that share a stable phase (sweep.share_trunk) differ in their lengths")?;
    let varied = || sweep.axes.keys().chain(sweep.zip.iter().flat_map(BTreeMap::keys)).any(|field| field == BUDGET);
    let isoflop = sweep.budgets.is_some() || spec.schedule.flops.is_some() || varied();
    absent(
        KEY,
        isoflop,
        "runs of a FLOP budget are points of an IsoFLOP curve, whose final losses are all needed; it is for grids of \
         schedule.tokens or schedule.tokens_per_param",
    )?;
    let tuned = spec.fit.as_ref().is_some_and(|fit| !fit.tuned.is_empty());
    require(tuned, KEY, || {
        let remedy = "write the axes of which only the best value counts, such as tuned = [\"optimizer.learning_rate\"] in [fit]";
        ("fit.tuned names nothing, so every run counts and none may be stopped", remedy)
    })?;
    let around = spec.fit.as_ref().and_then(|fit| fit.law).filter(|law| AROUND.contains(law));
    absent(KEY, around.is_some(), "fit.law asks for the losses on both sides of the best value")
}

/// Some group of runs that differ in tuned settings alone has more than one, by the values of the axes at each point.
pub(in crate::spec) fn some_group<'a>(
    spec: &Spec,
    points: impl Iterator<Item = &'a BTreeMap<String, String>>,
) -> Checked {
    let asked = spec.sweep.as_ref().is_some_and(|sweep| sweep.stop_early.is_some());
    let tuned = spec.fit.as_ref().map_or(&[][..], |fit| &fit.tuned);
    let mut groups: BTreeMap<Vec<(&str, &str)>, usize> = BTreeMap::new();
    for axes in points {
        let others = axes.iter().filter(|(field, _)| !tuned.contains(field));
        *groups.entry(others.map(|(field, value)| (field.as_str(), value.as_str())).collect()).or_default() += 1;
    }
    require(!asked || groups.values().any(|count| *count > 1), KEY, || {
        let problem = format!("no two runs differ in {} alone, so each is the best of its group", tuned.join(" and "));
        (problem, "write several values in sweep.axes, or delete it")
    })
}
