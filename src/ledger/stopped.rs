//! Runs that were stopped before their end (`sweep.stop_early`). That is no result: a run that is needed after all goes on
//! from its checkpoint, and a result that comes from elsewhere counts.

use serde::{Deserialize, Serialize};

use super::{Claim, CurvePoint, Ledger, LedgerError, State, files};
use crate::goal::StopEarly;
use crate::plan::{PlannedRun, RunId};
use crate::provenance::Build;
use crate::trainer::DeviceInfo;

/// Why a run was stopped.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reason {
    /// The rule.
    pub rule: StopEarly,
    /// The best finished run of its group.
    pub against: RunId,
    /// Nats by which it lay behind that run at the same share of tokens.
    pub behind: f64,
    /// Nats that it was allowed to lie behind.
    pub allowed: f64,
}

/// Where a run was stopped, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stopped {
    /// The run.
    pub id: RunId,
    /// Which attempt was stopped.
    pub attempt: u32,
    /// Steps done.
    pub step: usize,
    /// Tokens seen.
    pub tokens: u64,
    /// Mean training loss over the last point of the curve, in nats per token.
    pub train_loss: Option<f64>,
    /// Wall-clock seconds of training.
    pub seconds: f64,
    /// Why.
    #[serde(flatten)]
    pub reason: Reason,
    /// Where it was trained.
    pub device: DeviceInfo,
    /// Version of `runner` that trained it.
    pub version: String,
    /// What that was built from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<Box<Build>>,
    /// Parts into which batches were cut to need less memory.
    pub micro_batches: usize,
    /// The curve up to there.
    pub curve: Vec<CurvePoint>,
}

impl Stopped {
    /// Training FLOPs that were spent.
    pub fn flops(&self, run: &PlannedRun) -> f64 {
        self.tokens as f64 * run.flops_per_token.exact
    }

    /// Why, in words.
    pub fn words(&self, run: &PlannedRun) -> String {
        let Reason { against, behind, allowed, .. } = &self.reason;
        format!(
            "stopped early after {:.0}% of its tokens: {behind:.3} nats behind run {against} there, and {allowed:.3} may be made up",
            100.0 * run.share_done(self.tokens)
        )
    }
}

impl Ledger {
    /// Where and why a run was stopped; nothing where it has a result.
    pub fn stopped(&self, id: &RunId) -> Result<Option<Stopped>, LedgerError> {
        Ok(if let State::Stopped(stopped) = self.state(id)? { Some(stopped) } else { None })
    }

    /// Lets runs go on from their checkpoints that were stopped by another rule than this one, or by any where there is none
    /// now; tells how many.
    pub fn take_back_stops(&self, rule: Option<StopEarly>) -> Result<usize, LedgerError> {
        let mut taken_back = 0;
        for run in &self.plan.runs {
            let path = self.stopped_path(&run.id);
            let stopped: Option<Stopped> = files::read_sealed(&path)?;
            if stopped.is_some_and(|stopped| Some(stopped.reason.rule) != rule) {
                std::fs::remove_file(&path).map_err(LedgerError::io("remove", &path))?;
                taken_back += 1;
            }
        }
        Ok(taken_back)
    }
}

impl Claim<'_> {
    /// Records, durably, that the run was stopped. Its checkpoint stays.
    pub fn stop(
        self,
        (reason, seconds): (Reason, f64),
        device: DeviceInfo,
        micro_batches: usize,
    ) -> Result<Stopped, LedgerError> {
        let attempt = self.attempt();
        let curve = self.curve().to_vec();
        let (step, tokens, train_loss) =
            curve.last().map_or((0, 0, None), |last| (last.step, last.tokens, last.train_loss));
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let build = Some(Box::new(Build::current()));
        let id = self.id.clone();
        let stopped = Stopped {
            id,
            attempt,
            step,
            tokens,
            train_loss,
            seconds,
            reason,
            device,
            version,
            build,
            micro_batches,
            curve,
        };
        files::write(&self.ledger.stopped_path(&self.id), &files::sealed_json(&stopped))?;
        Ok(stopped)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Published;
    use super::super::testing::{device, finished, ledger, stop};
    use super::*;

    #[test]
    fn a_stopped_run_is_over_without_a_result_and_goes_on_from_its_checkpoint_when_it_is_needed() {
        let (_dir, ledger) = ledger(3);
        let runs = &ledger.plan().runs;
        stop(&ledger, 1, 1.5);
        stop(&ledger, 2, 3.0);
        let stopped = ledger.stopped(&runs[1].id).unwrap().expect("it was stopped");
        assert_eq!((stopped.step, stopped.train_loss, stopped.curve.len()), (30, Some(5.5), 1));
        assert!(
            stopped.words(&runs[1]).contains("30% of its tokens: 0.500 nats behind run"),
            "{}",
            stopped.words(&runs[1])
        );
        assert!(ledger.is_given_up(&runs[1].id) && ledger.claim(&runs[1]).unwrap().is_none());
        assert_eq!(ledger.observations().unwrap(), [], "its loss is no final loss");
        // The rule that stopped it does not take it back, another does.
        let rule = StopEarly { margin: 1.5, after: 0.2 };
        assert_eq!(ledger.take_back_stops(Some(rule)).unwrap(), 1);
        assert_eq!(ledger.state(&runs[2].id).unwrap(), State::Pending);
        assert_eq!(ledger.take_back_stops(None).unwrap(), 1);
        let again = ledger.claim(&runs[1]).unwrap().expect("free again");
        assert_eq!((again.attempt(), again.checkpoints().unwrap().len()), (2, 1));
        assert_eq!(again.publish(finished(3.0), device(), 1).unwrap(), Published::First);
        assert_eq!(ledger.observations().unwrap().len(), 1);
    }

    #[test]
    fn a_result_from_elsewhere_counts_and_damage_is_named() {
        let (_dir, ledger) = ledger(2);
        let run = &ledger.plan().runs[1];
        stop(&ledger, 1, 1.5);
        ledger.import(&super::super::testing::result(run.id.as_str(), finished(3.0))).unwrap();
        assert!(matches!(ledger.state(&run.id).unwrap(), State::Ended(_)));
        assert_eq!(ledger.stopped(&run.id).unwrap(), None);
        let path = ledger.stopped_path(&run.id);
        let text = std::fs::read_to_string(&path).unwrap().replace("5.5", "4.5");
        std::fs::write(&path, text).unwrap();
        let check = ledger.check();
        assert!(check.damaged.iter().any(|error| error.to_string().contains("stopped.json is damaged")), "{check:?}");
    }
}
