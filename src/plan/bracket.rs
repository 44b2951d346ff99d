//! A grid of which points were left out, changed so that each curve has its sizes again, on both sides of the expected
//! optimum: sizes that are nearer to each other, and without the budgets for which no such sizes are there.
//!
//! A small model of a budget takes the most tokens, so that a short text takes the small end of every curve away, and with it
//! the minimum that a parabola needs. A narrower spread of sizes needs fewer tokens and keeps both sides.

use super::trim::{Trimmed, USUAL_TOKENS_PER_PARAM, is_bracketed};
use super::{Plan, PlanError};
use crate::spec::Spec;
use crate::units::{Flops, Ratio};

/// Steps from the spread of the spec to the narrowest one, below which a parabola hardly bends over its sizes.
const STEPS: u32 = 12;
const NARROWEST: f64 = 1.8;
/// Share of the sizes of a curve that must be there.
const KEPT: f64 = 0.8;

/// The widest grid of the most curves; nothing where no point was left out, no sizes are spread, or none would be better.
pub fn bracket(
    spec: &Spec,
    plan: &Plan,
    expand: &dyn Fn(&Spec) -> Result<Plan, PlanError>,
) -> Result<Option<Trimmed>, PlanError> {
    let Some(sweep) = spec.sweep.as_ref().filter(|_| !plan.left_out.is_empty()) else { return Ok(None) };
    let (Some(budgets), Some(sizes), Some(spread)) = (&sweep.budgets, sweep.sizes, sweep.spread) else {
        return Ok(None);
    };
    let expected = sweep.expected_tokens_per_param.unwrap_or(USUAL_TOKENS_PER_PARAM);
    let whole = |plan: &Plan| -> Vec<f64> {
        let enough = |budget: f64| count_sizes(plan, budget) as f64 >= KEPT * sizes as f64;
        budgets.iter().copied().filter(|budget| enough(*budget) && is_bracketed(plan, *budget, expected)).collect()
    };
    let (mut best, mut last) = (None::<(Vec<f64>, f64)>, None);
    for step in 0..=STEPS {
        let narrower = spread * (NARROWEST / spread).min(1.0).powf(f64::from(step) / f64::from(STEPS));
        // Two digits, so that what is printed is what is planned.
        let narrower = (narrower * 100.0).round() / 100.0;
        if last.replace(narrower) == Some(narrower) {
            continue;
        }
        let kept = whole(&expand(&changed(spec, narrower, budgets))?);
        if !kept.is_empty() && best.as_ref().is_none_or(|(most, _)| kept.len() > most.len()) {
            let all = kept.len() == budgets.len();
            best = Some((kept, narrower));
            if all {
                break;
            }
        }
    }
    let Some((kept, narrower)) = best else { return Ok(None) };
    let smaller = changed(spec, narrower, &kept);
    let plan = expand(&smaller)?;
    let (mut said, mut set) = (Vec::new(), Vec::new());
    if narrower < spread {
        said.push(format!(
            "sizes within a factor of {} of the expected optimum, not {}",
            Ratio(narrower),
            Ratio(spread)
        ));
        set.push(format!("sweep.spread={narrower:?}"));
    }
    if kept.len() < budgets.len() {
        let list =
            |budgets: &[f64]| budgets.iter().map(|budget| Flops(*budget).to_string()).collect::<Vec<_>>().join(", ");
        said.push(format!("budgets: {} of {}, {}", kept.len(), budgets.len(), list(&kept)));
        let exact: Vec<String> = kept.iter().map(|budget| format!("{budget:e}")).collect();
        set.push(format!("sweep.budgets=[{}]", exact.join(",")));
    }
    Ok((!set.is_empty()).then_some(Trimmed { spec: smaller, plan, said, set }))
}

fn changed(spec: &Spec, spread: f64, budgets: &[f64]) -> Spec {
    let mut spec = spec.clone();
    if let Some(sweep) = &mut spec.sweep {
        sweep.spread = Some(spread);
        sweep.budgets = Some(budgets.to_vec());
    }
    spec
}

/// Sizes of a curve.
fn count_sizes(plan: &Plan, budget: f64) -> usize {
    let runs = plan.runs.iter().filter(|run| run.run.flop_budget == Some(budget));
    runs.map(|run| run.params.total()).collect::<std::collections::BTreeSet<_>>().len()
}
