//! Every part of a model and every optimizer that the engine has, as the tables list them, beside the engine of the CPU.

use super::*;
use crate::model::{Embedding, Mixer, Mlp, Norm, NormPlace, Positions};
use crate::optimizer::OptimizerKind;

/// A run of which something is not as in the first models.
pub struct Case {
    pub name: String,
    pub planned: PlannedRun,
    pub corpus: Corpus,
}

/// A small run of these parts, away from its base shape, so that no factor is 1.
pub fn of(parts: Parts) -> (PlannedRun, Corpus) {
    small(|spec| {
        with(Parameterization::CompleteP)(spec);
        // Two heads share one of keys. Where all is together a second block joins the first.
        let depth = if parts == TOGETHER { 2 } else { 1 };
        (spec.model.width, spec.model.depth, spec.model.base_depth) = (Some(32), Some(depth), Some(3 - depth));
        spec.model.set_parts(parts);
    })
}

/// Parts that go together, one of each kind that is not of the first models.
pub const TOGETHER: Parts = Parts {
    mixer: Mixer::Attention,
    positions: Positions::Learned,
    kv_sharing: 2,
    qk_norm: true,
    mlp: Mlp::SwiGlu,
    experts: None,
    embedding: Embedding::Tied,
    norm: Norm::Layer,
    norm_place: NormPlace::After,
};

fn by(kind: OptimizerKind, parts: Parts) -> Case {
    let (mut planned, corpus) = of(parts);
    let optimizer = &mut planned.run.optimizer;
    (optimizer.kind, optimizer.momentum) = (kind, Some(0.9));
    optimizer.learning_rate = match kind {
        OptimizerKind::Adamw | OptimizerKind::Muon => optimizer.learning_rate,
        OptimizerKind::Sgd => 0.1,
        OptimizerKind::Lion => optimizer.learning_rate / 3.0,
    };
    Case { name: format!("{kind:?} {}", parts.differing().join(", ")), planned, corpus }
}

/// All that the engine has.
pub fn cases() -> Vec<Case> {
    let adamw = |parts| by(OptimizerKind::Adamw, parts);
    let each = Parts::each().into_iter().map(|(_, parts)| parts).chain([TOGETHER]).filter(|parts| !parts.is_default());
    let mut cases: Vec<Case> = each.map(adamw).filter(|case| check(&case.planned.run).is_ok()).collect();
    cases.extend(OptimizerKind::ALL.into_iter().skip(1).map(|kind| by(kind, Parts::FIRST)));
    cases.push(by(OptimizerKind::Muon, TOGETHER));
    cases
}

#[test]
fn a_run_takes_the_memory_that_was_told_without_a_card() {
    let Some(card) = emulated() else { return };
    let free = || card.free_memory().unwrap().unwrap();
    let before = free();
    for Case { name, mut planned, corpus } in cases() {
        for precision in [Precision::F32, Precision::Bf16] {
            planned.run.precision = precision;
            let session = card.begin(&planned.run, &corpus, 1).unwrap();
            let taken = before - free();
            assert_eq!(super::super::bytes(&planned.run), Some(taken), "{name} {precision:?}");
            drop(session);
        }
    }
    assert_eq!(free(), before);
}

#[test]
fn experts_and_recurrences_alone_are_refused_by_name_with_the_devices_that_have_them() {
    for (name, parts) in Parts::each() {
        let run = of(parts).0.run;
        let lacks = parts.experts.is_some() || parts.mixer != Mixer::Attention;
        match check(&run) {
            Ok(()) => assert!(!lacks, "{name} is not refused"),
            Err(error) => {
                let text = error.to_string();
                assert!(lacks && text.contains("--device cpu or --device wgpu"), "{name}: {text}");
                let named = if parts.experts.is_some() { "[model.experts]" } else { parts.mixer.name() };
                // A part that there are kernels for is not blamed.
                assert!(text.contains(named) && !text.contains("swiglu") && !text.contains("none"), "{name}: {text}");
            }
        }
    }
}

/// First moments or momenta are the clipped gradients, but for a factor: Adam's first step hides their size.
#[test]
fn losses_and_the_gradient_of_every_weight_agree_with_the_cpu() {
    let Some(card) = card() else { return };
    let cpu = cpu();
    for Case { name, planned, corpus } in cases() {
        let run = &planned.run;
        let mut sessions = [card.begin(run, &corpus, 1).unwrap(), cpu.begin(run, &corpus, 1).unwrap()];
        let near = |what: &str, [a, b]: [f64; 2]| assert!((a / b - 1.0).abs() < 1e-5, "{name}, {what}: {a} and {b}");
        near("first loss", sessions.each_mut().map(|session| losses(session.as_mut(), 0, 1)[0]));
        for (weight, Weight { name: of, .. }) in run.shape.weights().iter().enumerate() {
            let [ours, theirs] = sessions.each_mut().map(|session| session.numbers(weight, Kept::First).unwrap());
            let off = apart(&ours, &theirs);
            assert!(off < 5e-5, "{name}: gradient of {of} is off by {off}");
        }
        for step in 1..3 {
            near("a later loss", sessions.each_mut().map(|session| losses(session.as_mut(), step, step + 1)[0]));
        }
        let mut tokens = Vec::new();
        corpus.validation_batch(run.eval.tokens, 0, 3, &mut tokens);
        let mean = |losses: Vec<f32>| losses.iter().map(|&loss| f64::from(loss)).sum::<f64>() / losses.len() as f64;
        near("unseen", sessions.each_mut().map(|session| mean(session.token_losses(&tokens).unwrap())));
    }
}

#[test]
fn low_precision_and_micro_batches_change_losses_by_rounding_alone() {
    let Some(card) = card() else { return };
    for Case { name, planned, corpus } in cases() {
        let trained = |precision, parts| {
            let run = Run { precision, ..planned.run.clone() };
            losses(card.begin(&run, &corpus, parts).unwrap().as_mut(), 0, 2)
        };
        let whole = trained(Precision::F32, 1);
        for (precision, parts, tolerance) in [(Precision::Bf16, 1, 8e-3), (Precision::F32, 2, 1e-5)] {
            let other = trained(precision, parts);
            for (a, b) in whole.iter().zip(&other) {
                assert!((a / b - 1.0).abs() < tolerance, "{name}, {precision:?} in {parts} parts: {a} and {b}");
            }
            assert!(precision == Precision::F32 || whole != other, "{name}: {precision:?} rounds");
        }
    }
}

#[test]
fn a_run_of_the_cpu_goes_on_on_the_card_and_is_resumed_to_the_same_bits() {
    let Some(card) = card() else { return };
    let cpu = cpu();
    for Case { name, planned, corpus } in cases() {
        let run = &planned.run;
        let expected = losses(cpu.begin(run, &corpus, 1).unwrap().as_mut(), 0, 4);
        let mut begun = cpu.begin(run, &corpus, 1).unwrap();
        losses(begun.as_mut(), 0, 2);
        let (mut first, mut second) = (card.begin(run, &corpus, 1).unwrap(), card.begin(run, &corpus, 1).unwrap());
        hand_over(&planned, begun.as_mut(), first.as_mut(), 2);
        let mut trained = losses(first.as_mut(), 2, 3);
        hand_over(&planned, first.as_mut(), second.as_mut(), 3);
        let [a, b] = [&mut first, &mut second].map(|session| losses(session.as_mut(), 3, 4));
        assert_eq!(bits(&a), bits(&b), "{name}");
        let [of_first, of_second] = [&mut first, &mut second].map(|session| weights(session.as_mut(), run));
        assert_eq!(of_first, of_second, "{name}");
        trained.extend(a);
        for (a, b) in trained.iter().zip(&expected[2..]) {
            assert!((a / b - 1.0).abs() < 1e-5, "{name}: {a} and {b}");
        }
    }
}
