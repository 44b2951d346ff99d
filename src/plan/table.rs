//! The plan as a table: one row a run, with every count and every FLOPs convention.

use std::io;

use super::{Plan, PlannedRun};
use crate::observation::Counting;

impl PlannedRun {
    /// Tokens for each parameter of blocks and unembedding.
    pub fn tokens_per_param(&self) -> f64 {
        self.tokens as f64 / self.params.by(Counting::BlocksAndUnembedding) as f64
    }

    /// Achieved FLOPs over the budget, minus 1, for a run that has one.
    pub fn budget_deviation(&self) -> Option<f64> {
        self.run.flop_budget.map(|budget| self.flops / budget - 1.0)
    }

    /// Names and values of what `plan.csv` and `runs.csv` tell of a run. Parameters, tokens and FLOPs are plain numbers,
    /// which print with the fewest digits that read back as the same number.
    pub fn columns(&self) -> [(&'static str, String); 31] {
        let Self { id: _, run, axes: _, params, flops_per_token, tokens, flops, epochs, trunk: _ } = self;
        let shape = &run.shape;
        [
            ("parameterization", run.parameterization.name().to_owned()),
            ("width", shape.width.to_string()),
            ("depth", shape.depth.to_string()),
            ("heads", shape.heads.to_string()),
            ("head_dim", shape.head_dim().to_string()),
            ("context", shape.context.to_string()),
            ("vocab", shape.vocab.to_string()),
            ("seed", run.seed.to_string()),
            ("flop_budget", optional(run.flop_budget)),
            ("params", params.total().to_string()),
            ("params_embedding", params.embedding.to_string()),
            ("params_position", params.position.to_string()),
            ("params_blocks", params.blocks.to_string()),
            ("params_unembedding", params.unembedding.to_string()),
            ("params_non_embedding", params.by(Counting::NonEmbedding).to_string()),
            ("params_blocks_and_unembedding", params.by(Counting::BlocksAndUnembedding).to_string()),
            ("batch_sequences", run.optimizer.batch_sequences.to_string()),
            ("batch_tokens", run.tokens_per_step().to_string()),
            ("steps", run.schedule.steps.to_string()),
            ("warmup_steps", run.schedule.warmup_steps.to_string()),
            ("learning_rate", run.optimizer.learning_rate.to_string()),
            ("tokens", tokens.to_string()),
            ("epochs", optional(*epochs)),
            ("flops", flops.to_string()),
            ("flops_per_token_exact", flops_per_token.exact.to_string()),
            ("flops_per_token_hoffmann", flops_per_token.hoffmann.to_string()),
            ("flops_per_token_porian", flops_per_token.porian.to_string()),
            ("flops_per_token_kaplan", flops_per_token.kaplan.to_string()),
            ("flops_per_token_palm", flops_per_token.palm.to_string()),
            ("flops_per_token_chinchilla", flops_per_token.chinchilla.to_string()),
            ("flops_per_token_levanter", flops_per_token.levanter.to_string()),
        ]
    }
}

impl Plan {
    /// Columns that only some plans have, so that the tables of others stay as they are; the same for all runs of one.
    pub fn further_columns(&self, run: &PlannedRun) -> Vec<(&'static str, String)> {
        let experts = self.runs.iter().any(|run| run.params.idle > 0);
        let active = experts.then(|| ("params_active", run.params.active().to_string()));
        let id = || run.trunk.as_ref().map(|trunk| trunk.id.to_string()).unwrap_or_default();
        active.into_iter().chain(self.shares_trunks().then(|| ("trunk", id()))).collect()
    }
}

impl PlannedRun {
    /// What it takes where other runs train so many steps for it; nothing is known of a run that has not ended.
    pub fn spent_columns(&self, shared: Option<usize>) -> [(&'static str, String); 2] {
        let spent = shared.map(|shared| self.flops * self.own_share(shared));
        [
            ("shared_steps", shared.map(|shared| shared.to_string()).unwrap_or_default()),
            ("flops_spent", optional(spent)),
        ]
    }
}

fn optional(value: Option<f64>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

/// Writes the plan as CSV, one row a run: identity, the values of the axes as `field=value` joined by `;`,
/// [`PlannedRun::columns`], and what only a plan tells.
pub fn write_csv(plan: &Plan, out: impl io::Write) -> csv::Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    for (at, planned) in plan.runs.iter().enumerate() {
        let axes: Vec<String> = planned.axes.iter().map(|(field, value)| format!("{field}={value}")).collect();
        let mut row = vec![("id", planned.id.to_string()), ("axes", axes.join(";"))];
        row.extend(planned.columns());
        row.extend(plan.further_columns(planned));
        if plan.shares_trunks() {
            row.extend(planned.spent_columns(Some(planned.shared_steps())));
        }
        row.extend([
            ("base_width", planned.run.base_width.to_string()),
            ("decay_steps", planned.run.schedule.decay_steps.to_string()),
            ("tokens_per_param", planned.tokens_per_param().to_string()),
            ("budget_deviation", optional(planned.budget_deviation())),
        ]);
        if at == 0 {
            writer.write_record(row.iter().map(|(name, _)| name))?;
        }
        writer.write_record(row.iter().map(|(_, value)| value))?;
    }
    writer.flush()?;
    Ok(())
}
