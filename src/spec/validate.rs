//! What a spec may say: ranges of values, and which fields belong together.

use std::collections::BTreeSet;

use super::check::{Checked, absent, list, not_negative, positive, present, require, share};
use super::error::Fault;
use super::launcher;
use super::{At, Data, Eval, Model, Optimizer, Part, PowerRule, Schedule, ScheduleKind, Source, Spec, Sweep};

/// The shortest run whose length can be met within 1% by a whole number of steps.
pub(crate) const MIN_STEPS: usize = 50;
/// Fewer sizes do not show where the minimum of an IsoFLOP curve lies.
pub(crate) const MIN_SIZES: usize = 7;

/// More parts are a slip of the pen.
const MOST_PARTS: usize = 1000;

/// Checks one point of a sweep, or a single run.
pub(super) fn spec(spec: &Spec) -> Checked {
    name(&spec.name)?;
    data(&spec.data)?;
    // Before the shapes and lengths, which depend on what the sweep decides.
    spec.sweep.as_ref().map_or(Ok(()), sweep)?;
    let ladder = spec.sweep.as_ref().is_some_and(|sweep| sweep.budgets.is_some() || sweep.params.is_some());
    model(&spec.model, ladder)?;
    optimizer(&spec.optimizer)?;
    schedule(&spec.schedule, spec.sweep.as_ref().is_some_and(|sweep| sweep.budgets.is_some()))?;
    eval(&spec.eval, spec.model.context)?;
    absent("launcher", spec.launcher.is_some() && spec.sweep.is_none(), "one run is trained where it is started")?;
    spec.launcher.as_ref().map_or(Ok(()), launcher::check)?;
    seeds(spec)
}

/// Checks the seeds, which must fit TOML's whole numbers before a spec can be written.
pub(super) fn seeds(spec: &Spec) -> Checked {
    let fits = |key: &str, seed: u64| {
        require(i64::try_from(seed).is_ok(), key, || (format!("{seed} is too large for TOML"), "write a smaller seed"))
    };
    fits("data.seed", spec.data.seed)?;
    let Some(sweep) = &spec.sweep else { return Ok(()) };
    sweep.seeds.iter().try_for_each(|seed| fits("sweep.seeds", *seed))?;
    let distinct: BTreeSet<u64> = sweep.seeds.iter().copied().collect();
    require(!sweep.seeds.is_empty(), "sweep.seeds", || ("no seeds".to_owned(), "write at least one, such as [1]"))?;
    require(distinct.len() == sweep.seeds.len(), "sweep.seeds", || {
        ("a seed is listed twice, which would be the same runs twice".to_owned(), "write each once, such as [1, 2, 3]")
    })
}

fn name(name: &str) -> Checked {
    let first = name.chars().next().is_some_and(|c| c.is_ascii_alphanumeric());
    let rest = name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
    require(first && rest && name.len() <= 100 && !name.contains(".."), "name", || {
        let problem = format!("{name:?} cannot name a results folder");
        (problem, "write up to 100 of A-Z a-z 0-9 . _ - beginning with a letter or digit, such as \"isoflop-rfc\"")
    })
}

/// Checks `[data]`.
pub(super) fn data(data: &Data) -> Checked {
    let Data {
        source,
        path,
        column,
        validation_path,
        tokenizer,
        vocab,
        validation_fraction,
        max_epochs,
        seed: _,
        parts,
    } = data;
    if let Some(vocab) = vocab {
        require((256..=65_536).contains(vocab), "data.vocab", || {
            (format!("a vocabulary of {vocab} is impossible"), "write a whole number from 256 to 65536, such as 1024")
        })?;
    }
    if let Some(fraction) = validation_fraction {
        require(*fraction > 0.0 && *fraction < 1.0, "data.validation_fraction", || {
            (format!("{fraction} is not a share"), "write a number above 0 and below 1, such as 0.02")
        })?;
    }
    positive("data.max_epochs", *max_epochs, "1.0, which refuses to repeat data")?;
    let columns = matches!(source, Source::Jsonl | Source::Parquet);
    absent("data.column", column.is_some() && !columns, "only JSON Lines and Parquet have columns")?;
    absent("data.parts", !parts.is_empty() && *source != Source::Mixture, "only source = \"mixture\" has parts")?;
    match source {
        Source::Synthetic => {
            let why = "the built-in language is generated, without files or a split";
            absent("data.path", path.is_some(), why)?;
            absent("data.validation_path", validation_path.is_some(), why)?;
            absent("data.tokenizer", tokenizer.is_some(), why)?;
            absent("data.validation_fraction", validation_fraction.is_some(), why)?;
            present("data.vocab", vocab.is_some(), "write the size of the language's vocabulary, such as 512")
        }
        Source::Text | Source::Jsonl | Source::Parquet => {
            let such = format!("write the file, such as \"corpora/{}\"", example(*source));
            present("data.path", path.is_some(), &such)?;
            present("data.column", column.is_some() || !columns, "write the one with the text, such as \"text\"")?;
            text(data)
        }
        Source::Mixture => {
            absent("data.path", path.is_some(), "each part of a mixture has its own")?;
            mixture(parts)?;
            text(data)
        }
        Source::Bin => {
            present("data.path", path.is_some(), "write the token file, such as \"corpora/train.bin\"")?;
            absent("data.tokenizer", tokenizer.is_some(), "a token file is tokenized already")?;
            present("data.vocab", vocab.is_some(), "write the vocabulary of the tokens, such as 50257")?;
            require(validation_path.is_some() != validation_fraction.is_some(), "data.validation_fraction", || {
                match validation_path {
                    None => ("missing".to_owned(), "write a share such as 0.02, or validation_path = a file"),
                    Some(_) => ("written beside validation_path".to_owned(), "delete one of the two"),
                }
            })
        }
    }
}

/// Name of a file, for errors.
fn example(source: Source) -> &'static str {
    match source {
        Source::Jsonl => "web-*.jsonl",
        Source::Parquet => "train-*.parquet",
        _ => "rfc.txt",
    }
}

/// What all texts need: a split, and a tokenizer or the size of one to train.
fn text(data: &Data) -> Checked {
    let Data { validation_path, validation_fraction, tokenizer, vocab, .. } = data;
    absent("data.validation_path", validation_path.is_some(), "text is split by validation_fraction")?;
    present("data.validation_fraction", validation_fraction.is_some(), "write a share such as 0.02")?;
    require(tokenizer.is_some() != vocab.is_some(), "data.vocab", || match tokenizer {
        None => ("missing".to_owned(), "write the vocabulary to train, such as 1024, or tokenizer = a file"),
        Some(_) => ("written beside tokenizer, which has its own".to_owned(), "delete one of the two"),
    })
}

/// Checks the parts of a mixture.
fn mixture(parts: &[Part]) -> Checked {
    require(!parts.is_empty() && parts.len() <= MOST_PARTS, "data.parts", || {
        let problem = format!("{} parts are no mixture", parts.len());
        (problem, format!("write 1 to {MOST_PARTS} tables [[data.parts]] with source, path and weight"))
    })?;
    let weighted = parts.iter().any(|part| part.weight.is_some());
    for (at, Part { source, path: _, column, weight }) in parts.iter().enumerate() {
        let key = |name: &str| format!("data.parts.{at}.{name}");
        let columns = matches!(source, Source::Jsonl | Source::Parquet);
        require(columns || *source == Source::Text, &key("source"), || {
            ("only texts can be mixed".to_owned(), "write \"text\", \"jsonl\" or \"parquet\"")
        })?;
        absent(&key("column"), column.is_some() && !columns, "only JSON Lines and Parquet have columns")?;
        present(&key("column"), column.is_some() || !columns, "write the one with the text, such as \"text\"")?;
        present(&key("weight"), weight.is_some() || !weighted, "write a weight for every part, or for none")?;
        positive(&key("weight"), weight.unwrap_or(1.0), "0.5")?;
    }
    Ok(())
}

fn model(model: &Model, ladder: bool) -> Checked {
    let Model {
        parameterization,
        context,
        head_dim,
        width,
        depth,
        aspect_ratio,
        base_width,
        base_depth,
        base_head_dim,
        zero_init_unembedding: _,
        zero_init_query: _,
    } = model;
    let within = |key: &str, value: usize, most: usize, such: &'static str| {
        require((1..=most).contains(&value), key, || {
            (format!("{value} is impossible"), format!("write a whole number from 1 to {most}, such as {such}"))
        })
    };
    within("model.context", *context, 1 << 20, "128")?;
    for (key, head_dim) in [("model.head_dim", Some(head_dim)), ("model.base_head_dim", base_head_dim.as_ref())] {
        let Some(head_dim) = head_dim else { continue };
        within(key, *head_dim, 1024, "16")?;
        require(head_dim.is_multiple_of(2), key, || {
            (format!("{head_dim} is odd"), "write an even number such as 16: rotary positions turn channels in pairs")
        })?;
    }
    let base_heads = base_head_dim.map_or(("head_dim", *head_dim), |channels| ("base_head_dim", channels));
    for (key, width, (name, channels)) in
        [("model.width", width, ("head_dim", *head_dim)), ("model.base_width", base_width, base_heads)]
    {
        let Some(width) = width else { continue };
        within(key, *width, 1 << 17, "64")?;
        require(width.is_multiple_of(channels), key, || {
            let near = (width / channels).max(1) * channels;
            (format!("{width} is not a multiple of {name} = {channels}"), format!("write such as {near}"))
        })?;
    }
    for (key, depth) in [("model.depth", depth), ("model.base_depth", base_depth)] {
        let Some(depth) = depth else { continue };
        within(key, *depth, 10_000, "4")?;
    }
    if let Some(aspect_ratio) = aspect_ratio {
        require((1.0..=1000.0).contains(aspect_ratio), "model.aspect_ratio", || {
            (format!("{aspect_ratio} is impossible"), "write a number from 1 to 1000, such as 32.0")
        })?;
    }
    if ladder {
        let why = "the sweep chooses the shapes";
        absent("model.width", width.is_some(), why)?;
        absent("model.depth", depth.is_some(), why)?;
        present("model.aspect_ratio", aspect_ratio.is_some(), "write the width per block of the sizes, such as 32.0")?;
    } else {
        present("model.width", width.is_some(), "write the channels of the residual stream, such as 64")?;
        present("model.depth", depth.is_some(), "write the number of blocks, such as 4")?;
        absent("model.aspect_ratio", aspect_ratio.is_some(), "width and depth are written out")?;
    }
    // A base shape that is not looked at is allowed: an axis may compare parameterizations.
    let (name, by_width, by_depth) =
        (parameterization.name(), parameterization.reads_base_width(), parameterization.reads_base_depth());
    let bases = [
        ("model.base_width", by_width, base_width, "width", "64"),
        ("model.base_head_dim", by_width, base_head_dim, "head_dim", "16"),
        ("model.base_depth", by_depth, base_depth, "depth", "4"),
    ];
    for (key, read, base, what, such) in bases {
        require(!read || base.is_some(), key, || {
            let remedy = format!("write the {what} at which the learning rate was tuned, such as {such}");
            (format!("missing, and {name} needs it"), remedy)
        })?;
    }
    Ok(())
}

fn optimizer(optimizer: &Optimizer) -> Checked {
    let Optimizer { kind: _, learning_rate, batch_tokens, beta1, beta2, epsilon, weight_decay, clip_norm } = optimizer;
    rule("optimizer.learning_rate", learning_rate, "0.01")?;
    rule("optimizer.batch_tokens", batch_tokens, "4096")?;
    for (key, beta, such) in [("optimizer.beta1", beta1, "0.9"), ("optimizer.beta2", beta2, "0.99")] {
        require((0.0..1.0).contains(beta), key, || {
            (format!("{beta} is not a decay"), format!("write a number from 0 to below 1, such as {such}"))
        })?;
    }
    positive("optimizer.epsilon", *epsilon, "1e-8")?;
    not_negative("optimizer.weight_decay", *weight_decay, "0.1, or 0 for none")?;
    not_negative("optimizer.clip_norm", *clip_norm, "1.0, or 0 for no clipping")
}

fn rule(key: &str, rule: &PowerRule, such: &'static str) -> Checked {
    let PowerRule { value, at, exponent } = *rule;
    if rule == &PowerRule::constant(value) || !value.is_finite() {
        return positive(key, value, such);
    }
    positive(&format!("{key}.value"), value, such)?;
    match at {
        At::Params(at) => positive(&format!("{key}.at_params"), at, "1e5")?,
        At::Tokens(at) => positive(&format!("{key}.at_tokens"), at, "2e6")?,
    }
    require(exponent.is_finite() && exponent.abs() <= 10.0, &format!("{key}.exponent"), || {
        (format!("{exponent} is not a usable exponent"), "write a number such as -0.333")
    })
}

fn schedule(schedule: &Schedule, budgets: bool) -> Checked {
    let Schedule {
        kind,
        floor,
        warmup_tokens_per_param,
        warmup_tokens,
        warmup_max_fraction,
        decay_fraction,
        decay_tokens,
        tokens,
        tokens_per_param,
        flops,
    } = schedule;
    share("schedule.floor", *floor, "0.1")?;
    let such = "1.0, or 0 for no warm-up";
    present("schedule.warmup_tokens_per_param", warmup_tokens_per_param.or(*warmup_tokens).is_some(), such)?;
    if let Some(tokens) = *warmup_tokens_per_param {
        not_negative("schedule.warmup_tokens_per_param", tokens, such)?;
        absent("schedule.warmup_tokens", warmup_tokens.is_some(), "warmup_tokens_per_param says how long warm-up is")?;
    }
    not_negative("schedule.warmup_tokens", warmup_tokens.unwrap_or_default(), "5e5, or 0 for no warm-up")?;
    share("schedule.warmup_max_fraction", *warmup_max_fraction, "0.2")?;
    if *kind == ScheduleKind::Wsd {
        let Some(decay) = *decay_fraction else {
            return present("schedule.decay_fraction", false, "write the share over which wsd decays, such as 0.2");
        };
        share("schedule.decay_fraction", decay, "0.2")?;
        require(decay > 0.0 && decay + warmup_max_fraction <= 1.0, "schedule.decay_fraction", || {
            let problem = format!("{decay} does not fit beside a warm-up of up to {warmup_max_fraction}");
            (problem, "write a number above 0 that leaves room for it, such as 0.2")
        })?;
    } else {
        absent("schedule.decay_fraction", decay_fraction.is_some(), "only kind = \"wsd\" has it")?;
    }
    if let Some(tokens) = *decay_tokens {
        absent("schedule.decay_tokens", *kind != ScheduleKind::Cosine, "only kind = \"cosine\" has it")?;
        positive("schedule.decay_tokens", tokens, "1e8")?;
    }
    let lengths = [
        ("schedule.tokens", tokens, "1e7"),
        ("schedule.tokens_per_param", tokens_per_param, "20.0"),
        ("schedule.flops", flops, "1e12"),
    ];
    for (key, length, such) in lengths {
        let Some(length) = length else { continue };
        absent(key, budgets, "sweep.budgets decide how long runs are")?;
        positive(key, *length, such)?;
    }
    let written: Vec<&str> = lengths.iter().filter(|length| length.1.is_some()).map(|length| length.0).collect();
    match written.as_slice() {
        [] if !budgets => Err(Fault::new(
            "schedule.tokens",
            "missing: nothing says how long a run is",
            "write one of tokens, tokens_per_param and flops, such as tokens = 1e7",
        )),
        [first, second, ..] => Err(Fault::new(
            *second,
            format!("written beside {first}"),
            "keep one of tokens, tokens_per_param and flops",
        )),
        _ => Ok(()),
    }
}

fn eval(eval: &Eval, context: usize) -> Checked {
    let Eval { tokens, curve_points } = eval;
    require(*tokens >= 2 * context as u64 && *tokens <= 1 << 40, "eval.tokens", || {
        let problem = format!("{tokens} tokens cannot measure a loss");
        (problem, format!("write at least two sequences of {context}, such as {}", 1024 * context))
    })?;
    require((1..=1_000_000).contains(curve_points), "eval.curve_points", || {
        (format!("{curve_points} points are no curve"), "write a whole number of 1 or more, such as 50")
    })
}

fn sweep(sweep: &Sweep) -> Checked {
    // Axes and zips are checked where they are multiplied out, seeds in `seeds`.
    let Sweep {
        budgets,
        params,
        sizes,
        spread,
        expected_tokens_per_param,
        min_steps,
        one_seed_from,
        seeds: _,
        axes: _,
        zip: _,
    } = sweep;
    if let Some(flops) = *one_seed_from {
        absent("sweep.one_seed_from", budgets.is_none(), "it is a budget, and there is none")?;
        positive("sweep.one_seed_from", flops, "1e13")?;
    }
    if let Some(budgets) = budgets {
        let remedy = "write training FLOPs above 0 and up to 1e27, such as [1e12, 3e12, 1e13]";
        list("sweep.budgets", budgets, 1e27, "budget", remedy)?;
    }
    if let Some(params) = params {
        list(
            "sweep.params",
            params,
            1e14,
            "size",
            "write numbers of parameters above 0 and up to 1e14, such as [3e4, 1e5, 3e5]",
        )?;
    }
    require(*min_steps >= MIN_STEPS, "sweep.min_steps", || {
        let problem = format!("a run of {min_steps} steps cannot meet its budget within 1%");
        (problem, format!("write {MIN_STEPS} or more, such as 100"))
    })?;
    let spreading = [
        ("sweep.sizes", sizes.is_some(), "write how many sizes each budget gets, such as 7"),
        ("sweep.spread", spread.is_some(), "write the factor from the expected optimum to either end, such as 4.0"),
        ("sweep.expected_tokens_per_param", expected_tokens_per_param.is_some(), "write where to centre, such as 20.0"),
    ];
    for (key, written, remedy) in spreading {
        absent(
            key,
            written && budgets.is_none(),
            "sizes are spread around the optimum of a budget, and there is none",
        )?;
        absent(key, written && params.is_some(), "sweep.params lists the sizes")?;
        present(key, written || budgets.is_none() || params.is_some(), remedy)?;
    }
    if let Some(sizes) = *sizes {
        require((MIN_SIZES..=1000).contains(&sizes), "sweep.sizes", || {
            (format!("{sizes} sizes do not show a minimum"), format!("write {MIN_SIZES} or more (up to 1000)"))
        })?;
    }
    if let Some(spread) = *spread {
        require(spread > 1.0 && spread <= 100.0, "sweep.spread", || {
            (format!("{spread} does not spread sizes"), "write a factor above 1, up to 100, such as 4.0")
        })?;
    }
    let Some(ratio) = *expected_tokens_per_param else { return Ok(()) };
    require((1e-3..=1e6).contains(&ratio), "sweep.expected_tokens_per_param", || {
        (format!("{ratio} is impossible"), "write a number from 0.001 to 1e6, such as 20.0")
    })
}
