//! The engine on an emulated card beside the engine of the CPU: the same kernels, run by fibers. Skipped, saying so, where no
//! C++ compiler is.

use std::io::Seek as _;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use super::testing::{SEQUENCES, card, emulated, small};
use super::*;
use crate::checkpoint::{self, Place};
use crate::model::{Parts, Weight};
use crate::optimizer::Kept;
use crate::parameterization::Parameterization;
use crate::plan::PlannedRun;
use crate::spec::{PowerRule, Spec, Task, TaskKind};
use crate::train::burn;
use crate::train::course::Course;
use crate::train::engine::{Session, take_mean_loss};
use crate::train::evaluation::evaluate;
use crate::train::state;
use crate::trainer::{Outcome, Progress};

pub mod parts;

/// Steps that are compared.
const STEPS: usize = 4;

fn cpu() -> impl Engine {
    burn::testing()
}

/// The same run under a parameterization whose base shape is smaller in every way, so that no factor is 1.
fn with(parameterization: Parameterization) -> impl FnOnce(&mut Spec) {
    move |spec| {
        let model = &mut spec.model;
        model.parameterization = parameterization;
        (model.base_width, model.base_depth, model.base_head_dim) = (Some(16), Some(1), Some(8));
    }
}

fn losses(session: &mut dyn Session, from: usize, to: usize) -> Vec<f64> {
    let mut loss = |step| {
        session.step(step).expect("a step");
        take_mean_loss(session).expect("a loss")
    };
    (from..to).map(&mut loss).collect()
}

/// All weights one after another.
fn weights(session: &mut dyn Session, run: &Run) -> Vec<Vec<f32>> {
    (0..run.shape.weights().len()).map(|weight| session.numbers(weight, Kept::Value).expect("numbers")).collect()
}

/// Largest difference, relative to the largest number.
fn apart(a: &[f32], b: &[f32]) -> f32 {
    let largest = b.iter().fold(1e-30_f32, |largest, x| largest.max(x.abs()));
    a.iter().zip(b).fold(0.0_f32, |most, (a, b)| most.max((a - b).abs())) / largest
}

/// Losses of the first steps of a run on both, which must agree.
fn agree(run: &Run, corpus: &Corpus, card: &Cuda, reference: &Run, tolerance: f64) {
    let cpu = cpu();
    let mut ours = card.begin(run, corpus, 1).expect("a session");
    let mut theirs = cpu.begin(reference, corpus, 1).expect("a session");
    let drawn = [&mut ours, &mut theirs].map(|session| weights(session.as_mut(), run));
    assert_eq!(drawn[0], drawn[1], "the same initial weights, to the bit");
    let (a, b) = (losses(ours.as_mut(), 0, STEPS), losses(theirs.as_mut(), 0, STEPS));
    for (step, (a, b)) in a.iter().zip(&b).enumerate() {
        assert!((a / b - 1.0).abs() < tolerance, "step {step}: {a} on the card and {b} on the CPU");
    }
    let mut tokens = Vec::new();
    corpus.validation_batch(run.eval.tokens, 0, 3, &mut tokens);
    let [a, b] = [&mut ours, &mut theirs].map(|session| session.token_losses(&tokens).expect("losses"));
    let mean = |losses: &[f32]| losses.iter().map(|&loss| f64::from(loss)).sum::<f64>() / losses.len() as f64;
    assert_eq!((a.len(), b.len()), (3 * run.shape.context, 3 * run.shape.context));
    assert!((mean(&a) / mean(&b) - 1.0).abs() < tolerance, "{} and {} unseen", mean(&a), mean(&b));
}

#[test]
fn whole_steps_agree_with_the_cpu_for_every_parameterization() {
    let Some(card) = card() else { return };
    for parameterization in Parameterization::ALL {
        let (planned, corpus) = small(with(parameterization));
        println!("{parameterization:?}");
        agree(&planned.run, &corpus, &card, &planned.run, 1e-5);
    }
}

#[test]
fn the_most_likely_tokens_and_answers_to_tasks_are_those_of_the_cpu() {
    let Some(card) = card() else { return };
    let (mut planned, corpus) = small(|_| ());
    let cpu = cpu();
    let run = planned.run.clone();
    let mut sessions = [card.begin(&run, &corpus, 1).unwrap(), cpu.begin(&run, &corpus, 1).unwrap()];
    let mut tokens = Vec::new();
    corpus.validation_batch(run.eval.tokens, 0, 3, &mut tokens);
    let [ours, theirs] = sessions.each_mut().map(|session| {
        losses(session.as_mut(), 0, 3);
        session.best_tokens(&tokens).unwrap()
    });
    assert_eq!(ours, theirs);
    assert_eq!(ours.len(), 3 * run.shape.context);
    assert!(ours.iter().any(|token| *token != ours[0]), "not the same everywhere");
    let task = |kind| Task { kind, questions: 5, length: 4 };
    planned.run.eval.tasks = [TaskKind::Copy, TaskKind::Induction].map(task).to_vec();
    assert!(refusal::check(&planned.run).is_ok());
    let [ours, theirs] = sessions.each_mut().map(|session| {
        let go_on = &mut || ControlFlow::Continue(());
        let evaluated = evaluate(session.as_mut(), &corpus, &planned.run, go_on).unwrap();
        evaluated.continue_value().expect("nobody stops it").2
    });
    assert!(ours.len() >= 8 && ours.len() == theirs.len(), "{ours:?}");
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert_eq!(ours.name, theirs.name);
        assert!((ours.value - theirs.value).abs() < 1e-4, "{ours:?} and {theirs:?}");
    }
}

#[test]
fn low_precision_agrees_with_the_cpu_within_its_rounding() {
    let Some(card) = card() else { return };
    let all = Parameterization::ALL.into_iter().flat_map(|parameterization| {
        [(parameterization, Precision::Tf32, 1e-3), (parameterization, Precision::Bf16, 8e-3)]
    });
    for (parameterization, precision, tolerance) in all {
        let (planned, corpus) = small(with(parameterization));
        let run = Run { precision, ..planned.run.clone() };
        agree(&run, &corpus, &card, &planned.run, tolerance);
        let mut session = card.begin(&run, &corpus, 1).expect("a session");
        let exact = losses(card.begin(&planned.run, &corpus, 1).expect("a session").as_mut(), 0, 3);
        assert_ne!(losses(session.as_mut(), 0, 3), exact, "{precision:?} rounds");
    }
}

#[test]
fn every_weight_moves_as_on_the_cpu() {
    let Some(card) = card() else { return };
    let (planned, corpus) = small(with(Parameterization::Mup));
    let run = &planned.run;
    let cpu = cpu();
    let mut ours = card.begin(run, &corpus, 1).expect("a session");
    let mut theirs = cpu.begin(run, &corpus, 1).expect("a session");
    let before = weights(ours.as_mut(), run);
    for session in [&mut ours, &mut theirs] {
        session.step(0).expect("a step");
    }
    let (after, expected) = (weights(ours.as_mut(), run), weights(theirs.as_mut(), run));
    let first = |session: &mut Box<dyn Session + '_>, weight| session.numbers(weight, Kept::First).expect("numbers");
    for (weight, Weight { name, .. }) in run.shape.weights().iter().enumerate() {
        assert_ne!(before[weight], after[weight], "{name} moves");
        // The first moment is a tenth of the clipped gradient: Adam's first step hides its size.
        let off = apart(&first(&mut ours, weight), &first(&mut theirs, weight));
        assert!(off < 2e-5, "gradient of {name} is off by {off}");
        let off = apart(&after[weight], &expected[weight]);
        assert!(off < 2e-3, "{name} is off by {off}");
    }
}

#[test]
fn gradients_summed_over_micro_batches_are_those_of_the_whole_batch() {
    let Some(card) = card() else { return };
    let (planned, corpus) = small(|_| ());
    let trained = |parts| losses(card.begin(&planned.run, &corpus, parts).expect("a session").as_mut(), 0, STEPS);
    let whole = trained(1);
    for parts in [2, 100] {
        for (step, (a, b)) in whole.iter().zip(trained(parts)).enumerate() {
            assert!((a / b - 1.0).abs() < 1e-5, "{parts} parts, step {step}: {a} and {b}");
        }
    }
    assert!(whole[STEPS - 1] < whole[0], "it learns: {whole:?}");
}

fn bits(losses: &[f64]) -> Vec<u64> {
    losses.iter().map(|loss| loss.to_bits()).collect()
}

/// Writes the state of one session, reads it into another, and checks that they have the same numbers.
fn hand_over(planned: &PlannedRun, from: &mut dyn Session, to: &mut dyn Session, step: usize) {
    let mut file = tempfile::tempfile().unwrap();
    let place = Place { step, ..Place::default() };
    state::write(from, &planned.run, &mut file, &planned.id, &place).unwrap();
    file.rewind().unwrap();
    state::read(to, &planned.run, &mut file, &planned.id).unwrap();
    for (weight, kept) in checkpoint::kept(&planned.run.shape, planned.run.optimizer.kind) {
        assert_eq!(from.numbers(weight, kept).unwrap(), to.numbers(weight, kept).unwrap());
    }
    assert_eq!(from.losses().unwrap(), to.losses().unwrap());
}

#[test]
fn a_run_that_is_written_and_read_goes_on_to_the_same_bits() {
    let Some(card) = card() else { return };
    for precision in [Precision::F32, Precision::Bf16] {
        let (mut planned, corpus) = small(|_| ());
        planned.run.precision = precision;
        let mut first = card.begin(&planned.run, &corpus, 1).unwrap();
        // Before the end of the ring of batches, and in the middle of an interval of the curve.
        let begun = held::RING - 3;
        losses(first.as_mut(), begun, begun + 1);
        first.step(begun + 1).unwrap();
        let mut second = card.begin(&planned.run, &corpus, 1).unwrap();
        hand_over(&planned, first.as_mut(), second.as_mut(), begun + 2);
        let (from, to) = (begun + 2, begun + 5);
        let [a, b] = [&mut first, &mut second].map(|session| losses(session.as_mut(), from, to));
        assert_eq!(bits(&a), bits(&b), "{precision:?}");
        let [a, b] = [&mut first, &mut second].map(|session| weights(session.as_mut(), &planned.run));
        assert_eq!(a, b, "{precision:?}");
    }
}

#[test]
fn a_run_begun_on_the_cpu_goes_on_on_the_card_and_back() {
    let Some(card) = card() else { return };
    let (planned, corpus) = small(with(Parameterization::CompleteP));
    let (run, cpu) = (&planned.run, cpu());
    let whole = losses(cpu.begin(run, &corpus, 1).unwrap().as_mut(), 0, 12);
    let mut begun = cpu.begin(run, &corpus, 1).unwrap();
    losses(begun.as_mut(), 0, 4);
    begun.step(4).unwrap();
    let mut there = card.begin(run, &corpus, 1).unwrap();
    hand_over(&planned, begun.as_mut(), there.as_mut(), 5);
    there.step(5).unwrap();
    let mut parts = vec![take_mean_loss(there.as_mut()).unwrap()];
    assert!((parts[0] / f64::midpoint(whole[4], whole[5]) - 1.0).abs() < 1e-5, "the mean of both devices' losses");
    losses(there.as_mut(), 6, 8);
    let mut back = cpu.begin(run, &corpus, 1).unwrap();
    hand_over(&planned, there.as_mut(), back.as_mut(), 8);
    parts = losses(back.as_mut(), 8, 12);
    for (a, b) in parts.iter().zip(&whole[8..]) {
        assert!((a / b - 1.0).abs() < 1e-5, "{a} and {b}");
    }
}

#[test]
fn a_run_goes_its_course_and_a_diverging_one_is_seen() {
    let Some(card) = card() else { return };
    let outcome = |planned: &PlannedRun, corpus: &Corpus, engine: &dyn Engine| {
        let mut points = Vec::new();
        let mut hear = |progress: Progress| {
            points.extend(progress.curve_point.then_some((progress.step, progress.train_loss)));
            ControlFlow::Continue(())
        };
        let mut session = engine.begin(&planned.run, corpus, 1).unwrap();
        let (mut checkpoints, every) = ((), Duration::from_mins(1));
        let mut course = Course::new((planned, 1, Instant::now()), &mut checkpoints, every, &mut hear);
        let outcome = course.run(session.as_mut(), corpus).unwrap();
        (outcome, points)
    };
    let (mut planned, corpus) = small(|spec| spec.eval.curve_points = 4);
    // Shorter than a plan would have it: what is emulated is slow.
    planned.run.schedule.steps = 8;
    let (Outcome::Finished { val_loss, .. }, points) = outcome(&planned, &corpus, &card) else { panic!("it trains") };
    let (Outcome::Finished { val_loss: expected, .. }, theirs) = outcome(&planned, &corpus, &cpu()) else {
        panic!("it trains")
    };
    assert!((val_loss / expected - 1.0).abs() < 1e-4, "{val_loss} and {expected}");
    assert_eq!(points.len(), theirs.len());
    for ((step, a), (_, b)) in points.iter().zip(&theirs) {
        assert!((a / b - 1.0).abs() < 1e-4, "step {step}: {a} and {b}");
    }
    let (planned, corpus) = small(|spec| {
        spec.eval.curve_points = 50;
        spec.optimizer.learning_rate = PowerRule::constant(1e20);
        spec.optimizer.clip_norm = 0.0;
    });
    let (diverged, _) = outcome(&planned, &corpus, &card);
    assert!(matches!(diverged, Outcome::Diverged { .. }), "{diverged:?}");
}

#[test]
fn activations_are_measured_as_on_the_cpu() {
    let Some(card) = card() else { return };
    for (planned, corpus) in [small(with(Parameterization::CompleteP)), parts::of(parts::TOGETHER)] {
        measured_alike(&card, &planned.run, &corpus);
    }
}

fn measured_alike(card: &Cuda, run: &Run, corpus: &Corpus) {
    let batches = |step: usize, out: &mut Vec<u16>| corpus.train_batch(run.seed, SEQUENCES, step, out);
    let ours = card.probe(run, &run.table(), &batches, 3).unwrap();
    let theirs = cpu().probe(run, &run.table(), &batches, 3).unwrap();
    let sites = |seen: &[Seen]| {
        let mut sites: Vec<_> = seen.iter().map(|seen| (seen.step, seen.site)).collect();
        sites.sort_unstable();
        sites
    };
    assert_eq!(sites(&ours), sites(&theirs));
    for ours in &ours {
        let theirs = theirs.iter().find(|seen| (seen.step, seen.site) == (ours.step, ours.site)).unwrap();
        assert!((ours.mean_abs / theirs.mean_abs - 1.0).abs() < 1e-4, "{ours:?} and {theirs:?}");
    }
}

#[test]
fn a_model_that_does_not_fit_is_a_lack_of_memory_and_heads_without_kernels_are_refused() {
    let Some(card) = emulated() else { return };
    let (planned, corpus) = small(|_| ());
    let mut run = planned.run.clone();
    (run.shape.width, run.shape.heads, run.shape.depth) = (2048, 128, 8);
    let error = card.begin(&run, &corpus, 1).err().expect("too large");
    assert!(matches!(error, TrainError::OutOfMemory(_)), "{error}");
    assert!(error.to_string().contains("CUDA_ERROR_OUT_OF_MEMORY"), "{error}");
    // What was taken is given back.
    assert!(card.begin(&planned.run, &corpus, 1).is_ok());
    run.shape.heads = 8;
    let error = card.begin(&run, &corpus, 1).err().expect("heads of 256");
    assert!(matches!(&error, TrainError::Configuration(text) if text.contains("heads of 256")), "{error}");
    let mut run = planned.run.clone();
    run.optimizer.batch_sequences = 100_000_000;
    let error = card.begin(&run, &corpus, 1).err().expect("tokens beyond an int");
    assert!(matches!(&error, TrainError::Configuration(text) if text.contains("optimizer.batch_tokens")), "{error}");
    run.shape.context = 1 << 28;
    let error = card.begin(&run, &corpus, 1).err().expect("a sequence beyond an int");
    assert!(matches!(&error, TrainError::Configuration(text) if text.contains("model.context")), "{error}");
}

#[test]
fn a_step_that_was_asked_for_counts_as_done_once_that_is_known() {
    let Some(card) = card() else { return };
    let (planned, corpus) = small(|_| ());
    let mut session = card.begin(&planned.run, &corpus, 1).expect("a session");
    session.step(0).expect("a step");
    assert_eq!(session.ahead(), 1);
    session.step(1).expect("a step");
    assert!((1..=2).contains(&session.ahead()));
    session.losses().expect("losses");
    assert_eq!(session.ahead(), 0);
}

#[test]
fn the_benchmark_measures_an_emulated_card_too() {
    let Some(card) = card() else { return };
    let (planned, corpus) = small(|_| ());
    let mut bench = card.measure(&planned.run, &corpus, 1).unwrap();
    let phases = bench.train(Duration::from_millis(10), &mut (0..100).cycle()).unwrap();
    assert!(phases.total() > 0.0 && phases.forward > 0.0 && phases.optimizer > 0.0, "{phases:?}");
    assert!(bench.peak(Duration::from_millis(1)).unwrap() > 0.0 && bench.products().unwrap() > 0.0);
    assert!(bench.memory_speed(Duration::from_millis(1)).unwrap().is_some_and(|speed| speed > 0.0));
    assert!(bench.host_share().is_some_and(|share| share > 0.0 && share <= 1.0));
    assert!(bench.card_memory().is_some_and(|bytes| bytes > 4 * planned.run.shape.vocab as u64));
}

/// What a step of a model of two blocks launches: with cuBLASLt the products are its.
#[test]
fn a_step_of_two_blocks_is_fifty_four_launches() {
    let Some(card) = emulated() else { return };
    let (planned, corpus) = small(|_| ());
    let mut bench = card.measure(&planned.run, &corpus, 1).unwrap();
    bench.session().step(0).unwrap();
    let before = bench.session().losses().unwrap();
    let kernels = bench.kernels().unwrap();
    assert!(kernels.is_sorted_by(|a, b| a.seconds >= b.seconds) && kernels.iter().all(|kernel| kernel.seconds > 0.0));
    let mut counts: Vec<_> = kernels.iter().map(|kernel| (kernel.kernel.as_str(), kernel.launches)).collect();
    counts.sort_unstable();
    let expected = [
        ("adamw_f32", 1),
        ("add_norm_f32", 4),
        ("attention_backward_f32", 2),
        ("attention_deltas_f32", 2),
        ("attention_f32", 2),
        ("cross_entropy_f32", 1),
        ("embed_backward", 1),
        ("embed_norm_f32", 1),
        ("gain_reduce", 1),
        ("gelu_backward_f32", 2),
        ("gelu_f32", 2),
        ("norm_backward_f32", 5),
        ("product_f32_f32", 27),
        ("rotate_f32", 2),
        ("settle", 1),
    ];
    assert_eq!(counts, expected);
    assert_eq!(counts.iter().map(|(_, launches)| launches).sum::<usize>(), 54);
    assert_eq!(bench.session().losses().unwrap(), before, "the session stands where it stood");
}
