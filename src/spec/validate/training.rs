//! `[optimizer]`, `[schedule]` and `[eval]`: how a run is trained and measured.

use crate::spec::check::{Checked, absent, not_negative, positive, present, require, share};
use crate::spec::error::Fault;
use crate::spec::{At, Eval, Optimizer, PowerRule, Schedule, ScheduleKind, Train};

/// Checks `[train]`.
pub(super) fn train(train: &Train, sweeps: bool) -> Checked {
    let Train { precision, command, inputs, patience_seconds } = train;
    let by_program = !command.is_empty();
    absent(
        "train.command",
        by_program && !sweeps,
        "a program trains the runs of a [sweep]; one seed makes it one run",
    )?;
    absent("train.precision", by_program && !precision.is_default(), "the program of train.command has its own")?;
    absent("train.inputs", !inputs.is_empty() && !by_program, "only train.command has inputs")?;
    absent("train.patience_seconds", patience_seconds.is_some() && !by_program, "only train.command is waited for")?;
    require(command.first().is_none_or(|program| !program.trim().is_empty()), "train.command", || {
        ("no program is named", "write the program first, as in [\"python3\", \"train.py\", \"{config}\"]")
    })?;
    require(!by_program || command.iter().any(|word| word.contains("{config}")), "train.command", || {
        let problem = "the program is not told of its run";
        (
            problem,
            "write {config} where it takes the path of a JSON file, as in [\"python3\", \"train.py\", \"{config}\"]",
        )
    })?;
    patience_seconds.map_or(Ok(()), |seconds| positive("train.patience_seconds", seconds, "600"))
}

/// Checks `[optimizer]`.
pub(super) fn optimizer(optimizer: &Optimizer) -> Checked {
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

/// Checks `[schedule]`; with `budgets` the sweep says how long runs are.
pub(super) fn schedule(schedule: &Schedule, budgets: bool) -> Checked {
    let Schedule {
        kind,
        floor,
        warmup_tokens_per_param,
        warmup_tokens,
        warmup_max_fraction,
        decay_fraction,
        decay_tokens,
        tokens: _,
        tokens_per_param: _,
        flops: _,
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
            let problem = format!("{decay} does not fit with a warm-up of up to {warmup_max_fraction}");
            (problem, "write a number above 0 that leaves room for it, such as 0.2")
        })?;
    } else {
        absent("schedule.decay_fraction", decay_fraction.is_some(), "only kind = \"wsd\" has it")?;
    }
    if let Some(tokens) = *decay_tokens {
        absent("schedule.decay_tokens", *kind != ScheduleKind::Cosine, "only kind = \"cosine\" has it")?;
        positive("schedule.decay_tokens", tokens, "1e8")?;
    }
    length(schedule, budgets)
}

/// One key says how long a run is, unless the sweep does.
fn length(Schedule { tokens, tokens_per_param, flops, .. }: &Schedule, budgets: bool) -> Checked {
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
            "missing: the length of the run is not given",
            "write one of tokens, tokens_per_param and flops, such as tokens = 1e7",
        )),
        [first, second, ..] => {
            Err(Fault::new(*second, format!("{first} is given too"), "keep one of tokens, tokens_per_param and flops"))
        }
        _ => Ok(()),
    }
}

/// Checks `[eval]`.
pub(super) fn eval(eval: &Eval, context: usize) -> Checked {
    let Eval { tokens, curve_points } = eval;
    require(*tokens >= 2 * context as u64 && *tokens <= 1 << 40, "eval.tokens", || {
        let problem = format!("{tokens} tokens cannot measure a loss");
        (problem, format!("write at least two sequences of {context}, such as {}", 1024 * context))
    })?;
    require((1..=1_000_000).contains(curve_points), "eval.curve_points", || {
        (format!("{curve_points} points are not a curve"), "write a whole number of 1 or more, such as 50")
    })
}
