//! The plan as a table: one row a run, with every count and every FLOPs convention.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use super::{Plan, PlannedRun, UNSEEN_CORPUS};
use crate::columns::{CONFIG, FLOP_BUDGET, SHARE};
use crate::observation::Counting;
use crate::spec::{self, NO_RATE, OwnSize, Tuned};

impl PlannedRun {
    /// Tokens for each parameter of blocks and unembedding.
    pub fn tokens_per_param(&self) -> f64 {
        self.tokens as f64 / self.params.by(Counting::BlocksAndUnembedding) as f64
    }

    /// Achieved FLOPs over the budget, minus 1, for a run that has one.
    pub fn budget_deviation(&self) -> Option<f64> {
        self.run.flop_budget.map(|budget| self.flops / budget - 1.0)
    }

    /// The value of a setting that may be tuned.
    pub fn setting(&self, tuned: Tuned) -> f64 {
        match tuned {
            Tuned::LearningRate => self.run.optimizer.learning_rate,
            Tuned::BatchTokens => self.run.tokens_per_step() as f64,
            Tuned::WeightDecay => self.run.optimizer.weight_decay,
        }
    }

    /// The size that a program told, where the model is of a shape that only it knows.
    pub fn own_size(&self) -> Option<&OwnSize> {
        self.run.own_size()
    }

    /// Parameters by a convention; nothing where a program does not tell them.
    pub fn params_by(&self, counting: Counting) -> Option<u64> {
        let told = |size: &OwnSize| match counting {
            Counting::All => true,
            Counting::NonEmbedding => size.params_non_embedding.is_some(),
            Counting::BlocksAndUnembedding => size.params_blocks_and_unembedding.is_some(),
        };
        self.own_size().is_none_or(told).then(|| self.params.by(counting))
    }

    /// The model in words, for people.
    pub fn model(&self) -> String {
        let shape = self.run.shape;
        let built_in = || format!("width {}, depth {}, heads {}", shape.width, shape.depth, shape.heads);
        self.own_size().map_or_else(built_in, |size| size.name.clone())
    }

    /// The peak learning rate, unless the spec leaves it to the program.
    pub fn learning_rate(&self) -> Option<f64> {
        let rate = self.run.optimizer.learning_rate;
        (self.own_size().is_none() || rate.total_cmp(&NO_RATE).is_ne()).then_some(rate)
    }

    /// Names and values of what `plan.csv` and `runs.csv` tell of a run. Parameters, tokens and FLOPs are plain numbers,
    /// which print with the fewest digits that read back as the same number.
    pub fn columns(&self) -> [(&'static str, String); 31] {
        let Self { id: _, run, axes: _, params, flops_per_token, tokens, flops, epochs, trunk: _ } = self;
        let shape = &run.shape;
        let own = self.own_size();
        // What a program does not tell of its models is empty.
        let of_shape = |number: usize| if own.is_none() { number.to_string() } else { String::new() };
        let group = |count: u64, told: bool| if told { count.to_string() } else { String::new() };
        let products = self.params_by(Counting::BlocksAndUnembedding);
        let blocks = self.params_by(Counting::NonEmbedding);
        let flops_by = |flops: f64, told: bool| if told { flops.to_string() } else { String::new() };
        // Of runs that were trained elsewhere nobody here knows how they were cut into steps and sequences.
        let elsewhere = own.is_some() && run.corpus == UNSEEN_CORPUS;
        let of_steps = |number: usize| if elsewhere { String::new() } else { number.to_string() };
        [
            ("parameterization", run.parameterization.name().to_owned()),
            ("width", of_shape(shape.width)),
            ("depth", of_shape(shape.depth)),
            ("heads", of_shape(shape.heads)),
            ("head_dim", of_shape(shape.head_dim())),
            ("context", of_steps(shape.context)),
            ("vocab", if own.is_some() && shape.vocab == 0 { String::new() } else { shape.vocab.to_string() }),
            ("seed", run.seed.to_string()),
            (FLOP_BUDGET, optional(run.flop_budget)),
            ("params", params.total().to_string()),
            ("params_embedding", group(params.embedding, products.is_some())),
            ("params_position", group(params.position, own.is_none())),
            ("params_blocks", group(params.blocks, blocks.is_some())),
            ("params_unembedding", group(params.unembedding, products.is_some() && blocks.is_some())),
            ("params_non_embedding", optional(blocks)),
            ("params_blocks_and_unembedding", optional(products)),
            ("batch_sequences", of_steps(run.optimizer.batch_sequences)),
            ("batch_tokens", of_steps(run.tokens_per_step())),
            ("steps", of_steps(run.schedule.steps)),
            ("warmup_steps", of_steps(run.schedule.warmup_steps)),
            ("learning_rate", optional(self.learning_rate())),
            ("tokens", tokens.to_string()),
            ("epochs", optional(*epochs)),
            ("flops", flops.to_string()),
            ("flops_per_token_exact", flops_per_token.exact.to_string()),
            ("flops_per_token_hoffmann", flops_per_token.hoffmann.to_string()),
            ("flops_per_token_porian", flops_by(flops_per_token.porian, products.is_some())),
            ("flops_per_token_kaplan", flops_by(flops_per_token.kaplan, blocks.is_some())),
            ("flops_per_token_palm", flops_by(flops_per_token.palm, own.is_none())),
            ("flops_per_token_chinchilla", flops_by(flops_per_token.chinchilla, own.is_none())),
            ("flops_per_token_levanter", flops_by(flops_per_token.levanter, own.is_none())),
        ]
    }
}

/// Columns that only some plans have, so that the tables of others stay as they are; the same for all runs of one.
pub struct FurtherColumns {
    experts: bool,
    trunks: bool,
    own_models: bool,
    /// The keys of `[data]` that say which documents are kept, of any run.
    keep: BTreeSet<&'static str>,
    /// The parts of mixtures whose weights differ from run to run.
    parts: BTreeSet<String>,
    /// The keys of any program's configuration.
    config: BTreeSet<String>,
}

impl FurtherColumns {
    /// Those of a plan.
    pub fn of(plan: &Plan) -> Self {
        Self {
            experts: plan.runs.iter().any(|run| run.params.idle > 0),
            trunks: plan.shares_trunks(),
            own_models: plan.runs.iter().any(|run| run.own_size().is_some()),
            keep: plan.runs.iter().flat_map(|run| keep(run).into_keys()).collect(),
            parts: plan.runs.iter().flat_map(|run| run.run.data.shares()).map(|(name, _)| name).collect(),
            config: plan.runs.iter().flat_map(|run| config(run).into_keys()).collect(),
        }
    }

    /// Names and values for a run.
    pub fn of_run(&self, run: &PlannedRun) -> Vec<(String, String)> {
        let mut columns = Vec::new();
        if self.experts {
            columns.push(("params_active".to_owned(), run.params.active().to_string()));
        }
        if self.trunks {
            let id = run.trunk.as_ref().map(|trunk| trunk.id.to_string()).unwrap_or_default();
            columns.push(("trunk".to_owned(), id));
        }
        if self.own_models {
            columns.push(("model".to_owned(), run.own_size().map(|size| size.name.clone()).unwrap_or_default()));
        }
        let mut kept = keep(run);
        columns.extend(self.keep.iter().map(|key| ((*key).to_owned(), kept.remove(key).unwrap_or_default())));
        let shares: BTreeMap<String, f64> = run.run.data.shares().into_iter().collect();
        let share = |part: &String| (format!("{SHARE}{part}"), optional(shares.get(part)));
        columns.extend(self.parts.iter().map(share));
        let mut own = config(run);
        columns.extend(self.config.iter().map(|key| (format!("{CONFIG}{key}"), own.remove(key).unwrap_or_default())));
        columns
    }
}

/// Which documents a run keeps, as it stands in tables.
fn keep(run: &PlannedRun) -> BTreeMap<&'static str, String> {
    let data = &run.run.data;
    let share = data.keep.map(|share| ("keep", share.to_string()));
    let by = data.keep_by.map(|by| ("keep_by", by.name().to_owned()));
    let scores = data.keep_scores.map(|scores| ("keep_scores", scores.name().to_owned()));
    [share, by, scores].into_iter().flatten().collect()
}

/// The program's own configuration of a run, as it stands in tables.
fn config(run: &PlannedRun) -> BTreeMap<String, String> {
    let config = run.run.program.as_ref().map(|program| spec::flat(&program.config)).unwrap_or_default();
    config.into_iter().map(|(key, value)| (key, plain(value))).collect()
}

impl PlannedRun {
    /// What it takes where other runs train so many steps for it; nothing is known of a run that has not ended.
    pub fn spent_columns(&self, shared: Option<usize>) -> [(String, String); 2] {
        let spent = shared.map(|shared| self.flops * self.own_share(shared));
        [
            ("shared_steps".to_owned(), shared.map(|shared| shared.to_string()).unwrap_or_default()),
            ("flops_spent".to_owned(), optional(spent)),
        ]
    }
}

/// A value as it stands in a table: text without quotes.
fn plain(value: &toml::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A number that may be missing, as it stands in tables: with the fewest digits that read back as the same number.
pub fn optional(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

/// Writes the plan as CSV, one row a run: identity, the values of the axes as `field=value` joined by `;`,
/// [`PlannedRun::columns`], and what only a plan tells.
pub fn write_csv(plan: &Plan, out: impl io::Write) -> csv::Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    let further = FurtherColumns::of(plan);
    for (at, planned) in plan.runs.iter().enumerate() {
        let axes: Vec<String> = planned.axes.iter().map(|(field, value)| format!("{field}={value}")).collect();
        let mut row = vec![("id".to_owned(), planned.id.to_string()), ("axes".to_owned(), axes.join(";"))];
        row.extend(planned.columns().map(|(name, value)| (name.to_owned(), value)));
        row.extend(further.of_run(planned));
        if plan.shares_trunks() {
            row.extend(planned.spent_columns(Some(planned.shared_steps())));
        }
        row.extend([
            ("base_width".to_owned(), planned.run.base_width.to_string()),
            ("decay_steps".to_owned(), planned.run.schedule.decay_steps.to_string()),
            ("tokens_per_param".to_owned(), planned.tokens_per_param().to_string()),
            ("budget_deviation".to_owned(), optional(planned.budget_deviation())),
        ]);
        if at == 0 {
            writer.write_record(row.iter().map(|(name, _)| name))?;
        }
        writer.write_record(row.iter().map(|(_, value)| value))?;
    }
    writer.flush()?;
    Ok(())
}
