//! What to try where a run diverged, by what became of the runs beside it.

use std::fmt::Write as _;

use crate::plan::PlannedRun;

/// Runs whose parameters differ by less than this factor are of one size.
const ONE_SIZE: f64 = 1.25;
/// A run that diverges within so many lengths of its warm-up diverges at its beginning.
const BEGINNING: usize = 2;

/// What happened and what to try, in a sentence or two. `finished` are the runs of the sweep that trained to their end.
pub fn explain(run: &PlannedRun, step: usize, train_loss: Option<f64>, finished: &[&PlannedRun]) -> String {
    let loss = train_loss.map_or_else(|| "was not a finite number".to_owned(), |loss| format!("was {loss:.2}"));
    let steps = run.run.schedule.steps;
    let told = loss_of(run);
    format!("diverged at step {step} of {steps}, where its {told} {loss}. {}", advice(run, step, finished))
}

/// The loss that left the numbers. A program may have told it of its validation tokens as well.
pub fn loss_of(run: &PlannedRun) -> &'static str {
    if run.run.program.is_some() { "loss" } else { "training loss" }
}

/// What to try. The rate is judged against the runs beside this one: only where none says anything is it a guess.
fn advice(run: &PlannedRun, step: usize, finished: &[&PlannedRun]) -> String {
    // The program has rates of its own; those of the spec mean nothing there.
    if run.own_size().is_some() {
        return "What to try is the program's own to set: most often a lower learning rate, a longer warm-up or clipped gradients \
                help"
            .to_owned();
    }
    let mut text = by_neighbours(run, finished);
    let optimizer = &run.run.optimizer;
    if optimizer.clip_norm <= 0.0 {
        text += ". Its gradients are not clipped: optimizer.clip_norm = 1.0 clips them";
    }
    let warmup = run.run.schedule.warmup_steps;
    if step <= (BEGINNING * warmup).max(10) && warmup < 10 {
        let _ =
            write!(text, ". It was at its beginning and has a warm-up of {warmup} steps: a longer one may help too");
    }
    text
}

fn by_neighbours(run: &PlannedRun, finished: &[&PlannedRun]) -> String {
    let rate = run.run.optimizer.learning_rate;
    let size = |run: &PlannedRun| run.params.total() as f64;
    let apart = |other: &PlannedRun| (size(other) / size(run)).ln().abs();
    let alike = |other: &&&PlannedRun| other.run.parameterization == run.run.parameterization;
    let beside: Vec<&&PlannedRun> =
        finished.iter().filter(alike).filter(|other| apart(other) < ONE_SIZE.ln()).collect();
    let rate_of = |other: &PlannedRun| other.run.optimizer.learning_rate;
    let highest = beside.iter().map(|other| rate_of(other)).fold(0.0, f64::max);
    if highest >= rate {
        return format!(
            "What to try: its rate {rate:.1e} is not too high for this size, since others of it finished at up to \
             {highest:.1e}: try another seed, or a larger optimizer.epsilon"
        );
    }
    if highest > 0.0 {
        let times = rate / highest;
        return format!(
            "What to try: a lower rate. Its rate {rate:.1e} is {times:.1} times the highest at which this size finished \
             ({highest:.1e})"
        );
    }
    // Of that size the highest rate that finished.
    let nearness =
        |a: &&&PlannedRun, b: &&&PlannedRun| apart(a).total_cmp(&apart(b)).then(rate_of(b).total_cmp(&rate_of(a)));
    let nearest = finished.iter().filter(alike).min_by(nearness);
    match nearest {
        Some(other) => format!(
            "What to try: a lower rate. Its rate is {rate:.1e}; the nearest size that finished, {:.2} times as large, did so at \
             up to {:.1e}",
            size(other) / size(run),
            rate_of(other)
        ),
        None => format!(
            "What to try: a lower rate, such as optimizer.learning_rate of {:.1e} here instead of {rate:.1e}; no run has \
             finished to compare it with",
            rate / 4.0
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::testing::planned;

    fn at_rate(rate: f64) -> PlannedRun {
        let mut run = planned(2, 0);
        run.run.optimizer.learning_rate = rate;
        run.run.optimizer.clip_norm = 1.0;
        run.run.schedule.warmup_steps = 50;
        run
    }

    #[test]
    fn the_rate_is_judged_by_the_runs_beside_it_and_warm_up_is_no_advice_for_all() {
        let hot = at_rate(0.08);
        let told = |finished: &[&PlannedRun]| explain(&hot, 400, Some(9.123), finished);
        let (mild, hotter) = (at_rate(0.02), at_rate(0.2));
        assert!(told(&[&mild]).contains("where its training loss was 9.12. What to try: a lower rate."));
        assert!(told(&[&mild]).contains("8.0e-2 is 4.0 times the highest at which this size finished (2.0e-2)"));
        assert!(told(&[&mild, &hotter]).contains("is not too high for this size"));
        let mut other = at_rate(0.01);
        other.run.shape.depth = 9;
        assert!(told(&[]).contains("2.0e-2 here instead of 8.0e-2; no run has finished"), "{}", told(&[]));
        assert!(!told(&[&mild]).contains("warm-up") && !told(&[&mild]).contains("clip"));
        let mut bare = at_rate(0.08);
        (bare.run.optimizer.clip_norm, bare.run.schedule.warmup_steps) = (0.0, 0);
        let told = explain(&bare, 3, None, &[&mild]);
        assert!(
            told.contains("not a finite number") && told.contains("clip_norm") && told.contains("warm-up of 0 steps")
        );
    }
}
