//! A goal that is to be known: which candidate tells most of it for its FLOPs.

use super::known::{Known, KnownError};
use crate::fit::Estimate;
use crate::fit::design::next::{self, GoalError, Look, Options};
use crate::fit::design::{Candidate, Stand};
use crate::fit::table::Field;
use crate::goal::Goal;
use crate::ledger::{Choice, Ledger, LedgerError, State};
use crate::observation::Counting;
use crate::plan::{Plan, PlannedRun};
use crate::spec::{Sweep, Tuned};
use crate::trainer::Outcome;
use crate::units::Flops;

/// The settings that candidates may be tuned in, and the columns of tables that tell them.
const TUNED: [(Tuned, Field); 2] = [(Tuned::LearningRate, Field::LearningRate), (Tuned::BatchTokens, Field::Batch)];

/// What runs are chosen for, and when no more are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rule {
    /// What is to be known.
    pub goal: Goal,
    /// FLOPs that all runs may cost.
    pub limit_flops: Option<f64>,
    /// Hours that they may take one after the other.
    pub limit_hours: Option<f64>,
    /// Width of the goal's interval that is enough.
    pub stop_width: Option<f64>,
}

/// Why runs cannot be chosen.
#[derive(Debug, thiserror::Error)]
pub enum ChooseError {
    /// The candidates do not tell the goal.
    #[error("sweep.goal: {0}")]
    Goal(#[from] GoalError),
    /// An axis that is none of size, budget, learning rate and batch.
    #[error(
        "sweep.axes: {field} varies, and sweep.choose knows sizes and budgets, {} and {} alone: sweep the values of {field} \
         one after the other, or leave sweep.choose away",
        TUNED[0].0.field(),
        TUNED[1].0.field()
    )]
    Axis {
        /// The field.
        field: String,
    },
    /// Less than the cheapest run.
    #[error(
        "sweep.limit_flops = {limit:e}: not one candidate can be trained, the cheapest takes {} FLOPs",
        Flops(*cheapest)
    )]
    Limit {
        /// The limit.
        limit: f64,
        /// FLOPs of the cheapest candidate.
        cheapest: f64,
    },
}

impl Rule {
    /// What a sweep says of it; nothing for one that trains all of its runs.
    pub fn of(sweep: &Sweep) -> Option<Self> {
        let Sweep { choose, goal, limit_flops, limit_hours, stop_width, .. } = sweep;
        let (limit_flops, limit_hours, stop_width) = (*limit_flops, *limit_hours, *stop_width);
        choose.and(*goal).map(|goal| Self { goal, limit_flops, limit_hours, stop_width })
    }
}

/// A run as `fit` sees it.
fn candidate(planned: &PlannedRun, stand: Stand) -> Candidate {
    Candidate {
        params: planned.params.by(Counting::All) as f64,
        tokens: planned.tokens as f64,
        flops: planned.flops,
        tuned: TUNED
            .iter()
            .filter(|(tuned, _)| planned.axes.contains_key(tuned.field()))
            .map(|(tuned, _)| planned.setting(*tuned))
            .collect(),
        stand,
    }
}

/// Chooses runs as results come.
pub struct ForGoal {
    rule: Rule,
    known: Known,
}

/// How the candidates stand, and after them what was known before.
struct Standing {
    candidates: Vec<Candidate>,
    /// FLOPs of all that were chosen, FLOPs and seconds of those that have ended.
    chosen_flops: f64,
    ended: [f64; 2],
    finished: usize,
    under_way: usize,
}

impl Standing {
    fn of(ledger: &Ledger, known: &Known) -> Result<Self, LedgerError> {
        let (mut chosen_flops, mut ended, mut finished, mut under_way) = (0.0, [0.0; 2], 0, 0);
        let wanted: std::collections::BTreeSet<_> = ledger.wanted().into_iter().map(|run| run.id.clone()).collect();
        let mut candidates = Vec::new();
        for run in &ledger.plan().runs {
            if !wanted.contains(&run.id) {
                candidates.push(candidate(run, Stand::Free));
                continue;
            }
            chosen_flops += run.flops;
            let stand = match ledger.state(&run.id)? {
                State::Pending => Stand::UnderWay,
                State::Failed(_) | State::Stopped(_) => Stand::Closed,
                State::Ended(result) => match result.outcome {
                    Outcome::Finished { val_loss, seconds, .. } => {
                        ended = [ended[0] + run.flops, ended[1] + seconds];
                        Stand::Finished(val_loss)
                    }
                    Outcome::Diverged { seconds, .. } => {
                        ended[1] += seconds;
                        Stand::Closed
                    }
                },
            };
            finished += usize::from(matches!(stand, Stand::Finished(_)));
            under_way += usize::from(stand == Stand::UnderWay);
            candidates.push(candidate(run, stand));
        }
        candidates.extend(known.runs.iter().cloned());
        Ok(Self { candidates, chosen_flops, ended, finished, under_way })
    }

    /// Whether a run is within the limits when this many FLOPs were chosen before it.
    fn fits(&self, rule: &Rule, before: f64, flops: f64) -> bool {
        let total = before + flops;
        let [ended_flops, seconds] = self.ended;
        let hours = if ended_flops > 0.0 { seconds / ended_flops * total / 3600.0 } else { 0.0 };
        rule.limit_flops.is_none_or(|limit| total <= limit) && rule.limit_hours.is_none_or(|limit| hours <= limit)
    }
}

impl ForGoal {
    /// One that follows what a sweep says, from the runs that it names as known; nothing for one that trains all of its runs.
    pub(super) fn of(sweep: &Sweep) -> Result<Option<Self>, KnownError> {
        let Some(rule) = Rule::of(sweep) else { return Ok(None) };
        let tuned: Vec<_> = TUNED.into_iter().filter(|(tuned, _)| sweep.varies(tuned.field())).collect();
        Ok(Some(Self { rule, known: Known::of(sweep, &tuned)? }))
    }

    /// What was known before the first run, in sentences for people.
    pub(super) fn known(&self) -> &[String] {
        &self.known.said
    }

    /// FLOPs that all runs may cost.
    pub(super) fn limit_flops(&self) -> Option<f64> {
        self.rule.limit_flops
    }

    /// Fails where these candidates cannot serve the goal, beside the runs that are known already.
    pub(super) fn check(&self, candidates: &Plan) -> Result<(), ChooseError> {
        let fields = candidates.runs.iter().flat_map(|run| run.axes.keys());
        if let Some(field) = fields.into_iter().find(|field| !TUNED.iter().any(|(tuned, _)| tuned.field() == *field)) {
            return Err(ChooseError::Axis { field: field.clone() });
        }
        let free = candidates.runs.iter().map(|run| candidate(run, Stand::Free));
        let all: Vec<Candidate> = free.chain(self.known.runs.iter().cloned()).collect();
        Ok(next::check(&all, self.rule.goal)?)
    }

    /// Chooses up to `places` runs less those under way, and tells of each in a line.
    pub(super) fn more(&self, ledger: &Ledger, places: usize) -> Result<Vec<String>, LedgerError> {
        let mut standing = Standing::of(ledger, &self.known)?;
        let count = places.saturating_sub(standing.under_way);
        let (look, end) = self.look(&mut standing, count);
        let (mut flops, mut choices) = (standing.chosen_flops, Vec::new());
        let chosen = if end.is_some() { &[][..] } else { &look.chosen };
        for chosen in chosen {
            let run = &ledger.plan().runs[chosen.candidate];
            if !standing.fits(&self.rule, flops, run.flops) {
                break;
            }
            choices.push(Choice {
                run: Some(run.id.clone()),
                reason: chosen.to_string(),
                gain: chosen.gain,
                ..self.choice(&look, &standing, flops)
            });
            flops += run.flops;
        }
        if !choices.is_empty() {
            ledger.choose(&choices)?;
        }
        let run = |choice: &Choice| choice.run.as_ref().map_or_else(String::new, ToString::to_string);
        Ok(choices
            .iter()
            .map(|choice| format!("chosen: run {}: {}{}", run(choice), choice.reason, known(choice)))
            .collect())
    }

    /// Records where choosing ended, and tells it: what is known of the goal, and why no more runs are chosen.
    pub(super) fn conclude(&self, ledger: &Ledger) -> Result<Option<String>, LedgerError> {
        let mut standing = Standing::of(ledger, &self.known)?;
        if standing.under_way > 0 {
            return Ok(None);
        }
        let (look, end) = self.look(&mut standing, 1);
        let reason = end.unwrap_or_else(|| "no device is left to train on".to_owned());
        let choice = Choice { reason, ..self.choice(&look, &standing, standing.chosen_flops) };
        ledger.end_choosing(&choice)?;
        Ok(Some(format!("No more runs are chosen: {}{}.", choice.reason, known(&choice))))
    }

    fn choice(&self, look: &Look, standing: &Standing, flops: f64) -> Choice {
        Choice {
            run: None,
            reason: String::new(),
            goal: self.rule.goal.to_string(),
            known: look.goal.map(|Estimate { value, low, high }| [value, low, high]),
            gain: None,
            finished: standing.finished,
            flops,
        }
    }

    /// Looks at what is known, and tells why nothing more is to be chosen, if so.
    fn look(&self, standing: &mut Standing, count: usize) -> (Look, Option<String>) {
        let all = standing.candidates.iter().any(|candidate| candidate.stand == Stand::Free);
        let within: Vec<bool> = {
            let fits = |flops| standing.fits(&self.rule, standing.chosen_flops, flops);
            standing.candidates.iter().map(|candidate| fits(candidate.flops)).collect()
        };
        for (candidate, within) in standing.candidates.iter_mut().zip(within) {
            if candidate.stand == Stand::Free && !within {
                candidate.stand = Stand::Closed;
            }
        }
        let options = Options { enough: self.rule.stop_width, ..Options::new(self.rule.goal) };
        let look = next::look(&standing.candidates, options, count);
        let width = look.goal.map(|goal| self.rule.goal.width(goal.low, goal.high));
        let enough = self.rule.stop_width.filter(|enough| width.is_some_and(|width| width <= *enough));
        let end = match (enough, all, look.chosen.is_empty()) {
            (Some(enough), ..) => Some(format!("the interval is as narrow as sweep.stop_width = {enough} asks")),
            (None, false, _) => Some("every candidate has been trained".to_owned()),
            (None, true, true) if count > 0 => Some("another run would exceed the limit".to_owned()),
            _ => None,
        };
        (look, end)
    }
}

/// What is known of the goal, as the end of a line.
fn known(choice: &Choice) -> String {
    match choice.known {
        Some([value, low, high]) => {
            let number = crate::units::Ratio;
            format!("; {} is {} ({} to {})", choice.goal, number(value), number(low), number(high))
        }
        None => String::new(),
    }
}
