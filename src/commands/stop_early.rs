//! `runner stop-early`: what stopping runs early would have saved, and cost, in a finished sweep.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use serde_json::json;

use super::shared::sheet::{Room, Sheet, Worth};
use super::shared::stdout;
use super::shared::stopped_early::Regret;
use super::shared::{folder, json, rehearsed};
use crate::cli::StopEarlyArgs;
use crate::execute::replay;
use crate::fit::design::stop::{Evidence, OTHERS, Replay};
use crate::goal::StopEarly;
use crate::ledger::Ledger;

/// Runs the command.
pub fn run(args: &StopEarlyArgs) -> anyhow::Result<ExitCode> {
    let StopEarlyArgs { sweep, results, tuned, margin, after, json, tables } = args;
    let dir = folder::named(sweep, results)
        .with_context(|| format!("no sweep {sweep:?}, nor one of that name in {}", results.display()))?;
    let ledger = Ledger::open(&dir)?;
    let rehearsed = rehearsed::say_if(ledger.losses());
    let tuned = axes(&ledger, tuned)?;
    anyhow::ensure!((0.0..1.0).contains(after), "--after {after}: write a share from 0 to below 1, such as 0.2");
    let mut tried = Vec::new();
    for &margin in margin {
        anyhow::ensure!((1.0..=100.0).contains(&margin), "--margin {margin}: write numbers from 1 to 100, such as 1.5");
        let rule = StopEarly { margin, after: *after };
        let of = |evidence| replay(&ledger, &tuned, rule, evidence);
        tried.push((rule, of(Evidence::Before)?, of(Evidence::Others)?));
    }
    if tried.iter().all(|(_, before, _)| before.runs == 0) {
        anyhow::bail!("{}: no run has finished", dir.display());
    }
    if *json {
        let each = tried.iter().map(|(rule, before, others)| as_json(*rule, before, others)).collect::<Vec<_>>();
        json::print(json!({ "sweep": dir, "tuned": tuned, "tried": each, "rehearsed": rehearsed }))?;
        return Ok(ExitCode::SUCCESS);
    }
    let room = Room::of(tables.wide);
    stdout::print(&room.fold(&words(&dir, &tuned, &tried, room)))?;
    Ok(ExitCode::SUCCESS)
}

/// The axes that were tuned: those asked for, or those of the spec in the folder.
fn axes(ledger: &Ledger, asked: &[String]) -> anyhow::Result<Vec<String>> {
    let known: BTreeSet<&String> = ledger.plan().runs.iter().flat_map(|run| run.axes.keys()).collect();
    let listed = || match known.iter().map(|axis| axis.as_str()).collect::<Vec<_>>().as_slice() {
        [] => "the sweep has no axes".to_owned(),
        axes => format!("its axes are {}", axes.join(", ")),
    };
    if let Some(strange) = asked.iter().find(|axis| !known.contains(axis)) {
        anyhow::bail!("--tuned {strange}: not an axis of this sweep; {}", listed());
    }
    if !asked.is_empty() {
        return Ok(asked.to_vec());
    }
    let tuned = folder::tuned(ledger)?;
    anyhow::ensure!(
        !known.is_empty(),
        "{}: its runs differ in no axis, so none of them was tried against others to be tuned; stopping early is for sweeps \
         with fit.tuned or sweep.tune, such as `runner init laws-transfer` writes",
        ledger.dir().display()
    );
    anyhow::ensure!(
        !tuned.is_empty(),
        "the spec of {} has neither fit.tuned nor sweep.tune; give the axes of which only the best value counts with --tuned: {}",
        ledger.dir().display(),
        listed()
    );
    Ok(tuned)
}

fn as_json(rule: StopEarly, before: &Replay, others: &Replay) -> serde_json::Value {
    json!({
        "margin": rule.margin, "after": rule.after, "runs": before.runs, "stopped": before.stopped, "flops": before.flops,
        "flops_spent": before.spent, "saved": before.saved(), "groups": before.lost.len(), "wrong": before.wrong(),
        "worst": before.worst(), "regret": Regret::of(others),
    })
}

fn words(dir: &Path, tuned: &[String], tried: &[(StopEarly, Replay, Replay)], room: Room) -> String {
    let mut table = Sheet::new([
        ("margin", Worth::Must),
        ("stopped", Worth::Must),
        ("FLOPs saved", Worth::Must),
        ("best runs stopped", Worth::Must),
        ("nats lost at worst", Worth::More(1)),
    ])
    .numbers_from(0);
    for (rule, before, _) in tried {
        table.add_row([
            rule.margin.to_string(),
            format!("{} of {}", before.stopped, before.runs),
            format!("{:.0}%", 100.0 * before.saved()),
            format!("{} of {}", before.wrong(), before.lost.len()),
            format!("{:.4}", before.worst()),
        ]);
    }
    let regret = |(rule, _, others): &(StopEarly, Replay, Replay)| {
        let told = Regret::of(others).map_or_else(
            || format!("not known: that takes {OTHERS} finished runs beside the best ones of other groups"),
            |regret| regret.words(),
        );
        format!("  margin {}: {told}\n", rule.margin)
    };
    let regrets: String = tried.iter().map(regret).collect();
    format!(
        "The finished runs of {} once more, in the order of a sweep on one slot. Groups differ in {} alone.\n\n{}\nEach group judged \
         by the others alone, it would have stopped\n{regrets}",
        dir.display(),
        tuned.join(" and "),
        table.text(room)
    )
}
