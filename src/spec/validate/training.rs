//! `[optimizer]`, `[schedule]` and `[eval]`: how a run is trained and measured.

use crate::model::is_default;
use crate::optimizer::{Key, OptimizerKind};
use crate::spec::check::{Checked, absent, not_negative, positive, present, require, share};
use crate::spec::error::Fault;
use crate::spec::{At, Eval, Optimizer, PowerRule, Schedule, ScheduleKind, Source, Spec, Task, TaskKind, Train};

/// Seconds for which a program may be silent: a year, which is for ever.
const LONGEST_PATIENCE: f64 = 3.2e7;

/// Cards of one machine, with room to spare.
const MOST_CARDS: usize = 1024;

/// Checks `[train]`.
pub(super) fn train(train: &Train, sweeps: bool) -> Checked {
    // What only models of the program's own have is checked with them.
    let Train {
        precision,
        command,
        inputs,
        config: _,
        local,
        cards,
        count: _,
        patience_seconds,
        step_patience_seconds,
    } = train;
    let by_program = !command.is_empty();
    absent(
        "train.command",
        by_program && !sweeps,
        "a program trains the runs of a [sweep]; one seed makes it one run",
    )?;
    absent("train.precision", by_program && !is_default(precision), "the program of train.command has its own")?;
    absent("train.inputs", !inputs.is_empty() && !by_program, "only train.command has inputs")?;
    absent("train.local", !local.is_empty() && !by_program, "only the program of train.command has it")?;
    absent("train.cards", cards.is_some() && !by_program, "built-in models train on one card each")?;
    require(cards.is_none_or(|cards| (1..=MOST_CARDS).contains(&cards)), "train.cards", || {
        let problem = format!("a run takes 1 card at the least, and {MOST_CARDS} of one machine at the most");
        (problem, "write a whole number such as 8")
    })?;
    let waits = [("train.patience_seconds", patience_seconds), ("train.step_patience_seconds", step_patience_seconds)];
    for (key, seconds) in waits {
        absent(key, seconds.is_some() && !by_program, "only train.command is waited for")?;
        patience(key, *seconds)?;
    }
    require(command.first().is_none_or(|program| !program.trim().is_empty()), "train.command", || {
        ("no program is named", "write the program first, as in [\"python3\", \"train.py\", \"{config}\"]")
    })?;
    require(!by_program || command.iter().any(|word| word.contains("{config}")), "train.command", || {
        let problem = "the program is not told of its run";
        (
            problem,
            "write {config} where it takes the path of a JSON file, as in [\"python3\", \"train.py\", \"{config}\"]",
        )
    })
}

/// Seconds of waiting.
fn patience(key: &str, seconds: Option<f64>) -> Checked {
    let Some(seconds) = seconds else { return Ok(()) };
    positive(key, seconds, "600")?;
    require(seconds <= LONGEST_PATIENCE, key, || {
        (format!("{seconds} seconds are more than a year"), "write how long to wait, such as 600")
    })
}

/// Checks `[optimizer]`.
pub(super) fn optimizer(optimizer: &Optimizer) -> Checked {
    let Optimizer {
        kind,
        learning_rate,
        batch_tokens,
        beta1,
        beta2,
        epsilon,
        momentum,
        weight_decay,
        weight_decay_tokens,
        clip_norm,
    } = optimizer;
    rule("optimizer.learning_rate", learning_rate, "0.01")?;
    rule("optimizer.batch_tokens", batch_tokens, "4096")?;
    let numbers = [
        (Key::Beta1, *beta1, "0.9"),
        (Key::Beta2, *beta2, "0.99"),
        (Key::Epsilon, *epsilon, "1e-8"),
        (Key::Momentum, *momentum, "0.95"),
    ];
    for (key, number, such) in numbers {
        number_of(*kind, key, number, such)?;
    }
    decay(*weight_decay, weight_decay_tokens.as_ref())?;
    let such = "1.0, or 0 for no clipping";
    not_negative("optimizer.clip_norm", *clip_norm, such)?;
    require(*clip_norm == 0.0 || rounds_to_something(*clip_norm), "optimizer.clip_norm", || {
        (format!("{clip_norm:e} is 0 for the 32 bits of a device"), format!("write {such}"))
    })
}

/// Checks `[[eval.tasks]]`.
pub(super) fn tasks(spec: &Spec) -> Checked {
    let by_program = !spec.train.command.is_empty();
    let why = "the program of train.command measures by itself";
    absent("eval.tasks", by_program && !spec.eval.tasks.is_empty(), why)?;
    absent("eval.by_position", by_program && spec.eval.by_position, why)?;
    for (at, Task { kind, questions, length }) in spec.eval.tasks.iter().enumerate() {
        let key = |name: &str| format!("eval.tasks.{at}.{name}");
        require((4..=100_000).contains(questions), &key("questions"), || {
            (format!("{questions} questions tell nothing"), "write a whole number from 4 to 100000, such as 200")
        })?;
        let (context, least) = (spec.model.context, if *kind == TaskKind::Copy { 2 } else { 1 });
        let most = (least..=context).rev().find(|length| kind.tokens(*length) <= context);
        require(most.is_some_and(|most| (least..=most).contains(length)), &key("length"), || {
            let remedy = most.map_or("write a larger model.context".to_owned(), |most| {
                format!("write a whole number from {least} to {most}, or a larger model.context")
            });
            (format!("{} of length {length} does not fit into a context of {context}", kind.name()), remedy)
        })?;
        let text = !matches!(spec.data.source, Source::Synthetic | Source::Bin);
        require(*kind != TaskKind::Addition || text, &key("kind"), || {
            ("addition is asked in text, and this source has no tokenizer", "write another kind, or a source of text")
        })?;
        let same = |other: &Task| (other.kind, other.length) == (*kind, *length);
        require(!spec.eval.tasks[..at].iter().any(same), &key("kind"), || {
            ("the same task is listed twice".to_owned(), "write each once, or another length")
        })?;
    }
    Ok(())
}

/// A part of the corpus has a batch at least; where the batch depends on the size, planning sees to it.
pub(super) fn part(train_tokens: Option<f64>, batch_tokens: &PowerRule) -> Checked {
    let Some(tokens) = train_tokens else { return Ok(()) };
    let batch = batch_tokens.value;
    require(tokens >= batch || *batch_tokens != PowerRule::constant(batch), "data.train_tokens", || {
        let problem = format!("{tokens} tokens are less than a batch of {batch} (optimizer.batch_tokens)");
        (problem, format!("write at least that, such as {}", 100.0 * batch))
    })
}

/// Weight decay is a coefficient or a timescale.
fn decay(coefficient: Option<f64>, tokens: Option<&PowerRule>) -> Checked {
    let such = "0.1, or 0 for none";
    present("optimizer.weight_decay", coefficient.is_some() || tokens.is_some(), &format!("write {such}"))?;
    if let Some(tokens) = tokens {
        rule("optimizer.weight_decay_tokens", tokens, "1e8")?;
        let why = match coefficient {
            Some(0.0) => "weight_decay = 0 says that there is none",
            _ => "weight_decay says how strong it is",
        };
        absent("optimizer.weight_decay_tokens", coefficient.is_some(), why)?;
    }
    not_negative("optimizer.weight_decay", coefficient.unwrap_or_default(), such)
}

/// A number that is there where its optimizer reads it, and nowhere else.
fn number_of(kind: OptimizerKind, key: Key, number: Option<f64>, such: &str) -> Checked {
    let part = kind.part();
    let name = format!("optimizer.{}", key.name());
    let reads = part.keys.contains(&key);
    let readers = OptimizerKind::ALL.into_iter().map(OptimizerKind::part).filter(|part| part.keys.contains(&key));
    let readers = readers.map(|part| part.name).collect::<Vec<_>>().join(", ");
    absent(&name, number.is_some() && !reads, &format!("{} does not read it (read by {readers})", part.name))?;
    require(number.is_some() || !reads, &name, || {
        (format!("missing, and {} needs it", part.name), format!("write a number, such as {such}"))
    })?;
    let Some(number) = number else { return Ok(()) };
    match key {
        Key::Epsilon => {
            positive(&name, number, such)?;
            require(rounds_to_something(number), &name, || {
                let problem = format!("{number:e} is 0, or no number, for the 32 bits of a device");
                (problem, format!("write a number such as {such}"))
            })
        }
        Key::Beta1 | Key::Beta2 | Key::Momentum => {
            let remedy = || format!("write a number from 0 to below 1, such as {such}");
            require((0.0..1.0).contains(&number), &name, || (format!("{number} is not a decay"), remedy()))?;
            require((number as f32) < 1.0, &name, || (format!("{number} is 1 for the 32 bits of a device"), remedy()))
        }
    }
}

/// Whether a number above 0 is one for a device too.
fn rounds_to_something(number: f64) -> bool {
    (number as f32).is_normal()
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
        cooldown,
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
        absent("schedule.cooldown", !is_default(cooldown), "only kind = \"wsd\" has it")?;
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
pub(super) fn eval(eval: &Eval, spec: &Spec) -> Checked {
    let Eval { tokens, curve_points, by_position: _, tasks: _ } = eval;
    let context = if spec.has_own_models() { 0 } else { spec.model.context };
    // Of one sequence no error is known, and the parts that have weights are measured one by one.
    let parts = if spec.data.weights.is_empty() { 1 } else { spec.data.parts.len() };
    require(*tokens >= (2 * context * parts) as u64, "eval.tokens", || {
        let problem = format!("{tokens} tokens cannot measure a loss and its error");
        let each = if parts > 1 { format!(" of each of {parts} parts") } else { String::new() };
        (problem, format!("write at least two sequences of {context}{each}, such as {}", 1024 * context * parts))
    })?;
    require(*tokens <= 1 << 40, "eval.tokens", || {
        (format!("{tokens} tokens are no validation set"), "write a number up to 1e12, such as 655360")
    })?;
    require((1..=1_000_000).contains(curve_points), "eval.curve_points", || {
        (format!("{curve_points} points are not a curve"), "write a whole number of 1 or more, such as 50")
    })
}

#[cfg(test)]
mod tests {
    use crate::spec::{Cooldown, parse};

    const SMALL: &str = include_str!("../../../configs/small.toml");

    /// What is said of the small run after a line, found by its beginning, was written otherwise.
    fn complaint(line: &str, written: &str) -> String {
        let found = SMALL.lines().find(|text| text.starts_with(line)).expect("a line of the file");
        let text = SMALL.replace(found, written);
        parse(&text, "x.toml").map_or_else(|error| error.to_string(), |_| String::new())
    }

    #[track_caller]
    fn said(line: &str, written: &str, expected: &str) {
        let complaint = complaint(line, written);
        let first = complaint.lines().next().unwrap_or_default();
        let said = first.strip_prefix("x.toml:").and_then(|rest| rest.split_once(": ")).map_or("", |(_, said)| said);
        assert_eq!(said, expected, "{complaint}");
    }

    #[test]
    fn keys_of_one_optimizer_are_refused_for_another_and_its_own_are_asked_for() {
        let kind = |kind: &str, keys: &str| format!("kind = \"{kind}\"{keys}");
        said(
            "kind = \"adamw\"",
            &kind("adamw", "\nmomentum = 0.9"),
            "optimizer.momentum: does not belong here: adamw does not read it (read by sgd, muon); delete it",
        );
        said(
            "kind = \"adamw\"",
            &kind("sgd", ""),
            "optimizer.beta1: does not belong here: sgd does not read it (read by adamw, lion, muon); delete it",
        );
        said(
            "kind = \"adamw\"",
            &kind("muon", ""),
            "optimizer.momentum: missing, and muon needs it; write a number, such as 0.95",
        );
        said(
            "kind = \"adamw\"",
            &kind("muon", "\nmomentum = 1.0"),
            "optimizer.momentum: 1 is not a decay; write a number from 0 to below 1, such as 0.95",
        );
        assert_eq!(complaint("kind = \"adamw\"", &kind("muon", "\nmomentum = 0.95")), "");
        // What a device has no number for.
        said(
            "epsilon",
            "epsilon = 1e-50",
            "optimizer.epsilon: 1e-50 is 0, or no number, for the 32 bits of a device; write a number such as 1e-8",
        );
        said(
            "beta2",
            "beta2 = 0.9999999999",
            "optimizer.beta2: 0.9999999999 is 1 for the 32 bits of a device; write a number from 0 to below 1, such as 0.99",
        );
        said(
            "clip_norm",
            "clip_norm = 1e-300",
            "optimizer.clip_norm: 1e-300 is 0 for the 32 bits of a device; write 1.0, or 0 for no clipping",
        );
        assert_eq!(complaint("clip_norm", "clip_norm = 0"), "");
        assert_eq!(complaint("beta2", "beta2 = 0.9999999"), "");
        said("epsilon", "", "optimizer.epsilon: missing, and adamw needs it; write a number, such as 1e-8");
    }

    #[test]
    fn a_timescale_of_decay_is_refused_beside_a_coefficient() {
        said(
            "weight_decay",
            "weight_decay = 0\nweight_decay_tokens = 1e8",
            "optimizer.weight_decay_tokens: does not belong here: weight_decay = 0 says that there is none; delete it",
        );
        said("weight_decay", "", "optimizer.weight_decay: missing; write 0.1, or 0 for none");
        said(
            "weight_decay",
            "weight_decay_tokens = 0",
            "optimizer.weight_decay_tokens: 0 is impossible; write a number above 0, such as 1e8",
        );
        assert_eq!(complaint("weight_decay", "weight_decay_tokens = 1e8"), "");
        assert_eq!(
            complaint("weight_decay", "weight_decay_tokens = { value = 1e8, at_tokens = 1e9, exponent = 0.5 }"),
            ""
        );
    }

    #[test]
    fn a_cooldown_belongs_to_wsd_and_a_part_of_the_corpus_has_a_batch() {
        said(
            "floor",
            "floor = 0.1\ncooldown = \"1-sqrt\"",
            "schedule.cooldown: does not belong here: only kind = \"wsd\" has it; delete it",
        );
        let wsd = "kind = \"wsd\"\ndecay_fraction = 0.2\ncooldown = \"1-sqrt\"";
        assert_eq!(complaint("kind = \"cosine\"", wsd), "");
        let said = complaint("max_epochs", "max_epochs = 9.0\ntrain_tokens = 100");
        assert!(said.contains("data.train_tokens: 100 tokens are less than a batch of"), "{said}");
    }

    #[test]
    fn an_axis_of_schedules_takes_the_keys_of_all_of_them_and_none_of_others() {
        let sweep = |kinds: &str| {
            let keys =
                "warmup_tokens_per_param = 1.0\ndecay_fraction = 0.2\ncooldown = \"1-sqrt\"\ndecay_tokens = 1e12";
            let text = SMALL.replace("warmup_tokens_per_param = 1.0", keys);
            let axes = format!("[sweep]\nmin_steps = 50\nseeds = [1]\naxes = {{ \"schedule.kind\" = [{kinds}] }}\n");
            parse(&format!("{text}\n{axes}"), "x.toml").map_err(|error| error.to_string())
        };
        let points = sweep("\"cosine\", \"wsd\", \"constant\"").unwrap().points().unwrap();
        let keys = points.iter().map(|point| {
            let schedule = &point.spec.schedule;
            (schedule.decay_fraction, schedule.cooldown, schedule.decay_tokens)
        });
        let (linear, root) = (Cooldown::Linear, Cooldown::OneMinusSqrt);
        let expected = [(None, linear, Some(1e12)), (Some(0.2), root, None), (None, linear, None)];
        assert_eq!(keys.collect::<Vec<_>>(), expected);
        let error = sweep("\"cosine\", \"constant\"").unwrap_err();
        assert!(error.contains("schedule.decay_fraction: does not belong here"), "{error}");
    }

    #[test]
    fn an_axis_of_optimizers_takes_the_keys_of_all_of_them() {
        let grid = "\nmomentum = 0.9\n[sweep]\nmin_steps = 50\nseeds = [1]\naxes = { \"optimizer.kind\" = [\"adamw\", \"sgd\"] }\n";
        let (head, tail) = SMALL.split_once("clip_norm").expect("a key of the optimizer");
        let (line, tail) = tail.split_once('\n').expect("more lines");
        let (momentum, grid) = grid.trim_start().split_once('\n').expect("two parts");
        let text = format!("{head}clip_norm{line}\n{momentum}\n{tail}\n{grid}");
        let spec = parse(&text, "x.toml").unwrap_or_else(|error| panic!("{error}"));
        let points = spec.points().unwrap();
        let optimizers = [&points[0].spec.optimizer, &points[1].spec.optimizer];
        assert_eq!(optimizers.map(|optimizer| optimizer.momentum), [None, Some(0.9)]);
        assert_eq!(optimizers.map(|optimizer| optimizer.beta1.is_some()), [true, false]);
    }
}
