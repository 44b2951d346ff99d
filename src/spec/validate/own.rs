//! `[[sweep.models]]` and `[train.count]`: models that only a program knows.

use std::collections::BTreeSet;

use crate::spec::check::{Checked, absent, require};
use crate::spec::counting::counted;
use crate::spec::{Count, Model, OwnModel, Source, Spec};

/// Checks `[model]` where the program has shapes of its own: of it only the context is read.
pub(super) fn model(model: &Model) -> Checked {
    let why = "the models are those of sweep.models";
    absent("model.width", model.width.is_some(), why)?;
    absent("model.depth", model.depth.is_some(), why)?;
    absent("model.aspect_ratio", model.aspect_ratio.is_some(), why)?;
    require((1..=1 << 26).contains(&model.context), "model.context", || {
        (format!("{} is impossible", model.context), "write the tokens of one sequence, such as 1024")
    })
}

/// Checks the models, their counts, and what belongs to a program alone.
pub(super) fn check(spec: &Spec) -> Checked {
    let by_program = !spec.train.command.is_empty();
    let only = "only the program of train.command has it";
    absent("train.config", !spec.train.config.is_empty() && !by_program, only)?;
    absent("sweep.models", spec.has_own_models() && !by_program, only)?;
    let own_data = spec.data.source == Source::Program;
    require(!own_data || by_program, "data.source", || {
        ("\"program\" is the data of a train.command, and there is none", "write another source, or a [train] command")
    })?;
    require(!own_data || spec.has_own_models() || spec.data.vocab.is_some(), "data.vocab", || {
        ("missing", "write the size of the program's vocabulary, by which transformers are counted, such as 50257")
    })?;
    let models = spec.sweep.as_ref().map_or(&[][..], |sweep| &sweep.models);
    let Some(count) = &spec.train.count else { return counts(spec, models, false) };
    absent("train.count", models.is_empty(), "only sweep.models are counted by it")?;
    command(count)?;
    counts(spec, models, !count.command.is_empty())
}

/// A command that counts is told what, and nothing else counts beside it.
fn command(count: &Count) -> Checked {
    let Count { params, params_non_embedding, params_blocks_and_unembedding, flops_per_token, command } = count;
    if command.is_empty() {
        return Ok(());
    }
    let why = "train.count.command says it";
    for (key, formula) in [
        ("train.count.params", params),
        ("train.count.params_non_embedding", params_non_embedding),
        ("train.count.params_blocks_and_unembedding", params_blocks_and_unembedding),
        ("train.count.flops_per_token", flops_per_token),
    ] {
        absent(key, formula.is_some(), why)?;
    }
    require(command.iter().any(|word| word.contains("{config}")), "train.count.command", || {
        let problem = "the program is not told of its model";
        (
            problem,
            "write {config} where it takes the path of a JSON file, as in [\"python3\", \"count.py\", \"{config}\"]",
        )
    })
}

/// Each model is counted, and stands once. What a command counts, is not known yet.
fn counts(spec: &Spec, models: &[OwnModel], by_command: bool) -> Checked {
    let (mut configs, mut names) = (BTreeSet::new(), BTreeSet::new());
    for (at, model) in models.iter().enumerate() {
        let (key, name) = (format!("sweep.models.{at}"), model.told());
        require(!name.trim().is_empty(), &key, || {
            ("nothing tells this model from others", "write config = { ... } with the program's keys, or a name")
        })?;
        // As text: TOML's numbers have no order. Keys stand in theirs.
        require(configs.insert(format!("{:?}", model.config)), &key, || {
            (format!("{name:?} has the same config as another model"), "write each model once")
        })?;
        require(names.insert(name.clone()), &key, || {
            (format!("another model is called {name:?} too"), "write another name")
        })?;
    }
    if by_command { Ok(()) } else { counted(spec).map(drop) }
}
