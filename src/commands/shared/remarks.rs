//! Where keys of a spec do not come to what they are meant for: what every command that plans runs says of them.

use crate::execute::Stopping;
use crate::model::NormPlace;
use crate::observation::Counting;
use crate::optimizer::OptimizerKind;
use crate::plan::{Plan, PlannedRun};
use crate::spec::{At, Spec};

/// Says all that is to be said of a plan, a line each.
pub fn say(spec: &Spec, plan: &Plan) {
    let none_stopped = Stopping::of(spec).and_then(|stopping| stopping.hopeless(plan));
    let of_keys = [raised_batches(spec, plan), none_shared(spec, plan), none_stopped, two_rules(spec, plan)];
    of_keys.into_iter().flatten().chain(beside_the_rules(plan)).for_each(|line| tell!("{line}"));
}

/// The key of a run's batch.
const BATCH: &str = "optimizer.batch_tokens";

/// A batch was asked for that is smaller than one sequence, and raised to one.
fn raised_batches(spec: &Spec, plan: &Plan) -> Option<String> {
    let asked = |planned: &PlannedRun| {
        let params = planned.params.by(Counting::BlocksAndUnembedding) as f64;
        match planned.axes.get(BATCH) {
            Some(value) => value.parse::<f64>().ok(),
            None => Some(spec.optimizer.batch_tokens.at(params, planned.tokens as f64)),
        }
    };
    let raised: Vec<(f64, usize)> = plan
        .runs
        .iter()
        .filter_map(|planned| Some((asked(planned)?, planned.run.shape.context)))
        .filter(|(asked, context)| asked.round() < *context as f64)
        .collect();
    let (least, context) = raised.iter().min_by(|a, b| a.0.total_cmp(&b.0))?;
    Some(format!(
        "{} of {} runs ask for a batch of less than one sequence (the smallest has {least:.0} tokens, a sequence \
         {context}): they use one sequence",
        raised.len(),
        plan.runs.len()
    ))
}

/// Runs leave the rules by which the best learning rate stays the same at every size.
pub fn beside_the_rules(plan: &Plan) -> Vec<String> {
    let runs = || plan.runs.iter().map(|planned| &planned.run);
    let after = runs().any(|run| {
        run.parameterization.reads_base_depth()
            && run.shape.depth != run.base_depth
            && run.shape.parts.norm_place == NormPlace::After
    });
    let clipped = runs().any(|run| {
        run.parameterization.reads_base_width()
            && run.shape.width != run.base_width
            && run.optimizer.kind == OptimizerKind::Sgd
            && run.optimizer.clip_norm > 0.0
    });
    let after = after.then_some(
        "warning: CompleteP is worked out for norms before each branch; with norm_place = \"after\" the best learning rate may move \
         with depth",
    );
    let clipped = clipped.then_some(
        "warning: clipping by the norm of all gradients is not the same at every width under SGD's rates of muP: write clip_norm = 0",
    );
    after.into_iter().chain(clipped).map(str::to_owned).collect()
}

/// The rate falls with size by a rule of the spec where muP divides it by width already.
fn two_rules(spec: &Spec, plan: &Plan) -> Option<String> {
    let rule = &spec.optimizer.learning_rate;
    let of_size = matches!(rule.at, At::Params(_)) && rule.exponent.abs() > 0.0;
    let is_axis = |planned: &PlannedRun| planned.axes.contains_key("optimizer.learning_rate");
    let scaled = plan.runs.iter().any(|planned| {
        let run = &planned.run;
        run.parameterization.reads_base_width() && run.shape.width != run.base_width && !is_axis(planned)
    });
    let said = "warning: optimizer.learning_rate is a rule of the number of parameters, and the parameterization scales rates by \
         width as well: with muP and CompleteP one number is meant for all sizes";
    (of_size && scaled).then(|| said.to_owned())
}

/// Shared stable phases were asked for, and the runs have none in common.
fn none_shared(spec: &Spec, plan: &Plan) -> Option<String> {
    let asked = spec.sweep.as_ref().is_some_and(|sweep| sweep.share_trunk);
    let said = "sweep.share_trunk: no two runs share a stable phase, since none of one size, batch and rates differ in length or \
         cooldown alone; several values of schedule.tokens, or of sweep.budgets with sweep.params, give such runs";
    (asked && !plan.shares_trunks()).then(|| said.to_owned())
}
