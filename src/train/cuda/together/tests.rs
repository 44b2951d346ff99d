use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::form::Form;
use super::slab::Slab;
use super::view::View;
use crate::checkpoint::Place;
use crate::data::Corpus;
use crate::optimizer::Kept;
use crate::plan::Run;
use crate::spec::Precision;
use crate::train::cuda::gpu::{Gpu, Runs};
use crate::train::cuda::program::{Program, bytes_of};
use crate::train::cuda::state::StepState;
use crate::train::cuda::testing::{card, emulated, small};
use crate::train::cuda::tests::parts::{Case, cases};
use crate::train::engine::{Engine as _, Session, take_mean_loss};
use crate::train::evaluation::batch_rows;
use crate::train::initial;
use crate::train::schedule::shares_of_peak;

/// Three runs of one form: other seeds, rates, decays and lengths.
fn three(run: &Run) -> Vec<Run> {
    let other = |number: u32| {
        let mut run = run.clone();
        run.seed += u64::from(number);
        run.optimizer.learning_rate *= 1.0 + f64::from(number);
        run.optimizer.weight_decay += 0.1 * f64::from(number);
        run.schedule.steps += 3 * number as usize;
        run
    };
    (0..3).map(other).collect()
}

/// What is kept of a run: its small numbers, and all numbers of its weights as bits.
fn state(program: &Program<'_>, run: &Run) -> (StepState, Vec<Vec<u32>>) {
    let kept = crate::checkpoint::kept(&run.shape, run.optimizer.kind);
    let bits = |(weight, kept)| program.read(weight, kept).unwrap().into_iter().map(f32::to_bits).collect();
    (program.step_state().unwrap(), kept.into_iter().map(bits).collect())
}

/// Brings the first batches of a run to the card.
fn load(program: &Program<'_>, run: &Run, corpus: &Corpus) {
    let (mut all, mut tokens) = (Vec::new(), Vec::new());
    for step in 0..4 {
        corpus.train_batch(run.seed, run.optimizer.batch_sequences, step, &mut tokens);
        all.extend_from_slice(&tokens);
    }
    program.load(0, &bytes_of(&all)).unwrap();
}

/// The same steps by one run after another, and by launches for all of them, in one of which a run waits.
fn compare(gpu: &dyn Gpu, runs: &[Run], corpus: &Corpus, micro_batches: usize) {
    let alone: Vec<_> = runs
        .iter()
        .enumerate()
        .map(|(number, run)| {
            let shown = batch_rows(run.shape.context);
            let program =
                Program::new(gpu, (run, &run.table()), &shares_of_peak(&run.schedule), micro_batches, shown).unwrap();
            load(&program, run, corpus);
            (0..if number == 1 { 1 } else { 2 }).for_each(|_| program.train().unwrap());
            state(&program, run)
        })
        .collect();
    let form = |run: &Run| Form::of(run, &run.table(), micro_batches);
    assert!(runs.iter().all(|run| form(run) == form(&runs[0])));
    let slab = Slab::new(gpu, form(&runs[0]).bytes().unwrap(), runs.len()).unwrap();
    let held = Rc::new(form(&runs[0]).hold(&slab).unwrap());
    let views: Vec<_> = (0..runs.len()).map(|place| View::one(gpu, place as u64 * slab.apart())).collect();
    let programs: Vec<_> = views.iter().map(|view| Program::within(view, Rc::clone(&held))).collect();
    for (place, (program, run)) in programs.iter().zip(runs).enumerate() {
        slab.renew(place).unwrap();
        let drawn: Vec<_> = initial::weights(run, &run.table()).collect();
        program.begin(&run.optimizer, &drawn, &shares_of_peak(&run.schedule)).unwrap();
        load(program, run, corpus);
    }
    let all = View::several(gpu, Runs { count: 3, apart: slab.apart() });
    let all = Program::within(&all, held);
    all.train().unwrap();
    programs[1].set_waits(true).unwrap();
    all.train().unwrap();
    for (number, ((program, run), alone)) in programs.iter().zip(runs).zip(alone).enumerate() {
        assert!(state(program, run) == alone, "run {number} has other bits than by itself");
    }
}

#[test]
fn one_launch_for_several_runs_gives_each_of_them_the_bits_of_a_run_alone() {
    let Some(card) = card() else { return };
    // Both kinds of numbers have kernels of the same text.
    let numbers = [Precision::F32, Precision::Bf16].into_iter().cycle();
    for (Case { name, mut planned, corpus }, precision) in cases().into_iter().zip(numbers) {
        println!("{name}");
        planned.run.precision = precision;
        compare(card.gpu.as_ref(), &three(&planned.run), &corpus, 1);
    }
    let (mut planned, corpus) = small(|_| ());
    compare(card.gpu.as_ref(), &three(&planned.run), &corpus, 2);
    for precision in [Precision::Tf32, Precision::Bf16] {
        planned.run.precision = precision;
        compare(card.gpu.as_ref(), &three(&planned.run), &corpus, 1);
    }
}

#[test]
fn runs_that_differ_in_what_launches_are_told_are_of_other_forms() {
    let (planned, _) = small(|_| ());
    let run = &planned.run;
    let form = |change: &dyn Fn(&mut Run)| {
        let mut run = run.clone();
        change(&mut run);
        Form::of(&run, &run.table(), 1)
    };
    let same = form(&|_| ());
    assert!(same == form(&|run| (run.seed, run.optimizer.learning_rate, run.schedule.steps) = (7, 0.5, 999)));
    assert!(same != Form::of(run, &run.table(), 2));
    let others: [&dyn Fn(&mut Run); 7] = [
        &|run| run.shape.depth += 1,
        &|run| run.precision = Precision::Bf16,
        &|run| run.optimizer.batch_sequences += 1,
        &|run| run.optimizer.beta2 = Some(0.9),
        &|run| run.optimizer.clip_norm = 2.0,
        &|run| run.optimizer.epsilon = Some(1e-3),
        &|run| run.schedule.steps = 1 << 17,
    ];
    for (number, change) in others.into_iter().enumerate() {
        assert!(same != form(change), "change {number}");
    }
}

/// Bits of the mean losses of steps, and of the losses of unseen tokens behind them.
fn course(session: &mut dyn Session, run: &Run, corpus: &Corpus, steps: std::ops::Range<usize>) -> Vec<u64> {
    let mut seen = Vec::new();
    for step in steps {
        session.step(step).unwrap();
        seen.push(take_mean_loss(session).unwrap().to_bits());
    }
    let mut tokens = Vec::new();
    corpus.validation_batch(run.eval.tokens, 0, 2, &mut tokens);
    seen.extend(session.token_losses(&tokens).unwrap().into_iter().map(|loss| u64::from(loss.to_bits())));
    seen
}

#[test]
fn runs_that_are_stepped_together_go_their_courses_as_by_themselves_whoever_comes_goes_or_diverges() {
    let Some(own) = card() else { return };
    let (planned, corpus) = small(|_| ());
    let mut runs = three(&planned.run);
    // It diverges.
    runs[1].optimizer.learning_rate = 1e9;
    // The first stops in the middle, and another of its form takes its place.
    let lengths = [3, 6, 5];
    let alone: Vec<_> = runs
        .iter()
        .zip(lengths)
        .map(|(run, steps)| course(own.begin(run, &corpus, 1).unwrap().as_mut(), run, &corpus, 0..steps))
        .collect();
    assert!(alone[1].iter().any(|loss| !f64::from_bits(*loss).is_finite()), "one diverges");
    let train = |number: usize| {
        let card = card().expect("a card for each thread");
        let (run, steps) = (&runs[number], lengths[number]);
        let mut session = card.begin_among(run, &corpus, (1, 3)).unwrap();
        course(session.as_mut(), run, &corpus, 0..steps)
    };
    let together: Vec<_> = thread::scope(|scope| {
        let train = &train;
        let threads = [0, 1, 2].map(|number| scope.spawn(move || [train(number), train((number + 1) % 3)]));
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for (number, [first, second]) in together.iter().enumerate() {
        assert!(*first == alone[number], "run {number}");
        assert!(*second == alone[(number + 1) % 3], "run {} in a place where another was", (number + 1) % 3);
    }
}

#[test]
fn a_run_among_others_is_taken_up_where_it_was_left_and_has_its_memory_with_theirs() {
    let Some(card) = emulated() else { return };
    let (planned, corpus) = small(|_| ());
    let runs = three(&planned.run);
    let free = card.free_memory().unwrap();
    let whole = course(card.begin(&runs[0], &corpus, 1).unwrap().as_mut(), &runs[0], &corpus, 0..8);
    let mut other = card.begin_among(&runs[1], &corpus, (1, 2)).unwrap();
    let mut first = card.begin_among(&runs[0], &corpus, (1, 2)).unwrap();
    // An emulated card of the team's own has it.
    assert_eq!(card.free_memory().unwrap(), free);
    course(first.as_mut(), &runs[0], &corpus, 0..5);
    other.step(0).unwrap();
    let kept = crate::checkpoint::kept(&runs[0].shape, runs[0].optimizer.kind);
    let numbers = kept.iter().map(|(weight, kept)| first.numbers(*weight, *kept).unwrap()).collect();
    drop(first);
    let mut again = card.begin_among(&runs[0], &corpus, (1, 2)).unwrap();
    let place = Place { step: 5, losses: 0, ..Place::default() };
    again.restore(&place, 0.0, numbers).unwrap();
    other.step(1).unwrap();
    assert_eq!(course(again.as_mut(), &runs[0], &corpus, 5..8), whole[5..]);
    // A third has no place among two, and is trained by itself.
    let mut third = card.begin_among(&runs[2], &corpus, (1, 2)).unwrap();
    assert!(card.free_memory().unwrap() == free, "a team of its own");
    third.step(0).unwrap();
    assert!(other.numbers(0, Kept::Value).unwrap() != third.numbers(0, Kept::Value).unwrap());
}

#[test]
fn a_run_of_which_the_card_has_no_room_for_two_is_trained_by_itself() {
    let Some(card) = emulated() else { return };
    let (mut planned, corpus) = small(|_| ());
    // More than half of the card.
    let half = card.gpu.memory().unwrap().total / 2;
    while crate::train::cuda::bytes(&planned.run).unwrap() <= half {
        (planned.run.shape.width, planned.run.shape.heads) =
            (planned.run.shape.width + 64, planned.run.shape.heads + 8);
    }
    let free = card.free_memory().unwrap();
    let held = card.begin_among(&planned.run, &corpus, (1, 16)).unwrap();
    let taken = free.unwrap() - card.free_memory().unwrap().unwrap();
    assert!(taken > half, "{} MiB", taken >> 20);
    drop(held);
    assert_eq!(card.free_memory().unwrap(), free);
}

#[test]
fn a_run_that_is_busy_with_its_state_does_not_hold_up_the_others() {
    let Some(own) = card() else { return };
    let (planned, corpus) = small(|_| ());
    let runs = three(&planned.run);
    let mut busy = own.begin_among(&runs[0], &corpus, (1, 2)).unwrap();
    // Now it is one of those that the next step waits for.
    busy.step(0).unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let card = card().expect("a card for each thread");
            let mut other = card.begin_among(&runs[1], &corpus, (1, 2)).unwrap();
            course(other.as_mut(), &runs[1], &corpus, 0..3);
            done.store(true, Ordering::Relaxed);
        });
        let reads = (0..5_000_000).take_while(|_| {
            busy.numbers(0, Kept::Value).unwrap();
            !done.load(Ordering::Relaxed)
        });
        assert!(reads.count() < 5_000_000, "the other waits for all of them");
    });
}
