//! From a spec to its plan, corpora prepared on the way: what several commands begin with.

use std::path::Path;

use anyhow::Context;

use super::program;
use crate::data::Corpus;
use crate::observation::Counting;
use crate::plan::{self, CorpusFacts, LeftOut, Plan, PlanError, PlannedRun};
use crate::spec::{self, Data, Point, Spec};
use crate::units::Flops;

/// Plans every run of a spec. Corpora that are not in the cache are prepared, each distinct one once.
pub fn plan_of(spec: &Spec, cache: &Path) -> anyhow::Result<Plan> {
    Ok(Corpora::of(spec, cache)?.plan(spec)?)
}

/// What planning must know of every corpus of a spec.
pub struct Corpora {
    known: Vec<(Data, usize, CorpusFacts)>,
}

impl Corpora {
    /// Prepares the corpora that are not in the cache.
    pub fn of(spec: &Spec, cache: &Path) -> anyhow::Result<Self> {
        let mut known: Vec<(Data, usize, CorpusFacts)> = Vec::new();
        let inputs = program::inputs(spec)?;
        for point in spec.points()? {
            let (data, context) = (&point.spec.data, point.spec.model.context);
            if !known.iter().any(|(d, c, _)| d == data && *c == context) {
                let facts = CorpusFacts { inputs: inputs.clone(), ..corpus_facts(data, context, cache)? };
                known.push((data.clone(), context, facts));
            }
        }
        Ok(Self { known })
    }

    /// Plans a spec on the same corpora: one that differs at most in its grid.
    pub fn plan(&self, spec: &Spec) -> Result<Plan, PlanError> {
        let facts = |point: &Point| {
            let (data, context) = (&point.spec.data, point.spec.model.context);
            let known = self.known.iter().find(|(d, c, _)| d == data && *c == context);
            known.expect("the corpus of every point was prepared").2.clone()
        };
        let points = spec.points().expect("the spec was checked");
        let points: Vec<(Point, CorpusFacts)> =
            points.into_iter().map(|point| (point.clone(), facts(&point))).collect();
        plan::expand(&points)
    }
}

/// The spec of one run, with values set on the command line.
pub fn config(path: &Path, set: &[String]) -> anyhow::Result<Spec> {
    let spec = spec::load_with(path, set)?;
    if spec.sweep.is_some() {
        anyhow::bail!(
            "{} has a [sweep] table, so it describes several runs; train them with `runner sweep`",
            path.display()
        );
    }
    Ok(spec)
}

/// The spec of one run, and the run.
#[cfg(feature = "train")]
pub fn single(path: &Path, cache: &Path) -> anyhow::Result<(Spec, PlannedRun)> {
    let spec = config(path, &[])?;
    let plan = plan_of(&spec, cache)?;
    require_runs(&plan)?;
    let run = plan.runs.into_iter().next().context("a config plans one run")?;
    Ok((spec, run))
}

/// Fails, with the first reason, for a plan without a single run.
pub fn require_runs(plan: &Plan) -> anyhow::Result<()> {
    match plan.left_out.as_slice() {
        [only] if plan.runs.is_empty() => anyhow::bail!("the run cannot be trained: {}", only.reason),
        [first, ..] if plan.runs.is_empty() => {
            anyhow::bail!("none of {} runs can be trained; reason for the first: {}", plan.left_out.len(), first.reason)
        }
        _ => Ok(()),
    }
}

/// What is said where a batch was asked for that is smaller than one sequence, and raised to one.
pub fn raised_batches(spec: &Spec, plan: &Plan) -> Option<String> {
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

/// The key of a run's batch.
const BATCH: &str = "optimizer.batch_tokens";

/// Which point was left out.
pub fn describe(left_out: &LeftOut) -> String {
    let budget = left_out.flop_budget.map_or_else(String::new, |budget| format!("{} FLOPs, ", Flops(budget)));
    format!("{budget}width {}, depth {}", left_out.shape.width, left_out.shape.depth)
}

/// What planning must know of a corpus.
fn corpus_facts(data: &Data, context: usize, cache: &Path) -> anyhow::Result<CorpusFacts> {
    let mut say = |line: &str| eprintln!("{line}");
    let corpus = Corpus::prepare(data, context, cache, &mut say).context("the corpus of [data]")?;
    Ok(corpus.facts())
}
