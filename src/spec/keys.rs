//! What the types of a spec cannot say of a key: its unit, and a value that could stand there.

/// Key, unit (empty where the value has none) and example of every key of a spec.
const KEYS: &[(&str, &str, &str)] = &[
    ("name", "", "\"quickstart\""),
    ("data", "", "[data]"),
    ("data.source", "", "\"synthetic\""),
    ("data.path", "", "\"corpora/rfc.txt\""),
    ("data.column", "", "\"text\""),
    ("data.weights", "", "{ rfc = 1.0, docs = 0.5 }"),
    ("data.parts", "", "[{ source = \"text\", path = \"corpora/rfc.txt\", weight = 0.5 }]"),
    ("data.separator", "", "\"<|endoftext|>\""),
    ("data.deduplicate", "", "true"),
    ("data.skip_bad", "", "true"),
    ("data.dtype", "", "\"uint32\""),
    ("data.validation_path", "", "\"corpora/validation.bin\""),
    ("data.tokenizer", "", "\"corpora/tokenizer.json\""),
    ("data.vocab", "tokens", "1024"),
    ("data.history", "tokens", "1"),
    ("data.validation_fraction", "share", "0.02"),
    ("data.max_epochs", "epochs", "1.0"),
    ("data.train_tokens", "tokens", "1e6"),
    ("data.keep", "share", "0.5"),
    ("data.keep_by", "", "\"ngram\""),
    ("data.keep_scores", "", "\"middle\""),
    ("data.keep_file", "", "\"scores.txt\""),
    ("data.seed", "", "1"),
    ("model", "", "[model]"),
    ("model.parameterization", "", "\"standard\""),
    ("model.context", "tokens", "128"),
    ("model.head_dim", "channels", "16"),
    ("model.width", "channels", "64"),
    ("model.depth", "blocks", "4"),
    ("model.aspect_ratio", "channels per block", "32.0"),
    ("model.base_width", "channels", "64"),
    ("model.base_depth", "blocks", "4"),
    ("model.base_head_dim", "channels", "16"),
    ("model.zero_init_unembedding", "", "true"),
    ("model.zero_init_query", "", "true"),
    ("model.embedding_std", "", "1.0"),
    ("model.mixer", "", "\"lstm\""),
    ("model.positions", "", "\"learned\""),
    ("model.kv_sharing", "heads", "4"),
    ("model.qk_norm", "", "true"),
    ("model.mlp", "", "\"swiglu\""),
    ("model.experts", "", "[model.experts]"),
    ("model.experts.count", "experts", "8"),
    ("model.experts.active", "experts", "2"),
    ("model.experts.shared", "experts", "1"),
    ("model.experts.granularity", "", "2"),
    ("model.experts.balance", "", "0.01"),
    ("model.embedding", "", "\"tied\""),
    ("model.norm", "", "\"layer\""),
    ("model.norm_place", "", "\"after\""),
    ("optimizer", "", "[optimizer]"),
    ("optimizer.kind", "", "\"adamw\""),
    ("optimizer.learning_rate", "", "{ value = 0.01, at_params = 1e5, exponent = -0.333 }"),
    ("optimizer.learning_rate.value", "", "0.01"),
    ("optimizer.learning_rate.at_params", "parameters", "1e5"),
    ("optimizer.learning_rate.at_tokens", "tokens", "2e6"),
    ("optimizer.learning_rate.exponent", "", "-0.333"),
    ("optimizer.batch_tokens", "tokens", "{ value = 4096, at_params = 1e5, exponent = 0.667 }"),
    ("optimizer.batch_tokens.value", "tokens", "4096"),
    ("optimizer.batch_tokens.at_params", "parameters", "1e5"),
    ("optimizer.batch_tokens.at_tokens", "tokens", "2e6"),
    ("optimizer.batch_tokens.exponent", "", "0.667"),
    ("optimizer.beta1", "", "0.9"),
    ("optimizer.beta2", "", "0.99"),
    ("optimizer.epsilon", "", "1e-8"),
    ("optimizer.momentum", "", "0.95"),
    ("optimizer.weight_decay", "", "0.1"),
    ("optimizer.weight_decay_tokens", "tokens", "1e8"),
    ("optimizer.weight_decay_tokens.value", "tokens", "1e8"),
    ("optimizer.weight_decay_tokens.at_params", "parameters", "1e5"),
    ("optimizer.weight_decay_tokens.at_tokens", "tokens", "2e6"),
    ("optimizer.weight_decay_tokens.exponent", "", "0.5"),
    ("optimizer.clip_norm", "", "1.0"),
    ("schedule", "", "[schedule]"),
    ("schedule.kind", "", "\"cosine\""),
    ("schedule.floor", "share", "0.1"),
    ("schedule.warmup_tokens_per_param", "tokens per parameter", "1.0"),
    ("schedule.warmup_tokens", "tokens", "5e5"),
    ("schedule.warmup_max_fraction", "share", "0.2"),
    ("schedule.decay_fraction", "share", "0.2"),
    ("schedule.cooldown", "", "\"1-sqrt\""),
    ("schedule.decay_tokens", "tokens", "1e8"),
    ("schedule.tokens", "tokens", "1e7"),
    ("schedule.tokens_per_param", "tokens per parameter", "20.0"),
    ("schedule.flops", "FLOPs", "1e12"),
    ("eval", "", "[eval]"),
    ("eval.tokens", "tokens", "131072"),
    ("eval.curve_points", "points", "50"),
    ("eval.by_position", "", "true"),
    ("eval.tasks", "", "[{ kind = \"copy\", questions = 200, length = 8 }]"),
    ("train", "", "[train]"),
    ("train.precision", "", "\"bf16\""),
    ("train.command", "", "[\"python3\", \"train.py\", \"{config}\"]"),
    ("train.inputs", "", "[\"train.py\"]"),
    ("train.config", "", "{ dropout = 0.1 }"),
    ("train.local", "", "{ data_dir = \"/data/c4\", wandb_project = \"scaling\" }"),
    ("train.cards", "cards", "8"),
    ("train.count", "", "[train.count]"),
    ("train.count.params", "parameters", "\"12 * n_layer * n_embd^2 + 2 * vocab * n_embd\""),
    ("train.count.params_non_embedding", "parameters", "\"12 * n_layer * n_embd^2\""),
    ("train.count.params_blocks_and_unembedding", "parameters", "\"12 * n_layer * n_embd^2 + vocab * n_embd\""),
    ("train.count.flops_per_token", "FLOPs", "\"6 * params_blocks_and_unembedding\""),
    ("train.count.command", "", "[\"python3\", \"train.py\", \"--count\", \"{config}\"]"),
    ("train.patience_seconds", "seconds", "600"),
    ("train.step_patience_seconds", "seconds", "6000"),
    ("sweep", "", "[sweep]"),
    ("sweep.budgets", "FLOPs", "[1e12, 3e12, 1e13]"),
    ("sweep.params", "parameters", "[3e4, 1e5, 3e5, 1e6]"),
    ("sweep.models", "", "[{ config = { n_layer = 4, n_embd = 128 } }]"),
    ("sweep.sizes", "sizes", "7"),
    ("sweep.spread", "factor", "4.0"),
    ("sweep.expected_tokens_per_param", "tokens per parameter", "20.0"),
    ("sweep.min_steps", "steps", "100"),
    ("sweep.seeds", "", "[1]"),
    ("sweep.one_seed_from", "FLOPs", "1e13"),
    ("sweep.share_trunk", "", "true"),
    ("sweep.choose", "", "\"adaptive\""),
    ("sweep.goal", "", "\"tokens_per_param at 1e13\""),
    ("sweep.known", "", "[\"results/old\"]"),
    ("sweep.limit_flops", "FLOPs", "1e14"),
    ("sweep.limit_hours", "hours", "8.0"),
    ("sweep.stop_width", "", "1.2"),
    ("sweep.tune", "", "[\"learning_rate\"]"),
    ("sweep.stop_early", "", "[sweep.stop_early]"),
    ("sweep.stop_early.margin", "factor", "1.5"),
    ("sweep.stop_early.after", "share", "0.2"),
    ("sweep.axes", "", "{ \"model.width\" = [32, 64] }"),
    ("sweep.zip", "", "[{ \"model.width\" = [32, 64], \"model.depth\" = [2, 4] }]"),
    ("fit", "", "[fit]"),
    ("fit.law", "", "\"tokens\""),
    ("fit.formula", "", "\"loss = E + A/N^alpha + B/D^beta\""),
    ("fit.unknown", "", "[\"alpha in 0..2\"]"),
    ("fit.by", "", "\"model.depth\""),
    ("fit.tuned", "", "[\"optimizer.learning_rate\"]"),
    ("fit.target_loss", "nats per token", "[3.5, 3.2]"),
    ("fit.residuals", "", "\"plain\""),
    ("fit.objective", "", "\"huber\""),
    ("fit.delta", "", "1e-3"),
    ("fit.overestimates", "factor", "10.0"),
    ("fit.multistart", "starts", "64"),
    ("fit.cost", "", "\"6*N*D\""),
    ("launcher", "", "[launcher]"),
    ("launcher.kind", "", "\"slurm\""),
    ("launcher.workers", "tasks", "4"),
    ("launcher.partition", "", "\"gpu\""),
    ("launcher.account", "", "\"physics\""),
    ("launcher.time", "", "\"08:00:00\""),
    ("launcher.gres", "", "\"gpu:1\""),
    ("launcher.cpus", "CPUs", "4"),
    ("launcher.mem", "", "\"16G\""),
    ("launcher.checkpoint_seconds", "seconds", "120"),
    ("launcher.requeue_limit", "times", "20"),
    ("launcher.options", "", "[\"--qos=long\"]"),
    ("launcher.setup", "", "[\"module load cuda\"]"),
];

/// A value that could stand at a key, as TOML; the header of a table for a table.
pub(super) fn example(key: &str) -> Option<&'static str> {
    KEYS.iter().find(|row| row.0 == key).map(|row| row.2)
}

/// The unit of the value at a key, where it has one.
pub(super) fn unit(key: &str) -> Option<&'static str> {
    KEYS.iter().find(|row| row.0 == key).map(|row| row.1).filter(|unit| !unit.is_empty())
}

/// Place of a key in the order of a spec.
pub(super) fn position(key: &str) -> usize {
    KEYS.iter().position(|row| row.0 == key).unwrap_or(KEYS.len())
}

/// Every key that has a row.
#[cfg(test)]
pub(super) fn all() -> impl Iterator<Item = &'static str> {
    KEYS.iter().map(|row| row.0)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_key_of_the_types_has_a_row_and_every_row_is_a_key() {
        let entries = super::super::entries();
        let keys: BTreeSet<&str> = entries.iter().map(|entry| entry.key.as_str()).collect();
        assert_eq!(keys, all().collect(), "keep KEYS in step with the types");
        assert_eq!(entries.len(), all().count(), "no key stands twice");
    }
}
