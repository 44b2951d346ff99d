//! Stopping runs early (`sweep.stop_early`): which go on after all, what was saved, and what it may have cost.

use serde::Serialize;

use crate::execute::{Tally, replay};
use crate::fit::design::stop::{Evidence, OTHERS, Replay};
use crate::fit::{Bootstrap, Estimate};
use crate::goal::StopEarly;
use crate::ledger::Ledger;
use crate::spec::Spec;
use crate::units::Flops;

/// Lets runs go on that an earlier call stopped by another rule.
pub fn go_on(ledger: &Ledger, spec: &Spec) -> anyhow::Result<()> {
    let rule = spec.sweep.as_ref().and_then(|sweep| sweep.stop_early);
    match ledger.take_back_stops(rule)? {
        0 => {}
        1 => tell!("1 run that was stopped early goes on from its checkpoint"),
        count => tell!("{count} runs that were stopped early go on from their checkpoints"),
    }
    Ok(())
}

/// What stopping early came to.
#[derive(Serialize)]
pub struct StoppedEarly {
    /// Runs of the grid.
    runs: usize,
    /// Those that were stopped.
    stopped: usize,
    /// Training FLOPs of the grid with all runs trained to their ends.
    flops: f64,
    /// Those that were not spent.
    flops_saved: f64,
    /// The rule, where the spec has one now.
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<StopEarly>,
    /// What the rule would have cost on runs that were trained to their ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    regret: Option<Regret>,
}

/// What the rule costs where the ends of all runs are known, each group judged by the others.
#[derive(Serialize)]
pub struct Regret {
    /// Groups of at least two runs that were trained to their ends.
    groups: usize,
    /// Those whose best run would have been stopped.
    wrong: usize,
    /// Their share, with Wilson's 95% interval.
    share: Estimate,
    /// Nats that a group would have lost on average, where any would, by a bootstrap over groups.
    #[serde(skip_serializing_if = "Option::is_none")]
    lost: Option<Estimate>,
    /// Nats that the worst group would have lost.
    worst: f64,
}

impl Regret {
    /// Nothing where no group could be judged by the others.
    pub fn of(replay: &Replay) -> Option<Self> {
        let share = replay.wrong_share()?;
        let (groups, wrong, worst) = (replay.lost.len(), replay.wrong(), replay.worst());
        Some(Self { groups, wrong, share, lost: replay.mean_lost(&Bootstrap::default()), worst })
    }

    /// In words.
    pub fn words(&self) -> String {
        let Self { groups, wrong, share, lost, worst } = self;
        let percent = |share: f64| 100.0 * share;
        let rate = format!(
            "the best run of {wrong} of {groups} groups ({:.0}%, {:.0}% to {:.0}%)",
            percent(share.value),
            percent(share.low),
            percent(share.high)
        );
        match lost {
            Some(Estimate { value, low, high }) => format!(
                "{rate}: {value:.4} nats ({low:.4} to {high:.4}) lost on average over groups, {worst:.4} in the worst"
            ),
            None => rate,
        }
    }
}

/// What stopping came to in a sweep; nothing where none was asked for and no run was stopped.
pub fn stopped_early(ledger: &Ledger, spec: &Spec, tally: &Tally) -> anyhow::Result<Option<StoppedEarly>> {
    let rule = spec.sweep.as_ref().and_then(|sweep| sweep.stop_early);
    if rule.is_none() && tally.stopped.is_empty() {
        return Ok(None);
    }
    let runs = &ledger.plan().runs;
    let spared = tally.stopped.iter().filter_map(|(id, stopped)| {
        let run = runs.iter().find(|run| run.id == *id)?;
        Some(run.flops - stopped.flops(run))
    });
    let tuned = spec.fit.as_ref().map_or(&[][..], |fit| &fit.tuned);
    let regret = |rule| anyhow::Ok(Regret::of(&replay(ledger, tuned, rule, Evidence::Others)?));
    Ok(Some(StoppedEarly {
        runs: runs.len(),
        stopped: tally.stopped.len(),
        flops: runs.iter().map(|run| run.flops).sum(),
        flops_saved: spared.fold(0.0, |sum, flops| sum + flops),
        rule,
        regret: rule.map(regret).transpose()?.flatten(),
    }))
}

impl StoppedEarly {
    /// In words.
    pub fn words(&self) -> String {
        let Self { runs, stopped, flops, flops_saved, rule, regret } = self;
        let (all, saved) = (Flops(*flops), Flops(*flops_saved));
        let share = 100.0 * flops_saved / flops;
        let saving = format!("Stopped early: {stopped} of {runs} runs, {saved} of {all} FLOPs saved ({share:.0}%).");
        let cost = match (rule, regret) {
            (None, _) => String::new(),
            (Some(_), Some(regret)) => format!(
                " Its cost, on the runs that were trained to their ends and each group judged by the others: it would have \
                 stopped {}.",
                regret.words()
            ),
            (Some(_), None) => format!(
                " What it may have cost cannot be measured: that takes {OTHERS} finished runs beside the best ones of other \
                 groups."
            ),
        };
        let unknown = if *stopped > 0 { " What the stopped runs would have come to is not known." } else { "" };
        saving + &cost + unknown
    }
}
