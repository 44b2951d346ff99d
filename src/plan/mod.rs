//! From a spec to the grid of runs: shapes, counts, FLOPs, steps, identity. Pure: no files, no training.

mod bracket;
mod candidate;
mod estimate;
mod flops;
mod grid;
mod ladder;
mod params;
mod resolve;
mod run;
mod table;
#[cfg(test)]
pub(crate) mod testing;
mod trim;
mod trunk;

use std::collections::BTreeSet;

use thiserror::Error;

use crate::spec::{Point, ScheduleKind, Spec};

pub use crate::model::Shape;
pub use bracket::bracket;
pub use estimate::{Estimate, Machine};
pub use flops::FlopsPerToken;
pub use params::ParamCounts;
pub use run::{
    CorpusFacts, LeftOut, NORM_EPSILON, Plan, PlannedRun, Program, ROTARY_BASE, Run, RunId, RunSchedule, Trunk,
    UNSEEN_CORPUS,
};
pub use table::{FurtherColumns, optional, write_csv};
pub use trim::{Costs, TrimError, Trimmed, trim};

/// Why a spec has no plan at all.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum PlanError {
    /// All runs are measured on the same tokens, so these must exist.
    #[error(
        "eval.tokens = {wanted}, but the corpus holds out {available} validation tokens; write eval.tokens of at most \
         {available}, or a larger data.validation_fraction"
    )]
    Validation {
        /// Validation tokens asked for.
        wanted: u64,
        /// Validation tokens of the corpus.
        available: u64,
    },
    /// Runs of different lengths share no stable phase if the warm-up depends on the length.
    #[error(
        "sweep.share_trunk: the warm-up of {wanted} steps is cut to {cut} in a run of {steps} steps, so that it depends on the \
         length; write a shorter warm-up{}",
        least.map_or(" or longer runs".to_owned(), |least| {
            format!(", longer runs, or schedule.warmup_max_fraction of at least {least}")
        })
    )]
    Warmup {
        /// Steps of warm-up that the schedule asks for.
        wanted: usize,
        /// Steps that the run has.
        cut: usize,
        /// Steps of the run.
        steps: usize,
        /// The share at which it would not be cut, where there is one.
        least: Option<f64>,
    },
    /// A model of a program is not counted at one point of the axes.
    #[error("{0}")]
    Uncounted(String),
}

/// Multiplies points, budgets, sizes and seeds out to runs. Each point comes with the facts of its corpus.
pub fn expand(points: &[(Point, CorpusFacts)]) -> Result<Plan, PlanError> {
    let mut plan = Plan { runs: Vec::new(), left_out: Vec::new() };
    let mut taken = BTreeSet::new();
    for (point, facts) in points {
        let spec = &point.spec;
        if let Some(available) = facts.validation_tokens.filter(|available| *available < spec.eval.tokens) {
            return Err(PlanError::Validation { wanted: spec.eval.tokens, available });
        }
        let (cells, without_shape) = grid::cells(spec, facts).map_err(PlanError::Uncounted)?;
        plan.left_out.extend(without_shape);
        // A single run has no list of seeds: the seed of its data is also the seed of its weights.
        let seeds = spec.sweep.as_ref().map_or_else(|| vec![spec.data.seed], |sweep| sweep.seeds.clone());
        let one_seed_from = spec.sweep.as_ref().and_then(|sweep| sweep.one_seed_from).unwrap_or(f64::INFINITY);
        for (model, length) in cells {
            let one = length.budget().is_some_and(|budget| budget >= one_seed_from);
            for seed in seeds.iter().take(if one { 1 } else { seeds.len() }) {
                let leave_out = |reason| LeftOut { reason, ..grid::left_out(&model, length) };
                match resolve::run(spec, facts, &model, length, *seed) {
                    Ok(run) => {
                        if spec.sweep.as_ref().is_some_and(|sweep| sweep.share_trunk) {
                            whole_warmup(spec, &run)?;
                        }
                        let planned = planned(run, point, facts);
                        if taken.insert(planned.id.clone()) {
                            plan.runs.push(planned);
                        } else {
                            let reason = format!("the same run as {}, which another point of the axes has", planned.id);
                            plan.left_out.push(leave_out(reason));
                        }
                    }
                    // What is infeasible does not depend on the seed: told once.
                    Err(reason) if *seed == seeds[0] => plan.left_out.push(leave_out(reason)),
                    Err(_) => {}
                }
            }
        }
    }
    if points.iter().any(|(point, _)| point.spec.sweep.as_ref().is_some_and(|sweep| sweep.share_trunk)) {
        trunk::share(&mut plan.runs);
    }
    Ok(plan)
}

/// Refuses a warm-up that is cut short by the length of a run whose stable phase is to be shared.
fn whole_warmup(spec: &Spec, run: &Run) -> Result<(), PlanError> {
    let RunSchedule { kind, steps, warmup_steps: cut, .. } = run.schedule;
    let wanted = resolve::warmup(&spec.schedule, ladder::size(&run.shape), run.tokens_per_step() as f64) as usize;
    if kind != ScheduleKind::Wsd || cut >= wanted {
        return Ok(());
    }
    let least = (wanted as f64 / steps as f64 * 1000.0).ceil() / 1000.0;
    Err(PlanError::Warmup { wanted, cut, steps, least: (least <= 1.0).then_some(least) })
}

/// A run with everything counted for it.
fn planned(run: Run, point: &Point, facts: &CorpusFacts) -> PlannedRun {
    let own = run.own_size();
    let flops_per_token = own.map_or_else(|| FlopsPerToken::of(&run.shape), FlopsPerToken::told);
    let tokens = run.tokens();
    PlannedRun {
        id: run.id(),
        axes: point.axes.clone(),
        params: candidate::params(&run.shape, own),
        flops_per_token,
        tokens,
        flops: tokens as f64 * flops_per_token.exact,
        trunk: None,
        epochs: facts.train_tokens.map(|epoch| tokens as f64 / epoch as f64),
        run,
    }
}
