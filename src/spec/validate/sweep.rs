//! `[sweep]`: the grid and its seeds.

use std::collections::BTreeSet;

use crate::spec::check::{Checked, absent, list, positive, present, require};
use crate::spec::{At, ScheduleKind, Spec, Sweep};

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
        sizes: _,
        spread: _,
        expected_tokens_per_param: _,
        min_steps,
        one_seed_from,
        // Needs the optimizer too: `trunk`.
        share_trunk: _,
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
    spreading(sweep)
}

/// Runs that share a stable phase have everything in common that their lengths do not decide. What is warm-up is seen when the
/// runs are planned.
pub(super) fn trunk(spec: &Spec) -> Checked {
    if !spec.sweep.as_ref().is_some_and(|sweep| sweep.share_trunk) {
        return Ok(());
    }
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

/// How sizes are spread over a budget, unless they are listed.
fn spreading(Sweep { budgets, params, sizes, spread, expected_tokens_per_param, .. }: &Sweep) -> Checked {
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
