//! The plan as a table: one row a run, with every count and every FLOPs convention.

use std::io;

use serde::{Deserialize, Serialize};

use super::{Plan, PlannedRun};
use crate::observation::Counting;

/// One row of `plan.csv`. Parameters, tokens and FLOPs are plain numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlanRow {
    /// Content hash of the run.
    pub id: String,
    /// The values of the sweep's axes, as `field=value` joined by `;`.
    pub axes: String,
    /// Name of the parameterization.
    pub parameterization: String,
    /// Channels of the residual stream.
    pub width: usize,
    /// Number of blocks.
    pub depth: usize,
    /// Attention heads of each block.
    pub heads: usize,
    /// Tokens of one sequence.
    pub context: usize,
    /// Size of the vocabulary.
    pub vocab: usize,
    /// The width at which every parameterization is the same.
    pub base_width: usize,
    /// All parameters.
    pub params: u64,
    /// Parameters of the token embedding.
    pub params_embedding: u64,
    /// Parameters of position embeddings.
    pub params_position: u64,
    /// Parameters of the blocks.
    pub params_blocks: u64,
    /// Parameters of the unembedding.
    pub params_unembedding: u64,
    /// Parameters without embedding and unembedding.
    pub params_non_embedding: u64,
    /// Parameters of blocks and unembedding, which ladders and rules count.
    pub params_blocks_and_unembedding: u64,
    /// Training tokens.
    pub tokens: u64,
    /// Tokens for each parameter of blocks and unembedding.
    pub tokens_per_param: f64,
    /// How often the corpus is seen; empty where the source is unlimited.
    pub epochs: Option<f64>,
    /// Sequences of one step.
    pub batch_sequences: usize,
    /// Tokens of one step.
    pub batch_tokens: usize,
    /// Steps of the run.
    pub steps: usize,
    /// Steps of warm-up.
    pub warmup_steps: usize,
    /// Steps of decay.
    pub decay_steps: usize,
    /// Peak learning rate at the base width.
    pub learning_rate: f64,
    /// Seed of initialization and data order.
    pub seed: u64,
    /// The IsoFLOP budget, in FLOPs.
    pub flop_budget: Option<f64>,
    /// Training FLOPs, counted exactly.
    pub flops: f64,
    /// Achieved FLOPs over the budget, minus 1.
    pub budget_deviation: Option<f64>,
    /// Training FLOPs per token: every matrix product that is needed.
    pub flops_per_token: f64,
    /// 6 x all parameters.
    pub flops_per_token_hoffmann: f64,
    /// 6 x parameters of blocks and unembedding.
    pub flops_per_token_porian: f64,
    /// 6 x parameters of blocks.
    pub flops_per_token_kaplan: f64,
    /// Unmasked attention added.
    pub flops_per_token_palm: f64,
    /// Appendix F of Hoffmann et al.
    pub flops_per_token_chinchilla: f64,
    /// Levanter's and Marin's count.
    pub flops_per_token_levanter: f64,
}

impl PlannedRun {
    /// Tokens for each parameter of blocks and unembedding.
    pub fn tokens_per_param(&self) -> f64 {
        self.tokens as f64 / self.params.by(Counting::BlocksAndUnembedding) as f64
    }

    /// Achieved FLOPs over the budget, minus 1, for a run that has one.
    pub fn budget_deviation(&self) -> Option<f64> {
        self.run.flop_budget.map(|budget| self.flops / budget - 1.0)
    }
}

impl From<&PlannedRun> for PlanRow {
    fn from(planned: &PlannedRun) -> Self {
        let PlannedRun { id, run, axes, params, flops_per_token, tokens, flops, epochs } = planned;
        let axes: Vec<String> = axes.iter().map(|(field, value)| format!("{field}={value}")).collect();
        Self {
            id: id.to_string(),
            axes: axes.join(";"),
            parameterization: run.parameterization.name().to_owned(),
            width: run.shape.width,
            depth: run.shape.depth,
            heads: run.shape.heads,
            context: run.shape.context,
            vocab: run.shape.vocab,
            base_width: run.base_width,
            params: params.by(Counting::All),
            params_embedding: params.embedding,
            params_position: params.position,
            params_blocks: params.blocks,
            params_unembedding: params.unembedding,
            params_non_embedding: params.by(Counting::NonEmbedding),
            params_blocks_and_unembedding: params.by(Counting::BlocksAndUnembedding),
            tokens: *tokens,
            tokens_per_param: planned.tokens_per_param(),
            epochs: *epochs,
            batch_sequences: run.optimizer.batch_sequences,
            batch_tokens: run.tokens_per_step(),
            steps: run.schedule.steps,
            warmup_steps: run.schedule.warmup_steps,
            decay_steps: run.schedule.decay_steps,
            learning_rate: run.optimizer.learning_rate,
            seed: run.seed,
            flop_budget: run.flop_budget,
            flops: *flops,
            budget_deviation: planned.budget_deviation(),
            flops_per_token: flops_per_token.exact,
            flops_per_token_hoffmann: flops_per_token.hoffmann,
            flops_per_token_porian: flops_per_token.porian,
            flops_per_token_kaplan: flops_per_token.kaplan,
            flops_per_token_palm: flops_per_token.palm,
            flops_per_token_chinchilla: flops_per_token.chinchilla,
            flops_per_token_levanter: flops_per_token.levanter,
        }
    }
}

/// Writes the plan as CSV, one [`PlanRow`] a run.
pub fn write_csv(plan: &Plan, out: impl io::Write) -> csv::Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    for planned in &plan.runs {
        writer.serialize(PlanRow::from(planned))?;
    }
    writer.flush()?;
    Ok(())
}
