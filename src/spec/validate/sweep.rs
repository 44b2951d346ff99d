//! `[sweep]`: the grid and its seeds.

use std::collections::BTreeSet;

use crate::goal::Goal;
use crate::spec::check::{Checked, absent, list, positive, present, require};
use crate::spec::{At, NO_RATE, PowerRule, ScheduleKind, Spec, Sweep, Tuned};

/// The shortest run whose length can be met within 1% by a whole number of steps.
pub(crate) const MIN_STEPS: usize = 50;
/// Fewer sizes do not show where the minimum of an IsoFLOP curve lies.
pub(crate) const MIN_SIZES: usize = 7;

/// Checks `[sweep]`, but for its seeds.
pub(super) fn check(sweep: &Sweep) -> Checked {
    // Axes and zips are checked where they are multiplied out, seeds in `seeds`.
    let Sweep {
        budgets,
        params,
        models,
        sizes: _,
        spread: _,
        expected_tokens_per_param: _,
        min_steps,
        one_seed_from,
        // Needs the optimizer too: `trunk`.
        share_trunk: _,
        choose: _,
        goal: _,
        known: _,
        limit_flops: _,
        limit_hours: _,
        stop_width: _,
        tune: _,
        // Needs the question too: `stop`.
        stop_early: _,
        seeds: _,
        axes: _,
        zip: _,
    } = sweep;
    if let Some(flops) = *one_seed_from {
        absent("sweep.one_seed_from", budgets.is_none(), "it needs sweep.budgets")?;
        positive("sweep.one_seed_from", flops, "1e13")?;
    }
    if let Some(budgets) = budgets {
        let remedy = "write training FLOPs above 0 and up to 1e27, such as [1e12, 3e12, 1e13]";
        list("sweep.budgets", budgets, 1e27, "budget", remedy)?;
    }
    absent("sweep.params", params.is_some() && !models.is_empty(), "sweep.models are the sizes")?;
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
        let problem = format!("with {min_steps} steps a run cannot match its budget within 1%");
        (problem, format!("write {MIN_STEPS} or more, such as 100"))
    })?;
    choosing(sweep)?;
    spreading(sweep)
}

/// Runs that share a stable phase have everything in common that their lengths do not decide. What is warm-up is seen when the
/// runs are planned.
pub(super) fn trunk(spec: &Spec) -> Checked {
    let Some(sweep) = spec.sweep.as_ref().filter(|sweep| sweep.share_trunk) else { return Ok(()) };
    let one_by_one = sweep.trains_some();
    absent("sweep.share_trunk", one_by_one, "sweep.choose and sweep.tune take runs one by one")?;
    let by_program = !spec.train.command.is_empty();
    absent("sweep.share_trunk", by_program, "the program of train.command trains each run from its beginning")?;
    let optimizer = &spec.optimizer;
    let rules = [
        ("optimizer.learning_rate", Some(optimizer.learning_rate)),
        ("optimizer.batch_tokens", Some(optimizer.batch_tokens)),
        ("optimizer.weight_decay_tokens", optimizer.weight_decay_tokens),
    ];
    for (key, rule) in rules {
        let follows_tokens = rule.is_some_and(|rule| matches!(rule.at, At::Tokens(_)) && rule.exponent != 0.0);
        require(!follows_tokens, key, || {
            let problem =
                "it follows the tokens of a run, and runs that share a trunk (sweep.share_trunk) differ in them";
            (problem, "write a number or a rule with at_params, or delete sweep.share_trunk")
        })?;
    }
    Ok(())
}

/// Some point of a sweep has a stable phase where it is to be shared.
pub(in crate::spec) fn some_trunk(points: &[Spec]) -> Checked {
    let asked = points.iter().any(|spec| spec.sweep.as_ref().is_some_and(|sweep| sweep.share_trunk));
    require(!asked || points.iter().any(|spec| spec.schedule.kind == ScheduleKind::Wsd), "sweep.share_trunk", || {
        ("only kind = \"wsd\" has a stable phase that runs can share", "write schedule.kind = \"wsd\", or delete it")
    })
}

/// What chooses runs, and when it stops.
fn choosing(sweep: &Sweep) -> Checked {
    let Sweep { choose, goal, known, limit_flops, limit_hours, stop_width, budgets, tune, .. } = sweep;
    if !tune.is_empty() && choose.is_none() {
        return Ok(());
    }
    let limits = [
        ("sweep.limit_flops", *limit_flops, "1e14"),
        ("sweep.limit_hours", *limit_hours, "8.0"),
        ("sweep.stop_width", *stop_width, "1.2"),
    ];
    let Some(_) = choose else {
        let needs = "it needs sweep.choose = \"adaptive\": without it all runs of the grid are trained";
        absent("sweep.goal", goal.is_some(), needs)?;
        absent("sweep.known", !known.is_empty(), needs)?;
        return limits.iter().try_for_each(|(key, limit, _)| absent(key, limit.is_some(), needs));
    };
    present("sweep.goal", goal.is_some(), "write what the runs are to tell, such as \"tokens_per_param at 1e13\"")?;
    present("sweep.budgets", budgets.is_some(), "write the budgets of the candidates, such as [1e12, 3e12, 1e13]")?;
    for (key, limit, example) in limits {
        limit.map_or(Ok(()), |limit| positive(key, limit, example))?;
    }
    let wide = matches!(goal, Some(Goal::TokensPerParam(_))) && stop_width.is_some_and(|width| width <= 1.0);
    require(!wide, "sweep.stop_width", || {
        let problem = "it is the interval's upper end over its lower one, which is above 1".to_owned();
        (problem, "write a factor above 1, such as 1.2")
    })?;
    let ends = limits.iter().any(|(_, limit, _)| limit.is_some());
    present("sweep.limit_flops", ends, "write when to stop: sweep.limit_flops, sweep.limit_hours or sweep.stop_width")
}

/// What is tuned, point by point, within a limit.
pub(in crate::spec) fn tuning(spec: &Spec) -> Checked {
    let Some(sweep) = spec.sweep.as_ref().filter(|sweep| !sweep.tune.is_empty()) else { return Ok(()) };
    let Sweep { tune, choose, goal, known, limit_flops, limit_hours, stop_width, .. } = sweep;
    absent("sweep.tune", choose.is_some(), "sweep.choose varies learning rate and batch by sweep.axes: remove one")?;
    let needs =
        "it needs sweep.choose = \"adaptive\": sweep.tune ends when each best setting lies between two worse ones";
    absent("sweep.goal", goal.is_some(), needs)?;
    absent("sweep.known", !known.is_empty(), needs)?;
    absent("sweep.limit_hours", limit_hours.is_some(), needs)?;
    absent("sweep.stop_width", stop_width.is_some(), needs)?;
    limit_flops.map_or(Ok(()), |limit| positive("sweep.limit_flops", limit, "1e14"))?;
    let kinds: BTreeSet<_> = tune.iter().collect();
    require(kinds.len() == tune.len(), "sweep.tune", || ("a setting is named twice".to_owned(), "write each once"))?;
    let untold = !sweep.models.is_empty() && spec.optimizer.learning_rate == PowerRule::constant(NO_RATE);
    let begins = !tune.contains(&Tuned::LearningRate) || !untold;
    let remedy =
        "write the rate that tuning begins with; the program has that of each run in resolved.optimizer of its config";
    present("optimizer.learning_rate", begins, remedy)?;
    let decays = spec.optimizer.weight_decay.is_some_and(|decay| decay > 0.0) || !tune.contains(&Tuned::WeightDecay);
    present("optimizer.weight_decay", decays, "write the coefficient that tuning begins with, such as 0.1")?;
    let twice = tune.iter().map(|tuned| tuned.field()).find(|field| sweep.varies(field));
    require(twice.is_none(), "sweep.tune", || {
        (format!("{} is an axis too", twice.unwrap_or_default()), "remove it from sweep.axes, or from sweep.tune")
    })
}

/// How sizes are spread over a budget, unless they are listed.
fn spreading(Sweep { budgets, params, models, sizes, spread, expected_tokens_per_param, .. }: &Sweep) -> Checked {
    let spreading = [
        ("sweep.sizes", sizes.is_some(), "write how many sizes each budget gets, such as 7"),
        ("sweep.spread", spread.is_some(), "write the factor from the expected optimum to either end, such as 4.0"),
        ("sweep.expected_tokens_per_param", expected_tokens_per_param.is_some(), "write where to centre, such as 20.0"),
    ];
    for (key, written, remedy) in spreading {
        absent(
            key,
            written && budgets.is_none(),
            "it needs sweep.budgets: sizes are spread around the optimum of a budget",
        )?;
        absent(key, written && params.is_some(), "sweep.params lists the sizes")?;
        // Of listed models each budget may have all.
        let all = !models.is_empty() && sizes.is_none() && spread.is_none() && expected_tokens_per_param.is_none();
        present(key, written || budgets.is_none() || params.is_some() || all, remedy)?;
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

/// Checks the seeds, which must fit TOML's whole numbers before a spec can be written.
pub(in crate::spec) fn seeds(spec: &Spec) -> Checked {
    let fits = |key: &str, seed: u64| {
        require(i64::try_from(seed).is_ok(), key, || (format!("{seed} is too large for TOML"), "write a smaller seed"))
    };
    fits("data.seed", spec.data.seed)?;
    let Some(sweep) = &spec.sweep else { return Ok(()) };
    sweep.seeds.iter().try_for_each(|seed| fits("sweep.seeds", *seed))?;
    let distinct: BTreeSet<u64> = sweep.seeds.iter().copied().collect();
    require(!sweep.seeds.is_empty(), "sweep.seeds", || ("no seeds".to_owned(), "write at least one, such as [1]"))?;
    require(distinct.len() == sweep.seeds.len(), "sweep.seeds", || {
        let problem = "a seed is listed twice, which would train the same runs twice";
        (problem.to_owned(), "write each once, such as [1, 2, 3]")
    })
}
