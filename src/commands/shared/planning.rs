//! From a spec to its plan, corpora prepared on the way: what several commands begin with.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use anyhow::Context;
use serde::Serialize;

use super::program;
use crate::data::{self, Corpus};
use crate::fit::approaches::least::{CURVE_SIZES, LAW_BUDGETS, SURFACE};
use crate::observation::Counting;
use crate::plan::{self, CorpusFacts, LeftOut, Plan, PlanError, UNSEEN_CORPUS};
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
        let points = spec.points()?;
        for point in &points {
            data::check_scores(&point.spec.data).context("the corpus of [data]")?;
        }
        Self::each(spec, points, |spec| Ok(prepared(spec, cache)?.facts()))
    }

    /// Reads no text: the vocabulary is the one that the spec writes, and no text is too short.
    pub fn unseen(spec: &Spec) -> anyhow::Result<Self> {
        Self::each(spec, spec.points()?, |spec| {
            let vocab = spec.data.vocab.context(
                "the spec has no data.vocab, so the size of the vocabulary is known from the corpus or its tokenizer alone: \
                 add --set data.vocab=N, and --set data.tokenizer= where it names one",
            )?;
            Ok(CorpusFacts {
                vocab: vocab as usize,
                train_tokens: spec.data.train_tokens.map(|tokens| tokens as u64),
                validation_tokens: None,
                fingerprint: UNSEEN_CORPUS.to_owned(),
                inputs: None,
            })
        })
    }

    /// Finds out about every distinct corpus of the points of a spec once.
    fn each(
        spec: &Spec,
        points: Vec<Point>,
        find: impl Fn(&Spec) -> anyhow::Result<CorpusFacts>,
    ) -> anyhow::Result<Self> {
        let mut known: Vec<(Data, usize, CorpusFacts)> = Vec::new();
        let inputs = program::inputs(spec)?;
        for point in points {
            let (data, context) = (&point.spec.data, point.spec.model.context);
            if !known.iter().any(|(d, c, _)| d == data && *c == context) {
                let facts = CorpusFacts { inputs: inputs.clone(), ..find(&point.spec)? };
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
pub fn single(path: &Path, cache: &Path) -> anyhow::Result<(Spec, plan::PlannedRun)> {
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

/// What a sweep of budgets can be fitted by, as far as its points alone decide.
#[derive(Serialize)]
pub struct Fittable {
    /// Each budget, with how many sizes it keeps.
    budgets: Vec<(f64, usize)>,
    /// Budgets with the sizes that a parabola needs.
    curves: usize,
    /// Whether parabolas give power laws.
    parabolas: bool,
    /// Whether a surface may be fitted: approach 3 and VPNLS.
    surfaces: bool,
}

impl Fittable {
    /// Nothing where the sweep has no budgets.
    pub fn of(plan: &Plan) -> Option<Self> {
        let mut sizes: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
        for run in &plan.runs {
            let budget = run.run.flop_budget?;
            sizes.entry(budget.to_bits()).or_default().insert(run.params.by(Counting::All));
        }
        let points: BTreeSet<(u64, u64)> =
            plan.runs.iter().map(|run| (run.params.by(Counting::All), run.tokens)).collect();
        let lengths: BTreeSet<u64> = points.iter().map(|(_, tokens)| *tokens).collect();
        let all: BTreeSet<u64> = points.iter().map(|(params, _)| *params).collect();
        let curves = sizes.values().filter(|sizes| sizes.len() >= CURVE_SIZES).count();
        let counts = [plan.runs.len(), all.len(), lengths.len()];
        Some(Self {
            budgets: sizes.iter().map(|(budget, sizes)| (f64::from_bits(*budget), sizes.len())).collect(),
            curves,
            parabolas: curves >= LAW_BUDGETS,
            surfaces: counts.iter().zip(SURFACE).all(|(count, least)| *count >= least),
        })
    }

    /// The budgets that keep the sizes that a parabola needs.
    pub fn curves(&self) -> Vec<f64> {
        self.budgets.iter().filter(|(_, sizes)| *sizes >= CURVE_SIZES).map(|(budget, _)| *budget).collect()
    }

    /// Whether parabolas give power laws.
    pub fn has_parabolas(&self) -> bool {
        self.parabolas
    }

    /// Whether points were left out and nothing can be fitted to the rest: not even the optimum of one budget.
    pub fn is_hopeless(&self, plan: &Plan) -> bool {
        !plan.left_out.is_empty() && self.curves == 0 && !self.surfaces
    }
}

impl fmt::Display for Fittable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sizes: Vec<String> =
            self.budgets.iter().map(|(budget, sizes)| format!("{sizes} at {}", Flops(*budget))).collect();
        let can = |can: bool| if can { "can" } else { "cannot" };
        write!(
            f,
            "sizes: {}; approach 2 {} give a power law ({} of {} budgets have {CURVE_SIZES} sizes, {LAW_BUDGETS} are needed), approach \
             3 and VPNLS {} be fitted; approach 1 needs each size at many lengths",
            sizes.join(", "),
            can(self.parabolas),
            self.curves,
            self.budgets.len(),
            can(self.surfaces)
        )
    }
}

/// Which point was left out.
pub fn describe(left_out: &LeftOut) -> String {
    let budget = left_out.flop_budget.map_or_else(String::new, |budget| format!("{} FLOPs, ", Flops(budget)));
    let shape = || format!("width {}, depth {}", left_out.shape.width, left_out.shape.depth);
    format!("{budget}{}", left_out.model.clone().unwrap_or_else(shape))
}

/// The corpus of a spec, which has the questions that the spec asks: they are first needed at the end of a run.
fn prepared(spec: &Spec, cache: &Path) -> anyhow::Result<Corpus> {
    let mut say = |line: &str| tell!("{line}");
    let corpus = Corpus::prepare(&spec.data, spec.model.context, cache, &mut say).context("the corpus of [data]")?;
    if let Some(uneven) = corpus.uneven(&spec.data) {
        tell!("warning: {uneven}");
    }
    for task in &spec.eval.tasks {
        corpus.questions(task).with_context(|| format!("the task {} of [[eval.tasks]]", task.name()))?;
    }
    Ok(corpus)
}
