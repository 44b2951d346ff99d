//! What is seen of a sweep while it runs: a bar a slot and one for all on a terminal, plain lines elsewhere. On
//! standard error, since standard output is for results.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{Event, diverged};
use crate::ledger::{Ledger, RunResult, State, conflict_warning};
use crate::observation::Counting;
use crate::plan::{PlannedRun, RunId};
use crate::trainer::Outcome;
use crate::units::{Flops, Params, Seconds, Tokens};

/// Shows the events of workers.
pub struct Display<'a> {
    runs: HashMap<&'a RunId, &'a PlannedRun>,
    /// Runs that are to be trained, as far as they are counted in what follows.
    counted: HashSet<RunId>,
    /// FLOPs of all runs that were not given up, of those that have ended, and of those that had before this call.
    total: f64,
    done: f64,
    before: f64,
    started: Instant,
    /// FLOPs spent so far on the run of each slot.
    partial: Vec<f64>,
    /// FLOPs of the run of each slot that earlier attempts had spent, known once it tells how far it is.
    resumed: Vec<Option<f64>>,
    /// Runs trained to their end.
    finished: HashSet<RunId>,
    bars: Option<Bars>,
}

struct Bars {
    all: MultiProgress,
    slots: Vec<ProgressBar>,
    sweep: ProgressBar,
}

/// Seconds after which a line says that a run is still before its first step, and between two of them.
const FIRST_SIGN: u64 = 2;
const SIGN_EVERY: u64 = 30;

/// Bars count in thousandths: FLOPs do not fit into an integer.
const THOUSAND: u64 = 1000;

/// What a run that was stopped after so many tokens would still have cost.
fn spared(run: &PlannedRun, tokens: u64) -> f64 {
    run.flops_spent() * (1.0 - run.share_done(tokens))
}

impl<'a> Display<'a> {
    /// A display of `slots` workers on the runs of a ledger; bars where `terminal`, lines otherwise.
    pub fn new(ledger: &'a Ledger, slots: usize, terminal: bool) -> Self {
        let mut display = Self {
            runs: ledger.plan().runs.iter().map(|run| (&run.id, run)).collect(),
            counted: HashSet::new(),
            total: 0.0,
            done: 0.0,
            before: 0.0,
            started: Instant::now(),
            partial: vec![0.0; slots],
            resumed: vec![Some(0.0); slots],
            finished: HashSet::new(),
            bars: terminal.then(|| Bars::new(slots)),
        };
        display.count(ledger);
        display
    }

    /// Counts the runs that are to be trained, and where more of them have been chosen, those as well.
    pub fn count(&mut self, ledger: &Ledger) {
        for run in ledger.wanted() {
            if !self.counted.insert(run.id.clone()) {
                continue;
            }
            let mut flops = run.flops_spent();
            let state = ledger.state(&run.id);
            match &state {
                Ok(State::Stopped(stopped)) => flops -= spared(run, stopped.tokens),
                Ok(State::Ended(RunResult { outcome: Outcome::Finished { .. }, .. })) => {
                    self.finished.insert(run.id.clone());
                }
                // What is damaged is over too, and is told of at the end.
                Ok(State::Pending | State::Ended(_) | State::Failed(_)) | Err(_) => {}
            }
            self.total += flops;
            if !matches!(state, Ok(State::Pending)) {
                self.done += flops;
                self.before += flops;
            }
        }
    }

    /// Shows what happened in a slot.
    pub fn show(&mut self, slot: usize, event: &Event) {
        match event {
            Event::Claimed { run, attempt } => self.claimed(slot, run, *attempt),
            Event::Progress { run, tokens, train_loss, tokens_per_second } => {
                self.progressed(slot, run, *tokens, *train_loss, *tokens_per_second);
            }
            Event::Finished { run, val_loss, tokens_per_second, seconds } => {
                let rate = Tokens(*tokens_per_second);
                let text = format!("finished: loss {val_loss:.4}, {rate} tokens/s, {}", Seconds(*seconds));
                self.finished.insert(run.clone());
                self.ended(slot, run, true, &text);
            }
            Event::Diverged { run, step, train_loss } => self.diverged(slot, run, *step, *train_loss),
            Event::Stopped { run, tokens, why } => self.stopped(slot, run, *tokens, why),
            Event::Preparing { run, what, seconds } => self.preparing(slot, run, what, *seconds),
            Event::Postponed { run, message } => {
                self.ended(slot, run, false, &format!("is tried again later: {message}"));
            }
            Event::Interrupted { run, step: 0 } => self.ended(slot, run, false, "stopped before its first step"),
            Event::Interrupted { run, step } => self.ended(slot, run, false, &format!("stopped after step {step}")),
            Event::Failed { run, failure } => self.ended(slot, run, false, &format!("failed: {}", failure.message)),
            Event::Conflict { run: _, kept } => self.say(&conflict_warning(kept)),
        }
        self.tick();
    }

    /// Prints a line above the bars.
    pub fn say(&self, line: &str) {
        if let Some(bars) = &self.bars {
            bars.all.suspend(|| tell!("{line}"));
        } else {
            tell!("{line}");
        }
    }

    /// Leaves a run out of the work to be done.
    pub fn given_up(&mut self, run: &RunId) {
        if let Some(run) = self.runs.get(run) {
            self.total -= run.flops_spent();
        }
    }

    /// Brings the bar of the sweep up to date.
    pub fn tick(&self) {
        if let Some(bars) = &self.bars {
            bars.sweep.set_position((self.share() * THOUSAND as f64) as u64);
            let (done, total) = (Flops(self.spent()), Flops(self.total));
            let (so_far, left) = (Seconds(self.started.elapsed().as_secs_f64()), Seconds(self.seconds_left()));
            bars.sweep.set_message(format!("{done} of {total} FLOPs, {so_far} so far, {left} left"));
        }
    }

    /// Takes the bars away for good: what is said from now on stays where it is.
    pub fn finish(mut self) {
        if let Some(bars) = self.bars.take() {
            // Each one has a clock that draws it again, and the lines that have come since would be erased with it.
            bars.slots.iter().chain([&bars.sweep]).for_each(ProgressBar::finish_and_clear);
            // Fails only where the terminal is gone.
            let _ = bars.all.clear();
        }
    }

    fn claimed(&mut self, slot: usize, id: &RunId, attempt: u32) {
        (self.partial[slot], self.resumed[slot]) = (0.0, (attempt == 1).then_some(0.0));
        let Some(run) = self.runs.get(id) else { return };
        let params = Params(run.params.by(Counting::All) as f64);
        let (tokens, flops) = (Tokens(run.tokens as f64), Flops(run.flops));
        if let Some(bars) = &self.bars {
            let bar = &bars.slots[slot];
            bar.set_prefix(format!("slot {} {id}", slot + 1));
            bar.set_position(0);
            bar.set_message(format!("{params} parameters"));
        } else {
            let again = if attempt > 1 { format!(", attempt {attempt}") } else { String::new() };
            self.line(&format!("run {id} starts: {params} parameters, {tokens} tokens, {flops} FLOPs{again}"));
        }
    }

    /// A terminal shows it in the bar, which is drawn again each time; a line is written now and then.
    fn preparing(&self, slot: usize, id: &RunId, what: &str, seconds: f64) {
        if let Some(bars) = &self.bars {
            bars.slots[slot].set_message(format!("{what}, {seconds:.0} s"));
        } else if seconds as u64 == FIRST_SIGN || (seconds as u64).is_multiple_of(SIGN_EVERY) {
            self.line(&format!("run {id}: {what}, {seconds:.0} s"));
        }
    }

    fn progressed(&mut self, slot: usize, id: &RunId, tokens: u64, loss: Option<f64>, rate: Option<f64>) {
        let Some(run) = self.runs.get(id) else { return };
        let spent = run.share_done(tokens) * run.flops_spent();
        self.partial[slot] = spent;
        // What the checkpoint of an earlier attempt had is no work of this call.
        if self.resumed[slot].is_none() {
            self.resumed[slot] = Some(spent);
            self.before += spent;
        }
        if let Some(bars) = &self.bars {
            let left = run.tokens.saturating_sub(tokens) as f64 / rate.unwrap_or(f64::NAN);
            // The first loss comes with the first point of the curve.
            let loss = loss.map_or_else(|| "-".to_owned(), |loss| format!("{loss:.3}"));
            let rate = Tokens(rate.unwrap_or(f64::NAN));
            let bar = &bars.slots[slot];
            bar.set_position((run.share_done(tokens) * THOUSAND as f64) as u64);
            bar.set_message(format!("loss {loss}, {rate} tokens/s, {} left", Seconds(left)));
        }
    }

    /// A run that diverged is told at once, on a terminal too: whoever looks may want to stop the sweep.
    fn diverged(&mut self, slot: usize, id: &RunId, step: usize, train_loss: Option<f64>) {
        let finished: Vec<&PlannedRun> = self.finished.iter().filter_map(|id| self.runs.get(id).copied()).collect();
        let text = self.runs.get(id).map_or_else(
            || format!("diverged at step {step}"),
            |run| diverged::explain(run, step, train_loss, &finished),
        );
        if self.bars.is_some() {
            self.say(&format!("run {id} {text}"));
        }
        self.ended(slot, id, true, &text);
    }

    /// What it would have cost on is no work any more.
    fn stopped(&mut self, slot: usize, id: &RunId, tokens: u64, why: &str) {
        let spared = self.runs.get(id).map_or(0.0, |run| spared(run, tokens));
        let is_unknown = self.resumed[slot].is_none();
        self.ended(slot, id, true, why);
        (self.total, self.done) = (self.total - spared, self.done - spared);
        self.before -= if is_unknown { spared } else { 0.0 };
    }

    fn ended(&mut self, slot: usize, id: &RunId, has_result: bool, text: &str) {
        self.partial[slot] = 0.0;
        let resumed = self.resumed[slot].replace(0.0);
        if has_result {
            let flops = self.runs.get(id).map_or(0.0, |run| run.flops_spent());
            self.done += flops;
            // Of a run that was taken up again and ended before it told how far it was, nobody knows what this call did.
            self.before += if resumed.is_none() { flops } else { 0.0 };
        } else {
            self.before -= resumed.unwrap_or(0.0);
        }
        if let Some(bars) = &self.bars {
            bars.slots[slot].set_prefix(format!("slot {} {:16}", slot + 1, ""));
            bars.slots[slot].set_position(0);
            bars.slots[slot].set_message(String::new());
        }
        // A terminal shows what goes wrong and otherwise the bars.
        if self.bars.is_none() || !has_result {
            self.line(&format!("run {id} {text}"));
        }
    }

    fn line(&self, text: &str) {
        let left = self.seconds_left();
        let left = if left.is_finite() { format!(", {} left", Seconds(left)) } else { String::new() };
        // Rounded down: 100% is said when nothing is left.
        self.say(&format!("[{:.0}%{left}] {text}", (100.0 * self.share()).floor()));
    }

    fn spent(&self) -> f64 {
        self.done + self.partial.iter().sum::<f64>()
    }

    fn share(&self) -> f64 {
        if self.total > 0.0 { (self.spent() / self.total).min(1.0) } else { 1.0 }
    }

    /// At the rate of this call so far; infinite before anything was done.
    fn seconds_left(&self) -> f64 {
        let rate = (self.spent() - self.before) / self.started.elapsed().as_secs_f64();
        if rate > 0.0 { (self.total - self.spent()).max(0.0) / rate } else { f64::INFINITY }
    }
}

impl Bars {
    fn new(slots: usize) -> Self {
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(5));
        let style = ProgressStyle::with_template("{prefix:24} [{bar:24}] {percent:>3}% {msg}")
            .expect("a constant template")
            .progress_chars("=> ");
        let bar = |prefix: String| {
            let bar = all.add(ProgressBar::new(THOUSAND).with_style(style.clone()).with_prefix(prefix));
            bar.enable_steady_tick(Duration::from_millis(500));
            bar
        };
        let slots = (1..=slots).map(|slot| bar(format!("slot {slot}"))).collect();
        let sweep = bar("sweep".to_owned());
        Self { all, slots, sweep }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::testing::{SPEC, device, finished, ledger};
    use crate::ledger::{Choice, Losses};
    use crate::plan::Plan;
    use crate::plan::testing::plan;

    #[test]
    fn the_share_done_is_in_flops_and_counts_what_was_done_before() {
        let (_dir, ledger) = ledger(3);
        let runs = &ledger.plan().runs;
        ledger.claim(&runs[2]).unwrap().unwrap().publish(finished(3.0), device(), 1).unwrap();
        let mut display = Display::new(&ledger, 2, false);
        let total: f64 = runs.iter().map(|run| run.flops).sum();
        assert!((display.share() - runs[2].flops / total).abs() < 1e-12);
        assert!(display.seconds_left().is_infinite(), "nothing was done by this call");

        let half = runs[1].tokens / 2;
        let run = runs[1].id.clone();
        let progress = Event::Progress { run, tokens: half, train_loss: None, tokens_per_second: None };
        display.show(1, &progress);
        let expected = (runs[2].flops + half as f64 * runs[1].flops_per_token.exact) / total;
        assert!((display.share() - expected).abs() < 1e-12);
        assert!(display.seconds_left().is_finite());

        let run = runs[1].id.clone();
        display.show(1, &Event::Finished { run, val_loss: 3.0, tokens_per_second: 1.0, seconds: 1.0 });
        display.given_up(&runs[0].id);
        assert!((display.share() - 1.0).abs() < 1e-12, "what was given up is not left to do");
    }

    #[test]
    fn of_a_sweep_that_chooses_the_share_is_of_the_runs_that_were_chosen() {
        let dir = tempfile::tempdir().unwrap();
        let candidates = plan(3);
        let runs = &candidates.runs;
        let begun =
            Ledger::create(dir.path(), SPEC, Plan { runs: Vec::new(), left_out: Vec::new() }, Losses::Trained).unwrap();
        let ledger = begun.choosing(candidates.clone());
        // Two have a result before they are chosen, as where folders of runs were copied in.
        for run in &runs[..2] {
            ledger.claim(run).unwrap().unwrap().publish(finished(3.0), device(), 1).unwrap();
        }
        let mut display = Display::new(&ledger, 1, false);
        for (run, expected) in [(2, 0.0), (0, runs[0].flops / (runs[0].flops + runs[2].flops))] {
            let reason = "the cheapest".to_string();
            let run = Some(runs[run].id.clone());
            let choice = Choice { run, reason, goal: String::new(), known: None, gain: None, finished: 0, flops: 0.0 };
            ledger.choose(&[choice]).unwrap();
            display.count(&ledger);
            assert!((display.share() - expected).abs() < 1e-12, "{} and not {expected}", display.share());
            assert!(display.seconds_left().is_infinite(), "nothing was done by this call");
        }
    }

    #[test]
    fn more_tokens_than_can_be_are_the_end_of_a_bar() {
        let (_dir, ledger) = ledger(1);
        let run = &ledger.plan().runs[0];
        let mut display = Display::new(&ledger, 1, true);
        for (tokens, position) in [(run.tokens / 2, THOUSAND / 2), (u64::MAX, THOUSAND)] {
            display
                .show(0, &Event::Progress { run: run.id.clone(), tokens, train_loss: None, tokens_per_second: None });
            assert_eq!(display.bars.as_ref().unwrap().slots[0].position(), position);
        }
    }

    #[test]
    fn what_a_checkpoint_had_is_no_work_of_this_call() {
        let (_dir, ledger) = ledger(1);
        let run = &ledger.plan().runs[0];
        let mut display = Display::new(&ledger, 1, false);
        let progress = |share: f64| {
            let tokens = (run.tokens as f64 * share) as u64;
            Event::Progress { run: run.id.clone(), tokens, train_loss: None, tokens_per_second: None }
        };
        display.show(0, &Event::Claimed { run: run.id.clone(), attempt: 2 });
        display.show(0, &progress(0.5));
        assert!(display.seconds_left().is_infinite(), "nothing was done by this call");
        display.show(0, &progress(0.75));
        let done = (display.spent() - display.before) / run.flops;
        assert!((done - 0.25).abs() < 1e-3, "{done}");
        display.show(0, &Event::Interrupted { run: run.id.clone(), step: 75 });
        assert!(display.spent().abs() < 1e-9 && display.before.abs() < 1e-9);
    }

    #[test]
    fn a_run_that_is_taken_up_again_and_ends_before_it_tells_its_progress_is_no_work_of_this_call() {
        let (_dir, ledger) = ledger(2);
        let runs = &ledger.plan().runs;
        let id = |at: usize| runs[at].id.clone();
        let mut display = Display::new(&ledger, 1, false);
        let finished = Event::Finished { run: id(0), val_loss: 3.0, tokens_per_second: 1.0, seconds: 1.0 };
        display.show(0, &Event::Claimed { run: id(0), attempt: 2 });
        display.show(0, &finished);
        assert!(display.seconds_left().is_infinite(), "{} of {}", display.before, display.spent());
        let stopped = Event::Stopped { run: id(1), tokens: runs[1].tokens / 2, why: "stopped".to_owned() };
        display.show(0, &Event::Claimed { run: id(1), attempt: 2 });
        display.show(0, &stopped);
        assert!((display.before / display.spent() - 1.0).abs() < 1e-9, "{} of {}", display.before, display.spent());
    }
}
