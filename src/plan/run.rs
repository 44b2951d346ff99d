//! One run, resolved: every number that training needs, and nothing that it does not.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::{Shape, Weight, is_default};
use crate::optimizer::RunOptimizer;
use crate::parameterization::{Parameterization, Scale, Table};
use crate::spec::{Config, Cooldown, Data, Eval, OwnSize, Precision, ScheduleKind};

/// Version of what a run computes. It is part of every identity: raise it when a change of the training code makes the
/// same run end in another loss, so that old results are not taken for new ones.
pub const MODEL_VERSION: u32 = 1;

/// Added to the mean square by every normalization of the model, so that a row of zeros stays zero.
pub const NORM_EPSILON: f64 = 1e-6;

/// Base of the rotary frequencies (Su et al. 2021, arXiv 2104.09864).
pub const ROTARY_BASE: f64 = 10_000.0;

/// The fingerprint of a text that nobody here has seen: that of runs which were trained elsewhere.
pub const UNSEEN_CORPUS: &str = "imported";

/// What planning must know of the corpus. The data module finds it out; a plan only uses it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CorpusFacts {
    /// Size of the vocabulary.
    pub vocab: usize,
    /// Training tokens of one epoch; nothing where the source is unlimited.
    pub train_tokens: Option<u64>,
    /// Validation tokens; nothing where the source is unlimited.
    pub validation_tokens: Option<u64>,
    /// Hash of the text, the tokenizer and the split: other data, other runs.
    pub fingerprint: String,
    /// Hash of the files that decide what a program of somebody else does; nothing where none trains.
    pub inputs: Option<String>,
}

/// Somebody else's program that trains a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Program {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Hash of the files that decide what it does.
    pub inputs: String,
    /// The program's own configuration of this run. Not written where it has none, as no run before had one.
    #[serde(default, skip_serializing_if = "Config::is_empty")]
    pub config: Config,
    /// The size of its model, where that is of a shape that only the program knows. No part of the identity: the
    /// configuration is, and how parameters are counted decides no loss.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<OwnSize>,
    /// Seconds without a line of it after which it is stopped. No part of the identity.
    pub patience_seconds: f64,
    /// Seconds without a further step after which it is stopped, where that is written. No part of the identity, and nor are the next
    /// two: none of them decides a loss.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step_patience_seconds: Option<f64>,
    /// Keys that it needs and that decide nothing.
    #[serde(default, skip_serializing_if = "Config::is_empty")]
    pub local: Config,
    /// Cards that a run takes, where that is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cards: Option<usize>,
}

/// Everything that decides the outcome of a run. Its content hash is its identity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// What to train on.
    pub data: Data,
    /// Hash of the corpus, see [`CorpusFacts`].
    pub corpus: String,
    /// What to train.
    pub shape: Shape,
    /// How hyper-parameters change with width and depth.
    pub parameterization: Parameterization,
    /// The width at which every parameterization is the same; the run's own where the parameterization has no use for
    /// it, and so for the next two.
    pub base_width: usize,
    /// The depth at which every parameterization is the same.
    pub base_depth: usize,
    /// The channels of a head at which every parameterization is the same.
    pub base_head_dim: usize,
    /// Whether the unembedding starts at zero.
    pub zero_init_unembedding: bool,
    /// Whether the queries start at zero.
    pub zero_init_query: bool,
    /// Standard deviation of the first token embedding, where it is not that of the table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedding_std: Option<f64>,
    /// How weights are updated.
    pub optimizer: RunOptimizer,
    /// The learning rate over the run.
    pub schedule: RunSchedule,
    /// How the loss is measured.
    pub eval: Eval,
    /// Numbers of the factors of matrix products. Not written where it is f32, as no run before had another.
    #[serde(default, skip_serializing_if = "is_default")]
    pub precision: Precision,
    /// The program that trains it, where that is not this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<Program>,
    /// Seed of initialization and data order.
    pub seed: u64,
    /// The IsoFLOP budget that this run spends, in FLOPs.
    pub flop_budget: Option<f64>,
}

impl Run {
    /// Whether a step of another run is the same work: it differs in corpus, data, seed, learning rate, weight decay, schedule and
    /// evaluation at most.
    pub fn steps_as(&self, other: &Self) -> bool {
        fn work(run: &Run) -> impl PartialEq {
            let Run {
                data: _,
                corpus: _,
                shape,
                parameterization,
                base_width,
                base_depth,
                base_head_dim,
                zero_init_unembedding: _,
                zero_init_query: _,
                embedding_std: _,
                optimizer,
                schedule: _,
                eval: _,
                precision,
                program,
                seed: _,
                flop_budget: _,
            } = run;
            let base = [base_width, base_depth, base_head_dim];
            (shape, parameterization, base, optimizer.without_rates(), precision, program)
        }
        work(self) == work(other)
    }
}

/// The schedule with its rules worked out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunSchedule {
    /// The shape of the decay.
    pub kind: ScheduleKind,
    /// Learning rate at the end, as a share of the peak.
    pub floor: f64,
    /// Steps of linear warm-up.
    pub warmup_steps: usize,
    /// Steps of decay at the end (`wsd`); all after warm-up for `cosine`, 0 for `constant`.
    pub decay_steps: usize,
    /// Steps of the whole run.
    pub steps: usize,
    /// How the rate falls (`wsd`). Not written where it is linear, as no run before had another.
    #[serde(default, skip_serializing_if = "is_default")]
    pub cooldown: Cooldown,
}

impl RunSchedule {
    /// Steps before the rate falls.
    pub fn stable_steps(&self) -> usize {
        self.steps.saturating_sub(self.decay_steps)
    }
}

impl Run {
    /// The size that a program told, where the model is of a shape that only it knows.
    pub fn own_size(&self) -> Option<&OwnSize> {
        self.program.as_ref().and_then(|program| program.size.as_ref())
    }

    /// Tokens of one step.
    pub fn tokens_per_step(&self) -> usize {
        self.optimizer.batch_sequences * self.shape.context
    }

    /// Training tokens of the whole run.
    pub fn tokens(&self) -> u64 {
        self.tokens_per_step() as u64 * self.schedule.steps as u64
    }

    /// Bytes of its state: numbers of 4 bytes, of each weight as many as its optimizer keeps of it.
    pub fn state_bytes(&self) -> u64 {
        let of = |weights: Vec<Weight>| -> u64 {
            let kept = |weight: &Weight| self.optimizer.kind.of(weight.role).part().keeps.len();
            weights.iter().map(|weight| 4 * kept(weight) as u64 * weight.shape.iter().product::<usize>() as u64).sum()
        };
        let Shape { depth, .. } = self.shape;
        of(self.shape.first()) + depth as u64 * of(self.shape.block()) + of(self.shape.last())
    }

    /// The table of parameterizations at this run's shape.
    pub fn table(&self) -> Table {
        let scale = Scale {
            width: self.shape.width,
            base_width: self.base_width,
            depth: self.shape.depth,
            base_depth: self.base_depth,
            head_dim: self.shape.head_dim(),
            base_head_dim: self.base_head_dim,
        };
        Table { parameterization: self.parameterization, scale }
    }

    /// The content hash: 16 hexadecimal digits of BLAKE3 over the JSON of the model version and this struct, without
    /// what does not decide the outcome.
    pub fn id(&self) -> RunId {
        let mut content = self.clone();
        // The corpus is identified by its hash, so that results survive a move of the file.
        content.data.path = None;
        content.data.validation_path = None;
        content.data.tokenizer = None;
        content.data.column = None;
        content.data.parts = Vec::new();
        // What is kept of a corpus, or how far a language looks back, is a part of its hash.
        (content.data.keep, content.data.keep_by, content.data.keep_scores) = (None, None, None);
        (content.data.keep_file, content.data.history) = (None, None);
        // Of the weights of parts, whose names the corpus knows, only the shares count.
        let shares = self.data.shares().into_iter();
        content.data.weights = shares.filter(|(_, share)| *share > 0.0).collect();
        // How much may be repeated decides which runs there are, how often is written down only what is seen of one.
        content.data.max_epochs = 0.0;
        content.eval.curve_points = 0;
        if let Some(program) = &mut content.program {
            program.patience_seconds = 0.0;
            program.size = None;
            program.step_patience_seconds = None;
            program.local.clear();
            program.cards = None;
        }
        let json = serde_json::to_vec(&(MODEL_VERSION, content)).expect("a run has only string keys");
        RunId(blake3::hash(&json).to_hex()[..16].to_owned())
    }
}

/// Identity of a run: a content hash, also the name of its folder.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct RunId(String);

impl TryFrom<String> for RunId {
    type Error = String;

    /// Takes what [`Run::id`] can give and nothing else, since folders are named by it.
    fn try_from(text: String) -> Result<Self, String> {
        let digits = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if digits && text.len() == 16 { Ok(Self(text)) } else { Err(format!("{text:?} is not the id of a run")) }
    }
}

impl From<RunId> for String {
    fn from(id: RunId) -> Self {
        id.0
    }
}

impl RunId {
    /// The hexadecimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A run with what was counted for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlannedRun {
    /// Content hash of `run`.
    pub id: RunId,
    /// The run.
    pub run: Run,
    /// The values of the sweep's axes that led here, by field.
    pub axes: BTreeMap<String, String>,
    /// Parameters by group.
    pub params: super::ParamCounts,
    /// Training FLOPs per token, by convention.
    pub flops_per_token: super::FlopsPerToken,
    /// Training tokens.
    pub tokens: u64,
    /// Training FLOPs, counted exactly.
    pub flops: f64,
    /// How often the corpus is seen; nothing where the source is unlimited.
    pub epochs: Option<f64>,
    /// The stable phase that it shares with other runs, where it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trunk: Option<Trunk>,
}

/// What a run shares with others of its plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trunk {
    /// Content hash of the stable phase.
    pub id: RunId,
    /// Steps that another run trains for it.
    pub from: usize,
}

/// A point of the grid that is not trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LeftOut {
    /// The IsoFLOP budget, in FLOPs.
    pub flop_budget: Option<f64>,
    /// The model's shape.
    pub shape: Shape,
    /// The name of a model whose shape only a program knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Why, and what to change so that it fits.
    pub reason: String,
}

/// The whole grid.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Every run, in the order of the grid.
    pub runs: Vec<PlannedRun>,
    /// Every point that is not trained, with the reason.
    pub left_out: Vec<LeftOut>,
}

impl PlannedRun {
    /// What it has in common with the runs that differ from it in tuned fields alone.
    fn point(&self, tuned: &[String]) -> String {
        let axes: Vec<_> = self.axes.iter().filter(|(field, _)| !tuned.contains(field)).collect();
        let Self { run, params, .. } = self;
        // Models of a program all have the same shape here, and a name.
        format!("{axes:?} {:?} {} {} {:?} {}", run.shape, self.model(), params.total(), run.flop_budget, run.seed)
    }
}

impl Plan {
    /// The runs that differ in tuned fields alone, each group in the order of the plan.
    pub fn groups(&self, tuned: &[String]) -> Vec<Vec<&PlannedRun>> {
        self.places(tuned).iter().map(|group| group.iter().map(|at| &self.runs[*at]).collect()).collect()
    }

    /// The same groups by their places in the plan.
    pub fn places(&self, tuned: &[String]) -> Vec<Vec<usize>> {
        let (mut groups, mut of) = (Vec::<Vec<usize>>::new(), BTreeMap::new());
        for (at, run) in self.runs.iter().enumerate() {
            let group = *of.entry(run.point(tuned)).or_insert(groups.len());
            if group == groups.len() {
                groups.push(Vec::new());
            }
            groups[group].push(at);
        }
        groups
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::testing;
    use crate::spec::PowerRule;

    #[test]
    fn a_timescale_of_decay_is_the_coefficient_that_it_stands_for() {
        let coefficient = testing::small(|spec| spec.optimizer.weight_decay = Some(0.25)).run;
        let RunOptimizer { learning_rate, .. } = coefficient.optimizer;
        // Steps of the batch, at rate x coefficient of a weight each.
        let tokens = coefficient.tokens_per_step() as f64 / (learning_rate * 0.25);
        let timescale = testing::small(|spec| {
            spec.optimizer.weight_decay = None;
            spec.optimizer.weight_decay_tokens = Some(PowerRule::constant(tokens));
        });
        assert!((timescale.run.optimizer.weight_decay - 0.25).abs() < 1e-12, "{:?}", timescale.run.optimizer);
    }

    #[test]
    fn of_the_weights_of_a_mixture_only_the_shares_are_a_part_of_the_identity() {
        let part = |name: &str| crate::spec::Part {
            name: Some(name.to_owned()),
            source: crate::spec::Source::Text,
            path: name.into(),
            column: None,
            separator: None,
            weight: None,
        };
        let run = |a: f64, b: f64| {
            let mut run = testing::small(|_| ()).run;
            run.data.parts = ["a", "b"].map(part).to_vec();
            run.data.weights = [("a".to_owned(), a), ("b".to_owned(), b)].into();
            run
        };
        assert_eq!(run(1.0, 3.0).id(), run(2.0, 6.0).id());
        assert_ne!(run(1.0, 3.0).id(), run(3.0, 1.0).id());
        assert_ne!(run(1.0, 0.0).id(), run(1.0, 1.0).id());
        let mut absent = run(1.0, 0.0);
        absent.data.weights.remove("b");
        assert_eq!(absent.id(), run(1.0, 0.0).id());
    }

    /// The plan of the published sweep: what it was trained under is what it is found by.
    const PUBLISHED: &str = include_str!("../../results/isoflop/plan.json");

    #[test]
    fn published_runs_keep_their_identities_and_precision_is_a_part_of_them() {
        let plan: Plan = serde_json::from_str(PUBLISHED).unwrap();
        assert!(plan.runs.len() > 50, "{}", plan.runs.len());
        for PlannedRun { id, run, .. } in &plan.runs {
            assert_eq!(run.id(), *id);
            assert_eq!(run.precision, Precision::F32, "what was not written then");
            assert!(!serde_json::to_string(run).unwrap().contains("precision"));
            let others = [Precision::Tf32, Precision::Bf16].map(|precision| Run { precision, ..run.clone() }.id());
            assert!(others[0] != *id && others[1] != *id && others[0] != others[1]);
        }
    }
}
