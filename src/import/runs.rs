//! Imported runs as a plan, and a spec that describes them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::ImportError;
use crate::columns;
use crate::fit::table::budgets::same_budget;
use crate::ledger::{CurvePoint, RunResult};
use crate::observation::Observation;
use crate::plan::{self, CorpusFacts, FlopsPerToken, ParamCounts, Plan, PlannedRun, Program};
use crate::spec::{self, OwnSize, Spec};
use crate::trainer::{DeviceInfo, Outcome, Told};

/// Tokens below which no run is imported: a unit was left out.
const FEWEST_TOKENS: f64 = 50.0;
/// Sizes that make runs of similar FLOPs a curve.
const SIZES: usize = 4;

/// A run that was trained elsewhere.
#[derive(Clone, Debug)]
pub struct Imported {
    /// What it is called.
    pub name: String,
    /// The row of its table.
    pub row: u64,
    /// What was measured.
    pub observation: Observation,
    /// Every other column of its row.
    pub told: BTreeMap<String, Told>,
    /// Step, tokens and training loss along it.
    pub curve: Vec<(Option<f64>, Option<f64>, f64)>,
}

/// A sweep of imported runs.
#[derive(Debug)]
pub struct Sweep {
    /// Its spec, as text and read.
    pub text: String,
    /// The same.
    pub spec: Spec,
    /// Its runs.
    pub plan: Plan,
    /// A result for each.
    pub results: Vec<RunResult>,
}

/// Makes a sweep of runs that came from `source`, for a folder that has curves of these budgets.
pub fn sweep(name: &str, source: &str, mut runs: Vec<Imported>, budgets: &[f64]) -> Result<Sweep, ImportError> {
    share_budgets(&mut runs, budgets);
    runs.iter().try_for_each(check)?;
    let text = spec_text(name, source, &runs);
    let spec = spec::parse(&text, name).map_err(|error| ImportError::Spec(error.to_string()))?;
    let template = template(&spec)?;
    let (mut planned, mut results, mut taken) = (Vec::new(), Vec::new(), BTreeSet::new());
    for run in &runs {
        let one = plan_one(&template, run);
        if !taken.insert(one.id.clone()) {
            return Err(ImportError::Twice(run.name.clone()));
        }
        results.push(result(&one, run, source));
        planned.push(one);
    }
    Ok(Sweep { text, spec, plan: Plan { runs: planned, left_out: Vec::new() }, results })
}

fn check(run: &Imported) -> Result<(), ImportError> {
    let Observation { params, tokens, flops, .. } = run.observation;
    let wrong = |what: String| ImportError::Impossible { row: run.row, name: run.name.clone(), what };
    if tokens < FEWEST_TOKENS {
        return Err(wrong(format!("only {tokens} training tokens")));
    }
    if params < 1.0 || flops < params {
        return Err(wrong(format!("{params} parameters and {flops} FLOPs")));
    }
    Ok(())
}

/// Gives runs the budget that they share, where the table tells none and their FLOPs do.
fn share_budgets(runs: &mut [Imported], known: &[f64]) {
    if runs.iter().any(|run| run.observation.flop_budget.is_some()) {
        return;
    }
    runs.sort_by(|a, b| a.observation.budget().total_cmp(&b.observation.budget()));
    let mut from = 0;
    while from < runs.len() {
        let least = runs[from].observation.budget();
        let to = from + runs[from..].iter().take_while(|run| same_budget(least, run.observation.budget())).count();
        let sizes: BTreeSet<u64> = runs[from..to].iter().map(|run| run.observation.params.to_bits()).collect();
        if sizes.len() >= SIZES {
            let logs: f64 = runs[from..to].iter().map(|run| run.observation.budget().ln()).sum();
            let mean = (logs / (to - from) as f64).exp();
            // Three digits, as people write budgets; all runs are within 1% of it.
            let rounded = || format!("{mean:.2e}").parse().ok();
            let budget =
                known.iter().copied().find(|budget| same_budget(budget.min(mean), budget.max(mean))).or_else(rounded);
            runs[from..to].iter_mut().for_each(|run| run.observation.flop_budget = budget);
        }
        from = to;
    }
}

fn size(run: &Imported) -> OwnSize {
    let Observation { params, params_non_embedding, params_blocks_and_unembedding, tokens, flops, .. } =
        run.observation;
    OwnSize {
        name: run.name.clone(),
        params,
        params_non_embedding,
        params_blocks_and_unembedding,
        flops_per_token: flops / tokens,
    }
}

/// The spec: the models that were trained, one of each size.
fn spec_text(name: &str, source: &str, runs: &[Imported]) -> String {
    let quoted = |text: &str| toml::Value::from(text).to_string();
    let source: String = source.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let mut text = format!(
        "# Runs of {source}, which were trained elsewhere: `runner import` wrote this spec, and it trains nothing.\n\
         name = {}\n\n[model]\ncontext = 1\n\n[optimizer]\nbatch_tokens = 1\n\n[train]\ncommand = [\"false\", \"{{config}}\"]\n\n",
        quoted(name)
    );
    let budgets: BTreeSet<u64> = runs.iter().filter_map(|run| Some(run.observation.flop_budget?.to_bits())).collect();
    let longest = runs.iter().map(|run| run.observation.tokens).fold(FEWEST_TOKENS, f64::max);
    let budgets: Vec<String> = budgets.into_iter().map(|bits| format!("{:e}", f64::from_bits(bits))).collect();
    if budgets.is_empty() {
        let _ = writeln!(text, "[schedule]\ntokens = {longest:e}\n");
    }
    text.push_str("[sweep]\nmin_steps = 50\nseeds = [1]\n");
    if !budgets.is_empty() {
        let _ = writeln!(text, "budgets = [{}]", budgets.join(", "));
    }
    let mut sizes = BTreeSet::new();
    for run in runs.iter().filter(|run| sizes.insert(run.observation.params.to_bits())) {
        let OwnSize { name, params, params_non_embedding, params_blocks_and_unembedding, flops_per_token } = size(run);
        let _ = writeln!(text, "\n[[sweep.models]]\nname = {}\nconfig = {{ name = {} }}", quoted(&name), quoted(&name));
        let counts = [Some(params), params_non_embedding, params_blocks_and_unembedding, Some(flops_per_token)];
        let keys = ["params", "params_non_embedding", "params_blocks_and_unembedding", "flops_per_token"];
        for (key, count) in keys.into_iter().zip(counts) {
            let _ = count.map(|count| writeln!(text, "{key} = {count:e}"));
        }
    }
    text
}

/// Any run of the spec: what all imported runs have in common.
fn template(spec: &Spec) -> Result<PlannedRun, ImportError> {
    let wrong = |what: String| ImportError::Spec(what);
    let mut one = spec.clone();
    if let Some(sweep) = &mut one.sweep {
        sweep.budgets = None;
        sweep.models.truncate(1);
    }
    one.schedule.tokens = Some(1000.0);
    let facts = CorpusFacts {
        vocab: 0,
        train_tokens: None,
        validation_tokens: None,
        fingerprint: plan::UNSEEN_CORPUS.to_owned(),
        inputs: Some(String::new()),
    };
    let points = one.points().map_err(|error| wrong(error.to_string()))?;
    let points: Vec<_> = points.into_iter().map(|point| (point, facts.clone())).collect();
    let plan = plan::expand(&points).map_err(|error| wrong(error.to_string()))?;
    let reason = || plan.left_out.first().map_or_else(String::new, |left_out| left_out.reason.clone());
    plan.runs.first().cloned().ok_or_else(|| wrong(reason()))
}

fn plan_one(template: &PlannedRun, imported: &Imported) -> PlannedRun {
    let Observation { tokens, flops, flop_budget, seed, .. } = imported.observation;
    let size = size(imported);
    let mut run = template.run.clone();
    run.schedule.steps = tokens.round() as usize;
    (run.seed, run.flop_budget) = (seed.unwrap_or(1), flop_budget);
    run.program = run.program.map(|program| Program {
        config: BTreeMap::from([("name".to_owned(), imported.name.as_str().into())]),
        size: Some(size.clone()),
        ..program
    });
    PlannedRun {
        id: run.id(),
        axes: BTreeMap::new(),
        params: ParamCounts::told(&size),
        flops_per_token: FlopsPerToken::told(&size),
        tokens: run.tokens(),
        flops,
        epochs: None,
        trunk: None,
        run,
    }
}

fn result(planned: &PlannedRun, run: &Imported, source: &str) -> RunResult {
    let Observation { loss, loss_se, tokens, .. } = run.observation;
    let last_step = run.curve.iter().filter_map(|(step, ..)| *step).fold(0.0, f64::max);
    let point = |&(step, seen, loss): &(Option<f64>, Option<f64>, f64)| {
        let seen = seen.or_else(|| Some(tokens * step? / last_step)).filter(|seen| seen.is_finite())?;
        let step = step.unwrap_or(seen) as usize;
        let train_loss = Some(loss).filter(|loss| loss.is_finite());
        Some(CurvePoint { step, tokens: seen as u64, train_loss, learning_rate: None })
    };
    let curve: Vec<CurvePoint> = run.curve.iter().filter_map(point).collect();
    // A step that is told again, after a restart from a checkpoint, is what it was told last.
    let last: BTreeMap<usize, CurvePoint> = curve.into_iter().map(|point| (point.step, point)).collect();
    let curve: Vec<CurvePoint> = last.into_values().collect();
    RunResult {
        id: planned.id.clone(),
        attempt: 1,
        outcome: Outcome::Finished {
            val_loss: loss,
            val_loss_se: loss_se.unwrap_or(0.0),
            train_loss: curve.iter().rev().find_map(|point| point.train_loss),
            tokens_per_second: 0.0,
            seconds: 0.0,
            evaluations: Vec::new(),
            shared_steps: 0,
            told: run.told.clone(),
        },
        device: DeviceInfo {
            kind: columns::IMPORTED.to_owned(),
            name: source.to_owned(),
            driver: "elsewhere".to_owned(),
            threads: 1,
            precision: "its own".to_owned(),
        },
        slot: None,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        build: None,
        micro_batches: 1,
        curve,
    }
}
