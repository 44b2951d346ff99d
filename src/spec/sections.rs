//! The sections of a spec and their keys.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::data::Data;
use super::launcher::Launcher;
use super::own::{Config, Count, OwnModel};
use super::rule::{self, PowerRule};
use super::tune::Tuned;
use crate::fit::formula::Residual;
use crate::fit::named::{Law, Objective};
use crate::goal::{Goal, StopEarly};
use crate::model::{Embedding, Experts, Mixer, Mlp, Norm, NormPlace, Parts, Positions, is_default};
use crate::optimizer::OptimizerKind;
use crate::parameterization::Parameterization;

/// A whole spec file. With `[sweep]` it describes a grid, without it one run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// Name of the sweep or run; results go to `results/<name>`.
    pub name: String,
    /// What to train on.
    pub data: Data,
    /// What to train.
    pub model: Model,
    /// How weights are updated.
    pub optimizer: Optimizer,
    /// How the learning rate changes over the run, and how long the run is.
    pub schedule: Schedule,
    /// How the loss is measured.
    pub eval: Eval,
    /// The numerical precision of training.
    #[serde(default, skip_serializing_if = "is_default")]
    pub train: Train,
    /// The grid of runs.
    pub sweep: Option<Sweep>,
    /// What the sweep asks, if not for compute-optimal sizes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fit: Option<Fit>,
    /// Where the workers of the sweep run, if not on this machine.
    pub launcher: Option<Launcher>,
}

impl Spec {
    /// The spec as TOML that [`super::parse`] reads back to the same value.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("a spec that was read can be written")
    }
}

/// `[fit]`: what the sweep asks of its runs. It is no part of their identity: the same runs answer another question when
/// it is changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fit {
    /// The law that is fitted, as by `runner fit --law`; or a formula is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub law: Option<Law>,
    /// A law of your own, as by `runner fit --formula`: names that are columns of `runs.csv` are data (N, D and C are
    /// parameters, tokens and FLOPs), the others are looked for; `A{optimizer.kind}` differs by the values of that axis.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub formula: Option<String>,
    /// What is known of unknowns of the formula, or of a law that is one: `alpha in 0..2`, `A > 0`, `q any`, `k = 0.5`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<String>,
    /// The field whose values are fitted apart and compared: an axis such as `model.depth`, a column of `runs.csv`, or a key of the
    /// program's own models such as `config.width`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Fields that were tuned: of runs that differ in nothing else, only the one of least loss counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tuned: Vec<String>,
    /// The losses at which the critical batch size is measured; five that all batch sizes reach if not written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub target_loss: Vec<f64>,
    /// Formulas: whether residuals are differences of losses or of their logarithms; log if not written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub residuals: Option<Residual>,
    /// Formulas: what is minimised over the residuals; squares if not written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objective: Option<Objective>,
    /// The residual above which the Huber loss is linear; 1e-3 if not written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delta: Option<f64>,
    /// Formulas: weight of residuals where the law lies above the run, so that runs above the frontier weigh less; 1 if not
    /// written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overestimates: Option<f64>,
    /// Formulas: starts that are refined, of twelve times as many that are drawn; 64 if not written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub multistart: Option<u32>,
    /// Formulas: the cost of a run, by which the most expensive are held out; its FLOPs if not written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<String>,
}

/// `[model]`: a decoder-only transformer. An IsoFLOP sweep chooses width and depth itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// How hyper-parameters change with width and depth.
    pub parameterization: Parameterization,
    /// Tokens of one training sequence.
    pub context: usize,
    /// Channels of one attention head.
    pub head_dim: usize,
    /// Channels of the residual stream, a multiple of `head_dim`.
    pub width: Option<usize>,
    /// Number of blocks.
    pub depth: Option<usize>,
    /// Width divided by depth, for the models that a sweep chooses: width 128 at aspect ratio 32 means 4 blocks.
    pub aspect_ratio: Option<f64>,
    /// The width at which hyper-parameters were tuned; mup and completep need it, standard ignores it.
    pub base_width: Option<usize>,
    /// The depth at which hyper-parameters were tuned; completep needs it, the others ignore it.
    pub base_depth: Option<usize>,
    /// The `head_dim` at which hyper-parameters were tuned; mup and completep need it.
    pub base_head_dim: Option<usize>,
    /// Whether the unembedding starts at zero, so that every token is equally likely at first; false if not written.
    #[serde(default)]
    pub zero_init_unembedding: bool,
    /// Whether the queries start at zero, so that attention is uniform at first; false if not written.
    #[serde(default)]
    pub zero_init_query: bool,
    /// Standard deviation of the first values of the token embedding, the same at every shape; GPT-2's 0.02 if not written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedding_std: Option<f64>,
    /// What moves information between positions; `attention` if not written.
    #[serde(default, skip_serializing_if = "is_default")]
    pub mixer: Mixer,
    /// How attention knows positions; `rotary` if not written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub positions: Option<Positions>,
    /// Query heads that share one head of keys and values, known as grouped-query attention; 1 if not written (Ainslie et
    /// al. 2023, arXiv 2305.13245).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kv_sharing: Option<usize>,
    /// Whether queries and keys are normalized, each head by its root mean square; false if not written (Dehghani et al.
    /// 2023, arXiv 2302.05442).
    #[serde(default, skip_serializing_if = "is_default")]
    pub qk_norm: bool,
    /// What each position computes for itself; `gelu` if not written.
    #[serde(default, skip_serializing_if = "is_default")]
    pub mlp: Mlp,
    /// Many MLPs of the kind `mlp` in each block, of which each token goes through a few.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub experts: Option<Experts>,
    /// How tokens become rows, and rows logits; `untied` if not written.
    #[serde(default, skip_serializing_if = "is_default")]
    pub embedding: Embedding,
    /// How rows are normalized; `rms` if not written.
    #[serde(default, skip_serializing_if = "is_default")]
    pub norm: Norm,
    /// Where normalizations stand; `before` if not written.
    #[serde(default, skip_serializing_if = "is_default")]
    pub norm_place: NormPlace,
}

impl Model {
    /// What the model is made of.
    pub fn parts(&self) -> Parts {
        let Self { mixer, positions, kv_sharing, qk_norm, mlp, experts, embedding, norm, norm_place, .. } = *self;
        // Only attention looks at positions.
        let own = if mixer == Mixer::Attention { Positions::Rotary } else { Positions::None };
        let (positions, kv_sharing) = (positions.unwrap_or(own), kv_sharing.unwrap_or(1));
        Parts { mixer, positions, kv_sharing, qk_norm, mlp, experts, embedding, norm, norm_place }
    }

    /// Takes away what the parts do not read: on an axis of parts it is meant for the others.
    pub(super) fn forget_unread(&mut self) {
        if self.mixer != Mixer::Attention {
            (self.positions, self.kv_sharing, self.qk_norm, self.zero_init_query) = (None, None, false, false);
        }
        self.zero_init_unembedding &= self.embedding != Embedding::Tied;
    }

    /// Writes other parts.
    #[cfg(test)]
    pub fn set_parts(&mut self, parts: Parts) {
        let Parts { mixer, positions, kv_sharing, qk_norm, mlp, experts, embedding, norm, norm_place } = parts;
        (self.mixer, self.positions, self.kv_sharing, self.qk_norm) =
            (mixer, Some(positions), Some(kv_sharing), qk_norm);
        (self.mlp, self.experts, self.embedding, self.norm, self.norm_place) =
            (mlp, experts, embedding, norm, norm_place);
    }
}

/// `[optimizer]`: how weights are updated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Optimizer {
    /// Which optimizer.
    pub kind: OptimizerKind,
    /// Peak learning rate: a number, or a power law of the number of parameters or tokens.
    #[serde(deserialize_with = "rule::learning_rate")]
    pub learning_rate: PowerRule,
    /// Tokens of one step: a number, or a power law of the number of parameters or tokens.
    #[serde(deserialize_with = "rule::batch_tokens")]
    pub batch_tokens: PowerRule,
    /// Decay of the first moment; adamw, lion and muon (for what AdamW steps) need it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beta1: Option<f64>,
    /// Decay of the second moment, and of lion's momentum; adamw, lion and muon need it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beta2: Option<f64>,
    /// Added to the root of the second moment; adamw and muon need it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epsilon: Option<f64>,
    /// Decay of the momentum; sgd and muon need it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub momentum: Option<f64>,
    /// Decoupled weight decay of matrices: each step subtracts learning rate x this x the weight.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight_decay: Option<f64>,
    /// Weight decay as the tokens over which it forgets a weight, instead of `weight_decay`: the coefficient is then
    /// tokens of a step / (peak learning rate x this), the timescale of AdamW (Wang and Aitchison 2024; Bergsma et al. 2025). A
    /// number, or a power law of the number of parameters or tokens.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "rule::weight_decay_tokens")]
    pub weight_decay_tokens: Option<PowerRule>,
    /// Global norm to which gradients are clipped; 0 turns clipping off.
    pub clip_norm: f64,
}

/// `[schedule]`: the learning rate over a run, and the run's length where no sweep decides it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// The shape of the decay.
    pub kind: ScheduleKind,
    /// Learning rate at the end, as a share of the peak.
    pub floor: f64,
    /// Warm-up in tokens for each parameter (of blocks and unembedding); Porian et al. use 1.
    pub warmup_tokens_per_param: Option<f64>,
    /// Warm-up in tokens, the same for every size; instead of `warmup_tokens_per_param`.
    pub warmup_tokens: Option<f64>,
    /// The longest warm-up, as a share of the run.
    pub warmup_max_fraction: f64,
    /// Share of the run over which `wsd` decays.
    pub decay_fraction: Option<f64>,
    /// How `wsd` decays; linear if not written.
    #[serde(default, skip_serializing_if = "is_default")]
    pub cooldown: Cooldown,
    /// Length of the cosine in tokens, if longer than the run: the run is then a longer one cut short, as in Kaplan et
    /// al. 2020. If not written, the cosine ends with the run.
    pub decay_tokens: Option<f64>,
    /// Length of a single run in tokens.
    pub tokens: Option<f64>,
    /// Length of a single run in tokens for each parameter (of blocks and unembedding).
    pub tokens_per_param: Option<f64>,
    /// Length of a single run in training FLOPs.
    pub flops: Option<f64>,
}

/// The shape of the learning rate's decay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ScheduleKind {
    /// Half a cosine from the peak to the floor over exactly the run's tokens.
    Cosine,
    /// Warm-up, stable, decay: constant after warm-up, then down to the floor over the last `decay_fraction` of the run, as
    /// `cooldown` says.
    Wsd,
    /// Constant at the peak after warm-up.
    Constant,
}

/// How the learning rate of `wsd` falls over its decay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Cooldown {
    /// By the same amount at each step.
    #[default]
    #[serde(rename = "linear")]
    Linear,
    /// With the square root of the steps: fast at first (Hägele et al. 2024).
    #[serde(rename = "1-sqrt")]
    OneMinusSqrt,
}

/// `[eval]`: how the loss is measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Eval {
    /// Validation tokens, the same for all runs.
    pub tokens: u64,
    /// Number of points of the recorded training-loss curve; each point is the mean over its interval.
    pub curve_points: usize,
    /// Whether the loss is also told by the position of a token in its sequence; false if not written.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_position: bool,
    /// What the trained model is asked: `[[eval.tasks]]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<Task>,
}

/// `[[eval.tasks]]`: questions to the trained model. The same for all runs on one corpus.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Task {
    /// What is asked.
    pub kind: TaskKind,
    /// How many questions.
    pub questions: usize,
    /// How long each is: tokens to copy, tokens between the two of induction, digits of each number, or tokens of a
    /// continuation.
    pub length: usize,
}

impl Task {
    /// The name with which its measures begin in tables.
    pub fn name(&self) -> String {
        format!("{}.{}", self.kind.name(), self.length)
    }
}

/// What a model is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TaskKind {
    /// Random tokens, once more.
    Copy,
    /// What came after the token that comes again.
    Induction,
    /// The sum of two numbers, its digits from the ones up, in the tokens of a text.
    Addition,
    /// Which of four continuations of held-out tokens is the right one.
    Cloze,
}

impl TaskKind {
    /// The name used in specs and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Copy => "copy",
            Self::Induction => "induction",
            Self::Addition => "addition",
            Self::Cloze => "cloze",
        }
    }

    /// Tokens that a question of a length takes at most.
    pub(super) fn tokens(self, length: usize) -> usize {
        match self {
            Self::Copy | Self::Cloze => 2 * length,
            Self::Induction => length + 3,
            Self::Addition => 3 * length + 3,
        }
    }
}

/// `[train]`: how exactly training computes, and by which program.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Train {
    /// Precision of the inputs of matrix products; f32 if not written. Weights, sums and losses are always f32.
    #[serde(default)]
    pub precision: Precision,
    /// A program of yours that trains the runs, with its arguments; `{config}` stands for the path of a JSON file that
    /// describes the run (docs/programs.md). If not written, this program trains them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// Files that decide what `command` does, such as its code and its data: where their content changes, so do the runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<PathBuf>,
    /// Keys of the program's own configuration, which it finds in its JSON file under `config`. Any of them can be an axis, as in
    /// `"train.config.dropout" = [0.0, 0.1]`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, serde_json::Value>")]
    pub config: Config,
    /// Keys of the program's own that decide nothing, such as paths and the number of workers that load data. It finds them under
    /// `local`. They are no part of a run's identity, and may change between calls.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, serde_json::Value>")]
    pub local: Config,
    /// NVIDIA cards that one run of the program takes, as for `torchrun --nproc_per_node=8`; 1 if not written. Slots are made of so
    /// many of the devices that a sweep trains on. No part of a run's identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cards: Option<usize>,
    /// How `[[sweep.models]]` are counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<Count>,
    /// Seconds without a line from `command` after which it is stopped and tried again; 600 if not written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patience_seconds: Option<f64>,
    /// Seconds without a further `step` or `tokens`, once one was told, after which `command` is stopped and tried again whatever it
    /// prints. If not written, ten times `patience_seconds`, an hour at least, and three times the longest that a step has taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step_patience_seconds: Option<f64>,
}

impl Train {
    /// Seconds without a line of a program after which it is stopped. Some compile for minutes.
    pub fn patience(&self) -> f64 {
        self.patience_seconds.unwrap_or(600.0)
    }

    /// Cards that one run of a program takes.
    pub fn cards(&self) -> usize {
        self.cards.unwrap_or(1)
    }
}

/// Numbers of the factors of matrix products.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 24 bits of precision, on every device.
    #[default]
    F32,
    /// f32, but the inputs of products are rounded to 11 bits of precision; NVIDIA GPUs only.
    Tf32,
    /// Inputs of products with 8 bits of precision, on NVIDIA GPUs of activations too; there and on CPUs with AVX512-BF16.
    Bf16,
}

impl Precision {
    /// The name used in specs and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Tf32 => "tf32",
            Self::Bf16 => "bf16",
        }
    }

    /// What is said where a device does not compute in it.
    pub fn refused(self, device: &str) -> String {
        let on_cpu = if self == Self::Bf16 { " or on a processor with AVX512-BF16" } else { "" };
        let name = self.name();
        format!(
            "train.precision = {name:?}: the device {device} does not compute in it; train with --device cuda{on_cpu}, or write f32"
        )
    }
}

/// `[sweep]`: the grid. With `budgets` an IsoFLOP sweep; `axes` and `zip` vary any field besides.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sweep {
    /// Training FLOPs of the runs, one IsoFLOP curve each.
    pub budgets: Option<Vec<f64>>,
    /// Sizes in parameters (of blocks and unembedding), instead of `sizes`, `spread` and `expected_tokens_per_param`.
    pub params: Option<Vec<f64>>,
    /// Models of any shape, for the program of `train.command`. Each budget trains all of them, or `sizes` of those within
    /// `spread` of the expected optimum.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<OwnModel>,
    /// Number of sizes for each budget, at least 7.
    pub sizes: Option<usize>,
    /// Factor in parameters from the expected optimum to either end of the sizes.
    pub spread: Option<f64>,
    /// Tokens per parameter (of blocks and unembedding) expected at the optimum: it centres the grid and has no other effect.
    pub expected_tokens_per_param: Option<f64>,
    /// Runs of fewer steps are left out.
    pub min_steps: usize,
    /// Seeds of initialization and data order: each point is trained once per seed.
    pub seeds: Vec<u64>,
    /// Budgets of at least this many FLOPs are trained with the first seed only: repeats at smaller budgets suffice to
    /// measure the scatter.
    pub one_seed_from: Option<f64>,
    /// Whether runs of `wsd` that differ in length or cooldown alone share one stable phase, from which each is cooled down;
    /// false if not written. Losses stay the same, and lengths that double cost about 40% less together (Hägele et al. 2024).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub share_trunk: bool,
    /// How runs are chosen among those of the grid. If not written, all are trained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub choose: Option<Choose>,
    /// What the chosen runs are to tell: `tokens_per_param at 1e13`, `loss at 1e13`, `exponent of N` or `exponent of D`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub goal: Option<Goal>,
    /// Runs that were trained before and that choosing begins with: folders of sweeps, imported ones too, or tables of runs,
    /// relative to the current directory. They count in what is known of the goal, and not against the limits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub known: Vec<PathBuf>,
    /// Training FLOPs that the chosen runs may cost together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_flops: Option<f64>,
    /// Hours that the chosen runs may take one after the other, by what those before took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_hours: Option<f64>,
    /// Width of the goal's 95% interval at which no more runs are chosen: its upper end over its lower one for tokens per
    /// parameter, the difference of the two for others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_width: Option<f64>,
    /// Settings of which each point looks for its own best value, from that of the spec: `learning_rate`, `batch_tokens`,
    /// `weight_decay`. Neighbours of the best are trained until it lies between two worse ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tune: Vec<Tuned>,
    /// When runs are stopped that cannot be the best of those that differ in `fit.tuned` alone. If not written, all are trained to
    /// their ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_early: Option<StopEarly>,
    /// Fields with lists of values, trained in every combination: `"model.width" = [64, 128]`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, Vec<serde_json::Value>>")]
    pub axes: BTreeMap<String, Vec<toml::Value>>,
    /// Groups of fields whose values change together: `[[sweep.zip]]` with lists of equal length.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<BTreeMap<String, Vec<serde_json::Value>>>")]
    pub zip: Vec<BTreeMap<String, Vec<toml::Value>>>,
}

impl Sweep {
    /// Whether it looks at each result before it chooses what to train next, and so trains some of its runs only.
    pub fn trains_some(&self) -> bool {
        self.choose.is_some() || !self.tune.is_empty()
    }

    /// Whether an axis, alone or with others, sets a field.
    pub fn varies(&self, field: &str) -> bool {
        self.axes.contains_key(field) || self.zip.iter().any(|group| group.contains_key(field))
    }
}

/// How runs are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Choose {
    /// One after the other, each time the run that narrows the goal's interval most for its FLOPs.
    Adaptive,
}
