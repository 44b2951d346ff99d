//! Names that the field has for what the keys of a spec say: of papers, other trainers and everyday talk.

/// Keys, and the words that people type for them. In small letters and singular, with blanks in the place of `_` and `-`; several keys
/// where a word may mean any of them.
const TABLE: &[(&[&str], &[&str])] = &[
    (&["optimizer.learning_rate"], &["lr", "step size", "peak lr", "max lr", "learning rate", "maximum learning rate"]),
    (
        &["optimizer.batch_tokens"],
        &["bs", "batch", "batch size", "batchsize", "global batch size", "token per step", "token per batch"],
    ),
    (
        &["optimizer.weight_decay", "optimizer.weight_decay_tokens"],
        &["wd", "l2", "weight decay", "decay of weight", "regularization", "lambda"],
    ),
    (&["optimizer.beta1", "optimizer.beta2"], &["beta", "adam beta", "b1", "b2"]),
    (&["optimizer.clip_norm"], &["grad clip", "gradient clip", "gradient clipping", "max grad norm", "clip grad norm"]),
    (&["optimizer.kind"], &["optim", "adam", "optimiser"]),
    (
        &["schedule.warmup_tokens", "schedule.warmup_tokens_per_param", "schedule.warmup_max_fraction"],
        &["warmup", "warm up", "warmup step", "warmup ratio", "warmup fraction"],
    ),
    (&["schedule.kind"], &["lr schedule", "lr scheduler", "scheduler", "lr decay", "learning rate schedule"]),
    (&["schedule.floor"], &["min lr", "minimum learning rate", "final lr", "lr floor"]),
    (
        &["schedule.tokens", "schedule.tokens_per_param", "schedule.flops"],
        &["step", "max step", "train step", "iteration", "iter", "max iter", "duration", "length", "number of token"],
    ),
    (
        &["schedule.tokens_per_param", "sweep.expected_tokens_per_param"],
        &["tpp", "token per param", "token per parameter", "d/n", "chinchilla ratio"],
    ),
    (&["data.max_epochs"], &["epoch", "num epoch", "repetition"]),
    (&["data.vocab"], &["vocab size", "vocabulary", "vocabulary size", "n vocab"]),
    (&["data.source", "data.path"], &["dataset", "corpus", "text", "training data", "data file"]),
    (
        &["data.validation_fraction", "data.validation_path"],
        &["val split", "validation split", "validation set", "held out", "holdout", "test split"],
    ),
    (&["data.deduplicate"], &["dedup", "duplicate", "near duplicate"]),
    (
        &["model.width", "model.head_dim"],
        &["d model", "dmodel", "hidden size", "hidden dim", "n embd", "embedding size", "embedding dim", "dim"],
    ),
    (&["model.depth"], &["layer", "n layer", "num layer", "number of layer", "num hidden layer", "block"]),
    (
        &["model.head_dim"],
        &["head", "n head", "num head", "head size", "d head", "num attention head", "attention head"],
    ),
    (
        &["model.context"],
        &[
            "ctx",
            "n ctx",
            "seq len",
            "sequence length",
            "context length",
            "context window",
            "block size",
            "max seq len",
        ],
    ),
    (&["model.kv_sharing"], &["gqa", "mqa", "kv head", "n kv head", "num key value head", "grouped query attention"]),
    (&["model.embedding"], &["tie", "tied", "tied embedding", "weight tying", "tie word embedding"]),
    (&["model.mlp"], &["ffn", "mlp ratio", "activation", "activation function", "feed forward"]),
    (&["model.experts"], &["moe", "mixture of expert", "n expert", "num expert", "number of expert", "router"]),
    (&["model.parameterization", "model.base_width"], &["mup", "mutransfer", "maximal update parametrization"]),
    (&["model.parameterization", "model.embedding_std"], &["init", "init std", "initialization", "initializer range"]),
    (&["model.norm"], &["layernorm", "layer norm", "rmsnorm", "rms norm"]),
    (&["model.norm_place"], &["prenorm", "pre norm", "postnorm", "post norm"]),
    (&["model.positions"], &["positional encoding", "position embedding", "positional embedding"]),
    (&["sweep.budgets"], &["compute", "compute budget", "flop budget", "isoflop"]),
    (
        &["sweep.params", "sweep.sizes", "sweep.models"],
        &["model size", "parameter", "num param", "number of parameter", "n param"],
    ),
    (&["sweep.seeds", "data.seed"], &["random seed", "rng", "rng seed"]),
    (&["sweep.axes"], &["grid", "hyperparameter", "hyperparam", "hparam", "search space", "axis"]),
    (&["eval.curve_points"], &["eval interval", "eval step", "eval every", "log interval", "loss curve"]),
    (&["eval.tasks"], &["benchmark", "downstream", "evaluation task"]),
    (&["train.precision"], &["mixed precision", "amp", "half precision", "numeric precision"]),
    (&["train.cards", "launcher.gres"], &["gpu", "num gpu", "number of gpu", "device", "nproc", "world size"]),
    (&["train.patience_seconds", "train.step_patience_seconds"], &["timeout", "hang", "watchdog"]),
    (&["train.command"], &["trainer", "program", "script", "entrypoint"]),
    (&["launcher.time"], &["time limit", "walltime", "wall time"]),
    (&["launcher.partition"], &["queue"]),
    (&["launcher.mem"], &["memory", "ram"]),
    (&["sweep.stop_early"], &["early stopping", "pruning", "asha", "successive halving"]),
    (&["sweep.tune", "fit.tuned"], &["tuning", "autotune", "hyperparameter tuning"]),
];

/// The keys that a word stands for, if any.
pub(super) fn keys(word: &str) -> &'static [&'static str] {
    let plain = plain(word);
    TABLE.iter().find(|(_, words)| words.contains(&plain.as_str())).map_or(&[], |(keys, _)| keys)
}

/// A word as the table writes it.
fn plain(word: &str) -> String {
    let word = word.to_lowercase().replace(['_', '-'], " ");
    let singular = |part: &str| {
        // `class` and `bs` are no plurals either.
        let is_one = part.ends_with("ss") || ["axis", "corpus", "rms"].contains(&part);
        let is_plural = part.len() > 2 && part.ends_with('s') && !is_one;
        if is_plural { part[..part.len() - 1].to_owned() } else { part.to_owned() }
    };
    word.split_whitespace().map(singular).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::entries;

    #[test]
    fn each_word_stands_for_keys_that_are_there_and_for_one_line_of_the_table() {
        let known: Vec<String> = entries().into_iter().map(|entry| entry.key).collect();
        let mut words = Vec::new();
        for (keys, named) in TABLE {
            assert!(keys.iter().all(|key| known.iter().any(|known| known == key)), "{keys:?}");
            for word in *named {
                assert_eq!(plain(word), *word, "as it is looked for");
                assert!(!known.iter().any(|key| key == word), "{word} is a key");
                words.push(*word);
            }
        }
        let count = words.len();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), count, "a word is there twice");
    }

    #[test]
    fn what_people_type_is_found_however_they_write_it() {
        for (typed, key) in [
            ("lr", "optimizer.learning_rate"),
            ("LRs", "optimizer.learning_rate"),
            ("batch size", "optimizer.batch_tokens"),
            ("batch_size", "optimizer.batch_tokens"),
            ("bs", "optimizer.batch_tokens"),
            ("tokens-per-step", "optimizer.batch_tokens"),
            ("wd", "optimizer.weight_decay"),
            ("weight decay", "optimizer.weight_decay"),
            ("num_hidden_layers", "model.depth"),
            ("d_model", "model.width"),
            ("max_grad_norm", "optimizer.clip_norm"),
            ("betas", "optimizer.beta1"),
            ("GPUs", "train.cards"),
            ("axis", "sweep.axes"),
        ] {
            assert_eq!(keys(typed).first(), Some(&key), "{typed}");
        }
        assert!(["", "a", "colour", "s", "class"].iter().all(|typed| keys(typed).is_empty()));
    }
}
